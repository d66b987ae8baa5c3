"""A device that was missing on its arrival and stays so: its sender asks to give it up, an official above decides."""

import datetime as dt
from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from delivery.models import DeviceReport, Loss, Shipment, ShipmentItem
from delivery.services.replacement import leave_programme, replace_device
from delivery.services.shipments import refuse
from ledger.services import record as record_entry

Kind, Result = DeviceReport.Kind, ShipmentItem.Result


@transaction.atomic
def request_losses(
    *, by: User, shipment: Shipment, device_codes: Collection[str], reason: str, account: str, at: dt.datetime
) -> list[Loss]:
    """Ask that devices missing from a shipment be given up as lost; another official decides on each.

    Args:
        reason: a value of `Loss.Reason`.
        account: what was done to find them.

    Raises ValidationError for a device that is not missing from this shipment; a device asked about before breaks
    the constraint `loss_one_standing`.
    """
    codes = sorted(set(device_codes))
    if not codes:
        raise ValidationError("Chưa chọn máy nào.", code="empty")
    missing = shipment.items.select_for_update(of=("self",)).select_related("device")
    items = {item.device.code: item for item in missing.filter(device__code__in=codes, result=Result.MISSING)}
    refuse(set(codes) - items.keys(), "không phải máy thiếu của lô này, hoặc đã tìm thấy")
    return Loss.objects.bulk_create(
        Loss(item=items[code], reason=reason, account=account.strip(), requested_at=at, requested_by=by)
        for code in codes
    )


@transaction.atomic
def decide_loss(*, by: User, loss: Loss, agree: bool, at: dt.datetime) -> Allocation | None:
    """A second official agrees (the device leaves the programme as lost) or not (the search goes on).

    The student who waits for the device gets another one at once; while none is in stock they keep their place, and
    the sender replaces it later (`replace_device`). Returns the new allocation, if there is one. Raises
    ValidationError when it was decided before, for the person who asked, and for a device that was found meanwhile.
    """
    loss = Loss.objects.select_for_update(of=("self",)).get(pk=loss.pk)
    item = (
        ShipmentItem.objects.select_for_update(of=("self",))
        .select_related("device", "shipment__from_office")
        .get(pk=loss.item_id)
    )
    if not loss.is_open:
        raise ValidationError("Đề nghị này đã có quyết định.", code="state")
    if loss.requested_by_id == by.pk:
        raise ValidationError("Người quyết định phải khác người đề nghị kết luận mất.", code="two_sided")
    if not agree:
        loss.refused_at, loss.refused_by = at, by
        loss.save(update_fields=["refused_at", "refused_by"])
        return None
    if item.result != Result.MISSING:
        raise ValidationError(
            "Máy này đã được tìm thấy trong lúc chờ quyết định. Hãy chọn «Không đồng ý» để khép lại đề nghị.",
            code="found",
        )
    loss.confirmed_at, loss.confirmed_by = at, by
    loss.save(update_fields=["confirmed_at", "confirmed_by"])
    item.result = Result.LOST
    item.save(update_fields=["result"])
    # An office that closed meanwhile may have put it in a draft with all that it held.
    item.device.shipment_items.filter(is_open=True, shipment__state=Shipment.State.DRAFT).delete()
    stolen = loss.reason == Loss.Reason.THEFT
    office, day = item.shipment.from_office, timezone.localdate(at)
    DeviceReport.objects.create(
        device=item.device,
        kind=Kind.STOLEN if stolen else Kind.LOST,
        reason=loss.reason,
        office=office,
        happened_on=day,
        reported_at=at,
        reported_by=by,
    )
    record_entry(
        event="device.written_off",
        on=day,
        device=item.device.code,
        reason="stolen" if stolen else "lost",
    )
    if not Allocation.objects.live().filter(device=item.device).exists():
        leave_programme(item.device, at=at)
        return None
    holder = item.device.custodies.open().select_related("office").get().office
    try:
        return replace_device(by=by, office=holder, device_code=item.device.code, at=at)
    except ValidationError as error:
        if error.code != "stock":
            raise
        return None

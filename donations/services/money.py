"""Money in, money out, prices and purchases (Plan II.1c, II.2a, III.1h)."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, Q, Sum
from django.utils import timezone

from common.vietnamese import clean, number_text
from donations import codes
from donations.models import (
    BudgetLine,
    Device,
    Lot,
    MoneyReceipt,
    MoneyTransfer,
    Pledge,
    PriceAgreement,
    PurchaseOrder,
)
from donations.rules import TWO_PERSONS_FROM_VND
from donations.services.devices import receive_lot
from donations.services.pledges import LEDGER_FUND, PERSONS, follow_progress, lock_open
from ledger.codes import new_code
from ledger.services import record
from schools.models import AdministrativeUnit, Office, Student


@transaction.atomic
def receive_money(
    *,
    by,
    pledge: Pledge,
    office: Office,
    amount_vnd: int,
    document_number: str,
    received_on: dt.date,
    at: dt.datetime,
) -> MoneyReceipt:
    """Money for a confirmed money pledge arrived on an office's account, with its document."""
    if pledge.kind == Pledge.Kind.DEVICE:
        raise ValidationError("Cam kết này bằng máy, không phải bằng tiền.")
    pledge = lock_open(pledge)
    if received_on > timezone.localdate(at):
        raise ValidationError({"received_on": "Ngày nhận tiền chưa tới."})
    receipt = MoneyReceipt.objects.create(
        code=new_code(codes.RECEIPT),
        pledge=pledge,
        office=office,
        amount_vnd=amount_vnd,
        document_number=clean(document_number),
        received_on=received_on,
        received_at=at,
        received_by=by,
    )
    donor = pledge.donor
    is_named = donor.is_named_in_public and donor.kind not in PERSONS
    record(
        event="money.received",
        on=received_on,
        ref=receipt.code,
        amount_vnd=amount_vnd,
        fund=LEDGER_FUND[pledge.funding_source],
        pledge=pledge.code,
        org=donor.name if is_named else None,
        commit=None if is_named else {"donor": donor.name},
    )
    follow_progress(pledge)
    return receipt


@transaction.atomic
def agree_price(
    *,
    by,
    supplier: str,
    device_kind: str,
    model_name: str,
    unit_price_vnd: int,
    valid_from: dt.date,
    at: dt.datetime,
    valid_to: dt.date | None = None,
    legal_reference: str = "",
) -> PriceAgreement:
    """Record a negotiated price with its dates; it never changes afterwards, a new price is a new agreement."""
    return PriceAgreement.objects.create(
        code=new_code(codes.AGREEMENT),
        supplier=clean(supplier),
        device_kind=device_kind,
        model_name=clean(model_name),
        unit_price_vnd=unit_price_vnd,
        valid_from=valid_from,
        valid_to=valid_to,
        legal_reference=clean(legal_reference),
        agreed_at=at,
        agreed_by=by,
    )


def balance_vnd(*, pledge: Pledge, office: Office | None = None) -> int:
    """Money of a pledge that an office (all offices if None) still holds and that no live order has spoken for."""
    received = pledge.money_receipts.all()
    out = pledge.money_transfers.filter(order__isnull=True)
    orders = pledge.orders.exclude(state=PurchaseOrder.State.CANCELLED)
    if office is None:
        return _total(received, "amount_vnd") - _order_total(orders)
    return (
        _total(received.filter(office=office), "amount_vnd")
        + _total(out.filter(to_office=office), "amount_vnd")
        - _total(out.filter(from_office=office), "amount_vnd")
        - _order_total(orders.filter(office=office))
    )


def _total(rows, field: str) -> int:
    return rows.aggregate(total=Sum(field))["total"] or 0


def _order_total(orders) -> int:
    product = ExpressionWrapper(F("unit_price_vnd") * F("quantity"), output_field=BigIntegerField())
    return orders.aggregate(total=Sum(product))["total"] or 0


def open_need(unit: AdministrativeUnit | None) -> int:
    """Approved students without a device in a unit (the nation if None) that nothing bought or given covers yet.

    Plan III.2a and feature 10: nothing is bought for people whom no approved list names. Devices given in kind and
    every order that was not cancelled, for the same place, are subtracted.
    """
    students = Student.objects.filter(state=Student.State.APPROVED, has_device=False)
    devices = Device.objects.filter(lot__order=None).exclude(
        state__in=[Device.State.REFUSED, Device.State.RETIRED]
    )
    orders = PurchaseOrder.objects.exclude(state=PurchaseOrder.State.CANCELLED)
    if unit is not None:
        place = "province" if unit.level == AdministrativeUnit.Level.PROVINCE else "district"
        students = students.filter(**{f"school__{place}": unit})
        within = Q(**{f"earmark_school__{place}": unit}) | Q(earmark_unit=unit)
        target = Q(target_unit=unit)
        if place == "province":
            within |= Q(earmark_unit__province=unit)
            target |= Q(target_unit__province=unit)
        devices, orders = devices.filter(within), orders.filter(target)
    bought = orders.aggregate(total=Sum("quantity"))["total"] or 0
    return max(0, students.aggregate(n=Count("pk"))["n"] - devices.aggregate(n=Count("pk"))["n"] - bought)


@transaction.atomic
def propose_order(
    *,
    by,
    agreement: PriceAgreement,
    pledge: Pledge,
    quantity: int,
    at: dt.datetime,
    target_unit: AdministrativeUnit | None = None,
    budget_line: BudgetLine | None = None,
    office: Office | None = None,
    expected_on: dt.date | None = None,
) -> PurchaseOrder:
    """Propose to buy devices at today's agreed price from money that has arrived, for students that are known.

    Refused when the price is not valid today, when the money at the buying office does not suffice, and when
    the target has fewer approved students without a device than devices (feature 10).
    """
    day = timezone.localdate(at)
    if not PriceAgreement.objects.valid_on(day).filter(pk=agreement.pk).exists():
        raise ValidationError({"agreement": f"Thoả thuận giá này không có hiệu lực ngày {day:%d/%m/%Y}."})
    if expected_on and expected_on < day:
        raise ValidationError(
            {"expected_on": f"Ngày hẹn giao đã qua. Hãy ghi từ ngày {day:%d/%m/%Y} trở đi."}
        )
    # One buyer at a time counts the need, whosever money it is; and one this money.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('donations.open_need'))")
    pledge = Pledge.objects.select_for_update(of=("self",)).get(pk=pledge.pk)
    if pledge.earmark_unit_id and (target_unit is None or target_unit.pk != pledge.earmark_unit_id):
        raise ValidationError(
            {"target_unit": f"Tiền của cam kết này chỉ dành cho {pledge.earmark_unit.full_name}."}
        )
    office = office or pledge.office
    amount = quantity * agreement.unit_price_vnd
    free = balance_vnd(pledge=pledge, office=office)
    if amount > free:
        raise ValidationError(
            {"quantity": f"Cần {number_text(amount)} đ mà tiền còn ở {office} là {number_text(free)} đ."}
        )
    need = open_need(target_unit)
    if quantity > need:
        where = target_unit.full_name if target_unit else "cả nước"
        raise ValidationError(
            {
                "quantity": f"Danh sách đã duyệt của {where} còn {number_text(need)} học sinh chưa có máy. "
                "Hãy giảm số lượng hoặc chờ danh sách được duyệt."
            }
        )
    return PurchaseOrder.objects.create(
        code=new_code(codes.ORDER),
        agreement=agreement,
        pledge=pledge,
        budget_line=budget_line,
        target_unit=target_unit,
        need_count=need,
        quantity=quantity,
        unit_price_vnd=agreement.unit_price_vnd,
        office=office,
        proposed_at=at,
        proposed_by=by,
        expected_on=expected_on,
    )


@transaction.atomic
def approve_order(*, by, order: PurchaseOrder, at: dt.datetime) -> PurchaseOrder:
    """Approve a proposed order: it is placed. From one billion đồng on by another person than the proposer."""
    order = PurchaseOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
    if order.state != PurchaseOrder.State.PROPOSED:
        raise ValidationError(f"Đơn mua {order.code} không còn chờ phê duyệt: {order.get_state_display()}.")
    if order.amount_vnd >= TWO_PERSONS_FROM_VND and order.proposed_by_id == by.pk:
        raise ValidationError("Đơn mua từ 1 tỷ đồng phải do người khác người đề xuất phê duyệt.")
    order.state = PurchaseOrder.State.ORDERED
    order.ordered_at, order.ordered_by = at, by
    order.save(update_fields=["state", "ordered_at", "ordered_by"])
    record(
        event="purchase.ordered",
        on=timezone.localdate(at),
        order=order.code,
        qty=order.quantity,
        amount_vnd=order.amount_vnd,
        unit_price_vnd=order.unit_price_vnd,
        kind=order.agreement.device_kind,
    )
    return order


@transaction.atomic
def cancel_order(*, by, order: PurchaseOrder, at: dt.datetime) -> PurchaseOrder:
    """Cancel an order that is not delivered and not paid: its money is free again."""
    order = PurchaseOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
    if order.payments.exists():
        raise ValidationError("Đơn mua này đã trả tiền nên không huỷ được.")
    if order.state not in (PurchaseOrder.State.PROPOSED, PurchaseOrder.State.ORDERED):
        raise ValidationError(f"Đơn mua {order.code}: {order.get_state_display()}, nên không huỷ được.")
    order.state = PurchaseOrder.State.CANCELLED
    order.save(update_fields=["state"])
    return order


@transaction.atomic
def deliver_order(*, by, order: PurchaseOrder, warehouse: Office, at: dt.datetime) -> Lot:
    """The supplier delivered an order to a warehouse: a lot is opened that leads from its devices to the money."""
    order = PurchaseOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
    if order.state != PurchaseOrder.State.ORDERED:
        raise ValidationError(f"Đơn mua {order.code}: {order.get_state_display()}, nên không nhận giao được.")
    order.state = PurchaseOrder.State.DELIVERED
    order.delivered_at, order.delivered_by = at, by
    order.save(update_fields=["state", "delivered_at", "delivered_by"])
    lot = receive_lot(
        by=by,
        pledge=order.pledge,
        warehouse=warehouse,
        device_kind=order.agreement.device_kind,
        at=at,
        order=order,
        model_name=order.agreement.model_name,
        declared_count=order.quantity,
    )
    record(
        event="purchase.delivered",
        on=timezone.localdate(at),
        order=order.code,
        qty=order.quantity,
        lot=lot.code,
        to=warehouse.code,
    )
    return lot


@transaction.atomic
def pay_order(
    *,
    by,
    order: PurchaseOrder,
    amount_vnd: int,
    document_number: str,
    transferred_on: dt.date,
    at: dt.datetime,
) -> MoneyTransfer:
    """Pay (a part of) an order that was placed, never more than its price."""
    order = PurchaseOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
    if order.state not in (PurchaseOrder.State.ORDERED, PurchaseOrder.State.DELIVERED):
        raise ValidationError(f"Đơn mua {order.code}: {order.get_state_display()}, nên chưa trả tiền được.")
    left = order.amount_vnd - _total(order.payments.all(), "amount_vnd")
    if amount_vnd > left:
        raise ValidationError({"amount_vnd": f"Đơn mua này chỉ còn phải trả {number_text(left)} đ."})
    return _transfer(
        by=by,
        pledge=order.pledge,
        from_office=order.office,
        order=order,
        amount_vnd=amount_vnd,
        document_number=document_number,
        transferred_on=transferred_on,
        at=at,
    )


@transaction.atomic
def transfer_money(
    *,
    by,
    pledge: Pledge,
    from_office: Office,
    to_office: Office,
    amount_vnd: int,
    document_number: str,
    transferred_on: dt.date,
    at: dt.datetime,
) -> MoneyTransfer:
    """Pass money of a pledge on to another office that will buy, never more than is there and free."""
    Pledge.objects.select_for_update(of=("self",)).get(pk=pledge.pk)
    free = balance_vnd(pledge=pledge, office=from_office)
    if amount_vnd > free:
        raise ValidationError(
            {"amount_vnd": f"Tiền của cam kết này còn ở {from_office} là {number_text(free)} đ."}
        )
    return _transfer(
        by=by,
        pledge=pledge,
        from_office=from_office,
        to_office=to_office,
        amount_vnd=amount_vnd,
        document_number=document_number,
        transferred_on=transferred_on,
        at=at,
    )


def _transfer(
    *, by, at: dt.datetime, document_number: str, transferred_on: dt.date, **fields
) -> MoneyTransfer:
    if transferred_on > timezone.localdate(at):
        raise ValidationError({"transferred_on": "Ngày chi tiền chưa tới."})
    transfer = MoneyTransfer.objects.create(
        code=new_code(codes.TRANSFER),
        document_number=clean(document_number),
        transferred_on=transferred_on,
        transferred_at=at,
        transferred_by=by,
        **fields,
    )
    record(
        event="money.transferred",
        on=transferred_on,
        ref=transfer.code,
        amount_vnd=transfer.amount_vnd,
        to=transfer.to_office.code if transfer.to_office else None,
        order=transfer.order.code if transfer.order else None,
        fund=LEDGER_FUND[transfer.pledge.funding_source],
    )
    return transfer

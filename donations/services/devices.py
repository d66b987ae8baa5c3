"""Devices arrive, are inspected, repaired, written off; criteria are published (Plan I.2đ, III.1e, III.1i)."""

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import rfc8785
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone
from psycopg.types.json import Jsonb

from donations import codes, rules
from donations.models import Device, DeviceCriteria, Lot, Pledge, PurchaseOrder
from donations.services.pledges import follow_progress, lock_open
from ledger.bulk import record_many
from ledger.codes import new_code, new_device_codes
from ledger.services import record
from schools.models import Office


@transaction.atomic
def receive_lot(
    *,
    by,
    pledge: Pledge,
    warehouse: Office,
    device_kind: str,
    at: dt.datetime,
    order: PurchaseOrder | None = None,
    model_name: str = "",
    is_used: bool = False,
    declared_count: int | None = None,
) -> Lot:
    """Open a lot for like devices that arrived together, from a confirmed pledge or an order that money bought."""
    pledge = lock_open(pledge)
    if order is None and pledge.kind != Pledge.Kind.DEVICE:
        raise ValidationError("Cam kết tiền: máy về theo đơn mua, hãy chọn đơn mua.")
    if order is not None and order.pledge_id != pledge.pk:
        raise ValidationError("Đơn mua này dùng tiền của một cam kết khác.")
    return Lot.objects.create(
        code=new_code(codes.LOT),
        pledge=pledge,
        order=order,
        warehouse=warehouse,
        device_kind=device_kind,
        model_name=model_name,
        is_used=is_used,
        declared_count=declared_count,
        received_at=at,
        received_by=by,
    )


COPY_DEVICES = (
    "COPY donations_device (code, lot_id, serial_number, serial_key, imei, state, earmark_unit_id, "
    "earmark_school_id, is_child_protected) FROM STDIN"
)


@transaction.atomic
def receive_devices(
    *, by, lot: Lot, rows: Iterable[tuple[str, str]], at: dt.datetime, first_row: int = 1
) -> list[str]:
    """Enter devices of a lot by (serial, IMEI or ""); return their new codes in order.

    All or nothing: raises rules.RowErrors with every error by row and column, a serial that exists elsewhere
    with the place where it is. One COPY, one ledger statement, whatever the number.
    """
    lot = Lot.objects.select_related(
        "pledge__earmark_school__province",
        "pledge__earmark_unit__province",
        "warehouse",
        "order__target_unit__province",
    ).get(pk=lot.pk)
    checked = rules.check_serials(rows, first_row=first_row)
    if not checked:
        raise ValidationError("Chưa có số sê-ri nào. Hãy quét, dán hoặc tải tệp có số sê-ri.")
    _refuse_known(checked)
    pledge = lot.pledge
    # Money that names no place buys for the place whose need was counted.
    target = lot.order.target_unit if lot.order and not pledge.earmark_province else None
    unit_id = target.pk if target else pledge.earmark_unit_id
    fresh = new_device_codes(len(checked))
    with connection.cursor() as cursor, cursor.copy(COPY_DEVICES) as copy:
        for code, row in zip(fresh, checked, strict=True):
            copy.write_row(
                (code, lot.pk, row.serial, row.key, row.imei, "received", unit_id, pledge.earmark_school_id, False)
            )  # fmt: skip
    province = pledge.earmark_province or (target and (target.province or target))
    fields = {
        "to": lot.warehouse.code,
        "kind": lot.device_kind,
        "lot": lot.code,
        "pledge": pledge.code,
        "order": lot.order.code if lot.order else None,
        "earmark": province.public_code if province else None,
    }
    record_many(
        event="device.received",
        on=timezone.localdate(at),
        rows=(
            {
                "device": code,
                **fields,
                "commit": {"serial": row.key, **({"imei": row.imei} if row.imei else {})},
            }
            for code, row in zip(fresh, checked, strict=True)
        ),
    )
    follow_progress(pledge)
    return fresh


def _refuse_known(checked: Sequence[rules.SerialRow]) -> None:
    """Refuse serials and IMEIs that another device has, and say where that device is."""
    by_key = {row.key: row for row in checked}
    by_imei = {row.imei: row for row in checked if row.imei}
    errors = []
    seen = Device.objects.filter(serial_key__in=list(by_key)).values_list(
        "serial_key", "code", "lot__code", "lot__warehouse__name"
    )
    for key, code, lot, place in seen:
        row = by_key[key]
        errors.append(
            rules.RowError(
                row.row, "Số sê-ri", f"«{row.serial}» đã có: máy {code}, lô {lot}, nhận tại {place}."
            )
        )
    seen = Device.objects.filter(imei__in=list(by_imei)).values_list("imei", "code", "lot__code")
    for imei, code, lot in seen:
        errors.append(rules.RowError(by_imei[imei].row, "IMEI", f"đã có: máy {code}, lô {lot}."))
    if errors:
        raise rules.RowErrors(sorted(errors, key=lambda e: (e.row, e.column)))


@transaction.atomic
def inspect_devices(*, by, findings: Iterable[rules.Finding], at: dt.datetime) -> Counter:
    """Inspect devices against the criteria in force; the outcome follows from what was found (Plan I.2đ).

    Returns how many were accepted, to repair, refused. All or nothing; each device must wait for inspection. A
    Counter of `rules.ACCEPTED`, `TO_REPAIR`, `REFUSED`. Set-based: a handful of statements for any number.
    """
    found = {finding.device_code: finding for finding in findings}
    if not found:
        raise ValidationError("Chưa chọn máy nào để kiểm định.")
    devices = list(
        Device.objects.select_for_update(of=("self",))
        .filter(code__in=list(found))
        .order_by("pk")
        .values_list("pk", "code", "state", "lot__device_kind", "lot__is_used")
    )
    _require_all(devices, found, "received", "chờ kiểm định")
    in_force: dict[tuple[str, bool], DeviceCriteria] = {}
    results = []
    for pk, code, _, kind, is_used in devices:
        if (kind, is_used) not in in_force:
            in_force[kind, is_used] = _criteria_for(kind, is_used=is_used)
        criteria = in_force[kind, is_used]
        outcome, reasons = rules.judge(found[code], limits=criteria.limits, is_used=is_used)
        results.append((pk, found[code], criteria, outcome, reasons))
    _store_inspections(results, by=by, at=at)
    _record_inspections(results, on=timezone.localdate(at))
    return Counter(outcome for *_, outcome, _ in results)


def _criteria_for(kind: str, *, is_used: bool) -> DeviceCriteria:
    criteria = DeviceCriteria.objects.in_force(device_kind=kind, is_used=is_used)
    if criteria is None:
        raise ValidationError(
            f"Chưa có tiêu chí nào được công bố cho {dict(Pledge.DeviceKind.choices)[kind].lower()}. "
            "Hãy đề nghị Bộ hoặc Văn phòng Chương trình công bố tiêu chí trước khi kiểm định."
        )
    return criteria


def _store_inspections(results: list[tuple], *, by, at: dt.datetime) -> None:
    with connection.cursor() as cursor:
        with cursor.copy(
            "COPY donations_inspection (device_id, criteria_id, measured, outcome, reasons, is_child_protected, "
            "is_wiped, inspected_at, inspected_by_id) FROM STDIN"
        ) as copy:
            for pk, finding, criteria, outcome, reasons in results:
                copy.write_row(
                    (pk, criteria.pk, Jsonb(dict(finding.measured)), outcome, Jsonb(reasons),
                     finding.is_child_protected, finding.is_wiped, at, by.pk)
                )  # fmt: skip
        cursor.execute(
            """
            UPDATE donations_device d SET state = r.outcome, is_child_protected = r.protected,
                accepted_at = CASE WHEN r.outcome = 'accepted' THEN %(at)s ELSE d.accepted_at END,
                accepted_by_id = CASE WHEN r.outcome = 'accepted' THEN %(by)s ELSE d.accepted_by_id END
            FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[], %(protected)s::boolean[]) AS r (id, outcome, protected)
            WHERE d.id = r.id
            """,
            {
                "at": at,
                "by": by.pk,
                "ids": [pk for pk, *_ in results],
                "outcomes": [outcome for *_, outcome, _ in results],
                "protected": [finding.is_child_protected for _, finding, *_ in results],
            },
        )


def _record_inspections(results: list[tuple], *, on: dt.date) -> None:
    record_many(
        event="device.inspected",
        on=on,
        rows=(
            {
                "device": finding.device_code,
                "outcome": outcome,
                "reason": rules.ledger_fault(reasons) if reasons else None,
                "criteria": criteria.code,
                "protection": int(finding.is_child_protected),
            }
            for _, finding, criteria, outcome, reasons in results
        ),
    )


def _require_all(devices: list[tuple], wanted: Iterable[str], state: str, label: str) -> None:
    """Every wanted code is a device in this state; otherwise say which is not, and why."""
    known = {code: now for _, code, now, *_ in devices}
    missing = [code for code in wanted if code not in known]
    if missing:
        raise ValidationError(f"Không có máy nào mang mã {', '.join(missing[:5])}. Chưa ghi gì.")
    others = defaultdict(list)
    for code, now in known.items():
        if now != state:
            others[now].append(code)
    if others:
        words = "; ".join(
            f"{Device.State(now).label}: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}"
            for now, found in others.items()
        )
        raise ValidationError(f"Có máy không ở bước «{label}» ({words}). Chưa ghi gì; hãy bỏ các máy này ra.")


@transaction.atomic
def repair_devices(*, by, device_codes: Sequence[str], at: dt.datetime) -> int:
    """Devices were repaired; each waits for another inspection. Returns how many."""
    rows = _locked(device_codes)
    _require_all(rows, device_codes, "to_repair", "chờ sửa chữa")
    place = dict(
        Device.objects.filter(code__in=device_codes).values_list(
            "code", Coalesce("returned_to__code", "lot__warehouse__code")
        )
    )
    Device.objects.filter(pk__in=[pk for pk, *_ in rows]).update(state=Device.State.RECEIVED)
    record_many(
        event="device.repaired",
        on=timezone.localdate(at),
        rows=({"device": code, "at_": place[code]} for _, code, _ in rows),
    )
    return len(rows)


@transaction.atomic
def write_off_devices(*, by, device_codes: Sequence[str], reason: str, at: dt.datetime) -> int:
    """Devices that were refused or can't be repaired leave the programme. Returns how many."""
    if reason not in rules.WRITE_OFF_REASONS:
        raise ValidationError("Hãy chọn lý do loại máy.")
    rows = _locked(device_codes)
    still = [code for _, code, state in rows if state not in ("refused", "to_repair")]
    if still or len(rows) != len(set(device_codes)):
        raise ValidationError(
            "Chỉ loại được máy không đạt hoặc chờ sửa chữa. Chưa ghi gì; hãy tải lại trang."
        )
    Device.objects.filter(pk__in=[pk for pk, *_ in rows]).update(state=Device.State.RETIRED)
    record_many(
        event="device.written_off",
        on=timezone.localdate(at),
        rows=({"device": code, "reason": reason} for _, code, _ in rows),
    )
    return len(rows)


def _locked(device_codes: Sequence[str]) -> list[tuple[int, str, str]]:
    return list(
        Device.objects.select_for_update()
        .filter(code__in=list(device_codes))
        .order_by("pk")
        .values_list("pk", "code", "state")
    )


@transaction.atomic
def draft_criteria(
    *,
    by,
    device_kind: str,
    is_used_device: bool,
    limits: dict,
    legal_reference: str,
    is_confirmed: bool = False,
) -> DeviceCriteria:
    """Draft the next version of a kind's criteria; it judges nothing until it is published."""
    same = DeviceCriteria.objects.filter(device_kind=device_kind, is_used_device=is_used_device)
    latest = same.order_by("-version").values_list("version", flat=True).first() or 0
    return DeviceCriteria.objects.create(
        device_kind=device_kind,
        version=latest + 1,
        is_used_device=is_used_device,
        limits=limits,
        legal_reference=legal_reference,
        is_confirmed=is_confirmed,
    )


@transaction.atomic
def publish_criteria(*, by, criteria: DeviceCriteria, at: dt.datetime) -> DeviceCriteria:
    """Publish a version of the criteria: from now on intake is judged by it, and it never changes (Plan III.1i)."""
    criteria = DeviceCriteria.objects.select_for_update().get(pk=criteria.pk)
    if criteria.published_at:
        raise ValidationError("Phiên bản này đã công bố.")
    if not criteria.limits:
        raise ValidationError("Tiêu chí chưa có mức tối thiểu nào.")
    criteria.published_at, criteria.published_by = at, by
    criteria.save(update_fields=["published_at", "published_by"])
    record(
        event="criteria.published",
        on=timezone.localdate(at),
        criteria=criteria.code,
        hash=hashlib.sha256(rfc8785.dumps(criteria.limits)).hexdigest(),
    )
    return criteria

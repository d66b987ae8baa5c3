"""After a device was given: in use, broken, lost, found, returned, recalled, replaced, written off (Plan I.2đ)."""

import datetime as dt
from collections.abc import Mapping, Sequence

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from common.vietnamese import number_text
from coverage.services import cancel_data_plans
from delivery import rules
from delivery.conditions import LATEST_REPORT, TAKE_BACK
from delivery.models import DeviceReport, LotRecall
from donations.models import Device, Lot
from ledger.bulk import record_many
from schools.models import Office

Kind = DeviceReport.Kind
# Kind of report → ledger event and the key of its reason; what is merely "in use" is no event of the public log.
EVENT = {
    Kind.BROKEN: "device.broken",
    Kind.DAMAGED: "device.damaged",
    Kind.REPAIRED: "device.repaired",
    Kind.LOST: "device.lost",
    Kind.STOLEN: "device.stolen",
    Kind.FOUND: "device.found",
    Kind.RETURNED: "device.returned",
    Kind.WRITTEN_OFF: "device.written_off",
}
# After these the student no longer has the device: the allocation ends for this reason, the data plan too.
ENDS = {Kind.RETURNED: Allocation.EndReason.RETURNED, Kind.WRITTEN_OFF: Allocation.EndReason.LOST}

# Each device with its latest report, and who answers for it: the school of the student who has it, else who holds it,
# else the warehouse that it has not left yet.
STANDING = f"""
FROM donations_device d
JOIN donations_lot l ON l.id = d.lot_id
LEFT JOIN delivery_custody c ON c.device_id = d.id AND c.to_at IS NULL
LEFT JOIN allocation_allocation a ON a.device_id = d.id AND a.ended_at IS NULL
LEFT JOIN delivery_handover h ON h.allocation_id = a.id
LEFT JOIN delivery_handoverrecord hr ON hr.id = h.record_id
{LATEST_REPORT}
"""
ANSWERS = "coalesce(hr.school_id, c.office_id, l.warehouse_id)"
# Lies ready at an office for a student: it may turn out to be broken before it is handed over.
IS_READY = """a.id IS NOT NULL AND h.id IS NULL AND c.office_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM delivery_shipmentitem i JOIN delivery_shipment s ON s.id = i.shipment_id
    WHERE i.device_id = d.id AND i.result = 'expected' AND s.state = 'dispatched')"""
CONDITIONS = f"""
SELECT d.code, d.id, coalesce(latest.kind, ''), h.id IS NOT NULL, {ANSWERS}, {IS_READY} {STANDING}
WHERE d.code = ANY(%s)
"""
RECALL = f"""
INSERT INTO delivery_devicereport
    (device_id, kind, reason, office_id, happened_on, note, reported_at, reported_by_id)
SELECT d.id, 'recalled', %(reason)s, {ANSWERS}, %(day)s, '', %(at)s, %(by)s {STANDING}
WHERE d.lot_id = %(lot)s AND d.state NOT IN ('refused', 'retired')
  AND coalesce(latest.kind, '') NOT IN ('missing', 'lost', 'stolen', 'replaced', 'written_off', 'recalled')
ORDER BY d.code
RETURNING device_id
"""
OF_LOT = f"""
SELECT d.code, coalesce(latest.kind, ''), o.name, h.id IS NOT NULL {STANDING}
JOIN schools_office o ON o.id = {ANSWERS}
WHERE d.lot_id = %s ORDER BY o.path, d.code
"""


def report_device(
    *,
    by: User,
    office: Office,
    device_code: str,
    kind: str,
    happened_on: dt.date,
    at: dt.datetime,
    reason: str = "",
    note: str = "",
) -> None:
    """Report what happened to one device; see `report_devices`."""
    row = {"device": device_code, "kind": kind, "happened_on": happened_on, "reason": reason, "note": note}
    report_devices(by=by, office=office, rows=[row], at=at)


@transaction.atomic
def report_devices(*, by: User, office: Office, rows: Sequence[Mapping], at: dt.datetime) -> int:
    """Report what happened to devices that the office holds or whose students learn there.

    Args:
        rows: ``device`` (code), ``kind``, ``happened_on``, ``reason`` (a word of `rules.REASONS`), ``note``.

    All or none; returns how many. What is broken before its student has it counts as damaged. A returned device comes
    into the office's custody, its allocation and data plan end. Raises ValidationError whose ``params["rows"]`` holds (device code, message) of each fault.
    """
    today = timezone.localdate(at)
    codes = [row["device"] for row in rows]
    list(Device.objects.filter(code__in=codes).select_for_update().order_by("pk").values_list("pk"))
    with connection.cursor() as cursor:
        cursor.execute(CONDITIONS, [codes])
        known = {code: rest for code, *rest in cursor}
    faults = [(row["device"], text) for row in rows if (text := _fault(row, known, office, today))]
    if len(set(codes)) != len(codes):
        faults.append((codes[0], "Có máy ghi hai lần trong danh sách."))
    if faults:
        raise ValidationError(f"Máy {faults[0][0]}: {faults[0][1]}", code="rows", params={"rows": faults})
    rows = [
        {**row, "kind": Kind.DAMAGED} if row["kind"] == Kind.BROKEN and not known[row["device"]][2] else row
        for row in rows
    ]
    DeviceReport.objects.bulk_create(
        [
            DeviceReport(
                device_id=known[row["device"]][0],
                kind=row["kind"],
                reason=row.get("reason") or "",
                office=office,
                happened_on=row["happened_on"],
                note=(row.get("note") or "").strip(),
                reported_at=at,
                reported_by=by,
            )
            for row in rows
        ]
    )
    _end_allocations(rows, known, office=office, by=by, at=at)
    _record(rows, known)
    return len(rows)


def _fault(row: Mapping, known: Mapping, office: Office, today: dt.date) -> str:
    if row["device"] not in known:
        return "không có trong Chương trình."
    _, before, with_student, office_id, is_ready = known[row["device"]]
    kind, reason = row["kind"], row.get("reason") or ""
    if office_id != office.pk:
        return f"không thuộc {office}: hãy báo ở đơn vị đang quản lý máy."
    if not rules.may_report(before, kind):
        label = Kind(before).label.lower() if before else "chưa có báo cáo nào"
        return f"đang ở tình trạng «{label}», không ghi được «{Kind(kind).label.lower()}»."
    if kind == Kind.BROKEN and not (with_student or is_ready):
        return "chưa về tay học sinh nào: đang trên đường thì ghi hư hại khi nhận lô hàng."
    if kind in (Kind.IN_USE, Kind.LOST, Kind.STOLEN, Kind.RETURNED) and not with_student:
        return "chưa bàn giao cho học sinh nào. Máy hỏng trước khi trao thì chọn «Hỏng»."
    if kind in rules.REASONS and reason not in rules.REASONS[kind]:
        return f"phải chọn lý do của «{Kind(kind).label.lower()}»."
    if kind not in rules.REASONS and reason:
        return f"«{Kind(kind).label.lower()}» không có lý do."
    if row["happened_on"] > today:
        return "ngày xảy ra chưa tới."
    return ""


def _end_allocations(
    rows: Sequence[Mapping], known: Mapping, *, office: Office, by: User, at: dt.datetime
) -> None:
    """Returned: in the office's hands until it comes to a warehouse. Written off: out of the programme."""
    for kind, end_reason in ENDS.items():
        codes = [row["device"] for row in rows if row["kind"] == kind]
        if not codes:
            continue
        ids = [known[code][0] for code in codes]
        Allocation.objects.live().filter(device__in=ids).update(
            ended_at=at, ended_by=by, end_reason=end_reason
        )
        cancel_data_plans(by=by, device_codes=codes, at=at)
        with connection.cursor() as cursor:
            if kind == Kind.RETURNED:
                cursor.execute(
                    """
                    INSERT INTO delivery_custody (device_id, office_id, from_at)
                    SELECT id, %s, %s FROM unnest(%s::bigint[]) AS id
                    WHERE NOT EXISTS (SELECT 1 FROM delivery_custody c WHERE c.device_id = id AND c.to_at IS NULL)
                    """,
                    [office.pk, at, ids],
                )
                cursor.execute(TAKE_BACK, {"devices": ids})
            else:
                cursor.execute(
                    "UPDATE delivery_custody SET to_at = %s WHERE to_at IS NULL AND device_id = ANY(%s)",
                    [at, ids],
                )
                Device.objects.filter(
                    pk__in=ids, state__in=[Device.State.ACCEPTED, Device.State.RETURNED]
                ).update(state=Device.State.RETIRED)


def _record(rows: Sequence[Mapping], known: Mapping) -> None:
    """The entries of the public log, one statement for each kind and day."""
    groups: dict[tuple[str, dt.date], list[dict]] = {}
    for row in sorted(rows, key=lambda row: row["device"]):
        kind, reason = row["kind"], row.get("reason") or ""
        if kind not in EVENT:
            continue
        entry = {"device": row["device"]}
        if reason:
            entry["reason"] = reason
        groups.setdefault((EVENT[kind], row["happened_on"]), []).append(entry)
    for (event, day), entries in groups.items():
        record_many(event=event, on=day, rows=entries)


@transaction.atomic
def recall_lot(*, by: User, lot: Lot, reason: str, at: dt.datetime) -> LotRecall:
    """Call back every device of a lot, from stock, on its way and from students (feature 18; England's 23,000).

    What is in stock leaves it at once (it waits for another inspection); holders see it marked. Returns the order,
    whose devices `recalled_devices` lists with who holds each. Raises ValidationError when one is open.
    """
    recall = LotRecall(lot=lot, reason=reason, opened_at=at, opened_by=by)
    recall.full_clean()
    recall.save()
    day = timezone.localdate(at)
    with connection.cursor() as cursor:
        cursor.execute(RECALL, {"reason": reason, "day": day, "at": at, "by": by.pk, "lot": lot.pk})
        ids = [row[0] for row in cursor]
    # Out of stock until inspected again; an allocated one stays with its student's name on it.
    free = Device.objects.filter(pk__in=ids).exclude(allocations__in=Allocation.objects.live())
    with connection.cursor() as cursor:
        cursor.execute(TAKE_BACK, {"devices": list(free.values_list("pk", flat=True))})
    codes = list(Device.objects.filter(pk__in=ids).order_by("code").values_list("code", flat=True))
    record_many(event="lot.recalled", on=day, rows=[{"lot": lot.code, "reason": reason, "qty": len(codes)}])
    if codes:
        record_many(
            event="device.recalled",
            on=day,
            rows=[{"device": code, "reason": reason, "lot": lot.code} for code in codes],
        )
    return recall


@transaction.atomic
def close_recall(*, by: User, recall: LotRecall, at: dt.datetime) -> None:
    """End a recall: every device is back or settled. Raises ValidationError while some are still marked recalled."""
    recall = LotRecall.objects.select_for_update().get(pk=recall.pk)
    if recall.closed_at:
        raise ValidationError("Lệnh thu hồi này đã kết thúc.", code="state")
    left = sum(row.condition == Kind.RECALLED for row in recalled_devices(recall.lot))
    if left:
        raise ValidationError(
            f"Còn {number_text(left)} máy của lô chưa xử lý xong. Hãy ghi đã sửa, đã trả hoặc thanh lý cho từng máy trước.",
            code="open",
        )
    LotRecall.objects.filter(pk=recall.pk).update(closed_at=at, closed_by=by)


def recalled_devices(lot: Lot) -> list[rules.LotDevice]:
    """Every device of a lot with its condition and who holds it (office, or the school of the student)."""
    with connection.cursor() as cursor:
        cursor.execute(OF_LOT, [lot.pk])
        return [rules.LotDevice(*row) for row in cursor]

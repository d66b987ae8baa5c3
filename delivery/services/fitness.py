"""Checked again before a device leaves: the device itself, its allocation, and the student it is for (Plan I.1a)."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection

from common.vietnamese import number_text
from delivery import rules
from delivery.conditions import LATEST_REPORT

# One row per device of some shipments, with what decides whether it may leave. A student who changed schools keeps the
# device inside its public area, which the log says it goes to; beyond it the next student there gets it.
FACTS = f"""
    SELECT d.code,
        CASE
        WHEN coalesce(c.office_id, l.warehouse_id) <> s.from_office_id
            THEN 'không còn ở nơi gửi'
        WHEN NOT s.is_return AND d.state <> 'accepted' THEN 'không còn đạt kiểm định'
        WHEN NOT s.is_return AND coalesce(latest.kind, '') <> ALL(%(sound)s) THEN 'đang hỏng, mất hoặc bị thu hồi'
        WHEN NOT s.is_return AND live.id IS NULL THEN 'không còn được phân bổ cho học sinh nào'
        WHEN s.is_return AND live.id IS NOT NULL THEN 'đang được phân bổ cho học sinh'
        WHEN s.is_return AND latest.kind = 'missing' THEN 'đang thất lạc' ELSE '' END,
        live.id, t.state, t.has_device,
        live.public_area IN (o.code, h.code, m.public_code, q.public_code, p.public_code, 'VN')
    FROM delivery_shipmentitem i
    JOIN delivery_shipment s ON s.id = i.shipment_id
    JOIN donations_device d ON d.id = i.device_id JOIN donations_lot l ON l.id = d.lot_id
    LEFT JOIN delivery_custody c ON c.device_id = d.id AND c.to_at IS NULL
    LEFT JOIN allocation_allocation live ON live.device_id = d.id AND live.ended_at IS NULL
    LEFT JOIN schools_student t ON t.id = live.student_id
    LEFT JOIN schools_school h ON h.office_id = t.school_id
    LEFT JOIN schools_office o ON o.id = h.office_id
    LEFT JOIN schools_administrativeunit m ON m.id = h.commune_id
    LEFT JOIN schools_administrativeunit q ON q.id = h.district_id
    LEFT JOIN schools_administrativeunit p ON p.id = h.province_id
    {LATEST_REPORT}
    WHERE i.shipment_id = ANY(%(ids)s) ORDER BY d.code
"""


@dataclass(frozen=True)
class Unfit:
    """A device that may not leave with its shipment. `reason` is a word of the public log where its student may no
    longer get it: then it goes to the next one (`substitute_before_dispatch`); "" otherwise."""

    device: str
    why: str
    reason: str
    allocation_id: int | None


def unfit_devices(shipment_ids: Sequence[int]) -> list[Unfit]:
    """The devices that may not leave in these shipments, by their code, and why."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(FACTS, {"ids": list(shipment_ids), "sound": list(rules.SOUND)})
        for code, why, allocation, state, has_device, is_in_area in cursor:
            if why:
                found.append(Unfit(code, why, "", None))
            elif allocation and (reason := rules.ineligible(state, has_device, is_in_place=is_in_area)):
                label = rules.INELIGIBLE_LABEL[reason]
                found.append(
                    Unfit(code, f"chưa gửi được: {label[:1].lower()}{label[1:]}", reason, allocation)
                )
    return found


def refuse_unfit(shipment_ids: Sequence[int]) -> None:
    """Raise ValidationError for devices that must not leave in these shipments, with what to do about the first."""
    unfit = unfit_devices(shipment_ids)
    if not unfit:
        return
    first = unfit[0]
    what = "chuyển máy này cho học sinh kế tiếp" if first.reason else "bỏ máy này ra khỏi lô rồi gửi"
    more = f" Còn {number_text(len(unfit) - 1)} máy khác cũng chưa gửi được." if len(unfit) > 1 else ""
    raise ValidationError(
        f"Máy {first.device} {first.why}: hãy {what}.{more}",
        code="unfit",
        params={"devices": [row.device for row in unfit]},
    )

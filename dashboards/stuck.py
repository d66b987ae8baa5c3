"""What is stuck, where, since when, with whom: one set-based query per kind of waiting, over the whole way.

Staff see raw numbers here; nothing of this is public. Every row names the office or the organisation that can act.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

from common.templatetags.vi import format_money, format_number
from dashboards.rules import STUCK_AFTER_DAYS
from delivery.conditions import LATEST_REPORT
from delivery.rules import REPLACEABLE

MILLIONS = "triệu đồng"


@dataclass(frozen=True)
class Kind:
    """One kind of waiting: what waits, what is asked of whom."""

    code: str
    label: str
    unit: str
    request: str
    sql: str


@dataclass(frozen=True)
class Waiting:
    """So many things wait at one office (or organisation) since the oldest one's day."""

    kind: Kind
    office: str
    office_code: str
    province: str
    count: int
    since: dt.date
    days: int

    @property
    def amount(self) -> str:
        """What waits, as one says it: `1.234 máy`, `141,25 tỷ đồng`."""
        if self.kind.unit == MILLIONS:
            return format_money(self.count * 1_000_000)
        return f"{format_number(self.count)} {self.kind.unit}"

    @property
    def is_late(self) -> bool:
        return self.days > STUCK_AFTER_DAYS.get(self.kind.code, 0)


# Every query gives: office name, office code, province code, count, oldest day; and takes %(today)s, %(limit)s
# (the last day of which something still counts as stuck) and %(replaceable)s.
LOCAL = "AT TIME ZONE 'Asia/Ho_Chi_Minh'"
PROVINCE = """
            LEFT JOIN schools_administrativeunit unit ON unit.id = office.unit_id
            LEFT JOIN schools_administrativeunit province ON province.id = coalesce(unit.province_id, unit.id)"""


def _held(condition: str, *, since: str) -> str:
    """Devices on their way to a named student that an office answers for, by their latest report."""
    return f"""
            SELECT office.name, office.code, coalesce(province.public_code, ''), count(*), min(({since} {LOCAL})::date)
            FROM delivery_custody custody JOIN schools_office office ON office.id = custody.office_id
            JOIN donations_device d ON d.id = custody.device_id
            JOIN allocation_allocation a ON a.device_id = d.id AND a.ended_at IS NULL {PROVINCE}
            {LATEST_REPORT}
            WHERE custody.to_at IS NULL AND {condition} AND ({since} {LOCAL})::date <= %(limit)s
              AND NOT EXISTS (SELECT FROM delivery_handover h WHERE h.allocation_id = a.id)
              AND NOT EXISTS (SELECT FROM delivery_shipmentitem i WHERE i.device_id = d.id AND i.is_open)
            GROUP BY 1, 2, 3"""


KINDS = {
    kind.code: kind
    for kind in (
        Kind("pledge", "Cam kết chưa được xác nhận", "cam kết", "liên hệ nhà tài trợ và xác nhận cam kết", f"""
            SELECT 'Văn phòng Chương trình', 'CT', '', count(*), min((made_at {LOCAL})::date) FROM donations_pledge
            WHERE state = 'made' AND (made_at {LOCAL})::date <= %(limit)s HAVING count(*) > 0"""),
        Kind("money", "Tiền đã nhận chưa dùng mua máy", MILLIONS, "lập đơn mua hoặc báo lý do chưa mua", f"""
            SELECT office.name, office.code, coalesce(province.public_code, ''),
                   ((sum(receipt.amount_vnd) - coalesce(sum(spent.amount), 0)) / 1000000)::bigint, min(receipt.received_on)
            FROM (SELECT office_id, pledge_id, sum(amount_vnd) AS amount_vnd, min(received_on) AS received_on
                  FROM donations_moneyreceipt GROUP BY 1, 2) receipt
            JOIN schools_office office ON office.id = receipt.office_id {PROVINCE}
            LEFT JOIN (SELECT pledge_id, sum(quantity * unit_price_vnd) AS amount FROM donations_purchaseorder
                       WHERE state IN ('ordered', 'delivered') GROUP BY 1) spent ON spent.pledge_id = receipt.pledge_id
            WHERE receipt.received_on <= %(limit)s AND receipt.amount_vnd - coalesce(spent.amount, 0) >= 2500000
            GROUP BY 1, 2, 3"""),
        Kind("order", "Đơn mua chưa giao máy", "máy", "đôn đốc nhà cung cấp giao máy", f"""
            SELECT agreement.supplier, 'NCC-' || min(agreement.id), '', sum(purchase.quantity)::bigint,
                   min((purchase.ordered_at {LOCAL})::date)
            FROM donations_purchaseorder purchase JOIN donations_priceagreement agreement ON agreement.id = purchase.agreement_id
            WHERE purchase.state = 'ordered' AND (purchase.ordered_at {LOCAL})::date <= %(limit)s
            GROUP BY agreement.supplier"""),
        Kind("inspection", "Máy đã nhận chưa kiểm định", "máy", "kiểm định và ghi kết quả", f"""
            SELECT office.name, office.code, '', count(*), min((coalesce(custody.from_at, lot.received_at) {LOCAL})::date)
            FROM donations_device device JOIN donations_lot lot ON lot.id = device.lot_id
            JOIN schools_office office ON office.id = coalesce(device.returned_to_id, lot.warehouse_id)
            LEFT JOIN delivery_custody custody ON custody.device_id = device.id AND custody.to_at IS NULL
            WHERE device.state IN ('received', 'to_repair')
              AND (coalesce(custody.from_at, lot.received_at) {LOCAL})::date <= %(limit)s
            GROUP BY 1, 2"""),
        Kind("stock", "Máy đạt kiểm định nằm kho, chưa phân bổ", "máy", "mở đợt phân bổ", f"""
            SELECT office.name, office.code, '', count(*), min((device.accepted_at {LOCAL})::date)
            FROM donations_device device JOIN donations_lot lot ON lot.id = device.lot_id
            JOIN schools_office office ON office.id = lot.warehouse_id
            WHERE device.state = 'accepted' AND (device.accepted_at {LOCAL})::date <= %(limit)s
              AND NOT EXISTS (SELECT FROM allocation_allocation a WHERE a.device_id = device.id AND a.ended_at IS NULL)
            GROUP BY 1, 2"""),
        Kind("shipment", "Lô hàng chưa đến hoặc chưa xác nhận", "máy", "xác nhận đã nhận từng máy, hoặc báo thất lạc", f"""
            SELECT office.name, office.code, coalesce(province.public_code, ''), count(item.id),
                   min((shipment.dispatched_at {LOCAL})::date)
            FROM delivery_shipment shipment JOIN delivery_shipmentitem item ON item.shipment_id = shipment.id
            JOIN schools_office office ON office.id = shipment.to_office_id {PROVINCE}
            WHERE shipment.state = 'dispatched' AND (shipment.dispatched_at {LOCAL})::date <= %(limit)s
            GROUP BY 1, 2, 3"""),
        Kind("missing", "Máy thiếu khi đến, chưa tìm thấy", "máy", "tìm máy, hoặc đề nghị kết luận mất", f"""
            SELECT office.name, office.code, coalesce(province.public_code, ''), count(*),
                   min((shipment.arrived_at {LOCAL})::date)
            FROM delivery_shipmentitem item JOIN delivery_shipment shipment ON shipment.id = item.shipment_id
            JOIN schools_office office ON office.id = shipment.from_office_id {PROVINCE}
            WHERE item.result = 'missing' AND (shipment.arrived_at {LOCAL})::date <= %(limit)s
              AND NOT EXISTS (SELECT FROM delivery_loss l WHERE l.item_id = item.id AND l.refused_at IS NULL)
            GROUP BY 1, 2, 3"""),
        Kind("loss", "Đề nghị kết luận mất máy chờ quyết định", "máy", "quyết định từng đề nghị", f"""
            SELECT coalesce(office.name, 'Văn phòng Chương trình'), coalesce(office.code, 'CT'),
                   coalesce(province.public_code, ''), count(*), min((loss.requested_at {LOCAL})::date)
            FROM delivery_loss loss JOIN delivery_shipmentitem item ON item.id = loss.item_id
            JOIN delivery_shipment shipment ON shipment.id = item.shipment_id
            JOIN schools_office sender ON sender.id = shipment.from_office_id
            LEFT JOIN LATERAL (
                SELECT * FROM schools_office above
                WHERE above.kind IN ('programme', 'province_department') AND starts_with(sender.path, above.path)
                ORDER BY length(above.path) DESC LIMIT 1) office ON true {PROVINCE}
            WHERE loss.confirmed_at IS NULL AND loss.refused_at IS NULL
              AND (loss.requested_at {LOCAL})::date <= %(limit)s
            GROUP BY 1, 2, 3"""),
        Kind("replace", "Máy hư hại hoặc mất, học sinh chờ đổi máy khác", "máy", "đổi máy cho học sinh",
             _held("latest.kind = ANY(%(replaceable)s::text[])", since="latest.reported_at")),
        Kind("held", "Máy đã có tên học sinh, đang nằm ở cơ quan", "máy", "chuyển tiếp hoặc bàn giao cho học sinh",
             _held("coalesce(latest.kind, '') <> ALL(%(replaceable)s::text[] || 'missing'::text)", since="custody.from_at")),
        Kind("list", "Danh sách chờ thẩm định, phê duyệt", "danh sách", "thẩm định và phê duyệt danh sách", f"""
            SELECT office.name, office.code, coalesce(province.public_code, ''), count(*),
                   min((list.submitted_at {LOCAL})::date)
            FROM schools_studentlist list JOIN schools_office sender ON sender.id = list.office_id
            JOIN schools_office office ON office.id = CASE WHEN sender.kind IN ('province_department', 'university', 'programme')
                THEN sender.id ELSE sender.parent_id END {PROVINCE}
            WHERE list.state IN ('submitted', 'verified') AND (list.submitted_at {LOCAL})::date <= %(limit)s
            GROUP BY 1, 2, 3"""),
        Kind("point", "Điểm lõm sóng quá hạn", "điểm", "phủ sóng hoặc báo vướng mắc từng điểm", """
            SELECT operator.name, operator.code, '', count(*), min(point.deadline_on)
            FROM coverage_coveragepoint point JOIN coverage_operator operator ON operator.id = point.operator_id
            WHERE point.state <> 'covered' AND point.deadline_on < %(today)s GROUP BY 1, 2"""),
        Kind("grievance", "Phản ánh quá hạn trả lời", "phản ánh", "trả lời người phản ánh", """
            SELECT coalesce(office.name, 'Văn phòng Chương trình'), coalesce(office.code, 'CT'), '', count(*),
                   min(grievance.due_on)
            FROM delivery_grievance grievance LEFT JOIN schools_office office ON office.id = grievance.office_id
            WHERE grievance.state <> 'answered' AND grievance.due_on < %(today)s GROUP BY 1, 2"""),
    )
}  # fmt: skip


def waiting(
    *, today: dt.date, kinds: tuple[str, ...] = (), province: str = "", late_only: bool = True
) -> list[Waiting]:
    """What waits longer than its limit, the longest first.

    kinds: codes of KINDS, all if empty. province: public code, the nation if empty. late_only: False counts
    everything that waits, however short.
    """
    rows = []
    with connection.cursor() as cursor:
        for kind in KINDS.values():
            if kinds and kind.code not in kinds:
                continue
            grace = STUCK_AFTER_DAYS.get(kind.code, 0) + 1 if late_only else 0
            limit = today - dt.timedelta(days=grace)
            cursor.execute(kind.sql, {"today": today, "limit": limit, "replaceable": list(REPLACEABLE)})
            rows += [
                Waiting(kind, name, code, area, count, since, (today - since).days)
                for name, code, area, count, since in cursor.fetchall()
                if not province or area == province
            ]
    return sorted(rows, key=lambda row: (-row.days, -row.count, row.office))


def waiting_at(*, today: dt.date, kind: str, office_code: str) -> Waiting | None:
    """One row of `waiting`, for its letter; None when nothing waits there any more."""
    return next((row for row in waiting(today=today, kinds=(kind,)) if row.office_code == office_code), None)

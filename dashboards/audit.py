"""The auditor's ready questions, each a set-based query: any number down to its rows. No child is named.

The questions come from audits of such programmes elsewhere: who holds device X; did anyone get two (New York: at least
3,045 did); what is unresolved and since when; were recipients named before buying, and what lies in store (Philippines).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import connection

from delivery.models import Grievance

LOCAL = "AT TIME ZONE 'Asia/Ho_Chi_Minh'"
# A handover whose device did not come back: the allocation lives, or ended in any other way than by a return.
KEPT = "(a.ended_at IS NULL OR a.end_reason NOT IN ('returned', 'replaced', 'lost'))"


@dataclass(frozen=True)
class Question:
    """One ready report: columns of its rows and the query that gives them."""

    slug: str
    title: str
    why: str
    columns: tuple[str, ...]
    sql: str
    good: str

    @property
    def links(self) -> dict[str, str]:
        """Columns whose codes lead on to a page that an auditor may open, by the name of its address."""
        return LINKS


# A stored word as a person reads it.
KIND = (
    "CASE g.kind "
    + " ".join(f"WHEN '{word}' THEN '{label}'" for word, label in Grievance.Kind.choices)
    + " END"
)
LINKS = {
    "Lô": "donations:lot",
    "Lô hàng": "delivery:shipment",
    "Máy": "donations:device",
    "Đơn mua": "donations:order",
}
QUESTIONS = {
    question.slug: question
    for question in (
        Question(
            "nhan-hai-may", "Có ai nhận hai máy không?",
            "Mọi học sinh có từ hai bàn giao trở lên mà chưa trả máy nào, và mọi máy bàn giao cho hai người.",
            ("Trường hợp", "Mã nội bộ", "Trường", "Số lần", "Lần đầu", "Lần cuối"),
            f"""
            SELECT 'Một học sinh, nhiều máy', 'HS-' || a.student_id, office.name, count(*),
                   min((h.handed_over_at {LOCAL})::date), max((h.handed_over_at {LOCAL})::date)
            FROM delivery_handover h JOIN allocation_allocation a ON a.id = h.allocation_id AND {KEPT}
            JOIN schools_student s ON s.id = a.student_id JOIN schools_office office ON office.id = s.school_id
            GROUP BY a.student_id, office.name HAVING count(*) > 1
            UNION ALL
            SELECT 'Một máy, nhiều học sinh', d.code, min(office.name), count(*),
                   min((h.handed_over_at {LOCAL})::date), max((h.handed_over_at {LOCAL})::date)
            FROM delivery_handover h JOIN allocation_allocation a ON a.id = h.allocation_id AND {KEPT}
            JOIN donations_device d ON d.id = a.device_id JOIN schools_student s ON s.id = a.student_id
            JOIN schools_office office ON office.id = s.school_id GROUP BY d.code HAVING count(*) > 1
            ORDER BY 4 DESC, 2""",
            "Không có ai nhận hai máy và không máy nào giao cho hai người.",
        ),
        Question(
            "mot-ho-nhieu-may", "Hộ nào có nhiều hơn một máy?",
            "Quy định sau này (Thông tư 9/2022): mỗi hộ một máy tính bảng. Hộ nhận nhiều máy vì có nhiều con đi học thì cần xem lại.",
            ("Mã nội bộ của hộ", "Trường của em đầu tiên", "Số máy", "Lần đầu", "Lần cuối"),
            f"""
            SELECT left(encode(sha256(s.household_key::bytea), 'hex'), 12), min(office.name), count(*),
                   min((h.handed_over_at {LOCAL})::date), max((h.handed_over_at {LOCAL})::date)
            FROM delivery_handover h JOIN allocation_allocation a ON a.id = h.allocation_id AND a.ended_at IS NULL
            JOIN schools_student s ON s.id = a.student_id JOIN schools_office office ON office.id = s.school_id
            WHERE s.household_key <> '' GROUP BY s.household_key HAVING count(*) > 1 ORDER BY 3 DESC, 1""",
            "Không có hộ nào nhận nhiều hơn một máy.",
        ),
        Question(
            "mua-truoc-khi-co-ten", "Có mua máy trước khi có danh sách người nhận không?",
            "Đơn mua đặt khi số học sinh đã duyệt chưa có máy ít hơn số máy mua.",
            ("Đơn mua", "Ngày đặt", "Số máy", "Học sinh đã duyệt khi đề xuất", "Nơi mua"),
            f"""
            SELECT p.code, (p.ordered_at {LOCAL})::date, p.quantity, p.need_count, office.name
            FROM donations_purchaseorder p JOIN schools_office office ON office.id = p.office_id
            WHERE p.state IN ('ordered', 'delivered') AND p.quantity > p.need_count ORDER BY 2, 1""",
            "Mọi đơn mua đều có đủ học sinh đã được duyệt từ trước.",
        ),
        Question(
            "ton-kho", "Còn gì trong kho?",
            "Máy đạt kiểm định, chưa phân bổ, theo nơi đang giữ và lô; từ bao giờ.",
            ("Kho", "Lô", "Mẫu máy", "Số máy", "Từ ngày"),
            f"""
            SELECT office.name, lot.code, lot.model_name, count(*), min((d.accepted_at {LOCAL})::date)
            FROM donations_device d JOIN donations_lot lot ON lot.id = d.lot_id
            LEFT JOIN delivery_custody custody ON custody.device_id = d.id AND custody.to_at IS NULL
            JOIN schools_office office ON office.id = coalesce(custody.office_id, lot.warehouse_id)
            WHERE d.state = 'accepted'
              AND NOT EXISTS (SELECT FROM allocation_allocation a WHERE a.device_id = d.id AND a.ended_at IS NULL)
            GROUP BY 1, 2, 3 ORDER BY 5, 1, 2""",
            "Không còn máy nào nằm kho chưa phân bổ.",
        ),
        Question(
            "chua-giai-quyet", "Phản ánh nào chưa giải quyết, từ bao giờ?",
            "Mọi phản ánh chưa trả lời, cũ nhất trước; không nêu nội dung và người gửi.",
            ("Mã", "Loại", "Nơi xử lý", "Gửi ngày", "Hạn trả lời"),
            f"""
            SELECT g.code, {KIND}, coalesce(office.name, 'Văn phòng Chương trình'), (g.opened_at {LOCAL})::date, g.due_on
            FROM delivery_grievance g LEFT JOIN schools_office office ON office.id = g.office_id
            WHERE g.state <> 'answered' ORDER BY g.opened_at""",
            "Mọi phản ánh đã được trả lời.",
        ),
        Question(
            "that-lac", "Máy nào thiếu hoặc hư hại khi đến?",
            "Mọi máy mà nơi nhận ghi thiếu hoặc hư hại, chưa tìm thấy.",
            ("Máy", "Lô hàng", "Nơi gửi", "Nơi nhận", "Kết quả", "Ngày nhận lô"),
            f"""
            SELECT d.code, shipment.code, sender.name, receiver.name,
                   CASE item.result WHEN 'missing' THEN 'Thiếu' ELSE 'Hư hại khi đến' END, (shipment.arrived_at {LOCAL})::date
            FROM delivery_shipmentitem item JOIN delivery_shipment shipment ON shipment.id = item.shipment_id
            JOIN donations_device d ON d.id = item.device_id
            JOIN schools_office sender ON sender.id = shipment.from_office_id
            JOIN schools_office receiver ON receiver.id = shipment.to_office_id
            WHERE item.result IN ('missing', 'damaged') ORDER BY shipment.arrived_at, d.code""",
            "Không có máy nào thiếu hoặc hư hại chưa giải quyết.",
        ),
    )
}  # fmt: skip
PAGE_LIMIT = 200
SAMPLE_COLUMNS = ("Thứ tự", "Máy", "Tỉnh, thành phố", "Nơi nhận", "Ngày bàn giao", "Dấu bốc mẫu")
MOST_SAMPLED = 500


def answer(question: Question, *, limit: int | None = None) -> list[tuple]:
    """The rows of a question, at most `limit`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({question.sql}) answer LIMIT %s", [limit])
        return cursor.fetchall()


def stream(question: Question) -> Iterator[Sequence]:
    """All rows of a question for a file, by a server-side cursor: memory stays flat."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(question.sql)
        while rows := cursor.fetchmany(2_000):
            yield from rows


def sample(*, seed: str, size: int, province: str = "") -> list[tuple]:
    """A random sample of handed-over devices for a field check that anyone can draw again.

    The order is SHA-256("mtce/sample/v1" ‖ seed ‖ device code): whoever knows the seed gets the same devices, and a seed
    that is fixed in public before the drawing can't be steered. Returns rows of SAMPLE_COLUMNS.
    """
    query = f"""
        SELECT d.code, province.name, office.name, (h.handed_over_at {LOCAL})::date,
               encode(sha256(convert_to(%(salt)s || d.code, 'UTF8')), 'hex') AS mark
        FROM delivery_handover h JOIN allocation_allocation a ON a.id = h.allocation_id AND a.ended_at IS NULL
        JOIN donations_device d ON d.id = a.device_id JOIN schools_student s ON s.id = a.student_id
        JOIN schools_school school ON school.office_id = s.school_id
        JOIN schools_office office ON office.id = school.office_id
        JOIN schools_administrativeunit province ON province.id = school.province_id
        WHERE %(province)s = '' OR province.public_code = %(province)s
        ORDER BY mark LIMIT %(size)s
    """
    salt = "mtce/sample/v1" + seed
    with connection.cursor() as cursor:
        cursor.execute(query, {"salt": salt, "province": province, "size": min(size, MOST_SAMPLED)})
        return [(index, *row[:4], row[4][:12]) for index, row in enumerate(cursor.fetchall(), start=1)]


def sample_mark(*, seed: str, device_code: str) -> str:
    """What `sample` orders by, to check one row by hand."""
    return hashlib.sha256(f"mtce/sample/v1{seed}{device_code}".encode()).hexdigest()


def sample_size(*, population: int, margin: float = 0.05) -> int:
    """Devices to visit for a share within `margin` at 95% confidence (Cochran, with finite population correction)."""
    if population <= 0:
        return 0
    large = 1.96**2 * 0.25 / margin**2
    return min(population, int(-(-large // (1 + (large - 1) / population))))

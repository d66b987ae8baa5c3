"""Decisions about the way of a device and about reported problems. No Django, no clock."""

import datetime as dt
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from common.workdays import add_working_days
from ledger.codes import normalise_code
from ledger.events import FAULT, LOSS, RECALL, RETURN, WRITE_OFF

# --- who a device passes (Plan I.2d, III.2c) ---------------------------------------------------------------------

# Offices that a device passes on its way to a student, in the order of the tree. A school without a Phòng lies
# directly under its Sở; a university directly under its ministry.
PASSES = ("province_department", "district_office", "school", "university")

# How large an office's territory is: 0 nation, 1 province, 2 district, 3 commune, 4 school.
RANK_OF_KIND = {
    "programme": 0,
    "moet": 0,
    "mic": 0,
    "audit": 0,
    "province_committee": 1,
    "province_department": 1,
    "province_information": 1,
    "district_office": 2,
    "commune_office": 3,
    "school": 4,
    "university": 4,
}
RANK_OF_LEVEL = {None: 0, "province": 1, "district": 2, "commune": 3}
SCHOOL_RANK = 4


def office_rank(kind: str, unit_level: str | None) -> int:
    """How fine an office places a device: by its kind, a warehouse by its territory."""
    return RANK_OF_KIND.get(kind, RANK_OF_LEVEL[unit_level] if kind == "warehouse" else SCHOOL_RANK)


def public_place(*, office: str, rank: int, area: str, area_rank: int) -> str:
    """What the public log says of an office that a device passes: the office, or the device's area if the office
    would place the child more finely than the area does (rule 3 of what is public)."""
    return office if rank <= area_rank else area


def days_under_way(dispatched_on: dt.date, today: dt.date) -> int:
    """Days since a shipment left, never negative."""
    return max(0, (today - dispatched_on).days)


# A hop should not take longer; then the shipment counts as stuck, and after twice as long it goes to the office above.
STUCK_AFTER_DAYS = 7
ESCALATE_AFTER_DAYS = 14


def ageing(dispatched_on: dt.date, today: dt.date) -> str:
    """`ok`, `stuck` or `escalate`: how a shipment that is under way stands."""
    days = days_under_way(dispatched_on, today)
    if days > ESCALATE_AFTER_DAYS:
        return "escalate"
    return "stuck" if days > STUCK_AFTER_DAYS else "ok"


# --- scanning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scanned:
    """One scanned or typed line: what it is, and why it can't be taken."""

    text: str
    code: str
    refusal: str = ""


def read_scan(text: str) -> list[str]:
    """The codes of a scan: one per line, or separated by commas, semicolons; also whole look-up addresses."""
    parts = [part.strip() for part in re.split(r"[\n,;\t]+", text)]
    return [part.rstrip("/").rsplit("/", 1)[-1] for part in parts if part]


def check_scan(
    lines: Iterable[str],
    *,
    expected: Collection[str],
    settled: Mapping[str, str],
    elsewhere: Mapping[str, str],
    known: Collection[str],
) -> list[Scanned]:
    """Judge each scanned line, each with its own reason when it is refused.

    Args:
        expected: device codes of this shipment that wait to be received.
        settled: codes of this shipment that have a result already → its words.
        elsewhere: codes that lie in another open shipment → that shipment's code.
        known: all scanned codes that exist in the programme.
    """
    seen: set[str] = set()
    judged = []
    for line in lines:
        code = normalise_code(line)
        if code is None:
            judged.append(
                Scanned(line, "", f"«{line}» không phải mã thiết bị, có thể đọc sai một ký tự. Hãy quét lại.")
            )
            continue
        if code in seen:
            refusal = "Máy này đã quét rồi, chỉ tính một lần."
        elif code in expected:
            refusal = ""
        elif code in settled:
            refusal = f"Máy này thuộc lô nhưng đã có kết quả: {settled[code]}."
        elif code in elsewhere:
            refusal = f"Máy này thuộc lô hàng khác: {elsewhere[code]}. Hãy để riêng và báo nơi gửi."
        elif code in known:
            refusal = "Máy của Chương trình nhưng không có trong lô hàng này. Hãy để riêng và báo nơi gửi."
        else:
            refusal = "Mã đúng dạng nhưng không có trong Chương trình. Hãy kiểm tra lại tem."
        seen.add(code)
        judged.append(Scanned(line, code, refusal))
    return judged


# --- what a report may say (words of the public log) -------------------------------------------------------------------

REASONS: dict[str, tuple[str, ...]] = {
    "broken": FAULT,
    "damaged": FAULT,
    "lost": LOSS,
    "stolen": LOSS,
    "missing": LOSS,
    "returned": RETURN,
    "recalled": RECALL,
    "written_off": WRITE_OFF,
}
REASON_LABEL = {
    "below_specification": "Dưới tiêu chí kỹ thuật",
    "battery": "Pin",
    "screen": "Màn hình",
    "no_power": "Không lên nguồn",
    "not_wiped": "Còn dữ liệu cũ",
    "malware": "Có mã độc",
    "missing_part": "Thiếu phụ kiện",
    "no_child_protection": "Chưa bật bảo vệ trẻ em",
    "duplicate_serial": "Trùng số sê-ri",
    "other_fault": "Lỗi khác",
    "in_transit": "Khi vận chuyển",
    "in_storage": "Khi lưu kho",
    "with_student": "Khi học sinh sử dụng",
    "theft": "Bị lấy cắp",
    "disaster": "Thiên tai",
    "unknown": "Chưa rõ",
    "left_school": "Học sinh thôi học",
    "no_longer_eligible": "Không còn thuộc đối tượng",
    "declined": "Gia đình không nhận",
    "unused": "Không dùng đến",
    "repair": "Để sửa chữa",
    "recall": "Thu hồi theo lô",
    "end_of_use": "Hết thời gian sử dụng",
    "replaced": "Đã đổi máy",
    "beyond_repair": "Không sửa được",
    "lost": "Mất",
    "stolen": "Bị lấy cắp",
    "end_of_life": "Hết hạn sử dụng",
    "returned_to_donor": "Trả lại nhà tài trợ",
    "recycled": "Đưa đi tái chế",
    "security": "Lỗ hổng an toàn",
    "battery_safety": "Pin không an toàn",
    "defect": "Lỗi sản xuất",
    "administrative": "Lý do hành chính",
}
# Latest report → what may be reported next by the school that a device belongs to; "" is no report yet.
NEXT_REPORTS: dict[str, tuple[str, ...]] = {
    "in_use": ("in_use", "broken", "lost", "stolen", "returned"),
    "": ("in_use", "broken", "lost", "stolen", "returned"),
    "repaired": ("in_use", "broken", "lost", "stolen", "returned"),
    "found": ("in_use", "broken", "lost", "stolen", "returned"),
    "broken": ("repaired", "returned", "lost", "stolen", "written_off"),
    "lost": ("found", "written_off"),
    "stolen": ("found", "written_off"),
    "recalled": ("repaired", "returned", "lost", "stolen", "written_off"),
    "damaged": ("repaired", "written_off"),
    # Found by the receiver of its shipment, given up by two people (`delivery.services.losses`).
    "missing": (),
    "returned": ("written_off",),
    "replaced": ("found", "returned", "written_off"),
    "written_off": (),
}
# A device whose latest report is one of these may be sent on and handed over.
SOUND = ("", "repaired", "found", "in_use")
# Latest report → a student may get another device in exchange.
REPLACEABLE = ("broken", "damaged", "lost", "stolen", "recalled")


def may_report(before: str, kind: str) -> bool:
    """Whether a report of `kind` may follow the latest report `before` ("" if none)."""
    return kind in NEXT_REPORTS.get(before, ())


# --- a problem that anyone reports --------------------------------------------------------------------------------------

ANSWER_WITHIN_DAYS = 10
SENSITIVE_WITHIN_DAYS = 5


def answer_due_on(opened_on: dt.date, *, is_sensitive: bool) -> dt.date:
    """Until when a reported problem must be answered."""
    return add_working_days(opened_on, SENSITIVE_WITHIN_DAYS if is_sensitive else ANSWER_WITHIN_DAYS)


# --- who may be handed a device -----------------------------------------------------------------------------------------


def ineligible(student_state: str, has_device: bool, *, is_in_place: bool) -> str:
    """Why a student may no longer get the device allocated to them: a word of the public log for a revocation, or "".

    Asked before each dispatch and at the handover. `is_in_place`: they are still where it goes, at a dispatch in its
    public area, at the handover in the school that holds it.
    """
    if student_state == "left":
        return "withdrawn"
    if student_state != "approved":
        return "not_eligible"
    if not is_in_place:
        return "moved_away"
    return "already_has_device" if has_device else ""


@dataclass(frozen=True)
class Waiting:
    """A student with an allocated device that was not handed over yet, and all that decides whether it may be."""

    allocation_id: int
    device_id: int
    device: str
    model_name: str
    student_id: int
    full_name: str
    class_name: str
    born_on: dt.date
    student_state: str
    school_id: int
    has_device: bool
    office_id: int | None
    condition: str
    device_state: str
    run: str
    public_area: str
    is_under_way: bool
    asked_school_id: int

    @property
    def is_here(self) -> bool:
        """Whether the school that asks holds the device."""
        return self.office_id == self.asked_school_id and not self.is_under_way

    @property
    def ineligible(self) -> str:
        """Why the student may no longer get the device at this school; see `ineligible`."""
        return ineligible(
            self.student_state, self.has_device, is_in_place=self.school_id == self.asked_school_id
        )

    @property
    def problem(self) -> str:
        """Why it may not be handed over now, in words for the person who does it; "" if it may."""
        if self.is_under_way:
            return "Máy đang trên đường, trường chưa xác nhận đã nhận."
        if self.office_id != self.asked_school_id:
            return "Máy chưa về đến trường."
        if self.condition not in SOUND or self.device_state != "accepted":
            return "Máy đang hỏng, thất lạc hoặc bị thu hồi."
        if self.ineligible:
            return f"{INELIGIBLE_LABEL[self.ineligible]}: chuyển máy cho học sinh kế tiếp."
        return ""

    @property
    def may_replace(self) -> bool:
        """Whether the device that came is no good and the student may have another one for it."""
        return self.is_here and not self.ineligible and self.condition in REPLACEABLE

    @property
    def recipient_text(self) -> str:
        """What the commitment to the recipient opens to; only the family's receipt can."""
        return f"{self.full_name}, {self.born_on:%d/%m/%Y}"


INELIGIBLE_LABEL = {
    "withdrawn": "Học sinh đã thôi học",
    "not_eligible": "Học sinh không còn thuộc đối tượng",
    "moved_away": "Học sinh đã chuyển trường",
    "already_has_device": "Học sinh đã có máy",
    "declined": "Gia đình không nhận",
}


@dataclass(frozen=True)
class LotDevice:
    """A device of a recalled lot: its condition and who has it now."""

    code: str
    condition: str
    holder: str
    with_student: bool

"""Decisions about donations, pure: no Django, no clock, no I/O.

Technical criteria and what fails them, the outcome of an inspection, serial numbers, tax codes, money into devices.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# A purchase of this amount or more is approved by a second person.
TWO_PERSONS_FROM_VND = 1_000_000_000

TO_REPAIR, REFUSED, ACCEPTED = "to_repair", "refused", "accepted"


@dataclass(frozen=True)
class Criterion:
    """One technical criterion: `key` in a criteria's limits, `measure` in what was measured or declared."""

    key: str
    measure: str
    label: str
    unit: str
    is_flag: bool
    reason: str

    def fails(self, limit, measured) -> bool:
        """Whether a measured value breaks the limit; an unknown value (None) does not decide."""
        if measured is None:
            return False
        if self.is_flag:
            return bool(limit) and not measured
        return measured < limit


def _minimum(measure: str, label: str, unit: str) -> Criterion:
    return Criterion(f"{measure}_min", measure, label, unit, False, f"{measure}_low")


def _flag(key: str, label: str, reason: str = "") -> Criterion:
    return Criterion(key, key, label, "", True, reason or f"{key}_absent")


# Keys of DeviceCriteria.limits, in the order in which forms and refusals show them.
CRITERIA = {
    c.key: c
    for c in (
        _minimum("screen_inch", "Màn hình", "inch"),
        _minimum("ram_gb", "Bộ nhớ RAM", "GB"),
        _minimum("storage_gb", "Bộ nhớ lưu trữ", "GB"),
        _minimum("android", "Phiên bản Android", ""),
        _minimum("battery_mah", "Dung lượng pin", "mAh"),
        _minimum("battery_minutes", "Thời gian dùng pin", "phút"),
        _minimum("warranty_months", "Bảo hành", "tháng"),
        _flag("wifi", "Wi-Fi"),
        _flag("cellular_4g", "Mạng di động 4G"),
        _flag("front_camera", "Camera trước"),
        _flag("webcam", "Webcam"),
        _flag("microphone", "Micrô"),
        _flag("is_64_bit", "Bộ xử lý 64-bit"),
        # The wiping itself is asked per device, as `is_wiped`.
        _flag("data_wiped", "Đã xoá dữ liệu cũ", "not_wiped"),
    )
}


@dataclass(frozen=True)
class Reason:
    """Why a device does not pass: what a person reads, what follows, and the ledger's word for it."""

    label: str
    outcome: str
    fault: str


# Codes that may stand in public. Criteria first, then what an inspector sees.
REASONS: dict[str, Reason] = {
    **{
        c.reason: Reason(f"{c.label} dưới mức tối thiểu", REFUSED, "below_specification")
        for c in CRITERIA.values()
        if not c.is_flag
    },
    **{
        c.reason: Reason(f"Không có: {c.label}", REFUSED, "below_specification")
        for c in CRITERIA.values()
        if c.is_flag and c.reason != "not_wiped"
    },
    "not_wiped": Reason("Chưa xoá dữ liệu của người dùng cũ", TO_REPAIR, "not_wiped"),
    "no_child_protection": Reason("Chưa bật bảo vệ trẻ em trên mạng", TO_REPAIR, "no_child_protection"),
    "battery_weak": Reason("Pin yếu hoặc phồng", TO_REPAIR, "battery"),
    "charger_missing": Reason("Thiếu sạc hoặc phụ kiện", TO_REPAIR, "missing_part"),
    "screen_cracked": Reason("Màn hình nứt, chết điểm", TO_REPAIR, "screen"),
    "keyboard_broken": Reason("Bàn phím, nút bấm hỏng", TO_REPAIR, "other_fault"),
    "malware": Reason("Có phần mềm độc hại", TO_REPAIR, "malware"),
    "no_power": Reason("Không lên nguồn", REFUSED, "no_power"),
    "locked_account": Reason("Bị khoá tài khoản của chủ cũ", REFUSED, "other_fault"),
    "serial_differs": Reason("Số sê-ri trên máy khác số đã nhập", REFUSED, "duplicate_serial"),
    "other_fault": Reason("Hỏng khác, không sửa được", REFUSED, "other_fault"),
}
# What an inspector may tick for one device; the rest follows from measures.
SEEN_BY_INSPECTOR = (
    "battery_weak",
    "charger_missing",
    "screen_cracked",
    "keyboard_broken",
    "malware",
    "no_power",
    "locked_account",
    "serial_differs",
    "other_fault",
)

WRITE_OFF_REASONS = {
    "beyond_repair": "Không sửa được",
    "end_of_life": "Hết thời gian sử dụng",
    "returned_to_donor": "Trả lại nhà tài trợ",
    "recycled": "Chuyển tái chế",
}


@dataclass(frozen=True)
class Finding:
    """What an inspector found on one device.

    Attributes:
        device_code: the code on its label.
        measured: measure → number or bool, keys `Criterion.measure`; what is missing is unknown.
        faults: codes of REASONS that were seen.
        is_child_protected: the child-protection configuration is on (Plan III.1e).
        is_wiped: the old owner's data is wiped; None for a new device.
    """

    device_code: str
    measured: Mapping[str, float | bool] = field(default_factory=dict)
    faults: Sequence[str] = ()
    is_child_protected: bool = True
    is_wiped: bool | None = None


def failed_criteria(limits: Mapping[str, float | bool], measured: Mapping[str, float | bool]) -> list[str]:
    """Codes of REASONS for every criterion that a device breaks, in the order of CRITERIA.

    Args:
        limits: a criteria's limits, `{"ram_gb_min": 2, "wifi": true}`; unknown keys are ignored.
        measured: measure → value; a measure that is missing or None does not decide.
    """
    return [
        criterion.reason
        for key, criterion in CRITERIA.items()
        if key in limits
        and key != "data_wiped"
        and criterion.fails(limits[key], measured.get(criterion.measure))
    ]


def judge(finding: Finding, *, limits: Mapping[str, float | bool], is_used: bool) -> tuple[str, list[str]]:
    """Outcome of one inspection and its reasons (empty when accepted).

    Refused if any reason refuses, else to repair if there is any reason, else accepted. A used device passes only
    with its data wiped, every device only with child protection on (Plan III.1e).
    Raises ValueError for an unknown fault code.
    """
    unknown = [fault for fault in finding.faults if fault not in REASONS]
    if unknown:
        raise ValueError(f"unknown fault {unknown[0]!r}")
    reasons = failed_criteria(limits, finding.measured)
    reasons += [fault for fault in dict.fromkeys(finding.faults) if fault not in reasons]
    if (is_used or limits.get("data_wiped")) and not finding.is_wiped and "not_wiped" not in reasons:
        reasons.append("not_wiped")
    if not finding.is_child_protected and "no_child_protection" not in reasons:
        reasons.append("no_child_protection")
    if not reasons:
        return ACCEPTED, []
    return (REFUSED if any(REASONS[r].outcome == REFUSED for r in reasons) else TO_REPAIR), reasons


def ledger_fault(reasons: Sequence[str]) -> str:
    """The ledger's one word for a list of reasons: that of the first that refuses, else of the first."""
    worst = next((r for r in reasons if REASONS[r].outcome == REFUSED), reasons[0])
    return REASONS[worst].fault


PRESENT, AT_LEAST = "có", "từ %(number)s"


def describe_limits(
    limits: Mapping[str, float | bool], say: Callable[[str], str] = str
) -> list[tuple[str, str]]:
    """A criteria's limits as people read them: [("Màn hình", "từ 8 inch"), ("Wi-Fi", "có"), …].

    `say` translates each text for a donor who reads another language.
    """
    lines = []
    for key, criterion in CRITERIA.items():
        if key not in limits:
            continue
        if criterion.is_flag:
            if limits[key]:
                lines.append((say(criterion.label), say(PRESENT)))
        else:
            number = f"{limits[key]:g}".replace(".", ",")
            unit = say(criterion.unit) if criterion.unit else ""
            lines.append((say(criterion.label), f"{say(AT_LEAST) % {'number': number}} {unit}".strip()))
    return lines


# --- serial numbers -----------------------------------------------------------------------------------------------

# Digits alone, or in groups of three under one kind of separator: "10.500,00" is no amount of whole đồng.
_VND = re.compile(r"([0-9]{1,3}(?:([., ])[0-9]{3})(?:\2[0-9]{3})*|[0-9]+) ?(?:đ|đồng|vnđ|vnd)?", re.I)
# "1,5 tỷ": a comma and up to three digits are decimals here, a point never is, for "1.500 triệu" is 1,500 million.
_VND_IN_WORDS = re.compile(
    r"([0-9]{1,3}(?:\.[0-9]{3})*|[0-9]+)(?:,([0-9]{1,3}))? ?(nghìn|ngàn|triệu|tỷ|tỉ) ?(?:đ|đồng|vnđ|vnd)?",
    re.I,
)
_WORDS = {"nghìn": 10**3, "ngàn": 10**3, "triệu": 10**6, "tỷ": 10**9, "tỉ": 10**9}


def read_vnd(text: str) -> int | None:
    """Đồng as people write them ("25.000.000.000", "5000000 đ", "2,5 tỷ"); None for anything else."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    if found := _VND_IN_WORDS.fullmatch(text):
        thousandths = int(found[1].replace(".", "") + (found[2] or "").ljust(3, "0"))
        return thousandths * _WORDS[found[3].lower()] // 1000
    found = _VND.fullmatch(text)
    return int(re.sub(r"[., ]", "", found[1])) if found else None


_NOT_SERIAL = re.compile(r"[^0-9A-Z]")


def serial_key(serial: str) -> str:
    """Upper case, letters and digits only, so that "ab-12 3" and "AB123" are the same machine."""
    return _NOT_SERIAL.sub("", unicodedata.normalize("NFKC", serial).upper())


def is_imei(text: str) -> bool:
    """Fifteen digits whose last is the Luhn check digit (3GPP TS 23.003)."""
    if not re.fullmatch(r"[0-9]{15}", text):
        return False
    total = 0
    for place, digit in enumerate(map(int, text)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


SERIAL_FAULTS = {
    "short": "cần ít nhất 3 chữ cái hoặc chữ số.",
    "long": "dài hơn 40 ký tự; hãy kiểm tra lại.",
    "double": "trùng với dòng %(row)s trong cùng danh sách.",
    "imei": "không phải IMEI đúng (15 chữ số, chữ số cuối để kiểm tra).",
}


@dataclass(frozen=True)
class RowError:
    """What is wrong in one row of a list of devices; `column` is the head a person sees, `row` counts from 1.

    `text` has places for `values`, so that a donor's page can say it in English.
    """

    row: int
    column: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def message(self) -> str:
        return self.text % self.values

    def __str__(self) -> str:
        return f"Dòng {self.row}, cột {self.column}: {self.message}"


class RowErrors(ValueError):
    """A list of devices was refused as a whole; every error with its row and column."""

    def __init__(self, errors: Sequence[RowError]):
        super().__init__(f"Chưa ghi máy nào; {len(errors)} chỗ cần sửa ở bảng dưới đây.")
        self.errors = list(errors)


@dataclass(frozen=True)
class SerialRow:
    """A device as it arrives: serial number as printed, its key, IMEI or "", and the row it came from."""

    row: int
    serial: str
    key: str
    imei: str


def check_serials(rows: Iterable[tuple[str, str]], *, first_row: int = 1) -> list[SerialRow]:
    """Normalise (serial, imei) pairs; raises RowErrors with every bad or doubled one. Blank rows are skipped."""
    checked: list[SerialRow] = []
    errors: list[RowError] = []
    seen: dict[str, int] = {}
    seen_imei: dict[str, int] = {}
    for number, (serial, imei) in enumerate(rows, start=first_row):
        serial, imei = serial.strip(), re.sub(r"[\s./-]", "", imei)
        if not serial and not imei:
            continue
        key = serial_key(serial)
        if len(key) < 3:
            errors.append(RowError(number, "Số sê-ri", SERIAL_FAULTS["short"]))
        elif len(key) > 40 or len(serial) > 40:
            errors.append(RowError(number, "Số sê-ri", SERIAL_FAULTS["long"]))
        elif key in seen:
            errors.append(RowError(number, "Số sê-ri", SERIAL_FAULTS["double"], {"row": seen[key]}))
        else:
            seen[key] = number
        if imei and not is_imei(imei):
            errors.append(RowError(number, "IMEI", SERIAL_FAULTS["imei"]))
        elif imei and imei in seen_imei:
            errors.append(RowError(number, "IMEI", SERIAL_FAULTS["double"], {"row": seen_imei[imei]}))
        elif imei:
            seen_imei[imei] = number
        checked.append(SerialRow(number, serial, key, imei))
    if errors:
        raise RowErrors(errors)
    return checked


@dataclass(frozen=True)
class SerialGap:
    """What was announced and did not come, what came and was not announced; `matching` is how many did both."""

    matching: int
    missing: tuple[SerialRow, ...]
    unexpected: tuple[SerialRow, ...]


def compare_serials(announced: Sequence[SerialRow], found: Sequence[SerialRow]) -> SerialGap:
    """Hold what a donor announced against what the warehouse found; by serial, in the order of each list."""
    announced_keys, found_keys = {row.key for row in announced}, {row.key for row in found}
    return SerialGap(
        len(announced_keys & found_keys),
        tuple(row for row in announced if row.key not in found_keys),
        tuple(row for row in found if row.key not in announced_keys),
    )


# --- donors and money ---------------------------------------------------------------------------------------------

_TAX_WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)


def normalise_tax_code(typed: str) -> str | None:
    """A Vietnamese enterprise's tax code in its stored form, None if it can't be one.

    Ten digits of which the last checks the others: 10 − (Σ digit × weight mod 11); a branch adds a hyphen and three
    digits (Circular 105/2020/TT-BTC, art. 5; the checksum is the tax administration's).
    """
    code = re.sub(r"[\s.]", "", typed)
    match = re.fullmatch(r"([0-9]{10})(?:-?([0-9]{3}))?", code)
    if not match:
        return None
    base, branch = match.groups()
    if 10 - sum(w * int(d) for w, d in zip(_TAX_WEIGHTS, base, strict=False)) % 11 != int(base[9]):
        return None
    return f"{base}-{branch}" if branch else base


def devices_for(amount_vnd: int, unit_price_vnd: int) -> tuple[int, int]:
    """How many devices money buys at a unit price, and what remains, in đồng (Plan III.1h).

    >>> devices_for(25_000_000_000, 10_900_000)
    (2293, 6300000)
    """
    if amount_vnd < 0 or unit_price_vnd <= 0:
        raise ValueError("amount_vnd must not be negative and unit_price_vnd must be positive")
    return divmod(amount_vnd, unit_price_vnd)


def shortfall(promised: int, received: int) -> int:
    """What is still missing of a promise; more than promised is no negative shortfall."""
    return max(0, promised - received)

"""One cell each: what was typed → the value we keep and what must be said about it.

Every function takes the cell as read (str, float, int, bool, date, datetime, time, None) and returns
``(value, findings)``. They are pure, so equal cells of a file are looked at once (``rows``).
"""

import datetime as dt
import re
import unicodedata
from functools import lru_cache

from common.vietnamese import clean, search_key, title_name
from schools.lists.findings import CORRECTION, ERROR, WARNING, Finding, mask, mask_identity
from schools.lists.legacy_text import OldFont, is_syllable

Cell = str | float | int | bool | dt.date | dt.datetime | dt.time | dt.timedelta | None
Checked = tuple[str, list[Finding]]

# Codes of the 63 provinces in identity numbers (Thông tư 59/2021/TT-BCA, phụ lục; General Statistics Office).
IDENTITY_PROVINCES = frozenset(
    [
        "001",
        "002",
        "004",
        "006",
        "008",
        "010",
        "011",
        "012",
        "014",
        "015",
        "017",
        "019",
        "020",
        "022",
        "024",
        "025",
        "026",
        "027",
        "030",
        "031",
        "033",
        "034",
        "035",
        "036",
        "037",
        "038",
        "040",
        "042",
        "044",
        "045",
        "046",
        "048",
        "049",
        "051",
        "052",
        "054",
        "056",
        "058",
        "060",
        "062",
        "064",
        "066",
        "067",
        "068",
        "070",
        "072",
        "074",
        "075",
        "077",
        "079",
        "080",
        "082",
        "083",
        "084",
        "086",
        "087",
        "089",
        "091",
        "092",
        "093",
        "094",
        "095",
        "096",
    ]
)
NAME_MAX, CODE_MAX, CLASS_MAX, COMMUNE_MAX, HOUSEHOLD_MAX = 80, 16, 20, 80, 40
# No cell of a list is that long; what is beyond is cut, and the cell is an error.
LONGEST_CELL = 1000
NO_FORMULA = "Ô này là công thức: dán lại thành giá trị (Paste Values) rồi gửi lại."
_BLANK = frozenset(["", "-", "--", "---", ".", "..", "...", "0", "x", "k", "ko", "không", "không có", "chưa có", "chưa", "n/a", "none", "null", "#n/a"])  # fmt: skip
_LOOKALIKES = str.maketrans("ÐƉð", "ĐĐđ")
# An identity number out of its place: twelve digits that begin with a province.
_IDENTITY_ELSEWHERE = re.compile(r"(?<!\d)(\d{3})(?:[ .-]?\d){9}(?!\d)")
_LOST_LETTERS = re.compile(r"[^\W\d_]\?|\?[^\W\d_]|\ufffd")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE]\+?\d+")
_MIDNIGHT = r"(?:[T ]\s*(?:0{1,2}|12):00(?::00)?(?:\.0+)?\s*(?:AM|SA|Z)?)?"
_DATE = re.compile(
    rf"(\d{{1,2}})\s*[/.\-]\s*(\d{{1,2}})\s*[/.\-]\s*(\d{{4}}|\d{{2}}){_MIDNIGHT}", re.IGNORECASE
)
_ISO_DATE = re.compile(rf"(\d{{4}})[/.\-](\d{{1,2}})[/.\-](\d{{1,2}}){_MIDNIGHT}", re.IGNORECASE)
_DATE_IN_WORDS = re.compile(r"(?:ngay )?(\d{1,2}) thang (\d{1,2}) nam (\d{4})")
_DATE_BY_NAME = re.compile(r"(\d{1,2})[- /](?:thg|thang|th)?\s?([a-z]{3}|\d{1,2})[- /](\d{4})")
_MONTHS = {
    name: place
    for place, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_ODD_IN_NAME = re.compile(r"[^\w\s'’.\-]|[\d_]")
_EXCEL_EPOCH = dt.date(1899, 12, 30)
_EXCEL_1904 = dt.date(1904, 1, 1)


def text_of(cell: Cell) -> str:
    """Return the cell as the person sees it in the spreadsheet."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell if len(cell) <= LONGEST_CELL else cell[:LONGEST_CELL] + "…"
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, dt.datetime):
        cell = cell.date() if cell.time() == dt.time() else cell
    if isinstance(cell, dt.date) and not isinstance(cell, dt.datetime):
        return cell.strftime("%d/%m/%Y")
    return str(cell)


def _cleaned(column: str, raw: str, value: str) -> list[Finding]:
    """The correction for what can't be seen: spaces, zero width characters, another Unicode form."""
    if raw == value:
        return []
    if raw.strip(" ") == value:
        said = "Đã bỏ khoảng trắng thừa."
    elif unicodedata.normalize("NFC", raw) == value:
        said = "Đã đổi sang Unicode dựng sẵn (chữ nhìn không đổi)."
    elif clean(raw).translate(_LOOKALIKES) == value != clean(raw):
        said = "Đã thay chữ nhìn giống Đ bằng chữ Đ tiếng Việt."
    else:
        said = "Đã bỏ ký tự ẩn và khoảng trắng thừa."
    return [Finding(column, CORRECTION, "text_cleaned", mask(raw), said)]


def plain_text(column: str, cell: Cell, font: OldFont | None = None) -> Checked:
    """Text with old fonts converted and unseen characters gone."""
    raw = text_of(cell)
    if raw[:1] in "=@" and raw.strip():
        return "", [Finding(column, ERROR, "formula", mask(raw), NO_FORMULA)]
    if refusal := _spoilt(column, raw):
        return "", [refusal]
    if font and (value := font.convert(raw)) is not None:
        if column == "full_name":
            # Their lower-case letters stand for capitals that the font has not: "¸nh" is Ánh.
            value = " ".join(word[:1].upper() + word[1:] for word in value.split(" "))
        label = {"tcvn3": "TCVN3 (.VnTime)", "vni": "VNI"}[font.encoding]
        said = f"Đã đổi chữ từ phông {label} sang Unicode: “{mask(value)}”."
        return value, [Finding(column, CORRECTION, f"converted_{font.encoding}", mask(raw), said)]
    value = clean(raw).translate(_LOOKALIKES)
    return value, _cleaned(column, raw, value)


def _spoilt(column: str, raw: str) -> Finding | None:
    """The error for text whose letters are lost, or that holds an identity number, which is kept nowhere in the clear."""
    if _LOST_LETTERS.search(raw):
        said = "Chữ có dấu ở ô này đã mất (thành dấu ?): nhập lại, hoặc lưu tệp gốc thành .xlsx rồi gửi lại."
        return Finding(column, ERROR, "letters_lost", mask(raw), said)
    is_number = (
        len(raw) >= 12 and (found := _IDENTITY_ELSEWHERE.search(raw)) and found[1] in IDENTITY_PROVINCES
    )
    # A number that was masked on its way, sent back as it was shown, is no text either.
    return _elsewhere(column, raw) if is_number or "•" in raw else None


def _elsewhere(column: str, raw: str) -> Finding:
    said = "Ô này chứa số định danh: chuyển số sang cột “Số định danh cá nhân” rồi gửi lại."
    return Finding(column, ERROR, "identity_elsewhere", mask(raw), said)


@lru_cache(maxsize=65536)
def _ordinary_word(word: str) -> bool:
    """A word typed as a name should be: a capital, then small letters, in NFC, nothing else."""
    return (
        word.isalpha() and word[0].isupper() and word[1:] == word[1:].lower() and is_syllable(word)
        and unicodedata.is_normalized("NFC", word)
    )  # fmt: skip


def person_name(cell: Cell, font: OldFont | None = None) -> Checked:
    """A person's full name, in NFC; ALL CAPS and all small letters get ordinary capitals."""
    if isinstance(cell, str) and (font is None or cell.isascii()):
        words = cell.split(" ")
        if 2 <= len(words) <= 7 and len(cell) <= NAME_MAX and all(map(_ordinary_word, words)):
            return cell, []
    value, findings = plain_text("full_name", cell, font)
    raw = mask(text_of(cell))
    if any(finding.kind == ERROR for finding in findings):
        return "", findings
    if not value:
        return "", [Finding("full_name", ERROR, "name_missing", "", "Thiếu họ tên học sinh.")]
    if len(value) > NAME_MAX:
        said = (
            f"Họ tên dài {len(value)} ký tự, nhiều nhất là {NAME_MAX}: kiểm tra xem có dán nhầm cả câu không."
        )
        return value[:NAME_MAX], [*findings, Finding("full_name", ERROR, "name_too_long", raw, said)]
    if not any(char.isalpha() for char in value):
        said = "Ô họ tên không có chữ nào: kiểm tra xem cột có bị lệch không."
        return value, [*findings, Finding("full_name", ERROR, "name_not_text", raw, said)]
    if value.isupper() or value.islower():
        value = title_name(value)
        said = f"Đã viết lại chữ hoa, chữ thường: “{value}”."
        findings = [*findings, Finding("full_name", CORRECTION, "name_case", raw, said)]
    if _ODD_IN_NAME.search(value):
        said = "Họ tên có chữ số hoặc ký hiệu lạ: thầy/cô kiểm tra lại."
        findings = [*findings, Finding("full_name", WARNING, "name_odd", raw, said)]
    elif " " not in value:
        said = "Họ tên chỉ có một chữ: thầy/cô kiểm tra xem có thiếu họ không."
        findings = [*findings, Finding("full_name", WARNING, "name_one_word", raw, said)]
    return value, findings


def birth_date(cell: Cell, today: dt.date, *, date_1904: bool = False) -> Checked:
    """A birth date as ISO text; ``03/04/2010`` is 3 April. ``today`` bounds what is possible."""
    raw = text_of(cell)
    findings: list[Finding] = []

    def error(code: str, said: str) -> Checked:
        return "", [Finding("born_on", ERROR, code, mask(raw), said)]

    if raw.strip() == "":
        return error("born_missing", "Thiếu ngày sinh.")
    day: dt.date | None = None
    if isinstance(cell, dt.datetime):
        day = cell.date()
    elif isinstance(cell, dt.date):
        day = cell
    elif isinstance(cell, (dt.time, dt.timedelta, bool)):
        return error("born_not_date", f"“{raw}” không phải ngày sinh: viết ngày/tháng/năm, ví dụ 03/04/2010.")
    else:
        value = clean(raw).lstrip("'")
        serial = float(value) if isinstance(cell, str) and len(value) == 5 and value.isdigit() else 0
        if isinstance(cell, (int, float)):
            serial = cell
        if 10000 <= serial < 80000:
            day = (_EXCEL_1904 if date_1904 else _EXCEL_EPOCH) + dt.timedelta(days=int(serial))
            said = f"Đã đổi số {value} của Excel thành ngày {day:%d/%m/%Y}."
            findings = [Finding("born_on", CORRECTION, "born_serial", raw, said)]
        elif found := _DATE.fullmatch(value):
            numbers = int(found[1]), int(found[2]), int(found[3])
            year = numbers[2]
            if len(found[3]) == 2:
                year += 2000 if year <= today.year % 100 else 1900
                said = f"Năm sinh viết hai chữ số: đã hiểu là {year}."
                findings = [Finding("born_on", CORRECTION, "born_short_year", raw, said)]
            try:
                day = dt.date(year, numbers[1], numbers[0])
            except ValueError:
                said = f"Ngày {value} không có trong lịch: viết theo thứ tự ngày/tháng/năm, ví dụ 03/04/2010 là 3 tháng 4."
                return error("born_impossible", said)
            if not findings:
                findings = _cleaned("born_on", raw, value)
        elif written := _written_out(value):
            try:
                day = dt.date(*written)
            except ValueError:
                return error("born_impossible", f"Ngày {value} không có trong lịch: kiểm tra lại ngày sinh.")
            said = f"Đã viết lại ngày sinh thành {day:%d/%m/%Y}."
            findings = [Finding("born_on", CORRECTION, "born_rewritten", raw, said)]
        elif value.isdigit() and len(value) == 4:
            return error("born_only_year", f"Chỉ có năm sinh {value}: cần đủ ngày, tháng, năm.")
        else:
            said = f"“{mask(value)[:40]}” không phải ngày sinh: viết ngày/tháng/năm, ví dụ 03/04/2010."
            return error("born_not_date", said)
    if day > today:
        return error("born_in_future", f"Ngày sinh {day:%d/%m/%Y} ở sau hôm nay.")
    age = today.year - day.year
    if age > 100:
        return error("born_too_early", f"Ngày sinh {day:%d/%m/%Y} quá xa: kiểm tra lại năm sinh.")
    if age < 5 or age > 30:
        said = (
            f"Sinh năm {day.year} (khoảng {age} tuổi) là khác thường với học sinh, sinh viên: kiểm tra lại."
        )
        findings = [*findings, Finding("born_on", WARNING, "born_unusual", raw, said)]
    return day.isoformat(), findings


def _written_out(value: str) -> tuple[int, int, int] | None:
    """(year, month, day) of the other ways to write a date: 2010-04-03, 03042010, "3 tháng 4 năm 2010", 03-Apr-2010."""
    if found := _ISO_DATE.fullmatch(value):
        return int(found[1]), int(found[2]), int(found[3])
    if value.isdigit() and len(value) in (7, 8):
        digits = value.zfill(8)
        if digits.startswith(("19", "20")) and digits[4:] < "1232":
            return int(digits[:4]), int(digits[4:6]), int(digits[6:])
        return int(digits[4:]), int(digits[2:4]), int(digits[:2])
    key = search_key(value)
    if found := _DATE_IN_WORDS.fullmatch(key) or _DATE_BY_NAME.fullmatch(key):
        month = _MONTHS.get(found[2]) or (int(found[2]) if found[2].isdigit() else 0)
        return int(found[3]), month, int(found[1])
    return None


_SEX = {"nam": "male", "nu": "female", "m": "male", "f": "female", "male": "male", "female": "female",
        "trai": "male", "gai": "female", "n": "", "con trai": "male", "con gai": "female"}  # fmt: skip
_SEX_LABELS = {"male": "Nam", "female": "Nữ"}


def sex(cell: Cell, font: OldFont | None = None) -> Checked:
    """Nam or Nữ; optional."""
    value, findings = plain_text("sex", cell, font)
    if not value:
        return "", [finding for finding in findings if finding.kind == ERROR]
    code = _SEX.get(search_key(value), "")
    if not code:
        said = f"Không hiểu giới tính “{mask(value)[:20]}”: ghi Nam hoặc Nữ. Hàng này vẫn được nhận, bỏ trống giới tính."
        return "", [*findings, Finding("sex", WARNING, "sex_unknown", mask(text_of(cell)), said)]
    if value != _SEX_LABELS[code] and not findings:
        said = f"Đã ghi giới tính là {_SEX_LABELS[code]}."
        findings = [Finding("sex", CORRECTION, "sex_rewritten", mask(text_of(cell)), said)]
    return code, findings


GROUP_LABELS = {"poor": "Hộ nghèo", "near_poor": "Hộ cận nghèo", "covid_orphan": "Mồ côi do COVID-19"}
_GROUPS = {
    "poor": "ho ngheo|ngheo|hn|ho ngheo da chieu|hs ho ngheo|hoc sinh ho ngheo|con ho ngheo|thuoc ho ngheo|h ngheo|poor|gia dinh ho ngheo",
    "near_poor": "ho can ngheo|can ngheo|hcn|cn|hs ho can ngheo|hoc sinh ho can ngheo|con ho can ngheo"
    "|thuoc ho can ngheo|h can ngheo|near poor|can ho ngheo|gia dinh ho can ngheo",
    "covid_orphan": "mo coi do covid 19|mo coi do covid|mo coi covid|mo coi covid 19|mo coi vi covid 19"
    "|con co bo hoac me mat do covid 19|co bo hoac me mat do covid 19|co cha hoac me mat do covid 19"
    "|bo hoac me mat do covid 19|mo coi do covid19|mo coi covid19|mo coi vi covid|me mat do covid 19"
    "|bo mat do covid 19|cha mat do covid 19|co bo me mat do covid 19|mo coi cha do covid 19|mo coi me do covid 19"
    "|mo coi do dich covid 19|covid orphan",
}
_AND = re.compile(r"[,;/+&]| và ")
_GROUP_BY_TEXT = {text: code for code, texts in _GROUPS.items() for text in texts.split("|")}


def _orphan_by_covid(key: str) -> str:
    """ "covid_orphan" for "mồ côi cha do dịch Covid" and the like, unless something is denied, else ""."""
    words = set(key.split())
    is_orphan = {"mo", "coi"} <= words or ("mat" in words and words & {"bo", "me", "cha", "ba"})
    return "covid_orphan" if is_orphan and "covid" in key and not words & {"khong", "chua", "ngheo"} else ""


def group(cell: Cell, font: OldFont | None = None) -> Checked:
    """One of the three groups of Plan III.2c, never another."""
    value, findings = plain_text("group", cell, font)
    raw = mask(text_of(cell))
    if any(finding.kind == ERROR for finding in findings):
        return "", findings
    if not value:
        said = "Thiếu đối tượng: ghi Hộ nghèo, Hộ cận nghèo hoặc Mồ côi do COVID-19."
        return "", [Finding("group", ERROR, "group_missing", "", said)]
    key = search_key(value)
    code = _GROUP_BY_TEXT.get(key) or _orphan_by_covid(key)
    if not code:
        parts = [
            _GROUP_BY_TEXT.get(part) or _orphan_by_covid(part) for part in map(search_key, _AND.split(value))
        ]
        # Who is in two groups is taken in the earlier one (Plan III.2c).
        code = next((known for known in GROUP_LABELS if known in parts), "") if all(parts) else ""
    if code:
        if key != search_key(GROUP_LABELS[code]) and not any(
            f.code.startswith("converted") for f in findings
        ):
            said = f"Đã hiểu là “{GROUP_LABELS[code]}”."
            findings = [*findings, Finding("group", CORRECTION, "group_rewritten", raw, said)]
        return code, findings
    if "mo coi" in key:
        said = (
            f"“{value[:40]}” chưa rõ: Chương trình chỉ gồm em có bố hoặc mẹ mất do COVID-19."
            " Nếu đúng, ghi “Mồ côi do COVID-19”."
        )
        return "", [*findings, Finding("group", ERROR, "group_unclear", raw, said)]
    said = (
        f"“{mask(value)[:40]}” không thuộc ba đối tượng của Kế hoạch 3667:"
        " Hộ nghèo, Hộ cận nghèo, Mồ côi do COVID-19."
    )
    return "", [*findings, Finding("group", ERROR, "group_not_eligible", raw, said)]


def _code_text(column: str, cell: Cell) -> tuple[str, list[Finding], bool]:
    """A code as text: (value, findings, was a number). Scientific notation has lost digits: an error."""
    if (
        isinstance(cell, str)
        and len(cell) > 1
        and len(cell) <= LONGEST_CELL
        and cell.isascii()
        and cell.isalnum()
        and (cell.isdigit() or "E" not in cell.upper())
        and cell.lower() not in _BLANK
    ):
        return cell, [], False
    raw = text_of(cell)
    value = clean(raw)
    if value.lower() in _BLANK:
        return "", [], False
    if value[:1] in "=@":
        return "", [Finding(column, ERROR, "formula", mask(raw), NO_FORMULA)], False
    if "•" in value and column not in ("identity", "household_code"):
        return "", [_elsewhere(column, value)], False
    if isinstance(cell, (float, int)) and not isinstance(cell, bool):
        whole = float(cell).is_integer() and 0 <= cell < 1e15
        return (value, [], True) if whole else (value, _lost_digits(column, raw), True)
    if _SCIENTIFIC.fullmatch(value):
        return value, _lost_digits(column, raw), False
    value = value.lstrip("'").replace(" ", "") if value[:1] in "'0123456789" else value
    if value.endswith(".0") and value[:-2].isdigit():
        value = value[:-2]
    return value, _cleaned(column, raw, value), False


def _lost_digits(column: str, raw: str) -> list[Finding]:
    said = f"Số “{mask(raw)}” đã bị Excel rút gọn nên mất chữ số: định dạng cột là Văn bản (Text) rồi nhập lại số đầy đủ."
    value = mask_identity(raw) if column == "identity" else mask(raw)
    return [
        Finding(
            column, ERROR, "digits_lost", value, said if column != "identity" else said.replace(raw, value)
        )
    ]


def student_code(cell: Cell) -> Checked:
    """The ministry's ten digits, or an institution's own code; optional."""
    if isinstance(cell, str) and len(cell) == 10 and cell.isascii() and cell.isdigit():
        return cell, []
    value, findings, _number = _code_text("student_code", cell)
    if not value or any(finding.kind == ERROR for finding in findings):
        return "", findings
    if len(value) == 12 and value.isdigit() and value[:3] in IDENTITY_PROVINCES:
        return "", [_elsewhere("student_code", value)]
    if value.isdigit() and len(value) in (8, 9):
        raw, value = value, value.zfill(10)
        said = f"Đã thêm lại số 0 ở đầu: {value}."
        return value, [Finding("student_code", CORRECTION, "leading_zero", raw, said)]
    if len(value) > CODE_MAX:
        said = f"Mã học sinh dài quá {CODE_MAX} ký tự: kiểm tra lại."
        return "", [Finding("student_code", ERROR, "student_code_too_long", mask(value)[:60], said)]
    if value.isdigit() and len(value) != 10:
        said = f"Mã học sinh thường có 10 chữ số, ở đây có {len(value)}: kiểm tra lại."
        findings = [*findings, Finding("student_code", WARNING, "student_code_form", mask(value), said)]
    return value.upper(), findings


def identity(cell: Cell) -> tuple[str, str, list[Finding]]:
    """The citizen number: (twelve digits or "", the raw text to keep sealed, findings); optional."""
    if (
        isinstance(cell, str) and len(cell) == 12 and cell.isascii() and cell.isdigit()
        and cell[:3] in IDENTITY_PROVINCES and cell != "012345678901"
    ):  # fmt: skip
        return cell, cell, []
    raw = text_of(cell)
    shown = mask_identity(clean(raw))
    if clean(raw).lower() in _BLANK:
        said = "Chưa có số định danh: không phát hiện được trùng chắc chắn với nơi khác."
        return "", "", [Finding("identity", WARNING, "identity_missing", "", said)]
    value, findings, _ = _code_text("identity", cell)
    findings = [finding._replace(value=mask_identity(finding.value)) for finding in findings]
    if any(finding.kind == ERROR for finding in findings):
        return "", raw, findings
    digits = value.replace(".", "").replace("-", "")
    if (
        digits.isdigit()
        and digits.isascii()
        and len(digits) in (10, 11)
        and digits.zfill(12)[:3] in IDENTITY_PROVINCES
    ):
        digits = digits.zfill(12)
        said = "Đã thêm lại số 0 ở đầu số định danh."
        findings = [Finding("identity", CORRECTION, "leading_zero", shown, said)]
    if not (digits.isdigit() and digits.isascii() and len(digits) == 12):
        said = (
            "Đây có vẻ là số CMND 9 chữ số: cần số định danh 12 chữ số, hoặc để trống."
            if len(digits) == 9 and digits.isdigit()
            else f"Số định danh phải có 12 chữ số, ở đây có {len(digits)} ký tự: sửa lại hoặc để trống."
        )
        return "", raw, [Finding("identity", ERROR, "identity_form", shown, said)]
    if digits[:3] not in IDENTITY_PROVINCES:
        said = f"Ba số đầu {digits[:3]} không phải mã tỉnh nào: kiểm tra lại số định danh."
        findings = [*findings, Finding("identity", WARNING, "identity_province", shown, said)]
    if len(set(digits)) == 1 or digits in ("012345678901", "123456789012"):
        said = "Số định danh này không có thật (số điền cho đủ): sửa lại hoặc để trống."
        return "", raw, [Finding("identity", ERROR, "identity_form", shown, said)]
    return digits, raw, findings


def identity_agrees(digits: str, sex_code: str, born: str, typed: str) -> list[Finding]:
    """Compare a citizen number with sex and birth year (Decree 137/2015/NĐ-CP, article 13)."""
    findings = []
    century = digits[3]
    if sex_code and (century in "02468") != (sex_code == "male"):
        said = "Số định danh không khớp giới tính trong hàng: kiểm tra cả hai."
        findings.append(Finding("identity", WARNING, "identity_sex", mask_identity(clean(typed)), said))
    if born and (digits[4:6] != born[2:4] or 1900 + int(century) // 2 * 100 != int(born[:2]) * 100):
        said = f"Số định danh không khớp năm sinh {born[:4]}: kiểm tra cả hai."
        findings.append(Finding("identity", WARNING, "identity_year", mask_identity(clean(typed)), said))
    return findings


def class_name(cell: Cell, font: OldFont | None = None) -> Checked:
    """A class as text; "6/1" that Excel took for a date comes back."""
    if isinstance(cell, (dt.date, dt.datetime)):
        value = f"{cell.day}/{cell.month}"
        said = f"Excel đã đổi tên lớp thành ngày tháng: đã hiểu là lớp {value}, thầy/cô kiểm tra lại."
        return value, [Finding("class_name", WARNING, "class_was_date", text_of(cell), said)]
    value, findings = plain_text("class_name", cell, font)
    if len(value) > CLASS_MAX:
        said = f"Tên lớp dài quá {CLASS_MAX} ký tự: kiểm tra lại."
        return value[:CLASS_MAX], [
            *findings,
            Finding("class_name", ERROR, "class_too_long", mask(value)[:60], said),
        ]
    return value, findings


def short_text(column: str, cell: Cell, longest: int, font: OldFont | None = None) -> Checked:
    """Optional text of a bounded length."""
    value, findings = plain_text(column, cell, font)
    if len(value) > longest:
        said = f"Ô này dài quá {longest} ký tự: kiểm tra lại."
        return value[:longest], [*findings, Finding(column, ERROR, "too_long", mask(value)[:60], said)]
    return value, findings


def household_code(cell: Cell) -> Checked:
    """A household's code in its commune; whether it may be absent depends on the group (``rows``)."""
    value, findings, _ = _code_text("household_code", cell)
    if not findings and len(value) <= HOUSEHOLD_MAX:
        return value.upper(), findings
    if any(finding.kind == ERROR for finding in findings):
        return "", findings
    if len(value) > HOUSEHOLD_MAX:
        said = f"Mã hộ dài quá {HOUSEHOLD_MAX} ký tự: kiểm tra lại."
        return "", [Finding("household_code", ERROR, "too_long", mask(value)[:60], said)]
    return value.upper(), findings


def household_head(cell: Cell, font: OldFont | None = None) -> Checked:
    """The head's name as a household's key where it has no code; only the key is kept of it."""
    value, findings = plain_text("household_head", cell, font)
    if any(finding.kind == ERROR for finding in findings) or value.lower() in _BLANK:
        return "", []
    return f"CH {search_key(value)}"[:HOUSEHOLD_MAX].upper(), []


_YES = frozenset(["co", "x", "yes", "true", "1", "roi", "da", "may", "y", "v"]) | {
    "da co", "da co may", "co may", "co roi", "da co may tinh", "co may tinh"}  # fmt: skip
_MARKS = frozenset("✓✔☑√+")
_NO = frozenset(["khong", "chua", "no", "false", "0", "k", "ko"]) | {
    "chua co", "khong co", "chua co may", "khong co may", "chua co may tinh", "khong co may tinh"}  # fmt: skip


def has_device(cell: Cell, font: OldFont | None = None) -> Checked:
    """ "1" when the student has a computer already (then nothing is allocated, Plan I.1a), else "0"."""
    value, findings = plain_text("has_device", cell, font)
    key = search_key(value)
    if not value or value == "-" or key in _NO:
        return "0", findings
    if key in _YES or value in _MARKS:
        said = "Em này đã có máy tính: được ghi nhận trong nhu cầu nhưng sẽ không được phân bổ máy."
        return "1", [*findings, Finding("has_device", WARNING, "has_device", mask(text_of(cell)), said)]
    said = f"Không hiểu “{mask(value)[:30]}”: ghi Có hoặc Không."
    return "0", [Finding("has_device", ERROR, "has_device_unknown", mask(text_of(cell))[:60], said)]


_STUDYING = ("dang hoc", "hoc lai", "chuyen den", "dang hoc chuyen den", "luu ban", "chuyen lop", "len lop",
             "chuyen den ky 1", "chuyen den ky 2", "chuyen den tu hoc ky 1", "chuyen den tu hoc ky 2",
             "bao luu")  # fmt: skip


def status(cell: Cell, font: OldFont | None = None) -> Checked:
    """The ministry's "Trạng thái HS": only who still studies here can be listed."""
    value, _findings = plain_text("status", cell, font)
    key = search_key(value)
    if not value or key in _STUDYING or key.startswith(("dang hoc", "chuyen den")):
        return value, []
    said = f"Trạng thái “{value[:40]}”: em không còn học ở trường này nên không đưa vào danh sách."
    return value, [Finding("status", ERROR, "not_studying", mask(text_of(cell)), said)]

"""What kind of file this is, and whether it may be opened at all: looked at before any parser sees it."""

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from schools.lists import old_workbook

MAX_FILE_BYTES = 40 * 2**20
MAX_INFLATED_BYTES = 700 * 2**20
MAX_RATIO = 200
MAX_MEMBERS = 2000
MAX_ROWS = 300_000
MAX_AREA = 12_000_000
_CHUNK = 1 << 20
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
# A column beyond ZZ, and a row beyond any list, as programs write them and however XML lets them be written.
_FAR_COLUMN = re.compile(rb'[ \t\r\n]r="([A-Za-z]{3}\d+)')
# The same from its first sure letter on: five times as fast to look for, and hardly ever found.
_PERHAPS_FAR = re.compile(rb'r="[A-Za-z]{3}\d')
_ROW = re.compile(rb'<(?:\w+:)?row\s[^>]*?\br="(\d+)"')
_FAR_CELL = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{3}\d+|[A-Za-z]{0,2}(?:[4-9]\d{5}|\d{7,}))["']""")
# Programs write neither of these.
_ODD_SIGNS = (b"='", b" =")
_HIDDEN_ROW = re.compile(rb'<(?:\w+:)?row\s[^>]*\bhidden="(?:1|true)"')
_SHEET_END = re.compile(rb"</(?:\w+:)?worksheet\s*>")
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_CELL_REF = re.compile(rb'\sr="([A-Z]{1,3})(\d+)"')
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


class Refused(Exception):
    """The whole file can't be taken; ``code`` for programs, ``message`` for the person."""

    def __init__(self, code: str, message: str, **details):
        super().__init__(message)
        self.code, self.message, self.details = code, message, details


@dataclass
class Sheet:
    """What a worksheet's raw bytes told: formulas as {(row from 1, column from 0)}; ``member`` of the archive."""

    name: str
    member: str
    is_hidden: bool = False
    formulas: set[tuple[int, int]] = field(default_factory=set)
    hidden_rows: int = 0


@dataclass
class Intake:
    """A file that may be opened."""

    kind: str  # xlsx, xls or csv
    sheets: dict[str, Sheet] = field(default_factory=dict)
    fonts: list[str] = field(default_factory=list)
    date_1904: bool = False
    notices: list[str] = field(default_factory=list)


def examine(path: Path) -> Intake:
    """Tell what a file is. Raises `Refused` with the reason when it must not be opened."""
    size = path.stat().st_size
    if size == 0:
        raise Refused("empty_file", "Tệp rỗng (0 byte): thầy/cô lưu lại tệp rồi gửi lại.")
    if size > MAX_FILE_BYTES:
        raise Refused("too_large", f"Tệp lớn hơn {MAX_FILE_BYTES // 2**20} MB: tách thành nhiều tệp nhỏ hơn.")
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _examine_zip(path)
    if head[:8] == _OLE:
        return _examine_ole(path)
    if head[:5] == b"%PDF-":
        raise Refused("not_workbook", "Đây là tệp PDF: cần tệp Excel (.xlsx, .xls) hoặc CSV.")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<html", b"<!doctype", b"<table", b"<?xml", b"<meta")):
        said = "Tệp này thực ra là trang web (HTML/XML): mở bằng Excel, chọn Lưu thành (Save As) dạng .xlsx rồi gửi lại."
        raise Refused("not_workbook", said)
    binary = head.count(0) and head[:2] not in (b"\xff\xfe", b"\xfe\xff") and not utf16_without_mark(head)
    if binary or head[:2] in (b"\x1f\x8b", b"Ra", b"7z", b"\xff\xd8", b"\x89P", b"GI", b"MZ"):
        raise Refused("not_workbook", "Đây không phải bảng tính: cần tệp Excel (.xlsx, .xls) hoặc CSV.")
    return Intake("csv")


def utf16_without_mark(head: bytes) -> str:
    """ "utf-16-le" or "utf-16-be" when a text's first bytes are mostly ASCII in two bytes each, else ""."""
    if len(head) < 8:
        return ""
    low, high = head[0::2].count(0) * 2 / len(head), head[1::2].count(0) * 2 / len(head)
    return "utf-16-le" if high > 0.6 and low < 0.05 else "utf-16-be" if low > 0.6 and high < 0.05 else ""


def _examine_ole(path: Path) -> Intake:
    content = path.read_bytes()
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise Refused("password", "Tệp đặt mật khẩu nên không đọc được: bỏ mật khẩu rồi gửi lại.")
    if "WordDocument".encode("utf-16-le") in content:
        raise Refused("not_workbook", "Đây là tệp Word: cần tệp Excel (.xlsx, .xls) hoặc CSV.")
    if not any(name.encode("utf-16-le") in content for name in ("Workbook", "Book")):
        said = "Đây không phải bảng tính Excel, hoặc tệp tải lên dở dang: cần tệp .xlsx, .xls hoặc CSV còn nguyên."
        raise Refused("not_workbook", said)
    try:
        found = old_workbook.look_through(content)
    except ValueError as error:
        raise _broken() from error
    if found.has_password:
        raise Refused("password", "Tệp đặt mật khẩu nên không đọc được: bỏ mật khẩu rồi gửi lại.")
    sheets = {
        sheet.name: Sheet(sheet.name, "", sheet.is_hidden, sheet.formulas, sheet.hidden_rows)
        for sheet in found.sheets
    }
    return Intake("xls", sheets, found.fonts, found.date_1904)


def _broken() -> Refused:
    return Refused("broken_file", "Tệp bị hỏng: mở lại bằng Excel, lưu thành .xlsx rồi gửi lại.")


def _examine_zip(path: Path) -> Intake:
    try:
        with zipfile.ZipFile(path) as archive:
            return _examine_members(archive, path.stat().st_size)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        said = "Tệp bị hỏng hoặc tải lên dở dang: mở lại bằng Excel, lưu thành .xlsx rồi gửi lại."
        raise Refused("broken_file", said) from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise _broken() from error
        raise


def _examine_members(archive: zipfile.ZipFile, size: int) -> Intake:
    members = archive.infolist()
    names = {member.filename for member in members}
    if len(members) > MAX_MEMBERS or len(names) != len(members):
        raise Refused(
            "zip_bomb", "Tệp có cấu trúc bất thường (quá nhiều phần hoặc phần trùng tên) nên không được mở."
        )
    if any(member.flag_bits & 1 for member in members):
        raise Refused("password", "Tệp đặt mật khẩu nên không đọc được: bỏ mật khẩu rồi gửi lại.")
    types = b""
    if "[Content_Types].xml" in names:
        with archive.open("[Content_Types].xml") as part:
            types = part.read(1 << 20)
    if any(name.endswith("vbaProject.bin") for name in names) or b"macroEnabled" in types:
        raise Refused("macro", "Tệp có macro (.xlsm): lưu thành .xlsx không có macro rồi gửi lại.")
    if "xl/workbook.bin" in names:
        raise Refused("not_workbook", "Đây là tệp .xlsb: lưu thành .xlsx rồi gửi lại.")
    if "xl/workbook.xml" not in names:
        raise Refused("not_workbook", "Tệp nén này không phải bảng tính Excel: cần tệp .xlsx, .xls hoặc CSV.")
    declared = sum(member.file_size for member in members)
    if declared > MAX_INFLATED_BYTES or declared > max(size * MAX_RATIO, 50 * 2**20):
        raise _bomb()
    intake = Intake("xlsx")
    small: dict[str, bytes] = {}
    inflated = 0
    by_member = {}
    for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml"):
        if name in names:
            with archive.open(name) as part:
                small[name] = part.read(20 * 2**20)
            _no_doctype(small[name])
    by_member = _read_workbook(small, intake)
    if any(name.startswith("xl/externalLinks/") for name in names):
        intake.notices.append(
            "Tệp có liên kết tới tệp khác; liên kết không được mở, chỉ đọc giá trị đang có."
        )
    for member in members:
        if not member.filename.endswith((".xml", ".rels", ".vml")):
            continue
        sheet = by_member.get(member.filename)
        if (
            sheet is None
            and member.filename.startswith("xl/worksheets/")
            and member.filename.endswith(".xml")
        ):
            sheet = Sheet("", member.filename)
        scanner = _Scanner(sheet) if sheet else None
        first = True
        with archive.open(member) as part:
            while chunk := part.read(_CHUNK):
                inflated += len(chunk)
                if inflated > MAX_INFLATED_BYTES or inflated > max(size * MAX_RATIO, 50 * 2**20):
                    raise _bomb()
                if first:
                    _no_doctype(chunk[:65536])
                    first = False
                if scanner:
                    scanner.feed(chunk)
        if scanner and not scanner.is_whole:
            # A parser would stop quietly at the break, and rows would be gone.
            raise _broken()
    return intake


def _bomb() -> Refused:
    return Refused("zip_bomb", "Tệp phình ra quá lớn khi mở (có thể là tệp phá hoại) nên không được đọc.")


def _no_doctype(xml: bytes) -> None:
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml or xml[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Refused(
            "xml_entities", "Tệp chứa khai báo XML không an toàn nên không được mở: lưu lại bằng Excel."
        )


def _read_workbook(small: dict[str, bytes], intake: Intake) -> dict[str, Sheet]:
    """Sheets by their member in the archive; fonts and the date system go into ``intake``."""
    try:
        workbook = ElementTree.fromstring(small["xl/workbook.xml"])
        relations = ElementTree.fromstring(small.get("xl/_rels/workbook.xml.rels", b"<r/>"))
        styles = ElementTree.fromstring(small.get("xl/styles.xml", b"<s/>"))
    except ElementTree.ParseError as error:
        raise _broken() from error
    targets = {node.get("Id"): (node.get("Target") or "").lstrip("/") for node in relations}
    by_member = {}
    for node in workbook.iter():
        tag = node.tag.rpartition("}")[2]
        if tag == "sheet":
            target = targets.get(node.get(_RELATION), "")
            member = target if target.startswith("xl/") else f"xl/{target}"
            sheet = Sheet(node.get("name") or "", member, node.get("state", "visible") != "visible")
            intake.sheets[sheet.name] = by_member[member] = sheet
        elif tag == "workbookPr":
            intake.date_1904 = node.get("date1904") in ("1", "true")
    for node in styles.iter():
        if node.tag.rpartition("}")[2] == "name" and node.get("val"):
            intake.fonts.append(node.get("val") or "")
    return by_member


class _Scanner:
    """Looks through a worksheet's bytes as they are inflated: far cells, formulas, hidden rows."""

    def __init__(self, sheet: Sheet):
        self.sheet = sheet
        self.rest = b""
        self.in_data = True
        self.is_whole = False

    def feed(self, chunk: bytes) -> None:
        data = self.rest + chunk
        old = len(self.rest)
        is_odd = any(sign in data for sign in _ODD_SIGNS)
        if (is_odd or _PERHAPS_FAR.search(data)) and (
            found := (_FAR_CELL if is_odd else _FAR_COLUMN).search(data)
        ):
            raise self._far(found[1].decode().upper())
        last = data.rfind(b"<row ")
        if last >= 0 and (found := _ROW.match(data, last)) and int(found[1]) > MAX_ROWS + 1000:
            raise self._far(found[1].decode())
        self.is_whole = self.is_whole or bool(_SHEET_END.search(data[-64:]))
        if self.in_data:
            if b"<f" in data or b":f" in data:
                end = data.find(b"</sheetData>")
                for found in _FORMULA.finditer(data, max(old - 4, 0), end if end >= 0 else len(data)):
                    cell = data.rfind(b' r="', 0, found.start())
                    if cell >= 0 and (ref := _CELL_REF.match(data, cell)):
                        self.sheet.formulas.add((int(ref[2]), column_index(ref[1].decode())))
            if b"</sheetData>" in data:
                self.in_data = False
        if b' hidden="' in data:
            self.sheet.hidden_rows += sum(1 for found in _HIDDEN_ROW.finditer(data) if found.end() > old)
        self.rest = data[-512:]

    def _far(self, cell: str) -> Refused:
        where = f" trong trang “{self.sheet.name}”" if self.sheet.name else ""
        said = f"{'Hàng' if cell.isdigit() else 'Ô'} {cell}{where} nằm quá xa bảng dữ liệu: xoá các hàng, cột thừa ở ngoài bảng rồi gửi lại."
        return Refused("stretched", said)


def column_index(letters: str) -> int:
    """Return the index from 0 of a column's letters; the inverse of `columns.column_letters`."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1

"""What an .xls tells beside the values of its cells: formulas, hidden rows and sheets, fonts, the date system.

An .xls is a file system in a file ([MS-CFB]); its stream "Workbook" ("Book" before Excel 97) is a row of
records, each a number, a length and so many bytes ([MS-XLS] 2.3). The values themselves are read by calamine.
"""

import struct
from dataclasses import dataclass, field

_FREE = 0xFFFFFFFA  # this and all larger numbers of sectors are signs
# A shorter stream lies elsewhere in the file; a workbook's never is: it is filled up to this.
_SHORTEST = 4096
_BOF, _EOF, _FILEPASS, _CODEPAGE, _DATEMODE, _FONT, _BOUNDSHEET, _ROW = (
    0x0809, 0x000A, 0x002F, 0x0042, 0x0022, 0x0031, 0x0085, 0x0208,
)  # fmt: skip
# Of Excel 97 and 95; of 4; of 3.
_FORMULAS = frozenset([0x0006, 0x0406, 0x0206])
_BIFF8 = 0x0600
_IS_HIDDEN_ROW = 0x20
_WORKSHEET = 0


@dataclass
class OldSheet:
    """A sheet; ``formulas`` as {(row from 1, column from 0)}."""

    name: str
    is_hidden: bool
    at: int
    formulas: set[tuple[int, int]] = field(default_factory=set)
    hidden_rows: int = 0


@dataclass
class OldWorkbook:
    """Sheets in the order of the file."""

    sheets: list[OldSheet] = field(default_factory=list)
    fonts: list[str] = field(default_factory=list)
    date_1904: bool = False
    has_password: bool = False


def look_through(content: bytes) -> OldWorkbook:
    """Look through an .xls. Raises ValueError when its structure is broken."""
    try:
        records = _stream(content)
        found = _globals(records)
        for sheet in found.sheets:
            _look_through_sheet(records, sheet)
    except (struct.error, IndexError) as error:
        raise ValueError("the file ends in the middle of its structure") from error
    return found


def _stream(content: bytes) -> bytes:
    """The bytes of the workbook's stream, put together from its sectors."""
    (shift,) = struct.unpack_from("<H", content, 30)
    if shift not in (9, 12):
        raise ValueError(f"sectors of 2^{shift} bytes")
    size = 1 << shift

    def sector(number: int) -> bytes:
        return content[(number + 1) << shift : (number + 2) << shift]

    def numbers(data: bytes) -> tuple[int, ...]:
        return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])

    most = len(content) >> shift
    # Where the table of sectors lies: the first 109 places in the header, the others in sectors of their own.
    places = list(struct.unpack_from("<109I", content, 76))
    following = struct.unpack_from("<I", content, 68)[0]
    for _ in range(most):
        if following >= _FREE:
            break
        *more, following = numbers(sector(following))
        places += more
    table = [each for place in places if place < _FREE for each in numbers(sector(place))]

    def chain(start: int) -> bytes:
        parts: list[bytes] = []
        while start < _FREE:
            if len(parts) > most:
                raise ValueError("sectors in a circle")
            parts.append(sector(start))
            start = table[start]
        return b"".join(parts)

    directory = chain(struct.unpack_from("<I", content, 48)[0])
    for at in range(0, len(directory) - 127, 128):
        length = struct.unpack_from("<H", directory, at + 64)[0]
        name = directory[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
        if name in ("Workbook", "Book") and directory[at + 66] == 2:
            start, long = struct.unpack_from("<II", directory, at + 116)
            if long < _SHORTEST:
                raise ValueError("a workbook's stream is too short")
            stream = chain(start)[:long]
            if len(stream) < long - size:
                raise ValueError("the workbook's stream is cut off")
            return stream
    raise ValueError("no workbook's stream")


def _globals(records: bytes) -> OldWorkbook:
    found = OldWorkbook()
    kind, length, version = struct.unpack_from("<HHH", records, 0)
    if kind != _BOF:
        raise ValueError("the stream begins with no workbook")
    at, encoding, is_new = 4 + length, "cp1252", version >= _BIFF8
    while True:
        kind, length = struct.unpack_from("<HH", records, at)
        at += 4
        if kind == _EOF:
            return found
        if kind == _FILEPASS:
            # From here on all is encrypted but the records' numbers and lengths.
            return OldWorkbook(has_password=True)
        if kind == _CODEPAGE:
            encoding = _encoding(struct.unpack_from("<H", records, at)[0])
        elif kind == _DATEMODE:
            found.date_1904 = struct.unpack_from("<H", records, at)[0] == 1
        elif kind == _FONT:
            found.fonts.append(_short_text(records, at + 14, encoding, is_new))
        elif kind == _BOUNDSHEET:
            begins, state, its = struct.unpack_from("<IBB", records, at)
            name = _short_text(records, at + 6, encoding, is_new)
            # A chart or a macro sheet has no cells; it keeps its place in the order.
            sheet = OldSheet(name, state & 3 != 0, begins if its == _WORKSHEET else -1)
            found.sheets.append(sheet)
        at += length


def _encoding(number: int) -> str:
    name = f"cp{number}" if number != 32769 else "cp1252"
    try:
        b"".decode(name)
    except LookupError:
        return "cp1252"
    return name


def _short_text(records: bytes, at: int, encoding: str, is_new: bool) -> str:
    count = records[at]
    if not is_new:
        return records[at + 1 : at + 1 + count].decode(encoding, "replace")
    if records[at + 1] & 1:
        return records[at + 2 : at + 2 + 2 * count].decode("utf-16-le", "replace")
    return records[at + 2 : at + 2 + count].decode("latin-1")


def _look_through_sheet(records: bytes, sheet: OldSheet) -> None:
    if sheet.at < 0:
        return
    at, depth = sheet.at, 0
    head = struct.Struct("<HH").unpack_from
    while True:
        kind, length = head(records, at)
        at += 4
        if kind in _FORMULAS:
            row, column = head(records, at)
            sheet.formulas.add((row + 1, column))
        elif kind == _ROW:
            sheet.hidden_rows += bool(records[at + 12] & _IS_HIDDEN_ROW)
        elif kind == _BOF:
            # A chart inside the sheet begins and ends like one.
            depth += 1
        elif kind == _EOF:
            depth -= 1
            if depth <= 0:
                return
        at += length

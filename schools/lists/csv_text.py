"""CSV as people save it: any of four delimiters and five encodings, whole records, nothing swallowed by a stray quote."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence

from schools.lists.cells import Cell
from schools.lists.intake import Refused, utf16_without_mark
from schools.lists.legacy_text import CONVERTERS, detect, vietnamese_share

DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 200_000
# UTF-8 that was read as Windows-1252 and saved again: "Nguyá»…n" is Nguyễn.
_MOJIBAKE = re.compile("á[º»]|Ã[\u0080-\u00bf¡-¿]|Ä[‘\u0091]|Æ[°¡]|â€")
csv.field_size_limit(100_000)


def decode(content: bytes) -> str:
    """The text of a CSV: UTF-8, UTF-16, Windows-1258, or old fonts as Latin-1.

    Raises `Refused` when it holds binary.
    """
    text = _decode(content)
    if "\x00" in text:
        said = "Tệp có ký tự nhị phân nên không phải CSV: lưu lại từ Excel rồi gửi lại."
        raise Refused("not_workbook", said)
    return text


def _decode(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    if order := utf16_without_mark(content[:4096]):
        return content.decode(order, "replace")
    text = content.decode("utf-8-sig", "replace")
    broken = text.count("\ufffd")
    if not broken:
        return _once_more(text)
    # A few broken bytes in a file of UTF-8 spoil their own cells, not the file.
    if sum(char > "\x7f" for char in text[:_LOOKED_AT]) > 20 * text[:_LOOKED_AT].count("\ufffd"):
        return text
    # Old fonts are Latin-1 to the file; whichever reading gives more Vietnamese words is the right one.
    latin = content.decode("latin-1")
    windows = unicodedata.normalize("NFC", content.decode("cp1258", "replace"))
    encoding = detect(re.split(r'[\s;,|"]+', latin[:_LOOKED_AT]))
    if encoding and vietnamese_share(CONVERTERS[encoding](latin[:_LOOKED_AT])) > vietnamese_share(
        windows[:_LOOKED_AT]
    ):
        return latin
    return windows


def _once_more(text: str) -> str:
    """Undo one round of reading UTF-8 as Windows-1252, when all of the text survives it."""
    if len(_MOJIBAKE.findall(text[:_LOOKED_AT])) < 3:
        return text
    raw = bytearray()
    for char in text:
        try:
            raw += char.encode("cp1252")
        except UnicodeEncodeError:
            if ord(char) > 0xFF:
                return text
            raw.append(ord(char))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return text


def without_sep_line(text: str) -> str:
    """The text after a first line ``sep=;``, which Excel takes for itself: its row 1 is the next line."""
    first, _, rest = text.partition("\n")
    return rest if re.fullmatch(r"sep=.\r?", first, re.IGNORECASE) else text


def records(text: str, delimiter: str) -> Iterator[tuple[int, Sequence[Cell]]]:
    """(row as a spreadsheet numbers it, cells) of each record; ``="0123"`` is the text 0123.

    Raises `Refused` (``broken_file``) where a quote is left open or has swallowed the rows after it.
    """
    # Line ends inside quotes stay as they are, and only \\r, \\n, \\r\\n end a line.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            for place, cell in enumerate(row):
                if cell[:2] == '="' and cell[-1:] == '"':
                    row[place] = cell[2:-1]
                elif "\n" in cell and cell.count(delimiter) >= 3:
                    raise _bad(number)
            yield number, row
    except csv.Error as error:
        raise _bad(number + 1) from error


def _bad(row: int) -> Refused:
    said = (
        f"Tệp CSV có dấu nháy kép không khớp hoặc ô quá dài ở khoảng hàng {row}, các hàng sau có thể bị nuốt mất:"
        " mở bằng Excel, lưu thành .xlsx rồi gửi lại."
    )
    return Refused("broken_file", said)

"""Photos without what cameras write beside the picture: place, time, device, the thumbnail of before a crop.

JPEG (ITU T.81) and PNG (ISO/IEC 15948) are taken apart at their segments; the picture itself is not touched. Which way
up it is to be shown stays, as an EXIF block of that one number: a phone held upright writes its picture lying down.
"""

import struct
import zlib

# JPEG: start and end of image, start of scan, and the segments that decoding needs (JFIF, tables, frames, Adobe's colour).
_JPEG_KEPT = {0xE0, 0xEE, 0xDB, 0xC4, 0xDD, 0xDA, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xD0)}
_IN_SCAN = {b"\x00", *(bytes([0xD0 + number]) for number in range(8))}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DROPPED = {b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
_EXIF = b"Exif\0\0"
# EXIF 2.3 (TIFF 6.0): the tag of the orientation, a 16-bit number from 1 (as it lies) to 8.
_ORIENTATION, _SHORT = 0x0112, 3


def without_metadata(content: bytes) -> bytes:
    """The same picture without EXIF, XMP, comments and text, the same way up; anything but JPEG and PNG, or a broken one, as it is."""
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith(_PNG):
        return _png(content)
    return content


def _jpeg(content: bytes) -> bytes:
    kept, at, turned = [content[:2]], 2, False
    while at + 4 <= len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind == 0xD9:  # what a phone hides behind the end goes too
            return b"".join([*kept, content[at : at + 2]])
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if kind == 0xDA:
            end = _end_of_scan(content, end)
        if kind in _JPEG_KEPT:
            kept.append(content[at:end])
        elif kind == 0xE1 and not turned and (exif := _only_orientation(content[at + 4 : end], _EXIF)):
            kept.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
            turned = True
        at = end
        if content[at : at + 2] == b"\xff\xd9":
            return b"".join([*kept, content[at : at + 2]])
    return content


def _end_of_scan(content: bytes, at: int) -> int:
    """Where the next marker stands: 0xFF not followed by a stuffed zero or a restart."""
    while (at := content.find(b"\xff", at)) >= 0:
        if content[at + 1 : at + 2] not in _IN_SCAN:
            return at
        at += 2
    return len(content)


def _png(content: bytes) -> bytes:
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if content[at + 4 : at + 8] not in _PNG_DROPPED:
            kept.append(content[at:end])
        elif content[at + 4 : at + 8] == b"eXIf" and (exif := _only_orientation(content[at + 8 : end - 4])):
            block = b"eXIf" + exif
            kept.append(struct.pack(">I", len(exif)) + block + struct.pack(">I", zlib.crc32(block)))
        at = end
    return b"".join(kept) if at == len(content) else content


def _only_orientation(exif: bytes, mark: bytes = b"") -> bytes:
    """An EXIF block that says nothing but which way up, b"" when it is as it lies, unsaid or unreadable."""
    tiff = exif[len(mark) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if not exif.startswith(mark) or order is None or len(tiff) < 10:
        return b""
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return b""
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, turn = struct.unpack_from(order + "HHIH", tiff, at)
        if tag == _ORIENTATION and kind == _SHORT and 2 <= turn <= 8:
            entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, turn, 0)
            return mark + b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return b""

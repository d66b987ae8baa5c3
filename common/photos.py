"""Photos without what cameras write beside the picture: place, time, device, the thumbnail of before a crop.

JPEG (ITU T.81) and PNG (ISO/IEC 15948) are taken apart at their segments; the picture itself is not touched.
"""

# JPEG: start and end of image, start of scan, and the segments that decoding needs (JFIF, tables, frames, Adobe's colour).
_JPEG_KEPT = {0xE0, 0xEE, 0xDB, 0xC4, 0xDD, 0xDA, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xD0)}
_IN_SCAN = {b"\x00", *(bytes([0xD0 + number]) for number in range(8))}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DROPPED = {b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}


def without_metadata(content: bytes) -> bytes:
    """The same picture without EXIF, XMP, comments and text; anything but JPEG and PNG, or a broken one, as it is."""
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith(_PNG):
        return _png(content)
    return content


def _jpeg(content: bytes) -> bytes:
    kept, at = [content[:2]], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind == 0xD9:  # what a phone hides behind the end goes too
            return b"".join([*kept, content[at : at + 2]])
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if kind == 0xDA:
            end = _end_of_scan(content, end)
        if kind in _JPEG_KEPT:
            kept.append(content[at:end])
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
        at = end
    return b"".join(kept) if at == len(content) else content

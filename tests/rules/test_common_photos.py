"""Photos lose what the camera wrote beside the picture, and nothing of the picture."""

import struct
import zlib

import pytest

from common.photos import without_metadata

SECRET = b"GPS 21.0285,105.8542 iPhone cua Giang Thi My"


def segment(kind: int, content: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content


PICTURE = segment(0xDB, bytes(65)) + segment(0xC0, bytes(15)) + segment(0xC4, bytes(30))
SCAN = segment(0xDA, bytes(10)) + b"\x12\xff\x00\x34\xff\xd0\x56"
JPEG = b"\xff\xd8" + segment(0xE0, b"JFIF\0") + PICTURE + SCAN + segment(0xC4, bytes(9)) + SCAN + b"\xff\xd9"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13))
TAIL = chunk(b"IDAT", b"picture") + chunk(b"IEND", b"")


def test_a_jpeg_keeps_its_picture_and_loses_the_rest():
    taken = (
        JPEG[:2]
        + segment(0xE1, b"Exif\0\0" + SECRET)
        + segment(0xFE, SECRET)
        + JPEG[2:]
        + segment(0xE1, SECRET)
    )
    assert without_metadata(taken) == JPEG


def test_a_png_keeps_its_picture_and_loses_its_texts():
    taken = HEAD + chunk(b"eXIf", SECRET) + chunk(b"tEXt", SECRET) + TAIL
    assert without_metadata(taken) == HEAD + TAIL


def exif(order: str, turn: int, *, secret: bytes = SECRET) -> bytes:
    """A camera's EXIF: its maker (beside the entries), then which way up."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, 2)
    maker = struct.pack(order + "HHII", 0x010F, 2, len(secret), 38)
    return head + maker + struct.pack(order + "HHIHH", 0x0112, 3, 1, turn, 0) + bytes(4) + secret


def upright(turn: int) -> bytes:
    return b"MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHIHH", 0x0112, 3, 1, turn, 0) + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_stays_the_way_up_it_was_taken(order, turn):
    taken = JPEG[:2] + segment(0xE1, b"Exif\0\0" + exif(order, turn)) + JPEG[2:]
    kept = without_metadata(taken)
    turned = segment(0xE1, b"Exif\0\0" + upright(turn)) if turn > 1 else b""
    assert kept == JPEG[:2] + turned + JPEG[2:]
    assert without_metadata(kept) == kept
    png = without_metadata(HEAD + chunk(b"eXIf", exif(order, turn)) + TAIL)
    assert png == HEAD + (chunk(b"eXIf", upright(turn)) if turn > 1 else b"") + TAIL


def test_no_odd_exif_passes_or_breaks():
    """Cut anywhere, or pointing anywhere: what is left says a way up or nothing."""
    whole = exif("<", 6)
    odd = [whole[:length] for length in range(len(whole))]
    odd += [whole[:4] + struct.pack("<I", at) + whole[8:] for at in (0, 1, 30, 2**32 - 1)]
    odd += [whole[:8] + b"\xff\xff" + whole[10:], exif("<", 0), exif("<", 9), SECRET]
    for block in odd:
        kept = without_metadata(JPEG[:2] + segment(0xE1, b"Exif\0\0" + block) + JPEG[2:])
        turned = {b"", *(segment(0xE1, b"Exif\0\0" + upright(turn)) for turn in range(2, 9))}
        assert kept in {JPEG[:2] + extra + JPEG[2:] for extra in turned}


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 ...", b"\xff\xd8\xff", JPEG[:40], HEAD + b"\0\0"])
def test_what_is_no_whole_picture_stays_as_it_is(content):
    assert without_metadata(content) == content

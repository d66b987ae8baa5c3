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


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 ...", b"\xff\xd8\xff", JPEG[:40], HEAD + b"\0\0"])
def test_what_is_no_whole_picture_stays_as_it_is(content):
    assert without_metadata(content) == content

"""Labels with a QR code for devices, as a PDF: 3 × 8 on A4, cut lines by hand or label sheets of 70 × 37 mm."""

import datetime as dt
from collections.abc import Iterable

from django.conf import settings

from common.pdf import render_pdf
from common.qr import qr_svg_bytes
from ledger.codes import spell

# A web request of some three seconds; a larger lot is printed in parts.
MAX_LABELS = 1_000


def labels_pdf(devices: Iterable[tuple[str, str]], *, lot: str, at: dt.datetime) -> bytes:
    """The PDF of labels for (device code, model); the QR opens the device's public page."""
    rows = [
        {
            "code": spell(code),
            "model": model,
            "qr": qr_svg_bytes(f"{settings.PUBLIC_URL}/thiet-bi/{code}/", scale=1, mask=2).decode(),
        }
        for code, model in devices
    ]
    host = settings.PUBLIC_URL.split("://", 1)[-1]
    return render_pdf("donations/labels.typ", {"lot": lot, "labels": rows, "host": host}, at=at)

"""What a donor takes away as PDF: receipt, certificate, impact report; each with a QR to the pledge's public page."""

import datetime as dt

from django.conf import settings
from django.urls import reverse

from common.pdf import render_pdf
from common.qr import qr_svg_bytes
from common.templatetags.vi import format_date, format_money, format_number, format_percent, format_vnd
from donations.models import Device, Pledge
from donations.ways import stages_of

# The address of each kind → its template.
DOCUMENTS = {
    "giay-xac-nhan": "donations/receipt.typ",
    "giay-ghi-nhan": "donations/certificate.typ",
    "bao-cao-tac-dong": "donations/impact.typ",
}


def contribution(pledge: Pledge) -> tuple[int, int]:
    """(devices given, devices bought from the pledge's money), for a pledge with its progress: never the same twice."""
    bought = Device.objects.of_pledge(pledge).bought().count()
    return pledge.received_count - bought, bought


def document_pdf(pledge: Pledge, kind: str, *, today: dt.date) -> bytes:
    """The PDF of one of `DOCUMENTS` for a pledge with its progress; KeyError for another kind."""
    given, bought = contribution(pledge)
    page = settings.PUBLIC_URL + reverse("donations:pledge", args=[pledge.code])
    return render_pdf(
        DOCUMENTS[kind],
        {
            "code": pledge.code,
            "donor": pledge.donor.name,
            "tax_code": pledge.donor.tax_code,
            "made_on": format_date(pledge.made_at),
            "today": format_date(today),
            "received": _received(pledge, given, bought),
            "amount": format_money(pledge.received_vnd) if pledge.received_vnd else "",
            # What was bought is in the money already: it is said, not added.
            "count": format_number(given) if given else "",
            "bought": format_number(bought) if bought else "",
            "promised": _promised(pledge),
            "stages": _stages(pledge),
            "page": page,
            "qr": qr_svg_bytes(page).decode(),
        },
    )


def _received(pledge: Pledge, given: int, bought: int) -> list[list[str]]:
    rows = []
    if given:
        kind = pledge.get_device_kind_display() or "máy tính"
        rows.append([f"Máy tính được tặng ({kind.lower()})", format_number(given)])
    if bought:
        rows.append(["Máy tính mua từ tiền ủng hộ", format_number(bought)])
    if pledge.received_count:
        rows.append(["Trong đó đạt kiểm định", format_number(pledge.accepted_count)])
    return rows + [
        [
            f"Tiền, ngày {format_date(row.received_on)}, chứng từ {row.document_number}",
            format_vnd(row.amount_vnd),
        ]
        for row in pledge.money_receipts.order_by("received_on")[:200]
    ]


def _promised(pledge: Pledge) -> str:
    if pledge.quantity:
        return f"{format_number(pledge.quantity)} {pledge.get_device_kind_display().lower()}"
    return format_money(pledge.amount_vnd) if pledge.amount_vnd else pledge.description


def _stages(pledge: Pledge) -> list[list[str]]:
    """(where, devices, share of what was received), from published entries alone."""
    total = pledge.received_count
    return [
        [stage.label, format_number(stage.count), format_percent(stage.count, total)]
        for stage in stages_of(pledge)
        if stage.count
    ]

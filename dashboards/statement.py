"""The statement (sao kê): every inflow and outflow of mobilised money, one row each, newest first."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from donations.models import MoneyReceipt, PurchaseOrder

UNNAMED = "Nhà tài trợ không nêu tên"
# Both directions in one ordered read; `ref` is the row's permanent address.
ROWS = """
    SELECT * FROM (
        SELECT 'thu-' || receipt.id AS ref, receipt.received_on AS day, 'in' AS direction,
               CASE WHEN donor.is_named_in_public THEN donor.name ELSE '' END AS party,
               receipt.amount_vnd AS amount, pledge.code AS pledge, receipt.document_number AS document, '' AS text
        FROM donations_moneyreceipt receipt
        JOIN donations_pledge pledge ON pledge.id = receipt.pledge_id
        JOIN donations_donor donor ON donor.id = pledge.donor_id
        UNION ALL
        SELECT 'chi-' || purchase.id, (purchase.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, 'out',
               agreement.supplier, purchase.quantity * purchase.unit_price_vnd, pledge.code, purchase.code,
               purchase.quantity || ' × ' || agreement.model_name
        FROM donations_purchaseorder purchase
        JOIN donations_priceagreement agreement ON agreement.id = purchase.agreement_id
        JOIN donations_pledge pledge ON pledge.id = purchase.pledge_id
        WHERE purchase.state <> 'cancelled'
    ) line
    WHERE (%(direction)s = '' OR direction = %(direction)s)
      AND (%(since)s::date IS NULL OR day >= %(since)s) AND (%(until)s::date IS NULL OR day <= %(until)s)
      AND (%(words)s = '' OR lower(party || ' ' || pledge || ' ' || document) LIKE '%%' || lower(%(words)s) || '%%')
      AND (%(ref)s = '' OR ref = %(ref)s)
"""
ORDER = " ORDER BY day DESC, ref LIMIT %(limit)s OFFSET %(offset)s"


@dataclass(frozen=True)
class Line:
    """One row of the statement; `amount_vnd` is positive in both directions."""

    ref: str
    on: dt.date
    direction: str
    party: str
    amount_vnd: int
    pledge: str
    document: str
    text: str


@dataclass(frozen=True)
class Totals:
    count: int
    received_vnd: int
    ordered_vnd: int

    @property
    def balance_vnd(self) -> int:
        return self.received_vnd - self.ordered_vnd


def _given(**wanted) -> dict:
    return {
        "direction": "",
        "since": None,
        "until": None,
        "words": "",
        "ref": "",
        "limit": None,
        "offset": 0,
    } | wanted


def lines(**wanted) -> list[Line]:
    """Rows by `direction` (in, out), `since`, `until` (dates), `words`, `ref`, `limit`, `offset`; all optional."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS + ORDER, _given(**wanted))
        return [Line(*row) for row in cursor.fetchall()]


def totals(**wanted) -> Totals:
    """How many rows the same filters give, and the sums in and out."""
    sums = (
        "SELECT count(*), coalesce(sum(amount) FILTER (WHERE direction = 'in'), 0)::bigint, "
        "coalesce(sum(amount) FILTER (WHERE direction = 'out'), 0)::bigint FROM (" + ROWS + ") chosen"
    )
    with connection.cursor() as cursor:
        cursor.execute(sums, _given(**wanted))
        return Totals(*cursor.fetchone())


def open_rows() -> Iterator[tuple]:
    """The whole statement as open data, in chunks."""
    offset = 0
    while chunk := lines(limit=5_000, offset=offset):
        for line in chunk:
            yield (
                line.ref,
                line.on,
                line.direction,
                line.party,
                line.amount_vnd,
                line.pledge,
                line.document,
                line.text,
            )
        offset += len(chunk)


def documents_of(line: Line) -> list[tuple[str, str]]:
    """What stands behind a row, as (label, value): the receipt or the order, as far as it is public."""
    number = int(line.ref.partition("-")[2])
    if line.direction == "in":
        receipt = MoneyReceipt.objects.select_related("office").get(pk=number)
        return [
            ("Số chứng từ", receipt.document_number),
            ("Nơi giữ tiền", receipt.office.name),
            ("Ghi nhận lúc", f"{timezone.localtime(receipt.received_at):%H:%M %d/%m/%Y}"),
        ]
    order = PurchaseOrder.objects.select_related("agreement").get(pk=number)
    return [
        ("Mã đơn mua", order.code),
        ("Nhà cung cấp", order.agreement.supplier),
        ("Mẫu máy", order.agreement.model_name),
        ("Số lượng", f"{order.quantity:,}".replace(",", ".")),
        ("Đơn giá của ngày đặt", f"{order.unit_price_vnd:,} đ".replace(",", ".")),
        ("Trạng thái", order.get_state_display()),
    ]

"""The statement (sao kê): every inflow and outflow of mobilised money, one row each, newest first.

A transfer from one office to another ("move") changes neither sum: the money only lies elsewhere.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _

from common.templatetags.vi import format_moment, format_number, format_vnd
from donations.models import MoneyReceipt, MoneyTransfer

# Both directions in one ordered read; `ref` is the row's permanent address.
ROWS = """
    SELECT * FROM (
        SELECT receipt.code AS ref, receipt.received_on AS day, 'in' AS direction,
               CASE WHEN donor.is_named_in_public AND pledge.confirmed_at IS NOT NULL THEN donor.name ELSE '' END AS party,
               receipt.amount_vnd AS amount, pledge.code AS pledge, receipt.document_number AS document, '' AS text
        FROM donations_moneyreceipt receipt
        JOIN donations_pledge pledge ON pledge.id = receipt.pledge_id
        JOIN donations_donor donor ON donor.id = pledge.donor_id
        UNION ALL
        SELECT transfer.code, transfer.transferred_on, CASE WHEN transfer.order_id IS NULL THEN 'move' ELSE 'out' END,
               coalesce(agreement.supplier, destination.name), transfer.amount_vnd, pledge.code,
               transfer.document_number,
               coalesce(purchase.code || ': ' || purchase.quantity || ' × ' || agreement.model_name, '')
        FROM donations_moneytransfer transfer
        JOIN donations_pledge pledge ON pledge.id = transfer.pledge_id
        LEFT JOIN donations_purchaseorder purchase ON purchase.id = transfer.order_id
        LEFT JOIN donations_priceagreement agreement ON agreement.id = purchase.agreement_id
        LEFT JOIN schools_office destination ON destination.id = transfer.to_office_id
    ) line
    WHERE (%(direction)s = '' OR direction = %(direction)s)
      AND (%(since)s::date IS NULL OR day >= %(since)s) AND (%(until)s::date IS NULL OR day <= %(until)s)
      AND (%(words)s = '' OR lower(party || ' ' || pledge || ' ' || document) LIKE '%%' || lower(%(words)s) || '%%')
      AND (%(ref)s = '' OR ref = %(ref)s)
      AND (%(past)s::date IS NULL OR day < %(past)s OR day = %(past)s AND ref > %(past_ref)s)
"""
CHUNK = 5_000
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
    """Sums of the chosen rows."""

    count: int
    received_vnd: int
    paid_vnd: int

    @property
    def balance_vnd(self) -> int:
        return self.received_vnd - self.paid_vnd


def _given(**wanted) -> dict:
    return {
        "direction": "",
        "since": None,
        "until": None,
        "words": "",
        "ref": "",
        "past": None,
        "past_ref": "",
        "limit": None,
        "offset": 0,
    } | wanted


def lines(**wanted) -> list[Line]:
    """Rows by `direction` (in, out), `since`, `until` (dates), `words`, `ref`, `limit`, `offset`, and those that come
    after the row of a day and ref (`past`, `past_ref`); all optional."""
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


def open_rows(*, after: tuple | None = None, limit: int | None = None) -> Iterator[tuple]:
    """The statement as open data, in chunks: at most `limit` rows after the one of a day and ref."""
    on, ref = after or (None, "")
    left = limit
    while chunk := lines(past=on, past_ref=ref, limit=CHUNK if left is None else min(left, CHUNK)):
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
        on, ref = chunk[-1].on, chunk[-1].ref
        left = None if left is None else left - len(chunk)


def documents_of(line: Line) -> list[tuple[str, str]]:
    """What stands behind a row, as (label, value): where the money lies, the order and its price of the day."""
    if line.direction == "in":
        receipt = MoneyReceipt.objects.select_related("office").get(code=line.ref)
        return [
            (_("Nơi giữ tiền"), receipt.office.name),
            (_("Ghi nhận lúc"), format_moment(receipt.received_at)),
        ]
    transfer = MoneyTransfer.objects.select_related("from_office", "order__agreement").get(code=line.ref)
    rows = [
        (_("Nơi chi"), transfer.from_office.name),
        (_("Ghi nhận lúc"), format_moment(transfer.transferred_at)),
    ]
    if transfer.order:
        rows += [
            (_("Đơn mua"), transfer.order.code),
            (_("Mẫu máy"), transfer.order.agreement.model_name),
            (_("Số lượng"), format_number(transfer.order.quantity)),
            (_("Đơn giá của ngày đặt"), format_vnd(transfer.order.unit_price_vnd)),
            (_("Trạng thái đơn mua"), transfer.order.get_state_display()),
        ]
    return rows

"""What every service calls to put its change into the public log, in the same transaction as the change.

Also: openings of commitments, the closing of a batch, erasure.
"""

import datetime
import secrets
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from ledger import custody
from ledger.canon import CanonError, dumps
from ledger.commitments import commitment, new_salt
from ledger.events import BATCHED, VERSION, EventError, encode
from ledger.models import ClosedHold, LedgerOutbox, Opening

UNITS_LOCK = 3667_2022
LATEST = """
    SELECT n, state FROM (
        (SELECT n, state FROM ledger_outbox WHERE dev = %(dev)s ORDER BY n DESC LIMIT 1)
        UNION ALL
        (SELECT n, state FROM ledger_entry WHERE dev = %(dev)s ORDER BY n DESC LIMIT 1)
    ) both_tables ORDER BY n DESC LIMIT 1
"""
WAY = """
    SELECT n, state, eid FROM ledger_outbox WHERE dev = %(dev)s
    UNION ALL SELECT n, state, eid FROM ledger_entry WHERE dev = %(dev)s ORDER BY n DESC
"""


class LedgerRefusedError(ValidationError):
    """The entry can't be recorded; the message is for the person who acts. The business change is rolled back."""


@dataclass(frozen=True)
class Prepared:
    """One checked entry, ready for the outbox; `salts` are its openings (field, salt, value)."""

    eid: uuid.UUID
    body: str
    prev_at: int
    outcome: str
    subject: str | None
    salts: tuple[tuple[str, bytes, str], ...]


def record(
    *,
    event: str,
    on: datetime.date,
    device: str | None = None,
    area: str | None = None,
    hold: str | None = None,
    commit: Mapping[str, str] | None = None,
    **fields: str | int | datetime.date | None,
) -> uuid.UUID:
    """Record one entry in the caller's transaction and return its event id.

    `event` and `fields` as in `ledger.events.EVENTS` (a field that is None is left out; `from_`, `at_` and `to_`
    stand for `from`, `at` and `to`). `commit` maps a commitment's name to the private value; the opening is kept in
    its own table. `hold` is the batch key (run and area), which a handover must have and nothing else may. Raises LedgerRefusedError (a
    ValidationError in Vietnamese) for anything that breaks the format or the legal order of the device.
    """
    _must_be_atomic()
    _check_day(on)
    _check_hold(event, hold)
    given = {"dev": device, "area": area, **fields}
    prepared = prepare(event=event, on=on, fields=given, commit=commit)
    n, state = None, ""
    if device is not None:
        n, state = _next_step(event, prepared.outcome, device, given)
    LedgerOutbox.objects.create(
        eid=prepared.eid,
        event=event,
        day=on,
        dev=device,
        n=n,
        state=state,
        subject=prepared.subject,
        hold=hold,
        body=prepared.body,
        prev_at=prepared.prev_at,
    )
    if prepared.salts:
        Opening.objects.bulk_create(
            Opening(eid=prepared.eid, field=name, salt=salt, value=value)
            for name, salt, value in prepared.salts
        )
    return prepared.eid


def prepare(
    *,
    event: str,
    on: datetime.date,
    fields: Mapping[str, object],
    commit: Mapping[str, str] | None = None,
) -> Prepared:
    """Build and check an entry's bytes without touching the database."""
    eid = uuid.UUID(bytes=secrets.token_bytes(16))
    body: dict = {"v": VERSION, "t": event, "eid": eid.hex, "d": on.isoformat()}
    for key, value in fields.items():
        if value is None:
            continue
        body[key.removesuffix("_")] = value.isoformat() if isinstance(value, datetime.date) else value
    salts = tuple((name, new_salt(), value) for name, value in (commit or {}).items())
    if salts:
        body["c"] = {name: commitment(name, value, salt).hex() for name, salt, value in salts}
    try:
        data, kind = encode(body)
    except (EventError, CanonError) as error:
        raise LedgerRefusedError(
            f"Sổ cái không nhận mục «{event}»: {error}. Hãy kiểm tra lại dữ liệu vừa nhập.", code="format"
        ) from error
    text = data.decode()
    # `prev` goes before the first key that sorts after it; "t" and "v" always do.
    head = dumps({key: value for key, value in body.items() if key < "prev"}).decode()
    return Prepared(
        eid=eid,
        body=text,
        prev_at=len(head),
        outcome=str(body.get("outcome", "")),
        subject=str(body[kind.subject]) if kind.subject and kind.subject in body else None,
        salts=salts,
    )


def _must_be_atomic() -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("ledger: record inside the transaction of the change that it records")


def _check_day(on: datetime.date) -> None:
    if on > timezone.localdate():
        raise LedgerRefusedError(
            f"Ngày {on:%d/%m/%Y} chưa tới. Sổ cái chỉ ghi việc đã xảy ra: hãy sửa lại ngày.", code="future"
        )


def _check_hold(event: str, hold: str | None) -> None:
    if hold is not None and event not in BATCHED:
        raise LedgerRefusedError("Chỉ việc bàn giao mới được công bố theo đợt.", code="hold")
    if not hold and event in BATCHED:
        raise LedgerRefusedError(
            "Việc bàn giao phải kèm đợt công bố (đợt phân bổ và vùng): công bố riêng lẻ thì ngày nhận của một gia đình"
            " sẽ lộ ra.",
            code="hold",
        )


def _refuse_move(event: str, outcome: str, device: str, state: str) -> LedgerRefusedError:
    where = custody.LABEL.get(state, state)
    return LedgerRefusedError(
        f"Máy {device}: không ghi được «{custody.EVENT_LABEL.get(event, event)}» vì máy đang ở bước «{where}».",
        code="move",
    )


def _next_step(event: str, outcome: str, device: str, fields: Mapping[str, object]) -> tuple[int, str]:
    """Ordinal and state of the device's next entry; raises LedgerRefusedError for an illegal move."""
    with connection.cursor() as cursor:
        if event == "correction":
            return _correct(cursor, device, fields)
        cursor.execute(LATEST, {"dev": device})
        n, state = cursor.fetchone() or (-1, custody.NEW)
    try:
        return n + 1, custody.move(state, event, outcome)
    except custody.IllegalMoveError as error:
        raise _refuse_move(event, outcome, device, state) from error


def _correct(cursor, device: str, fields: Mapping[str, object]) -> tuple[int, str]:
    """A correction leaves the device where it is, or takes it back to before its latest entry."""
    cursor.execute(WAY, {"dev": device})
    way = cursor.fetchall()
    if not any(row[2].hex == fields["corrects"] for row in way):
        raise LedgerRefusedError(
            f"Máy {device} không có mục nào mang mã {fields['corrects']}.", code="correction"
        )
    n, state, latest = way[0]
    if fields["reason"] != "recorded_in_error":
        return n + 1, state
    if latest.hex != fields["corrects"]:
        raise LedgerRefusedError(
            f"Máy {device}: chỉ huỷ được bước mới nhất. Hãy huỷ các bước sau trước.", code="correction"
        )
    return n + 1, way[1][1] if len(way) > 1 else custody.NEW


def close_holds(*, holds: Iterable[str]) -> int:
    """The runs behind these batch keys are closed in their areas: what is held goes out with the next batch."""
    rows = [ClosedHold(hold=hold) for hold in holds]
    ClosedHold.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


@transaction.atomic
def register_units(
    *, on: datetime.date, names: Mapping[str, str], merged: Mapping[str, str] | None = None
) -> int:
    """Give codes of units and offices their names in the log, once each, again when renamed; return how many entries.

    `merged` are codes of units that are no more, with the code of the one that took each over; said once each. The
    public pages read names from the log alone, so that a mirror shows them too.
    """
    with connection.cursor() as cursor:
        # One at a time, or two callers would both register the same new office.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [UNITS_LOCK])
        cursor.execute(
            "SELECT subject, body::jsonb ->> 'name' FROM ("
            " SELECT subject, body, 0 AS later, index AS place FROM ledger_entry"
            " WHERE event IN ('unit.registered', 'unit.renamed') AND subject IS NOT NULL"
            " UNION ALL SELECT subject, body, 1, id FROM ledger_outbox"
            " WHERE event IN ('unit.registered', 'unit.renamed')) known ORDER BY later, place"
        )
        known = dict(cursor.fetchall())
        cursor.execute(
            "SELECT subject FROM ledger_entry WHERE event = 'unit.merged' AND subject = ANY(%(codes)s)"
            " UNION SELECT subject FROM ledger_outbox WHERE event = 'unit.merged' AND subject = ANY(%(codes)s)",
            {"codes": list(merged or {})},
        )
        told = {code for (code,) in cursor.fetchall()}
    waiting = []
    for code, name in names.items():
        tidy = unicodedata.normalize("NFC", " ".join(name.split()))[:200]
        if known.get(code) != tidy:
            event = "unit.renamed" if code in known else "unit.registered"
            ready = prepare(event=event, on=on, fields={"unit": code, "name": tidy})
            waiting.append((ready.eid, event, on, "", ready.subject, ready.body, ready.prev_at))
    for code, into in (merged or {}).items():
        if code not in told:
            ready = prepare(event="unit.merged", on=on, fields={"unit": code, "into": into})
            waiting.append((ready.eid, "unit.merged", on, "", ready.subject, ready.body, ready.prev_at))
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY ledger_outbox (eid, event, day, state, subject, body, prev_at) FROM STDIN") as copy,
    ):
        for row in waiting:
            copy.write_row(row)
    return len(waiting)


def openings_of(*, eid: uuid.UUID) -> list[Opening]:
    """What opens the commitments of one entry; empty once erased."""
    return list(Opening.objects.filter(eid=eid).order_by("field"))

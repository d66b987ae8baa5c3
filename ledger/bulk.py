"""Recording many entries at once, set-based: a class's handovers, a lot's arrival, a national commit.

`record_many` takes rows from Python, `record_select` takes a SELECT and never leaves the database (both: thousands; a
national run's million is recorded by `bulk_columns`). Both check the legal order of every device in one statement and record all or nothing.
"""

import datetime
import itertools
import re
import secrets
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import DataError, IntegrityError, connection, transaction
from psycopg import sql
from psycopg.errors import NotNullViolation, StringDataRightTruncation

from ledger import custody
from ledger.events import CODE, EVENTS, VERSION
from ledger.services import (
    LedgerRefusedError,
    _check_day,
    _check_hold,
    _must_be_atomic,
    _refuse_move,
    prepare,
)

STAGE = """
    CREATE TEMP TABLE ledger_stage (
        pos bigint GENERATED ALWAYS AS IDENTITY, eid uuid, dev text COLLATE "C", outcome text COLLATE "C",
        subject text COLLATE "C", hold text COLLATE "C", body text COLLATE "C", prev_at smallint
    ) ON COMMIT DROP
"""
# Where a device of `made` stands (its latest entry, waiting in the outbox or sealed) and what its move leads to.
STANDS = """
    LEFT JOIN {latest}
    CROSS JOIN LATERAL (SELECT {after} AS after) AS move
"""
ONE_BY_ONE = """
    LATERAL (
        SELECT n, state FROM (
            (SELECT n, state FROM ledger_outbox o WHERE o.dev = made.dev ORDER BY n DESC LIMIT 1)
            UNION ALL
            (SELECT n, state FROM ledger_entry e WHERE e.dev = made.dev ORDER BY n DESC LIMIT 1)
        ) AS both_tables ORDER BY n DESC LIMIT 1
    ) AS latest ON true
"""
# The same from one pass over the log. `chr(n)` before the state orders them by n; a device has no thousand steps.
ALL_AT_ONCE = """
    (
        SELECT dev, ascii(step) - 1 AS n, substr(step, 2) AS state FROM (
            SELECT dev, max(chr(n + 1) || state COLLATE "C") AS step FROM (
                SELECT dev, n, state FROM ledger_outbox UNION ALL SELECT dev, n, state FROM ledger_entry
            ) AS both_tables WHERE dev IS NOT NULL GROUP BY dev
        ) AS steps
    ) AS latest ON latest.dev = made.dev
"""
# A look into two indexes costs as much as some entries in a pass over all.
ENTRIES_PER_LOOK = 4
# In the order of their random codes: the caller's (a class's list, say) would tell who stands beside whom.
# An illegal move has no state after it, and a body that breaks the format is NULL: the table refuses either, and with
# it the whole statement, so that a million legal ones are looked at once.
INSERT = """
    INSERT INTO ledger_outbox (eid, event, day, dev, n, state, subject, hold, body, prev_at)
    SELECT made.eid, {event}, {day}, made.dev, coalesce(latest.n, -1) + 1, move.after, made.subject, made.hold,
        made.body, made.prev_at
    FROM ({made}) AS made {stands} ORDER BY made.dev
"""
INSERT_OTHER = """
    INSERT INTO ledger_outbox (eid, event, day, state, subject, hold, body, prev_at)
    SELECT made.eid, {event}, {day}, '', made.subject, made.hold, made.body, made.prev_at
    FROM ({made}) AS made ORDER BY made.pos
"""
REFUSED = """
    SELECT made.dev, made.outcome, coalesce(latest.state, ''), made.body IS NOT NULL FROM ({made}) AS made {stands}
    WHERE made.body IS NULL OR move.after IS NULL ORDER BY made.pos LIMIT 1
"""
STAGED = "SELECT * FROM ledger_stage ORDER BY pos"
# A few rows go along with the statement itself: making a table for them would cost more than recording them.
FEW = 500
GIVEN = """
    SELECT pos, eid, dev COLLATE "C" AS dev, outcome COLLATE "C" AS outcome, subject, hold, body, prev_at
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::smallint[])
        WITH ORDINALITY AS given (eid, dev, outcome, subject, hold, body, prev_at, pos) ORDER BY pos
"""
REFUSALS = (NotNullViolation, StringDataRightTruncation)

STATES = """
    SELECT asked.dev, latest.state FROM unnest(%s::text[]) AS asked (dev) CROSS JOIN LATERAL (
        SELECT n, state FROM (
            (SELECT n, state FROM ledger_outbox o WHERE o.dev = asked.dev ORDER BY n DESC LIMIT 1)
            UNION ALL
            (SELECT n, state FROM ledger_entry e WHERE e.dev = asked.dev ORDER BY n DESC LIMIT 1)
        ) both_tables ORDER BY n DESC LIMIT 1
    ) latest
"""


def states_of(codes: Sequence[str]) -> dict[str, str]:
    """Where each device stands after its newest event (`custody.LABEL`); a device without any is left out."""
    with connection.cursor() as cursor:
        cursor.execute(STATES, [list(codes)])
        return dict(cursor.fetchall())


def record_many(
    *, event: str, on: datetime.date, rows: Iterable[Mapping[str, object]]
) -> dict[str, uuid.UUID]:
    """Record one entry per row in the caller's transaction; return event ids by device code (or row number).

    A row has the fields of the event, and may have `device`, `area`, `hold` and `commit` as in
    `services.record`. One row per device; in the log they stand in the order of the devices' codes, which are random,
    whatever the order of `rows`. Raises LedgerRefusedError naming the first device that may not
    make the move; then nothing is recorded.
    """
    _must_be_atomic()
    _check_day(on)
    eids: dict[str, uuid.UUID] = {}
    salts: list[tuple] = []
    made = _prepared(event, on, rows, eids, salts)
    first = list(itertools.islice(made, FEW))
    with connection.cursor() as cursor:
        if is_few := len(first) < FEW:
            given = [list(column) for column in zip(*first, strict=True)] or [[]] * 7
        else:
            _fresh_stage(cursor)
            with cursor.copy(
                "COPY ledger_stage (eid, dev, outcome, subject, hold, body, prev_at) FROM STDIN"
            ) as copy:
                for row in itertools.chain(first, made):
                    copy.write_row(row)
            cursor.execute("ANALYZE ledger_stage")
        if salts:
            with cursor.copy("COPY ledger_opening (eid, field, salt, value) FROM STDIN") as copy:
                for opening in salts:
                    copy.write_row(opening)
        if is_few:
            _insert(cursor, event, on, GIVEN, given)
        else:
            _insert(cursor, event, on, STAGED)
    return eids


def _prepared(
    event: str,
    on: datetime.date,
    rows: Iterable[Mapping[str, object]],
    eids: dict[str, uuid.UUID],
    salts: list[tuple],
) -> Iterator[tuple]:
    """The entries of the rows in the order of the stage's columns; their ids and salts are added to the two."""
    for number, row in enumerate(rows):
        fields: dict[str, Any] = dict(row)
        hold, commit = fields.pop("hold", None), fields.pop("commit", None)
        device = fields.pop("device", None)
        _check_hold(event, hold)
        ready = prepare(event=event, on=on, fields={"dev": device, **fields}, commit=commit)
        key = device or str(number)
        if key in eids:
            raise LedgerRefusedError(f"Máy {key} có hai lần trong cùng một danh sách.", code="twice")
        eids[key] = ready.eid
        salts += [(ready.eid, *salt) for salt in ready.salts]
        yield ready.eid, device, ready.outcome, ready.subject, hold, ready.body, ready.prev_at


def record_select(
    *,
    event: str,
    on: datetime.date,
    select: str,
    params: Sequence | Mapping = (),
    columns: Sequence[str],
    constants: Mapping[str, str | int] | None = None,
) -> int:
    """Record one entry per row of `select` in the caller's transaction, in one statement; return how many.

    `select` is SQL of the caller (never of a person) that yields exactly `columns`: `device`, keys of the
    event, `hold`; a NULL leaves an optional key out. `constants` are keys with the same value in every row.
    Codes, hashes and words are checked in the database against the event's kinds. No commitments and no
    names this way. A nation's are recorded by `bulk_columns`. Raises LedgerRefusedError naming the first device of
    `select` that may not make the move or whose values break the format; then nothing is recorded.

    Example: record_select(event="device.allocated", on=day, columns=["device", "area"], constants={"run": code},
    select="SELECT device_code, public_area FROM allocation_allocation WHERE run_id = %s", params=[run.pk])
    """
    _must_be_atomic()
    _check_day(on)
    _check_hold(event, "hold" if "hold" in columns else None)
    made = _made_sql(event, on, select, columns=columns, constants=constants or {})
    with connection.cursor() as cursor:
        return _insert(cursor, event, on, made, params)


def with_steps(*, event: str, select: str, expected: int) -> str:
    """SQL of the rows of `select` with a column `step`: the latest step of their `device`, NULL if it may not make the
    move now. `expected` says about how many rows there are."""
    with connection.cursor() as cursor:
        latest = ALL_AT_ONCE if _has_fewer_steps(cursor, expected * ENTRIES_PER_LOOK) else ONE_BY_ONE
    stands = STANDS.format(latest=latest, after=_after_sql(event))
    return f"""
        SELECT made.*, CASE WHEN move.after IS NOT NULL THEN coalesce(latest.n, -1) END AS step
        FROM (SELECT given.*, device AS dev, '' AS outcome FROM ({select}) AS given) AS made {stands}
    """


def refuse_moves(*, event: str, select: str, params: Sequence | Mapping = ()) -> None:
    """Raise LedgerRefusedError naming the first `device` of `select` that may not make the move now; record nothing."""
    made = f"SELECT device AS dev, '' AS outcome, '' AS body, row_number() OVER () AS pos FROM ({select}) AS rows"
    with connection.cursor() as cursor:
        stands = STANDS.format(latest=ONE_BY_ONE, after=_after_sql(event))
        cursor.execute(REFUSED.format(made=made, stands=stands), params or None)
        refused = cursor.fetchone()
    if refused is not None:
        device, outcome, state, _ = refused
        raise _refuse_move(event, outcome, device, state)


def _fresh_stage(cursor) -> None:
    cursor.execute("DROP TABLE IF EXISTS pg_temp.ledger_stage")
    cursor.execute(STAGE)


def _insert(cursor, event: str, on: datetime.date, made: str, params: Sequence | Mapping = ()) -> int:
    """Put the rows of `made` into the outbox; refuse all if one device may not make the move. Returns how many."""
    names = {"made": made, "event": _literal(event), "day": _literal(on)}
    if "dev" in EVENTS[event].required:
        stands = STANDS.format(latest=ONE_BY_ONE, after=_after_sql(event))
        statement = INSERT.format(**names, stands=stands)
        refused = REFUSED.format(made=made, stands=stands)
    else:
        statement = INSERT_OTHER.format(**names)
        refused = f"SELECT NULL, '', '', false FROM ({made}) AS made WHERE body IS NULL LIMIT 1"
    try:
        with transaction.atomic():
            cursor.execute(statement, params or None)
            return cursor.rowcount
    except (IntegrityError, DataError) as error:
        if not isinstance(error.__cause__, REFUSALS):
            raise
        cursor.execute(refused, params or None)
        device, outcome, state, is_well_formed = cursor.fetchone()
        raise (
            _refuse_move(event, outcome, device, state) if is_well_formed else _refuse_format(event, device)
        ) from error


def _has_fewer_steps(cursor, than: int) -> bool:
    """Whether there are fewer entries than so many, sealed and waiting. No more of those that wait are counted."""
    cursor.execute(
        "SELECT (SELECT coalesce(max(index), -1) + 1 FROM ledger_entry) "
        "+ (SELECT count(*) FROM (SELECT FROM ledger_outbox LIMIT %(than)s) AS waiting) < %(than)s",
        {"than": than},
    )
    return cursor.fetchone()[0]


def _after_sql(event: str) -> str:
    """The state that the move of `made` leads to from `latest`, NULL if it is not legal: the one table of custody.py
    decides in SQL too. An expression, for a join with the legal moves costs a million rows half a second."""
    moves = [
        sql.SQL("WHEN made.outcome = {} AND coalesce(latest.state, '') = {} THEN {}")
        .format(outcome, before, after)
        .as_string(None)
        for (name, outcome), states in custody.TRANSITIONS.items()
        if name == event
        for before, after in states.items()
    ]
    return f"CASE {' '.join(moves)} END"


def _refuse_format(event: str, device: str | None) -> LedgerRefusedError:
    kinds = {**EVENTS[event].required, **EVENTS[event].optional}
    whose = f" của máy {device}" if device else ""
    return LedgerRefusedError(
        f"Sổ cái không nhận mục «{event}»{whose}: có giá trị không đúng dạng. "
        f"Dạng đúng: {', '.join(f'{key} là {kind}' for key, kind in kinds.items())}.",
        code="format",
    )


def _literal(value: object) -> str:
    return sql.Literal(value).as_string(None)


PATTERN = {
    "code": CODE.pattern,
    "place": CODE.pattern,
    "province": r"VN[0-9]{4}-[0-9]{2}",
    "device": "[0-9A-HJKMNP-TV-Z]{12}",
    "hash": "[0-9a-f]{64}",
    "eid": "[0-9a-f]{32}",
}
# A bound on the repetition makes PostgreSQL's regular expressions ten times as slow, and there are a million of them:
# so the length is looked at apart (a test holds both to the patterns).
BOUNDS = {
    "code": (1, 64),
    "place": (1, 64),
    "province": (9, 9),
    "device": (12, 12),
    "hash": (64, 64),
    "eid": (32, 32),
}
UNBOUNDED = {
    **PATTERN,
    "code": "[A-Za-z0-9][A-Za-z0-9._/-]*",
    "place": "[A-Za-z0-9][A-Za-z0-9._/-]*",
    "device": "[0-9A-HJKMNP-TV-Z]*",
    "hash": "[0-9a-f]*",
    "eid": "[0-9a-f]*",
}


class Pieces:
    """A text in SQL, put together of constant and computed pieces; constant ones that meet become one."""

    def __init__(self, begins: str) -> None:
        self.computed: list[tuple[str, str]] = []  # (constant text before it, SQL expression)
        self.rest = begins

    def add(self, text: str, expression: str = "", after: str = "") -> None:
        self.rest += text
        if expression:
            self.computed.append((self.rest, expression))
            self.rest = after

    def joined(self) -> str:
        pairs = [f"{_literal(text)} || {expression}" for text, expression in self.computed]
        return " || ".join([*pairs, _literal(self.rest)])

    def closed(self) -> str:
        """The end of an object: without the last comma, with its brace."""
        if self.rest:
            self.rest = self.rest.rstrip(",") + "}"
            return self.joined()
        return f"rtrim({self.joined()}, ',') || '}}'"


def _made_sql(
    event: str,
    on: datetime.date,
    select: str,
    *,
    columns: Sequence[str],
    constants: Mapping[str, str | int],
) -> str:
    """SELECT of `eid, dev, outcome, subject, hold, body, prev_at, pos`; `body` is canonical by construction, NULL if a
    value is not of its kind.

    Every value is a code, a word of an enum or an integer, so no character of it needs an escape; keys are
    written in their sorted order.
    """
    keys = {
        ("dev" if column == "device" else column.removesuffix("_")): column
        for column in columns
        if column != "hold"
    }
    _check_keys(event, keys, constants)
    head, tail, tests = _object_sql(event, on, keys, constants)
    if "hold" in columns:
        tests.append("hold <> ''")
    subject = _subject_sql(event, keys, constants)
    outcome = '"outcome"' if "outcome" in keys else _literal(str(constants.get("outcome", "")))
    # 128 bits per entry from 256 fresh ones and its number: as random as asking the system for each, a tenth of the cost.
    secret = f"'\\x{secrets.token_hex(32)}'::bytea"
    eid = f"encode(substr(sha256({secret} || int8send(pos)), 1, 16), 'hex')"
    # OFFSET 0 keeps the planner from writing the head out twice. No percent sign is in any of it: psycopg's are the caller's.
    return f"""
        SELECT eid::uuid AS eid, {"device" if "device" in columns else "NULL::text"} AS dev, {outcome} AS outcome,
            {subject} AS subject, {"hold" if "hold" in columns else "NULL::text"} AS hold,
            CASE WHEN {" AND ".join(tests) or "true"} THEN head || {tail.closed()} END AS body,
            octet_length(head) AS prev_at, pos
        FROM (
            SELECT numbered.*, {head.joined()} AS head FROM (
                SELECT placed.*, {eid} AS eid FROM (
                    SELECT rows.*, row_number() OVER () AS pos FROM ({select}) AS rows
                ) AS placed OFFSET 0
            ) AS numbered OFFSET 0
        ) AS with_head
    """


def _check_keys(event: str, keys: Collection[str], constants: Collection[str]) -> None:
    """Refuse a column or constant that the event doesn't know, and one that it needs and that is missing."""
    known = EVENTS[event]
    unknown = [key for key in [*keys, *constants] if key not in {**known.required, **known.optional}]
    missing = [key for key in known.required if key not in keys and key not in constants]
    if "dev" in keys and "dev" not in known.required:  # a correction looks at the device's whole way
        unknown.append("dev")
    if unknown or missing:
        raise LedgerRefusedError(f"Sổ cái: «{event}» thừa {unknown}, thiếu {missing}.", code="format")


def _object_sql(
    event: str, on: datetime.date, keys: Mapping[str, str], constants: Mapping[str, str | int]
) -> tuple[Pieces, Pieces, list[str]]:
    """The body before and after the place of `prev`, and what must hold of the columns for it to be well formed."""
    kinds = {**EVENTS[event].required, **EVENTS[event].optional}
    fixed = {"v": VERSION, "t": event, "d": on.isoformat(), **constants}
    head, tail = Pieces("{"), Pieces("")
    tests: list[str] = []
    for key in sorted({*keys, *fixed, "eid"}):
        side = head if key < "prev" else tail
        if key == "eid":
            side.add('"eid":"', "eid", '",')
        elif key in fixed:
            value = fixed[key]
            if key in constants:
                _check_constant(event, key, value, kinds[key])
            side.add(f'"{key}":{value},' if isinstance(value, int) else f'"{key}":"{value}",')
        else:
            column = sql.Identifier(keys[key]).as_string(None)
            kind = kinds[key]
            quote, text = ("", f"{column}::bigint") if kind in ("count", "flag") else ('"', column)
            if key in EVENTS[event].required:
                side.add(f'"{key}":{quote}', text, f"{quote},")
            else:
                side.add("", f"""coalesce('"{key}":{quote}' || {text} || '{quote},', '')""", "")
            tests.append(column_test(column, kind, optional=key in EVENTS[event].optional))
    return head, tail, tests


def _subject_sql(event: str, keys: Mapping[str, str], constants: Mapping[str, str | int]) -> str:
    """What the entry is about, as an expression; NULL for an event that is about no code."""
    subject = EVENTS[event].subject
    if subject is not None and subject in keys:
        return sql.Identifier(keys[subject]).as_string(None)
    return _literal(str(constants[subject])) if subject is not None and subject in constants else "NULL"


def _check_constant(event: str, key: str, value: str | int, kind: object) -> None:
    from_kind = kind if isinstance(kind, tuple) else None
    if from_kind is not None:
        valid = value in from_kind
    elif kind in ("count", "flag"):
        valid = isinstance(value, int) and value >= 0
    else:
        valid = isinstance(value, str) and kind in PATTERN and _matches(PATTERN[kind], value)
    if not valid:
        raise LedgerRefusedError(f"Sổ cái không nhận «{event}»: {key}={value!r}.", code="format")


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value) is not None


def column_test(column: str, kind: object, *, optional: bool = False) -> str:
    """SQL that is true when the value of `column` is of `kind`, one of `ledger.events`; for a CHECK, too."""
    if isinstance(kind, tuple):
        words = ", ".join(sql.Literal(word).as_string(None) for word in kind)
        test = f"{column} IN ({words})"
    elif kind in ("count", "flag"):
        test = f"{column} BETWEEN 0 AND {2**53 - 1 if kind == 'count' else 1}"
    elif kind in BOUNDS:
        shortest, longest = BOUNDS[kind]
        # All letters that pass are one byte each.
        size = f"= {longest}" if shortest == longest else f"BETWEEN {shortest} AND {longest}"
        test = f"octet_length({column}) {size} AND {column} ~ '^({UNBOUNDED[kind]})$'"
    else:
        raise LedgerRefusedError(f"Sổ cái: không ghi hàng loạt được trường kiểu {kind}.", code="format")
    return f"({column} IS NULL OR {test})" if optional else f"coalesce({test}, false)"

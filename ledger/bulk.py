"""Recording many entries at once, set-based: a class's handovers, a lot's arrival, a national commit.

`record_many` takes rows from Python (thousands); `record_select` takes a SELECT and never leaves the
database (a million). Both check the legal order of every device in one statement and record all or nothing.
"""

import datetime
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence

from django.db import connection
from psycopg import sql

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
# Moves as rows, so that the one table of custody.py decides in SQL too.
INSERT = """
    WITH moves (outcome, before, after) AS (SELECT * FROM unnest(%(outcomes)s::text[], %(before)s::text[], %(after)s::text[])),
    placed AS (
        SELECT s.*, coalesce(latest.n, -1) + 1 AS n, coalesce(latest.state, '') AS before
        FROM ledger_stage s LEFT JOIN LATERAL (
            SELECT n, state FROM (
                (SELECT n, state FROM ledger_outbox o WHERE o.dev = s.dev ORDER BY n DESC LIMIT 1)
                UNION ALL
                (SELECT n, state FROM ledger_entry e WHERE e.dev = s.dev ORDER BY n DESC LIMIT 1)
            ) both_tables ORDER BY n DESC LIMIT 1
        ) latest ON true
    )
    INSERT INTO ledger_outbox (eid, event, day, dev, n, state, subject, hold, body, prev_at)
    SELECT p.eid, %(event)s, %(day)s, p.dev, p.n, m.after, p.subject, p.hold, p.body, p.prev_at
    FROM placed p JOIN moves m ON m.outcome = p.outcome AND m.before = p.before
    ORDER BY p.pos
"""
INSERT_OTHER = """
    INSERT INTO ledger_outbox (eid, event, day, state, subject, hold, body, prev_at)
    SELECT eid, %(event)s, %(day)s, '', subject, hold, body, prev_at FROM ledger_stage ORDER BY pos
"""
REFUSED = """
    SELECT s.dev, s.outcome, coalesce(latest.state, '') FROM ledger_stage s LEFT JOIN LATERAL (
        SELECT n, state FROM (
            (SELECT n, state FROM ledger_outbox o WHERE o.dev = s.dev ORDER BY n DESC LIMIT 1)
            UNION ALL
            (SELECT n, state FROM ledger_entry e WHERE e.dev = s.dev ORDER BY n DESC LIMIT 1)
        ) both_tables ORDER BY n DESC LIMIT 1
    ) latest ON true
    WHERE NOT EXISTS (
        SELECT 1 FROM unnest(%(outcomes)s::text[], %(before)s::text[]) AS m (outcome, before)
        WHERE m.outcome = s.outcome AND m.before = coalesce(latest.state, '')
    ) ORDER BY s.pos LIMIT 1
"""


def record_many(
    *, event: str, on: datetime.date, rows: Iterable[Mapping[str, object]]
) -> dict[str, uuid.UUID]:
    """Record one entry per row in the caller's transaction; return event ids by device code (or row number).

    A row has the fields of the event, and may have `device`, `area`, `hold` and `commit` as in
    `services.record`. One row per device. Raises LedgerRefusedError naming the first device that may not
    make the move; then nothing is recorded.
    """
    _must_be_atomic()
    _check_day(on)
    eids: dict[str, uuid.UUID] = {}
    salts: list[tuple] = []
    with connection.cursor() as cursor:
        _fresh_stage(cursor)
        with cursor.copy(
            "COPY ledger_stage (eid, dev, outcome, subject, hold, body, prev_at) FROM STDIN"
        ) as copy:
            for number, row in enumerate(rows):
                fields = dict(row)
                hold, commit = fields.pop("hold", None), fields.pop("commit", None)
                device = fields.pop("device", None)
                _check_hold(event, hold)
                ready = prepare(event=event, on=on, fields={"dev": device, **fields}, commit=commit)
                key = device or str(number)
                if key in eids:
                    raise LedgerRefusedError(f"Máy {key} có hai lần trong cùng một danh sách.", code="twice")
                eids[key] = ready.eid
                salts += [(ready.eid, *salt) for salt in ready.salts]
                copy.write_row(
                    (ready.eid, device, ready.outcome, ready.subject, hold, ready.body, ready.prev_at)
                )
        if salts:
            with cursor.copy("COPY ledger_opening (eid, field, salt, value) FROM STDIN") as copy:
                for opening in salts:
                    copy.write_row(opening)
        _insert(cursor, event, on, len(eids))
    return eids


def record_select(
    *,
    event: str,
    on: datetime.date,
    select: str,
    params: Sequence | Mapping = (),
    columns: Sequence[str],
    constants: Mapping[str, str | int] | None = None,
) -> int:
    """Record one entry per row of `select` in the caller's transaction; return how many.

    `select` is SQL of the caller (never of a person) that yields exactly `columns`: `device`, keys of the
    event, `hold`; a NULL leaves an optional key out. `constants` are keys with the same value in every row.
    Codes, hashes and words are checked in the database against the event's kinds. No commitments and no
    names this way. Raises LedgerRefusedError like `record_many`.

    Example: record_select(event="device.allocated", on=day, columns=["device", "area"], constants={"run": code},
    select="SELECT device_code, public_area FROM allocation_allocation WHERE run_id = %s", params=[run.pk])
    """
    _must_be_atomic()
    _check_day(on)
    with connection.cursor() as cursor:
        _fresh_stage(cursor)
        statement, check = _stage_sql(event, on, select, columns, constants or {})
        cursor.execute(statement, params or None)
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE body IS NULL), min(dev) FILTER (WHERE body IS NULL) FROM ledger_stage"
        )
        count, bad, first = cursor.fetchone()
        if bad:
            raise LedgerRefusedError(
                f"Sổ cái không nhận {bad} mục «{event}» ({check}), mục đầu tiên của máy {first}.",
                code="format",
            )
        _insert(cursor, event, on, count)
    return count


def _fresh_stage(cursor) -> None:
    cursor.execute("DROP TABLE IF EXISTS pg_temp.ledger_stage")
    cursor.execute(STAGE)


def _insert(cursor, event: str, on: datetime.date, count: int) -> None:
    """Move the staged rows into the outbox; refuse all if one device may not make the move."""
    if "dev" not in EVENTS[event].required:
        cursor.execute(INSERT_OTHER, {"event": event, "day": on})
        return
    moves = [
        (outcome, before, after)
        for (name, outcome), states in custody.TRANSITIONS.items()
        if name == event
        for before, after in states.items()
    ]
    outcomes, before, after = (list(column) for column in zip(*moves, strict=True))
    names = {"event": event, "day": on, "outcomes": outcomes, "before": before, "after": after}
    cursor.execute("ANALYZE ledger_stage")
    cursor.execute(INSERT, names)
    if cursor.rowcount != count:
        cursor.execute(REFUSED, names)
        device, outcome, state = cursor.fetchone()
        raise _refuse_move(event, outcome, device, state)


PATTERN = {
    "code": CODE.pattern,
    "place": CODE.pattern,
    "province": r"VN[0-9]{4}-[0-9]{2}",
    "device": "[0-9A-HJKMNP-TV-Z]{12}",
    "hash": "[0-9a-f]{64}",
    "eid": "[0-9a-f]{32}",
}


def _stage_sql(
    event: str, on: datetime.date, select: str, columns: Sequence[str], constants: Mapping[str, str | int]
) -> tuple[str, str]:
    """INSERT into the stage whose body is canonical by construction, and what it checks, in words.

    Every value is a code, a word of an enum or an integer, so no character of it needs an escape; keys are
    written in their sorted order.
    """
    kinds = {**EVENTS[event].required, **EVENTS[event].optional}
    keys = {
        ("dev" if column == "device" else column.removesuffix("_")): column
        for column in columns
        if column != "hold"
    }
    unknown = [key for key in [*keys, *constants] if key not in kinds]
    missing = [key for key in EVENTS[event].required if key not in keys and key not in constants]
    if unknown or missing:
        raise LedgerRefusedError(f"Sổ cái: «{event}» thừa {unknown}, thiếu {missing}.", code="format")
    fixed = {"v": VERSION, "t": event, "d": on.isoformat(), **constants}
    # A constant's kind is checked once, in Python, by an example body below.
    head, tail, tests = [], [], []
    for key in sorted({*keys, *fixed, "eid"}):
        side = head if key < "prev" else tail
        if key == "eid":
            side.append("""'"eid":"' || eid_hex || '",'""")
        elif key in fixed:
            value = fixed[key]
            if key in constants:
                _check_constant(event, key, value, kinds[key])
            literal = f'"{key}":{value},' if isinstance(value, int) else f'"{key}":"{value}",'
            side.append(sql.Literal(literal).as_string(None))
        else:
            column = sql.Identifier(keys[key]).as_string(None)
            kind = kinds[key]
            quoted = kind not in ("count", "flag")
            text = (
                f"""'"{key}":"' || {column} || '",'"""
                if quoted
                else f"""'"{key}":' || {column}::bigint || ','"""
            )
            side.append(text if key in EVENTS[event].required else f"coalesce({text}, '')")
            tests.append(_column_test(column, kind, optional=key in EVENTS[event].optional))
    subject_key = EVENTS[event].subject
    subject = "NULL"
    if subject_key in keys:
        subject = sql.Identifier(keys[subject_key]).as_string(None)
    elif subject_key in constants:
        subject = sql.Literal(str(constants[subject_key])).as_string(None)
    outcome = sql.Literal(str(constants.get("outcome", ""))).as_string(None)
    if "outcome" in keys:
        outcome = "outcome"
    head_text, tail_text = " || ".join(head), " || ".join(tail)
    # The text is doubled for psycopg: literals may hold a percent sign only in a code, which CODE forbids.
    statement = f"""
        INSERT INTO ledger_stage (eid, dev, outcome, subject, hold, body, prev_at)
        SELECT eid_hex::uuid, {"device" if "device" in columns else "NULL"}, {outcome}, {subject},
            {"hold" if "hold" in columns else "NULL"},
            CASE WHEN {" AND ".join(tests) or "true"} THEN '{{' || head_text || rtrim({tail_text}, ',') || '}}' END,
            length(head_text) + 1
        FROM (
            SELECT source.*, head.head_text FROM (
                SELECT rows.*, encode(substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 16), 'hex') AS eid_hex
                FROM ({select}) AS rows
            ) AS source CROSS JOIN LATERAL (SELECT {head_text} AS head_text) AS head
        ) AS made
    """
    return statement, ", ".join(f"{key}: {kinds[key]}" for key in keys)


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


def _column_test(column: str, kind: object, *, optional: bool) -> str:
    """SQL that is true when the column's value is of the kind."""
    if isinstance(kind, tuple):
        words = ", ".join(sql.Literal(word).as_string(None) for word in kind)
        test = f"{column} IN ({words})"
    elif kind in ("count", "flag"):
        test = f"{column} BETWEEN 0 AND {2**53 - 1 if kind == 'count' else 1}"
    elif kind in PATTERN:
        test = f"{column} ~ {sql.Literal(f'^({PATTERN[kind]})$').as_string(None)}"
    else:
        raise LedgerRefusedError(f"Sổ cái: không ghi hàng loạt được trường kiểu {kind}.", code="format")
    return f"({column} IS NULL OR {test})" if optional else f"coalesce({test}, false)"

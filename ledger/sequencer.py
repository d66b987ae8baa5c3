"""From the outbox to contiguous entries, set-based: one statement numbers, chains, hashes, inserts and deletes.

It takes what is in the outbox and due, never "id > last seen": a row with a small id may commit late.
Handovers wait for their batch, and hold their device's later entries with them.
"""

import contextlib
import datetime
from collections.abc import Iterator

from django.conf import settings
from django.db import connection, transaction

SEQUENCER_LOCK = 3667_2021
CHUNK = 131_072
AREA_MINIMUM = 10

SEAL = """
    numbered AS (
        SELECT *, %(base)s + row_number() OVER (ORDER BY place, n, shuffle) - 1 AS index FROM due
    ), chained AS (
        SELECT *, CASE WHEN n > 0 THEN coalesce(
            lag(index) OVER (PARTITION BY dev ORDER BY n),
            (SELECT e.index FROM ledger_entry e WHERE e.dev = numbered.dev ORDER BY e.n DESC LIMIT 1)
        ) END AS prev FROM numbered
    ), sealed AS (
        SELECT index, eid, event, dev, n, state, subject, CASE WHEN prev IS NULL THEN body ELSE
            substr(body, 1, prev_at) || '"prev":' || prev || ',' || substr(body, prev_at + 1) END AS body
        FROM chained
    )
    INSERT INTO ledger_entry (index, eid, event, dev, n, state, subject, body, leaf_hash)
    SELECT index, eid, event, dev, n, state, subject, body, sha256('\\x00'::bytea || convert_to(body, 'UTF8'))
    FROM sealed ORDER BY index
"""
# What names another entry by its id (an erasure, a correction) never comes before it.
PLAIN = f"""
    WITH due AS (
        DELETE FROM ledger_outbox WHERE id IN (
            SELECT o.id FROM ledger_outbox o WHERE o.hold IS NULL AND NOT EXISTS (
                SELECT 1 FROM ledger_outbox h WHERE h.hold IS NOT NULL AND h.dev = o.dev AND h.n < o.n
            ) AND NOT (o.event IN ('commitment.erased', 'correction') AND EXISTS (
                SELECT 1 FROM ledger_outbox h WHERE h.hold IS NOT NULL AND replace(h.eid::text, '-', '') = o.subject
            )) ORDER BY o.id LIMIT %(limit)s
        ) RETURNING eid, event, dev, n, state, subject, body, prev_at, id AS place, NULL::uuid AS shuffle
    ), {SEAL}
"""
# Due: handovers of weeks that are over, of areas with ten or of closed runs; each with the Monday of its batch. Ten of
# one kind: five handovers and five confirmations of earlier ones are no ten.
READY = """
    CREATE TEMP TABLE ledger_ready ON COMMIT DROP AS
    SELECT o.hold, o.event, date_trunc('week', max(o.day))::date AS monday
    FROM ledger_outbox o LEFT JOIN ledger_closed_hold c ON c.hold = o.hold
    WHERE o.hold IS NOT NULL AND (%(at_once)s OR o.day < date_trunc('week', %(today)s::date))
    GROUP BY o.hold, o.event
    HAVING %(at_once)s OR count(DISTINCT o.dev) >= %(minimum)s OR bool_or(c.hold IS NOT NULL)
"""
BATCH = f"""
    WITH held AS (
        SELECT o.dev, o.n, o.day, r.monday,
            r.hold IS NOT NULL AND (%(at_once)s OR o.day < date_trunc('week', %(today)s::date)) AS free
        FROM ledger_outbox o LEFT JOIN ledger_ready r ON r.hold = o.hold AND r.event = o.event
        WHERE o.hold IS NOT NULL
    ), way AS (
        SELECT dev, min(n) FILTER (WHERE free) AS first, min(n) FILTER (WHERE NOT free) AS wall,
            max(monday) FILTER (WHERE free) AS monday
        FROM held GROUP BY dev
    ), due AS (
        DELETE FROM ledger_outbox o USING way w
        WHERE o.dev = w.dev AND o.n >= w.first AND (w.wall IS NULL OR o.n < w.wall)
        RETURNING o.eid, o.event, o.dev, o.n - w.first AS place, o.eid AS shuffle, o.n, o.state, o.subject, o.prev_at,
            overlay(o.body placing to_char(CASE WHEN o.hold IS NULL THEN greatest(o.day, w.monday) ELSE w.monday END,
                'YYYY-MM-DD') from strpos(o.body, '"d":"') + 5 for 10) AS body
    ), {SEAL.replace("ORDER BY place, n, shuffle", "ORDER BY place, shuffle")}
"""


@contextlib.contextmanager
def sequencer_lock(*, wait: bool = False) -> Iterator[bool]:
    """The one right to seal and publish; False when another process has it (and we don't wait)."""
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(%s)", [SEQUENCER_LOCK])
            held = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [SEQUENCER_LOCK])
            (held,) = cursor.fetchone()
    try:
        yield held
    finally:
        if held and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SEQUENCER_LOCK])


def seal(*, today: datetime.date, at_once: bool | None = None, chunk: int = CHUNK) -> int:
    """Move everything due from the outbox into the log; return how many entries. Call under `sequencer_lock`.

    `at_once` releases held handovers without waiting for the week or for ten (demonstration only); None reads the
    setting. Each chunk is one transaction: killed at any point, nothing is lost or doubled.
    """
    at_once = settings.LEDGER_AT_ONCE if at_once is None else at_once
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor, as_sequencer(cursor):
            cursor.execute(PLAIN, {"base": _size(cursor), "limit": chunk})
            moved = cursor.rowcount
        total += moved
        if moved < chunk:
            break
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM ledger_outbox WHERE hold IS NOT NULL)")
        if cursor.fetchone()[0]:
            when = {"at_once": at_once, "today": today, "minimum": AREA_MINIMUM}
            cursor.execute("DROP TABLE IF EXISTS pg_temp.ledger_ready")
            cursor.execute(READY, when)
            cursor.execute("GRANT SELECT ON ledger_ready TO ledger_sequencer")
            with as_sequencer(cursor):
                cursor.execute(BATCH, when | {"base": _size(cursor)})
                total += cursor.rowcount
    if total >= chunk:
        _tidy_outbox()
    return total


def _tidy_outbox() -> None:
    """Take away the dead rows that a large batch leaves: each later turn would read them all until autovacuum came."""
    if not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ledger_outbox")


@contextlib.contextmanager
def as_sequencer(cursor) -> Iterator[None]:
    """Act as the one role that the database lets into the log, inside the current transaction."""
    cursor.execute("SET LOCAL ROLE ledger_sequencer")
    cursor.execute("SET LOCAL work_mem = '256MB'")
    # An outbox that just grew from nothing still has the statistics of an empty table: the planner then compares every
    # waiting event with every held one, minutes long. Hash joins cost the same whatever it believes.
    cursor.execute("SET LOCAL enable_nestloop = off")
    yield
    # After an error the rollback takes the role back.
    cursor.execute("SET LOCAL ROLE NONE")


def _size(cursor) -> int:
    cursor.execute("SELECT coalesce(max(index), -1) + 1 FROM ledger_entry")
    return cursor.fetchone()[0]


def log_size() -> int:
    """Entries in the log's table."""
    with connection.cursor() as cursor:
        return _size(cursor)

"""Comparing the database with the published log."""

from typing import Any

from django.conf import settings
from django.db import connection

from ledger import custody
from ledger.disk import Disk
from ledger.log import LogError, verify_log
from ledger.publisher import read_table
from ledger.tiles import WIDTH, read_entries

# The columns that pages read beside the body say what the body says, and each state follows from the one before.
COLUMNS = """
    WITH moves AS (
        SELECT * FROM unnest(%(events)s::text[], %(outcomes)s::text[], %(before)s::text[], %(after)s::text[])
            AS m (event, outcome, before, after)
    ), told AS (
        SELECT e.*, e.body::jsonb AS said FROM ledger_entry e WHERE e.index < %(size)s
    ), steps AS (
        SELECT t.*, row_number() OVER way - 1 AS place, coalesce(lag(state) OVER way, '') AS before,
            coalesce(lag(state, 2) OVER way, '') AS earlier
        FROM told t WINDOW way AS (PARTITION BY dev ORDER BY n)
    )
    SELECT s.index FROM steps s LEFT JOIN moves m
        ON m.event = s.event AND m.outcome = coalesce(s.said ->> 'outcome', '') AND m.before = s.before
    WHERE s.event <> s.said ->> 't' OR s.eid <> (s.said ->> 'eid')::uuid OR s.dev IS DISTINCT FROM s.said ->> 'dev'
        OR CASE
            WHEN s.dev IS NULL THEN s.state <> ''
            WHEN s.n <> s.place THEN true
            WHEN s.event <> 'correction' THEN m.after IS DISTINCT FROM s.state
            WHEN s.said ->> 'reason' = 'recorded_in_error' THEN s.state <> s.earlier
            ELSE s.state <> s.before
        END
    ORDER BY s.index LIMIT 1
"""


def verify_columns(size: int) -> None:
    """Compare what pages read of each entry with its body, set-based. Raises LogError naming the first that differs."""
    rows = [
        (event, outcome, before, after)
        for (event, outcome), states in custody.TRANSITIONS.items()
        for before, after in states.items()
    ]
    events, outcomes, before, after = (list(column) for column in zip(*rows, strict=True))
    names: dict[str, Any] = {
        "size": size,
        "events": events,
        "outcomes": outcomes,
        "before": before,
        "after": after,
    }
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, names)
        if found := cursor.fetchone():
            raise LogError(f"entry {found[0]} of the table: its columns don't say what its body says")


def verify_database(size: int) -> dict:
    """Compare every published entry with the table; {"entries", "waiting", "ahead"}. Raises LogError."""
    disk, at = Disk(settings.LEDGER_DIR), 0
    theirs = (data for bundle in read_entries(disk.fetch, size) for data in bundle)
    for bodies, _ in read_table(0, size):
        for body in bodies:
            if next(theirs, None) != body:
                raise LogError(f"entry {at} of the table is not the published one (bundle {at // WIDTH})")
            at += 1
    if at != size:
        raise LogError(f"the table has {at} of the {size} published entries")
    verify_columns(size)
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM ledger_outbox)")
        entries, waiting = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM ledger_outbox o JOIN ledger_entry e ON e.eid = o.eid")
        if doubled := cursor.fetchone()[0]:
            raise LogError(f"{doubled} entries are in the log and still in the outbox")
    return {"entries": entries, "waiting": waiting, "ahead": entries - size}


__all__ = ["LogError", "verify_database", "verify_log"]

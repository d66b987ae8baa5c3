"""A national commit that holds up no reader: a shadow table takes the place of the old one at the very end.

Live indexes and foreign keys cost several times the load of a million rows, and dropping them in place would lock
every reader out. So the rows go into a table beside it, indexes, constraints and triggers are built from the old
one's definitions and checked, and only then do the names change hands, in milliseconds. Writers wait from the first
statement on; readers only for the swap.

The table beside is built on a connection of its own while the caller's transaction writes the ledger (docs/adr/0031):
nobody reads it before the swap, which is in the caller's transaction, so that all of it or none takes place. What a
caller leaves behind when it fails is dropped, by itself or, if it was killed, by whoever comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connection, transaction

TABLE = "allocation_allocation"
SHADOW = "allocation_allocation_next"

INDEXES = """
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), c.conname, c.contype
    FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid
    WHERE i.indrelid = %s::regclass ORDER BY i.indisprimary DESC, 1
"""
FOREIGN_KEYS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = %s::regclass AND contype = 'f' ORDER BY 1
"""
REFERENCES = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE confrelid = %s::regclass AND contype = 'f' ORDER BY 1, 2
"""
TRIGGERS = """
    SELECT tgname, pg_get_triggerdef(oid), tgenabled::text, obj_description(oid, 'pg_trigger') FROM pg_trigger
    WHERE tgrelid = %s::regclass AND NOT tgisinternal ORDER BY tgname
"""
GRANTS = """
    SELECT grantee, string_agg(privilege_type, ', ') FROM information_schema.role_table_grants
    WHERE table_name = %s AND grantee <> current_user GROUP BY grantee
"""
# Held by whoever commits a large run, and by the connection that builds for it: a process that was killed may leave
# the latter at work for a while. The numbers are arbitrary but fixed.
COMMITTING, BUILDING = 3_667_000_002, 3_667_000_003
# Whoever waits longer for a writer of students or devices gives up: two connections that wait for each other through
# this process are a deadlock that PostgreSQL can't see.
WAIT = "30s"
ENABLED = {"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


@contextmanager
def alone() -> Iterator[None]:
    """The one who builds; outside of any transaction. Nothing is left beside the table before and after."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [COMMITTING])
    try:
        _drop_left_over()
        yield
    finally:
        try:
            _drop_left_over()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [COMMITTING])


def _drop_left_over() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BUILDING])
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [SHADOW])
        if cursor.fetchone()[0]:
            cursor.execute(f"SET LOCAL lock_timeout = '{WAIT}'")
            cursor.execute(f"DROP TABLE {SHADOW}")


@contextmanager
def beside(build: Callable[[], int]) -> Iterator[Future[int]]:
    """Let `build` run on a connection and in a transaction of its own while the body of the `with` goes on.

    The caller's transaction keeps writers out of the table until it ends. Both have ended when the block has; an
    error of `build` is raised in preference to one of the body. Within `alone`, in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
    with ThreadPoolExecutor(1) as thread:
        built = thread.submit(_on_own_connection, build)
        try:
            yield built
        finally:
            built.result()


def _on_own_connection(build: Callable[[], int]) -> int:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BUILDING])
                cursor.execute(f"SET LOCAL lock_timeout = '{WAIT}'")
                # One core for this and one for the ledger, which takes longer: helpers would only slow that down.
                cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
                cursor.execute("SET LOCAL max_parallel_maintenance_workers = 0")
            return build()
    finally:
        connection.close()  # of this thread


def load(fill: Callable[[str, int], int]) -> int:
    """Make the shadow table with the rows of the old one and those of `fill`; returns how many these are.

    `fill` is given the table's name and the first id to use, writes, and returns how many. Everything but inbound
    references is in place and checked when this returns. Within `beside`."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute("SET LOCAL work_mem = '256MB'")
        cursor.execute(
            f"CREATE TABLE {SHADOW} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY)"
        )
        cursor.execute(f"INSERT INTO {SHADOW} SELECT * FROM {TABLE} ORDER BY id")
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [TABLE])
        first_id = cursor.fetchone()[0]
        added = fill(SHADOW, first_id)
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [SHADOW, first_id + added]
        )
        for name, definition, constraint, kind in _rows(cursor, INDEXES):
            moved = definition.replace(f" {name} ON ", f" {name}_next ON ", 1).replace(
                f".{TABLE} ", f".{SHADOW} ", 1
            )
            cursor.execute(moved)
            if constraint:
                words = {"p": "PRIMARY KEY", "u": "UNIQUE"}[kind]
                cursor.execute(
                    f"ALTER TABLE {SHADOW} ADD CONSTRAINT {constraint}_next {words} USING INDEX {name}_next"
                )
        cursor.execute(f"ANALYZE {SHADOW}")  # before the foreign keys are checked, which is a join each
        # Two indexes by the same key, read side by side, cost a third of hashing a million rows.
        cursor.execute("SET LOCAL enable_hashjoin = off")
        for name, definition in _rows(cursor, FOREIGN_KEYS):
            cursor.execute(f"ALTER TABLE {SHADOW} ADD CONSTRAINT {name} {definition}")
        for name, definition, enabled, comment in _rows(cursor, TRIGGERS):
            cursor.execute(definition.replace(f".{TABLE} ", f".{SHADOW} ", 1))
            if enabled in ENABLED:
                cursor.execute(f"ALTER TABLE {SHADOW} {ENABLED[enabled]} TRIGGER {name}")
            if comment:
                cursor.execute(f"COMMENT ON TRIGGER {name} ON {SHADOW} IS %s", [comment])
        for grantee, privileges in _rows(cursor, GRANTS):
            cursor.execute(f'GRANT {privileges} ON {SHADOW} TO "{grantee}"')
        return added


def swap() -> None:
    """Let the shadow table take the old one's place and name. The last step before the transaction ends: from here
    on readers wait."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        references = _rows(cursor, REFERENCES)
        names = [(name, constraint) for name, _, constraint, _ in _rows(cursor, INDEXES)]
        cursor.execute(
            "SELECT pg_get_serial_sequence(%s, 'id'), pg_get_serial_sequence(%s, 'id')", [TABLE, SHADOW]
        )
        sequence, next_sequence = cursor.fetchone()
        for child, name, _ in references:
            cursor.execute(f"ALTER TABLE {child} DROP CONSTRAINT {name}")
        cursor.execute(f"DROP TABLE {TABLE}")
        cursor.execute(f"ALTER TABLE {SHADOW} RENAME TO {TABLE}")
        for name, constraint in names:
            if constraint:
                cursor.execute(f"ALTER TABLE {TABLE} RENAME CONSTRAINT {constraint}_next TO {constraint}")
            else:
                cursor.execute(f"ALTER INDEX {name}_next RENAME TO {name}")
        cursor.execute(f"ALTER SEQUENCE {next_sequence} RENAME TO {sequence.split('.')[-1]}")
        for child, name, definition in references:
            cursor.execute(f"ALTER TABLE {child} ADD CONSTRAINT {name} {definition}")


def _rows(cursor, query: str) -> list[tuple]:
    cursor.execute(query, [TABLE])
    return cursor.fetchall()

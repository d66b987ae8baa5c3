"""A national commit that holds up no reader: a shadow table takes the place of the old one at the very end.

Live indexes and foreign keys cost several times the load of a million rows, and dropping them in place would lock
every reader out. So, in one transaction: the rows go into a table beside it, indexes, constraints and triggers
are built from the old one's definitions and checked, and only then do the names change hands, in milliseconds.
Writers wait from the first statement on; readers only for the swap.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

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
ENABLED = {"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


def load(insert: str, params: list[Any]) -> int:
    """Make the shadow table with the rows of the old one and those of `insert` (with `{table}`); returns how many
    were added. Everything but inbound references is in place and checked when it returns."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what waits to be checked would block the ALTERs
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute("SET LOCAL work_mem = '256MB'")
        cursor.execute(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            f"CREATE TABLE {SHADOW} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY)"
        )
        cursor.execute(f"INSERT INTO {SHADOW} SELECT * FROM {TABLE} ORDER BY id")
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), nextval(pg_get_serial_sequence(%s, 'id')))",
            [SHADOW, TABLE],
        )
        cursor.execute(insert.format(table=SHADOW), params)
        added = cursor.rowcount
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

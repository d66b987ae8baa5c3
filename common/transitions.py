"""Legal moves of a state, held by the database too: a trigger made from a model's one ``TRANSITIONS`` list.

In an app's ``0002_guards.py``::

    operations = [
        hold_transitions("donations_device", "state", Device.TRANSITIONS),
        append_only("donations_inspection"),
    ]

The test of a move stands in the trigger's WHEN, so that a legal bulk update calls no function at all.
"""

from collections.abc import Sequence

from django.db import migrations

from common.erasure import ERASED

CREATE_MOVES = """
CREATE OR REPLACE FUNCTION {table}_{column}_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Không chuyển được từ trạng thái «%» sang «%».', OLD.{column}, NEW.{column}
        USING ERRCODE = 'check_violation', TABLE = '{table}', CONSTRAINT = '{table}_{column}_moves';
END $$;
DROP TRIGGER IF EXISTS {table}_{column}_moves ON {table};
CREATE TRIGGER {table}_{column}_moves BEFORE UPDATE OF {column} ON {table} FOR EACH ROW
WHEN (OLD.{column} IS DISTINCT FROM NEW.{column} AND (OLD.{column} || ' > ' || NEW.{column}) NOT IN ({moves}))
EXECUTE FUNCTION {table}_{column}_refuse_move();
"""
DROP_MOVES = """
DROP TRIGGER IF EXISTS {table}_{column}_moves ON {table};
DROP FUNCTION IF EXISTS {table}_{column}_refuse_move();
"""
CREATE_FROZEN = """
CREATE OR REPLACE FUNCTION {table}_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN{but}
    RAISE EXCEPTION 'Bảng {table} chỉ thêm vào, không sửa và không xoá.'
        USING ERRCODE = 'restrict_violation', TABLE = '{table}', CONSTRAINT = '{table}_append_only';
END $$;
DROP TRIGGER IF EXISTS {table}_append_only ON {table};
CREATE TRIGGER {table}_append_only BEFORE UPDATE{columns} OR DELETE ON {table} FOR EACH ROW
EXECUTE FUNCTION {table}_refuse_change();
"""
# The one change that such a row may see: what a family asked to erase becomes the mark, all else stays.
BUT_ERASED = """
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - ARRAY[{names}] = to_jsonb(OLD) - ARRAY[{names}] AND {marked} THEN
        RETURN NEW;
    END IF;"""
DROP_FROZEN = """
DROP TRIGGER IF EXISTS {table}_append_only ON {table};
DROP FUNCTION IF EXISTS {table}_refuse_change();
"""


def hold_transitions(table: str, column: str, transitions: Sequence[tuple[str, str]]) -> migrations.RunSQL:
    """Migration operation: an update of ``column`` outside ``transitions`` is refused as a check violation.

    Args:
        table: the database table, such as ``donations_device``.
        column: the state's column.
        transitions: the model's ``TRANSITIONS``, pairs of state before and after.
    """
    moves = ", ".join(f"'{before!s} > {after!s}'" for before, after in transitions)
    return migrations.RunSQL(
        CREATE_MOVES.format(table=table, column=column, moves=moves),
        DROP_MOVES.format(table=table, column=column),
    )


def append_only(
    table: str, *, columns: Sequence[str] = (), erasable: Sequence[str] = ()
) -> migrations.RunSQL:
    """Migration operation: rows are never changed or deleted.

    Args:
        columns: only these never change; every column if empty.
        erasable: text columns that may be overwritten by `common.erasure.ERASED` (Law 91/2025/QH15) and nothing else.
    """
    but = ""
    if erasable:
        but = BUT_ERASED.format(
            names=", ".join(f"'{name}'" for name in erasable),
            marked=" AND ".join(f"NEW.{name} IN (OLD.{name}, '{ERASED}')" for name in erasable),
        )
    named = f" OF {', '.join(columns)}" if columns else ""
    return migrations.RunSQL(
        CREATE_FROZEN.format(table=table, columns=named, but=but), DROP_FROZEN.format(table=table)
    )

"""Rows into a table by COPY, inserted or brought up to date, in one statement each: for what comes from files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, models, transaction
from psycopg import sql


@dataclass(frozen=True)
class Upserted:
    """How many rows were new, changed, and already the same; how many were taken away, where a loader does that."""

    inserted: int
    changed: int
    same: int
    removed: int = 0


@transaction.atomic
def upsert(model: type[models.Model], *, key: Sequence[str], rows: Iterable[dict]) -> Upserted:
    """Bring rows into a model's table by a unique key; rows that are already the same are not touched.

    Args:
        model: whose table; its own defaults are applied to fields that the rows don't name.
        key: field names of a unique constraint.
        rows: one dict per row, all with the same field names (``unit_id`` for a foreign key).

    Untouched rows leave no trace in the audit trail, so the call can be repeated at every start.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return Upserted(0, 0, 0)
    # A key of its own is the database's to give; one that points at another table is the caller's.
    own_key = model._meta.pk if model._meta.pk.remote_field is None else None
    fields = {f.attname: f for f in model._meta.concrete_fields if not f.generated and f is not own_key}
    given = list(first)
    defaults = {
        name: field.get_db_prep_save(field.get_default(), connection)
        for name, field in fields.items()
        if name not in first and (field.has_default() or not field.null)
    }
    columns = [fields[name].column for name in (*given, *defaults)]
    table = sql.Identifier(model._meta.db_table)
    stage = sql.Identifier(f"stage_{model._meta.db_table}")
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    keys = sql.SQL(", ").join(sql.Identifier(fields[name].column) for name in key)
    updated = [fields[name].column for name in given if name not in key]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
                stage, names, table
            )
        )
        total = 0
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(stage, names)) as copy:
            for row in (first, *rows):
                values = [fields[name].get_db_prep_save(row[name], connection) for name in given]
                copy.write_row([*values, *defaults.values()])
                total += 1
        changed = 0
        if updated:
            pairs = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(c)) for c in updated)
            match = sql.SQL(" AND ").join(
                sql.SQL("t.{0} = s.{0}").format(sql.Identifier(fields[name].column)) for name in key
            )
            old, new = (
                sql.SQL(", ").join(
                    sql.SQL("{}.{}").format(sql.SQL(alias), sql.Identifier(c)) for c in updated
                )
                for alias in ("t", "s")
            )
            cursor.execute(
                sql.SQL("UPDATE {} t SET {} FROM {} s WHERE {} AND ({}) IS DISTINCT FROM ({})").format(
                    table, pairs, stage, match, _row(old), _row(new)
                )
            )
            changed = cursor.rowcount
        cursor.execute(
            sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {2} ON CONFLICT ({3}) DO NOTHING").format(
                table, names, stage, keys
            )
        )
        inserted = cursor.rowcount
        cursor.execute(sql.SQL("DROP TABLE {}").format(stage))
    return Upserted(inserted, changed, total - inserted - changed)


def _row(columns: sql.Composable) -> sql.Composable:
    return sql.SQL("ROW({})").format(columns)

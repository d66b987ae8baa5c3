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
    target = _Target.of(model, key=key, given=list(first))
    with connection.cursor() as cursor:
        total = target.fill_stage(cursor, (first, *rows))
        changed = target.update(cursor)
        inserted = target.insert(cursor)
        cursor.execute(sql.SQL("DROP TABLE {}").format(target.stage))
    return Upserted(inserted, changed, total - inserted - changed)


@dataclass(frozen=True)
class _Target:
    """A table, the stage beside it that the rows come into, and the columns that they name."""

    table: sql.Composable
    stage: sql.Composable
    fields: dict[str, models.Field]
    given: list[str]
    defaults: dict[str, object]
    key: Sequence[str]

    @classmethod
    def of(cls, model: type[models.Model], *, key: Sequence[str], given: list[str]) -> "_Target":
        # A key of its own is the database's to give; one that points at another table is the caller's.
        own_key = model._meta.pk if model._meta.pk.remote_field is None else None
        fields = {f.attname: f for f in model._meta.concrete_fields if not f.generated and f is not own_key}
        defaults = {
            name: field.get_db_prep_save(field.get_default(), connection)
            for name, field in fields.items()
            if name not in given and (field.has_default() or not field.null)
        }
        table = model._meta.db_table
        return cls(sql.Identifier(table), sql.Identifier(f"stage_{table}"), fields, given, defaults, key)

    @property
    def names(self) -> sql.Composable:
        return self._listed(self.fields[name].column for name in (*self.given, *self.defaults))

    def _listed(self, columns: Iterable[str], alias: str = "") -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(*filter(None, (alias, column))) for column in columns)

    def fill_stage(self, cursor, rows: Iterable[dict]) -> int:
        """COPY the rows into the stage; how many."""
        create = sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0")
        cursor.execute(create.format(self.stage, self.names, self.table))
        total = 0
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(self.stage, self.names)) as copy:
            for row in rows:
                values = [self.fields[name].get_db_prep_save(row[name], connection) for name in self.given]
                copy.write_row([*values, *self.defaults.values()])
                total += 1
        return total

    def update(self, cursor) -> int:
        """Bring rows that are there and differ up to date; how many."""
        columns = [self.fields[name].column for name in self.given if name not in self.key]
        if not columns:
            return 0
        pairs = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(c)) for c in columns)
        match = sql.SQL(" AND ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(self.fields[name].column)) for name in self.key
        )
        cursor.execute(
            sql.SQL("UPDATE {} t SET {} FROM {} s WHERE {} AND ROW({}) IS DISTINCT FROM ROW({})").format(
                self.table, pairs, self.stage, match, self._listed(columns, "t"), self._listed(columns, "s")
            )
        )
        return cursor.rowcount

    def insert(self, cursor) -> int:
        """Add rows whose key is new; how many."""
        keys = self._listed(self.fields[name].column for name in self.key)
        cursor.execute(
            sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {2} ON CONFLICT ({3}) DO NOTHING").format(
                self.table, self.names, self.stage, keys
            )
        )
        return cursor.rowcount

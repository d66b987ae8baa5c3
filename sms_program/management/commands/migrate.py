"""Django's `migrate`, which renders the models once per migration instead of once per operation.

Django builds a model and all that relate to it, with us nearly all, again for every field, constraint, index and trigger
of every migration: an empty database took a minute of CPU, at every first start and test run. Here a migration of plain
operations is run with the states before and after the whole of it. A table is created in the form that the migration
ends with, so what is only added to a table of the same migration is already there. Every other migration runs as ever.
"""

import contextlib
from collections.abc import Iterator

from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    CreateModel,
    Migration,
    RemoveConstraint,
    RemoveIndex,
    RunSQL,
)
from pgtrigger.migrations import AddTrigger, RemoveTrigger

_apply = Migration.apply
# Written by pgtrigger for `@audited` models; made anew, and so without the setting, whenever such a model changes.
UNPLANNED = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE prosrc LIKE '% JOIN new_values %' AND NOT 'enable_nestloop=off' = ANY (coalesce(proconfig, '{}'))
"""
_ADDING = (AddField, AlterField, AddConstraint, AddIndex)
_PLAIN = (CreateModel, RemoveConstraint, RemoveIndex, AddTrigger, RemoveTrigger, RunSQL, *_ADDING)


def _is_plain(migration: Migration) -> bool:
    """Whether each operation means the same when it sees only the states before and after the migration."""
    created = {
        operation.name_lower for operation in migration.operations if isinstance(operation, CreateModel)
    }
    seen: set[tuple[str, str]] = set()
    for operation in migration.operations:
        if type(operation) not in _PLAIN:
            return False
        if isinstance(operation, RunSQL) and operation.state_operations:
            return False
        model = getattr(operation, "model_name", "").lower()
        if isinstance(operation, RemoveConstraint | RemoveIndex) and model in created:
            return False
        if isinstance(operation, AddField | AlterField):
            if (field := (model, operation.name_lower)) in seen:
                return False
            seen.add(field)
    return True


def _apply_rendering_once(migration, state, schema_editor, collect_sql=False):
    if collect_sql or not _is_plain(migration):
        return _apply(migration, state, schema_editor, collect_sql)
    before = state.clone()
    # Without rendered models, changing the state costs nothing; they are rendered at their next use, once.
    state.__dict__.pop("apps", None)
    created = set()
    for operation in migration.operations:
        operation.state_forwards(migration.app_label, state)
        if isinstance(operation, CreateModel):
            created.add(operation.name_lower)
    for operation in migration.operations:
        if not (isinstance(operation, _ADDING) and operation.model_name.lower() in created):
            operation.database_forwards(migration.app_label, schema_editor, before, state)
    return state


def join_images_by_hash(database: str) -> None:
    """Forbid nested loops to the triggers of the audit trail that compare rows before and after a statement.

    A session plans such a trigger once, at its first update. When that changed one row, the plan was a nested loop, and
    a later update of n rows in the same session, a worker's say, compared n x n: 54 s instead of 0.8 s for 20,000.
    """
    with connections[database].cursor() as cursor:
        cursor.execute(UNPLANNED)
        for (function,) in cursor.fetchall():
            cursor.execute(f"ALTER FUNCTION {function} SET enable_nestloop = off")


@contextlib.contextmanager
def _replaced(owner: type, name: str, function) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, kept)


class Command(migrate.Command):
    def handle(self, *args, **options):
        with _replaced(Migration, "apply", _apply_rendering_once):
            super().handle(*args, **options)
        join_images_by_hash(options["database"])

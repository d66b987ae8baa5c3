"""Django's `migrate`, which renders our models once per first migration instead of once per operation.

Django builds a model and all its relations again for every field, constraint, index and trigger that a migration adds
after its CreateModel; with our few hundred of them an empty database took a minute of CPU, at every first start and
test run. In the first migration of one of our apps each table is created here in the form that the migration ends
with, so what is only added to a table of the same migration is already there. Every other migration runs as ever.
"""

import contextlib
from collections.abc import Iterator

from django.conf import settings
from django.core.management.commands import migrate
from django.db.migrations import AddConstraint, AddField, AddIndex, CreateModel, Migration

_apply = Migration.apply


def _apply_rendering_once(migration, state, schema_editor, collect_sql=False):
    if not migration.initial or migration.app_label not in settings.PROJECT_APPS or collect_sql:
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
        is_added = isinstance(operation, AddField | AddConstraint | AddIndex)
        if not (is_added and operation.model_name.lower() in created):
            operation.database_forwards(migration.app_label, schema_editor, before, state)
    return state


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

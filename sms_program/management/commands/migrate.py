"""Django's `migrate`, without rendering models anew for every constraint, index and audit trigger of a first migration.

Each of those operations makes Django build the model and its relations again in the migration's state; with our few
hundred of them an empty database took a minute of CPU. In an app's first migration their SQL comes from the operation
itself, so nothing reads what would be rendered; after it the state is rendered once, whole.
"""

import contextlib
from collections.abc import Iterator

from django.core.management.commands import migrate
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState
from pgtrigger.migrations import AddTrigger

_apply = Migration.apply


def _append(state, app_label, model_name, option, value) -> None:
    options = state.models[app_label, model_name.lower()].options
    options[option] = [*options.get(option, []), value]


def _add_trigger(operation, app_label, state) -> None:
    _append(state, app_label, operation.model_name, "triggers", operation.trigger)


def _apply_rendering_once(migration, state, *args, **kwargs):
    if not migration.initial:
        return _apply(migration, state, *args, **kwargs)
    with (
        _replaced(ProjectState, "_append_option", _append),
        _replaced(AddTrigger, "state_forwards", _add_trigger),
    ):
        state = _apply(migration, state, *args, **kwargs)
    state.__dict__.pop("apps", None)
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

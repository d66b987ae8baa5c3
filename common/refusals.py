"""The one place where a refusal becomes a sentence on a form: a broken rule of the database, or of a service.

A view writes ``with refusals_on(form): service(...)`` and then looks at ``form.is_valid()`` or ``form.errors``.
"""

import contextlib
from collections.abc import Iterator

import psycopg
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.forms import Form

OTHERWISE = "Dữ liệu này mâu thuẫn với dữ liệu đã có nên chưa được ghi. Hãy tải lại trang và kiểm tra lại."
# A number beyond its column, a text longer than it: what no form of ours foresaw.
TOO_MUCH = "Có số quá lớn hoặc chữ quá dài nên chưa ghi gì. Hãy xem lại các ô vừa nhập."


def constraint_of(error: IntegrityError) -> str:
    """The name of the violated constraint, or of the one that the refusing trigger named; empty if there is none."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""


def message_of(error: IntegrityError) -> str:
    """Return the Vietnamese sentence of the violated constraint, or of the trigger that refused.

    A guard trigger raises its own sentence with the constraint's name; a constraint of a model has
    ``violation_error_message``.
    """
    diagnostic = getattr(error.__cause__, "diag", None)
    name = constraint_of(error)
    for model in apps.get_models():
        for constraint in model._meta.constraints:
            if constraint.name == name:
                return str(constraint.violation_error_message)
    # Triggers of ours write Vietnamese; PostgreSQL's own messages are English and name internals.
    said = getattr(diagnostic, "message_primary", "") or ""
    return said if name and not said.isascii() else OTHERWISE


@contextlib.contextmanager
def refusals_on(form: Form) -> Iterator[None]:
    """Inside the block a refusal is written on the form instead of raised; nothing of the block stays half done."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        form.add_error(None, message_of(error))
    except (DataError, psycopg.DataError):  # COPY raises as the driver does
        form.add_error(None, TOO_MUCH)
    except ValidationError as error:
        fields = getattr(error, "error_dict", None)
        if fields and not set(fields) - set(form.fields):
            form.add_error(None, error)
        else:
            for message in error.messages:
                form.add_error(None, message)

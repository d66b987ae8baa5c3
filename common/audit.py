"""The trail of every change: who, when, before, after, written by database triggers, so bulk and raw SQL leave it too.

``@audited()`` on every model whose rows change; append-only tables are their own trail. Triggers fire once per
statement, so a list of 100,000 rows costs one more INSERT … SELECT. Who acted comes from the request (middleware), or
from ``acting()`` in tasks and commands.
"""

import contextlib
from collections.abc import Iterator

import pghistory
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from pghistory.middleware import HistoryMiddleware
from psycopg.sql import Composable

# Of what must be erasable or is of no use to an auditor, no image is kept.
ALWAYS_EXCLUDED = {"password", "last_login", "identity_sealed", "identity_index"}


def audited(*, exclude: tuple[str, ...] = (), inserts: bool = True, children: bool = False):
    """Class decorator: keep an event row for each insert, update and delete of the model.

    Args:
        children: the rows are about single children: pages of the trail say which fields changed, not from what to what.
        exclude: fields of which no image is kept (secrets; columns that change all the time by themselves).
        inserts: False for tables that are loaded by the million and whose rows themselves say who made them; an
            update then keeps the row as it was before (what came after is the next image, or the row itself).
    """

    def track(model):
        names = {field.name for field in model._meta.fields}
        if inserts:
            trackers = [pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent()]
        else:
            trackers = [pghistory.UpdateEvent(row="OLD"), pghistory.DeleteEvent()]
        model.is_about_children = children
        excluded = sorted((ALWAYS_EXCLUDED | set(exclude)) & names)
        return pghistory.track(*trackers, exclude=excluded or None)(model)

    return track


@contextlib.contextmanager
def acting(by, *, via: str) -> Iterator[None]:
    """Name who acts, and by which task or command, for the changes made in this block.

    Before a COPY straight into an audited table send any statement that writes through Django's cursor first: the
    names reach PostgreSQL with it and last until the end of the transaction.
    """
    with connection.execute_wrapper(_as_text), pghistory.context(user=by.pk, url=via):
        yield


class ActorMiddleware(HistoryMiddleware):
    """Names the signed-in person and the address for every change that a request makes."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in settings.PGHISTORY_MIDDLEWARE_METHODS:
            return self.get_response(request)
        with connection.execute_wrapper(_as_text):
            return super().__call__(request)


def _as_text(execute, sql, params, many, context):
    """Composed SQL as text: pghistory writes the actor in front of a statement, and knows only text."""
    if isinstance(sql, Composable):
        sql = sql.as_string(context["cursor"].connection)
    return execute(sql, params, many, context)

"""What every request passes through: its record, the page for a lost database or broker, GET that can't write."""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator

import psycopg
import structlog
from django.conf import settings
from django.contrib import messages
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.gzip import GZipMiddleware

from common import errors, metrics
from common.vietnamese import without_turns

log = structlog.get_logger("request")
GetResponse = Callable[[HttpRequest], HttpResponse]
READING_METHODS = {"GET", "HEAD", "OPTIONS"}

_read_only: contextvars.ContextVar[bool] = contextvars.ContextVar("read_only", default=False)


class RequestRecord:
    """One log line and one metric per request: the name of the page, never its address, which may hold a code."""

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - started
        match = request.resolver_match
        page = (match.view_name or match.route) if match else "none"
        metrics.REQUEST_SECONDS.labels(request.method, page, response.status_code).observe(seconds)
        if not page.startswith("health"):
            log.info(
                "request.answered",
                method=request.method,
                page=page,
                status=response.status_code,
                milliseconds=round(seconds * 1000),
            )
        return response


class CompressedPages(GZipMiddleware):
    """Pages are compressed here, so that a phone on a slow line gets them small whatever stands in front.

    Only pages: files have their own length, ranges and stored hashes. Django pads the result at random, against
    guessing from its length (BREACH).
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if not response.get("Content-Type", "").startswith(("text/html", "application/rss+xml")):
            return response
        return super().process_response(request, response)


class EnglishPages:
    """A page that has no English is shown in Vietnamese at its own address, never half translated under /en/."""

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        prefix = "/en/"
        if request.method in READING_METHODS and request.path.startswith(prefix):
            match = request.resolver_match
            if match and match.view_name not in settings.ENGLISH_VIEWS:
                return HttpResponseRedirect(request.get_full_path()[len(prefix) - 1 :])
        return None


class LostServices:
    """When the database or the broker is away, or the disk full, answer with a page that says so and what to do (503), not a 500.

    Neither is a 500 what nobody can store: a NUL in an address or a field (400).
    """

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Errors of the view itself; those of middleware come to `errors.server_error`."""
        if isinstance(error, (*errors.LOST_DATABASE, *errors.LOST_BROKER)) or errors.is_full_disk(error):
            return errors.service_lost(request, error)
        if errors.is_unsendable(error):
            return errors.bad_request(request)
        return None


class PlainText:
    """What is typed or pasted goes on without the characters that turn the direction of writing, and staff are told.

    Once for every form: many come along unseen with a pasted telephone number; in a name, a reason or a file's name they
    would let one read what is not written. A password stays as it is.
    """

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> None:
        if request.method in READING_METHODS:
            return
        for _, files in request.FILES.lists():
            for file in files:
                file.name = without_turns(file.name)
        plain = {
            name: [without_turns(value) for value in values]
            for name, values in request.POST.lists()
            if "password" not in name
        }
        changed = {name: values for name, values in plain.items() if values != request.POST.getlist(name)}
        if not changed:
            return
        sent = request.POST.copy()
        for name, values in changed.items():
            sent.setlist(name, values)
        sent._mutable = False
        request.POST = sent
        # Public pages read no session.
        if request.COOKIES and request.user.is_authenticated:
            messages.info(
                request, "Đã bỏ khỏi những gì thầy/cô vừa gửi các ký tự ẩn làm đảo chiều chữ. Hãy xem lại."
            )


class ReadsDoNotWrite:
    """GET and HEAD run on a connection that refuses writes.

    A view that must write on GET (none of ours does; a library's may) is marked with `writes_on_get`.
    """

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with contextlib.ExitStack() as request.refusing_writes:
            return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> None:
        if request.method not in READING_METHODS:
            return
        if getattr(view, "writes_on_get", None) or getattr(
            getattr(view, "view_class", None), "writes_on_get", None
        ):
            return
        request.refusing_writes.enter_context(refuse_writes())


def writes_on_get(reason: str):
    """Mark a view as one that must write on GET, and say why."""

    def mark(view):
        view.writes_on_get = reason
        return view

    return mark


@contextlib.contextmanager
def refuse_writes(using: str = "default") -> Iterator[None]:
    """Within this block PostgreSQL refuses every write on the connection; the rule is set with the first query.

    A page without a query costs nothing; others pay one short statement before and one after.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        # Inside a transaction (a test): a read-only subtransaction; PostgreSQL restores the mode at its end.
        with transaction.atomic(using=using):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
            try:
                yield
            finally:
                # Nothing was written; and a refused statement leaves a transaction that can only be rolled back.
                transaction.set_rollback(True, using=using)
        return
    is_set = False

    def before_query(execute, sql, params, many, context):
        nonlocal is_set
        if connection.in_atomic_block:
            # A transaction that the view opened before its first query: a session setting would come too late.
            connection.connection.execute("SET TRANSACTION READ ONLY")
        elif not is_set:
            connection.connection.execute("SET default_transaction_read_only = on")
            is_set = True
        return execute(sql, params, many, context)

    try:
        with connection.execute_wrapper(before_query):
            yield
    finally:
        if is_set and connection.connection is not None and not connection.connection.closed:
            try:
                connection.connection.execute("SET default_transaction_read_only = off")
            except psycopg.Error:
                # Never hand a connection in an unknown mode to the next request.
                connection.close()

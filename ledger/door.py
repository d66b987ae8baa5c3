"""The one door of the public: no page for everyone reads a child's row, and what it answers is looked at before it leaves.

Shown or sent a form (GET, POST), signed in or not, the same.

A new address needs nothing for it and can't forget it. So a figure about children on a public page comes from the log's
entries or from what `disclosure` let through when it was stored (figures of a day, a run's summary): there is no other
way to one. Open data in files (XLSX, the daily dump) comes from `disclosure.public_rows`, a run's draw file from
`ledger.draw.draw_file`, what lies beside the log from `ledger.publisher`.
"""

import contextlib
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import cast

from django.db import connections
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from common.access import access_of
from ledger.disclosure import MASK, NAMES_OF_THINGS, DisclosureError, check_keys, check_public

# Tables with a row per child, or per what one child received, and the one of counts as they are where the public sees less.
PRIVATE = re.compile(
    r'"?\b(schools_student|schools_studentevent|schools_listrow|schools_duplicatecase|schools_statuschange'
    r"|allocation_allocation|delivery_handover|coverage_dataplan|ledger_opening|dashboards_dailyfigure)\b"
)
INTO = re.compile(r'\s*INSERT INTO "?(\w+)')
# A citizen's number within a text, as a page or a table has it (amounts and device codes in addresses stay).
NUMBER_IN_TEXT = re.compile(rb"(?<![0-9A-Za-z/=;\"-])0\d{11}(?![0-9A-Za-z&-])")


class PublicDoor:
    """Raises DisclosureError, a 500 and never the data, when a public page would say something about one person."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        def no_children(execute, sql, params, many, context):
            if _is_public(request) and (table := _reads(str(sql))):
                raise DisclosureError(f"{_where(request)}: a public page may not read {table}")
            return execute(sql, params, many, context)

        with contextlib.ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(no_children))
            response = self.get_response(request)
        if _is_public(request):
            _look_at(response, _where(request))
        return response


def _reads(statement: str) -> str | None:
    """The first private table that a statement reads; what a sent form only adds to (a donor's opening) it doesn't."""
    target = INTO.match(statement)
    tables = PRIVATE.findall(statement)
    return next((table for table in tables if target is None or table != target[1]), None)


def _is_public(request: HttpRequest) -> bool:
    access = access_of(request.resolver_match.func) if request.resolver_match else None
    return access is not None and access.is_public


def _where(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match.view_name or match.route) if match else request.path


def _look_at(response: HttpResponseBase, where: str) -> None:
    kind = response.get("Content-Type", "").partition(";")[0]
    if isinstance(response, HttpResponse):
        if kind == "application/json" and response.content:
            check_public(json.loads(response.content), where, allowed=NAMES_OF_THINGS)
        elif kind == "text/csv":
            _check_head(response.content, where)
        if kind in ("text/csv", "text/html") and NUMBER_IN_TEXT.search(response.content):
            response.content = _masked(response.content)
    elif isinstance(response, StreamingHttpResponse) and kind == "text/csv":
        parts = cast(Iterator[bytes], response.streaming_content)
        # A file was looked at when it was made, and has its hash in the log.
        lines = parts if isinstance(response, FileResponse) else map(_masked, parts)
        response.streaming_content = _with_public_head(lines, where)


def _masked(text: bytes) -> bytes:
    return NUMBER_IN_TEXT.sub(MASK.encode(), text)


def _check_head(first: bytes, where: str) -> None:
    lines = first.decode("utf-8-sig", errors="replace").splitlines()
    check_keys(next(csv.reader(lines[:1]), []), where, allowed=NAMES_OF_THINGS)


def _with_public_head(parts: Iterator[bytes], where: str) -> Iterator[bytes]:
    """The parts of a table, of which the first holds the names of its columns."""
    first = next(parts, b"")
    _check_head(first, where)
    return itertools.chain([first], parts)

"""The one door of public data: what a page for everyone answers as JSON or CSV is looked at before it leaves.

A new address needs nothing for it and can't forget it. Open data in files (XLSX, the daily dump) comes from
`disclosure.public_rows`, a run's draw file from `ledger.draw.draw_file`, what lies beside the log from `ledger.publisher`.
"""

import csv
import itertools
import json
from collections.abc import Callable, Iterator
from typing import cast

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from common.access import access_of
from ledger.disclosure import NAMES_OF_THINGS, check_keys, check_public


class PublicDoor:
    """Raises DisclosureError, a 500 and never the data, when a public answer has a column or number of a person."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        kind = response.get("Content-Type", "").partition(";")[0]
        if kind not in ("application/json", "text/csv") or request.resolver_match is None:
            return response
        access = access_of(request.resolver_match.func)
        if access is None or not access.is_public:
            return response
        where = request.resolver_match.view_name or request.resolver_match.route
        if isinstance(response, HttpResponse):
            if kind == "text/csv":
                _check_head(response.content, where)
            elif response.content:
                check_public(json.loads(response.content), where, allowed=NAMES_OF_THINGS)
        elif isinstance(response, StreamingHttpResponse) and kind == "text/csv":
            parts = cast(Iterator[bytes], response.streaming_content)
            response.streaming_content = _with_public_head(parts, where)
        return response


def _check_head(first: bytes, where: str) -> None:
    lines = first.decode("utf-8-sig", errors="replace").splitlines()
    check_keys(next(csv.reader(lines[:1]), []), where, allowed=NAMES_OF_THINGS)


def _with_public_head(parts: Iterator[bytes], where: str) -> Iterator[bytes]:
    """The parts of a table, of which the first holds the names of its columns."""
    first = next(parts, b"")
    _check_head(first, where)
    return itertools.chain([first], parts)

"""The API fuzzed from its own OpenAPI: whatever is asked, never our fault, never another shape than documented.

And nothing under /api/ answers a stranger unless it is declared public.
"""

import pytest
import schemathesis
from django.conf import settings
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common.access import access_of
from sms_program.wsgi import application
from tests.delivery_world import make_world

pytestmark = pytest.mark.django_db
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 40


@pytest.fixture
def schema(db):
    """The schema over WSGI, in the test's own transaction: connections stay open, as Django's test client does it."""
    make_world(per_school=1)
    ends = [(request_started, close_old_connections), (request_finished, close_old_connections)]
    for signal, receiver in ends:
        signal.disconnect(receiver)
    yield schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    for signal, receiver in ends:
        signal.connect(receiver)


@pytest.mark.long
def test_no_request_of_the_schema_is_our_fault_or_gets_an_undocumented_answer(schema):
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 8
    asked = {f"{operation.method} {operation.path}": _fuzz(operation) for operation in operations}
    assert all(statuses & {200, 400, 404} for statuses in asked.values()), asked


def _fuzz(operation) -> set[int]:
    """Statuses of the answers to random requests; raises when one is a fault of ours or fits no documented answer."""
    statuses = set()

    @given(case=operation.as_strategy())
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case):
        # The throttle counts in the cache, and thousands of requests from one address are what it is for.
        cache.clear()
        response = case.call()
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    return statuses


def _routes(resolver: URLResolver | None = None, prefix: str = ""):
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route, entry.callback
        else:
            yield from _routes(entry, route)


def test_a_stranger_gets_no_answer_from_an_address_of_the_api_that_is_not_public():
    closed = [
        route
        for route, view in _routes()
        if route.startswith("api/") and not access_of(view).is_public and "<" not in route
    ]
    client = Client(raise_request_exception=False)
    answered = [
        (route, verb, status)
        for route in closed
        for verb in ("get", "post", "put", "patch", "delete", "options")
        if (status := getattr(client, verb)(f"/{route}").status_code) < 300
    ]
    assert not answered
    assert settings.REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] == ["common.api.DeclaredAccess"]

"""Is it alive, is it ready, how is it: for the container engine, the proxy and Prometheus."""

import hmac

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError
from psycopg import Error as PsycopgError
from redis.exceptions import RedisError

from common import broker, metrics
from common.access import public
from common.models import Heartbeat

# The probe task runs every 30 s; silent for this long, the worker hangs.
WORKER_SILENT_AFTER_S = 180


@public
@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The web process answers; asks nothing else, so that a lost database restarts nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


@public
@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Whether requests may come: 200, or 503 with what is missing. A silent worker is told, and is no reason for 503."""
    parts = {"database": _database(), "broker": _broker(), "worker": _worker()}
    is_ready = parts["database"] == "ok" and parts["broker"] == "ok"
    return JsonResponse({"ready": is_ready, **parts}, status=200 if is_ready else 503)


@public
@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus; with METRICS_TOKEN set, only with that token."""
    if settings.METRICS_TOKEN:
        expected = f"Bearer {settings.METRICS_TOKEN}"
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            return HttpResponseForbidden("Cần METRICS_TOKEN.\n", content_type="text/plain; charset=utf-8")
    return HttpResponse(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return type(error).__name__
    return "ok"


def _broker() -> str:
    try:
        broker.queue()
    except (DatabaseError, PsycopgError, BrokerError, RedisError, OSError) as error:
        return type(error).__name__
    return "ok"


def _worker() -> str:
    try:
        beat = Heartbeat.objects.filter(name="worker").values_list("beat_on_clock_at", flat=True).first()
    except DatabaseError:
        return "unknown"
    if beat is None:
        return "not yet"
    silent_s = (timezone.now() - beat).total_seconds()
    return "ok" if silent_s < WORKER_SILENT_AFTER_S else f"silent for {silent_s:.0f} s"

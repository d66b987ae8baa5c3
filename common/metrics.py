"""What Prometheus reads at /metrics: request times as they happen, the rest read from the database when asked."""

import os
from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.utils import timezone
from prometheus_client import CollectorRegistry, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily

from common import broker
from common.models import Heartbeat, Job

REQUEST_SECONDS = Histogram(
    "sms_request_seconds",
    "Time to answer a request",
    ["method", "page", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class State:
    """Collector of what the database and the broker say now. Everything here is one cheap query each."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = timezone.now()
        length, age_s = broker.queue()
        yield GaugeMetricFamily("sms_queue_length", "Messages waiting in the broker", length)
        if age_s is not None:
            yield GaugeMetricFamily("sms_queue_age_seconds", "Age of the oldest waiting message", age_s)
        jobs = GaugeMetricFamily("sms_jobs_unfinished", "Long work not finished", labels=["kind", "state"])
        oldest = GaugeMetricFamily(
            "sms_jobs_silent_seconds", "Longest silence of unfinished work", labels=["kind"]
        )
        silent: dict[str, float] = {}
        counts: dict[tuple[str, str], int] = {}
        for kind, state, beat_at, created_at in Job.objects.unfinished().values_list(
            "kind", "state", "beat_at", "created_at"
        ):
            counts[kind, state] = counts.get((kind, state), 0) + 1
            silent[kind] = max(silent.get(kind, 0), (now - (beat_at or created_at)).total_seconds())
        for (kind, state), count in counts.items():
            jobs.add_metric([kind, state], count)
        for kind, seconds in silent.items():
            oldest.add_metric([kind], seconds)
        yield jobs
        yield oldest
        beats = GaugeMetricFamily(
            "sms_heartbeat_age_seconds", "Time since a process last did real work", labels=["name"]
        )
        for name, beat_at in Heartbeat.objects.values_list("name", "beat_on_clock_at"):
            beats.add_metric([name], (now - beat_at).total_seconds())
        yield beats
        if (checkpoint := checkpoint_age_s()) is not None:
            yield GaugeMetricFamily("sms_checkpoint_age_seconds", "Age of the signed checkpoint", checkpoint)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            yield GaugeMetricFamily("sms_database_bytes", "Size of the database", cursor.fetchone()[0])


def checkpoint_age_s() -> float | None:
    """Seconds since the public log's checkpoint file was written; None before the first one."""
    try:
        written = (settings.LEDGER_DIR / "checkpoint").stat().st_mtime
    except FileNotFoundError:
        return None
    return max(0.0, timezone.now().timestamp() - written)


def exposition() -> bytes:
    """Everything, in the text format of Prometheus."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
    else:
        registry.register(REQUEST_SECONDS)
    registry.register(State())
    return generate_latest(registry)

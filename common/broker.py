"""The broker as the rest of the house sees it: is it there, how long is its queue, whose messages come again."""

import json
import time

import psycopg
import redis
import structlog
from celery.signals import celeryd_init
from django.conf import settings
from django.db import connection
from django.utils import timezone
from pgmq.install import get_embedded_install_sql

log = structlog.get_logger("broker")
QUEUE = settings.CELERY_TASK_DEFAULT_QUEUE
# Held, shared, by every worker on the database's queue; the number is arbitrary but fixed.
WORKERS_LOCK = 3_667_000_001


def is_redis() -> bool:
    """Whether Redis is the broker; otherwise it is the queue in our database."""
    return settings.CELERY_BROKER_URL.startswith(("redis", "sentinel"))


def prepare() -> bool:
    """Create the tables of the database's queue. Returns False when they were there, or Redis is the broker."""
    if is_redis():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL")
        if cursor.fetchone()[0]:
            return False
    # Past Django's cursor: the script holds % signs and many statements.
    with psycopg.connect(settings.DATABASE_URL) as raw:
        raw.execute(get_embedded_install_sql())
        raw.execute("SELECT pgmq.create(%s)", [QUEUE])
    return True


def queue() -> tuple[int, float | None]:
    """Messages waiting and the age of the oldest in seconds (None when none waits). Raises when away."""
    if is_redis():
        client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=3, socket_timeout=3)
        with client:
            # Celery pushes on the left and takes from the right; `sms_program.celery` writes the moment.
            length, oldest = client.pipeline().llen(QUEUE).lindex(QUEUE, -1).execute()
            sent_at = json.loads(oldest)["headers"].get("sent_at") if oldest else None
            return int(length), max(0.0, time.time() - sent_at) if sent_at else None
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"pgmq.q_{QUEUE}"])
        if not cursor.fetchone()[0]:
            return 0, None
        cursor.execute("SELECT queue_length, oldest_msg_age_sec FROM pgmq.metrics(%s)", [QUEUE])
        length, age_s = cursor.fetchone()
    return length, age_s


@celeryd_init.connect
def take_back_lost_messages(**_kwargs) -> None:
    """On the database's queue: the first worker to start makes what dead workers held visible at once.

    A message that was read is hidden for the visibility timeout (an hour), also when its reader was killed. Every
    worker holds a shared lock as long as it lives; who gets it exclusively knows that no other lives.
    """
    if is_redis():
        return
    global _worker_connection
    _worker_connection = psycopg.connect(settings.DATABASE_URL, autocommit=True, connect_timeout=10)
    alone = _worker_connection.execute("SELECT pg_try_advisory_lock(%s)", [WORKERS_LOCK]).fetchone()
    if alone and alone[0]:
        exists = _worker_connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", [f"pgmq.q_{QUEUE}"]
        ).fetchone()
        if exists and exists[0]:
            taken = _worker_connection.execute(
                f"UPDATE pgmq.q_{QUEUE} SET vt = clock_timestamp() WHERE vt > clock_timestamp() AND read_ct > 0"
            ).rowcount
            log.info("broker.messages_taken_back", messages=taken, at=timezone.now().isoformat())
    _worker_connection.execute("SELECT pg_advisory_lock_shared(%s)", [WORKERS_LOCK])
    _worker_connection.execute("SELECT pg_advisory_unlock(%s)", [WORKERS_LOCK])


_worker_connection: psycopg.Connection | None = None

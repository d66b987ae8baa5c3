"""The Celery application; how tasks behave is in settings (CELERY_*)."""

import os
import time

import structlog
from celery import Celery
from celery.signals import before_task_publish, task_failure

from common.failures import described

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")

app = Celery("sms_program")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@before_task_publish.connect
def note_when_sent(*, headers: dict, **_ignored) -> None:
    """Redis doesn't know how old a message is, so each carries its moment (`common.broker.queue` reads it)."""
    headers["sent_at"] = time.time()


@task_failure.connect
def log_failure(*, sender, task_id: str, exception: BaseException, **_ignored) -> None:
    """One line for a task that failed: which, and where in the code; never with what values."""
    structlog.get_logger("tasks").error("task.failed", task=sender.name, id=task_id, **described(exception))

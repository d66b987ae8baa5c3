"""Personal data past their time are erased: each app says what it erases, a table says how long it is kept and why.

A function in ``<app>/retention.py`` marked with ``@erases("grievances")`` erases everything of one kind that ended before
a day, in a few set-based statements; the rule of that code (`RetentionRule`) gives the days and the law (Law
91/2025/QH15: kept no longer than its purpose needs). Nothing is imported upward: Django finds the modules.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from django.db import models, transaction
from django.utils import timezone

from common.models import Job, RetentionRule, RetentionRun, SentMail


class Eraser(Protocol):
    def __call__(self, *, by, at: dt.datetime, before: dt.datetime) -> int:
        """Erase what ended before this midnight, and its images in the audit trail; return how many rows were erased."""


@dataclass(frozen=True)
class Outcome:
    """What one rule erased, or would erase."""

    rule: RetentionRule
    before_on: dt.date
    rows: int


class _OnlyCounted(Exception):
    """Ends a dry run's transaction."""


registered: dict[str, Eraser] = {}


def erases(code: str) -> Callable[[Eraser], Eraser]:
    """Register a function as what the rule `code` erases."""

    def register(eraser: Eraser) -> Eraser:
        registered[code] = eraser
        return eraser

    return register


def apply_rules(*, by: models.Model, at: dt.datetime, is_dry: bool) -> list[Outcome]:
    """Erase all that is past its time, rule by rule, each in a transaction of its own; what erased something is on record.

    Args:
        by: in whose name; a task passes the system's account.
        at: the moment from which the days count back.
        is_dry: do all of it and roll it back, to tell how much there is; also by rules not switched on yet.
    """
    outcomes = []
    rules = RetentionRule.objects.filter(code__in=registered)
    for rule in (rules if is_dry else rules.filter(is_active=True)).order_by("code"):
        before = timezone.localdate(at) - dt.timedelta(days=rule.keeps_days)
        outcomes.append(Outcome(rule, before, _apply(by=by, rule=rule, before=before, at=at, is_dry=is_dry)))
    return outcomes


def _apply(*, by, rule: RetentionRule, before: dt.date, at: dt.datetime, is_dry: bool) -> int:
    rows = 0
    try:
        with transaction.atomic():
            rows = registered[rule.code](
                by=by, at=at, before=timezone.make_aware(dt.datetime.combine(before, dt.time.min))
            )
            if is_dry:
                raise _OnlyCounted
            if rows:
                RetentionRun.objects.create(
                    rule=rule, before_on=before, erased_rows=rows, erased_at=at, erased_by=by
                )
    except _OnlyCounted:
        pass
    return rows


@erases("mail_traces")
def erase_mail_traces(*, by, at: dt.datetime, before: dt.datetime) -> int:
    """That mails were sent, with the hash of the address."""
    return SentMail.objects.filter(queued_at__lt=before).delete()[0]


@erases("jobs")
def erase_jobs(*, by, at: dt.datetime, before: dt.datetime) -> int:
    """Long work that ended; what it did stands elsewhere."""
    ended = Job.objects.filter(finished_on_clock_at__lt=before)
    return ended.exclude(state__in=[Job.State.QUEUED, Job.State.RUNNING]).delete()[0]

"""Everyone's place in a run: the queue from which a substitute comes."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Exists, OuterRef

from allocation import ranking
from allocation.models import AllocationRun, Ranking
from allocation.services.runs import Progress, State, locked, no_progress
from common import jobs
from common.models import Job

RANKING_JOB = "allocation.tasks.rank"


def request_ranking(*, run: AllocationRun):
    """Hand the queue to a worker, in the name of who opened the run."""
    return jobs.hand_over(by=run.opened_by, kind=RANKING_JOB, subject=run)


def unranked_runs() -> list[AllocationRun]:
    """Runs with a proposal but without a queue, which nobody is writing: from before there was one."""
    with_proposal = [State.PROPOSED, State.APPROVED, State.COMMITTED]
    runs = AllocationRun.objects.filter(state__in=with_proposal).exclude(seed="").select_related("opened_by")
    return [
        run
        for run in runs.filter(~Exists(Ranking.objects.filter(run=OuterRef("pk")))).order_by("-pk")[:20]
        if not Job.objects.for_subject(run).filter(kind=RANKING_JOB).exclude(state=Job.State.DONE).exists()
    ]


@transaction.atomic
def rank(*, by, run: AllocationRun, at: dt.datetime | None = None, progress: Progress = no_progress) -> None:
    """Store everyone's place in a run that has its draw. Does nothing if it is there already, or before the draw."""
    run = locked(run)
    if run.seed:
        progress(0, 1, step="Xếp hàng chờ")
        ranking.write_ranking(run)
        progress(1, 1, step="Đã xếp hàng chờ")

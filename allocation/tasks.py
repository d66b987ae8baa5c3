"""Long steps of a run in a worker: ids in, one service call. Safe to run twice or to be killed at any line."""

from celery import shared_task
from django.core.exceptions import ValidationError

from allocation import services
from allocation.models import AllocationRun, Comparison
from common import clock, jobs
from common.audit import acting


def _run(job_id: str, service, *, via: str) -> None:
    with jobs.claim(job_id) as job:
        if job is None:
            return
        run = AllocationRun.objects.filter(pk=job.subject_id).first()
        if run is None:
            return
        try:
            with acting(job.by, via=via):
                service(by=job.by, run=run, at=clock.now(), progress=job.progress)
        except ValidationError as error:
            raise jobs.CannotContinue(" ".join(error.messages)) from error


@shared_task
def freeze(*, job_id: str, **_ignored) -> None:
    """Fix the inputs of a run."""
    _run(job_id, services.freeze, via="task allocation.freeze")


@shared_task
def propose(*, job_id: str, **_ignored) -> None:
    """Let the engine decide and store its proposal."""
    _run(job_id, services.propose, via="task allocation.propose")


@shared_task
def commit(*, job_id: str, **_ignored) -> None:
    """Write the approved allocations."""
    _run(job_id, services.commit, via="task allocation.commit")


@shared_task
def publish(*, job_id: str, **_ignored) -> None:
    """Publish the draw file of a committed run."""
    _run(job_id, services.publish, via="task allocation.publish")


@shared_task
def compare(*, job_id: str, **_ignored) -> None:
    """Simulate two policies side by side."""
    with jobs.claim(job_id) as job:
        comparison = Comparison.objects.filter(pk=job.subject_id).first() if job else None
        if job and comparison:
            services.compare(by=job.by, comparison=comparison, at=clock.now(), progress=job.progress)

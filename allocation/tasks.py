"""Long steps of a run in a worker: ids in, one service call. Safe to run twice or to be killed at any line."""

from smtplib import SMTPException

from celery import shared_task
from django.core.exceptions import ValidationError

from allocation import comparing, notices, services
from allocation.models import AllocationRun, Comparison, Reduction, Revocation
from common import clock, jobs
from common.audit import acting

MAILING = {"autoretry_for": (OSError, SMTPException), "retry_backoff": 30, "max_retries": 8}


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
def rank(*, job_id: str, **_ignored) -> None:
    """Write everyone's place in the run, the queue among them."""
    _run(job_id, services.rank, via="task allocation.rank")


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
    """Try one policy, or two side by side."""
    with jobs.claim(job_id) as job:
        comparison = Comparison.objects.filter(pk=job.subject_id).first() if job else None
        if job and comparison:
            comparing.compare(by=job.by, comparison=comparison, at=clock.now(), progress=job.progress)


@shared_task(**MAILING)
def mail_revocation(*, revocation_id: int, **_ignored) -> None:
    """Tell the school that an allocation was taken back; once per address."""
    revocation = Revocation.objects.filter(pk=revocation_id, approved_at__isnull=False).first()
    if revocation:
        notices.send_revocation(revocation)


@shared_task(**MAILING)
def mail_reduction(*, reduction_id: int, **_ignored) -> None:
    """Tell each school how many of its students a reduction met; once per address."""
    reduction = Reduction.objects.filter(pk=reduction_id, approved_at__isnull=False).first()
    if reduction:
        notices.send_reduction(reduction)


@shared_task
def catch_up(**_ignored) -> None:
    """Find notices that did not go out (a lost message, a mail server that refused) and runs without a queue."""
    for run in services.unranked_runs():
        services.request_ranking(run=run)
    for revocation_id in notices.unsent_revocations():
        mail_revocation.delay(revocation_id=revocation_id)
    for reduction_id in notices.unsent_reductions():
        mail_reduction.delay(reduction_id=reduction_id)

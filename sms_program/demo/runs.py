"""The two allocation runs of the demonstration, through the same services and by the same people as any run."""

import datetime as dt

from django.db import transaction

from allocation import services as allocation
from allocation.models import AllocationPolicy, AllocationRun
from sms_program.demo.plan import moment


def publish_policies(build) -> None:
    """The policies of both phases are put in force (their hashes stand in the ledger)."""
    for policy in AllocationPolicy.objects.filter(published_at=None).order_by("phase__code"):
        allocation.publish_policy(
            by=build.person("lanh-dao"), policy=policy, at=moment(dt.date(2021, 9, 12), 10)
        )


def first_run(build) -> None:
    """Frozen on 15 September 2021, while fourteen localities were under Directive 16."""
    _run(build, opened=dt.date(2021, 9, 14), draw="38012", number=1)


def second_run(build) -> None:
    """Frozen on 15 October 2021, after orders were delivered."""
    _run(build, opened=dt.date(2021, 10, 14), draw="75906", number=2)


def _run(build, *, opened: dt.date, draw: str, number: int) -> None:
    """From the opening to the commit. A nation's commit can be no part of another transaction: stopped before it, the
    step goes on with the run that it finds approved."""
    frozen = opened + dt.timedelta(days=1)
    source = f"Giải đặc biệt xổ số miền Bắc ngày {frozen:%d/%m/%Y} (số minh họa)"

    def commit() -> None:
        by, at = build.person("lanh-dao"), moment(frozen + dt.timedelta(days=1), 9, 30)
        allocation.commit(by=by, run=run, at=at)

    with transaction.atomic():
        run = AllocationRun.objects.filter(randomness_source=source).first() or _approved_run(
            build, opened=opened, source=source, value=f"{draw} (minh họa, đợt {number})"
        )
        build.tell(3, 4)
        is_large = allocation.commits.is_large(run)
        if not is_large:  # at once, before a worker hears of it
            commit()
    if is_large:
        commit()


def _approved_run(build, *, opened: dt.date, source: str, value: str) -> AllocationRun:
    """Open, freeze the next morning, draw in the evening, propose, approve: three officials."""
    first, second, third = (build.person(name) for name in ("dieu-phoi", "dieu-phoi-2", "lanh-dao"))
    frozen = opened + dt.timedelta(days=1)
    policy = AllocationPolicy.objects.get(phase__code="GD1", version=1)
    run = allocation.open_run(
        by=first,
        policy=policy,
        randomness_source=source,
        draw_at=moment(frozen, 18, 30),
        at=moment(opened, 9),
    )
    run = allocation.freeze(by=first, run=run, at=moment(frozen, 8))
    build.tell(1, 4)
    run = allocation.enter_randomness(by=first, run=run, value=value, at=moment(frozen, 19))
    run = allocation.confirm_randomness(by=second, run=run, value=value, at=moment(frozen, 19, 10))
    run = allocation.propose(by=first, run=run, at=moment(frozen, 19, 15))
    build.tell(2, 4)
    return allocation.approve(by=third, run=run, at=moment(frozen + dt.timedelta(days=1), 9))

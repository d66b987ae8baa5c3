"""What the dashboards write for themselves: the figures of a day, a revision of one, a story."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from common import clock
from dashboards import figures, protection
from dashboards.models import DailyFigure, FigureRelease, Story

# One computation at a time, whichever process asks.
LOCK = 0x53D4_F16


@transaction.atomic
def store_figures(*, by, at: dt.datetime) -> FigureRelease:
    """Count all figures as of `at` and store them as the figures of that day; safe to run any number of times.

    While its day lasts a release is drawn anew; a past day is left as it was (see `revise_figure`).
    `by`: who asked, the system account for the nightly task; figures themselves bear no name.
    """
    del by
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    day = timezone.localdate(at)
    size = figures.log_size()
    values, series = figures.compute(size=size)
    shown = protection.show(values, on=day)
    # How many lists there are would tell which hidden province has one.
    reporting = "provinces_reporting", figures.NATION
    values[reporting] = sum(name == protection.NEED for name, area in shown if area != figures.NATION)
    shown[reporting] = protection.Standing(values[reporting], day)
    DailyFigure.objects.filter(on=day, revision=0).exclude(name=figures.CUMULATIVE).delete()
    DailyFigure.objects.bulk_create(
        (
            DailyFigure(
                on=day, name=name, area=area, value=value,
                shown=seen.number if seen else None, shown_on=seen.since if seen else None,
            )
            for (name, area), value in values.items()
            for seen in [shown.get((name, area))]
        ),
        batch_size=2_000,
    )  # fmt: skip
    # The curve of handovers by their published day is derived as a whole, so it is replaced as a whole.
    DailyFigure.objects.filter(name=figures.CUMULATIVE, revision=0).delete()
    DailyFigure.objects.bulk_create(
        (
            DailyFigure(on=on, name=figures.CUMULATIVE, value=value, shown=value, shown_on=on)
            for on, value in series
        ),
        batch_size=2_000,
    )
    release, _created = FigureRelease.objects.update_or_create(
        on=day,
        defaults={
            "as_of": at,
            "ledger_size": size,
            "digest": figures.digest({key: seen.number for key, seen in shown.items()}),
        },
    )
    return release


def figures_are_behind() -> bool:
    """Whether the log has grown since the figures were last counted, or they were never counted."""
    releases = FigureRelease.objects.filter(on__lte=clock.today()).order_by("-on")
    newest = releases.values_list("ledger_size", flat=True).first()
    return newest is None or newest < figures.log_size()


@transaction.atomic
def revise_figure(*, by, on: dt.date, name: str, area: str, value: int, note: str) -> DailyFigure:
    """Correct a figure of a day: a new revision beside the old one, with the reason that readers will see.

    Raises ValidationError when that day has no such figure, the note is empty, or it is a province's need: of one
    number alone that changes for a known reason the totals would tell what it was.
    """
    if area != figures.NATION and (name == protection.NEED or name in protection.STAFF_ONLY):
        raise ValidationError(
            "Nhu cầu của một tỉnh được đếm lại mỗi đêm từ danh sách: hãy sửa danh sách, không sửa con số."
        )
    known = DailyFigure.objects.select_for_update().filter(on=on, name=name, area=area)
    latest = known.aggregate(Max("revision"))["revision__max"]
    if latest is None:
        raise ValidationError(f"Ngày {on:%d/%m/%Y} không có số liệu «{name}» của {area} để điều chỉnh.")
    del by  # the audit trail names who; the public note doesn't
    shown = protection.show_alone(name, area, value)
    revision = DailyFigure(
        on=on, name=name, area=area, value=value, revision=latest + 1, note=note,
        shown=shown, shown_on=None if shown is None else on,
    )  # fmt: skip
    revision.full_clean()
    revision.save()
    return revision


@transaction.atomic
def publish_story(
    *, by, slug: str, title: str, summary: str, body: str, on: dt.date, source: str = ""
) -> Story:
    """Publish a story on a day, or correct the one at this address; the audit trail names who.

    Raises ValidationError for an address, title or summary that is missing or too long.
    """
    del by  # kept by the audit trail
    story = Story.objects.select_for_update().filter(slug=slug).first() or Story(slug=slug)
    story.title, story.summary, story.body = title, summary, body
    story.source, story.published_on = source, on
    story.full_clean()
    story.save()
    return story

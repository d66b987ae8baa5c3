"""What the dashboards write for themselves: the figures of a day, a revision of one, a story."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from common import clock
from dashboards import figures
from dashboards.models import DailyFigure, FigureRelease, Story
from dashboards.protection import PROTECTED, protect_day
from schools.models import AdministrativeUnit

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
    # A zero is a figure too: where few children are counted in all, which provinces have none is hidden with them.
    for area in AdministrativeUnit.objects.provinces().valid_on(day).values_list("public_code", flat=True):
        for name in PROTECTED:
            values.setdefault((name, area), 0)
    before = DailyFigure.objects.filter(on=day, revision=0).exclude(name=figures.CUMULATIVE)
    # What was hidden this morning stays hidden all day: each drawing anew is a release too.
    seen = {(name, area): text for name, area, text in before.values_list("name", "area", "instead")}
    before.delete()
    DailyFigure.objects.bulk_create(
        (
            DailyFigure(on=day, name=name, area=area, value=value, instead=seen.get((name, area), ""))
            for (name, area), value in values.items()
        ),
        batch_size=2_000,
    )
    # The curve of handovers by their published day is derived as a whole, so it is replaced as a whole.
    DailyFigure.objects.filter(name=figures.CUMULATIVE, revision=0).delete()
    DailyFigure.objects.bulk_create(
        (DailyFigure(on=on, name=figures.CUMULATIVE, value=value) for on, value in series), batch_size=2_000
    )
    protect_day(on=day)
    hidden = DailyFigure.objects.filter(on=day).exclude(instead="")
    release, _created = FigureRelease.objects.update_or_create(
        on=day,
        defaults={
            "as_of": at,
            "ledger_size": size,
            "digest": figures.digest(values, hidden=set(hidden.values_list("name", "area"))),
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

    Raises ValidationError when that day has no such figure or the note is empty.
    """
    known = DailyFigure.objects.select_for_update().filter(on=on, name=name, area=area)
    latest = known.aggregate(Max("revision"))["revision__max"]
    if latest is None:
        raise ValidationError(f"Ngày {on:%d/%m/%Y} không có số liệu «{name}» của {area} để điều chỉnh.")
    del by  # the audit trail names who; the public note doesn't
    instead = known.aggregate(Max("instead"))["instead__max"]
    revision = DailyFigure(
        on=on, name=name, area=area, value=value, revision=latest + 1, note=note, instead=instead
    )
    revision.full_clean()
    revision.save()
    protect_day(on=on)
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

"""The latest stored figures as pages, files and the API show them: read once, protected, ready to print."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field

from django.utils.functional import cached_property

from common import clock
from common.models import Programme
from dashboards.figures import CUMULATIVE, DEFINITIONS, NATION
from dashboards.models import DailyFigure, FigureRelease, PublicFigure
from dashboards.protection import FROM_ENTRIES, NEED, hidden_text
from ledger.disclosure import HIDDEN
from schools.models import AdministrativeUnit


@dataclass(frozen=True)
class ProvinceRow:
    """One province in public: the need is a number or "ẩn", what the log's entries say of it a number or "<10"."""

    unit: AdministrativeUnit
    need: int | str
    # Since which day this number stands: it changes once the count has moved by ten.
    need_on: dt.date | None
    allocated: int | str
    in_province: int | str
    handed_over: int | str
    in_use: int | str
    points: int
    points_covered: int

    @property
    def share(self) -> float | None:
        """Handed over of the need as it stands; None where either is hidden."""
        if isinstance(self.need, str) or isinstance(self.handed_over, str):
            return None
        return min(1.0, self.handed_over / self.need)


@dataclass(frozen=True)
class Snapshot:
    """Figures of one release; without a release everything is zero and `release` is None.

    `shown`: per figure and area what the public may see, a number, "<10" or "ẩn".
    """

    release: FigureRelease | None
    shown: dict[str, dict[str, int | str]]
    is_demonstration: bool
    # How far the demonstration is while it still fills: (percent, what it does); None otherwise.
    filling: tuple[int, str] | None = None
    revised: dict[tuple[str, str], str] = field(default_factory=dict)
    # Since which day the need of a province stands as it is shown.
    since: dict[str, dt.date] = field(default_factory=dict)

    def nation(self, name: str) -> int | None:
        """A figure of the whole nation: never hidden."""
        return self.counts(name).get(NATION)

    def counts(self, name: str) -> dict[str, int]:
        """A figure by area where the public may see it."""
        return {area: value for area, value in self.shown.get(name, {}).items() if isinstance(value, int)}

    @property
    def reporting(self) -> int:
        return self.nation("provinces_reporting") or 0

    @cached_property
    def provinces(self) -> list[ProvinceRow]:
        """The provinces that exist on the day of the figures, by Vietnamese name order of their codes."""
        day = self.release.on if self.release else dt.date(2021, 11, 15)
        units = AdministrativeUnit.objects.provinces().valid_on(day).order_by("code")
        return [self._row(unit) for unit in units]

    def _row(self, unit: AdministrativeUnit) -> ProvinceRow:
        area = unit.public_code

        def cell(name: str) -> int | str:
            return self.shown.get(name, {}).get(area, 0)

        return ProvinceRow(
            unit=unit,
            points=cell("points"),
            points_covered=cell("points_covered"),
            need=self.shown.get(NEED, {}).get(area, HIDDEN),
            need_on=self.since.get(area),
            **{name: cell(name) for name in FROM_ENTRIES},
        )

    def shares(self) -> dict[str, float | None]:
        """GSO code → share handed over of the need, for the maps."""
        return {row.unit.code: row.share for row in self.provinces if row.unit.vintage == "2021"}


def latest() -> Snapshot:
    """The newest release with its figures; a revision replaces the figure that it corrects.

    A release of a day that has not come yet is passed over: it was counted before the programme's date was set.
    """
    release = FigureRelease.objects.filter(on__lte=clock.today()).order_by("-on").first()
    shown: dict[str, dict[str, int | str]] = {name: {} for name in DEFINITIONS}
    revised: dict[tuple[str, str], str] = {}
    since: dict[str, dt.date] = {}
    if release:
        rows = PublicFigure.objects.filter(on=release.on).exclude(name=CUMULATIVE).order_by("revision")
        for name, area, value, shown_on, revision, note in rows.values_list(
            "name", "area", "value", "shown_on", "revision", "note"
        ):
            shown.setdefault(name, {})[area] = hidden_text(name) if value is None else value
            if name == NEED and shown_on and area != NATION:
                since[area] = shown_on
            if revision:
                revised[name, area] = note
    programme = Programme.objects.filter(pk=1, is_demonstration=True).first()
    filling = None
    if programme and programme.demonstration_step:
        filling = (programme.demonstration_percent, programme.demonstration_step)
    return Snapshot(release, shown, programme is not None, filling, revised, since)


def counted(shot: Snapshot) -> dict[str, dict[str, int]]:
    """Per figure and area what was counted, hidden from the public or not: for staff."""
    raw: dict[str, dict[str, int]] = defaultdict(dict)
    if shot.release:
        rows = DailyFigure.objects.filter(on=shot.release.on).exclude(name=CUMULATIVE).order_by("revision")
        for name, area, value in rows.values_list("name", "area", "value"):
            raw[name][area] = value
    return raw


@dataclass(frozen=True)
class Revision:
    """One corrected figure as the public reads it: what was published, what stands now, and why."""

    on: dt.date
    label: str
    area: str
    before: int | str
    after: int | str
    note: str


def revisions(*, limit: int = 50) -> list[Revision]:
    """The newest corrections of published figures; what is hidden stays so on both sides."""
    known = PublicFigure.objects.filter(revision__gt=0).order_by("-on", "name", "area", "-revision")[:limit]
    earlier = {
        (row.on, row.name, row.area, row.revision + 1): row
        for row in PublicFigure.objects.filter(
            on__in={row.on for row in known}, name__in={row.name for row in known}
        )
    }
    names = dict(AdministrativeUnit.objects.provinces().values_list("public_code", "name"))

    def shown(row: PublicFigure) -> int | str:
        return hidden_text(row.name) if row.value is None else row.value

    return [
        Revision(
            row.on,
            str(DEFINITIONS[row.name].label) if row.name in DEFINITIONS else row.name,
            "" if row.area == NATION else names.get(row.area, row.area),
            shown(earlier[row.on, row.name, row.area, row.revision]),
            shown(row),
            row.note,
        )
        for row in known
        if (row.on, row.name, row.area, row.revision) in earlier
    ]


def cumulative() -> list[tuple[dt.date, int]]:
    """(day, devices handed over by then), by the published weeks."""
    rows = PublicFigure.objects.filter(name=CUMULATIVE).order_by("on")
    return list(rows.values_list("on", "value"))

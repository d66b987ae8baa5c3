"""The latest stored figures as pages, files and the API show them: read once, protected, ready to print."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field

from django.utils.functional import cached_property

from common import clock
from common.models import Programme
from dashboards.figures import CUMULATIVE, DEFINITIONS, NATION
from dashboards.models import DailyFigure, FigureRelease
from ledger.disclosure import suppress
from schools.models import AdministrativeUnit

# Counts of children below the nation; points and their like are nobody's personal data.
PROTECTED = ("need", "listed", "allocated", "in_province", "handed_over", "in_use")


@dataclass(frozen=True)
class ProvinceRow:
    """One province in public: a count is a number, "<10", or "ẩn" where it is hidden beside such a one."""

    unit: AdministrativeUnit
    need: int | str
    allocated: int | str
    in_province: int | str
    handed_over: int | str
    in_use: int | str
    points: int
    points_covered: int
    has_figures: bool

    @property
    def share(self) -> float | None:
        """Handed over of the need; None where either is hidden or there is no need yet."""
        if not self.need or isinstance(self.need, str) or isinstance(self.handed_over, str):
            return None
        return self.handed_over / self.need


@dataclass(frozen=True)
class Snapshot:
    """Figures of one release; without a release everything is zero and `release` is None."""

    release: FigureRelease | None
    raw: dict[str, dict[str, int]]
    is_demonstration: bool
    # How far the demonstration is while it still fills: (percent, what it does); None otherwise.
    filling: tuple[int, str] | None = None
    revised: dict[tuple[str, str], str] = field(default_factory=dict)

    def nation(self, name: str) -> int | None:
        return self.raw.get(name, {}).get(NATION)

    @property
    def reporting(self) -> int:
        return self.nation("provinces_reporting") or 0

    @cached_property
    def shown(self) -> dict[str, dict[str, int | str]]:
        """Per figure and province what the public may see."""
        result: dict[str, dict[str, int | str]] = {}
        for name, cells in self.raw.items():
            below = {area: value for area, value in cells.items() if area != NATION}
            result[name] = suppress(below) if name in PROTECTED else dict(below)
        return result

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
            has_figures=any(area in self.raw.get(name, {}) for name in ("need", "allocated")),
            **{name: cell(name) for name in PROTECTED if name != "listed"},
        )

    def shares(self) -> dict[str, float | None]:
        """GSO code → share handed over of the need, for the maps."""
        return {row.unit.code: row.share for row in self.provinces if row.unit.vintage == "2021"}


def latest() -> Snapshot:
    """The newest release with its figures; a revision replaces the figure that it corrects.

    A release of a day that has not come yet is passed over: it was counted before the programme's date was set.
    """
    release = FigureRelease.objects.filter(on__lte=clock.today()).order_by("-on").first()
    raw: dict[str, dict[str, int]] = defaultdict(dict)
    revised: dict[tuple[str, str], str] = {}
    if release:
        rows = DailyFigure.objects.filter(on=release.on).exclude(name=CUMULATIVE).order_by("revision")
        for name, area, value, revision, note in rows.values_list(
            "name", "area", "value", "revision", "note"
        ):
            raw[name][area] = value
            if revision:
                revised[name, area] = note
    programme = Programme.objects.filter(pk=1, is_demonstration=True).first()
    filling = None
    if programme and programme.demonstration_step:
        filling = (programme.demonstration_percent, programme.demonstration_step)
    figures = {**{name: {} for name in DEFINITIONS}, **raw}
    return Snapshot(release, figures, programme is not None, filling, revised)


def cumulative() -> list[tuple[dt.date, int]]:
    """(day, devices handed over by then), by the published weeks."""
    rows = DailyFigure.objects.filter(name=CUMULATIVE).order_by("on")
    return list(rows.values_list("on", "value"))

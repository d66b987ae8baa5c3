"""What the public sees of the programme as a whole."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _

from common import charts, clock
from common.access import public
from common.exports import csv_response
from common.templatetags.vi import format_date, format_number, format_percent
from dashboards import donors, snapshot
from dashboards.figures import DEFINITIONS
from dashboards.models import Story
from dashboards.protection import FROM_ENTRIES, NEED
from schools.models import AdministrativeUnit

FUNNEL = (
    ("pledged", None),
    ("received", None),
    ("purchasing", None),
    ("in_province", "days_to_arrive"),
    ("handed_over", "days_to_hand_over"),
    ("in_use", None),
)


def count_or_few(value: int | str) -> str:
    """A protected count as it is shown: 1.234, <10, or "ẩn"."""
    return _(value) if isinstance(value, str) else format_number(value)


def share_text(row: snapshot.ProvinceRow) -> str:
    return "—" if row.share is None else format_percent(row.share, 1)


def province_table(rows: list[snapshot.ProvinceRow]) -> tuple[list[str], list[list[str]]]:
    columns = [_("Tỉnh, thành phố"), _("Nhu cầu"), _("Đã bàn giao"), _("Đáp ứng")]
    return columns, [
        [row.unit.name, count_or_few(row.need), count_or_few(row.handed_over), share_text(row)]
        for row in rows
    ]


def funnel_steps(shot: snapshot.Snapshot) -> list[tuple[str, int, str]]:
    steps = []
    for name, days in FUNNEL:
        note = ""
        if days and (median := shot.nation(days)) is not None:
            note = f"{DEFINITIONS[days].label}: {_('%(n)s ngày') % {'n': median}}"
        steps.append((str(DEFINITIONS[name].label), shot.nation(name) or 0, note))
    return steps


def province_links(rows: list[snapshot.ProvinceRow]) -> dict[str, str]:
    return {
        row.unit.code: reverse("dashboards:province", args=[row.unit.slug]) for row in rows if row.unit.slug
    }


@public
def home(request: HttpRequest) -> HttpResponse:
    """What reached students, how far the rest is, and where; never a pledge as a result."""
    shot = snapshot.latest()
    rows = shot.provinces
    links = province_links(rows)
    shares = shot.shares()
    title = _("Mức đáp ứng nhu cầu theo tỉnh, thành phố")
    columns, _table = province_table([])
    context = {
        "shot": shot,
        "handed_over": shot.nation("handed_over") or 0,
        "need": shot.nation("need") or 0,
        "points": (shot.nation("points_covered") or 0, shot.nation("points") or 0),
        "urgent": (shot.nation("urgent_points_covered") or 0, shot.nation("urgent_points") or 0),
        "data_plans": shot.nation("data_plans") or 0,
        "steps": funnel_steps(shot),
        "funnel": charts.funnel(funnel_steps(shot), title=_("Từ cam kết đến tay học sinh")),
        "patterns": charts.patterns(),
        "legend": charts.legend(),
        "tiles": charts.tile_map(shares, title=title, href=links.get),
        "geography": charts.geographic_map(shares, title=title, href=links.get),
        "columns": columns,
        "rows": [
            (
                links.get(row.unit.code, ""),
                row.unit.name,
                count_or_few(row.need),
                count_or_few(row.handed_over),
                share_text(row),
            )
            for row in rows
        ],
        "stories": Story.objects.published_by(clock.today())[:3],
    }
    return render(request, "dashboards/home.html", context)


@public
def provinces_csv(request: HttpRequest) -> HttpResponse:
    """The table of the home page as CSV."""
    shot = snapshot.latest()
    columns, rows = province_table(shot.provinces)
    day = format_date(shot.release.on) if shot.release else ""
    return csv_response(
        "tien-do-theo-tinh.csv",
        [_("Mã tỉnh"), *columns, _("Số liệu ngày"), _("Số nhu cầu từ ngày")],
        (
            [row.unit.public_code, *cells, day, format_date(row.need_on) if row.need_on else ""]
            for row, cells in zip(shot.provinces, rows, strict=True)
        ),
    )


@public
def province(request: HttpRequest, slug: str) -> HttpResponse:
    """One province: the need, what came, what is on the way, points without signal."""
    unit = get_object_or_404(AdministrativeUnit.objects.provinces(), slug=slug)
    shot = snapshot.latest()
    row = next((row for row in shot.provinces if row.unit.pk == unit.pk), None)
    if row is None and unit.successor_id is None and not unit.predecessors.exists():
        raise Http404
    context = {
        "unit": unit,
        "crumbs": [(_("Tiến độ toàn quốc"), reverse("dashboards:home")), (unit.name, "")],
        "shot": shot,
        "row": row,
        "share": share_text(row) if row else "—",
        "handed_over": count_or_few(row.handed_over) if row else "—",
        "stages": _province_stages(row) if row else [],
        "pledges": donors.earmarked_for(unit),
        "geography": charts.geographic_map(
            {unit.code: row.share} if row and unit.vintage == "2021" else {},
            title=_("Vị trí của %(name)s") % {"name": unit.name},
            highlight=unit.code if unit.vintage == "2021" else "",
        ),
        "patterns": charts.patterns(),
        "directives": unit.directive_periods.order_by("starts_on"),
        "predecessors": unit.predecessors.order_by("code"),
    }
    return render(request, "dashboards/province.html", context)


def _province_stages(row: snapshot.ProvinceRow) -> list[tuple[str, str, str]]:
    """(stage, count, since which day it stands if it isn't the day's)."""
    since = _("từ ngày %(day)s") % {"day": format_date(row.need_on)} if row.need_on else ""
    stages = [(str(DEFINITIONS[NEED].label), count_or_few(row.need), since)]
    return stages + [
        (str(DEFINITIONS[name].label), count_or_few(getattr(row, name)), "") for name in FROM_ENTRIES
    ]


@public
def how_counted(request: HttpRequest) -> HttpResponse:
    """How every public figure is counted, from what, and how small numbers are protected."""
    shot = snapshot.latest()
    return render(
        request,
        "dashboards/how_counted.html",
        {
            "definitions": DEFINITIONS.values(),
            "shot": shot,
            "revisions": [
                (row, count_or_few(row.before), count_or_few(row.after)) for row in snapshot.revisions()
            ],
        },
    )


@public
def guide(request: HttpRequest) -> HttpResponse:
    """How a school receives, hands over and uses the computers and the data of the programme well (Plan III.2đ)."""
    return render(request, "dashboards/guide.html")


@public
def families(request: HttpRequest) -> HttpResponse:
    """Whom the programme is for: which child gets a computer, whom to ask, what to do when it breaks."""
    return render(request, "dashboards/families.html")


@public
def stories(request: HttpRequest) -> HttpResponse:
    """News of the programme."""
    return render(request, "dashboards/stories.html", {"stories": Story.objects.published_by(clock.today())})


@public
def story(request: HttpRequest, slug: str) -> HttpResponse:
    """One story, with its source and how to cite it."""
    found = get_object_or_404(Story.objects.published_by(clock.today()), slug=slug)
    return render(request, "dashboards/story.html", {"story": found})

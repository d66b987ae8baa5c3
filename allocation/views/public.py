"""A run for everyone: aggregates by the disclosure rules, and the draw recomputed in the reader's browser."""

from collections import Counter, defaultdict

from django.conf import settings
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from allocation import rules
from allocation.models import AllocationRun
from allocation.views.proposal import policy_rows
from common import clock
from common.access import public
from common.templatetags.vi import format_number
from ledger.disclosure import FEW, NATION, ten_or_none
from ledger.draw import TIER_CELL
from schools.models import AdministrativeUnit

State = AllocationRun.State
# What the draw file merges so that no cell has fewer than ten.
MIXED, ELSEWHERE = "Nhiều đối tượng, gộp chung", "Nhiều tỉnh, gộp chung"


def announced():
    """Runs that the public knows of: from the freeze on, which is an entry of the ledger."""
    return AllocationRun.objects.filter(frozen_at__isnull=False).select_related(
        "policy__phase", "province", "seed_kept_from"
    )


@public
@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    """Runs since their freeze, and above them the draws that are to come: announced before anything is frozen."""
    live = AllocationRun.objects.filter(state__in=[State.OPENED, State.FROZEN]).select_related("province")
    return render(
        request,
        "allocation/public_runs.html",
        {
            "page": Paginator(announced().order_by("-pk"), 50).get_page(request.GET.get("trang")),
            "announced": live.filter(draw_at__gt=clock.now()).order_by("draw_at"),
        },
    )


@public
@require_GET
def run_page(request: HttpRequest, code: str) -> HttpResponse:
    run = get_object_or_404(announced(), code=code)
    context = {
        "run": run,
        "is_overdue": run.state == State.FROZEN and run.draw_at <= clock.now(),
        "parties": rules.parties(run.commitments, run.randomness if run.seed else ""),
        "source_digest": rules.source_digest(run.randomness_source),
        "randomness_hex": run.randomness.encode().hex(),
        "group_names": [rules.GROUP_NAMES[name] for name in run.policy.rules["groups"]],
        "policy_rows": policy_rows(run.policy),
        "places": AdministrativeUnit.objects.provinces().values_list("public_code", "full_name"),
        "log_url": f"{settings.PUBLIC_URL}/ledger",
    }
    if run.state == State.COMMITTED:
        context |= public_figures(run)
    return render(request, "allocation/public_run.html", context)


def public_figures(run: AllocationRun) -> dict:
    """Tables of a committed run: the lines of its public draw file counted, and nothing finer (ADR 24, 34).

    A cell of the file has ten applicants; with exact totals beside them, what is merged could be told apart again.
    """
    names = {unit.public_code: unit.full_name for unit in AdministrativeUnit.objects.provinces()}
    groups = [*map(rules.group_title, run.summary["policy_groups"]), MIXED]
    by_group, by_province = defaultdict[str, Counter](Counter), defaultdict[str, Counter](Counter)
    for cell, (size, served) in run.summary.get("draw", {}).items():
        tier = TIER_CELL.fullmatch(cell)
        parts = Counter(served=served, waiting=size - served)
        by_group[groups[int(tier[2]) - 1] if tier else MIXED] += parts
        by_province[tier[4] if tier else cell.removeprefix("*")] += parts
    codes = sorted(by_province, key=lambda code: (code == NATION, code))
    waterline = run.summary["waterline"]
    words = ""
    if waterline:
        words = rules.tier_words(rules.tier_of(waterline), run.summary["policy_groups"])
    return {
        "is_counted": "draw" in run.summary,
        "group_columns": ["Đối tượng", "Em có máy", "Còn chờ"],
        "province_columns": ["Tỉnh", "Em có máy", "Còn chờ"],
        "waterline": waterline,
        "waterline_words": words,
        "group_rows": [[name, *shown(by_group[name])] for name in groups if name in by_group],
        "province_rows": [
            [ELSEWHERE if code == NATION else names.get(code, code), *shown(by_province[code])]
            for code in codes
        ],
    }


def shown(parts: Counter) -> list[str]:
    numbers = (ten_or_none(parts[name]) for name in ("served", "waiting"))
    return [FEW if number is None else format_number(number) for number in numbers]


@public
@require_GET
def draw_file(request: HttpRequest, code: str) -> HttpResponse:
    """The public draw file of a committed run, as it was hashed into the ledger."""
    run = get_object_or_404(announced(), code=code, state=State.COMMITTED)
    path = settings.LEDGER_DIR / "runs" / f"{run.code}.csv"
    if not path.is_file():
        raise Http404
    return FileResponse(
        path.open("rb"), content_type="text/csv; charset=utf-8", filename=f"boc-tham-{run.code}.csv"
    )

"""A run for everyone: aggregates by the disclosure rules, and the draw recomputed in the reader's browser."""

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from allocation import rules
from allocation.models import AllocationRun
from allocation.proposing import totals_by
from common.access import public
from common.templatetags.vi import format_number
from ledger.disclosure import suppress, suppress_table
from schools.models import AdministrativeUnit

State = AllocationRun.State


def announced():
    """Runs that the public knows of: from the freeze on, which is an entry of the ledger."""
    return AllocationRun.objects.filter(frozen_at__isnull=False).select_related("policy__phase", "province")


@public
@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    return render(request, "allocation/public_runs.html", {"runs": announced().order_by("-pk")[:100]})


@public
@require_GET
def run_page(request: HttpRequest, code: str) -> HttpResponse:
    run = get_object_or_404(announced(), code=code)
    context = {"run": run}
    if run.state == State.COMMITTED:
        context |= public_figures(run)
    return render(request, "allocation/public_run.html", context)


def public_figures(run: AllocationRun) -> dict:
    """Tables in which no cell below ten is shown or derivable (ledger rules 2 and 4)."""
    cells = run.summary["cells"]
    names = {unit.public_code: unit.full_name for unit in AdministrativeUnit.objects.provinces()}
    by_group = {name: {"served": got, "unmet": need - got} for name, need, got in totals_by(cells, "group")}
    by_province = {
        code: {"served": got, "unmet": need - got} for code, need, got in totals_by(cells, "province")
    }
    served = suppress({name: row["served"] for name, row in by_group.items()})
    unmet = suppress({name: row["unmet"] for name, row in by_group.items()})
    table = suppress_table(by_province)
    waterline = run.summary["waterline"]
    words = ""
    if waterline:
        words = rules.tier_words(tuple(map(int, waterline.split("."))), run.summary["policy_groups"])
    return {
        "waterline": waterline,
        "waterline_words": words,
        "group_rows": [
            [rules.GROUP_NAMES[name].capitalize(), shown(served[name]), shown(unmet[name])]
            for name in by_group
        ],
        "province_rows": [
            [names.get(code, code), shown(row["served"]), shown(row["unmet"])] for code, row in table.items()
        ],
    }


def shown(value: int | str) -> str:
    return format_number(value) if isinstance(value, int) else value


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

"""Runs: the list, opening, the page that leads through each step, and the acts on it."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from allocation import perms, proposing, rules, services
from allocation.forms import RandomnessForm, RejectForm, RunForm
from allocation.models import Allocation, AllocationRun
from common import clock
from common.charts import tile_map
from common.exports import csv_response
from common.models import Job
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from donations.models import Device
from schools.models import AdministrativeUnit, School, Student

State = AllocationRun.State
DONE_STEPS = [State.OPENED, State.FROZEN, State.SEEDED, State.PROPOSED, State.APPROVED, State.COMMITTED]


def run_of(request: HttpRequest, code: str) -> AllocationRun:
    """The run within this person's scope, or 404."""
    runs = AllocationRun.objects.for_user(request.user).select_related("policy__phase", "province")
    return get_object_or_404(runs, code=code)


@perms.reader
@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    runs = (
        AllocationRun.objects.for_user(request.user)
        .select_related("policy__phase", "province")
        .order_by("-pk")
    )
    page = Paginator(runs, 25).get_page(request.GET.get("trang"))
    waiting = Student.objects.filter(state=Student.State.APPROVED, has_device=False).exclude(
        allocations__in=Allocation.objects.live()
    )
    stock = Device.objects.filter(state=Device.State.ACCEPTED).exclude(
        allocations__in=Allocation.objects.live()
    )
    return render(
        request,
        "allocation/run_list.html",
        {
            "page": page,
            "waiting": waiting.count(),
            "stock": stock.count(),
            "may_open": perms.clerk.test(request.user),
        },
    )


@perms.clerk
def run_open(request: HttpRequest) -> HttpResponse:
    form = RunForm(request.POST or None, user=request.user)
    if form.is_valid():
        with refusals_on(form):
            run = services.open_run(by=request.user, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            messages.success(
                request, f"Đã mở đợt {run.code}. Nguồn ngẫu nhiên đã công bố; giờ có thể chốt dữ liệu."
            )
            return redirect("allocation:run", code=run.code)
    return render(request, "allocation/run_open.html", {"form": form})


@perms.reader
@require_GET
def run_page(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    return render(request, "allocation/run.html", run_context(request, run))


def run_context(request: HttpRequest, run: AllocationRun, **more: Any) -> dict[str, Any]:
    """Everything the run's page shows; forms with errors come in by `more`."""
    user = request.user
    job = Job.objects.for_subject(run).first()
    context: dict[str, Any] = {
        "run": run,
        "job": job,
        "job_runs": job is not None and job.state in (Job.State.QUEUED, Job.State.RUNNING),
        "progress": progress_context(run, job),
        "steps": step_items(run),
        "may_prepare": perms.can_prepare(user, run),
        "may_confirm": perms.can_confirm_randomness(user, run),
        "may_approve": perms.can_approve(user, run),
        "may_reject": perms.can_reject(user, run),
        "randomness_form": RandomnessForm(),
        "reject_form": RejectForm(),
        "policy_rows": policy_rows(run),
    }
    if run.summary:
        context |= proposal_context(run)
    return context | more


def policy_rows(run: AllocationRun) -> list[dict[str, str]]:
    given = run.policy.rules
    order = (
        "Địa phương Chỉ thị 16 trước, rồi đối tượng"
        if given["locality_first"]
        else "Đối tượng trước, rồi địa phương"
    )
    margin = (
        "theo tỉ lệ số em còn thiếu của mỗi tỉnh"
        if given["margin"] == "proportional"
        else "bốc thăm chung cả nước"
    )
    return [
        {"key": "Chính sách", "value": str(run.policy)},
        {
            "key": "Đối tượng, theo thứ tự",
            "value": ", ".join(rules.GROUP_NAMES[name] for name in given["groups"]),
        },
        {"key": "Thứ tự xét", "value": order},
        {"key": "Máy hết giữa một bậc", "value": f"chia {margin}"},
        {"key": "Phạm vi", "value": run.scope_name},
        {"key": "Nguồn ngẫu nhiên", "value": f"{run.get_source_display()}: {run.randomness_source}"},
    ]


def step_items(run: AllocationRun) -> list[dict[str, Any]]:
    """The ceremony as a timeline: what was done, by whom, what comes next."""
    reached = DONE_STEPS.index(run.state) if run.state in DONE_STEPS else -1
    items = [
        ("Mở đợt, công bố nguồn ngẫu nhiên", run.opened_at, run.opened_by),
        ("Chốt dữ liệu", run.frozen_at, run.frozen_by),
        ("Bốc thăm: hai người nhập và xác nhận", run.confirmed_at, run.confirmed_by),
        ("Lập phương án", run.proposed_at, run.proposed_by),
        ("Người thứ hai phê duyệt", run.approved_at, run.approved_by),
        ("Ghi phân bổ và sổ cái", run.committed_on_clock_at, None),
    ]
    steps = [
        {
            "text": text,
            "at": at,
            "note": f"{by.full_name}" if by else "",
            "state": "done" if at else ("current" if number == reached + 1 else "todo"),
        }
        for number, (text, at, by) in enumerate(items)
    ]
    if run.state == State.REJECTED:
        steps = [step for step in steps if step["state"] == "done"]
        note = f"{run.get_reject_reason_display()}. {run.reject_note}"
        steps.append({"text": "Đã bác", "at": run.rejected_at, "note": note, "state": "problem"})
    return steps


def proposal_context(run: AllocationRun) -> dict[str, Any]:
    summary = run.summary
    units = {
        unit.public_code: unit
        for unit in AdministrativeUnit.objects.provinces().filter(
            public_code__in={cell["province"] for cell in summary["cells"]}
        )
    }
    by_province = proposing.totals_by(summary["cells"], "province")
    by_group = proposing.totals_by(summary["cells"], "group")
    share = {units[code].code: got / need for code, need, got in by_province if code in units and need}
    before = (
        AllocationRun.objects.filter(state=State.COMMITTED, province=run.province, pk__lt=run.pk)
        .order_by("-pk")
        .first()
    )
    waterline = tuple(map(int, summary["waterline"].split("."))) if summary["waterline"] else None
    groups = summary["policy_groups"]
    return {
        "summary": summary,
        "columns": ["Tỉnh", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        "group_columns": ["Đối tượng", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        "pass_columns": ["Lượt", "Số máy"],
        "margin_columns": ["Tỉnh", "Còn thiếu trong bậc", "Được chia"],
        "difference_columns": ["Tỉnh, đối tượng", "Có máy (thêm, bớt)", "Còn thiếu (thêm, bớt)"],
        "starving": rules.starvation(summary["served"], summary["unmet"]),
        "waterline_words": rules.tier_words(waterline, groups) if waterline else "",
        "group_rows": [
            [rules.GROUP_NAMES[name].capitalize(), *map(format_number, (need, got, need - got))]
            for name, need, got in by_group
        ],
        "province_rows": [
            [units[code].full_name if code in units else code, *map(format_number, (need, got, need - got))]
            for code, need, got in by_province
        ],
        "map": tile_map(share, title="Tỉ lệ em đủ điều kiện có máy theo phương án", ident="run-map"),
        "pass_rows": [
            [name.capitalize(), format_number(summary["by_pass"][key])]
            for key, name in rules.PASS_NAMES.items()
        ],
        "margin_rows": [
            [units[code].full_name if code in units else code, format_number(need), format_number(got)]
            for code, need, got in (summary["margin"] or {"provinces": []})["provinces"]
        ],
        "idle": idle_rows(summary["idle"]),
        "before": before,
        "difference_rows": difference_rows(proposing.difference(summary, before.summary), units)
        if before
        else [],
    }


def difference_rows(
    difference: list[dict[str, Any]], units: dict[str, AdministrativeUnit]
) -> list[list[str]]:
    def signed(now: int, then: int) -> str:
        return f"{format_number(now)} ({'+' if now >= then else '−'}{format_number(abs(now - then))})"

    def name_of(code: str) -> str:
        return units[code].full_name if code in units else code

    return [
        [
            f"{name_of(row['province'])}, {rules.GROUP_NAMES[row['group']]}",
            signed(row["served"], row["served_before"]),
            signed(row["unmet"], row["unmet_before"]),
        ]
        for row in difference
    ]


def idle_rows(idle: list[list[int]]) -> list[dict[str, Any]]:
    """Devices that nobody may have, by place, with what to do about it."""
    schools = School.objects.in_bulk([area for level, area, _ in idle if level == 0])
    units = AdministrativeUnit.objects.in_bulk([area for level, area, _ in idle if level in (1, 2)])
    rows = []
    for level, area, count in idle:
        if level == 3:
            place, advice = "Máy chung", "Mọi em đủ điều kiện đã có máy; để dành cho danh sách đến muộn."
        else:
            found = schools.get(area) if level == 0 else units.get(area)
            place = str(found) if found else "Nơi dành riêng"
            advice = "Đề nghị trường, phòng gửi danh sách, hoặc xin nhà tài trợ chuyển sang nơi khác."
        rows.append({"place": place, "count": count, "advice": advice})
    return rows


def progress_context(run: AllocationRun, job: Job | None) -> dict[str, Any]:
    if job is None:
        return {}
    finished = job.state not in (Job.State.QUEUED, Job.State.RUNNING)
    return {
        "id": "tien-do",
        "url": reverse("allocation:run_progress", args=[run.code]),
        "text": job.step or job.get_state_display(),
        "done": job.done_rows,
        "total": job.total_rows,
        "is_finished": finished,
        "result_href": reverse("allocation:run", args=[run.code]) if finished else "",
        "result_text": "Xem kết quả",
        "error": job.message if job.state == Job.State.FAILED else "",
    }


@perms.reader
@require_GET
def run_progress(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    job = Job.objects.for_subject(run).first()
    if job is None:
        raise Http404
    return render(request, "components/progress.html", progress_context(run, job))


# --- acts --------------------------------------------------------------------------------------------


@perms.clerk
@require_POST
def run_freeze(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    if not perms.can_prepare(request.user, run):
        raise Http404
    return act(request, run, lambda: services.request_freeze(by=request.user, run=run))


@perms.decider
@require_POST
def run_randomness(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    form = RandomnessForm(request.POST)
    if run.entered_by_id is None or "again" in request.POST:
        service, may = services.enter_randomness, perms.can_prepare(request.user, run)
    else:
        service, may = services.confirm_randomness, perms.can_confirm_randomness(request.user, run)
    if not may:
        raise Http404
    return act(
        request,
        run,
        lambda: service(by=request.user, run=run, value=form.cleaned_data["value"], at=clock.now()),
        form=form,
        name="randomness_form",
    )


@perms.approver
@require_POST
def run_approve(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    if not perms.can_approve(request.user, run):
        raise Http404
    return act(request, run, lambda: services.approve(by=request.user, run=run, at=clock.now()))


@perms.approver
@require_POST
def run_commit_again(request: HttpRequest, code: str) -> HttpResponse:
    """After a commit that failed for a passing reason."""
    run = run_of(request, code)
    if not perms.can_approve(request.user, run) or run.state != State.APPROVED:
        raise Http404
    return act(request, run, lambda: services.request_commit(by=request.user, run=run))


@perms.decider
@require_POST
def run_reject(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    if not perms.can_reject(request.user, run):
        raise Http404
    form = RejectForm(request.POST)
    return act(
        request,
        run,
        lambda: services.reject(by=request.user, run=run, at=clock.now(), **form.cleaned_data),
        form=form,
        name="reject_form",
    )


def act(
    request: HttpRequest, run: AllocationRun, service, *, form=None, name: str = "act_form"
) -> HttpResponse:
    """Call one service; back to the run's page, or the page again with what was refused."""
    form = form if form is not None else RejectForm({"reason": "other_ground"})
    if form.is_valid():
        with refusals_on(form):
            service()
    if form.errors:
        return render(
            request,
            "allocation/run.html",
            run_context(request, run, refused=form, **{name: form}),
            status=422,
        )
    return redirect("allocation:run", code=run.code)


@perms.reader
@require_GET
def run_csv(request: HttpRequest, code: str) -> HttpResponse:
    """The proposal's figures per province and group."""
    run = run_of(request, code)
    if not run.summary:
        raise Http404
    return csv_response(
        f"phuong-an-{run.code}.csv",
        ["Tỉnh (mã)", "Đối tượng", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        (
            [
                cell["province"],
                rules.GROUP_NAMES[cell["group"]],
                cell["need"],
                cell["served"],
                cell["need"] - cell["served"],
            ]
            for cell in run.summary["cells"]
        ),
    )

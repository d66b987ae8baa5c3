"""Runs: the list, opening, the page that leads through each step, and the acts on it."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from allocation import perms, rules, services
from allocation.forms import RandomnessForm, RejectForm, RunForm
from allocation.models import Allocation, AllocationRun
from allocation.views import proposal
from common import clock
from common.access import may_open
from common.exports import csv_response
from common.models import Job
from common.refusals import refusals_on
from donations.models import Device
from schools.models import Student
from schools.reach import reach

State = AllocationRun.State
# Need, allocated, sent and received by province stand there: what moves is not known on this floor.
MINISTRY = "/dieu-hanh/"
DONE_STEPS = [State.OPENED, State.FROZEN, State.SEEDED, State.PROPOSED, State.APPROVED, State.COMMITTED]


def run_of(request: HttpRequest, code: str) -> AllocationRun:
    """The run within this person's scope, or 404."""
    runs = AllocationRun.objects.for_user(request.user).select_related(
        "policy__phase", "province", "seed_kept_from"
    )
    return get_object_or_404(runs, code=code)


@perms.visitor
@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    """The runs in scope; above them what waits and what is there, for the places this person reaches."""
    runs = AllocationRun.objects.for_user(request.user).select_related("policy__phase", "province")
    reads_runs = perms.reader.test(request.user)
    if not reads_runs:  # a school meets a run with its own students only, once it is frozen
        runs = runs.filter(frozen_at__isnull=False)
    page = Paginator(runs.order_by("-pk"), 25).get_page(request.GET.get("trang"))
    waiting = Student.objects.filter(reach(request.user, through="school__office__")).filter(
        ~Exists(Allocation.objects.live().filter(student=OuterRef("pk"))),
        state=Student.State.APPROVED,
        has_device=False,
    )
    return render(
        request,
        "allocation/run_list.html",
        {
            "page": page,
            "waiting": waiting.count(),
            "stock": stock_rows(request.user) if reads_runs else [],
            "reads_runs": reads_runs,
            "may_open": perms.clerk.test(request.user),
        },
    )


def stock_rows(user) -> list[tuple[str, int]]:
    """Accepted devices without an allocation: for the provinces in scope, and free ones for who runs the nation."""
    stock = Device.objects.filter(state=Device.State.ACCEPTED).filter(
        ~Exists(Allocation.objects.live().filter(device=OuterRef("pk")))
    )
    provinces, is_national = perms.scopes_to_try(user)
    earmarked = stock.filter(
        Q(earmark_unit__province__in=provinces) | Q(earmark_school__province__in=provinces)
    )
    rows = [("Máy dành riêng, trong kho, chưa phân bổ", earmarked.count())]
    if is_national:
        free = stock.filter(earmark_unit=None, earmark_school=None)
        rows.insert(0, ("Máy chung, trong kho, chưa phân bổ", free.count()))
    return rows


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
    return render(request, "allocation/run_open.html", {"form": form}, status=422 if form.errors else 200)


@perms.reader
@require_GET
def run_page(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    return render(request, "allocation/run.html", run_context(request, run))


def run_context(request: HttpRequest, run: AllocationRun, **more: Any) -> dict[str, Any]:
    """Everything the run's page shows; forms with errors come in by `more`."""
    user = request.user
    job = main_job(run)
    now = clock.now()
    context: dict[str, Any] = {
        "run": run,
        "is_too_late": run.state == State.OPENED and run.draw_at <= now,
        "is_draw_due": run.state == State.FROZEN and run.draw_at <= now,
        "overdue_days": max((now - run.draw_at).days, 0) if run.state == State.FROZEN else 0,
        "parties": rules.parties(run.commitments, run.randomness if run.seed else ""),
        "job": job,
        "job_runs": job is not None and job.state in (Job.State.QUEUED, Job.State.RUNNING),
        "progress": progress_context(run, job),
        "steps": step_items(run),
        "may_prepare": perms.can_prepare(user, run),
        "may_confirm": perms.can_confirm_randomness(user, run),
        "may_approve": perms.can_approve(user, run),
        "stopped_step": services.stopped_step(run),
        "may_do_again": may_do_again(request, run),
        "may_reject": perms.can_reject(user, run),
        "may_ask_reduction": perms.can_ask_reduction(user, run),
        "reductions": [
            (reduction, perms.can_decide_reduction(user, reduction))
            for reduction in run.reductions.select_related("requested_by").order_by("-pk")
        ],
        "randomness_form": RandomnessForm(run=run),
        "reject_form": RejectForm(),
        "policy_rows": run_rows(run),
        "may_see_ministry": may_open(user, MINISTRY),
        "may_read_students": perms.reads_students.test(user),
        "may_print_slips": perms.prints_slips.test(user),
        "ministry": f"{MINISTRY}dot/{run.code}/",
    }
    if run.summary:
        context |= proposal.run_context(run)
    if run.state == State.OPENED and context["may_prepare"]:
        context["expected"] = proposal.expected(run, now)
    return context | more


def main_job(run: AllocationRun) -> Job | None:
    """The newest long step; the queue is written beside and holds nothing up."""
    return Job.objects.for_subject(run).exclude(kind=services.RANKING_JOB).first()


def run_rows(run: AllocationRun) -> list[dict[str, str]]:
    """What was fixed for a run when it was opened."""
    return [
        {"key": "Loại đợt", "value": run.get_purpose_display()},
        {"key": "Phạm vi", "value": run.scope_name},
        *proposal.policy_rows(run.policy),
        {"key": "Nguồn ngẫu nhiên", "value": f"{run.get_source_display()}: {run.randomness_source}"},
    ]


def step_items(run: AllocationRun) -> list[dict[str, Any]]:
    """The ceremony as a timeline: what was done, by whom, what comes next."""
    reached = DONE_STEPS.index(run.state) if run.state in DONE_STEPS else -1
    drawn_by = ""
    if run.entered_by and run.confirmed_by:
        drawn_by = f"{run.entered_by.full_name} nhập, {run.confirmed_by.full_name} xác nhận"
    draw = "Bốc thăm: hai người nhập và xác nhận"
    if run.seed_kept_from:
        draw = f"Bốc thăm: giữ kết quả của đợt {run.seed_kept_from.code}"
    items = [
        ("Mở đợt, công bố nguồn ngẫu nhiên", run.opened_at, run.opened_by),
        ("Chốt dữ liệu", run.frozen_at, run.frozen_by),
        (draw, run.confirmed_at, drawn_by),
        ("Lập phương án", run.proposed_at, run.proposed_by),
        ("Người thứ hai phê duyệt", run.approved_at, run.approved_by),
        ("Ghi phân bổ và sổ cái", run.approved_at if run.state == State.COMMITTED else None, None),
    ]
    steps = [
        {
            "text": text,
            "at": at,
            "note": getattr(by, "full_name", by) or "",
            "state": "done" if at else ("current" if number == reached + 1 else "todo"),
        }
        for number, (text, at, by) in enumerate(items)
    ]
    if run.state == State.REJECTED:
        steps = [step for step in steps if step["state"] == "done"]
        note = f"{run.get_reject_reason_display()}. {run.reject_note}"
        steps.append({"text": "Đã bác", "at": run.rejected_at, "note": note, "state": "problem"})
    return steps


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
    job = main_job(run)
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
    form = RandomnessForm(request.POST, run=run)
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


@perms.decider
@require_POST
def run_step_again(request: HttpRequest, code: str) -> HttpResponse:
    """The step of the worker that failed, once more: by who prepares a run before it is approved, then by who approves."""
    run = run_of(request, code)
    if not may_do_again(request, run):
        raise Http404
    return act(request, run, lambda: services.request_step_again(by=request.user, run=run))


def may_do_again(request: HttpRequest, run: AllocationRun) -> bool:
    step = services.stopped_step(run)
    may = perms.can_prepare if step == "propose" else perms.can_approve
    return bool(step) and may(request.user, run)


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
    form = form if form is not None else Form({})
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
    names = {code: unit.full_name for code, unit in proposal.units_of(run.summary).items()}
    return csv_response(
        f"phuong-an-{run.code}.csv",
        ["Tỉnh (mã)", "Tỉnh", "Đối tượng", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        (
            [
                cell["province"],
                names.get(cell["province"], ""),
                rules.GROUP_NAMES[cell["group"]],
                cell["need"],
                cell["served"],
                cell["need"] - cell["served"],
            ]
            for cell in run.summary["cells"]
        ),
    )

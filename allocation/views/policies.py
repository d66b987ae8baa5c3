"""Policies: versions, publishing, and trying one or two of them on today's inputs."""

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from allocation import comparing, perms, rules, services
from allocation.forms import PolicyForm, TrialForm
from allocation.models import AllocationPolicy, Comparison
from allocation.views import proposal
from common import clock
from common.exports import csv_response
from common.models import Job
from common.refusals import refusals_on
from common.templatetags.vi import format_number


@perms.reader
@require_GET
def policy_list(request: HttpRequest) -> HttpResponse:
    policies = AllocationPolicy.objects.select_related("phase", "drafted_by", "published_by").order_by(
        "phase__code", "-version"
    )
    may_publish = perms.policy_approver.test(request.user)
    return render(
        request,
        "allocation/policies.html",
        {
            "policies": [
                (
                    policy,
                    [rules.GROUP_NAMES.get(name, name) for name in policy.rules["groups"]],
                    may_publish and policy.drafted_by_id != request.user.pk,
                )
                for policy in policies
            ],
            "may_draft": perms.policy_clerk.test(request.user),
            "may_publish": may_publish,
        },
    )


@perms.policy_clerk
def policy_new(request: HttpRequest) -> HttpResponse:
    form = PolicyForm(request.POST or None, initial=version_to_begin_from(request.GET.get("tu", "")))
    if form.is_valid():
        with refusals_on(form):
            policy = services.draft_policy(by=request.user, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            messages.success(
                request,
                f"Đã lưu bản nháp «{policy}». Một lãnh đạo khác công bố thì mới dùng được cho một đợt.",
            )
            return redirect("allocation:policies")
    return render(request, "allocation/policy_new.html", {"form": form}, status=422 if form.errors else 200)


def version_to_begin_from(key: str) -> dict[str, Any]:
    """The fields of the policy with this key as a form's first values; empty if there is none."""
    policy = AllocationPolicy.objects.filter(pk=key).first() if key.isascii() and key.isdigit() else None
    if policy is None:
        return {}
    return policy.rules | {
        "phase": policy.phase_id,
        "name": policy.name,
        "locality_first": "1" if policy.rules["locality_first"] else "0",
        "reserve_percent": policy.reserve_percent,
    }


@perms.policy_approver
def policy_publish(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(
        AllocationPolicy.objects.select_related("phase", "drafted_by"), pk=pk, published_at=None
    )
    if policy.drafted_by_id == request.user.pk:
        raise Http404
    form = Form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with refusals_on(form):
            services.publish_policy(by=request.user, policy=policy, at=clock.now())
        if not form.errors:
            messages.success(request, f"Đã công bố «{policy}». Dấu vết của chính sách nằm trong sổ cái.")
            return redirect("allocation:policies")
    before = policy.phase.policies.filter(published_at__isnull=False).order_by("-version").first()
    return render(
        request,
        "allocation/policy_publish.html",
        {"policy": policy, "rows": proposal.policy_rows(policy), "before": before, "form": form},
        status=422 if form.errors else 200,
    )


# --- trials --------------------------------------------------------------------------------------------------


@perms.reader
def trial_new(request: HttpRequest) -> HttpResponse:
    form = TrialForm(request.POST or None, user=request.user, initial=request.GET.dict())
    if form.is_valid():
        with refusals_on(form):
            row = comparing.ask_comparison(by=request.user, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            return redirect("allocation:comparison", pk=row.pk)
    recent = Comparison.objects.for_user(request.user).select_related(
        "one__phase", "other__phase", "province", "asked_by"
    )
    return render(
        request,
        "allocation/trial_new.html",
        {"form": form, "recent": recent.order_by("-pk")[:10]},
        status=422 if form.errors else 200,
    )


@perms.reader
@require_GET
def comparison(request: HttpRequest, pk: int) -> HttpResponse:
    """The result, or how far it is; htmx asks again for the part that moves."""
    rows = Comparison.objects.for_user(request.user).select_related("one__phase", "other__phase", "province")
    row = get_object_or_404(rows, pk=pk)
    job = Job.objects.for_subject(row).first()
    address = reverse("allocation:comparison", args=[pk])
    finished = bool(row.result) or (job is not None and job.state == Job.State.FAILED)
    progress = {
        "id": "tien-do",
        "url": address,
        "text": job.step or job.get_state_display() if job else "Đang chờ",
        "done": job.done_rows if job else 0,
        "total": job.total_rows if job else None,
        "is_finished": finished,
        "result_href": address if finished else "",
        "error": job.message if job and job.state == Job.State.FAILED else "",
    }
    if request.htmx:
        return render(request, "components/progress.html", progress)
    context = {"comparison": row, "progress": progress}
    if row.result:
        context |= proposal.figures_context(row.result["one"])
        if row.other:
            context |= comparison_context(row)
    return render(request, "allocation/comparison.html", context)


def comparison_context(row: Comparison) -> dict[str, Any]:
    """Both results side by side and, per province and group, who gains and who loses."""
    one, other = row.result["one"], row.result["other"]
    units = proposal.units_of(one) | proposal.units_of(other)
    names = {code: unit.full_name for code, unit in units.items()}
    return {
        "sentences": [
            *rules.left_out_words(one["served"], other["served"]),
            *rules.comparison_words(row.result["cells"], names),
        ],
        "rule_columns": ["Quy tắc", "Thứ nhất", "Thứ hai"],
        "rule_rows": [
            [mine["key"], mine["value"], its["value"]]
            for mine, its in zip(tried_rows(row.one, one), tried_rows(row.other, other), strict=True)
            if mine["value"] != its["value"]
        ],
        "side_columns": [
            "Đối tượng", "Có máy, thứ nhất", "Có máy, thứ hai", "Còn thiếu, thứ nhất", "Còn thiếu, thứ hai",
        ],
        "side_rows": [
            [
                rules.group_title(group),
                *(
                    format_number(side[figure][group]) if group in side[figure] else "không xét"
                    for figure in ("served", "unmet")
                    for side in (one, other)
                ),
            ]
            for group in dict.fromkeys([*one["served"], *other["served"]])
        ],
        "cell_columns": ["Tỉnh, đối tượng", "Em có thêm máy", "Em mất lượt", "Thêm, bớt"],
        "cell_rows": [cell_row(cell, names) for cell in row.result["cells"]],
        "starving_other": rules.starvation(other["served"], other["unmet"]),
    }  # fmt: skip


def tried_rows(policy: AllocationPolicy, result: dict[str, Any]) -> list[dict[str, str]]:
    """A policy's rules, and how far its devices went, in words."""
    words = rules.waterline_words(result["waterline"], result["policy_groups"])
    return [
        *proposal.policy_rows(policy)[1:],
        {"key": "Máy chung giữ lại", "value": f"{format_number(result['reserve'])} máy"},
        {"key": "Máy chung chia đến", "value": words},
    ]


def cell_row(cell: dict[str, Any], names: dict[str, str]) -> list[str]:
    place = f"{names.get(cell['province'], cell['province'])}, {rules.GROUP_NAMES[cell['group']]}"
    change = rules.signed(cell["gain"] - cell["lose"])
    return [place, *proposal.numbers(cell["gain"], cell["lose"]), change]


@perms.reader
@require_GET
def comparison_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Who gains and who loses, per province and group."""
    rows = Comparison.objects.for_user(request.user).exclude(other=None)
    row = get_object_or_404(rows, pk=pk)
    if not row.result:
        raise Http404
    return csv_response(
        f"so-sanh-{row.pk}.csv",
        ["Tỉnh (mã)", "Đối tượng", "Em có thêm máy", "Em mất lượt"],
        (
            [cell["province"], rules.GROUP_NAMES[cell["group"]], cell["gain"], cell["lose"]]
            for cell in row.result["cells"]
        ),
    )

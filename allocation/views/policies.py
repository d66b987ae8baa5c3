"""Policies: versions, publishing, and two of them side by side on the same inputs."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from allocation import perms, rules, services
from allocation.forms import ComparisonForm, PolicyForm
from allocation.models import AllocationPolicy, Comparison
from allocation.views.runs import difference_rows
from common import clock
from common.models import Job
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from schools.models import AdministrativeUnit


@perms.reader
@require_GET
def policy_list(request: HttpRequest) -> HttpResponse:
    policies = AllocationPolicy.objects.select_related("phase", "published_by").order_by(
        "phase__code", "-version"
    )
    return render(
        request,
        "allocation/policies.html",
        {
            "policies": [
                (policy, [rules.GROUP_NAMES.get(name, name) for name in policy.rules["groups"]])
                for policy in policies
            ],
            "may_draft": perms.policy_clerk.test(request.user),
            "may_publish": perms.policy_approver.test(request.user),
        },
    )


@perms.policy_clerk
def policy_new(request: HttpRequest) -> HttpResponse:
    form = PolicyForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            policy = services.draft_policy(by=request.user, **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"Đã lưu «{policy}». Lãnh đạo công bố thì mới dùng được cho một đợt.")
            return redirect("allocation:policies")
    return render(request, "allocation/policy_new.html", {"form": form})


@perms.policy_approver
def policy_publish(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(AllocationPolicy.objects.select_related("phase"), pk=pk, published_at=None)
    form = ComparisonForm(request.POST or None)
    if request.method == "POST":
        form.full_clean()
        form.errors.clear()
        with refusals_on(form):
            services.publish_policy(by=request.user, policy=policy, at=clock.now())
        if not form.errors:
            messages.success(request, f"Đã công bố «{policy}». Dấu vết của chính sách nằm trong sổ cái.")
            return redirect("allocation:policies")
    groups = [rules.GROUP_NAMES.get(name, name) for name in policy.rules["groups"]]
    return render(
        request, "allocation/policy_publish.html", {"policy": policy, "groups": groups, "form": form}
    )


@perms.reader
def comparison_new(request: HttpRequest) -> HttpResponse:
    form = ComparisonForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            row = services.ask_comparison(by=request.user, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            return redirect("allocation:comparison", pk=row.pk)
    return render(request, "allocation/comparison_new.html", {"form": form})


@perms.reader
@require_GET
def comparison(request: HttpRequest, pk: int) -> HttpResponse:
    """The result, or how far it is; htmx asks again for the part that moves."""
    row = get_object_or_404(Comparison.objects.select_related("one__phase", "other__phase"), pk=pk)
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
        "result_href": address,
        "error": job.message if job and job.state == Job.State.FAILED else "",
    }
    if request.htmx:
        return render(request, "components/progress.html", progress)
    context = {"comparison": row, "progress": progress}
    if row.result:
        units = {unit.public_code: unit for unit in AdministrativeUnit.objects.provinces()}
        context["rows"] = [
            [
                rules.GROUP_NAMES[group].capitalize(),
                *(format_number(row.result[side]["served"].get(group, 0)) for side in ("one", "other")),
                *(format_number(row.result[side]["unmet"].get(group, 0)) for side in ("one", "other")),
            ]
            for group in dict.fromkeys([*row.result["one"]["served"], *row.result["other"]["served"]])
        ]
        context["difference"] = difference_rows(
            [d for d in row.result["difference"] if d["served"] != d["served_before"]], units
        )
        context["starving"] = rules.starvation(row.result["other"]["served"], row.result["other"]["unmet"])
    return render(request, "allocation/comparison.html", context)

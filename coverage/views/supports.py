"""Learning platforms and support of localities: the public lists, the ministries' review, recording."""

import datetime as dt

from django import forms
from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from common.access import public
from common.clock import now
from common.refusals import refusals_on
from coverage import perms, services
from coverage.forms import (
    SupportForm,
)
from coverage.models import (
    InfrastructureSupport,
    LearningPlatform,
)
from schools.models import DirectivePeriod


@public
def platforms(request):
    """Vietnamese online learning platforms that both ministries reviewed and published (Plan II.3a)."""
    rows = LearningPlatform.objects.filter(is_published=True)
    if request.GET.get("zero"):
        rows = rows.filter(is_zero_rated=True)
    return render(
        request,
        "coverage/platforms.html",
        {
            "platforms": rows.order_by("name"),
            "only_zero_rated": bool(request.GET.get("zero")),
            "waiting_count": LearningPlatform.objects.filter(is_published=False).count(),
        },
    )


@perms.reviews_platforms
def platform_review(request):
    """What waits for one of the ministries, and what is published."""
    rows = LearningPlatform.objects.order_by("is_published", "name")
    return render(
        request,
        "coverage/platform_review.html",
        {"platforms": rows, "ministry": perms.ministry_of(request.user)},
    )


@perms.reviews_platforms
@require_POST
def platform_act(request, pk: int, verb: str):
    """A ministry has reviewed a platform, or takes it off the directory."""
    platform = get_object_or_404(LearningPlatform, pk=pk)
    form = forms.Form(request.POST)
    with refusals_on(form):
        if verb == "ra-soat":
            services.review_platform(
                by=request.user, platform=platform, ministry=perms.ministry_of(request.user), at=now()
            )
            done = f"Đã rà soát {platform}."
        elif verb == "go":
            services.unpublish_platform(by=request.user, platform=platform)
            done = f"Đã gỡ {platform} khỏi danh mục công khai."
        else:
            raise Http404
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    else:
        messages.success(request, done)
    return redirect("coverage:platform_review")


def _supports():
    """Infrastructure support with whether the locality was under Directive 16 then (Plan II.3 head)."""
    rows = list(
        InfrastructureSupport.objects.select_related("operator", "unit").order_by(
            "-starts_on", "unit__search_key"
        )
    )
    periods = DirectivePeriod.objects.filter(is_in_force=True, unit__in=[row.unit_id for row in rows])
    under: dict[int, list[DirectivePeriod]] = {}
    for period in periods:
        under.setdefault(period.unit_id, []).append(period)
    for row in rows:
        row.was_under_directive = any(
            period.starts_on <= (row.ends_on or dt.date.max)
            and row.starts_on <= (period.ends_on or dt.date.max)
            for period in under.get(row.unit_id, [])
        )
    return rows


@public
def supports(request):
    """Free platforms, hosting, lines and tariffs by locality and period (Plan II.3 head, II.3c)."""
    rows = _supports()
    return render(
        request,
        "coverage/supports.html",
        {
            "supports": rows,
            "total_vnd": sum(row.value_vnd for row in rows),
            "under_directive_count": sum(row.was_under_directive for row in rows),
        },
    )


@perms.records_supports
def support_new(request):
    """An operator, or the office for it, records support for a locality and a period (Plan II.3 head, II.3c)."""
    operators = perms.supporting_operators(request.user)
    form = SupportForm(request.POST or None, operators=operators, initial={"operator": operators.first()})
    if form.is_bound and form.is_valid():
        with refusals_on(form):
            support = services.record_support(by=request.user, **form.cleaned_data)
        if not form.errors:
            messages.success(
                request, f"Đã ghi hỗ trợ cho {support.unit}. Khoản này hiện công khai ở trang Hỗ trợ hạ tầng."
            )
            return redirect("coverage:support_new")
    own = InfrastructureSupport.objects.filter(operator__in=operators).select_related("operator", "unit")
    return render(
        request,
        "coverage/support_new.html",
        {"form": form, "supports": own.order_by("-starts_on", "-pk")[:50]},
        status=422 if form.errors else 200,
    )

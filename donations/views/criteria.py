"""The recommended technical criteria: versions, drafts, publication (Plan III.1i)."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common import clock
from common.refusals import refusals_on
from donations import perms, services
from donations.forms.manage import CancelForm
from donations.forms.warehouse import CriteriaForm
from donations.models import DeviceCriteria
from donations.rules import describe_limits


@perms.criteria_reader
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """Every version, newest first."""
    rows = DeviceCriteria.objects.order_by("device_kind", "is_used_device", "-version")
    return render(
        request,
        "donations/criteria.html",
        {
            "rows": [(row, describe_limits(row.limits)) for row in rows],
            "can_edit": perms.can_edit_criteria(request.user),
        },
    )


@perms.criteria_editor
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Draft a new version."""
    form = CriteriaForm(request.POST or None, initial=version_to_begin_from(request.GET.get("tu", "")))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        with refusals_on(form):
            services.draft_criteria(
                by=request.user,
                device_kind=data["device_kind"],
                is_used_device=data["is_used_device"],
                limits=data["limits"],
                legal_reference=data["legal_reference"],
                is_confirmed=data["is_confirmed"],
            )
        if not form.errors:
            messages.success(request, "Đã lưu bản thảo. Xem lại rồi công bố.")
            return redirect("donations:criteria")
    return render(
        request, "donations/criteria_new.html", {"form": form}, status=400 if form.is_bound else 200
    )


def version_to_begin_from(key: str) -> dict[str, object]:
    """The fields of the criteria with this key as a form's first values; empty if there are none."""
    row = DeviceCriteria.objects.filter(pk=key).first() if key.isascii() and key.isdigit() else None
    if row is None:
        return {}
    # The Ministry confirmed that version, not this one.
    return row.limits | {"device_kind": row.device_kind, "is_used_device": row.is_used_device}


@perms.criteria_editor
@require_POST
def publish(request: HttpRequest, pk: int) -> HttpResponse:
    """Publish a draft."""
    criteria = get_object_or_404(DeviceCriteria, pk=pk)
    if not perms.can_edit_criteria(request.user):
        raise Http404
    form = CancelForm(request.POST)
    form.is_valid()
    with refusals_on(form):
        services.publish_criteria(by=request.user, criteria=criteria, at=clock.now())
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    else:
        messages.success(request, f"Đã công bố {criteria}.")
    return redirect("donations:criteria")

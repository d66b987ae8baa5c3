"""Taking an allocation back: asked with reason and notice by one official, decided by another."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET

from allocation import perms, services
from allocation.forms import RevocationForm
from allocation.models import Allocation, Revocation
from common import clock
from common.refusals import refusals_on
from schools.reach import reach


def in_scope(user):
    return Revocation.objects.filter(
        reach(user, through="allocation__student__school__office__")
    ).select_related(
        "allocation__device", "allocation__run", "allocation__student__school__office", "requested_by"
    )


@perms.reader
@require_GET
def revocation_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(in_scope(request.user).order_by("-pk"), 25).get_page(request.GET.get("trang"))
    allocations = None
    code = request.GET.get("may", "").replace("-", "").strip().upper()
    if code:
        allocations = (
            Allocation.objects.for_user(request.user)
            .live()
            .filter(device__code=code)
            .select_related("device", "run", "student__school__office")
        )
    return render(
        request,
        "allocation/revocations.html",
        {"page": page, "asked": code, "allocations": allocations, "may_ask": perms.clerk.test(request.user)},
    )


@perms.clerk
def revocation_new(request: HttpRequest, allocation: int) -> HttpResponse:
    found = get_object_or_404(
        Allocation.objects.for_user(request.user)
        .live()
        .select_related("device", "student__school__office", "run"),
        pk=allocation,
    )
    form = RevocationForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            services.request_revocation(
                by=request.user, allocation=found, at=clock.now(), **form.cleaned_data
            )
        if not form.errors:
            messages.success(request, "Đã gửi đề nghị thu hồi. Một lãnh đạo khác sẽ quyết định.")
            return redirect("allocation:revocations")
    return render(request, "allocation/revocation_new.html", {"allocation": found, "form": form})


@perms.approver
def revocation_decide(request: HttpRequest, pk: int) -> HttpResponse:
    revocation = get_object_or_404(in_scope(request.user), pk=pk)
    if not perms.can_decide_revocation(request.user, revocation):
        raise Http404
    form = RevocationForm(instance=revocation)
    if request.method == "POST":
        form = RevocationForm({"reason": revocation.reason, "notice": revocation.notice})
        form.full_clean()
        with refusals_on(form):
            services.decide_revocation(
                by=request.user,
                revocation=revocation,
                agree=request.POST.get("quyet-dinh") == "dong-y",
                at=clock.now(),
            )
        if not form.errors:
            messages.success(request, "Đã ghi quyết định.")
            return redirect("allocation:revocations")
    return render(request, "allocation/revocation_decide.html", {"revocation": revocation, "form": form})

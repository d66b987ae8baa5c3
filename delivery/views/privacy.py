"""The queue of requests to erase or correct, with its legal deadlines: answer, then carry out."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from common.clock import now, today
from common.refusals import refusals_on
from common.templatetags.vi import vi_iso
from delivery import perms, services
from delivery.forms import CorrectForm, EraseForm, EraseGiverForm, PrivacyAnswerForm
from ledger import privacy, trace, words
from ledger.codes import spell
from ledger.models import PrivacyRequest

PER_PAGE = 50


@perms.answers_families
def requests(request: HttpRequest) -> HttpResponse:
    """What families asked for, what is due first first; what is done last."""
    rows = PrivacyRequest.objects.waiting_first()
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("trang"))
    return render(request, "delivery/privacy_requests.html", {"page": page, "today": today()})


@perms.answers_families
def request_page(request: HttpRequest, code: str) -> HttpResponse:
    """One request: answer it, then carry it out."""
    row = get_object_or_404(PrivacyRequest, code=code)
    form = _form(request, row)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            _act(request, row, form.cleaned_data)
        if not form.errors:
            messages.success(request, f"Đã ghi vào yêu cầu {row.code}.")
            return redirect("delivery:privacy_request", code=code)
    return render(
        request,
        "delivery/privacy_request.html",
        {"row": row, "form": form, "is_answer": not row.answer, "spelled": row.pledge or spell(row.device)},
        status=422 if form.errors else 200,
    )


def _form(request: HttpRequest, row: PrivacyRequest):
    data = request.POST or None
    if not row.answer:
        return PrivacyAnswerForm(data)
    if row.kind == PrivacyRequest.Kind.ERASE:
        if row.pledge:
            return EraseGiverForm(data)
        return EraseForm(data, handovers=services.handovers_of(row.device))
    way = trace.subject_entries(row.pledge) if row.pledge else trace.device_way(row.device)
    names = trace.names_of(words.codes_in(way))
    area = next((entry.body["area"] for entry in reversed(way) if "area" in entry.body), None)
    entries = [
        (
            entry.eid,
            f"{vi_iso(entry.body['d'])} – {words.sentence(entry.body, names, area)} (mục {entry.index})",
        )
        for entry in reversed(way)
        if entry.body["t"] != "correction"
    ]
    return CorrectForm(data, entries=entries)


def _act(request: HttpRequest, row: PrivacyRequest, data: dict) -> None:
    if not row.answer:
        privacy.answer_request(by=request.user, request=row, at=now(), **data)
    elif row.kind == PrivacyRequest.Kind.ERASE:
        handovers = (
            {} if row.pledge else {str(found.pk): found for found in services.handovers_of(row.device)}
        )
        chosen = handovers.get(data.get("handover"))
        services.carry_out_erasure(by=request.user, request=row, at=now(), handover=chosen)
    else:
        privacy.carry_out_correction(
            by=request.user, request=row, at=now(), corrects=UUID(data["corrects"]), reason=data["reason"]
        )

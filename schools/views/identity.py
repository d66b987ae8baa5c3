"""Showing one identity number: the page that asks why, and the number once, never kept in a cache or an address."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from common.refusals import refusals_on
from schools.forms.lists import RevealForm
from schools.models import ListRow, Student, StudentList
from schools.perms import can_reveal_identity, can_send_lists
from schools.services.identity import MASKED, reveal_identity
from schools.views.lists import reader


@reader
@never_cache
@require_http_methods(["GET", "POST"])
def student(request: HttpRequest, pk: int) -> HttpResponse:
    """The number of a student within reach."""
    found = get_object_or_404(Student.objects.for_user(request.user).select_related("school__office"), pk=pk)
    if not can_reveal_identity(request.user, found.school.office):
        raise Http404
    return _reveal(
        request, found, f"{found.full_name}, {found.school}", reverse("schools:student", args=[pk])
    )


@reader
@never_cache
@require_http_methods(["GET", "POST"])
def list_row(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """What was typed as number in a row of a list that the person may mend."""
    student_list = get_object_or_404(StudentList.objects.for_user(request.user), pk=pk)
    if not can_send_lists(request.user, student_list.office):
        raise Http404
    found = get_object_or_404(ListRow, student_list=student_list, number=number)
    back = reverse("schools:list_row", args=[pk, number])
    return _reveal(request, found, f"Hàng {number}, {student_list.file_name}", back)


def _reveal(request: HttpRequest, holder: Student | ListRow, whose: str, back: str) -> HttpResponse:
    form = RevealForm(request.POST or None)
    shown = ""
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            shown = reveal_identity(by=request.user, holder=holder, reason=form.cleaned_data["reason"])
    context = {
        "whose": whose, "back": back, "form": form, "shown": shown, "masked": MASKED,
        "has_number": bool(holder.identity_sealed),
    }  # fmt: skip
    return render(request, "schools/students/identity.html", context, status=422 if form.errors else 200)

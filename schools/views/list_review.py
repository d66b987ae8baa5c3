"""An approved list before its handover: what became of its students, and the rest confirmed in one act."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from accounts.services import record_reading
from common import clock
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from schools.forms import lists as forms
from schools.models import Office, StaffRole, StudentList
from schools.perms import can_send_lists
from schools.reach import holds
from schools.services import list_review
from schools.views.lists import reader

_PAGE = 50
_HANDING_OVER = [Office.Kind.SCHOOL, Office.Kind.UNIVERSITY, Office.Kind.DISTRICT_OFFICE]


@reader
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """Who moved, left or has a computer already; whoever is still right is confirmed together, with a reason."""
    lists = StudentList.objects.for_user(request.user).filter(state=StudentList.State.APPROVED)
    student_list = get_object_or_404(lists.select_related("office"), pk=pk)
    can_edit = can_send_lists(request.user, student_list.office)
    form = forms.ReviewForm(request.POST or None)
    if request.method == "POST":
        if not can_edit:
            raise Http404
        if form.is_valid():
            with refusals_on(form):
                done = list_review.confirm_rest(
                    by=request.user,
                    student_list=student_list,
                    reason=form.cleaned_data["reason"],
                    at=clock.now(),
                )
            if not form.errors:
                messages.success(request, f"Đã ghi nhận {format_number(done)} em vẫn đủ điều kiện.")
                return redirect("schools:review_list", pk=pk)
    counts = list_review.situations(student_list)
    asked = request.GET.get("tinh-trang", "")
    first = next((key for key, count in counts.items() if count), "unchecked")
    chosen = asked if asked in counts else first
    page = Paginator(range(counts[chosen]), _PAGE).get_page(request.GET.get("trang"))
    students = list_review.students_in(
        student_list, chosen, start=max(page.start_index() - 1, 0), limit=_PAGE
    )
    record_reading(
        by=request.user, subject_type="schools.studentlist", subject_id=pk,
        fields="họ tên, lớp, tình trạng", row_count=len(students),
    )  # fmt: skip
    context = {
        "list": student_list, "page_obj": page, "students": students, "form": form, "chosen": chosen,
        "counts": [
            {"key": key, "label": list_review.SITUATIONS[key], "count": count} for key, count in counts.items()
        ],
        "chosen_label": list_review.SITUATIONS[chosen], "can_edit": can_edit, "unchecked": counts["unchecked"],
        "is_out": chosen in list_review.NOT_ELIGIBLE,
        "hands_over": holds(request.user, StaffRole.Role.CLERK, kinds=_HANDING_OVER, office=student_list.office),
    }  # fmt: skip
    return render(request, "schools/lists/review.html", context, status=422 if form.errors else 200)

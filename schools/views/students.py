"""Students, doubts about two records, and the need, for staff within whose reach they are."""

import tempfile

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.services import record_reading
from common import clock
from common.exports import XLSX_TYPE, write_xlsx, xlsx_response
from common.paging import LongPaginator
from common.refusals import refusals_on
from common.requested_files import DIRECT_ROWS
from common.templatetags.vi import format_date, format_number
from schools import files
from schools.forms import lists as forms
from schools.models import DuplicateCase, Office, School, StaffRole, Student
from schools.perms import LIST_KINDS, can_change_status, can_decide_duplicate, can_reveal_identity, staff
from schools.reach import reach
from schools.services import need as services_need
from schools.services import students as services
from schools.services.identity import MASKED
from schools.tasks import send_need_reminders
from schools.views.lists import reader
from schools.views.side_by_side import side_by_side

Role, Kind = StaffRole.Role, Office.Kind
_SENDING = [Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT]


@reader
@require_http_methods(["GET"])
def students(request: HttpRequest) -> HttpResponse:
    """Students within reach, found with or without diacritics; sorted as names are sorted in Vietnam."""
    words = request.GET.get("q", "").strip()
    found = files.found_students(by=request.user, words=words).select_related("school__office")
    pages = LongPaginator(found.order_by("sort_key", "pk"), 25)
    # Whoever reaches a whole nation looks for somebody: no page of children whom nobody asked for.
    too_many = ""
    if pages.is_cut and not words:
        too_many = f"Phạm vi của thầy/cô có hơn {format_number(pages.count)} em."
    page = None if too_many else pages.get_page(request.GET.get("trang"))
    if page:
        _record(request, len(page.object_list))
    context = {"page_obj": page, "words": words, "too_many": too_many, "is_long": pages.count > DIRECT_ROWS}
    return render(request, "schools/students/list.html", context)


def _record(request: HttpRequest, count: int) -> None:
    record_reading(
        by=request.user, subject_type="schools.student", subject_id="tìm kiếm",
        fields=files.STUDENT_FIELDS, row_count=count,
    )  # fmt: skip


@reader
@require_http_methods(["GET"])
def export(request: HttpRequest) -> HttpResponse:
    """The students of the page as .xlsx, without identity numbers; more than a few are asked for as a file."""
    filters = request.GET.urlencode()
    table = files.students(by=request.user, filters=filters)
    if table.total is not None and table.total > DIRECT_ROWS:
        messages.info(request, "Danh sách dài, hệ thống chuẩn bị tệp trong nền: bấm «Yêu cầu tệp Excel».")
        return redirect(f"{reverse('schools:students')}?{filters}")
    _record(request, table.total or 0)
    return xlsx_response("hoc-sinh.xlsx", "Học sinh", table.columns, table.rows)


@reader
@require_http_methods(["GET", "POST"])
def student(request: HttpRequest, pk: int) -> HttpResponse:
    """One student: what is known, what happened, and a form for what happens next."""
    found = get_object_or_404(
        Student.objects.for_user(request.user).select_related("school__office", "student_list"), pk=pk
    )
    may_change = can_change_status(request.user, found)
    # A decision about the child leads here with the change that its record still lacks.
    form = forms.StatusForm(request.POST or None, initial={"kind": request.GET.get("thay-doi", "")})
    if request.method == "POST":
        if not may_change:
            raise Http404
        if form.is_valid():
            data = form.cleaned_data
            with refusals_on(form):
                services.change_status(
                    by=request.user, student=found, kind=data["kind"], reason=data["reason"], at=clock.now(),
                    to_school=data["to_school"],
                )  # fmt: skip
            if not form.errors:
                messages.success(request, "Đã ghi nhận thay đổi; lịch sử được giữ lại.")
                still_mine = Student.objects.for_user(request.user).filter(pk=pk).exists()
                return redirect("schools:student", pk=pk) if still_mine else redirect("schools:students")
    record_reading(
        by=request.user,
        subject_type="schools.student",
        subject_id=pk,
        fields="họ tên, ngày sinh, lớp, đối tượng",
    )
    history = [
        {"text": change.get_kind_display(), "at": change.changed_at, "note": change.reason, "state": "done"}
        for change in found.status_changes.order_by("changed_at", "pk")
    ]
    rows = [
        {"key": "Trường", "value": found.school},
        {"key": "Lớp", "value": found.class_name or "chưa ghi"},
        {"key": "Ngày sinh", "value": format_date(found.born_on)},
        {"key": "Đối tượng", "value": found.get_group_display()},
        _identity_line(request, found),
        {"key": "Đã có máy tính", "value": "Có" if found.has_device else "Chưa"},
        {"key": "Trạng thái", "value": found.get_state_display()},
    ]
    context = {"student": found, "rows": rows, "history": history, "form": form, "may_change": may_change}
    return render(request, "schools/students/detail.html", context, status=422 if form.errors else 200)


def _identity_line(request: HttpRequest, found: Student) -> dict:
    """The masked number; the way to see it for whoever may."""
    if not found.identity_index:
        return {"key": "Số định danh", "value": "chưa có"}
    line = {"key": "Số định danh", "value": MASKED}
    if can_reveal_identity(request.user, found.school.office):
        line |= {"href": reverse("schools:student_identity", args=[found.pk]), "action": "Xem số"}
    return line


@reader
@require_http_methods(["GET"])
def duplicates(request: HttpRequest) -> HttpResponse:
    """Doubts within reach that nobody has decided."""
    found = (
        DuplicateCase.objects.for_user(request.user)
        .open()
        .filter(row__student_list__state="checked")
        .select_related("row__student_list__office", "student__school__office")
        .order_by("pk")
    )
    page = Paginator(found, 25).get_page(request.GET.get("trang"))
    for case in page:
        case.may_decide = can_decide_duplicate(request.user, case)
    return render(request, "schools/duplicates/list.html", {"page_obj": page})


@reader
@require_http_methods(["GET", "POST"])
def duplicate(request: HttpRequest, pk: int) -> HttpResponse:
    """Two records side by side; each office sees its own, who stands above both sees both and decides."""
    found = get_object_or_404(
        DuplicateCase.objects.for_user(request.user).select_related(
            "row__student_list__office", "student__school__office", "student__school__province"
        ),
        pk=pk,
    )
    may_decide = can_decide_duplicate(request.user, found)
    form = forms.DecideForm(request.POST or None, case=found)
    if request.method == "POST":
        if not may_decide:
            raise Http404
        if form.is_valid():
            with refusals_on(form):
                services.decide_duplicate(by=request.user, case=found, at=clock.now(), **form.cleaned_data)
            if not form.errors:
                others = DuplicateCase.objects.for_user(request.user).open().filter(row=found.row_id)
                if after := others.order_by("pk").first():
                    said = "Đã ghi quyết định. Hàng này còn giống một em khác đã có: thầy/cô xem tiếp."
                    messages.success(request, said)
                    return redirect("schools:duplicate", pk=after.pk)
                messages.success(request, "Đã ghi quyết định; danh sách được đối chiếu lại.")
                return redirect("schools:duplicates")
    sees_row = reach_has(request.user, found.row.student_list.office)
    sees_student = reach_has(request.user, found.student.school.office)
    record_reading(
        by=request.user,
        subject_type="schools.duplicatecase",
        subject_id=pk,
        fields="họ tên, ngày sinh, lớp",
        row_count=2,
    )
    sides = side_by_side(found.row, found.student, sees_row=sees_row, sees_other=sees_student)
    context = {
        "case": found, "sides": sides, "form": form, "may_decide": may_decide and not found.decision,
        "province": found.student.school.province.full_name,
    }  # fmt: skip
    return render(request, "schools/duplicates/detail.html", context, status=422 if form.errors else 200)


def reach_has(user, office: Office) -> bool:
    """Whether any role of the person reaches the office."""
    return Office.objects.filter(reach(user), pk=office.pk).exists()


_BY_SCHOOL = ["Mã trường", "Trường", "Tỉnh, thành phố", "Cấp học", "Hộ nghèo", "Hộ cận nghèo", "Mồ côi do COVID-19",
              "Chờ duyệt", "Giáo viên chưa có máy"]  # fmt: skip


@reader
@require_http_methods(["GET"])
def need(request: HttpRequest) -> HttpResponse:
    """The need: from approved lists beside typed figures, who has reported, teachers without a computer."""
    patterns = services_need.paths_of(request.user)
    totals = services_need.totals(patterns)
    if request.GET.get("dang") == "xlsx":
        return _need_workbook(patterns, totals)
    silent, heard, all_offices = services_need.silent_offices(request.user)
    levels = dict(School.Level.choices)
    found = services_need.schools_with_pupils(request.user).values_list("pk", flat=True)
    page = Paginator(found, 20).get_page(request.GET.get("trang"))
    schools = services_need.by_school(patterns, schools=list(page))
    context = {
        "rows": [
            [
                f"{t['level'].label}, {t['group'].label}",
                *(format_number(t[key]) for key in ("approved", "waiting", "typed")),
            ]
            for t in totals
        ],
        "approved": sum(t["approved"] for t in totals),
        "typed": sum(t["typed"] for t in totals),
        "teachers": services_need.teachers(patterns),
        "silent": silent.order_by("path")[:100],
        "silent_count": all_offices - heard,
        "heard": heard,
        "all_offices": all_offices,
        "figures": services_need.figures(patterns),
        "page_obj": page,
        "schools": [(*row[:3], levels[row[3]], *row[4:]) for row in schools],
        "may_remind": heard < all_offices and _reminder.test(request.user),
        "may_type": Office.objects.filter(reach(request.user, Role.CLERK), kind__in=_SENDING).exists(),
    }
    return render(request, "schools/need/need.html", context)


def _need_workbook(patterns: list[str], totals: list[dict]) -> FileResponse:
    levels = dict(School.Level.choices)
    content = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it
    write_xlsx(
        content,
        [
            ("Theo cấp học", ["Cấp học", "Đối tượng", "Đã duyệt", "Chờ duyệt", "Số khảo sát"],
             ((t["level"].label, t["group"].label, t["approved"], t["waiting"], t["typed"]) for t in totals)),
            ("Theo trường", _BY_SCHOOL,
             ((*row[:3], levels[row[3]], *row[4:]) for row in services_need.by_school(patterns))),
            ("Số khảo sát", ["Đơn vị", "Cấp học", "Đối tượng", "Số em", "Số liệu đến ngày", "Nguồn", "Có được cộng"],
             ((str(f.office), f.get_level_display(), f.get_group_display(), f.students_without_computer, f.counted_on,
               f.source, "Có" if counts else "Không, đã có danh sách")
              for f, counts in services_need.figures(patterns, limit=100_000))),
        ],
    )  # fmt: skip
    content.seek(0)
    return FileResponse(content, as_attachment=True, filename="nhu-cau.xlsx", content_type=XLSX_TYPE)


_reminder = staff(
    Role.CLERK,
    Role.APPROVER,
    kinds=[Kind.PROGRAMME, Kind.MOET, Kind.PROVINCE_DEPARTMENT, Kind.DISTRICT_OFFICE],
)


@_reminder
@require_http_methods(["POST"])
def remind(request: HttpRequest) -> HttpResponse:
    """Remind the offices that have reported nothing: on their pages, and by mail to their people."""
    silent, _, _ = services_need.silent_offices(request.user)
    made = services_need.remind(by=request.user, offices=silent, at=clock.now())
    if made:
        send_need_reminders.delay_on_commit(reminder_ids=made)
    said = f"Đã nhắc {len(made)} đơn vị, trên trang của đơn vị và qua thư."
    messages.success(request, said if made else "Hôm nay các đơn vị này đã được nhắc rồi.")
    return redirect("schools:need")


@staff(Role.CLERK, kinds=LIST_KINDS)
@require_http_methods(["GET", "POST"])
def survey(request: HttpRequest) -> HttpResponse:
    """Type one figure of the survey."""
    offices = Office.objects.filter(
        reach(request.user, Role.CLERK), kind__in=_SENDING, valid_to=None
    ).order_by("path")
    form = forms.SurveyForm(request.POST or None, offices=offices)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            services_need.report_figure(by=request.user, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            messages.success(request, "Đã ghi số liệu khảo sát.")
            return redirect(reverse("schools:need"))
    return render(request, "schools/need/survey.html", {"form": form}, status=422 if form.errors else 200)

"""Lists in the browser: send, follow the reading, mend, write, undo, submit, verify, approve, return."""

import io

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.services import record_reading
from common import clock, jobs
from common.exports import XLSX_TYPE
from common.models import Job, Switch
from common.notices import closes_with
from common.refusals import refusals_on
from schools.forms import lists as forms
from schools.lists.columns import TITLES
from schools.lists.findings import GRAVITY
from schools.lists.workbook import write_marked, write_template
from schools.models import DuplicateCase, ListRow, Office, School, StaffRole, Student, StudentList
from schools.perms import (
    LIST_KINDS,
    can_approve_list,
    can_send_lists,
    can_verify_list,
    list_reader,
    staff,
)
from schools.reach import reach
from schools.services import list_matching, list_namesakes, list_reading, list_rows, lists, need
from schools.views.side_by_side import side_by_side

Role, Kind, State = StaffRole.Role, Office.Kind, StudentList.State
clerk = staff(Role.CLERK, kinds=LIST_KINDS)
reader = list_reader
BADGES = {
    State.APPROVED: "success", State.REFUSED: "danger", State.RETURNED: "warning", State.UNDONE: "neutral",
    State.CHECKED: "warning",
}  # fmt: skip
OUTCOME_BADGES = {0: "success", 1: "info", 2: "warning", 3: "warning", 4: "danger"}


def _sending(request: HttpRequest):
    kinds = [Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT]
    return Office.objects.filter(reach(request.user, Role.CLERK), kind__in=kinds, valid_to=None).order_by(
        "path"
    )


def _found(request: HttpRequest, pk: int) -> StudentList:
    found = StudentList.objects.for_user(request.user).select_related(
        "office",
        "uploaded_by",
        "committed_by",
        "submitted_by",
        "verified_by",
        "approved_by",
        "returned_by",
        "school",
    )
    return get_object_or_404(found, pk=pk)


@reader
@require_http_methods(["GET"])
def index(request: HttpRequest) -> HttpResponse:
    """All lists within reach, newest first; those that wait for this person above."""
    found = StudentList.objects.for_user(request.user).select_related("office", "uploaded_by")
    state = request.GET.get("trang-thai", "")
    chosen = found.filter(state=state) if state in State.values else found
    page = Paginator(chosen.order_by("-uploaded_at", "-pk"), 25).get_page(request.GET.get("trang"))
    for item in page:
        item.badge = BADGES.get(item.state, "info")
    waiting = [
        item
        for item in found.waiting().order_by("submitted_at")[:50]
        if (item.state == State.SUBMITTED and can_verify_list(request.user, item))
        or (item.state == State.VERIFIED and can_approve_list(request.user, item))
    ]
    return render(
        request,
        "schools/lists/index.html",
        {
            "page_obj": page, "waiting": waiting, "states": State.choices, "state": state,
            "can_send": _sending(request).exists(), "reminders": need.reminders_for(request.user),
        },
    )  # fmt: skip


@clerk
@require_http_methods(["GET", "POST"])
@closes_with(Switch.Name.STUDENT_LISTS)
def upload(request: HttpRequest) -> HttpResponse:
    """Send a file; a worker reads it."""
    offices = _sending(request)
    if not offices.exists():
        raise Http404
    form = forms.UploadForm(request.POST or None, request.FILES or None, offices=offices)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if not can_send_lists(request.user, data["office"]):
            raise Http404
        with refusals_on(form):
            student_list = list_reading.upload_list(
                by=request.user, office=data["office"], content=data["file"].read(), file_name=data["file"].name,
                at=clock.now(), school=data["school"], group=data["group"],
            )  # fmt: skip
        if not form.errors:
            return redirect("schools:list", pk=student_list.pk)
    return render(request, "schools/lists/upload.html", {"form": form}, status=422 if form.errors else 200)


@clerk
@require_http_methods(["GET"])
def template(request: HttpRequest) -> HttpResponse:
    """The template workbook of one office, or a page to choose the office."""
    offices = _sending(request)
    code = request.GET.get("don-vi")
    if not code:
        page = Paginator(offices, 50).get_page(request.GET.get("trang"))
        return render(request, "schools/lists/template.html", {"page_obj": page})
    office = get_object_or_404(offices, code=code)
    content = io.BytesIO()
    schools = School.objects.filter(office__path__startswith=office.path, office__valid_to=None)
    communes = schools.order_by("commune__name").values_list("commune__full_name", flat=True).distinct()
    names = dict(schools.order_by("code").values_list("code", "office__name"))
    known = Student.objects.filter(school__in=schools).exclude(class_name="")
    classes = known.order_by("class_name").values_list("class_name", flat=True).distinct()[:2000]
    write_template(content, schools=names, communes=list(communes), classes=list(classes))
    return _workbook(content.getvalue(), f"mau-danh-sach-{office.code}.xlsx")


def _workbook(content: bytes, name: str) -> HttpResponse:
    return HttpResponse(
        content, content_type=XLSX_TYPE, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _job(student_list: StudentList) -> Job | None:
    return Job.objects.for_subject(student_list).first()


@reader
@require_http_methods(["GET"])
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One list in whatever state it is: progress, reason of refusal, result by row, what can be done next."""
    student_list = _found(request, pk)
    job = _job(student_list)
    context = {
        "list": student_list,
        "badge": BADGES.get(student_list.state, "info"),
        "job": job,
        "is_working": bool(job and job.state in (Job.State.QUEUED, Job.State.RUNNING)),
        "job_error": job.message if job and job.state == Job.State.FAILED else "",
        "can_edit": can_send_lists(request.user, student_list.office),
        "can_verify": student_list.state == State.SUBMITTED and can_verify_list(request.user, student_list),
        "can_approve": student_list.state == State.VERIFIED and can_approve_list(request.user, student_list),
        "history": _history(student_list),
        "progress_url": reverse("schools:list_progress", args=[pk]),
        "same_files": _same_files(request, student_list),
    }
    if student_list.state == State.REFUSED:
        details = student_list.reading.get("details", {})
        context["again"] = forms.ReadAgainForm(office=student_list.office, details=details)
        context["details"] = details
    elif student_list.state != State.UPLOADED:
        context |= _result(request, student_list)
    return render(request, "schools/lists/detail.html", context)


def _same_files(request: HttpRequest, student_list: StudentList):
    """Other lists of the same office made from the very same file, the newest first; said until this one is written."""
    if student_list.state not in (State.UPLOADED, State.CHECKED):
        return StudentList.objects.none()
    found = StudentList.objects.for_user(request.user).filter(
        office=student_list.office, file_sha256=student_list.file_sha256
    )
    return found.exclude(pk=student_list.pk).exclude(state=State.UNDONE).order_by("-uploaded_at")[:3]


def _result(request: HttpRequest, student_list: StudentList) -> dict:
    count = list_matching.counts(student_list)
    chosen = request.GET.get("ket-qua", "")
    rows = student_list.rows.select_related("student__school").order_by("number")
    if chosen in map(str, ListRow.Outcome.values):
        rows = rows.filter(outcome=int(chosen))
    page = Paginator(rows, 25).get_page(request.GET.get("trang"))
    record_reading(
        by=request.user, subject_type="schools.studentlist", subject_id=student_list.pk,
        fields="họ tên, ngày sinh, lớp, đối tượng", row_count=len(page.object_list),
    )  # fmt: skip
    for row in page:
        row.badge = OUTCOME_BADGES[row.outcome]
        # The comparison is what a commit would do now: it means nothing for a row that stays out, or is in already.
        row.does = row.get_effect_display().lower() if row.outcome < ListRow.Outcome.DUPLICATE else ""
        row.changes = list_rows.changes_of(row) if student_list.state == State.CHECKED else []
        row.said = [
            {
                "column": TITLES.get(finding[0], finding[0]),
                "is_grave": GRAVITY[finding[1]] == row.outcome,
                "value": finding[3],
                "message": finding[4],
            }
            # What decides the row comes first.
            for finding in sorted(row.findings or (), key=lambda finding: -GRAVITY[finding[1]])
        ]
    labels = ListRow.Outcome
    reading = student_list.reading
    result = {
        "count": count,
        "has_news": bool(count["effects"][ListRow.Effect.NEW] or count["effects"][ListRow.Effect.CHANGED]),
        "outcomes": [
            {"value": value, "label": labels(value).label, "rows": rows_, "chosen": chosen == str(value)}
            for value, rows_ in count["outcomes"].items()
        ],
        "effects": [
            {"label": ListRow.Effect(value).label, "rows": rows_} for value, rows_ in count["effects"].items()
        ],
        "page_obj": page,
        "chosen": chosen,
        "columns": list(reading.get("columns", {}).items()),
        "samples": reading.get("sample", []),
        "undo_until": lists.undo_until(student_list),
        "can_undo": student_list.state in (State.COMMITTED, State.RETURNED)
        and clock.now() <= lists.undo_until(student_list),
        "attestation": lists.ATTESTATION,
    }
    if student_list.state == State.CHECKED:
        result["warnings"] = [
            {"code": code, "rows": number, "message": said, "chosen": code in student_list.acknowledged}
            for code, number, said in lists.warnings_of(student_list)
        ]
        result["missing_count"], result["missing"] = lists.missing_from_list(student_list, limit=50)
    return result


def _history(student_list: StudentList) -> list[dict]:
    steps = [
        ("Tải lên", student_list.uploaded_at, student_list.uploaded_by),
        ("Ghi vào hệ thống", student_list.committed_at, student_list.committed_by),
        ("Trình", student_list.submitted_at, student_list.submitted_by),
        ("Thẩm định", student_list.verified_at, student_list.verified_by),
        ("Phê duyệt", student_list.approved_at, student_list.approved_by),
        ("Trả lại", student_list.returned_at, student_list.returned_by),
        ("Hoàn tác", student_list.undone_at, student_list.undone_by),
    ]
    done = sorted((step for step in steps if step[1]), key=lambda step: step[1])
    return [{"text": text, "at": at, "note": by.full_name, "state": "done"} for text, at, by in done]


@reader
@require_http_methods(["GET"])
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The polling partial of the list's long work."""
    return _progress_partial(request, _found(request, pk))


def _progress_partial(request: HttpRequest, student_list: StudentList) -> HttpResponse:
    """How far the list's work is, as the part of the page that asks again until it is done."""
    job = _job(student_list)
    is_working = bool(job and job.state in (Job.State.QUEUED, Job.State.RUNNING))
    return render(
        request,
        "schools/lists/detail.html#progress",
        {
            "list": student_list, "job": job, "is_working": is_working,
            "job_error": job.message if job and job.state == Job.State.FAILED else "",
            "progress_url": reverse("schools:list_progress", args=[student_list.pk]),
            "can_edit": can_send_lists(request.user, student_list.office),
        },
    )  # fmt: skip


def _edited(request: HttpRequest, pk: int) -> StudentList:
    student_list = _found(request, pk)
    if not can_send_lists(request.user, student_list.office):
        raise Http404
    return student_list


def _acted(request: HttpRequest, student_list: StudentList, form, done: str) -> HttpResponse:
    """Back to the list, with what happened or why it did not."""
    if form.errors:
        for errors in form.errors.values():
            for error in errors:
                messages.error(request, error)
    else:
        messages.success(request, done)
    return redirect("schools:list", pk=student_list.pk)


@clerk
@require_http_methods(["GET", "POST"])
def row(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Mend the cells of one row."""
    student_list = _edited(request, pk)
    found = get_object_or_404(ListRow, student_list=student_list, number=number)
    cells = list_rows.cells_of(found)
    record_reading(
        by=request.user,
        subject_type="schools.listrow",
        subject_id=found.pk,
        fields="mọi ô của hàng, trừ số định danh",
    )
    form = forms.RowForm(request.POST or None, cells=cells)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            fixed = list_rows.fix_cells(by=request.user, row=found, values=form.changes(), at=clock.now())
        if not form.errors:
            messages.success(request, f"Hàng {number}: {fixed.get_outcome_display().lower()}.")
            return redirect(f"{reverse('schools:list', args=[pk])}?ket-qua={request.GET.get('ket-qua', '')}")
    return _row_page(request, student_list, found, form)


def _row_page(
    request: HttpRequest, student_list: StudentList, found: ListRow, form, apart=None
) -> HttpResponse:
    is_open = student_list.state == State.CHECKED
    likeness = list_namesakes.likeness_of(found) if is_open else None
    apart = apart or forms.ApartForm()
    context = {
        "list": student_list, "row": found, "form": form, "likeness": likeness, "apart": apart,
        "told_apart": found.told_apart.select_related("other", "decided_by").order_by("other__number"),
        "cases": _open_cases(request, found) if is_open else (),
        "said": [{"column": TITLES.get(f[0], f[0]), "message": f[4]} for f in found.findings or ()],
        "is_open": is_open,
    }  # fmt: skip
    if likeness:
        context["is_row"] = isinstance(likeness.other, ListRow)
        context["sides"] = side_by_side(found, likeness.other)
        record_reading(
            by=request.user, subject_type="schools.listrow", subject_id=found.pk,
            fields="họ tên, ngày sinh, lớp của em đứng cạnh", row_count=1,
        )  # fmt: skip
    status = 422 if form.errors or apart.errors else 200
    return render(request, "schools/lists/row.html", context, status=status)


def _open_cases(request: HttpRequest, found: ListRow):
    """The students whom nobody has told this row apart from yet, one case each."""
    return DuplicateCase.objects.for_user(request.user).open().filter(row=found).order_by("pk")


@clerk
@require_http_methods(["POST"])
def tell_apart(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Say, with a reason, that a row is another child than the one it was taken for."""
    student_list = _edited(request, pk)
    found = get_object_or_404(ListRow, student_list=student_list, number=number)
    form = forms.ApartForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            found = list_namesakes.tell_apart(by=request.user, row=found, at=clock.now(), **form.cleaned_data)
    if form.errors:
        cells = list_rows.cells_of(found)
        return _row_page(request, student_list, found, forms.RowForm(cells=cells), form)
    if list_namesakes.likeness_of(found):
        said = (
            f"Hàng {number}: đã ghi nhận là hai em khác nhau. Còn em khác giống hàng này: thầy/cô xem tiếp."
        )
        messages.success(request, said)
        return redirect("schools:list_row", pk=pk, number=number)
    if case := _open_cases(request, found).first():
        said = (
            f"Hàng {number}: đã ghi nhận. Hàng này còn giống một em đã có trong hệ thống: thầy/cô xem tiếp."
        )
        messages.success(request, said)
        return redirect("schools:duplicate", pk=case.pk)
    messages.success(request, f"Hàng {number}: đã ghi nhận là hai em khác nhau.")
    return redirect("schools:list", pk=pk)


@clerk
@require_http_methods(["POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the worker to stop reading or writing; nothing of it stays."""
    student_list = _edited(request, pk)
    job = _job(student_list)
    if job and job.state in (Job.State.QUEUED, Job.State.RUNNING):
        jobs.request_cancel(by=request.user, job=job)
    if request.htmx:
        return _progress_partial(request, student_list)
    return redirect("schools:list", pk=pk)


@clerk
@require_http_methods(["POST"])
def read_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Read a refused file again with columns, sheet, group or school chosen by hand."""
    student_list = _edited(request, pk)
    form = forms.ReadAgainForm(
        request.POST, office=student_list.office, details=student_list.reading.get("details", {})
    )
    if form.is_valid():
        data = form.cleaned_data
        with refusals_on(form):
            list_reading.read_again(
                by=request.user, student_list=student_list, at=clock.now(), mapping=data["mapping"],
                school=data["school"], group=data["group"], sheet_name=data.get("sheet_name", ""),
            )  # fmt: skip
    return _acted(request, student_list, form, "Đang đọc lại tệp.")


@clerk
@require_http_methods(["POST"])
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Stand by rows with warnings of the chosen kinds."""
    student_list = _edited(request, pk)
    choices = [(code, said) for code, _, said in lists.warnings_of(student_list)]
    form = forms.AcknowledgeForm(request.POST, choices=choices)
    if form.is_valid():
        with refusals_on(form):
            lists.acknowledge(
                by=request.user, student_list=student_list, codes=form.cleaned_data["codes"], at=clock.now()
            )
    return _acted(request, student_list, form, "Đã ghi nhận các lưu ý thầy/cô chấp nhận.")


@clerk
@require_http_methods(["POST"])
def confirm_conversion(request: HttpRequest, pk: int) -> HttpResponse:
    """The converted sample is right."""
    student_list = _edited(request, pk)
    form = forms.PlainForm(request.POST)
    with refusals_on(form):
        lists.confirm_conversion(by=request.user, student_list=student_list, at=clock.now())
    return _acted(request, student_list, form, "Đã xác nhận chữ được đổi phông đúng.")


@clerk
@require_http_methods(["POST"])
def commit(request: HttpRequest, pk: int) -> HttpResponse:
    """Write the good rows, or all or nothing; a worker does it."""
    student_list = _edited(request, pk)
    form = forms.CommitForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            lists.ask_commit(
                by=request.user, student_list=student_list, at=clock.now(),
                all_or_nothing=form.cleaned_data["all_or_nothing"],
            )  # fmt: skip
    return _acted(request, student_list, form, "Đang ghi vào hệ thống.")


@clerk
@require_http_methods(["POST"])
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the commit back."""
    student_list = _edited(request, pk)
    form = forms.PlainForm(request.POST)
    with refusals_on(form):
        lists.undo_commit(by=request.user, student_list=student_list, at=clock.now())
    return _acted(request, student_list, form, "Đã hoàn tác: hệ thống như trước khi ghi danh sách này.")


@clerk
@require_http_methods(["POST"])
def submit(request: HttpRequest, pk: int) -> HttpResponse:
    """Send up, with the attestation."""
    student_list = _edited(request, pk)
    form = forms.SubmitForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            lists.submit_list(by=request.user, student_list=student_list, at=clock.now())
    return _acted(request, student_list, form, "Đã trình danh sách; người khác sẽ thẩm định.")


@reader
@require_http_methods(["POST"])
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    """Found right by another person."""
    student_list = _found(request, pk)
    if not can_verify_list(request.user, student_list):
        raise Http404
    form = forms.PlainForm(request.POST)
    with refusals_on(form):
        lists.verify_list(by=request.user, student_list=student_list, at=clock.now())
    return _acted(request, student_list, form, "Đã thẩm định; chờ phê duyệt.")


@reader
@require_http_methods(["POST"])
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    """The last word."""
    student_list = _found(request, pk)
    if not can_approve_list(request.user, student_list):
        raise Http404
    form = forms.PlainForm(request.POST)
    with refusals_on(form):
        lists.approve_list(by=request.user, student_list=student_list, at=clock.now())
    return _acted(request, student_list, form, "Đã phê duyệt danh sách.")


@reader
@require_http_methods(["POST"])
def send_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Return with a reason."""
    student_list = _found(request, pk)
    if not (can_verify_list(request.user, student_list) or can_approve_list(request.user, student_list)):
        raise Http404
    form = forms.ReturnForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            lists.return_list(
                by=request.user, student_list=student_list, reason=form.cleaned_data["reason"], at=clock.now()
            )
    return _acted(request, student_list, form, "Đã trả lại danh sách kèm lý do.")


@clerk
@require_http_methods(["GET"])
def marked(request: HttpRequest, pk: int) -> HttpResponse:
    """The rows to mend as a workbook, written afresh; identity numbers are in it, so the reading is recorded."""
    student_list = _edited(request, pk)
    rows = student_list.rows.filter(outcome__gte=ListRow.Outcome.WARNING).order_by("number")
    record_reading(
        by=request.user, subject_type="schools.studentlist", subject_id=student_list.pk,
        fields="mọi ô của các hàng cần sửa, cả số định danh", reason="Tải tệp lỗi", row_count=rows.count(),
    )  # fmt: skip
    content = io.BytesIO()
    schools = School.objects.filter(office__path__startswith=student_list.office.path)
    communes = schools.order_by("commune__name").values_list("commune__full_name", flat=True).distinct()
    write_marked(
        content,
        ((found.number, list_rows.cells_of(found), found.findings) for found in rows.iterator()),
        schools=dict(schools.order_by("code").values_list("code", "office__name")),
        communes=list(communes),
    )
    return _workbook(content.getvalue(), f"can-sua-{student_list.pk}.xlsx")

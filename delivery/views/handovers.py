"""Handing over a class on one sheet: on the screen, or on paper and entered later."""

from collections import Counter
from itertools import groupby
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.services import record_reading
from common.clock import now, today
from common.pdf import render_pdf
from common.qr import qr_svg_bytes
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from coverage.services import operator_for
from delivery import perms, services
from delivery.forms import RecordForm, SignForm
from delivery.models import Handover, HandoverRecord, PhoneHandover
from ledger.codes import spell
from ledger.trace import family_urls

PER_PAGE = 25


def _school(request, code: str):
    return get_object_or_404(perms.schools_of(request.user), code=code)


@perms.reads_children
def school_list(request):
    """Schools within reach with devices to hand over; a person of one school goes straight to it."""
    schools = perms.schools_of(request.user)
    if schools.count() == 1:
        return redirect("delivery:school", schools.get().code)
    rows = schools.annotate(
        waiting_count=Count(
            "office__custodies",
            filter=Q(office__custodies__to_at__isnull=True, office__custodies__device__state="accepted"),
        )
    )
    if request.GET.get("tat-ca") is None:
        rows = rows.filter(waiting_count__gt=0)
    page = Paginator(rows.order_by("-waiting_count", "office__path"), PER_PAGE).get_page(
        request.GET.get("trang")
    )
    return render(request, "delivery/schools.html", {"page": page, "all": "tat-ca" in request.GET})


@perms.reads_children
def school_detail(request, code: str):
    """A school's classes: who waits, what has come; its records; opening a new one."""
    school = _school(request, code)
    rows = services.waiting_rows(school)
    classes = []
    for name, members in groupby(rows, key=lambda row: row.class_name):
        members = list(members)
        classes.append(
            {
                "name": name or "Chưa ghi lớp",
                "waiting": len(members),
                "here": sum(row.is_here for row in members),
                "ready": sum(not row.problem for row in members),
            }
        )
    records = HandoverRecord.objects.filter(school=school).annotate(given_count=Count("handovers"))
    can_open = perms.can_hand_over(request.user, school)
    form = RecordForm(
        request.POST or None,
        classes=sorted({row.class_name for row in rows if row.is_here}),
        initial={"held_on": today(), "operator": operator_for(school.province), "class_name": ""},
    )
    if request.method == "POST" and can_open and form.is_valid():
        with refusals_on(form):
            record = services.open_record(by=request.user, school=school, at=now(), **form.cleaned_data)
        if not form.errors:
            messages.success(
                request, f"Đã mở biên bản {record.code}. Thầy/cô có thể in ngay để ký trên giấy."
            )
            return redirect("delivery:record", record.code)
    return render(
        request,
        "delivery/school.html",
        {
            "school": school,
            "classes": classes,
            "ready_count": sum(row["ready"] for row in classes),
            "records": records.order_by("-held_on", "-pk")[:30],
            "to_look_at": PhoneHandover.objects.to_look_at()
            .filter(record__school=school)
            .values_list("record__code", flat=True)
            .distinct(),
            "form": form,
            "can_open": can_open,
        },
        status=422 if form.errors else 200,
    )


def record_of(request, code: str) -> HandoverRecord:
    records = HandoverRecord.objects.for_user(request.user)
    return get_object_or_404(records.select_related("school__office", "operator", "signed_by"), code=code)


@perms.reads_children
def record_detail(request, code: str):
    """One record: hand over row by row, replace who left, sign."""
    record = record_of(request, code)
    can_edit = perms.can_hand_over(request.user, record.school) and not record.signed_at
    form = forms.Form(request.POST or None)
    if request.method == "POST" and can_edit:
        codes = request.POST.getlist("may")
        rows = [
            {
                "device": device,
                "recipient": "guardian" if request.POST.get(f"giam-ho-{device}", "").strip() else "student",
                "guardian_name": request.POST.get(f"giam-ho-{device}", "")[:80],
            }
            for device in codes
        ]
        form.is_valid()
        with refusals_on(form):
            given = services.hand_over(by=request.user, record=record, rows=rows, at=now())
        if not form.errors:
            messages.success(request, f"Đã ghi bàn giao {len(given)} máy vào biên bản {record.code}.")
            return redirect("delivery:record", record.code)
    waiting = services.waiting_rows(record.school, class_name=record.class_name or None)
    for row in waiting:
        object.__setattr__(row, "typed", request.POST.get(f"giam-ho-{row.device}", ""))
        object.__setattr__(row, "is_ticked", row.device in request.POST.getlist("may"))
    given = _given(record)
    record_reading(
        by=request.user,
        subject_type="delivery.handoverrecord",
        subject_id=record.pk,
        fields="họ tên, lớp",
        reason="bàn giao máy",
        row_count=len(waiting) + len(given),
    )
    return render(
        request,
        "delivery/record.html",
        {
            "record": record,
            "form": form,
            "ready": [row for row in waiting if not row.problem],
            "blocked": [row for row in waiting if row.problem],
            "to_next": [row.device for row in waiting if row.is_here and row.ineligible],
            "given": given,
            "to_look_at": record.phone_handovers.to_look_at().select_related(
                "allocation__student", "allocation__device", "sent_by"
            ),
            "can_edit": can_edit,
            "can_settle": perms.can_hand_over(request.user, record.school),
            "sign_form": SignForm(),
            "max_given": 1000,
        },
        status=422 if form.errors else 200,
    )


def _given(record: HandoverRecord) -> list[Handover]:
    return list(
        record.handovers.select_related("allocation__student", "allocation__device__lot").order_by(
            "allocation__student__class_name", "allocation__student__sort_key", "pk"
        )
    )


@perms.hands_over
@require_POST
def sign(request, code: str):
    """Close the record with the signed sheet."""
    record = record_of(request, code)
    form = SignForm(request.POST, request.FILES)
    if not perms.can_hand_over(request.user, record.school):
        raise Http404
    if form.is_valid():
        with refusals_on(form):
            services.sign_record(
                by=request.user, record=record, at=now(), evidence=form.cleaned_data["evidence"]
            )
    if form.errors:
        messages.error(request, " ".join(error for errors in form.errors.values() for error in errors))
    else:
        messages.success(
            request, f"Biên bản {record.code} đã ký và khoá lại. In biên nhận cho từng gia đình."
        )
    return redirect("delivery:record", record.code)


@perms.hands_over
@require_POST
def substitute(request, code: str):
    """The devices of students who left or declined go to the next students by rank; nobody picks."""
    record = record_of(request, code)
    form = forms.Form(request.POST)
    if not perms.can_hand_over(request.user, record.school):
        raise Http404
    with refusals_on(form):
        moved = services.substitute(
            by=request.user,
            record=record,
            device_codes=request.POST.getlist("device"),
            reason=request.POST.get("reason", ""),
            at=now(),
        )
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    else:
        for said in _moved_words(record, list(moved.values())):
            messages.success(request, said)
    return redirect("delivery:record", record.code)


def _moved_words(record: HandoverRecord, moved: list) -> list[str]:
    """Who gets the devices now: in this school, at which others, or nobody."""
    found = [row for row in moved if row is not None]
    here = [row.student for row in found if row.student.school_id == record.school_id]
    elsewhere = Counter(str(row.student.school) for row in found if row.student.school_id != record.school_id)
    said = []
    if here:
        names = "; ".join(f"{student}, lớp {student.class_name}" for student in here)
        said.append(f"{format_number(len(here))} máy chuyển cho học sinh kế tiếp của trường: {names}.")
    said += [
        f"{format_number(count)} máy chuyển cho học sinh kế tiếp ở {school}. Hãy soạn lô chuyển máy sang trường đó."
        for school, count in sorted(elsewhere.items())
    ]
    if nobody := len(moved) - len(found):
        said.append(
            f"{format_number(nobody)} máy: trong khu vực không còn học sinh nào chờ; "
            "máy trở lại kho cho đợt phân bổ sau."
        )
    return said


@perms.reads_children
def record_pdf(request, code: str):
    """The record as PDF (A4): before the session to be signed on paper, after it as what was signed."""
    record = record_of(request, code)
    given = [(h.allocation.student, h.allocation.device, h.guardian_name, True) for h in _given(record)]
    rows = [
        [s.full_name, s.class_name, f"{s.born_on:%d/%m/%Y}", spell(d.code), guardian]
        for s, d, guardian, _ in given
    ]
    if not record.signed_at:
        rows += [
            [row.full_name, row.class_name, f"{row.born_on:%d/%m/%Y}", spell(row.device), ""]
            for row in services.waiting_rows(record.school, class_name=record.class_name or None)
            if not row.problem
        ]
    record_reading(
        by=request.user,
        subject_type="delivery.handoverrecord",
        subject_id=record.pk,
        fields="họ tên, lớp, ngày sinh",
        reason="in biên bản bàn giao",
        row_count=len(rows),
    )
    return _pdf(
        "delivery/record.typ",
        {
            "code": record.code,
            "school": record.school.office.name,
            "address": record.school.office.address,
            "class_name": record.class_name,
            "held_on": f"{record.held_on:%d/%m/%Y}",
            "held": {"day": record.held_on.day, "month": record.held_on.month, "year": record.held_on.year},
            "signed": bool(record.signed_at),
            "operator": record.operator.name if record.operator else "",
            "given_count": len(given),
            "rows": [[str(number), *row] for number, row in enumerate(rows, 1)],
        },
        f"{record.code}.pdf",
        record.created_at,
    )


@perms.reads_children
def receipts_pdf(request, code: str):
    """A receipt for each family, one per half page: with the QR that opens their own entry in the public log."""
    record = record_of(request, code)
    given = _given(record)
    if not given:
        messages.info(request, "Chưa bàn giao máy nào nên chưa có biên nhận.")
        return redirect("delivery:record", record.code)
    record_reading(
        by=request.user,
        subject_type="delivery.handoverrecord",
        subject_id=record.pk,
        fields="họ tên, lớp, mã mở sổ cái",
        reason="in biên nhận cho gia đình",
        row_count=len(given),
    )
    urls = family_urls(eids=[UUID(handover.ledger_event) for handover in given])
    receipts = []
    for handover in given:
        student, device = handover.allocation.student, handover.allocation.device
        url = urls[UUID(handover.ledger_event)]
        receipts.append(
            {
                "student": student.full_name,
                "class_name": student.class_name,
                "device": spell(device.code),
                "model": device.lot.model_name,
                "guardian": handover.guardian_name,
                "url": url,
                "qr": qr_svg_bytes(url).decode(),
            }
        )
    return _pdf(
        "delivery/receipts.typ",
        {
            "record": record.code,
            "school": record.school.office.name,
            "held_on": f"{record.held_on:%d/%m/%Y}",
            "operator": record.operator.name if record.operator else "",
            "receipts": receipts,
        },
        f"bien-nhan-{record.code}.pdf",
        record.created_at,
    )


def _pdf(template: str, data: dict, name: str, at) -> HttpResponse:
    return HttpResponse(
        render_pdf(template, data, at=at),
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"},
    )

"""Devices of a school after the handover, follow-up by list, recall of a lot."""

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.services import record_reading
from common.clock import now, today
from common.refusals import refusals_on
from delivery import perms, rules, services
from delivery.forms import DeviceReportForm, RecallForm
from delivery.models import DeviceReport, Handover, LotRecall
from ledger.codes import normalise_code, spell

PER_PAGE = 50
BADGE = {"": "success", "in_use": "success", "repaired": "success", "found": "success", "broken": "warning"}
REASON_GROUPS = [
    (DeviceReport.Kind(kind).label, [(word, rules.REASON_LABEL[word]) for word in words])
    for kind, words in rules.REASONS.items()
    if kind in ("broken", "lost", "stolen", "returned", "written_off")
]


@perms.reads_children
def device_list(request, code: str):
    """Devices in the hands of a school's students: their condition, and reporting what happened."""
    school = get_object_or_404(perms.schools_of(request.user), code=code)
    can_report = perms.can_hand_over(request.user, school)
    form = DeviceReportForm(
        request.POST if "kind" in request.POST else None,
        reasons=REASON_GROUPS,
        initial={
            "happened_on": today(),
            "device": request.GET.get("ma", ""),
            "kind": request.GET.get("tinh-trang", ""),
        },
    )
    if request.method == "POST" and can_report:
        if "in_use" in request.POST:
            return _follow_up(request, school)
        if form.is_valid() and _report(request, school, form):
            return redirect("delivery:devices", school.code)
    rows = _with_students(school)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("trang"))
    for row in page:
        row.badge = BADGE.get(row.condition or "", "danger")
        row.may_replace = row.condition in rules.REPLACEABLE
        row.label = DeviceReport.Kind(row.condition).label if row.condition else "Đã bàn giao"
    record_reading(
        by=request.user,
        subject_type="schools.school",
        subject_id=school.pk,
        fields="họ tên, lớp",
        reason="theo dõi máy đã giao",
        row_count=len(page),
    )
    return render(
        request,
        "delivery/devices.html",
        {"school": school, "page": page, "form": form, "can_report": can_report},
        status=422 if form.errors else 200,
    )


def _with_students(school):
    """Handovers of the devices that the school's students have now, each with its condition, in the order of a list."""
    reports = DeviceReport.objects.since_inspection()
    latest = reports.filter(device=OuterRef("allocation__device")).order_by("-pk")
    return (
        Handover.objects.filter(record__school=school, allocation__ended_at__isnull=True)
        .annotate(
            condition=Subquery(latest.values("kind")[:1]),
            condition_on=Subquery(latest.values("happened_on")[:1]),
        )
        .select_related("allocation__device__lot", "allocation__student")
        .order_by("allocation__student__class_name", "allocation__student__sort_key", "pk")
    )


def _report(request, school, form: DeviceReportForm) -> bool:
    """Record what the form says of one device; whether nothing stood against it."""
    data = dict(form.cleaned_data)
    device = normalise_code(data.pop("device"))
    if device is None:
        form.add_error("device", "Mã có 12 chữ và số; có thể thầy/cô gõ sai một ký tự.")
        return False
    with refusals_on(form):
        services.report_device(by=request.user, office=school.office, device_code=device, at=now(), **data)
    if form.errors:
        return False
    label = DeviceReport.Kind(data["kind"]).label.lower()
    messages.success(request, f"Đã ghi máy {spell(device)}: {label}.")
    return True


def _follow_up(request, school):
    """Every ticked device is in use today."""
    day = today()
    form = forms.Form(request.POST)
    with refusals_on(form):
        rows = [
            {"device": code, "kind": "in_use", "happened_on": day} for code in request.POST.getlist("may")
        ]
        count = services.report_devices(by=request.user, office=school.office, rows=rows, at=now())
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    else:
        messages.success(request, f"Đã ghi {count} máy đang sử dụng ngày {day:%d/%m/%Y}.")
    return redirect("delivery:devices", school.code)


@perms.hands_over
@require_POST
def replace(request, code: str):
    """The student of a broken, lost or recalled device gets another one, in one step."""
    school = get_object_or_404(perms.schools_of(request.user), code=code)
    if not perms.can_hand_over(request.user, school):
        raise Http404
    device = request.POST.get("device", "")
    form = forms.Form(request.POST)
    with refusals_on(form):
        new = services.replace_device(by=request.user, office=school.office, device_code=device, at=now())
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    elif new is None:
        messages.info(
            request,
            f"Em được phân bổ máy {spell(device)} không còn thuộc danh sách nhận máy: suất này đã khép lại.",
        )
    else:
        messages.success(
            request,
            f"Đã đổi máy {spell(device)} lấy máy {spell(new.device.code)}. Máy mới được chuyển đến trường rồi bàn giao "
            "bằng biên bản; máy cũ còn ở trường thì gửi trả về kho.",
        )
    return redirect("delivery:devices", school.code)


@perms.recalls
def recall_list(request):
    """Recalled lots, and calling one back."""
    form = RecallForm(request.POST or None)
    is_confirmed = request.POST.get("confirmed") == "1"
    if form.is_bound and form.is_valid() and is_confirmed:
        with refusals_on(form):
            recall = services.recall_lot(by=request.user, at=now(), **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"Đã ra lệnh thu hồi lô {recall.lot}. Danh sách nơi đang giữ ở dưới.")
            return redirect("delivery:recall", recall.pk)
    return render(
        request,
        "delivery/recalls.html",
        {
            "form": form,
            "to_confirm": form.is_bound and form.is_valid() and not is_confirmed,
            "recalls": LotRecall.objects.select_related("lot", "opened_by").order_by("-opened_at")[:50],
        },
        status=422 if form.errors else 200,
    )


@perms.recalls
def recall_detail(request, pk: int):
    """Every device of a recalled lot and who holds it now."""
    recall = get_object_or_404(LotRecall.objects.select_related("lot__warehouse", "opened_by"), pk=pk)
    if request.method == "POST":
        form = forms.Form(request.POST)
        with refusals_on(form):
            services.close_recall(by=request.user, recall=recall, at=now())
        if form.errors:
            messages.error(request, " ".join(form.non_field_errors()))
        else:
            messages.success(request, f"Đã kết thúc lệnh thu hồi lô {recall.lot}.")
        return redirect("delivery:recall", recall.pk)
    devices = services.recalled_devices(recall.lot)
    page = Paginator(devices, 100).get_page(request.GET.get("trang"))
    return render(
        request,
        "delivery/recall.html",
        {
            "recall": recall,
            "page": page,
            "rows": [
                (
                    spell(d.code),
                    DeviceReport.Kind(d.condition).label if d.condition else "—",
                    d.holder,
                    d.with_student,
                )
                for d in page
            ],
            "open_count": sum(d.condition == "recalled" for d in devices),
            "device_count": len(devices),
        },
    )

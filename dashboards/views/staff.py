"""What staff open first, and what an auditor asks."""

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from common import clock
from common.access import Access, administrator
from common.exports import csv_response
from common.templatetags.vi import format_number
from coverage.perms import operator
from dashboards import audit, snapshot, stuck, work
from dashboards.context import may_open
from dashboards.files import kind_of
from dashboards.perms import auditing
from delivery.services import who_holds
from donations.models import Device, DonorMember
from ledger.codes import normalise_code
from schools.models import AdministrativeUnit
from schools.perms import staff
from schools.reach import held_roles


def _has_no_post(user) -> bool:
    """Signed in without any post: a donor's people, or somebody whose role has ended."""
    return not (held_roles(user) or user.is_staff or user.operator_members.filter(ended_at=None).exists())


# Whoever holds a post needs the second factor here too: the page says what waits in their office.
landing = staff() | operator() | administrator | Access("no post", _has_no_post, second_factor="if_enrolled")


@landing
def what_to_do(request: HttpRequest) -> HttpResponse:
    """What waits for this person now; also where everyone lands after signing in."""
    user = request.user
    user.remembers_roles = True
    roles = user.staff_roles.filter(ended_at=None).select_related("office").order_by("office__path", "role")
    items = work.items_for(user, today=clock.today())
    context = {
        "items": [
            {
                "text": item.text,
                "href": item.href if may_open(user, item.href) else "",
                "note": item.note,
                "kind": item.kind,
                "status": item.status,
            }
            for item in items
        ],
        "roles": roles,
        "is_operator": user.operator_members.filter(ended_at=None).exists(),
        "is_donor": DonorMember.objects.filter(user=user, ended_at=None).exists(),
        "has_roles": bool(held_roles(user)),
        "sees_audit": may_open(user, "/kiem-toan/"),
        "sees_ministry": may_open(user, "/dieu-hanh/"),
    }
    return render(request, "dashboards/work.html", context)


class DeviceForm(forms.Form):
    """The code on a label."""

    may = forms.CharField(
        label="Mã thiết bị", max_length=20, help_text="In trên tem, 12 ký tự; viết hoa hay thường đều được."
    )

    def clean_may(self) -> str:
        code = normalise_code(self.cleaned_data["may"])
        if code is None:
            raise forms.ValidationError("Mã này không đúng: hãy kiểm tra lại từng ký tự trên tem.")
        return code


class SampleForm(forms.Form):
    """A sample for a field check."""

    hat = forms.CharField(
        label="Hạt giống",
        max_length=80,
        help_text="Một câu hoặc số công bố trước khi bốc, ví dụ kết quả xổ số của ngày hẹn.",
    )
    so = forms.IntegerField(label="Số máy", min_value=1, max_value=audit.MOST_SAMPLED, initial=50)
    tinh = forms.ModelChoiceField(
        label="Tỉnh, thành phố", required=False, empty_label="Cả nước", to_field_name="public_code",
        queryset=AdministrativeUnit.objects.provinces().filter(vintage="2021").order_by("search_key"),
    )  # fmt: skip


@auditing
def audit_index(request: HttpRequest) -> HttpResponse:
    """The ready questions with how many rows each finds, the look-up of a device, and the sample."""
    questions = []
    for question in audit.QUESTIONS.values():
        found = len(audit.answer(question, limit=audit.PAGE_LIMIT + 1))
        text = f"hơn {format_number(audit.PAGE_LIMIT)}" if found > audit.PAGE_LIMIT else format_number(found)
        questions.append((question, found, text))
    handed_over = snapshot.latest().nation("handed_over") or 0
    context = {
        "questions": questions,
        "device_form": DeviceForm(),
        "sample_form": SampleForm(),
        "late_count": len(stuck.waiting(today=clock.today())),
        "advised": audit.sample_size(population=handed_over),
    }
    return render(request, "dashboards/audit.html", context)


@auditing
def audit_question(request: HttpRequest, slug: str) -> HttpResponse:
    """One question with its rows; the whole as CSV with `?csv=1`, or as a workbook that is asked for."""
    question = audit.QUESTIONS.get(slug)
    if question is None:
        raise Http404
    if "csv" in request.GET:
        return csv_response(f"{slug}.csv", question.columns, audit.stream(question))
    rows = audit.answer(question, limit=audit.PAGE_LIMIT + 1)
    context = {
        "question": question, "rows": rows[: audit.PAGE_LIMIT], "is_cut": len(rows) > audit.PAGE_LIMIT,
        "kind": kind_of(question),
    }  # fmt: skip
    return render(request, "dashboards/audit_question.html", context)


@auditing
def audit_device(request: HttpRequest) -> HttpResponse:
    """Who holds device X: the holder now, and every office before; a child is never named."""
    form = DeviceForm(request.GET or None)
    context: dict = {"form": form}
    if form.is_valid():
        device = (
            Device.objects.select_related("lot__warehouse", "lot__pledge")
            .filter(code=form.cleaned_data["may"])
            .first()
        )
        if device is None:
            form.add_error("may", "Không có máy nào mang mã này. Hãy kiểm tra lại từng ký tự trên tem.")
        else:
            context |= {"device": device, "holder": who_holds(device), "items": _custody_timeline(device)}
            context["reports"] = device.reports.order_by("-reported_at")[:20]
    return render(request, "dashboards/audit_device.html", context)


def _custody_timeline(device: Device) -> list[dict]:
    items = [
        {
            "text": f"Tiếp nhận tại {device.lot.warehouse.name}",
            "at": device.lot.received_at,
            "note": f"Lô {device.lot.code}",
        }
    ]
    for custody in device.custodies.select_related("office").order_by("from_at"):
        items.append(
            {"text": custody.office.name, "at": custody.from_at, "note": "" if custody.to_at else "Đang giữ"}
        )
    for allocation in device.allocations.select_related("student__school__office", "run").order_by("pk"):
        handover = getattr(allocation, "handover", None)
        if handover:
            school = allocation.student.school.office.name
            items.append({"text": f"Bàn giao cho một học sinh của {school}", "at": handover.handed_over_at})
        if allocation.ended_at:
            items.append(
                {
                    "text": "Chấm dứt phân bổ",
                    "at": allocation.ended_at,
                    "note": allocation.get_end_reason_display(),
                }
            )
    return sorted(items, key=lambda item: item["at"])


@auditing
def audit_sample(request: HttpRequest) -> HttpResponse:
    """A random sample for a field check; the same seed gives the same devices."""
    form = SampleForm(request.GET or None)
    rows: list[tuple] = []
    if form.is_valid():
        province = form.cleaned_data["tinh"]
        rows = audit.sample(
            seed=form.cleaned_data["hat"], size=form.cleaned_data["so"],
            province=province.public_code if province else "",
        )  # fmt: skip
        if "csv" in request.GET:
            return csv_response("mau-kiem-tra.csv", audit.SAMPLE_COLUMNS, rows)
    context = {
        "form": form,
        "rows": rows,
        "columns": audit.SAMPLE_COLUMNS,
        "links": audit.LINKS,
        "is_drawn": form.is_valid(),
    }
    return render(request, "dashboards/audit_sample.html", context)

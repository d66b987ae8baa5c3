"""The warehouse: what is expected, lots, serials, inspection, labels, repair (Plan I.2đ, III.1e, III.1i)."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Count, F, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import clock
from common.exports import csv_response, xlsx_response
from common.pdf import pdf_response
from common.refusals import refusals_on
from common.templatetags.vi import format_date, format_number
from donations import codes, perms, rules, serial_files, services
from donations.forms.warehouse import (
    InspectionForm,
    LotForm,
    RepairForm,
    SerialsForm,
    WriteOffForm,
)
from donations.labels import MAX_LABELS, labels_pdf
from donations.models import Device, DeviceCriteria, Inspection, Lot, Pledge
from ledger.codes import normalise_code
from schools.models import Office
from schools.reach import reach

# Devices offered to a person who types; a code that isn't among them is found too.
SUGGESTED = 300
FEW = 5
ERRORS_SHOWN = 200
STATE_KIND = {
    "received": "info",
    "to_repair": "warning",
    "accepted": "success",
    "refused": "danger",
    "returned": "warning",
    "retired": "neutral",
}


def _warehouses(user):
    """Warehouses where the person keeps stock."""
    return Office.objects.filter(
        reach(user, "keeper", kinds=perms.WAREHOUSE_KINDS), kind=Office.Kind.WAREHOUSE, valid_to=None
    ).order_by("code")


def _lot(request: HttpRequest, code: str) -> Lot:
    found = codes.read_code(codes.LOT, code)
    rows = Lot.objects.for_user(request.user).select_related("warehouse", "pledge__donor", "order__agreement")
    return get_object_or_404(rows, code=found or code)


@perms.warehouse_staff
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What waits in the warehouses within reach; a code or a serial opens its lot or device."""
    typed = request.GET.get("q", "").strip()
    if typed:
        found = _find(request, typed)
        if found:
            return redirect(found)
    devices = Device.objects.for_user(request.user)
    counts = dict(devices.order_by().values_list("state").annotate(n=Count("pk")))
    expected = (
        Pledge.objects.for_user(request.user)
        .filter(
            kind=Pledge.Kind.DEVICE,
            state__in=[Pledge.State.CONFIRMED, Pledge.State.RECEIVING],
            warehouse__isnull=False,
        )
        .filter(reach(request.user, through="warehouse__"))
        .select_related("donor", "warehouse")
        .with_progress()
        .order_by(F("expected_on").asc(nulls_last=True), "made_at")
    )
    lots = Lot.objects.for_user(request.user).select_related("warehouse", "pledge__donor").with_counts()
    state = request.GET.get("trang-thai", "")
    if state == "cho-kiem-dinh":
        lots = lots.with_devices_in("received")
    elif state == "cho-sua":
        lots = lots.with_devices_in("to_repair")
    page = Paginator(lots.order_by("-received_at", "-pk"), 10).get_page(request.GET.get("trang"))
    return render(
        request,
        "donations/warehouse.html",
        {
            "counts": {state: counts.get(state, 0) for state in Device.State.values},
            "expected": Paginator(expected, 10).get_page(request.GET.get("cam-ket")),
            "page_obj": page,
            "state": state,
            "typed": typed,
            "can_receive": _warehouses(request.user).exists(),
        },
    )


def _find(request: HttpRequest, typed: str) -> str | None:
    """Address of the device or lot with this code, serial or label; None if there is none within reach."""
    if lot_code := codes.read_code(codes.LOT, typed):
        lot = Lot.objects.for_user(request.user).filter(code=lot_code).first()
        if lot:
            return reverse("donations:lot", args=[lot.code])
    # A scanner types the address of the label's QR code.
    code = normalise_code(typed.rstrip("/").rpartition("/")[2])
    devices = Device.objects.for_user(request.user)
    key = rules.serial_key(typed)
    device = devices.filter(Q(code=code or "-") | Q(serial_key=key or "-") | Q(imei=typed or "-")).first()
    return reverse("donations:device", args=[device.code]) if device else None


@perms.keeper
@require_http_methods(["GET", "HEAD", "POST"])
def receive(request: HttpRequest, code: str) -> HttpResponse:
    """Open a lot for an expected pledge."""
    pledge = get_object_or_404(
        Pledge.objects.for_user(request.user).select_related("donor", "warehouse"),
        code=code,
        kind=Pledge.Kind.DEVICE,
    )
    initial = {
        "warehouse": pledge.warehouse_id,
        "device_kind": pledge.device_kind,
        "is_used": pledge.is_used,
        "model_name": pledge.description[:80],
    }
    form = LotForm(request.POST or None, warehouses=_warehouses(request.user), initial=initial)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            lot = services.receive_lot(by=request.user, pledge=pledge, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"Đã mở lô {lot.code}. Nhập số sê-ri của từng máy.")
            return redirect("donations:lot_serials", code=lot.code)
    return render(
        request,
        "donations/lot_new.html",
        {"form": form, "pledge": pledge},
        status=400 if form.is_bound else 200,
    )


@perms.warehouse_staff
@require_safe
def lot(request: HttpRequest, code: str) -> HttpResponse:
    """A lot: counts, devices, what to do next."""
    found = _lot(request, code)
    devices = found.devices.order_by("pk")
    counts = dict(devices.order_by().values_list("state").annotate(n=Count("pk")))
    state = request.GET.get("trang-thai", "")
    if state in Device.State.values:
        devices = devices.filter(state=state)
    page = Paginator(devices, 50).get_page(request.GET.get("trang"))
    total = sum(counts.values())
    known = services.announced(found.pledge)
    gap = rules.compare_serials(known, services.received(found.pledge)) if known else None
    return render(
        request,
        "donations/lot.html",
        {
            "announced_count": len(known),
            "gap": gap,
            "missing": gap.missing[:ERRORS_SHOWN] if gap else (),
            "unexpected": gap.unexpected[:ERRORS_SHOWN] if gap else (),
            "lot": found,
            "rows": _about(found, total=total),
            "counts": counts,
            "stats": [
                (Device.State(s).label, counts.get(s, 0), s) for s in Device.State.values if counts.get(s)
            ],
            "total": total,
            "label_parts": [(start, min(start + MAX_LABELS, total)) for start in range(0, total, MAX_LABELS)]
            if total > MAX_LABELS
            else [],
            "page_obj": page,
            "state": state,
            "state_kind": STATE_KIND,
            "can_receive": perms.can_receive(request.user, found.warehouse),
            "waiting": found.devices.to_inspect_by(request.user).count(),
        },
    )


def _about(lot: Lot, *, total: int) -> list[dict[str, str]]:
    """Where a lot of `total` devices comes from, and whether it is as many as its papers say."""
    rows = [
        {"key": "Nguồn", "value": f"Cam kết {lot.pledge.code} – {lot.pledge.donor.name}"},
        {"key": "Kho", "value": lot.warehouse.name},
        {
            "key": "Loại máy",
            "value": f"{lot.get_device_kind_display()} {lot.model_name}".strip()
            + (" (đã qua sử dụng)" if lot.is_used else ""),
        },
        {"key": "Tiếp nhận", "value": format_date(lot.received_at)},
    ]
    if lot.order:
        rows.append(
            {
                "key": "Mua bằng tiền ủng hộ",
                "value": f"Đơn mua {lot.order.code}, {lot.order.agreement.supplier}",
            }
        )
    if lot.declared_count is not None:
        gap = lot.declared_count - total
        note = (
            "đủ"
            if gap == 0
            else f"còn {format_number(gap)} máy chưa nhập"
            if gap > 0
            else f"thừa {format_number(-gap)} máy so với giấy"
        )
        rows.append(
            {"key": "Theo giấy giao hàng", "value": f"{format_number(lot.declared_count)} máy: {note}"}
        )
    return rows


@perms.keeper
@require_http_methods(["GET", "HEAD", "POST"])
def serials(request: HttpRequest, code: str) -> HttpResponse:
    """Enter devices of a lot: one by one, pasted, scanned, or from a file; all or nothing."""
    found = _lot(request, code)
    if not perms.can_receive(request.user, found.warehouse):
        raise Http404
    known = services.announced(found.pledge)
    gap = rules.compare_serials(known, services.received(found.pledge)) if known else None
    # What was announced and isn't here yet, to be struck out or scanned anew.
    is_filled = bool(gap and gap.missing) and "trong" not in request.GET
    text = (
        "\n".join(", ".join(filter(None, (row.serial, row.imei))) for row in gap.missing) if is_filled else ""
    )
    form = SerialsForm(request.POST or None, request.FILES or None, initial={"serials": text})
    errors: list[rules.RowError] = []
    scanned: rules.SerialGap | None = None
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            rows = (
                serial_files.from_file(file) if file else serial_files.from_text(form.cleaned_data["serials"])
            )
            if "so-sanh" in request.POST:
                scanned = rules.compare_serials(gap.missing if gap else (), rules.check_serials(rows))
            else:
                with refusals_on(form):
                    made = services.receive_devices(by=request.user, lot=found, rows=rows, at=clock.now())
        except rules.RowErrors as refused:
            errors = refused.errors
            form.add_error(None, str(refused))
        except ValidationError as refused:
            form.add_error("file" if file else None, refused.messages[0])
        if not form.errors and not scanned:
            messages.success(
                request,
                f"Đã nhập {format_number(len(made))} máy vào lô {found.code}. In tem rồi dán lên từng máy.",
            )
            return redirect("donations:lot", code=found.code)
    return render(
        request,
        "donations/lot_serials.html",
        {
            "form": form,
            "lot": found,
            "errors": errors[:ERRORS_SHOWN],
            "error_count": len(errors),
            "count": found.devices.count(),
            "announced_count": len(known),
            "is_filled": is_filled and not form.is_bound,
            "gap": scanned or gap,
            "is_comparing": bool(scanned),
            "missing": (scanned or gap).missing[:ERRORS_SHOWN] if known else (),
            "unexpected": (scanned or gap).unexpected[:ERRORS_SHOWN] if known else (),
        },
        status=400 if form.errors else 200,
    )


@perms.keeper
@require_safe
def serials_template(request: HttpRequest) -> HttpResponse:
    """An empty workbook with the two columns."""
    return xlsx_response("mau-so-se-ri.xlsx", "Máy", ["Số sê-ri", "IMEI"], [])


@perms.inspector
@require_http_methods(["GET", "HEAD", "POST"])
def inspect(request: HttpRequest, code: str) -> HttpResponse:
    """Inspect a lot: what holds for all, then the exceptions item by item; the outcome follows from the criteria."""
    found = _lot(request, code)
    pending = found.devices.to_inspect_by(request.user).order_by("pk")
    is_waiting = pending.exists()
    if not is_waiting and not perms.can_inspect(request.user, found):
        raise Http404
    if not is_waiting:
        messages.info(request, "Lô này không còn máy chờ kiểm định.")
        return redirect("donations:lot", code=found.code)
    criteria = DeviceCriteria.objects.in_force(device_kind=found.device_kind, is_used=found.is_used)
    if criteria is None:
        return render(request, "donations/no_criteria.html", {"lot": found})
    named = dict(pending.values_list("code", "serial_number"))
    # More rows are asked for, or the check was left to mend something: what was typed stays, nothing is judged.
    is_sent = request.method == "POST" and not {"them-dong", "sua"} & set(request.POST)
    form = _inspection_form(request, found, criteria=criteria, named=named, is_sent=is_sent)
    if is_sent and form.is_valid():
        findings = form.findings()
        judged = []
        if "da-xem" not in request.POST:
            judged = _what_fails(findings, criteria=criteria, is_used=found.is_used)
        if judged:
            context = {"form": form, "lot": found, "count": len(findings), "judged": judged}
            return render(request, "donations/lot_inspect_check.html", context)
        if _record_inspection(request, form, findings):
            return redirect("donations:lot", code=found.code)
    return render(
        request,
        "donations/lot_inspect.html",
        {
            "form": form,
            "lot": found,
            "criteria": criteria,
            "limits": rules.describe_limits(criteria.limits),
            "named": list(named.items())[:SUGGESTED],
            "waiting": len(named),
        },
        status=400 if is_sent else 200,
    )


def _inspection_form(
    request: HttpRequest, lot: Lot, *, criteria: DeviceCriteria, named: dict[str, str], is_sent: bool
) -> InspectionForm:
    """The form as sent; or what was typed so far, with the next empty row in focus."""
    form = InspectionForm(
        request.POST if is_sent else None,
        criteria=criteria,
        is_used=lot.is_used,
        named=named,
        row_count=InspectionForm.rows_typed(request.POST),
        initial=_measured_before(lot),
    )
    if request.method == "POST" and not is_sent:
        form.initial = {name: request.POST.get(name, "") for name in form.fields}
        if empty := next((n for n in form.fault_rows if not form.initial[f"d_{n}"]), None):
            form.fields[f"d_{empty}"].widget.attrs["autofocus"] = True
    return form


def _record_inspection(request: HttpRequest, form: InspectionForm, findings: list[rules.Finding]) -> bool:
    """Whether it was recorded; a refusal is on the form."""
    with refusals_on(form):
        outcome = services.inspect_devices(by=request.user, findings=findings, at=clock.now())
    if form.errors:
        return False
    messages.success(
        request,
        f"Đã kiểm định {format_number(len(findings))} máy: {format_number(outcome['accepted'])} đạt, "
        f"{format_number(outcome['to_repair'])} cần sửa, {format_number(outcome['refused'])} không đạt.",
    )
    return True


def _what_fails(findings: list[rules.Finding], *, criteria: DeviceCriteria, is_used: bool) -> list[dict]:
    """Of an inspection that isn't recorded yet: the devices that won't pass, by outcome and reasons; none if all pass."""
    found: dict[tuple, list[str]] = {}
    for finding in findings:
        outcome, reasons = rules.judge(finding, limits=criteria.limits, is_used=is_used)
        if reasons:
            found.setdefault((outcome, *reasons), []).append(finding.device_code)
    return [
        {
            "outcome": Device.State(outcome).label,
            "reasons": "; ".join(rules.REASONS[reason].label for reason in reasons),
            "count": len(codes),
            "codes": codes[:FEW],
        }
        for (outcome, *reasons), codes in sorted(found.items())
    ]


def _measured_before(lot: Lot) -> dict:
    """What the latest inspection of the lot measured (else what the donor declared): like devices, asked once."""
    latest = (
        Inspection.objects.filter(device__lot=lot).order_by("-pk").values_list("measured", flat=True).first()
    )
    return {f"m_{measure}": value for measure, value in (latest or lot.pledge.specs).items()}


@perms.warehouse_staff
@require_safe
def labels(request: HttpRequest, code: str) -> HttpResponse:
    """Labels of a lot as PDF; up to 1,000 at once, then the next part by ?tu=."""
    found = _lot(request, code)
    asked = request.GET.get("tu", "")
    start = int(asked) if asked.isdecimal() and len(asked) < 10 else 0
    kind = found.model_name or found.get_device_kind_display()
    rows = list(found.devices.order_by("pk").values_list("code", flat=True)[start : start + MAX_LABELS])
    if not rows:
        messages.info(request, "Lô này chưa có máy nào để in tem.")
        return redirect("donations:lot", code=found.code)
    return pdf_response(
        f"tem-{found.code}.pdf", labels_pdf([(c, kind) for c in rows], lot=found.code, at=found.received_at)
    )


@perms.warehouse_staff
@require_safe
def lot_csv(request: HttpRequest, code: str) -> HttpResponse:
    """Devices of a lot with serials, for the warehouse's own files."""
    found = _lot(request, code)
    rows = (
        found.devices.order_by("pk")
        .values_list("code", "serial_number", "imei", "state")
        .iterator(chunk_size=2000)
    )
    labels_of = dict(Device.State.choices)
    return csv_response(
        f"{found.code}.csv",
        ["Mã thiết bị", "Số sê-ri", "IMEI", "Trạng thái"],
        ((*row[:3], labels_of[row[3]]) for row in rows),
    )


@perms.warehouse_staff
@require_http_methods(["GET", "HEAD", "POST"])
def device(request: HttpRequest, code: str) -> HttpResponse:
    """One device inside the warehouse: what was found each time; repair and write-off."""
    found = get_object_or_404(
        Device.objects.for_user(request.user).select_related("lot__warehouse", "lot__pledge__donor"),
        code=normalise_code(code) or code,
    )
    can_act = perms.can_receive(request.user, found.lot.warehouse)
    repair, write_off = RepairForm(), WriteOffForm()
    acted = None
    if request.method == "POST":
        if not can_act:
            raise Http404
        acted = _act_on_device(request, found)
        if not acted.errors:
            return redirect("donations:device", code=found.code)
        if isinstance(acted, WriteOffForm):
            write_off = acted
    rows = [
        {"key": "Số sê-ri", "value": found.serial_number},
        {"key": "IMEI", "value": found.imei or "—"},
        {
            "key": "Lô",
            "value": found.lot.code,
            "href": reverse("donations:lot", args=[found.lot.code]),
            "action": "Xem lô",
        },
        {"key": "Cam kết", "value": f"{found.lot.pledge.code} – {found.lot.pledge.donor.name}"},
        {"key": "Bảo vệ trẻ em trên mạng", "value": "Đã bật" if found.is_child_protected else "Chưa bật"},
    ]
    return render(
        request,
        "donations/device.html",
        {
            "device": found,
            "rows": rows,
            "items": _history(found),
            "kind": STATE_KIND[found.state],
            "can_repair": can_act and found.state == Device.State.TO_REPAIR,
            "can_write_off": can_act and found.state in (Device.State.TO_REPAIR, Device.State.REFUSED),
            "repair": repair,
            "write_off": write_off,
            "acted": acted,
        },
        status=400 if acted else 200,
    )


def _history(device: Device) -> list[dict]:
    """What happened to a device in the warehouse, oldest first: its arrival and every inspection."""
    inspections = (
        Inspection.objects.filter(device=device).select_related("criteria").order_by("inspected_at", "pk")
    )
    return [
        {"text": "Đã tiếp nhận vào kho", "at": device.lot.received_at, "note": device.lot.warehouse.name},
        *(
            {
                "text": row.get_outcome_display(),
                "at": row.inspected_at,
                "note": "; ".join(rules.REASONS[r].label for r in row.reasons if r in rules.REASONS)
                or f"Theo {row.criteria}",
                "state": "done" if row.outcome == "accepted" else "problem",
            }
            for row in inspections
        ),
    ]


def _act_on_device(request: HttpRequest, found: Device):
    """Repair or write off by the button that was pressed; the form carries a refusal."""
    if "sua" in request.POST:
        form = RepairForm(request.POST)
        form.is_valid()
        with refusals_on(form):
            services.repair_devices(by=request.user, device_codes=[found.code], at=clock.now())
        if not form.errors:
            messages.success(request, f"Máy {found.code} đã sửa xong, chờ kiểm định lại.")
        return form
    form = WriteOffForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            services.write_off_devices(
                by=request.user, device_codes=[found.code], reason=form.cleaned_data["reason"], at=clock.now()
            )
        if not form.errors:
            messages.success(request, f"Máy {found.code} đã loại khỏi chương trình.")
    return form

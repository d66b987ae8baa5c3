"""Shipments: what comes, what goes, receiving by item, who holds a device."""

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from common.clock import now, today
from common.pdf import render_pdf
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from delivery import perms, rules, services
from delivery.forms import ReceiveForm, ScanForm, ShipmentFilter
from delivery.models import DELIVERY_KINDS, FOLLOWS_DEVICES, Custody, Shipment, ShipmentItem
from donations.models import Device
from ledger.codes import normalise_code, spell
from schools.models import School
from schools.reach import reach

PER_PAGE = 25
SHOWN_UNFIT = 20
ERRORS_SHOWN = 10
BADGE = {
    Shipment.State.DRAFT: "neutral",
    Shipment.State.DISPATCHED: "info",
    Shipment.State.ARRIVED: "success",
    Shipment.State.CANCELLED: "neutral",
}


def _mine(request):
    return Shipment.objects.for_user(request.user).select_related("from_office", "to_office")


def _age(shipment: Shipment, day) -> tuple[int, str]:
    if shipment.state != Shipment.State.DISPATCHED:
        return 0, "ok"
    left_on = timezone.localdate(shipment.dispatched_at)
    return rules.days_under_way(left_on, day), rules.ageing(left_on, day)


@perms.follows_devices
def shipment_list(request):
    """What comes and goes, with what is stuck on top; and what can be sent on now."""
    day, form = today(), ShipmentFilter(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    rows = _mine(request).annotate(
        device_count=Count("items"), missing_count=Count("items", filter=Q(items__result="missing"))
    )
    offices = list(perms.own_offices(request.user))
    if chosen.get("direction") == "den":
        rows = rows.filter(to_office__in=offices)
    elif chosen.get("direction") == "di":
        rows = rows.filter(from_office__in=offices)
    if chosen.get("state") == "stuck":
        rows = rows.stuck_on(day)
    elif chosen.get("state"):
        rows = rows.filter(state=chosen["state"])
    page = Paginator(rows.order_by("-created_at", "-pk"), PER_PAGE).get_page(request.GET.get("trang"))
    for shipment in page:
        shipment.days, shipment.ageing = _age(shipment, day)
        shipment.badge = BADGE[shipment.state]
    under_way = _mine(request).under_way()
    asks_hops = bool(offices) and (
        "xem-truoc" in request.GET or not services.holds_many([office.pk for office in offices])
    )
    return render(
        request,
        "delivery/shipments.html",
        {
            "page": page,
            "form": form,
            "under_way_count": under_way.count(),
            "stuck_count": under_way.stuck_on(day).count(),
            "to_receive_count": under_way.filter(to_office__in=offices).count(),
            "drafts": list(_own_drafts(offices).values_list("code", flat=True)) if offices else [],
            "hops": services.next_hops(offices=offices, at=now()) if asks_hops else [],
            "may_preview": bool(offices) and not asks_hops,
            "may_return": bool(offices),
            "stuck_after": rules.STUCK_AFTER_DAYS,
        },
    )


@perms.moves_devices
@require_POST
def plan(request):
    """Draft one shipment per hop for all that the person's own offices hold."""
    offices = list(perms.own_offices(request.user))
    form = forms.Form(request.POST)
    with refusals_on(form):
        drafts = services.plan_shipments(by=request.user, at=now(), offices=offices)
    if not drafts:
        messages.info(request, "Chưa có máy nào của đơn vị có thể chuyển tiếp.")
        return redirect("delivery:shipments")
    messages.success(request, f"Đã soạn {format_number(len(drafts))} lô hàng. Hãy kiểm tra từng lô rồi gửi.")
    if len(drafts) == 1:
        return redirect("delivery:shipment", drafts[0].code)
    return redirect("/van-chuyen/?state=draft")


def _own_drafts(offices):
    """Drafts that hold something, from the person's own offices."""
    drafts = Shipment.objects.filter(state=Shipment.State.DRAFT, from_office__in=offices)
    return drafts.filter(Exists(ShipmentItem.objects.filter(shipment=OuterRef("pk")))).order_by("pk")


@perms.moves_devices
@require_POST
def send_drafts(request):
    """Send every draft of the person's own offices in which each device may leave; the others say why on their page."""
    form = forms.Form(request.POST)
    drafts = _own_drafts(perms.own_offices(request.user))
    # What the person saw: a draft that came since is not sent unseen.
    seen = drafts.filter(code__in=request.POST.getlist("lo"))
    sent, held = [], []
    with refusals_on(form):
        sent, held = services.dispatch_ready(by=request.user, shipments=seen, at=now())
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    if sent:
        messages.success(
            request, f"Đã gửi {format_number(len(sent))} lô. Từng nơi nhận sẽ xác nhận máy của mình."
        )
    if held:
        codes = ", ".join(shipment.code for shipment in held[:SHOWN_UNFIT])
        messages.warning(
            request,
            f"{format_number(len(held))} lô còn máy chưa gửi được nên chưa gửi: {codes}. "
            "Mở từng lô để xem máy nào, vì sao, làm gì; lô không còn máy nào thì huỷ.",
        )
    return redirect("/van-chuyen/?state=draft" if held else "delivery:shipments")


@perms.follows_devices
def shipment_detail(request, code: str):
    """One shipment with its devices and what may be done with it now."""
    shipment = get_object_or_404(
        _mine(request).select_related("dispatched_by", "arrived_by", "created_by"), code=code
    )
    items = shipment.items.select_related("device__lot").order_by("device__code")
    page = Paginator(items, 100).get_page(request.GET.get("trang"))
    days, ageing = _age(shipment, today())
    can_send = perms.can_send(request.user, shipment)
    is_ready = can_send and shipment.state == Shipment.State.DRAFT
    unfit = services.unfit_devices([shipment.pk]) if is_ready else []
    counts = dict(shipment.items.values_list("result").annotate(n=Count("pk")).order_by())
    return render(
        request,
        "delivery/shipment.html",
        {
            "shipment": shipment,
            "badge": BADGE[shipment.state],
            "page": page,
            "days": days,
            "ageing": ageing,
            "device_count": sum(counts.values()),
            "missing_count": counts.get("missing", 0),
            "damaged_count": counts.get("damaged", 0),
            "lost_count": counts.get("lost", 0),
            "can_send": can_send,
            "unfit": unfit[:SHOWN_UNFIT],
            "unfit_more": len(unfit) - SHOWN_UNFIT,
            "unfit_to_next": [row.device for row in unfit if row.reason],
            "unfit_to_remove": [row.device for row in unfit if not row.reason],
            "can_receive": perms.can_receive(request.user, shipment),
            "way": _way(shipment),
            "hand_over_at": _hand_over_at(request.user, shipment),
        },
    )


def _hand_over_at(user, shipment: Shipment) -> str:
    """Where this person goes on with what came to a school and waits there; "" when nothing does."""
    school = School.objects.filter(office=shipment.to_office).select_related("office").first()
    held = Custody.objects.filter(
        office=shipment.to_office, to_at=None, device__shipment_items__shipment=shipment
    )
    if school is None or not perms.can_hand_over(user, school) or not held.exists():
        return ""
    return reverse("delivery:school", args=[school.code])


def _way(shipment: Shipment) -> list[dict]:
    """The shipment's own story for the timeline."""
    left, came = shipment.dispatched_at, shipment.arrived_at
    if shipment.cancelled_at:
        return [
            {"text": "Đã soạn", "at": shipment.created_at, "note": str(shipment.created_by)},
            {"text": "Đã huỷ", "at": shipment.cancelled_at, "state": "problem"},
        ]
    return [
        {
            "text": f"{shipment.from_office} soạn lô",
            "at": shipment.created_at,
            "note": str(shipment.created_by),
        },
        {
            "text": "Gửi đi",
            "at": left,
            "note": str(shipment.dispatched_by) if left else "",
            "state": "done" if left else "current",
        },
        {
            "text": f"{shipment.to_office} xác nhận đã nhận",
            "at": came,
            "note": str(shipment.arrived_by) if came else "",
            "state": "done" if came else ("current" if left else "todo"),
        },
    ]


@perms.moves_devices
@require_POST
def act(request, code: str, verb: str):
    """Send or cancel a draft, take a device out of it, or mark a missing device found."""
    shipment = get_object_or_404(_mine(request), code=code)
    form = forms.Form(request.POST)
    with refusals_on(form):
        if verb == "gui" and perms.can_send(request.user, shipment):
            services.dispatch(by=request.user, shipment=shipment, at=now())
            done = f"Đã gửi lô {shipment.code}. Nơi nhận sẽ xác nhận từng máy."
        elif verb == "huy" and perms.can_send(request.user, shipment):
            services.cancel_shipment(by=request.user, shipment=shipment, at=now())
            done = f"Đã huỷ lô {shipment.code}; các máy có thể soạn vào lô khác."
        elif verb == "bo-may" and perms.can_send(request.user, shipment):
            services.remove_items(
                by=request.user, shipment=shipment, device_codes=[request.POST.get("device", "")]
            )
            done = f"Đã bỏ máy {spell(request.POST.get('device', ''))} ra khỏi lô."
        elif verb == "ke-tiep" and perms.can_send(request.user, shipment):
            done = _settle_unfit(request, shipment)
        elif verb == "nhan-du" and perms.can_receive(request.user, shipment):
            count = services.receive_shipments(by=request.user, shipments=[shipment], at=now())
            done = f"Đã nhận đủ {format_number(count)} máy của lô {shipment.code}."
        elif verb == "tim-thay" and perms.can_receive(request.user, shipment):
            item = get_object_or_404(shipment.items, device__code=request.POST.get("device"))
            services.mark_found(by=request.user, item=item, at=now())
            done = f"Đã ghi tìm thấy máy {spell(item.device.code)}."
        else:
            done = ""
            form.add_error(None, "Việc này do người của đơn vị kia làm.")
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    elif done:
        messages.success(request, done)
    return redirect("delivery:shipment", shipment.code)


def _settle_unfit(request, shipment: Shipment) -> str:
    """Devices whose students may no longer get them go to the next ones by rank (`device`), others that may not leave
    come out of the draft (`remove`); what was done, in words."""
    passed_on, removed = request.POST.getlist("device"), request.POST.getlist("remove")
    moved = services.substitute_before_dispatch(
        by=request.user, shipment=shipment, device_codes=passed_on, at=now()
    )
    services.remove_items(by=request.user, shipment=shipment, device_codes=removed)
    said = []
    if to_next := sum(row is not None for row in moved.values()):
        said.append(
            f"{format_number(to_next)} máy chuyển cho em kế tiếp theo thứ tự và đã bỏ ra khỏi lô này: "
            "hãy soạn lại lô để máy đi đúng trường."
        )
    if to_stock := len(moved) - to_next:
        said.append(
            f"{format_number(to_stock)} máy trong khu vực không còn em nào chờ, trở lại kho cho đợt phân bổ sau."
        )
    if removed:
        said.append(f"{format_number(len(removed))} máy khác đã bỏ ra khỏi lô.")
    return " ".join(said)


@perms.moves_devices
def receive(request, code: str):
    """Receive item by item: scan what came, or name what is missing or damaged."""
    shipment = get_object_or_404(_mine(request).under_way(), code=code)
    if not perms.can_receive(request.user, shipment):
        messages.error(request, "Lô này do đơn vị nhận xác nhận; người gửi không tự nhận được.")
        return redirect("delivery:shipment", shipment.code)
    expected = list(shipment.items.filter(result="expected").values_list("device__code", flat=True))
    scan, judged, initial = ScanForm(), [], {}
    if request.method == "POST" and "scan" in request.POST:
        scan = ScanForm(request.POST)
        if scan.is_valid():
            judged = _judge(shipment, scan.cleaned_data["codes"], expected)
            came = {row.code for row in judged if not row.refusal}
            initial["missing"] = "\n".join(sorted(set(expected) - came))
    form = ReceiveForm(
        request.POST if request.method == "POST" and "scan" not in request.POST else None, initial=initial
    )
    if form.is_bound and form.is_valid():
        results = _differences(form, expected)
        if not form.errors:
            with refusals_on(form):
                services.receive_shipment(
                    by=request.user, shipment=shipment, results=results, at=now(), rest="arrived"
                )
        if not form.errors:
            missing = sum(result == "missing" for result in results.values())
            messages.success(
                request,
                f"Đã nhận {format_number(len(expected) - missing)} máy của lô {shipment.code}, "
                f"thiếu {format_number(missing)}, hư hại {format_number(len(results) - missing)}.",
            )
            return redirect("delivery:shipment", shipment.code)
    return render(
        request,
        "delivery/receive.html",
        {
            "shipment": shipment,
            "form": form,
            "scan": scan,
            "judged": judged,
            "taken_count": sum(not row.refusal for row in judged),
            "expected_count": len(expected),
        },
        status=422 if form.errors else 200,
    )


def _differences(form: ReceiveForm, expected: list[str]) -> dict:
    """Device code → what is wrong with it; errors go on the form's fields."""
    # An error takes its field out of `cleaned_data`.
    data, results = dict(form.cleaned_data), {}
    for field in ("missing", "damaged"):
        refused = []
        for line in rules.read_scan(data[field]):
            code = normalise_code(line)
            if code not in expected:
                refused.append(f"«{line[:40]}» không phải mã máy chờ nhận của lô này.")
            elif code in results:
                refused.append(f"Máy {spell(code)} ghi hai lần: thiếu hay hư hại?")
            else:
                results[code] = "missing" if field == "missing" else ("damaged", data["fault"])
        for text in refused[:ERRORS_SHOWN]:
            form.add_error(field, text)
        if len(refused) > ERRORS_SHOWN:
            form.add_error(field, f"Và {format_number(len(refused) - ERRORS_SHOWN)} dòng khác cũng sai.")
    if data["damaged"].strip() and not data["fault"]:
        form.add_error("fault", "Hãy chọn hư hại gì.")
    return results


def _judge(shipment: Shipment, text: str, expected: list[str]) -> list[rules.Scanned]:
    """Look the scanned codes up, in four queries whatever their number."""
    lines = rules.read_scan(text)
    codes = [code for line in lines if (code := normalise_code(line))]
    settled = {
        item.device.code: item.get_result_display().lower()
        for item in shipment.items.filter(device__code__in=codes)
        .exclude(result="expected")
        .select_related("device")
    }
    elsewhere = dict(
        ShipmentItem.objects.filter(device__code__in=codes, is_open=True)
        .exclude(shipment=shipment)
        .values_list("device__code", "shipment__code")
    )
    known = set(Device.objects.filter(code__in=codes).values_list("code", flat=True))
    return rules.check_scan(lines, expected=set(expected), settled=settled, elsewhere=elsewhere, known=known)


@perms.follows_devices
def packing_list(request, code: str):
    """The paper that travels with a shipment (PDF, A4): to be signed on both sides."""
    shipment = get_object_or_404(_mine(request), code=code)
    devices = shipment.items.order_by("device__code").values_list("device__code", "device__lot__model_name")
    pdf = render_pdf(
        "delivery/packing_list.typ",
        {
            "code": shipment.code,
            "sender": shipment.from_office.name,
            "receiver": shipment.to_office.name,
            "receiver_address": shipment.to_office.address,
            "expected_on": f"{shipment.expected_on:%d/%m/%Y}" if shipment.expected_on else "",
            "day": f"{today():%d/%m/%Y}",
            "rows": [[str(n), spell(device), model] for n, (device, model) in enumerate(devices, 1)],
        },
        at=shipment.created_at,
    )
    return HttpResponse(
        pdf,
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{shipment.code}.pdf"'},
    )


@perms.follows_devices
def find_device(request):
    """Who holds device X: the auditor's first question, for what lies within the person's reach."""
    typed = request.GET.get("ma", "").strip()
    context = {"typed": typed}
    if typed:
        code = normalise_code(typed.rstrip("/").rsplit("/", 1)[-1])
        device = (
            Device.objects.filter(_within(request.user), code=code).select_related("lot__warehouse").first()
            if code
            else None
        )
        if device is None:
            context["error"] = (
                "Không có máy mang mã này trong phạm vi của thầy/cô. Hãy xem lại 12 ký tự trên tem."
                if code
                else "Mã có 12 chữ và số; có thể thầy/cô gõ sai một ký tự."
            )
        else:
            context |= {
                "device": device,
                "spelled": spell(device.code),
                "holder": services.who_holds(device),
                "custodies": Custody.objects.filter(device=device)
                .select_related("office")
                .order_by("from_at"),
                "reports": device.reports.select_related("office").order_by("-pk")[:20],
            }
    return render(request, "delivery/find_device.html", context)


def _within(user) -> Q:
    """Devices that an office within reach has held, or whose student learns there."""
    condition = Q()
    for path in ("custodies__office__", "lot__warehouse__", "allocations__student__school__office__"):
        part = reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through=path)
        if not part:
            return Q()
        condition |= Q(pk__in=Device.objects.filter(part).values("pk"))
    return condition

"""Pledges and money for those who manage and those who watch them (Plan I.2c, II.1c, II.2a, III.1h, III.3d)."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common import clock
from common.exports import csv_response
from common.refusals import refusals_on
from common.templatetags.vi import format_date, format_money, format_number, format_vnd
from common.vietnamese import search_key
from donations import codes, perms, services
from donations.forms import manage
from donations.models import (
    BudgetLine,
    Device,
    Lot,
    MoneyReceipt,
    MoneyTransfer,
    Pledge,
    PriceAgreement,
    PurchaseOrder,
)
from donations.rules import TWO_PERSONS_FROM_VND, devices_for
from donations.services.money import balance_vnd, open_need
from donations.views.public import timeline
from schools.models import Office
from schools.reach import reach

PLEDGE_BADGE = {
    "made": "warning",
    "confirmed": "info",
    "receiving": "info",
    "fulfilled": "success",
    "cancelled": "neutral",
}
ORDER_BADGE = {"proposed": "warning", "ordered": "info", "delivered": "success", "cancelled": "neutral"}


def _managing_offices(user):
    """Offices for which the person may record pledges and money."""
    return Office.objects.filter(
        reach(user, "clerk", kinds=perms.RESOURCE_KINDS), kind__in=perms.RESOURCE_KINDS
    ).order_by("path")


def _pledges(request: HttpRequest):
    return Pledge.objects.for_user(request.user).select_related(
        "donor", "office", "warehouse", "umbrella__donor", "earmark_unit__province", "earmark_school__province",
        "earmark_school__office",
    )  # fmt: skip


def _pledge(request: HttpRequest, code: str) -> Pledge:
    found = codes.read_code(codes.PLEDGE, code) or code
    return get_object_or_404(_pledges(request).with_progress(), code=found)


def _order(request: HttpRequest, code: str) -> PurchaseOrder:
    rows = PurchaseOrder.objects.for_user(request.user).select_related(
        "agreement", "pledge__donor", "office", "target_unit", "budget_line", "proposed_by", "ordered_by"
    )
    return get_object_or_404(rows.with_money(), code=codes.read_code(codes.ORDER, code) or code)


# --- pledges --------------------------------------------------------------------------------------------------------


def _filtered(request: HttpRequest):
    rows = _pledges(request)
    state, kind, source = (request.GET.get(k, "") for k in ("trang-thai", "hinh-thuc", "nguon"))
    if state in Pledge.State.values:
        rows = rows.filter(state=state)
    if kind in Pledge.Kind.values:
        rows = rows.filter(kind=kind)
    if source == "dia-phuong":
        rows = rows.filter(funding_source__in=Pledge.LOCAL_SOURCES)
    elif source in Pledge.FundingSource.values:
        rows = rows.filter(funding_source=source)
    if words := request.GET.get("q", "").strip():
        code = codes.read_code(codes.PLEDGE, words)
        rows = rows.filter(Q(code=code or "-") | Q(donor__search_key__contains=search_key(words) or "\0"))
    return rows.order_by("-made_at", "-pk")


@perms.resource_staff
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Pledges with promised, received and still missing; what waits for somebody."""
    rows = _filtered(request)
    mine = Pledge.objects.for_user(request.user)
    counted = mine.counted().aggregate(
        devices=Sum("quantity", filter=Q(kind="device")), money=Sum("amount_vnd", filter=Q(kind="money"))
    )
    receipts = MoneyReceipt.objects.for_user(request.user).aggregate(total=Sum("amount_vnd"))["total"] or 0
    tasks = [
        _task("Cam kết chờ xác nhận", mine.filter(state="made").count(), "?trang-thai=made"),
        _task(
            "Đơn mua chờ phê duyệt",
            PurchaseOrder.objects.for_user(request.user).filter(state="proposed").count(),
            reverse("donations:orders"),
        ),
    ]
    page = Paginator(rows.with_progress(), 25).get_page(request.GET.get("trang"))
    return render(
        request,
        "donations/resources.html",
        {
            "page_obj": page,
            "tasks": tasks,
            "promised_devices": format_number(counted["devices"] or 0),
            "promised_money": format_money(counted["money"] or 0),
            "received_devices": format_number(
                Device.objects.filter(lot__pledge__in=mine.order_by().values("pk")).count()
            ),
            "received_money": format_money(receipts),
            "selected_state": request.GET.get("trang-thai", ""),
            "selected_kind": request.GET.get("hinh-thuc", ""),
            "selected_source": request.GET.get("nguon", ""),
            "states": Pledge.State.choices,
            "kinds": Pledge.Kind.choices,
            "sources": [("dia-phuong", "Nguồn lực địa phương"), *Pledge.FundingSource.choices],
            "can_add": _managing_offices(request.user).exists(),
        },
    )


def _task(text: str, count: int, href: str) -> dict:
    return {
        "text": text,
        "href": href,
        "status": format_number(count),
        "kind": "warning" if count else "success",
    }


@perms.resource_staff
@require_safe
def pledges_csv(request: HttpRequest) -> HttpResponse:
    """The filtered pledges, promised and received, without contacts."""
    rows = _filtered(request).with_progress().iterator(chunk_size=500)
    columns = [
        "Mã", "Nhà tài trợ", "Hình thức", "Nguồn", "Trạng thái", "Ngày", "Số máy hứa", "Máy đã nhận", "Máy đạt",
        "Số tiền hứa", "Tiền đã nhận", "Tiền đã chi", "Trong cam kết chung",
    ]  # fmt: skip
    return csv_response(
        "cam-ket.csv",
        columns,
        (
            (p.code, p.donor.name, p.get_kind_display(), p.get_funding_source_display(), p.get_state_display(),
             timezone.localdate(p.made_at), p.quantity, p.received_count, p.accepted_count, p.amount_vnd,
             p.received_vnd, p.spent_vnd, p.umbrella.code if p.umbrella else "")
            for p in rows
        ),
    )  # fmt: skip


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_new(request: HttpRequest) -> HttpResponse:
    """Record a pledge that came by letter or telephone, an umbrella, a province's initiative."""
    form = manage.StaffPledgeForm(request.POST or None, offices=_managing_offices(request.user))
    if request.method == "POST" and form.is_valid():
        data = dict(form.cleaned_data)
        with refusals_on(form):
            umbrella = _umbrella(request, data.pop("umbrella_code"))
            donor = services.register_donor(
                by=request.user, kind=data.pop("donor_kind"), name=data.pop("name"), tax_code=data.pop("tax_code"),
                is_named_in_public=data.pop("is_named_in_public"), at=clock.now(),
            )  # fmt: skip
            made, _secret = services.make_pledge(
                by=request.user, donor=donor, at=clock.now(), is_verified=True, umbrella=umbrella, **data
            )
        if not form.errors:
            messages.success(request, f"Đã ghi nhận cam kết {made.code}.")
            return redirect("donations:manage_pledge", code=made.code)
    return render(request, "donations/resource_form.html", {
        "form": form, "title": "Ghi nhận cam kết", "back": reverse("donations:resources"), "back_text": "Nguồn lực", "action": "Ghi nhận",
    }, status=400 if form.is_bound else 200)  # fmt: skip


def _umbrella(request: HttpRequest, typed: str) -> Pledge | None:
    if not typed:
        return None
    found = (
        Pledge.objects.for_user(request.user).filter(code=codes.read_code(codes.PLEDGE, typed) or "-").first()
    )
    if found is None:
        raise ValidationError({"umbrella_code": "Không có cam kết chung nào mang mã này."})
    return found


@perms.resource_staff
@require_safe
def manage_pledge(request: HttpRequest, code: str) -> HttpResponse:
    """A pledge for those who manage it: contact, money, members, orders, and what to do next."""
    found = _pledge(request, code)
    can_manage = perms.can_manage_pledge(request.user, found)
    rows = [
        {"key": "Nhà tài trợ", "value": f"{found.donor.name} ({found.donor.get_kind_display()})"},
        {"key": "Mã số thuế", "value": found.donor.tax_code or "—"},
        {"key": "Hình thức", "value": found.get_kind_display()},
        {"key": "Nguồn", "value": found.get_funding_source_display()},
        {"key": "Dành cho", "value": found.earmark_text},
        {"key": "Nơi phụ trách", "value": found.office.name},
        {"key": "Kho sẽ tiếp nhận", "value": found.warehouse.name if found.warehouse else "—"},
        {"key": "Nêu tên công khai", "value": "Đồng ý" if found.donor.is_named_in_public else "Không"},
    ]
    if can_manage:
        # Whoever only watches needs no telephone number.
        contact = ", ".join(x for x in (found.contact_name, found.contact_email, found.contact_phone) if x)
        rows.insert(2, {"key": "Liên hệ", "value": contact or "—"})
    if found.kind == Pledge.Kind.DEVICE:
        rows.append(
            {
                "key": "Máy: hứa / đã nhận / đạt",
                "value": f"{format_number(found.quantity)} / {format_number(found.received_count)} / {format_number(found.accepted_count)}",
            }
        )
    elif found.kind == Pledge.Kind.MONEY:
        rows.append(
            {
                "key": "Tiền: hứa / đã nhận / đã chi",
                "value": f"{format_vnd(found.amount_vnd)} / {format_vnd(found.received_vnd)} / {format_vnd(found.spent_vnd)}",
            }
        )
        rows.append({"key": "Tiền chưa dùng cho đơn mua nào", "value": format_vnd(balance_vnd(pledge=found))})
        if found.unit_price_vnd:
            count, rest = devices_for(found.amount_vnd, found.unit_price_vnd)
            rows.append(
                {
                    "key": "Quy đổi",
                    "value": f"{format_number(count)} máy theo giá {format_vnd(found.unit_price_vnd)}, dư {format_vnd(rest)}",
                }
            )
    if found.description:
        rows.append({"key": "Mô tả", "value": found.description})
    return render(
        request,
        "donations/manage_pledge.html",
        {
            "pledge": found,
            "rows": rows,
            "items": timeline(found),
            "kind": PLEDGE_BADGE[found.state],
            "can_manage": can_manage,
            "can_order": can_manage and found.kind == Pledge.Kind.MONEY and found.received_vnd > 0,
            "takes_money": can_manage
            and found.kind != Pledge.Kind.DEVICE
            and found.state in ("confirmed", "receiving", "fulfilled"),
            "can_cancel": can_manage and found.state in ("made", "confirmed"),
            "receipts": found.money_receipts.select_related("office").order_by("-received_on"),
            "transfers": found.money_transfers.select_related("order", "to_office", "from_office").order_by(
                "-transferred_on"
            ),
            "orders": found.orders.select_related("agreement").order_by("-proposed_at"),
            "lots": Lot.objects.filter(pledge=found)
            .select_related("warehouse")
            .with_counts()
            .order_by("-received_at"),
            "members": _pledges(request).filter(umbrella=found).with_progress().order_by("made_at"),
        },
    )


def _act(
    request: HttpRequest, *, form, title: str, action: str, back: str, do, done: str, lead: str = ""
) -> HttpResponse:
    """The one shape of these acts: a form, one service call, back to the page."""
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            do(form.cleaned_data)
        if not form.errors:
            messages.success(request, done)
            return redirect(back)
    context = {
        "form": form,
        "title": title,
        "action": action,
        "back": back,
        "back_text": "Quay lại",
        "lead": lead,
    }
    return render(request, "donations/resource_form.html", context, status=400 if form.is_bound else 200)


def _managed(request: HttpRequest, code: str) -> tuple[Pledge, str]:
    found = _pledge(request, code)
    if not perms.can_manage_pledge(request.user, found):
        raise Http404
    return found, reverse("donations:manage_pledge", args=[found.code])


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_confirm(request: HttpRequest, code: str) -> HttpResponse:
    """Staff have spoken with the donor."""
    found, back = _managed(request, code)
    return _act(
        request,
        form=manage.ConfirmForm(request.POST if request.method == "POST" else None, pledge=found),
        title=f"Xác nhận cam kết {found.code}",
        lead="Thầy/cô đã liên hệ và đúng là nhà tài trợ này. Sau khi xác nhận, tên hiện công khai nếu nhà tài trợ đồng ý.",
        action="Xác nhận",
        back=back,
        do=lambda data: services.confirm_pledge(by=request.user, pledge=found, at=clock.now(), **data),
        done=f"Đã xác nhận cam kết {found.code}.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_withdraw(request: HttpRequest, code: str) -> HttpResponse:
    """Cancel a pledge for a reason."""
    found, back = _managed(request, code)
    return _act(
        request,
        form=manage.StaffCancelForm(request.POST or None),
        title=f"Ghi rút cam kết {found.code}",
        lead="Cam kết được ghi là đã rút trên sổ cái công khai và không khôi phục được.",
        action="Ghi rút cam kết",
        back=back,
        do=lambda data: services.cancel_pledge(by=request.user, pledge=found, at=clock.now(), **data),
        done=f"Đã ghi rút cam kết {found.code}.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_receipt(request: HttpRequest, code: str) -> HttpResponse:
    """Money arrived."""
    found, back = _managed(request, code)
    return _act(
        request,
        form=manage.ReceiptForm(
            request.POST or None, offices=_managing_offices(request.user), initial={"office": found.office_id}
        ),
        title=f"Ghi tiền đã nhận – {found.code}",
        action="Ghi vào hệ thống",
        back=back,
        do=lambda data: services.receive_money(by=request.user, pledge=found, at=clock.now(), **data),
        done="Đã ghi khoản tiền và đưa vào sao kê công khai.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_transfer(request: HttpRequest, code: str) -> HttpResponse:
    """Money passed on."""
    found, back = _managed(request, code)
    return _act(
        request,
        form=manage.TransferForm(
            request.POST or None,
            offices=_managing_offices(request.user),
            initial={"from_office": found.office_id},
        ),
        title=f"Chuyển tiền cho nơi khác mua – {found.code}",
        action="Ghi chuyển tiền",
        back=back,
        do=lambda data: services.transfer_money(by=request.user, pledge=found, at=clock.now(), **data),
        done="Đã ghi khoản chuyển và đưa vào sao kê công khai.",
    )


@perms.resource_clerk
@require_POST
def pledge_serve(request: HttpRequest, code: str) -> HttpResponse:
    """Infrastructure support has begun, or is complete."""
    found, back = _managed(request, code)
    form = manage.CancelForm(request.POST)
    form.is_valid()
    with refusals_on(form):
        services.fulfil_infrastructure(
            by=request.user, pledge=found, is_complete="xong" in request.POST, at=clock.now()
        )
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    else:
        messages.success(request, "Đã ghi tình trạng hỗ trợ.")
    return redirect(back)


# --- money, prices, orders ------------------------------------------------------------------------------------------


@perms.resource_staff
@require_safe
def money(request: HttpRequest) -> HttpResponse:
    """Where the money lies, by source and office, and the budget lines (planned, committed, spent)."""
    receipts = MoneyReceipt.objects.for_user(request.user)
    transfers = MoneyTransfer.objects.for_user(request.user)
    by_source = []
    got = dict(receipts.order_by().values_list("pledge__funding_source").annotate(total=Sum("amount_vnd")))
    paid = dict(
        transfers.filter(order__isnull=False)
        .order_by()
        .values_list("pledge__funding_source")
        .annotate(total=Sum("amount_vnd"))
    )
    for source, label in Pledge.FundingSource.choices:
        by_source.append(
            [
                label,
                format_vnd(got.get(source, 0)),
                format_vnd(paid.get(source, 0)),
                format_vnd(got.get(source, 0) - paid.get(source, 0)),
            ]
        )
    lines = [
        [
            line.name,
            line.get_funding_source_display(),
            format_money(line.planned_vnd),
            format_vnd(line.committed_vnd),
            format_vnd(line.spent_vnd),
        ]
        for line in BudgetLine.objects.with_use().order_by("code")
    ]
    return render(
        request,
        "donations/money.html",
        {
            "by_source": by_source,
            "source_columns": ["Nguồn", "Đã nhận", "Đã chi", "Còn lại"],
            "offices": _balances(request),
            "office_columns": [
                "Nơi giữ tiền",
                "Đã nhận",
                "Chuyển đến",
                "Chuyển đi",
                "Trả đơn mua",
                "Còn lại",
            ],
            "lines": lines,
            "line_columns": ["Dòng kinh phí", "Nguồn", "Kế hoạch", "Đã cam kết chi", "Đã chi"],
        },
    )


def _balances(request: HttpRequest) -> list[list]:
    """Money per office: received, passed in, passed on, paid, left; four grouped sums."""
    receipts = MoneyReceipt.objects.for_user(request.user).order_by()
    transfers = MoneyTransfer.objects.for_user(request.user).order_by()
    total = Sum("amount_vnd")
    received = dict(receipts.values_list("office").annotate(total=total))
    passed_in = dict(transfers.filter(to_office__isnull=False).values_list("to_office").annotate(total=total))
    passed_on = dict(
        transfers.filter(to_office__isnull=False).values_list("from_office").annotate(total=total)
    )
    paid = dict(transfers.filter(order__isnull=False).values_list("from_office").annotate(total=total))
    names = dict(
        Office.objects.filter(pk__in={*received, *passed_in, *passed_on, *paid}).values_list("pk", "name")
    )
    rows = []
    for pk, name in sorted(names.items(), key=lambda item: item[1]):
        sums = [table.get(pk, 0) for table in (received, passed_in, passed_on, paid)]
        left = sums[0] + sums[1] - sums[2] - sums[3]
        rows.append([name, *map(format_vnd, sums), format_vnd(left)])
    return rows


@perms.resource_staff
@require_safe
def prices(request: HttpRequest) -> HttpResponse:
    """Price agreements with their dates."""
    today = clock.today()
    valid = set(PriceAgreement.objects.valid_on(today).values_list("pk", flat=True))
    rows = PriceAgreement.objects.annotate(n=Count("orders")).order_by("-valid_from", "-pk")
    return render(
        request,
        "donations/prices.html",
        {
            "rows": [(row, row.pk in valid) for row in rows],
            "can_add": _managing_offices(request.user).exists(),
        },
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def price_new(request: HttpRequest) -> HttpResponse:
    """A new agreement; the old ones never change."""
    return _act(
        request,
        form=manage.PriceForm(request.POST or None),
        title="Ghi thoả thuận giá",
        lead="Giá đã ghi không sửa được; giá mới là một thoả thuận mới. Các đơn mua trước giữ giá của ngày đặt.",
        action="Ghi thoả thuận giá",
        back=reverse("donations:prices"),
        do=lambda data: services.agree_price(by=request.user, at=clock.now(), **data),
        done="Đã ghi thoả thuận giá.",
    )


@perms.resource_staff
@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    """Purchase orders, those that wait for approval first."""
    rows = (
        PurchaseOrder.objects.for_user(request.user)
        .select_related("agreement", "pledge__donor", "target_unit")
        .with_money()
    )
    rows = rows.annotate(waits=Q(state="proposed")).order_by("-waits", "-proposed_at")
    page = Paginator(rows, 25).get_page(request.GET.get("trang"))
    return render(
        request,
        "donations/orders.html",
        {"page_obj": page},
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def order_new(request: HttpRequest, code: str) -> HttpResponse:
    """Propose to buy from the money of a pledge."""
    found, _back = _managed(request, code)
    free = balance_vnd(pledge=found)
    need = open_need(found.earmark_unit)
    form = manage.OrderForm(
        request.POST or None,
        agreements=PriceAgreement.objects.valid_on(clock.today()).order_by("unit_price_vnd"),
        offices=_managing_offices(request.user),
        initial={"target_unit": found.earmark_unit_id, "office": found.office_id},
    )
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            made = services.propose_order(by=request.user, pledge=found, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"Đã đề xuất đơn mua {made.code}.")
            return redirect("donations:order", code=made.code)
    where = found.earmark_unit.full_name if found.earmark_unit else "cả nước"
    return render(
        request,
        "donations/resource_form.html",
        {
            "form": form,
            "title": f"Đề xuất mua máy – {found.code}",
            "lead": f"Tiền chưa dùng: {format_vnd(free)}. Danh sách đã duyệt của {where} còn {format_number(need)} học sinh chưa có máy.",
            "action": "Đề xuất mua",
            "back": reverse("donations:manage_pledge", args=[found.code]),
            "back_text": "Cam kết",
        },
        status=400 if form.is_bound else 200,
    )


@perms.resource_staff
@require_safe
def order(request: HttpRequest, code: str) -> HttpResponse:
    """An order: what, for whom, from which money, who proposed and approved, what was paid and delivered."""
    found = _order(request, code)
    can_manage = perms.can_manage_order(request.user, found)
    rows = [
        {"key": "Máy", "value": f"{format_number(found.quantity)} × {found.agreement.model_name}"},
        {"key": "Nhà cung cấp", "value": found.agreement.supplier},
        {"key": "Đơn giá của ngày đặt", "value": format_vnd(found.unit_price_vnd)},
        {"key": "Thành tiền", "value": format_vnd(found.total_vnd)},
        {"key": "Đã trả", "value": format_vnd(found.paid_vnd)},
        {
            "key": "Tiền của cam kết",
            "value": f"{found.pledge.code} – {found.pledge.donor.name}",
            "href": reverse("donations:manage_pledge", args=[found.pledge.code]),
            "action": "Xem",
        },
        {"key": "Mua cho", "value": found.target_unit.full_name if found.target_unit else "Cả nước"},
        {"key": "Học sinh đã duyệt chưa có máy khi đề xuất", "value": format_number(found.need_count)},
        {"key": "Dòng kinh phí", "value": found.budget_line.name if found.budget_line else "—"},
        {"key": "Người đề xuất", "value": f"{found.proposed_by}, {format_date(found.proposed_at)}"},
        {
            "key": "Người duyệt",
            "value": f"{found.ordered_by}, {format_date(found.ordered_at)}" if found.ordered_by else "—",
        },
    ]
    return render(
        request,
        "donations/order.html",
        {
            "order": found,
            "rows": rows,
            "kind": ORDER_BADGE[found.state],
            "can_approve": perms.can_approve_order(request.user, found),
            "needs_second": found.state == "proposed" and found.total_vnd >= TWO_PERSONS_FROM_VND,
            "can_cancel": can_manage and found.state in ("proposed", "ordered") and not found.paid_vnd,
            "can_deliver": can_manage and found.state == "ordered",
            "can_pay": can_manage
            and found.state in ("ordered", "delivered")
            and found.paid_vnd < found.total_vnd,
            "lots": found.lots.select_related("warehouse").with_counts(),
            "payments": found.payments.order_by("transferred_on"),
        },
    )


@perms.resource_decider
@require_http_methods(["GET", "HEAD", "POST"])
def order_approve(request: HttpRequest, code: str) -> HttpResponse:
    """Approve; another person from one billion đồng on."""
    found = _order(request, code)
    if not perms.can_approve_order(request.user, found):
        raise Http404
    return _act(
        request,
        form=manage.CancelForm(request.POST if request.method == "POST" else None),
        title=f"Duyệt đơn mua {found.code}",
        lead=f"{format_number(found.quantity)} máy, {format_vnd(found.total_vnd)}, tiền của cam kết {found.pledge.code}. Đơn được ghi lên sổ cái công khai.",
        action="Duyệt mua",
        back=reverse("donations:order", args=[found.code]),
        do=lambda _data: services.approve_order(by=request.user, order=found, at=clock.now()),
        done=f"Đã duyệt đơn mua {found.code}.",
    )


def _managed_order(request: HttpRequest, code: str) -> tuple[PurchaseOrder, str]:
    found = _order(request, code)
    if not perms.can_manage_order(request.user, found):
        raise Http404
    return found, reverse("donations:order", args=[found.code])


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def order_cancel(request: HttpRequest, code: str) -> HttpResponse:
    found, back = _managed_order(request, code)
    return _act(
        request,
        form=manage.CancelForm(request.POST if request.method == "POST" else None),
        title=f"Huỷ đơn mua {found.code}",
        lead="Tiền của đơn này lại dùng được cho đơn khác. Đơn đã huỷ không mở lại được.",
        action="Huỷ đơn mua",
        back=back,
        do=lambda _data: services.cancel_order(by=request.user, order=found, at=clock.now()),
        done=f"Đã huỷ đơn mua {found.code}.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def order_deliver(request: HttpRequest, code: str) -> HttpResponse:
    found, back = _managed_order(request, code)
    return _act(
        request,
        form=manage.DeliverForm(request.POST or None),
        title=f"Nhận giao đơn mua {found.code}",
        lead=f"Nhà cung cấp đã giao {format_number(found.quantity)} máy đến kho. Một lô được mở để thủ kho nhập số sê-ri.",
        action="Ghi đã giao",
        back=back,
        do=lambda data: services.deliver_order(by=request.user, order=found, at=clock.now(), **data),
        done=f"Đã ghi giao đơn mua {found.code}; kho có lô mới.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def order_pay(request: HttpRequest, code: str) -> HttpResponse:
    found, back = _managed_order(request, code)
    return _act(
        request,
        form=manage.PaymentForm(
            request.POST or None, initial={"amount_vnd": found.total_vnd - found.paid_vnd}
        ),
        title=f"Trả tiền đơn mua {found.code}",
        lead=f"Còn phải trả {format_vnd(found.total_vnd - found.paid_vnd)}.",
        action="Ghi trả tiền",
        back=back,
        do=lambda data: services.pay_order(by=request.user, order=found, at=clock.now(), **data),
        done="Đã ghi khoản chi và đưa vào sao kê công khai.",
    )


# --- a donor's own pledges ------------------------------------------------------------------------------------------


@perms.donor
@require_safe
def my_pledges(request: HttpRequest) -> HttpResponse:
    """Every pledge of the donors that this person acts for, in one place."""
    rows = (
        Pledge.objects.for_donors_of(request.user)
        .select_related("donor", "earmark_unit", "earmark_school__office", "earmark_school__province")
        .with_progress()
        .order_by("-made_at")
    )
    page = Paginator(rows, 25).get_page(request.GET.get("trang"))
    links = [
        (row, reverse("donations:pledge_private", args=[row.code, codes.pledge_secret(row.code)]))
        for row in page
    ]
    mine = Pledge.objects.for_donors_of(request.user).live()
    brought = Device.objects.filter(lot__pledge__in=mine.values("pk"))
    sums = {
        "promised": mine.filter(umbrella=None).aggregate(n=Sum("quantity"))["n"],
        "received": brought.count(),
        "accepted": brought.filter(state="accepted").count(),
        "money": MoneyReceipt.objects.filter(pledge__in=mine.values("pk")).aggregate(n=Sum("amount_vnd"))[
            "n"
        ],
    }
    return render(request, "donations/my_pledges.html", {"page_obj": page, "links": links, "sums": sums})


@perms.donor
@require_safe
def my_pledges_csv(request: HttpRequest) -> HttpResponse:
    rows = (
        Pledge.objects.for_donors_of(request.user)
        .select_related("donor")
        .with_progress()
        .order_by("-made_at")
    )
    return csv_response(
        "cam-ket-cua-toi.csv",
        ["Mã", "Nhà tài trợ", "Ngày", "Hình thức", "Trạng thái", "Số máy hứa", "Máy đã nhận", "Máy đạt", "Số tiền hứa", "Tiền đã nhận"],
        (
            (p.code, p.donor.name, timezone.localdate(p.made_at), p.get_kind_display(), p.get_state_display(), p.quantity,
             p.received_count, p.accepted_count, p.amount_vnd, p.received_vnd)
            for p in rows.iterator(chunk_size=500)
        ),
    )  # fmt: skip

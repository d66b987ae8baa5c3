"""Where the money lies, prices, purchase orders (Plan II.1c, II.2a, III.1h)."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import clock
from common.refusals import refusals_on
from common.templatetags.vi import format_date, format_money, format_number, format_vnd
from donations import codes, perms, services
from donations.forms import manage
from donations.models import (
    BudgetLine,
    MoneyReceipt,
    MoneyTransfer,
    Pledge,
    PriceAgreement,
    PurchaseOrder,
)
from donations.rules import TWO_PERSONS_FROM_VND
from donations.services.money import balance_vnd, open_need
from donations.views.resources import ORDER_BADGE, act, managed, managing_offices
from schools.models import Office


def _order(request: HttpRequest, code: str) -> PurchaseOrder:
    rows = PurchaseOrder.objects.for_user(request.user).select_related(
        "agreement", "pledge__donor", "office", "target_unit", "budget_line", "proposed_by", "ordered_by"
    )
    return get_object_or_404(rows.with_money(), code=codes.read_code(codes.ORDER, code) or code)


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
            format_money(line.committed_vnd),
            format_money(line.spent_vnd),
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
            "can_add": managing_offices(request.user).exists(),
        },
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def price_new(request: HttpRequest) -> HttpResponse:
    """A new agreement; the old ones never change."""
    return act(
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
    found, _back = managed(request, code)
    free = balance_vnd(pledge=found)
    need = open_need(found.earmark_unit)
    form = manage.OrderForm(
        request.POST or None,
        agreements=PriceAgreement.objects.valid_on(clock.today()).order_by("unit_price_vnd"),
        offices=managing_offices(request.user),
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
    return act(
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
    return act(
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
    return act(
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
    return act(
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

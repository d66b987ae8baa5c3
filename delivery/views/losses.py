"""Devices missing on their arrival: asking to give them up as lost, and deciding on it."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from allocation.models import Allocation
from allocation.views.decisions import decided
from common.clock import now
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from delivery import perms, services
from delivery.forms import LossForm
from delivery.models import Loss, Shipment, ShipmentItem
from ledger.codes import spell

PER_PAGE = 25


def _losses(user):
    return Loss.objects.for_user(user).select_related(
        "item__device__lot",
        "item__shipment__from_office",
        "item__shipment__to_office",
        "requested_by",
        "confirmed_by",
        "refused_by",
    )


def _missing(shipments):
    """Devices missing from these shipments that nobody has asked about yet, or whose request was refused."""
    asked = Loss.objects.filter(item=OuterRef("pk"), refused_at=None)
    return ShipmentItem.objects.filter(~Exists(asked), shipment__in=shipments, result="missing")


@perms.follows_devices
def loss_list(request: HttpRequest) -> HttpResponse:
    """What the person's own offices still look for, and the requests within reach, the undecided ones first."""
    own = perms.own_offices(request.user)
    missing = _missing(Shipment.objects.filter(from_office__in=own)).select_related(
        "device", "shipment__to_office"
    )
    losses = _losses(request.user).order_by("confirmed_at", "refused_at", "-pk")
    undecided = losses.open()
    decided = losses.exclude(pk__in=undecided.values("pk")).order_by("-pk")
    page = Paginator(decided, PER_PAGE).get_page(request.GET.get("trang"))
    return render(
        request,
        "delivery/losses.html",
        {
            "missing": list(missing.order_by("shipment__arrived_at", "device__code")),
            "undecided": [(loss, perms.can_decide_loss(request.user, loss)) for loss in undecided],
            "page": page,
        },
    )


@perms.moves_devices
def loss_new(request: HttpRequest, code: str) -> HttpResponse:
    """Ask that devices missing from a shipment be given up: who sent them asks."""
    shipment = get_object_or_404(
        Shipment.objects.for_user(request.user).select_related("from_office", "to_office"), code=code
    )
    if not perms.can_send(request.user, shipment):
        raise Http404
    missing = _missing([shipment]).order_by("device__code").values_list("device__code", flat=True)
    form = LossForm(request.POST or None, codes=[(code, spell(code)) for code in missing])
    if form.is_valid():
        data = form.cleaned_data
        with refusals_on(form):
            asked = services.request_losses(
                by=request.user,
                shipment=shipment,
                device_codes=data["may"],
                reason=data["reason"],
                account=data["account"],
                at=now(),
            )
        if not form.errors:
            messages.success(
                request,
                f"Đã đề nghị kết luận mất {format_number(len(asked))} máy. Lãnh đạo cấp trên sẽ quyết định.",
            )
            return redirect("delivery:losses")
    return render(
        request,
        "delivery/loss_new.html",
        {"shipment": shipment, "form": form, "missing_count": len(form.fields["may"].choices)},
        status=422 if form.errors else 200,
    )


@perms.follows_devices
def loss_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One request, and the decision for who may take it."""
    loss = get_object_or_404(_losses(request.user), pk=pk)
    may_decide = perms.can_decide_loss(request.user, loss)
    device = loss.item.device

    def decide(agree: bool) -> str:
        new = services.decide_loss(by=request.user, loss=loss, agree=agree, at=now())
        return _said(spell(device.code), agree, new, _waits(device))

    form, is_done = decided(request, may=may_decide, decide=decide)
    if is_done:
        return redirect("delivery:loss", pk=pk)
    return render(
        request,
        "delivery/loss.html",
        {
            "loss": loss,
            "spelled": spell(device.code),
            "waits": _waits(device),
            "may_decide": may_decide,
            "form": form,
        },
        status=422 if form.errors else 200,
    )


def _waits(device) -> bool:
    """Whether a student still waits for this device."""
    return Allocation.objects.live().filter(device=device).exists()


def _said(device: str, agree: bool, new: Allocation | None, waits: bool) -> str:
    if not agree:
        return f"Đã ghi: không đồng ý kết luận mất máy {device}. Nơi gửi tìm tiếp."
    if new:
        return (
            f"Đã kết luận mất máy {device}. Em đang chờ được đổi máy {spell(new.device.code)}; "
            "máy mới đi theo lô từ nơi đang giữ."
        )
    if waits:
        return (
            f"Đã kết luận mất máy {device}. Kho chưa còn máy nào để đổi: em giữ nguyên suất, nơi gửi đổi máy ở trang "
            "«Đổi, gửi trả máy» khi có máy mới."
        )
    return f"Đã kết luận mất máy {device}. Không có em nào đang chờ máy này."

"""A donor's people: every pledge of theirs in one place."""

from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from common.exports import csv_response
from donations import codes, perms
from donations.models import (
    Device,
    MoneyReceipt,
    Pledge,
)


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

"""Sending devices back up: what an office holds for nobody."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render

from common.clock import now, today
from common.refusals import refusals_on
from delivery import perms, services
from delivery.forms import ReturnForm
from ledger.codes import spell


@perms.moves_devices
def returns(request):
    """Choose devices that lie here for nobody and draft the shipment back; one of the person's offices at a time."""
    offices = list(perms.own_offices(request.user))
    if not offices:
        raise Http404
    wanted = request.GET.get("noi", "")
    office = next((office for office in offices if office.code == wanted), None) if wanted else offices[0]
    if office is None:
        raise Http404
    rows = services.returnable(office)
    form = ReturnForm(
        request.POST or None,
        targets=services.return_targets(office, day=today()),
        codes=[r.code for r in rows],
    )
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            shipment = services.plan_return(
                by=request.user,
                from_office=office,
                to_office=form.cleaned_data["to_office"],
                device_codes=form.cleaned_data["may"],
                at=now(),
            )
        if not form.errors:
            messages.success(
                request,
                f"Đã soạn lô {shipment.code} gửi trả {len(form.cleaned_data['may'])} máy. Hãy kiểm tra rồi gửi.",
            )
            return redirect("delivery:shipment", shipment.code)
    ticked = set(form["may"].value() or []) if form.is_bound else set()
    return render(
        request,
        "delivery/returns.html",
        {
            "office": office,
            "offices": offices,
            "rows": [(row, spell(row.code), row.code in ticked) for row in rows],
            "form": form,
        },
        status=422 if form.errors else 200,
    )

"""Sending devices back up: what an office holds for nobody."""

from django import forms
from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse

from common.clock import now, today
from common.refusals import refusals_on
from common.templatetags.vi import format_number
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
    if request.method == "POST" and "doi" in request.POST:
        return _replace(request, office)
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
                f"Đã soạn lô {shipment.code} gửi trả {format_number(len(form.cleaned_data['may']))} máy. Hãy kiểm tra rồi gửi.",
            )
            return redirect("delivery:shipment", shipment.code)
    ticked = set(form["may"].value() or []) if form.is_bound else set()
    return render(
        request,
        "delivery/returns.html",
        {
            "office": office,
            "offices": offices,
            "to_replace": [(row, spell(row.code)) for row in services.to_replace(office)],
            "rows": [(row, spell(row.code), row.code in ticked) for row in rows],
            "form": form,
        },
        status=422 if form.errors else 200,
    )


def _replace(request, office):
    """Each ticked device that came damaged or was lost: its student gets another one from stock, as long as there are any."""
    form, done = forms.Form(request.POST), 0
    for code in request.POST.getlist("doi"):
        with refusals_on(form):
            services.replace_device(by=request.user, office=office, device_code=code, at=now())
        if form.errors:
            break
        done += 1
    if done:
        messages.success(
            request,
            f"Đã đổi {format_number(done)} máy khác cho học sinh; máy mới đi theo lô từ nơi đang giữ. Máy cũ gửi trả về kho ở trang này.",
        )
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    return redirect(f"{reverse('delivery:returns')}?noi={office.code}")

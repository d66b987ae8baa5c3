"""The public side: the pledge form in five steps, the pledge's page, the donor's own view of it."""

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_safe

from common import clock
from common.access import public
from common.exports import csv_response
from common.models import Switch
from common.notices import closes_with
from common.pdf import pdf_response
from common.refusals import refusals_on
from common.templatetags.vi import format_date, format_money, format_number, format_vnd
from common.throttle import found_by_code, is_too_often
from donations import codes, services
from donations.documents import DOCUMENTS, document_pdf
from donations.forms.manage import CancelForm, ChangeForm
from donations.forms.pledge import STEP_FORMS, WHAT_FORMS, SendForm, WhoForm, begin_token, is_too_fast
from donations.models import DeviceCriteria, Donor, Pledge, PledgeDraft, PriceAgreement
from donations.rules import describe_limits, devices_for, shortfall
from donations.services.pledges import money_in_devices
from donations.ways import devices_of, has_receipt, stages_of, ways_of
from schools.models import AdministrativeUnit, School

STEPS = ("nguoi-ung-ho", "ung-ho-gi", "noi-nhan", "lien-he", "kiem-tra")
TITLES = {
    "nguoi-ung-ho": "Bạn là ai, muốn ủng hộ gì",
    "ung-ho-gi": "Bạn ủng hộ những gì",
    "noi-nhan": "Ủng hộ đến đâu",
    "lien-he": "Liên hệ với bạn",
    "kiem-tra": "Kiểm tra lại trước khi gửi",
}
# A school or an office behind one address may send many; a robot sends more.
FORMS_PER_HOUR = 120
PLEDGES_PER_HOUR = 30


# --- the form -------------------------------------------------------------------------------------------------------


@public
@require_http_methods(["GET", "HEAD", "POST"])
@closes_with(Switch.Name.PLEDGES)
def begin(request: HttpRequest) -> HttpResponse:
    """Step 1; the draft begins when it is sent."""
    form = WhoForm(request.POST or None, initial={"kind": request.GET.get("hinh-thuc")})
    if request.method == "POST" and form.is_valid():
        if is_too_often(request, what="pledge.begin", limit=FORMS_PER_HOUR, seconds=3600):
            return _too_often(request)
        answers = {"nguoi-ung-ho": _plain(form.cleaned_data), "began": begin_token()}
        _draft, secret = services.start_draft(by=None, answers=answers)
        return redirect("donations:pledge_step", secret=secret, step="ung-ho-gi")
    return _page(request, "nguoi-ung-ho", form, secret="")


@public
# Kept by the browser (the address alone opens the draft anyway): after a mistake, Back shows the page and not an error.
@cache_control(private=True, no_cache=True)
@require_http_methods(["GET", "HEAD", "POST"])
@closes_with(Switch.Name.PLEDGES)
def step(request: HttpRequest, secret: str, step: str) -> HttpResponse:
    """Any step of a draft; each keeps what was typed, so that the donor can go on later by the same address."""
    draft = get_object_or_404(
        PledgeDraft.objects.select_related("pledge"), secret_hash=codes.secret_hash(secret)
    )
    if draft.pledge_id:
        return redirect(private_url(draft.pledge, codes.pledge_secret(draft.pledge.code)))
    if step not in STEPS:
        raise Http404
    missing = next((s for s in STEPS[:-1] if s not in draft.answers), None)
    if missing and STEPS.index(step) > STEPS.index(missing):
        return redirect("donations:pledge_step", secret=secret, step=missing)
    if step == "kiem-tra":
        return _check(request, draft, secret)
    form = _form_of(step, draft, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        services.save_draft(by=None, draft=draft, answers=_kept(step, draft, form.cleaned_data))
        is_review = "kiem-tra" in request.GET and not any(s not in draft.answers for s in STEPS[:-1])
        after = "kiem-tra" if is_review else STEPS[STEPS.index(step) + 1]
        return redirect("donations:pledge_step", secret=secret, step=after)
    return _page(request, step, form, secret=secret, draft=draft)


def _form_of(step: str, draft: PledgeDraft, data=None):
    kind = draft.answers["nguoi-ung-ho"]["kind"]
    form_class = WHAT_FORMS[kind] if step == "ung-ho-gi" else STEP_FORMS[step]
    return form_class(data, initial=draft.answers.get(step, {}))


def _kept(step: str, draft: PledgeDraft, cleaned: dict) -> dict:
    answers = {step: _plain(cleaned)}
    before = draft.answers.get("nguoi-ung-ho", {}).get("kind")
    if step == "nguoi-ung-ho" and cleaned["kind"] != before:
        # Another kind of gift: what was said about the first no longer fits.
        draft.answers.pop("ung-ho-gi", None)
    return answers


def _plain(cleaned: dict) -> dict:
    """Answers as JSON: model rows by id, dates as text."""
    return {
        key: value.pk if hasattr(value, "pk") else value.isoformat() if hasattr(value, "isoformat") else value
        for key, value in cleaned.items()
        if value is not None
    }


def _page(
    request: HttpRequest, step: str, form, *, secret: str, draft: PledgeDraft | None = None
) -> HttpResponse:
    kind = draft.answers["nguoi-ung-ho"]["kind"] if draft else ""
    number = STEPS.index(step)
    back = reverse("donations:pledge_step", args=[secret, STEPS[number - 1]]) if number else ""
    criteria = []
    if step == "ung-ho-gi" and kind == Pledge.Kind.DEVICE:
        rows = DeviceCriteria.objects.published().order_by("device_kind", "is_used_device", "-version")
        newest = {(row.device_kind, row.is_used_device): row for row in reversed(rows)}
        criteria = [(row, describe_limits(row.limits, _)) for row in newest.values()]
    return render(
        request,
        "donations/pledge_form.html",
        {
            "form": form,
            "step": step,
            "number": number + 1,
            "total": len(STEPS),
            "title": _(TITLES[step]),
            "back": back,
            "secret": secret,
            "criteria": criteria,
            "is_review": "kiem-tra" in request.GET,
            "draft_url": request.build_absolute_uri() if secret else "",
        },
        status=400 if form.is_bound else 200,
    )


def _check(request: HttpRequest, draft: PledgeDraft, secret: str) -> HttpResponse:
    form = SendForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        fast = is_too_fast(draft.answers.get("began", ""))
        if fast:
            form.add_error(
                None, _("Biểu mẫu gửi quá nhanh. Hãy đọc lại các mục rồi bấm Gửi cam kết lần nữa.")
            )
        elif is_too_often(request, what="pledge.send", limit=PLEDGES_PER_HOUR, seconds=3600):
            return _too_often(request)
        else:
            with refusals_on(form):
                pledge, private = services.send_draft(
                    by=None, draft=draft, at=clock.now(), **_arguments(draft)
                )
            if not form.errors:
                return redirect(private_url(pledge, private) + "?moi=1")
    return render(
        request,
        "donations/pledge_check.html",
        {
            "form": form,
            "rows": _summary(draft, secret),
            "number": len(STEPS),
            "total": len(STEPS),
            "title": _(TITLES["kiem-tra"]),
            "back": reverse("donations:pledge_step", args=[secret, "lien-he"]),
            "converted": _converted(draft),
            "draft_url": request.build_absolute_uri(),
        },
        status=400 if form.is_bound else 200,
    )


def _place(draft: PledgeDraft) -> tuple[AdministrativeUnit | None, School | None]:
    where = draft.answers["noi-nhan"]
    unit = AdministrativeUnit.objects.filter(pk=where.get("unit")).first() if where.get("unit") else None
    school = (
        School.objects.select_related("office", "province").filter(pk=where.get("school")).first()
        if where.get("school")
        else None
    )
    return unit, school


def _arguments(draft: PledgeDraft) -> dict:
    """A complete draft as arguments of `services.send_draft`."""
    who, what, contact = (draft.answers[s] for s in ("nguoi-ung-ho", "ung-ho-gi", "lien-he"))
    unit, school = _place(draft)
    specs = {key: what[key] for key in ("screen_inch", "ram_gb", "storage_gb") if key in what}
    return {
        "donor": {
            "kind": who["donor_kind"],
            "name": who["name"],
            "tax_code": who.get("tax_code", ""),
            "email": contact["contact_email"],
            "phone": contact.get("contact_phone", ""),
            "is_named_in_public": contact.get("is_named_in_public", False),
        },
        "pledge": {
            "kind": who["kind"],
            "device_kind": what.get("device_kind", ""),
            "quantity": what.get("quantity"),
            "amount_vnd": what.get("amount_vnd"),
            "infrastructure_kind": what.get("infrastructure_kind", ""),
            "starts_on": parse_date(what["starts_on"]) if what.get("starts_on") else None,
            "ends_on": parse_date(what["ends_on"]) if what.get("ends_on") else None,
            "expected_on": parse_date(what["expected_on"]) if what.get("expected_on") else None,
            "description": what.get("description", ""),
            "is_used": what.get("condition") == "used",
            "specs": specs,
            "earmark_unit": unit,
            "earmark_school": school,
            "contact_name": contact["contact_name"],
            "contact_email": contact["contact_email"],
            "contact_phone": contact.get("contact_phone", ""),
        },
    }


def _summary(draft: PledgeDraft, secret: str) -> list[dict]:
    who, what, contact = (draft.answers[s] for s in ("nguoi-ung-ho", "ung-ho-gi", "lien-he"))
    unit, school = _place(draft)
    edit = {s: reverse("donations:pledge_step", args=[secret, s]) + "?kiem-tra" for s in STEPS}

    def row(key: str, value, step: str) -> dict:
        return {"key": key, "value": value, "href": edit[step], "action": _("Sửa")}

    rows = [
        row(_("Nhà tài trợ"), f"{who['name']} ({_(Donor.Kind(who['donor_kind']).label)})", "nguoi-ung-ho"),
        *([row(_("Mã số thuế"), who["tax_code"], "nguoi-ung-ho")] if who.get("tax_code") else []),
    ]
    if who["kind"] == Pledge.Kind.DEVICE:
        kind = _(Pledge.DeviceKind(what["device_kind"]).label).lower()
        used = _("đã qua sử dụng") if what["condition"] == "used" else _("mới")
        rows.append(row(_("Ủng hộ"), f"{format_number(what['quantity'])} {kind}, {used}", "ung-ho-gi"))
        if what.get("expected_on"):
            rows.append(row(_("Dự kiến giao"), format_date(parse_date(what["expected_on"])), "ung-ho-gi"))
    elif who["kind"] == Pledge.Kind.MONEY:
        rows.append(row(_("Ủng hộ"), format_money(what["amount_vnd"]), "ung-ho-gi"))
    else:
        rows.append(
            row(_("Ủng hộ"), _(Pledge.InfrastructureKind(what["infrastructure_kind"]).label), "ung-ho-gi")
        )
    if what.get("description"):
        rows.append(row(_("Ghi chú"), what["description"], "ung-ho-gi"))
    where = school.office.name if school else unit.full_name if unit else _("Nơi cần nhất")
    rows += [
        row(_("Dành cho"), where, "noi-nhan"),
        row(_("Người liên hệ"), contact["contact_name"], "lien-he"),
        row(_("Thư điện tử"), contact["contact_email"], "lien-he"),
        *(
            [row(_("Điện thoại"), contact["contact_phone"], "lien-he")]
            if contact.get("contact_phone")
            else []
        ),
        row(
            _("Nêu tên công khai"),
            _("Đồng ý") if contact.get("is_named_in_public") else _("Không nêu tên"),
            "lien-he",
        ),
    ]
    return rows


def _converted(draft: PledgeDraft) -> tuple[int, int, int] | None:
    """Money as devices at today's agreed price: (count, unit price, remainder)."""
    amount = draft.answers["ung-ho-gi"].get("amount_vnd")
    price = PriceAgreement.objects.for_conversion(clock.today()) if amount else None
    if price is None:
        return None
    count, rest = devices_for(amount, price.unit_price_vnd)
    return count, price.unit_price_vnd, rest


def _too_often(request: HttpRequest) -> HttpResponse:
    return render(request, "donations/too_often.html", status=429)


# --- the pledge's page ----------------------------------------------------------------------------------------------


def _pledges():
    return Pledge.objects.select_related(
        "donor", "umbrella", "earmark_unit__province", "earmark_school__province", "earmark_school__office"
    )


def _by_code(typed: str) -> Pledge:
    """The pledge with this code, however it was typed; 404 if there is none."""
    code = codes.read_code(codes.PLEDGE, typed)
    if code is None:
        raise Http404
    return get_object_or_404(_pledges().with_progress(), code=code)


def private_url(pledge: Pledge, secret: str) -> str:
    return reverse("donations:pledge_private", args=[pledge.code, secret])


def by_secret(request: HttpRequest, code: str, secret: str) -> Pledge:
    pledge = _by_code(code)
    if not codes.is_secret_of(secret, pledge.secret_hash):
        raise Http404
    return pledge


def timeline(pledge: Pledge) -> list[dict]:
    """What happened and what comes next, for a pledge with its progress."""
    items = [{"text": _("Đã ghi nhận cam kết"), "at": timezone.localdate(pledge.made_at), "state": "done"}]
    if pledge.state == Pledge.State.CANCELLED:
        reason = _(pledge.get_cancel_reason_display())
        return [
            *items,
            {"text": _("Đã rút cam kết"), "at": timezone.localdate(pledge.cancelled_at), "note": reason},
        ]
    is_confirmed = bool(pledge.confirmed_at)
    items.append(
        {
            "text": _("Ban điều phối đã xác nhận với nhà tài trợ")
            if is_confirmed
            else _("Chờ ban điều phối liên hệ xác nhận"),
            "at": timezone.localdate(pledge.confirmed_at) if is_confirmed else None,
            "state": "done" if is_confirmed else "current",
        }
    )
    if pledge.kind == Pledge.Kind.INFRASTRUCTURE:
        state = {"receiving": "current", "fulfilled": "done"}.get(pledge.state, "todo")
        return [*items, {"text": _("Hỗ trợ được cung cấp"), "state": state}]
    if pledge.kind == Pledge.Kind.MONEY:
        done = pledge.received_vnd >= (pledge.amount_vnd or 0)
        items.append(
            {
                "text": _("Đã nhận tiền"),
                "state": "done" if done else "current" if pledge.received_vnd else "todo",
                "note": f"{format_vnd(pledge.received_vnd)} / {format_vnd(pledge.amount_vnd)}",
            }
        )
        items.append(
            {
                "text": _("Đã mua máy"),
                "state": "current" if pledge.spent_vnd else "todo",
                "note": _("Đã chi %(spent)s") % {"spent": format_vnd(pledge.spent_vnd)}
                if pledge.spent_vnd
                else "",
            }
        )
    stages = {stage.key: stage.count for stage in stages_of(pledge)}
    promised = pledge.quantity or pledge.received_count
    for text, count in (
        (_("Kho đã tiếp nhận máy"), pledge.received_count),
        (_("Máy đạt kiểm định"), pledge.accepted_count),
        (_("Máy đã bàn giao cho học sinh"), stages["given"]),
    ):
        state = "done" if promised and count >= promised else "current" if count else "todo"
        note = f"{format_number(count)} / {format_number(promised)}" if promised else ""
        items.append({"text": text, "state": state, "note": note})
    return items


def _facts(pledge: Pledge) -> list[dict]:
    rows = [
        {
            "key": _("Nhà tài trợ"),
            "value": pledge.donor.name if pledge.public_name == pledge.donor.name else _(pledge.public_name),
        },
        {"key": _("Hình thức"), "value": _(pledge.get_kind_display())},
    ]
    if pledge.kind == Pledge.Kind.DEVICE:
        used = f", {_('đã qua sử dụng')}" if pledge.is_used else ""
        rows.append(
            {
                "key": _("Cam kết"),
                "value": f"{format_number(pledge.quantity)} {_(pledge.get_device_kind_display()).lower()}{used}",
            }
        )
        rows.append({"key": _("Đã tiếp nhận"), "value": format_number(pledge.received_count)})
        rows.append(
            {
                "key": _("Còn thiếu"),
                "value": format_number(
                    shortfall(pledge.quantity, pledge.received_count - pledge.refused_count)
                ),
            }
        )
    elif pledge.kind == Pledge.Kind.MONEY:
        rows.append({"key": _("Cam kết"), "value": format_money(pledge.amount_vnd)})
        if converted := money_in_devices(pledge):
            rows.append(
                {
                    "key": _("Tương đương"),
                    "value": _("%(count)s máy theo đơn giá %(price)s ngày %(day)s, còn dư %(rest)s")
                    % {
                        "count": format_number(converted[0]),
                        "price": format_vnd(pledge.unit_price_vnd),
                        "day": format_date(pledge.made_at),
                        "rest": format_vnd(converted[1]),
                    },
                }
            )
        rows.append({"key": _("Đã nhận"), "value": format_vnd(pledge.received_vnd)})
        rows.append({"key": _("Đã chi mua máy"), "value": format_vnd(pledge.spent_vnd)})
    else:
        rows.append({"key": _("Loại hỗ trợ"), "value": _(pledge.get_infrastructure_kind_display()) or "—"})
        if pledge.starts_on:
            rows.append(
                {
                    "key": _("Thời gian"),
                    "value": f"{format_date(pledge.starts_on)} – {format_date(pledge.ends_on)}",
                }
            )
    province = pledge.earmark_province
    rows.append({"key": _("Dành cho"), "value": province.full_name if province else _("Nơi cần nhất")})
    if pledge.funding_source != Pledge.FundingSource.DONATION:
        rows.append({"key": _("Nguồn"), "value": _(pledge.get_funding_source_display())})
    return rows


def _context(request: HttpRequest, pledge: Pledge) -> dict:
    page = Paginator(devices_of(pledge), 25).get_page(request.GET.get("trang"))
    return {
        "pledge": pledge,
        "title": _("Cam kết %(code)s") % {"code": pledge.code},
        "facts": _facts(pledge),
        "timeline": timeline(pledge),
        "stages": [stage for stage in stages_of(pledge) if stage.count],
        "page_obj": page,
        "ways": ways_of(page.object_list) if page.paginator.count else [],
        "members": _pledges().live().filter(umbrella=pledge).with_progress().order_by("made_at")[:50]
        if pledge.umbrella_id is None
        else [],
        "has_receipt": has_receipt(pledge),
        "receipts": pledge.money_receipts.select_related("office").order_by("-received_on")[:50],
        "transfers": pledge.money_transfers.select_related("order__agreement", "to_office").order_by(
            "-transferred_on"
        )[:50],
        "kind_badge": {"cancelled": "neutral", "fulfilled": "success", "made": "warning"}.get(
            pledge.state, "info"
        ),
    }


@public
@require_safe
@found_by_code
def pledge(request: HttpRequest, code: str) -> HttpResponse:
    """The public page of a pledge: what was promised, what came of it, every device's way; no contact."""
    found = _by_code(code)
    if code != found.code:
        return redirect("donations:pledge", code=found.code, permanent=False)
    context = _context(request, found) | {
        "page_url": settings.PUBLIC_URL + reverse("donations:pledge", args=[found.code])
    }
    return render(request, "donations/pledge.html", context)


@public
@require_safe
@found_by_code
def pledge_csv(request: HttpRequest, code: str) -> HttpResponse:
    """Its devices and where each stands, as CSV, in chunks."""
    found = _by_code(code)
    devices = devices_of(found)

    def rows():
        last = 0
        while chunk := list(devices.filter(pk__gt=last).values_list("pk", flat=True)[:2000]):
            for way in ways_of(devices.filter(pk__in=chunk)):
                yield way.code, way.model, way.label, f"{settings.PUBLIC_URL}/thiet-bi/{way.code}/"
            last = chunk[-1]

    return csv_response(
        f"{found.code}.csv", ["Mã thiết bị", "Mẫu máy", "Đang ở bước", "Trang tra cứu"], rows()
    )


@public
@never_cache
@require_safe
@found_by_code
def pledge_private(request: HttpRequest, code: str, secret: str) -> HttpResponse:
    """The donor's own view: contact, place in full, documents, change and cancel. The address is the key."""
    found = by_secret(request, code, secret)
    rows = [
        {"key": _("Nhà tài trợ"), "value": found.donor.name},
        {"key": _("Dành cho"), "value": found.earmark_text if found.earmark_province else _("Nơi cần nhất")},
        {"key": _("Người liên hệ"), "value": found.contact_name},
        {"key": _("Thư điện tử"), "value": found.contact_email},
        {"key": _("Điện thoại"), "value": found.contact_phone or "—"},
        {
            "key": _("Nêu tên công khai"),
            "value": _("Đồng ý") if found.donor.is_named_in_public else _("Không nêu tên"),
        },
    ]
    context = _context(request, found) | {
        "secret": secret,
        "is_new": "moi" in request.GET,
        "own_rows": rows,
        "announced_count": found.announced_serials.count(),
        "can_announce": found.kind == Pledge.Kind.DEVICE
        and found.state not in (Pledge.State.CANCELLED, Pledge.State.FULFILLED),
        "private_url": settings.PUBLIC_URL + private_url(found, secret),
        "page_url": settings.PUBLIC_URL + reverse("donations:pledge", args=[found.code]),
        "can_cancel": found.state in (Pledge.State.MADE, Pledge.State.CONFIRMED) and not found.received_vnd,
        "can_change": found.state not in (Pledge.State.CANCELLED, Pledge.State.FULFILLED)
        and found.kind != Pledge.Kind.INFRASTRUCTURE,
        "has_documents": bool(found.received_count or found.received_vnd),
    }
    return render(request, "donations/pledge_private.html", context)


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@found_by_code
def pledge_change(request: HttpRequest, code: str, secret: str) -> HttpResponse:
    """The donor changes how much is promised."""
    found = by_secret(request, code, secret)
    form = ChangeForm(request.POST or None, pledge=found)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            services.change_pledge(
                by=None, pledge=found, at=clock.now(), reason="donor_request", **form.cleaned_data
            )
        if not form.errors:
            return redirect(private_url(found, secret))
    context = {"form": form, "pledge": found, "back": private_url(found, secret)}
    return render(request, "donations/pledge_change.html", context, status=400 if form.is_bound else 200)


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@found_by_code
def pledge_cancel(request: HttpRequest, code: str, secret: str) -> HttpResponse:
    """The donor withdraws the pledge, after reading what that means."""
    found = by_secret(request, code, secret)
    form = CancelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            services.cancel_pledge(by=None, pledge=found, at=clock.now(), reason="donor_request")
        if not form.errors:
            return redirect(private_url(found, secret))
    context = {"form": form, "pledge": found, "back": private_url(found, secret)}
    return render(request, "donations/pledge_cancel.html", context, status=400 if form.is_bound else 200)


@public
@never_cache
@require_safe
@found_by_code
def pledge_document(request: HttpRequest, code: str, secret: str, kind: str) -> HttpResponse:
    """Receipt, certificate or impact report as PDF, with a QR to the public page."""
    found = by_secret(request, code, secret)
    if kind not in DOCUMENTS or not (found.received_count or found.received_vnd):
        raise Http404
    return pdf_response(f"{kind}-{found.code}.pdf", document_pdf(found, kind, today=clock.today()))

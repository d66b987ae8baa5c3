"""A donor promises: registered, made, confirmed, changed, cancelled (Plan I.2b, III.1đ, III.2d)."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from common.mail import trace_of
from common.vietnamese import clean, number_text, search_key
from donations import codes
from donations.models import Donor, DonorMember, Pledge, PledgeDraft, PriceAgreement
from donations.rules import devices_for, normalise_tax_code
from donations.tasks import PLEDGE_MADE, mail_pledge
from ledger.codes import new_code
from ledger.services import record
from schools.models import Office

LEDGER_KIND = {"device": "devices", "money": "money", "infrastructure": "infrastructure"}
# Money that a province mobilised from donors is a donation too; its office says whose.
LEDGER_FUND = {
    "donation": "donation",
    "local_donation": "donation",
    "central_budget": "state_budget",
    "local_budget": "local_budget",
    "telecom_fund": "telecom_fund",
}
# A natural person is never named in the log, whatever they agreed to: the log can't forget.
PERSONS = (Donor.Kind.STAFF, Donor.Kind.INDIVIDUAL)


@transaction.atomic
def register_donor(
    *,
    by,
    kind: str,
    name: str,
    at: dt.datetime,
    tax_code: str = "",
    email: str = "",
    phone: str = "",
    is_named_in_public: bool = False,
    umbrella: Donor | None = None,
) -> Donor:
    """Record a donor and return it. An enterprise's tax code must pass its checksum; a known one is refused.

    Args:
        by: the member of staff who records it; None for the public form.
    """
    if tax_code:
        normal = normalise_tax_code(tax_code)
        if normal is None:
            raise ValidationError(
                {"tax_code": "Mã số thuế không đúng. Hãy xem lại trên giấy đăng ký kinh doanh."}
            )
        tax_code = normal
    name = clean(name)
    return Donor.objects.create(
        kind=kind,
        code=new_code(codes.DONOR),
        name=name,
        search_key=search_key(name)[:200],
        tax_code=tax_code,
        email=email,
        phone=phone,
        is_named_in_public=is_named_in_public,
        umbrella=umbrella,
        created_at=at,
    )


@transaction.atomic
def make_pledge(
    *,
    by,
    donor: Donor,
    kind: str,
    at: dt.datetime,
    device_kind: str = "",
    quantity: int | None = None,
    amount_vnd: int | None = None,
    infrastructure_kind: str = "",
    starts_on: dt.date | None = None,
    ends_on: dt.date | None = None,
    description: str = "",
    funding_source: str = "donation",
    earmark_unit=None,
    earmark_school=None,
    umbrella: Pledge | None = None,
    office: Office | None = None,
    warehouse: Office | None = None,
    expected_on: dt.date | None = None,
    is_used: bool = False,
    specs: dict | None = None,
    contact_name: str = "",
    contact_email: str = "",
    contact_phone: str = "",
    is_verified: bool = False,
) -> tuple[Pledge, str]:
    """Record a pledge; return it and the secret of its private link, of which only the hash is stored.

    Args:
        by: the member of staff who records it; None for the public form.
        is_verified: staff know that it is this donor: confirmed at once, and an organisation that agreed to be
            named is named in the ledger. Otherwise it waits for confirmation, and the ledger holds a commitment.

    Money is turned into devices at the price of that day, once and for all.
    """
    code = new_code(codes.PLEDGE)
    secret = codes.pledge_secret(code)
    price = (
        PriceAgreement.objects.for_conversion(timezone.localdate(at)) if kind == Pledge.Kind.MONEY else None
    )
    pledge = Pledge.objects.create(
        code=code, secret_hash=codes.secret_hash(secret), donor=donor, kind=kind, device_kind=device_kind,
        quantity=quantity, amount_vnd=amount_vnd, infrastructure_kind=infrastructure_kind, starts_on=starts_on,
        ends_on=ends_on, is_used=is_used, specs=specs or {}, unit_price_vnd=price.unit_price_vnd if price else None,
        description=clean(description), funding_source=funding_source, earmark_unit=earmark_unit,
        earmark_school=earmark_school, umbrella=umbrella, warehouse=warehouse, expected_on=expected_on,
        office=office or Office.objects.get(kind=Office.Kind.PROGRAMME), contact_name=clean(contact_name),
        contact_email=contact_email, contact_phone=contact_phone, created_at=at, made_at=at,
        state=Pledge.State.CONFIRMED if is_verified else Pledge.State.MADE,
        confirmed_at=at if is_verified else None, confirmed_by=by if is_verified else None,
    )  # fmt: skip
    record(
        event="pledge.made", on=timezone.localdate(at), pledge=code, kind=LEDGER_KIND[kind], donor=donor.kind,
        qty=quantity, amount_vnd=amount_vnd, earmark=_province_code(pledge),
        umbrella=umbrella.code if umbrella else None, **_giver(donor, is_verified=is_verified),
    )  # fmt: skip
    _hand_over_mail(pledge)
    return pledge, secret


def _giver(donor: Donor, *, is_verified: bool) -> dict:
    """Who gives, for the log: a known organisation that agreed to be named by its name, anyone else as a commitment."""
    is_named = is_verified and donor.is_named_in_public and donor.kind not in PERSONS
    return {"org": donor.name} if is_named else {"commit": {"donor": donor.name}}


def _hand_over_mail(pledge: Pledge) -> None:
    """The donor's mail, where there is an address; its trace finds it again if the broker loses it."""
    if not pledge.contact_email:
        return
    trace_of(
        kind=PLEDGE_MADE,
        subject_type=pledge._meta.label_lower,
        subject_id=str(pledge.pk),
        to=pledge.contact_email,
    )
    transaction.on_commit(lambda: mail_pledge.delay(pledge_id=pledge.pk), robust=True)


def _province_code(pledge: Pledge) -> str | None:
    province = pledge.earmark_province
    return province.public_code if province else None


def money_in_devices(pledge: Pledge) -> tuple[int, int] | None:
    """A money pledge as devices and remainder at its own dated price; None when no price was agreed then."""
    if not pledge.amount_vnd or not pledge.unit_price_vnd:
        return None
    return devices_for(pledge.amount_vnd, pledge.unit_price_vnd)


@transaction.atomic
def confirm_pledge(*, by, pledge: Pledge, at: dt.datetime, warehouse: Office | None = None) -> Pledge:
    """Staff have spoken with the donor: it is them, and this warehouse expects the devices."""
    pledge = Pledge.objects.select_for_update().get(pk=pledge.pk)
    _require(pledge, Pledge.State.MADE, "Chỉ xác nhận được cam kết đang chờ xác nhận.")
    if pledge.kind == Pledge.Kind.DEVICE and warehouse is None:
        raise ValidationError({"warehouse": "Hãy chọn kho sẽ tiếp nhận máy."})
    pledge.state = Pledge.State.CONFIRMED
    pledge.confirmed_at, pledge.confirmed_by = at, by
    pledge.warehouse = warehouse
    pledge.save(update_fields=["state", "confirmed_at", "confirmed_by", "warehouse"])
    return pledge


@transaction.atomic
def change_pledge(
    *,
    by,
    pledge: Pledge,
    at: dt.datetime,
    reason: str,
    quantity: int | None = None,
    amount_vnd: int | None = None,
) -> Pledge:
    """Change how much is promised; never below what has already arrived.

    Args:
        by: staff, or None for the donor through the private link.
    """
    (pledge,) = (row for row in locked(pledge) if row.pk == pledge.pk)
    if pledge.state == Pledge.State.CANCELLED:
        raise ValidationError("Cam kết này đã rút nên không đổi được.")
    done = Pledge.objects.with_progress().get(pk=pledge.pk)
    if quantity is not None:
        if pledge.kind != Pledge.Kind.DEVICE:
            raise ValidationError("Cam kết này không tính bằng số máy.")
        if quantity < max(1, done.received_count):
            raise ValidationError(
                {
                    "quantity": f"Đã nhận {number_text(done.received_count)} máy, nên số lượng mới phải từ "
                    f"{number_text(max(1, done.received_count))}."
                }
            )
        pledge.quantity = quantity
    if amount_vnd is not None:
        if pledge.kind != Pledge.Kind.MONEY:
            raise ValidationError("Cam kết này không tính bằng tiền.")
        if amount_vnd < max(1, done.received_vnd):
            raise ValidationError({"amount_vnd": "Số tiền mới không được nhỏ hơn số tiền đã nhận."})
        pledge.amount_vnd = amount_vnd
    pledge.save(update_fields=["quantity", "amount_vnd"])
    record(
        event="pledge.changed",
        on=timezone.localdate(at),
        pledge=pledge.code,
        reason=reason,
        qty=quantity,
        amount_vnd=amount_vnd,
    )
    follow_progress(pledge)
    return pledge


@transaction.atomic
def cancel_pledge(*, by, pledge: Pledge, at: dt.datetime, reason: str = "donor_request") -> Pledge:
    """Withdraw a pledge of which nothing has arrived yet; what has arrived stays, then the number is changed instead."""
    pledge = Pledge.objects.select_for_update().get(pk=pledge.pk)
    if pledge.state not in (Pledge.State.MADE, Pledge.State.CONFIRMED):
        raise ValidationError("Cam kết này đã có máy hoặc tiền về nên không rút được; có thể giảm số lượng.")
    if pledge.money_receipts.exists() or pledge.lots.exists() or pledge.member_pledges.live().exists():
        raise ValidationError(
            "Cam kết này đã có tiền hoặc lô máy về, hoặc có cam kết thành viên, nên không rút được."
        )
    pledge.state = Pledge.State.CANCELLED
    pledge.cancelled_at, pledge.cancel_reason = at, reason
    pledge.save(update_fields=["state", "cancelled_at", "cancel_reason"])
    record(event="pledge.cancelled", on=timezone.localdate(at), pledge=pledge.code, reason=reason)
    return pledge


@transaction.atomic
def attach_to_umbrella(*, by, pledge: Pledge, umbrella: Pledge | None, at: dt.datetime) -> Pledge:
    """Put a pledge inside a common one, so that it is not counted twice (or take it out again)."""
    pledge.umbrella = umbrella
    pledge.save(update_fields=["umbrella"])
    record(event="pledge.changed", on=timezone.localdate(at), pledge=pledge.code, reason="merged")
    return pledge


@transaction.atomic
def fulfil_infrastructure(*, by, pledge: Pledge, is_complete: bool, at: dt.datetime) -> Pledge:
    """In-kind infrastructure support has begun, or is complete (Plan II.3c, III.1c)."""
    pledge = Pledge.objects.select_for_update().get(pk=pledge.pk)
    if pledge.kind != Pledge.Kind.INFRASTRUCTURE:
        raise ValidationError("Chỉ cam kết hạ tầng, dịch vụ mới ghi theo cách này.")
    pledge.state = Pledge.State.FULFILLED if is_complete else Pledge.State.RECEIVING
    pledge.save(update_fields=["state"])
    return pledge


def locked(pledge: Pledge) -> list[Pledge]:
    """A pledge and its umbrella as they are now, locked in the order of their keys until the transaction ends.

    Whatever arrives for a pledge counts for both: who locked the pledge alone first could wait for another's umbrella.
    """
    ids = [pk for pk in (pledge.umbrella_id, pledge.pk) if pk]
    return list(Pledge.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))


def lock_open(pledge: Pledge) -> Pledge:
    """The pledge as it is now, locked; raises ValidationError when nothing may arrive for it (not confirmed, withdrawn)."""
    (fresh,) = (row for row in locked(pledge) if row.pk == pledge.pk)
    if fresh.state in (Pledge.State.MADE, Pledge.State.CANCELLED):
        raise ValidationError(
            f"Cam kết {fresh.code}: {fresh.get_state_display()}. Văn phòng Chương trình phải xác nhận trước khi nhận "
            "máy hoặc ghi tiền."
        )
    return fresh


def follow_progress(pledge: Pledge) -> None:
    """Bring the state of a confirmed pledge, and of its umbrella, in step with what has arrived. Locks both."""
    for row in locked(pledge):
        if row.state not in (Pledge.State.CONFIRMED, Pledge.State.RECEIVING, Pledge.State.FULFILLED):
            continue
        done = Pledge.objects.with_progress().get(pk=row.pk)
        has_any = bool(done.received_count or done.received_vnd)
        promised = row.quantity if row.kind == Pledge.Kind.DEVICE else row.amount_vnd
        arrived = done.received_count if row.kind == Pledge.Kind.DEVICE else done.received_vnd
        if promised and arrived >= promised:
            state = Pledge.State.FULFILLED
        elif has_any:
            state = Pledge.State.RECEIVING
        else:
            continue
        if state != row.state:
            Pledge.objects.filter(pk=row.pk).update(state=state)


@transaction.atomic
def grant_membership(*, by, donor: Donor, user, at: dt.datetime) -> DonorMember:
    """Let a person act for a donor: they see its pledges in one place."""
    member, _ = DonorMember.objects.get_or_create(
        user=user, donor=donor, ended_at=None, defaults={"granted_at": at}
    )
    return member


# --- the public form's draft ----------------------------------------------------------------------------------------


def start_draft(*, by, answers: dict) -> tuple[PledgeDraft, str]:
    """Keep what a donor typed in the first step; return the draft and the secret of its address."""
    secret = codes.new_secret()
    return PledgeDraft.objects.create(secret_hash=codes.secret_hash(secret), answers=answers), secret


def save_draft(*, by, draft: PledgeDraft, answers: dict) -> PledgeDraft:
    """Keep what a donor typed in one more step."""
    draft.answers = draft.answers | answers
    draft.save(update_fields=["answers", "changed_on_clock_at"])
    return draft


@transaction.atomic
def send_draft(*, by, draft: PledgeDraft, donor: dict, pledge: dict, at: dt.datetime) -> tuple[Pledge, str]:
    """Turn a complete draft into a pledge; a second click returns the same one. The draft's answers are erased.

    Args:
        donor: arguments of `register_donor`; a company whose tax code is known becomes that donor, whose own
            record (name, consent) a stranger can't change by this form.
        pledge: arguments of `make_pledge`.
    """
    draft = PledgeDraft.objects.select_for_update(of=("self",)).get(pk=draft.pk)
    if draft.pledge_id:
        return draft.pledge, codes.pledge_secret(draft.pledge.code)
    tax_code = normalise_tax_code(donor.get("tax_code", "")) or ""
    known = Donor.objects.filter(tax_code=tax_code).first() if tax_code else None
    who = known or register_donor(by=by, at=at, **donor)
    made, secret = make_pledge(by=by, donor=who, at=at, **pledge)
    draft.pledge, draft.answers = made, {}
    draft.save(update_fields=["pledge", "answers", "changed_on_clock_at"])
    return made, secret


def _require(pledge: Pledge, state: str, message: str) -> None:
    if pledge.state != state:
        raise ValidationError(f"{message} Cam kết này: {pledge.get_state_display()}.")

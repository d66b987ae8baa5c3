"""What happens to accounts, and the record of who read personal data."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models.functions import Lower

from accounts.models import PersonalDataAccess, User
from accounts.sessions import Session, signed_in_places
from common.erasure import ERASED, images_of

MIN_REASON_LENGTH = 10
ERASED_DOMAIN = "may-tinh-cho-em.invalid"


@transaction.atomic
def find_or_create_user(*, email: str, full_name: str) -> User:
    """The account with this address in any spelling, else a new one without a password (a mail code opens it)."""
    email = email.strip()
    known = User.objects.annotate(lower=Lower("email")).filter(lower=email.lower()).first()
    if known is not None:
        if not known.is_active:
            raise ValidationError("Tài khoản với địa chỉ thư này đã bị khoá. Hãy liên hệ quản trị hệ thống.")
        return known
    return User.objects.create_user(email, password=None, full_name=full_name.strip())


@transaction.atomic
def erase_account(*, user: User) -> None:
    """Forget the person of an account, also in its images; it stays by number, for what it did, and opens no more."""
    user.email, user.full_name, user.phone = f"da-xoa-{user.pk}@{ERASED_DOMAIN}", ERASED, ""
    user.is_active = False
    user.set_unusable_password()
    user.save()
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    user.sessions.all().delete()
    with images_of(User), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_userevent SET email = %s, full_name = %s, phone = '' WHERE pgh_obj_id = %s",
            [user.email, ERASED, user.pk],
        )


def record_reading(
    *, by: User, subject_type: str, subject_id, fields: str, reason: str = "", row_count: int = 1
) -> None:
    """Record that somebody reads children's personal data, before it is shown.

    Written on the autocommit connection ``journal``: kept although the page only reads, or fails afterwards.
    Never pass the data itself: `fields` names what was read ("họ tên, lớp"), `subject_id` is a key of ours.
    """
    PersonalDataAccess.objects.using("journal").create(
        user_id_text=str(by.pk),
        subject_type=subject_type,
        subject_id=str(subject_id),
        fields_read=fields[:200],
        reason=reason.strip()[:200],
        row_count=row_count,
    )


def check_reveal_reason(reason: str) -> str:
    """Return the reason for revealing an identity number, or raise ValidationError when it says nothing."""
    reason = " ".join(reason.split())
    if len(reason) < MIN_REASON_LENGTH or len(set(reason)) < MIN_REASON_LENGTH // 2:
        raise ValidationError(
            "Hãy ghi rõ lý do xem số định danh (ít nhất 10 chữ). Lý do được lưu vào nhật ký."
        )
    return reason


@transaction.atomic
def end_sessions(*, by: User, marks: set[str] | None, current_key: str | None) -> int:
    """Sign a person out elsewhere: at the places with these marks, everywhere if None; never in this browser.

    Returns at how many places.
    """
    ended = [
        place.session.pk
        for place in signed_in_places(by, current_key=current_key)
        if not place.is_current and (marks is None or place.mark in marks)
    ]
    Session.objects.filter(pk__in=ended).delete()
    return len(ended)

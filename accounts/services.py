"""What happens to accounts, and the record of who read personal data."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Lower

from accounts.models import PersonalDataAccess, User

MIN_REASON_LENGTH = 10


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

"""The one way to see an identity number in the clear: a person, a reason, and a line in the log before it is shown."""

from django.core.exceptions import ValidationError

from accounts.models import PersonalDataAccess, User
from accounts.services import check_reveal_reason, record_reading
from common import crypto
from schools.models import ListRow, Student

MASKED = "•••• •••• ••••"
# What the log of readings says of a reveal; auditors filter by it.
FIELD = "số định danh"
REVEALS_A_DAY = 50


def reveal_identity(*, by: User, holder: Student | ListRow, reason: str) -> str:
    """The identity number of a student or of a row of a list, after the reading and its reason were recorded.

    The record is kept even if nothing can be shown afterwards. Raises ValidationError when the reason says nothing,
    there is no number, or the person has revealed `REVEALS_A_DAY` within a day of the clock.
    """
    reason = check_reveal_reason(reason)
    if not holder.identity_sealed:
        raise ValidationError("Không có số định danh nào được lưu ở đây.")
    if PersonalDataAccess.objects.using("journal").revealed_by(by).count() >= REVEALS_A_DAY:
        raise ValidationError(
            f"Thầy/cô đã xem {REVEALS_A_DAY} số định danh trong 24 giờ qua. Hãy làm tiếp vào ngày mai, "
            "hoặc nhờ quản trị nếu cần đối chiếu cả danh sách."
        )
    record_reading(
        by=by, subject_type=holder._meta.label_lower, subject_id=holder.pk, fields=FIELD, reason=reason
    )
    return crypto.unseal(bytes(holder.identity_sealed)).decode()

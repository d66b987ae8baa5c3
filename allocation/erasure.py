"""What allocation holds about one child in words, erased on the family's request; decisions stay as codes and dates."""

from django.db import transaction

from allocation.models import Revocation
from common.erasure import ERASED


@transaction.atomic
def erase_notices(*, by, student_id: int) -> int:
    """Overwrite the notices to a student's family about a decision taken back; how many."""
    del by  # who erased is in the request of the family
    return Revocation.objects.filter(allocation__student_id=student_id).update(notice=ERASED)

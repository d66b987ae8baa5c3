"""What allocation holds about children in words, erased; decisions stay as codes and dates."""

from django.db import connection, transaction

from common.erasure import ERASED

NOTICES = """
UPDATE allocation_revocation r SET notice = %s
FROM allocation_allocation a JOIN erasure_child c ON c.id = a.student_id WHERE r.allocation_id = a.id
"""


@transaction.atomic
def erase_notices(*, by) -> int:
    """Overwrite the notices about a decision taken back to families of `common.erasure.erasing`; how many."""
    with connection.cursor() as cursor:
        cursor.execute(NOTICES, [ERASED])
        return cursor.rowcount

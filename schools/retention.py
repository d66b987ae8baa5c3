"""What schools erase when its time is over: rows, files and texts of lists that ended."""

import datetime as dt

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q

from common.retention import erases
from schools.models import StudentList
from schools.services.erasure import erase_lists_whole


@erases("student_lists")
def erase_lists(*, by, at: dt.datetime, before: dt.datetime) -> int:
    """Lists that were approved, refused or undone before a day; returns how many.

    A list whose children are only committed is still on its way, however long ago.
    """
    State = StudentList.State
    ended = (
        Q(state=State.APPROVED, approved_at__lt=before)
        | Q(state=State.UNDONE, undone_at__lt=before)
        | Q(state=State.REFUSED, uploaded_at__lt=before)
    )
    lists = list(StudentList.objects.filter(ended).exclude(file="").values_list("pk", flat=True))
    files = erase_lists_whole(by=by, lists=lists)
    transaction.on_commit(lambda: [default_storage.delete(name) for name in files])
    return len(lists)

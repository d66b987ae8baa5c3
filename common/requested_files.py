"""Large tables that staff ask for: written by a worker, kept a few days, given only to who asked and still may.

``<app>/files.py`` offers a table with `offer`, Django finds the modules (as it finds ``retention.py``). A page whose table
is small gives it at once; a larger one is asked for here, its progress shown, and fetched when it is ready.
"""

import datetime as dt
import itertools
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from common import exports, jobs
from common.access import Access
from common.errors import is_full_disk
from common.models import Job, RequestedFile

TASK = "common.tasks.write_requested_file"
FOLDER = RequestedFile.FOLDER
# Long enough to come back after a weekend; short, since it may hold children's names.
LASTS = dt.timedelta(days=3)
# A page gives a table of this many rows at once.
DIRECT_ROWS = 2_000
# Whoever asks for more than this should first fetch what is ready.
MOST_KEPT = 20
PROGRESS_ROWS = 500


@dataclass(frozen=True)
class Table:
    """What goes into the file; `total` is None while nobody knows how many rows there are."""

    columns: Sequence[str]
    rows: Iterable[Sequence]
    total: int | None = None


@dataclass(frozen=True)
class Offer:
    """One table that may be asked for.

    Attributes:
        title: in Vietnamese, for pages and as the sheet's name.
        stem: of the name under which it is downloaded.
        access: who may have it, as on a page.
        reach: what decides which rows somebody sees; a file written under another reach isn't given out any more.
        table: given who asks and the page's query string, the rows; read in one transaction.
        personal: names of children's data in it, for the record of who read them; empty when there are none.
    """

    title: str
    stem: str
    access: Access
    reach: Callable[..., str]
    table: Callable[..., Table]
    personal: str = ""

    def may(self, user) -> bool:
        return any(member.test and member.test(user) for member in self.access.alternatives or (self.access,))


offers: dict[str, Offer] = {}


def offer(kind: str, offered: Offer) -> None:
    """Let a table be asked for under this name; once at start."""
    offers[kind] = offered


@transaction.atomic
def ask(*, by, kind: str, filters: str) -> RequestedFile:
    """Ask for a table; the same one that is being written already is given back instead of a second.

    Args:
        filters: the query string of the page that shows it.

    Raises KeyError for a kind that nobody offers, ValidationError when too many files are kept.
    """
    offered = offers[kind]
    # Two clicks take turns.
    get_user_model().objects.select_for_update().get(pk=by.pk)
    mine = RequestedFile.objects.for_user(by).living()
    working = Job.objects.unfinished().filter(kind=TASK, created_by=by).values_list("subject_id", flat=True)
    under_way = [uuid.UUID(pk) for pk in working]
    if same := mine.filter(kind=kind, filters=filters, pk__in=under_way).first():
        return same
    if mine.count() >= MOST_KEPT:
        raise ValidationError(
            f"Thầy/cô đang giữ {MOST_KEPT} tệp. Hãy tải hoặc xoá bớt rồi yêu cầu tiếp.", code="too_many"
        )
    requested = RequestedFile.objects.create(
        kind=kind, filters=filters, reach=offered.reach(by), created_by=by, expires_on_clock_at=timezone.now() + LASTS
    )  # fmt: skip
    jobs.hand_over(by=by, kind=TASK, subject=requested)
    return requested


def is_for(user, requested: RequestedFile) -> bool:
    """Whether the person asked for it, may still have this kind, and still sees the same rows."""
    offered = offers.get(requested.kind)
    return bool(
        offered
        and requested.created_by_id == user.pk
        and offered.may(user)
        and offered.reach(user) == requested.reach
    )


def write(*, by, requested: RequestedFile, progress: Callable[..., None]) -> None:
    """Write the file. Again from the beginning after a crash: its name is fixed, so nothing is left twice.

    Raises jobs.CannotContinue when the person may no longer have it, or the disk is full.
    """
    if not is_for(by, requested):
        raise jobs.CannotContinue("Vai trò của thầy/cô đã thay đổi. Hãy mở lại trang và yêu cầu tệp mới.")
    offered = offers[requested.kind]
    try:
        with tempfile.TemporaryFile() as content:
            with transaction.atomic():
                table = offered.table(by=by, filters=requested.filters)
                count = exports.write_xlsx(content, _sheets(offered.title, table, progress))
            content.seek(0)
            default_storage.delete(requested.file_name)
            default_storage.save(requested.file_name, File(content))
    except OSError as error:
        if is_full_disk(error):
            raise jobs.CannotContinue("Máy chủ hết chỗ để ghi tệp. Xin báo người quản trị.") from error
        raise
    RequestedFile.objects.filter(pk=requested.pk).update(row_count=count)


def _sheets(title: str, table: Table, progress: Callable[..., None]) -> Iterator[tuple]:
    """The table as sheets of as many rows as one can hold."""
    name = re.sub(r"[\[\]:*?/\\]", "", title)[:25]
    rows = _counted(table, progress)
    for number in itertools.count(1):
        first = list(itertools.islice(rows, 1))
        if number > 1 and not first:
            return
        rest = itertools.islice(rows, exports.XLSX_MAX_ROWS - 1)
        yield (name if number == 1 else f"{name} ({number})", table.columns, itertools.chain(first, rest))


def _counted(table: Table, progress: Callable[..., None]) -> Iterator[Sequence]:
    for done, row in enumerate(table.rows):
        if done % PROGRESS_ROWS == 0:
            # Rows may come in while we write: never more done than there are.
            progress(
                done if table.total is None else min(done, table.total), table.total, step="Đang ghi tệp"
            )
        yield row


@transaction.atomic
def drop(*, by, requested: RequestedFile) -> None:
    """The person needs the file no longer: work on it stops, it is deleted."""
    for job in Job.objects.for_subject(requested).unfinished():
        jobs.request_cancel(by=by, job=job)
    # Deleting takes the row's key away, and with it the name.
    name = requested.file_name
    requested.delete()
    transaction.on_commit(lambda: default_storage.delete(name))


def clear(*, at: dt.datetime) -> int:
    """Delete the files whose time is over, and those that no row knows (dropped while they were written); how many."""
    gone = list(RequestedFile.objects.filter(expires_on_clock_at__lte=at))
    RequestedFile.objects.filter(pk__in=[requested.pk for requested in gone]).delete()
    for requested in gone:
        default_storage.delete(requested.file_name)
    # Looked at before the rows, so that a file asked for in this moment is not taken for one without a row.
    stored = default_storage.listdir(FOLDER)[1] if default_storage.exists(FOLDER) else []
    known = {f"{pk}.xlsx" for pk in RequestedFile.objects.values_list("pk", flat=True)}
    for name in set(stored) - known:
        default_storage.delete(f"{FOLDER}/{name}")
    return len(gone)

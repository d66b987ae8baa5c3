"""A list from upload to checked rows: sealed at rest, read in its sandbox, staged by COPY, compared set-based."""

import contextlib
import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from common import crypto, jobs
from common.vietnamese import search_key
from schools.lists import sandbox
from schools.lists.cells import IDENTITY_PROVINCES
from schools.lists.columns import header_key
from schools.lists.findings import mask_identity
from schools.lists.intake import MAX_FILE_BYTES, Refused
from schools.lists.rows import Options
from schools.models import AdministrativeUnit, HeaderMapping, Office, School, StudentList
from schools.services import list_matching

Progress = Callable[..., None]
State = StudentList.State

COPY_ROWS = """COPY schools_listrow (student_list_id, number, outcome, effect, school_code, class_name, student_code,
full_name, search_key, sort_key, born_on, sex, identity_index, identity_sealed, "group", household_code,
commune_name, commune_id, household_key, has_device, findings, typed) FROM STDIN"""
_FORGET = (
    "DELETE FROM schools_duplicatecase d USING schools_listrow r WHERE d.row_id = r.id AND r.student_list_id = %s",
    "DELETE FROM schools_toldapart t USING schools_listrow r WHERE t.row_id = r.id AND r.student_list_id = %s",
    "DELETE FROM schools_listrow WHERE student_list_id = %s",
)
_PLACE_WORDS = ("thi tran ", "phuong ", "xa ")


@transaction.atomic
def upload_list(
    *,
    by: User,
    office: Office,
    content: bytes,
    file_name: str,
    at: dt.datetime,
    school: School | None = None,
    group: str = "",
    sheet_name: str = "",
    start: bool = True,
) -> StudentList:
    """Keep a file (sealed) and, unless ``start`` is False, hand its reading over to a worker.

    Raises ValidationError when the file is empty or too large; what is wrong inside it the reading tells.
    """
    if not content:
        raise ValidationError("Tệp rỗng: thầy/cô chọn lại tệp.")
    if len(content) > MAX_FILE_BYTES:
        raise ValidationError(f"Tệp lớn hơn {MAX_FILE_BYTES // 2**20} MB: tách thành nhiều tệp nhỏ hơn.")
    digest = hashlib.sha256(content).hexdigest()
    student_list = StudentList(
        office=office,
        file_name=Path(file_name).name[:200],
        file_sha256=digest,
        uploaded_at=at,
        uploaded_by=by,
        school=school,
        group=group,
        sheet_name=sheet_name,
    )
    student_list.file.save(f"{digest[:16]}.sealed", ContentFile(crypto.seal(content)), save=True)
    if start:
        jobs.hand_over(by=by, kind="schools.tasks.read_list", subject=student_list)
    return student_list


@transaction.atomic
def read_again(
    *,
    by: User,
    student_list: StudentList,
    at: dt.datetime,
    mapping: dict[str, str],
    school=None,
    group="",
    sheet_name="",
) -> StudentList:
    """Read a file again with what the person chose, or because its reading was stopped; remember the mapping.

    Raises IntegrityError (`job_one_unfinished_per_subject`) while it is being read.
    """
    student_list = StudentList.objects.select_for_update().get(pk=student_list.pk)
    if student_list.state not in (State.UPLOADED, State.REFUSED, State.CHECKED):
        raise ValidationError("Danh sách này đã được ghi vào hệ thống nên không đọc lại được.")
    if not student_list.file:
        raise ValidationError("Tệp này đã xoá theo yêu cầu của một gia đình. Hãy gửi tệp mới.")
    for header, column in mapping.items():
        HeaderMapping.objects.update_or_create(
            office=student_list.office,
            header=header_key(header)[:200],
            defaults={"column": column, "mapped_at": at, "mapped_by": by},
        )
    student_list.school = school or student_list.school
    student_list.group = group or student_list.group
    student_list.sheet_name = sheet_name or student_list.sheet_name
    student_list.state = State.UPLOADED
    student_list.save()
    jobs.hand_over(by=by, kind="schools.tasks.read_list", subject=student_list)
    return student_list


def options_for(
    office: Office, *, today: dt.date, school_code: str = "", group: str = "", sheet: str = ""
) -> Options:
    """What the reading must know beside the file, in two queries."""
    codes = dict(
        School.objects.filter(office__path__startswith=office.path).values_list("code", "office__name")
    )
    others = School.objects.exclude(office__path__startswith=office.path).values_list("code", flat=True)
    if office.kind in (Office.Kind.SCHOOL, Office.Kind.UNIVERSITY):
        school_code = office.code
    mapping = dict(HeaderMapping.objects.filter(office=office).values_list("header", "column"))
    return Options(
        today=today,
        schools=codes,
        other_schools=frozenset(others),
        school_code=school_code,
        group=group,
        mapping=mapping,
        sheet=sheet,
    )


class Places:
    """Communes and households of the rows' schools: equal questions are answered once."""

    def __init__(self, office: Office):
        schools = School.objects.filter(office__path__startswith=office.path)
        self._schools = {
            code: (province, district, commune)
            for code, province, district, commune in schools.values_list(
                "code", "province_id", "district_id", "commune_id"
            )
        }
        provinces = {place[0] for place in self._schools.values()}
        self._communes: dict[tuple[int, str], list[tuple[int, int]]] = {}
        communes = AdministrativeUnit.objects.filter(
            level=AdministrativeUnit.Level.COMMUNE, province_id__in=provinces
        )
        for pk, province, parent, name, full_name in communes.values_list(
            "pk", "province_id", "parent_id", "name", "full_name"
        ):
            for key in {_place_key(name), _place_key(full_name)}:
                self._communes.setdefault((province, key), []).append((pk, parent))
        self._known: dict[tuple[str, str], tuple[int | None, str]] = {}

    def find(self, school_code: str, commune_name: str) -> tuple[int | None, str]:
        """(commune's pk or None, text that names the commune in household keys)."""
        key = school_code, commune_name
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, school_code: str, commune_name: str) -> tuple[int | None, str]:
        place = self._schools.get(school_code)
        if place is None:
            return None, ""
        province, district, own = place
        if not commune_name:
            return own, str(own)
        named = self._communes.get((province, _place_key(commune_name)), [])
        inside = [pk for pk, parent in named if parent == district]
        pk = named[0][0] if len(named) == 1 else inside[0] if len(inside) == 1 else None
        return pk, str(pk) if pk else f"{province}/{district}/{_place_key(commune_name)}"


def _place_key(name: str) -> str:
    key = search_key(name)
    for word in _PLACE_WORDS:
        if key.startswith(word) and not key.removeprefix(word).isdigit():
            return key.removeprefix(word)
    return key


def without_number(household_code: str) -> str:
    """A household's code; where it is its head's identity number, a sign that tells households apart instead.

    >>> without_number("HN-0123")
    'HN-0123'
    """
    if (
        len(household_code) != 12
        or not household_code.isdigit()
        or household_code[:3] not in IDENTITY_PROVINCES
    ):
        return household_code
    return f"{mask_identity(household_code)} {crypto.blind_index(household_code).hex()[:16].upper()}"


def household_key(commune: str, code: str) -> str:
    """One key per (commune, household code); "" without a code."""
    return hashlib.sha256(f"{commune}|{code}".encode()).hexdigest() if code else ""


def _escape(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def copy_lines(rows: list[list], prefix: str, places: Places) -> Iterator[str]:
    """Checked rows (`schools.lists.rows.FIELDS`) as lines of COPY's text format, identity numbers sealed."""
    seal, index = crypto.seal, crypto.blind_index
    for (number, outcome, school, class_name, code, name, key, order, born, sex, identity, identity_typed, group,
         household, commune, has_device, findings, typed) in rows:  # fmt: skip
        household = without_number(household)
        commune_pk, commune_text = places.find(school, commune)
        yield "\t".join(
            (
                prefix, str(number), str(outcome), "0", school, _escape(class_name), _escape(code), _escape(name),
                key[:120], _escape(order[:240]), born or r"\N", sex,
                rf"\\x{index(identity).hex()}" if identity else r"\N",
                rf"\\x{seal(identity_typed.encode()).hex()}" if identity_typed else r"\N",
                group, _escape(household), _escape(commune), str(commune_pk or r"\N"),
                household_key(commune_text, household), "t" if has_device == "1" else "f",
                _escape(_json(findings)) if findings else r"\N", _escape(_json(typed)) if typed else r"\N",
            )
        ) + "\n"  # fmt: skip


def _json(content) -> str:
    # PostgreSQL's jsonb knows no NUL.
    return json.dumps(content, ensure_ascii=False).replace("\\u0000", "")


@contextlib.contextmanager
def opened(student_list: StudentList) -> Iterator[Path]:
    """The file in the clear for as long as the block lasts, readable by this user only."""
    with tempfile.TemporaryDirectory(prefix="list-") as folder:
        path = Path(folder) / "list"
        with student_list.file.open("rb") as sealed:
            path.write_bytes(crypto.unseal(sealed.read()))
        yield path


def read_list(
    *, by: User, student_list: StudentList, at: dt.datetime, progress: Progress = lambda *a, **k: None
) -> StudentList:
    """Read and check an uploaded file in one transaction; killed at any line, the list is as it was.

    A file that can't be taken leaves the list REFUSED with the reason.
    """
    try:
        with opened(student_list) as path, transaction.atomic():
            student_list = (
                StudentList.objects.select_for_update().select_related("office").get(pk=student_list.pk)
            )
            if student_list.state != State.UPLOADED:
                return student_list
            _stage(student_list, path, at, progress)
            student_list.state = State.CHECKED
            student_list.refused_code = student_list.refused_message = ""
            student_list.save()
    except Refused as refused:
        with transaction.atomic():
            student_list = StudentList.objects.select_for_update().get(pk=student_list.pk)
            if student_list.state == State.UPLOADED:
                _forget_rows(student_list)
                student_list.state = State.REFUSED
                student_list.refused_code, student_list.refused_message = refused.code, refused.message
                student_list.reading = {"details": refused.details}
                student_list.save()
    return student_list


def _forget_rows(student_list: StudentList) -> None:
    """Delete what an earlier reading left, with the decisions on it; not by way of memory, as the ORM would."""
    with connection.cursor() as cursor:
        for statement in _FORGET:
            cursor.execute(statement, [student_list.pk])


def _stage(student_list: StudentList, path: Path, at: dt.datetime, progress: Progress) -> None:
    office = student_list.office
    options = options_for(
        office,
        today=timezone.localdate(at),
        school_code=student_list.school.code if student_list.school else "",
        group=student_list.group,
        sheet=student_list.sheet_name,
    )
    places = Places(office)
    reading = sandbox.Reading()
    prefix = str(student_list.pk)
    done = 0
    _forget_rows(student_list)
    with connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
        for batch in sandbox.read(path, options, reading):
            copy.write("".join(copy_lines(batch, prefix, places)))
            done += len(batch)
            total = max(reading.head.get("total_rows", done), done)
            progress(min(done, total - 1) if total > 1 else 0, total, step="Đang đọc tệp")
    tail = reading.tail
    student_list.reading = reading.head | {
        key: tail[key] for key in ("rows_read", "notices", "sample", "converted_from", "peak_mb")
    }
    student_list.reading["skipped"] = tail["skipped"][:1000]
    student_list.reading["skipped_count"] = len(tail["skipped"])
    progress(done, done, step="Đang đối chiếu với hệ thống")
    list_matching.match_rows(student_list, is_first_time=True)

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

from accounts.models import User
from common import crypto, jobs
from common.vietnamese import search_key
from schools.lists import sandbox
from schools.lists.cells import IDENTITY_PROVINCES
from schools.lists.columns import TITLES, Header, header_key
from schools.lists.findings import DUPLICATE, ERROR, GRAVITY, Finding, mask_identity
from schools.lists.intake import MAX_FILE_BYTES, Refused
from schools.lists.rows import Options, RowChecker
from schools.models import AdministrativeUnit, HeaderMapping, ListRow, Office, School, StudentList
from schools.services import list_matching

Progress = Callable[..., None]
State = StudentList.State

_COPY = """COPY schools_listrow (student_list_id, number, outcome, effect, school_code, class_name, student_code,
full_name, search_key, sort_key, born_on, sex, identity_index, identity_sealed, "group", household_code,
commune_name, commune_id, household_key, has_device, findings, typed) FROM STDIN"""
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
    """Read a refused or checked file again with what the person chose; remember the mapping for the office."""
    student_list = StudentList.objects.select_for_update().get(pk=student_list.pk)
    if student_list.state not in (State.REFUSED, State.CHECKED):
        raise ValidationError("Danh sách này đã được ghi vào hệ thống nên không đọc lại được.")
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
    return f"{mask_identity(household_code)} {crypto.blind_index(household_code).hex()[:16]}"


def household_key(commune: str, code: str) -> str:
    """One key per (commune, household code); "" without a code."""
    return hashlib.sha256(f"{commune}|{code}".encode()).hexdigest() if code else ""


def _escape(text: str) -> str:
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
                student_list.rows.all().delete()
                student_list.state = State.REFUSED
                student_list.refused_code, student_list.refused_message = refused.code, refused.message
                student_list.reading = {"details": refused.details}
                student_list.save()
    return student_list


def _stage(student_list: StudentList, path: Path, at: dt.datetime, progress: Progress) -> None:
    office = student_list.office
    options = options_for(
        office,
        today=at.date(),
        school_code=student_list.school.code if student_list.school else "",
        group=student_list.group,
        sheet=student_list.sheet_name,
    )
    places = Places(office)
    reading = sandbox.Reading()
    prefix = str(student_list.pk)
    done = 0
    ListRow.objects.filter(student_list=student_list).delete()
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for batch in sandbox.read(path, options, reading):
            copy.write("".join(copy_lines(batch, prefix, places)))
            done += len(batch)
            total = max(reading.head.get("total_rows", done), done)
            progress(min(done, total - 1) if total > 1 else 0, total, step="Đang đọc tệp")
    tail = reading.tail
    student_list.reading = reading.head | {
        key: tail[key] for key in ("rows_read", "notices", "sample", "converted_from")
    }
    student_list.reading["skipped"] = tail["skipped"][:1000]
    student_list.reading["skipped_count"] = len(tail["skipped"])
    progress(done, done, step="Đang đối chiếu với hệ thống")
    list_matching.match_rows(student_list)


def cells_of(row: ListRow) -> dict[str, str]:
    """What stands in a row's cells, as a person would type it; the identity number in the clear."""
    typed = row.typed or {}
    values = {
        "school_code": row.school_code,
        "class_name": row.class_name,
        "student_code": row.student_code,
        "full_name": row.full_name,
        "born_on": row.born_on.strftime("%d/%m/%Y") if row.born_on else "",
        "sex": {"male": "Nam", "female": "Nữ"}.get(row.sex, ""),
        "identity": crypto.unseal(row.identity_sealed).decode() if row.identity_sealed else "",
        "group": {"poor": "Hộ nghèo", "near_poor": "Hộ cận nghèo", "covid_orphan": "Mồ côi do COVID-19"}.get(
            row.group, ""
        ),
        "household_code": row.household_code,
        "commune": row.commune_name,
        "has_device": "Có" if row.has_device else "",
    }
    # A cell that could not be understood is shown as it was typed.
    for column, kind, *_ in row.findings or ():
        if kind == ERROR and column in typed:
            values[column] = typed[column]
    return values


@transaction.atomic
def fix_cells(*, by: User, row: ListRow, values: dict[str, str], at: dt.datetime) -> ListRow:
    """Put other text into cells of a checked row and check it again, with the rows it was or is like.

    Args:
        values: our column key → new text.

    Raises ValidationError when the list is committed already.
    """
    student_list = (
        StudentList.objects.select_for_update().select_related("office").get(pk=row.student_list_id)
    )
    if student_list.state != State.CHECKED:
        raise ValidationError(
            "Danh sách này đã ghi vào hệ thống: muốn sửa, hãy hoàn tác hoặc gửi danh sách mới."
        )
    row = ListRow.objects.select_for_update().get(pk=row.pk)
    options = options_for(student_list.office, today=at.date(), group=student_list.group)
    if student_list.school:
        options.school_code = student_list.school.code
    places = Places(student_list.office)
    _recheck(row, cells_of(row) | values, options, places)
    # Rows held to be duplicates in the file may be none any more.
    others = (
        ListRow.objects.filter(student_list=student_list, outcome=ListRow.Outcome.DUPLICATE)
        .exclude(pk=row.pk)
        .order_by("number")[:500]
    )
    for other in others:
        if any(finding[2].endswith("_in_file") for finding in other.findings or ()):
            _recheck(other, cells_of(other), options, places)
    list_matching.match_rows(student_list)
    row.refresh_from_db()
    return row


def _recheck(row: ListRow, cells: dict[str, str], options: Options, places: Places) -> None:
    order = list(TITLES)
    checker = RowChecker(options, Header(1, 1, {key: place for place, key in enumerate(order)}, dict(TITLES)))
    checked = checker.check(row.number, [cells.get(key, "") for key in order])
    (_, _, row.school_code, row.class_name, row.student_code, row.full_name, row.search_key, row.sort_key,
     born, row.sex, identity, identity_typed, row.group, row.household_code, row.commune_name,
     has_device, findings, row.typed) = checked  # fmt: skip
    row.born_on = dt.date.fromisoformat(born) if born else None
    row.identity_index = crypto.blind_index(identity) if identity else None
    row.identity_sealed = crypto.seal(identity_typed.encode()) if identity_typed else None
    row.has_device = has_device == "1"
    row.commune_id, commune_text = places.find(row.school_code, row.commune_name)
    row.household_code = without_number(row.household_code)
    row.household_key = household_key(commune_text, row.household_code)
    findings = list(findings or [])
    findings += _same_in_file(row)
    row.findings = [list(finding) for finding in findings] or None
    row.outcome = max((GRAVITY[finding.kind] for finding in findings), default=0)
    row.save()


def _same_in_file(row: ListRow) -> list[Finding]:
    earlier = ListRow.objects.filter(student_list_id=row.student_list_id, number__lt=row.number).order_by(
        "number"
    )
    if row.identity_index and (first := earlier.filter(identity_index=row.identity_index).first()):
        said = f"Trùng số định danh với hàng {first.number}."
        return [Finding("identity", DUPLICATE, "same_identity_in_file", "", said)]
    if row.student_code and (first := earlier.filter(student_code=row.student_code).first()):
        said = f"Trùng mã học sinh với hàng {first.number}."
        return [Finding("student_code", DUPLICATE, "same_code_in_file", row.student_code, said)]
    if row.search_key and row.born_on:
        like = earlier.filter(search_key=row.search_key, born_on=row.born_on, school_code=row.school_code)
        for first in like[:5]:
            codes_differ = row.student_code and first.student_code and row.student_code != first.student_code
            if not codes_differ and not (row.identity_index and first.identity_index):
                said = f"Cùng họ tên, ngày sinh và trường với hàng {first.number}: có thể là một em được ghi hai lần."
                return [Finding("full_name", DUPLICATE, "same_person_in_file", "", said)]
    return []

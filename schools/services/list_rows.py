"""One row of a checked list in the page: what stands in its cells, and other text put into them."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import User
from common import crypto
from schools.lists.columns import TITLES, Header
from schools.lists.findings import ERROR, GRAVITY
from schools.lists.rows import NAMESAKE, SAME_PERSON, TOLD_APART, Options, RowChecker
from schools.models import DuplicateCase, ListRow, Student, StudentList, ToldApart
from schools.services import list_matching
from schools.services.list_reading import Places, household_key, options_for, without_number

State = StudentList.State
_IN_FILE = [
    "same_identity_in_file",
    "same_code_in_file",
    "same_person_in_file",
    "same_name_in_file",
    "told_apart",
]
# What `lists.rows` says of a child that stands in an earlier row, for the rows that share something with a mended one.
_COMPARE_IN_FILE = """
WITH asked AS (
    SELECT r.* FROM schools_listrow r WHERE r.student_list_id = %(list)s AND (
        r.id = %(row)s OR r.identity_index = ANY(%(indexes)s) OR r.student_code = ANY(%(codes)s)
        OR (r.search_key, r.born_on, r.school_code) IN (
            SELECT * FROM unnest(%(keys)s::text[], %(born)s::date[], %(schools)s::text[]))
    )
), kept AS (
    SELECT a.*, coalesce((SELECT jsonb_agg(f ORDER BY n) FROM jsonb_array_elements(a.findings) WITH ORDINALITY AS x(f, n)
        WHERE f->>2 <> ALL(%(in_file)s)), '[]'::jsonb) AS others
    FROM asked a
), found AS (
    SELECT k.id, k.others,
        CASE WHEN i.number IS NOT NULL THEN jsonb_build_array(jsonb_build_array('identity', 'duplicate',
            'same_identity_in_file', '', 'Trùng số định danh với hàng ' || i.number || '.')) ELSE '[]'::jsonb END
        || CASE WHEN c.number IS NOT NULL THEN jsonb_build_array(jsonb_build_array('student_code', 'duplicate',
            'same_code_in_file', k.student_code, 'Trùng mã học sinh với hàng ' || c.number || '.')) ELSE '[]'::jsonb END
        || CASE WHEN p.number IS NULL OR i.number IS NOT NULL OR c.number IS NOT NULL THEN '[]'::jsonb
            WHEN k.student_code <> '' AND p.student_code <> '' AND k.student_code <> p.student_code
                OR k.identity_index <> p.identity_index
            THEN jsonb_build_array(jsonb_build_array('full_name', 'warning', 'same_name_in_file', '',
                replace(%(namesake)s, '{row}', p.number::text)))
            WHEN EXISTS (SELECT FROM schools_toldapart t WHERE t.row_id = k.id AND t.other_id = p.id)
            THEN jsonb_build_array(jsonb_build_array('full_name', 'warning', 'told_apart', '',
                replace(%(apart)s, '{row}', p.number::text)))
            ELSE jsonb_build_array(jsonb_build_array('full_name', 'duplicate', 'same_person_in_file', '',
                replace(%(same)s, '{row}', p.number::text))) END AS said
    FROM kept k
    LEFT JOIN LATERAL (SELECT min(x.number) AS number FROM schools_listrow x WHERE x.student_list_id = %(list)s
        AND x.number < k.number AND x.identity_index = k.identity_index) i ON true
    LEFT JOIN LATERAL (SELECT min(x.number) AS number FROM schools_listrow x WHERE x.student_list_id = %(list)s
        AND x.number < k.number AND x.student_code = k.student_code AND k.student_code <> '') c ON true
    LEFT JOIN LATERAL (SELECT x.id, x.number, x.student_code, x.identity_index FROM schools_listrow x
        WHERE x.student_list_id = %(list)s AND x.number < k.number AND k.search_key <> ''
          AND (x.search_key, x.born_on, x.school_code) = (k.search_key, k.born_on, k.school_code)
        ORDER BY x.number LIMIT 1) p ON true
)
UPDATE schools_listrow r SET
    findings = nullif(found.others || found.said, '[]'::jsonb),
    outcome = coalesce((SELECT max(CASE f->>1 WHEN 'error' THEN 4 WHEN 'duplicate' THEN 3 WHEN 'warning' THEN 2 ELSE 1 END)
        FROM jsonb_array_elements(found.others || found.said) f), 0)
FROM found WHERE r.id = found.id RETURNING r.id
"""


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
        "identity": crypto.unseal(bytes(row.identity_sealed)).decode() if row.identity_sealed else "",
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


def changes_of(row: ListRow) -> list[tuple[str, str, str]]:
    """(column's title, in the system, in the file) of what a commit of the row would change; for a row with its student."""
    student = row.student
    if student is None or row.effect != ListRow.Effect.CHANGED:
        return []
    groups, sexes, states = (
        {value: str(label) for value, label in kind.choices}
        for kind in (Student.Group, Student.Sex, Student.State)
    )
    pairs = [
        ("school_code", student.school.code, row.school_code),
        ("class_name", student.class_name, row.class_name),
        ("student_code", student.code, row.student_code),
        ("full_name", student.full_name, row.full_name),
        ("born_on", f"{student.born_on:%d/%m/%Y}", f"{row.born_on:%d/%m/%Y}" if row.born_on else ""),
        ("sex", sexes.get(student.sex, ""), sexes.get(row.sex, "")),
        ("group", groups[student.group], groups.get(row.group, "")),
        ("has_device", "Có" if student.has_device else "Không", "Có" if row.has_device else ""),
    ]
    # An empty cell changes nothing.
    found = [
        (TITLES[key], str(before), str(after)) for key, before, after in pairs if after and before != after
    ]
    if row.household_key and student.household_key != row.household_key:
        found.append((TITLES["household_code"], "hộ khác", row.household_code))
    if row.identity_index and bytes(student.identity_index or b"") != bytes(row.identity_index):
        found.append((TITLES["identity"], "số khác" if student.identity_index else "chưa có", "số trong tệp"))
    if student.state in (Student.State.LEFT, Student.State.OUT_OF_GROUP):
        found.append(("Trạng thái", str(states[student.state]), str(states[Student.State.LISTED])))
    return found


def _open(row: ListRow) -> tuple[StudentList, ListRow]:
    """The row and its list, locked, while the list waits to be written. Raises ValidationError when it does not."""
    student_list = (
        StudentList.objects.select_for_update(of=("self",))
        .select_related("office", "school")
        .get(pk=row.student_list_id)
    )
    if student_list.state != State.CHECKED:
        raise ValidationError(
            "Danh sách này đã ghi vào hệ thống: muốn sửa, hãy hoàn tác hoặc gửi danh sách mới."
        )
    return student_list, ListRow.objects.select_for_update(of=("self",)).select_related("student").get(
        pk=row.pk
    )


def likeness_of(row: ListRow) -> str:
    """Whom a row is taken for by its name, birth date and school alone: "row" of its file, "student" known, or ""."""
    if any(finding[2] == "same_person_in_file" for finding in row.findings or ()):
        return "row"
    student = row.student
    if student is None or row.outcome >= ListRow.Outcome.DUPLICATE or not row.search_key:
        return ""
    is_same_number = row.identity_index and bytes(row.identity_index) == bytes(student.identity_index or b"")
    is_same_code = row.student_code and row.student_code == student.code
    return "" if is_same_number or is_same_code else "student"


@transaction.atomic
def tell_apart(*, by: User, row: ListRow, note: str, at: dt.datetime) -> ListRow:
    """A person says that a row is another child than the one it was taken for by name, birth date and school.

    The decision and its note stay on record. Raises ValidationError without a note, or when the row is like nobody
    any more, or its list is committed already.
    """
    student_list, row = _open(row)
    if not note.strip():
        raise ValidationError("Hãy viết căn cứ vì sao đây là hai em khác nhau.")
    likeness = likeness_of(row)
    if not likeness:
        raise ValidationError("Hàng này không còn giống em nào nên không cần xác nhận: xem lại kết quả.")
    affected = [row.pk]
    if likeness == "row":
        alike = ListRow.objects.filter(
            student_list=student_list, search_key=row.search_key, born_on=row.born_on,
            school_code=row.school_code, number__lt=row.number,
        )  # fmt: skip
        first = alike.order_by("number")[0]
        ToldApart.objects.create(row=row, other=first, note=note.strip(), decided_at=at, decided_by=by)
        affected = _compare_in_file(row, _shared_with_others(row))
    else:
        DuplicateCase.objects.update_or_create(
            row=row, student=row.student,
            defaults={
                "reason": DuplicateCase.Reason.LIKELY, "decision": DuplicateCase.Decision.DIFFERENT,
                "note": note.strip(), "decided_at": at, "decided_by": by,
            },
        )  # fmt: skip
    list_matching.match_rows(student_list, affected)
    row.refresh_from_db()
    return row


@transaction.atomic
def fix_cells(*, by: User, row: ListRow, values: dict[str, str], at: dt.datetime) -> ListRow:
    """Put other text into cells of a checked row and check it again, with the rows it was or is like.

    Args:
        values: our column key → new text.

    Raises ValidationError when the list is committed already.
    """
    student_list, row = _open(row)
    options = options_for(
        student_list.office,
        today=at.date(),
        school_code=student_list.school.code if student_list.school else "",
        group=student_list.group,
    )
    before = _shared_with_others(row)
    _recheck(row, cells_of(row) | values, options, Places(student_list.office))
    affected = _compare_in_file(row, before, _shared_with_others(row))
    list_matching.match_rows(student_list, affected)
    row.refresh_from_db()
    return row


def _recheck(row: ListRow, cells: dict[str, str], options: Options, places: Places) -> None:
    order = list(TITLES)
    header = Header(1, 1, {key: place for place, key in enumerate(order)}, dict(TITLES))
    checked = RowChecker(options, header).check(row.number, [cells.get(key, "") for key in order])
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
    row.findings = [list(finding) for finding in findings or ()] or None
    row.outcome = max((GRAVITY[finding.kind] for finding in findings or ()), default=0)
    row.save()


def _shared_with_others(row: ListRow) -> tuple:
    """What a row may have in common with another of its file: number, code, and name with birth date and school."""
    return row.identity_index, row.student_code, row.search_key, row.born_on, row.school_code


def _compare_in_file(row: ListRow, *shared: tuple) -> list[int]:
    """Compare the rows that share one of these with the rows above them; returns their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            _COMPARE_IN_FILE,
            {
                "list": row.student_list_id, "row": row.pk, "in_file": _IN_FILE,
                "indexes": [bytes(each[0]) for each in shared if each[0]],
                "codes": [each[1] for each in shared if each[1]],
                "keys": [each[2] for each in shared], "born": [each[3] for each in shared],
                "schools": [each[4] for each in shared], "same": SAME_PERSON, "namesake": NAMESAKE,
                "apart": TOLD_APART,
            },
        )  # fmt: skip
        return [pk for (pk,) in cursor.fetchall()]

"""Rows of one name, birth date and school: compared within their file, and told apart by a person, one after another."""

import datetime as dt
import json
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import User
from schools.lists import earlier_rows
from schools.lists.earlier_rows import EarlierRows
from schools.lists.findings import GRAVITY
from schools.models import DuplicateCase, ListRow, Student, StudentList, ToldApart
from schools.services import list_matching

# The rows that share something with a mended one, and whatever those share something with.
_SHARING = """
WITH asked AS MATERIALIZED (
    SELECT r.id, r.identity_index, r.student_code, r.search_key, r.born_on, r.school_code
    FROM schools_listrow r WHERE r.student_list_id = %(list)s AND (
        r.id = %(row)s OR r.identity_index = ANY(%(indexes)s) OR r.student_code = ANY(%(codes)s)
        OR (r.search_key, r.born_on, r.school_code) IN (
            SELECT * FROM unnest(%(keys)s::text[], %(born)s::date[], %(schools)s::text[])))
)
SELECT r.id, r.number, r.search_key, r.born_on, r.school_code, r.student_code, r.identity_index,
    CASE WHEN r.id IN (SELECT id FROM asked) THEN coalesce(r.findings, '[]') END,
    ARRAY(SELECT o.number FROM schools_toldapart t JOIN schools_listrow o ON o.id = t.other_id WHERE t.row_id = r.id)
FROM schools_listrow r WHERE r.student_list_id = %(list)s AND (
    r.id IN (SELECT id FROM asked) OR r.identity_index IN (SELECT identity_index FROM asked)
    OR r.student_code IN (SELECT student_code FROM asked WHERE student_code <> '')
    OR (r.search_key, r.born_on, r.school_code) IN (SELECT search_key, born_on, school_code FROM asked))
ORDER BY r.number
"""
_SAY = """
UPDATE schools_listrow r SET findings = nullif(x.findings::jsonb, '[]'), outcome = x.outcome
FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS x(id, findings, outcome) WHERE r.id = x.id
"""


class Likeness(NamedTuple):
    """Whom a row is taken for by name, birth date and school alone: a row of its file, or a student; ``more`` come after."""

    other: ListRow | Student
    more: int

    @property
    def key(self) -> str:
        """Names the other one in a form."""
        return f"hang-{self.other.number}" if isinstance(self.other, ListRow) else f"em-{self.other.pk}"


def opened_row(row: ListRow) -> tuple[StudentList, ListRow]:
    """The row and its list, locked, while the list waits to be written. Raises ValidationError when it does not."""
    student_list = (
        StudentList.objects.select_for_update(of=("self",))
        .select_related("office", "school")
        .get(pk=row.student_list_id)
    )
    if student_list.state != StudentList.State.CHECKED:
        raise ValidationError(
            "Danh sách này đã ghi vào hệ thống: muốn sửa, hãy hoàn tác hoặc gửi danh sách mới."
        )
    return student_list, ListRow.objects.select_for_update(of=("self",)).select_related("student").get(
        pk=row.pk
    )


def likeness_of(row: ListRow) -> Likeness | None:
    """The next one that a person must tell a row apart from, or join it with; None when nobody is left.

    First the rows above it, then the student that a commit would change. Students of whom the comparison
    is not sure are told apart as cases of their own (`DuplicateCase`).
    """
    if any(finding[2] == "same_person_in_file" for finding in row.findings or ()):
        alike = ListRow.objects.filter(
            student_list_id=row.student_list_id, search_key=row.search_key, born_on=row.born_on,
            school_code=row.school_code, number__lt=row.number,
        ).exclude(pk__in=ToldApart.objects.filter(row=row).values("other"))  # fmt: skip
        # Two codes, or two numbers, are two children (`earlier_rows`).
        if row.student_code:
            alike = alike.filter(student_code="")
        if row.identity_index:
            alike = alike.filter(identity_index=None)
        first = alike.order_by("number").first()
        return Likeness(first, alike.count() - 1) if first else None
    student = row.student
    if student is None or row.outcome >= ListRow.Outcome.DUPLICATE or not row.search_key:
        return None
    is_same_number = row.identity_index and bytes(row.identity_index) == bytes(student.identity_index or b"")
    is_same_code = row.student_code and row.student_code == student.code
    return None if is_same_number or is_same_code else Likeness(student, 0)


@transaction.atomic
def tell_apart(*, by: User, row: ListRow, other: str, note: str, at: dt.datetime) -> ListRow:
    """A person says that a row is another child than the one (`Likeness.key`) that it was shown beside.

    The decision and its note stay on record. Raises ValidationError without a note, when the row is not like that one
    any more, or when its list is committed already.
    """
    student_list, row = opened_row(row)
    if not note.strip():
        raise ValidationError("Hãy viết căn cứ vì sao đây là hai em khác nhau.")
    likeness = likeness_of(row)
    if likeness is None:
        raise ValidationError("Hàng này không còn giống em nào nên không cần xác nhận: xem lại kết quả.")
    if likeness.key != other:
        raise ValidationError("Hàng này vừa được sửa hoặc xem xét ở nơi khác: xem lại em đang đứng cạnh nó.")
    affected = [row.pk]
    if isinstance(likeness.other, ListRow):
        ToldApart.objects.create(
            row=row, other=likeness.other, note=note.strip(), decided_at=at, decided_by=by
        )
        affected = compare_in_file(row, shared_with_others(row))
    else:
        DuplicateCase.objects.update_or_create(
            row=row, student=likeness.other,
            defaults={
                "reason": DuplicateCase.Reason.LIKELY, "decision": DuplicateCase.Decision.DIFFERENT,
                "note": note.strip(), "decided_at": at, "decided_by": by,
            },
        )  # fmt: skip
    list_matching.match_rows(student_list, affected)
    return ListRow.objects.select_related("student").get(pk=row.pk)


def shared_with_others(row: ListRow) -> tuple:
    """What a row may have in common with another of its file: number, code, and name with birth date and school."""
    return row.identity_index, row.student_code, row.search_key, row.born_on, row.school_code


def compare_in_file(row: ListRow, *shared: tuple) -> list[int]:
    """Say anew of the rows that share one of these which rows above them they are like; returns their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SHARING,
            {
                "list": row.student_list_id, "row": row.pk,
                "indexes": [bytes(each[0]) for each in shared if each[0]],
                "codes": [each[1] for each in shared if each[1]],
                "keys": [each[2] for each in shared], "born": [each[3] for each in shared],
                "schools": [each[4] for each in shared],
            },
        )  # fmt: skip
        earlier = EarlierRows()
        asked: list[int] = []
        said: list[tuple[int, str, int]] = []
        for pk, number, key, born, school, code, identity, findings, apart in cursor.fetchall():
            person = (key, born, school) if key and born else None
            found = earlier.compare(number, person, code, identity and bytes(identity), apart=apart)
            if findings is None:
                continue
            asked.append(pk)
            before = json.loads(findings)
            after = [each for each in before if each[2] not in earlier_rows.CODES] + [*map(list, found)]
            if after != before:
                gravest = max((GRAVITY[each[1]] for each in after), default=0)
                said.append((pk, json.dumps(after, ensure_ascii=False), gravest))
        if said:
            cursor.execute(_SAY, [list(column) for column in zip(*said, strict=True)])
    return asked

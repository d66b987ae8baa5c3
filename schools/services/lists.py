"""A checked list into the system and up to approval: commit, undo, submit, verify, approve, return.

Each step by other people: the database refuses an approver who uploaded or verified (Plan III.2a).
"""

import datetime as dt
from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from common import jobs
from common.vietnamese import number_text
from schools.lists.findings import WARNING
from schools.models import StudentList
from schools.services.list_matching import COMMITTABLE, committable_values, counts, match_rows

State = StudentList.State
UNDO_WITHIN = dt.timedelta(hours=24)
ATTESTATION = (
    "Tôi cam đoan các em trong danh sách thuộc đúng đối tượng, chưa có máy tính để học trực tuyến,"
    " và đơn vị giữ hồ sơ chứng minh."
)
# Commits look for namesakes and then write: one at a time, or two lists could bring the same child.
_ONE_COMMIT_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('schools.commit_list'))"

_INSERT = f"""
INSERT INTO schools_student (id, school_id, code, class_name, grade, full_name, search_key, sort_key, born_on, sex,
    "group", household_key, home_commune_id, identity_sealed, identity_index, has_device, state, student_list_id)
SELECT %(first)s + r.number, sc.office_id, r.student_code, r.class_name,
    substring(r.class_name FROM '^\\D{{0,4}}(\\d{{1,2}})')::smallint, r.full_name, r.search_key, r.sort_key, r.born_on,
    r.sex, r."group", r.household_key, r.commune_id,
    CASE WHEN r.identity_index IS NOT NULL THEN r.identity_sealed END, r.identity_index, r.has_device, 'listed', %(list)s
FROM schools_listrow r JOIN schools_school sc ON sc.code = r.school_code
WHERE r.student_list_id = %(list)s AND r.effect = 0 AND {COMMITTABLE}
"""
_REMEMBER = f"""
UPDATE schools_listrow r SET before = jsonb_build_object(
    'school_id', s.school_id, 'code', s.code, 'class_name', s.class_name, 'grade', s.grade,
    'full_name', s.full_name, 'search_key', s.search_key, 'sort_key', s.sort_key, 'born_on', s.born_on,
    'sex', s.sex, 'group', s."group", 'household_key', s.household_key, 'home_commune_id', s.home_commune_id,
    'identity_sealed', encode(s.identity_sealed, 'hex'), 'identity_index', encode(s.identity_index, 'hex'),
    'has_device', s.has_device, 'state', s.state, 'approved_at', s.approved_at, 'approved_by_id', s.approved_by_id,
    'student_list_id', s.student_list_id)
FROM schools_student s
WHERE s.id = r.student_id AND r.student_list_id = %(list)s AND r.effect = 1 AND {COMMITTABLE}
"""
# Another child, group, school or owned device is another claim: it must be approved anew. Another class is not.
_SAME_CLAIM = """s.state = 'approved' AND s.school_id = sc.office_id AND s."group" = r."group" AND s.born_on = r.born_on
    AND s.search_key = r.search_key AND s.has_device = (r.has_device OR s.has_device)
    AND s.identity_index IS NOT DISTINCT FROM coalesce(r.identity_index, s.identity_index)"""
_CHANGE = f"""
UPDATE schools_student s SET
    school_id = sc.office_id, full_name = r.full_name, search_key = r.search_key, sort_key = r.sort_key,
    born_on = r.born_on, "group" = r."group", has_device = r.has_device OR s.has_device,
    code = coalesce(nullif(r.student_code, ''), s.code), sex = coalesce(nullif(r.sex, ''), s.sex),
    class_name = coalesce(nullif(r.class_name, ''), s.class_name),
    grade = coalesce(substring(r.class_name FROM '^\\D{{0,4}}(\\d{{1,2}})')::smallint, s.grade),
    household_key = coalesce(nullif(r.household_key, ''), s.household_key),
    home_commune_id = coalesce(r.commune_id, s.home_commune_id),
    identity_sealed = CASE WHEN r.identity_index IS NOT NULL THEN r.identity_sealed ELSE s.identity_sealed END,
    identity_index = coalesce(r.identity_index, s.identity_index),
    state = CASE WHEN {_SAME_CLAIM} THEN s.state ELSE 'listed' END,
    approved_at = CASE WHEN {_SAME_CLAIM} THEN s.approved_at END,
    approved_by_id = CASE WHEN {_SAME_CLAIM} THEN s.approved_by_id END,
    student_list_id = %(list)s
FROM schools_listrow r, schools_school sc
WHERE s.id = r.student_id AND sc.code = r.school_code AND r.student_list_id = %(list)s AND r.effect = 1 AND {COMMITTABLE}
"""
_RESTORE = """
UPDATE schools_student s SET
    school_id = b.school_id, code = b.code, class_name = b.class_name, grade = b.grade, full_name = b.full_name,
    search_key = b.search_key, sort_key = b.sort_key, born_on = b.born_on, sex = b.sex, "group" = b."group",
    household_key = b.household_key, home_commune_id = b.home_commune_id,
    identity_sealed = decode(b.identity_sealed, 'hex'), identity_index = decode(b.identity_index, 'hex'),
    has_device = b.has_device, state = b.state, approved_at = b.approved_at, approved_by_id = b.approved_by_id,
    student_list_id = b.student_list_id
FROM schools_listrow r, jsonb_to_record(r.before) AS b(
    school_id bigint, code text, class_name text, grade smallint, full_name text, search_key text, sort_key text,
    born_on date, sex text, "group" text, household_key text, home_commune_id bigint, identity_sealed text,
    identity_index text, has_device boolean, state text, approved_at timestamptz, approved_by_id bigint,
    student_list_id bigint)
WHERE s.id = r.student_id AND r.student_list_id = %(list)s AND r.before IS NOT NULL
"""


def _locked(student_list: StudentList, *states: str, otherwise: str) -> StudentList:
    found = (
        StudentList.objects.select_for_update(of=("self",)).select_related("office").get(pk=student_list.pk)
    )
    if found.state not in states:
        raise ValidationError(f"{otherwise} Trạng thái hiện nay: {found.get_state_display().lower()}.")
    return found


@transaction.atomic
def acknowledge(*, by: User, student_list: StudentList, codes: list[str], at: dt.datetime) -> StudentList:
    """The office stands by all rows whose warnings are of these kinds (finding codes)."""
    student_list = _locked(student_list, State.CHECKED, otherwise="Danh sách không còn chờ ghi.")
    student_list.acknowledged = sorted(set(codes))
    student_list.save(update_fields=["acknowledged"])
    return student_list


@transaction.atomic
def confirm_conversion(*, by: User, student_list: StudentList, at: dt.datetime) -> StudentList:
    """A person looked at the sample: the old fonts were converted rightly."""
    student_list = _locked(student_list, State.CHECKED, otherwise="Danh sách không còn chờ ghi.")
    student_list.is_conversion_confirmed = True
    student_list.save(update_fields=["is_conversion_confirmed"])
    return student_list


@transaction.atomic
def ask_commit(
    *, by: User, student_list: StudentList, at: dt.datetime, all_or_nothing: bool = False
) -> StudentList:
    """Hand the commit over to a worker, after the refusals that can be told at once."""
    student_list = _locked(student_list, State.CHECKED, otherwise="Danh sách không còn chờ ghi.")
    _refuse_commit(student_list, all_or_nothing)
    kind = "schools.tasks.commit_whole_list" if all_or_nothing else "schools.tasks.commit_list"
    jobs.hand_over(by=by, kind=kind, subject=student_list)
    return student_list


def _refuse_commit(student_list: StudentList, all_or_nothing: bool) -> dict:
    count = counts(student_list)
    if student_list.reading.get("converted_from") and not student_list.is_conversion_confirmed:
        raise ValidationError("Hãy xem mẫu chữ đã đổi phông và xác nhận là đúng trước khi ghi.")
    if all_or_nothing and count["left_out"]:
        raise ValidationError(
            f"Còn {number_text(count['left_out'])} hàng chưa ghi được nên chưa ghi hàng nào: sửa hết, hoặc chọn ghi các hàng tốt."
        )
    if not count["effects"][0] and not count["effects"][1]:
        if count["effects"][2]:
            raise ValidationError("Tệp này không có gì mới so với hệ thống: không có hàng nào cần ghi.")
        raise ValidationError("Chưa có hàng nào ghi được: sửa các hàng lỗi, xem các lưu ý rồi ghi lại.")
    return count


@transaction.atomic
def commit_list(
    *,
    by: User,
    student_list: StudentList,
    at: dt.datetime,
    all_or_nothing: bool = False,
    progress: Callable[..., None] = lambda *a, **k: None,
) -> StudentList:
    """Write the good rows to the students, all in one transaction: new ones in, changed ones changed.

    Raises ValidationError when nothing can be written, or ``all_or_nothing`` and a row is not good. A list
    that is committed already is given back as it is.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ONE_COMMIT_AT_A_TIME)
    student_list = _locked(
        student_list, State.CHECKED, State.COMMITTED, otherwise="Danh sách này không ghi được."
    )
    if student_list.state == State.COMMITTED:
        return student_list
    # Others may have committed since this list was checked.
    total = student_list.rows.count()
    progress(0, total, step="Đang đối chiếu với hệ thống")
    match_rows(student_list)
    count = _refuse_commit(student_list, all_or_nothing)
    progress(0, total, step="Đang ghi vào hệ thống")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(number), 0) FROM schools_listrow WHERE student_list_id = %s",
            [student_list.pk],
        )
        highest = cursor.fetchone()[0]
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('schools_student', 'id'),"
            " nextval(pg_get_serial_sequence('schools_student', 'id')) + %s) - %s",
            [highest, highest],
        )
        first = cursor.fetchone()[0]
        values = committable_values(student_list) | {"first": first}
        cursor.execute(_INSERT, values)
        progress(count["effects"][0], total, step="Đang ghi các em có thay đổi")
        cursor.execute(_REMEMBER, values)
        cursor.execute(_CHANGE, values)
    student_list.first_student_id = first
    student_list.state = State.COMMITTED
    student_list.committed_at, student_list.committed_by = at, by
    student_list.save()
    return student_list


def undo_until(student_list: StudentList) -> dt.datetime | None:
    """The moment until which a commit can be taken back, or None."""
    return student_list.committed_at + UNDO_WITHIN if student_list.committed_at else None


@transaction.atomic
def undo_commit(*, by: User, student_list: StudentList, at: dt.datetime) -> StudentList:
    """Take a commit back within 24 hours, unless its rows have been used since.

    Raises ValidationError when it is too late, or a student of it was changed, allocated or handed a device.
    """
    student_list = _locked(
        student_list,
        State.COMMITTED,
        State.RETURNED,
        otherwise="Chỉ hoàn tác được danh sách vừa ghi, chưa trình.",
    )
    until = undo_until(student_list)
    if until is None or at > until:
        raise ValidationError("Đã quá 24 giờ từ khi ghi nên không hoàn tác được: hãy gửi danh sách sửa đổi.")
    values = {"list": student_list.pk, "first": student_list.first_student_id,
              "committed": student_list.committed_at}  # fmt: skip
    used = ValidationError(
        "Có em trong danh sách này đã được dùng ở việc khác (danh sách khác, phân bổ hoặc thay đổi trạng thái)"
        " nên không hoàn tác được: hãy gửi danh sách sửa đổi."
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM schools_listrow r JOIN schools_student s"
                " ON s.id = CASE WHEN r.effect = 0 THEN %(first)s + r.number ELSE r.student_id END"
                " WHERE r.student_list_id = %(list)s AND (r.effect = 0 OR r.before IS NOT NULL)"
                " AND (s.student_list_id IS DISTINCT FROM %(list)s OR EXISTS (SELECT FROM schools_statuschange c"
                " WHERE c.student_id = s.id AND c.changed_at >= %(committed)s))",
                values,
            )
            if cursor.fetchone()[0]:
                raise used
            # Lists that wait beside this one forget what they compared with; they compare anew at commit.
            cursor.execute(
                "UPDATE schools_listrow r SET student_id = NULL, effect = 0 FROM schools_student s, schools_studentlist l"
                " WHERE r.student_id = s.id AND s.student_list_id = %(list)s AND r.student_list_id <> %(list)s"
                " AND l.id = r.student_list_id AND l.state = 'checked'",
                values,
            )
            cursor.execute(
                "DELETE FROM schools_duplicatecase d USING schools_student s"
                " WHERE d.student_id = s.id AND s.student_list_id = %(list)s AND d.decision = ''",
                values,
            )
            cursor.execute(_RESTORE, values)
            cursor.execute(
                "DELETE FROM schools_student s USING schools_listrow r WHERE r.student_list_id = %(list)s"
                " AND r.effect = 0 AND s.id = %(first)s + r.number AND s.student_list_id = %(list)s",
                values,
            )
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    except IntegrityError as error:
        raise used from error
    student_list.state = State.UNDONE
    student_list.undone_at, student_list.undone_by = at, by
    student_list.save()
    return student_list


@transaction.atomic
def submit_list(
    *, by: User, student_list: StudentList, at: dt.datetime, attestation: str = ATTESTATION
) -> StudentList:
    """Send a committed list up, with an attestation."""
    student_list = _locked(
        student_list,
        State.COMMITTED,
        State.RETURNED,
        otherwise="Chỉ trình được danh sách đã ghi vào hệ thống.",
    )
    if not attestation.strip():
        raise ValidationError("Hãy đọc và xác nhận lời cam đoan trước khi trình.")
    student_list.state = State.SUBMITTED
    student_list.submitted_at, student_list.submitted_by = at, by
    student_list.verified_at = student_list.verified_by = None
    student_list.attestation = attestation.strip()
    student_list.save()
    return student_list


@transaction.atomic
def verify_list(*, by: User, student_list: StudentList, at: dt.datetime) -> StudentList:
    """Found right by another person than the uploader (thẩm định)."""
    student_list = _locked(student_list, State.SUBMITTED, otherwise="Danh sách này không chờ thẩm định.")
    if by.pk in (student_list.uploaded_by_id, student_list.submitted_by_id):
        raise ValidationError("Người thẩm định phải khác người tải lên và người trình: nhờ một người khác.")
    student_list.state = State.VERIFIED
    student_list.verified_at, student_list.verified_by = at, by
    student_list.save()
    return student_list


@transaction.atomic
def approve_list(*, by: User, student_list: StudentList, at: dt.datetime) -> StudentList:
    """The last word (phê duyệt): its students may be allocated computers from now on."""
    student_list = _locked(student_list, State.VERIFIED, otherwise="Danh sách này không chờ phê duyệt.")
    if by.pk in (student_list.uploaded_by_id, student_list.submitted_by_id, student_list.verified_by_id):
        raise ValidationError("Người phê duyệt phải khác người tải lên, người trình và người thẩm định.")
    student_list.state = State.APPROVED
    student_list.approved_at, student_list.approved_by = at, by
    student_list.save()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE schools_student s SET state = 'approved', approved_at = %(at)s, approved_by_id = %(by)s"
            " WHERE s.state = 'listed' AND (s.student_list_id = %(list)s OR s.id IN (SELECT r.student_id"
            " FROM schools_listrow r WHERE r.student_list_id = %(list)s AND r.effect = 2 AND r.outcome < 3))",
            {"at": at, "by": by.pk, "list": student_list.pk},
        )
    return student_list


@transaction.atomic
def return_list(*, by: User, student_list: StudentList, reason: str, at: dt.datetime) -> StudentList:
    """Send a list back with a reason: to be mended and submitted again, or undone."""
    student_list = _locked(
        student_list,
        State.SUBMITTED,
        State.VERIFIED,
        otherwise="Danh sách này không chờ thẩm định hay phê duyệt.",
    )
    student_list.state = State.RETURNED
    student_list.returned_at, student_list.returned_by = at, by
    student_list.return_reason = reason.strip()
    student_list.verified_at = student_list.verified_by = None
    student_list.save()
    return student_list


def warnings_of(student_list: StudentList) -> list[tuple[str, int, str]]:
    """(code, rows, an example of what is said) for each kind of warning, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f->>2, count(*), min(f->>4) FROM schools_listrow r, jsonb_array_elements(r.findings) f"
            " WHERE r.student_list_id = %s AND r.outcome = 2 AND f->>1 = %s AND f->>2 <> 'told_apart' GROUP BY 1 ORDER BY 2 DESC, 1",
            [student_list.pk, WARNING],
        )
        return cursor.fetchall()


def missing_from_list(student_list: StudentList, *, limit: int = 200) -> tuple[int, list[tuple]]:
    """Students of the file's schools whom the system has but the file has not: (count, first ones by name)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH schools AS (
                SELECT DISTINCT sc.office_id FROM schools_listrow r JOIN schools_school sc ON sc.code = r.school_code
                WHERE r.student_list_id = %(list)s)
            SELECT s.id, s.full_name, s.class_name, o.name, count(*) OVER ()
            FROM schools_student s JOIN schools ON schools.office_id = s.school_id JOIN schools_office o ON o.id = schools.office_id
            WHERE s.state IN ('listed', 'approved') AND s.student_list_id IS DISTINCT FROM %(list)s
              AND NOT EXISTS (SELECT FROM schools_listrow r WHERE r.student_list_id = %(list)s AND r.student_id = s.id)
            ORDER BY s.sort_key LIMIT %(limit)s""",
            {"list": student_list.pk, "limit": limit},
        )
        rows = cursor.fetchall()
    return (rows[0][4] if rows else 0), [row[:4] for row in rows]

"""One row of a checked list in the page: what stands in its cells, and other text put into them."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from common import crypto
from schools.lists.columns import TITLES, Header
from schools.lists.findings import ERROR, GRAVITY
from schools.lists.rows import Options, RowChecker
from schools.models import ListRow, Student
from schools.services import list_matching
from schools.services.list_namesakes import compare_in_file, opened_row, shared_with_others
from schools.services.list_reading import Places, household_key, options_for, without_number


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


@transaction.atomic
def fix_cells(*, by: User, row: ListRow, values: dict[str, str], at: dt.datetime) -> ListRow:
    """Put other text into cells of a checked row and check it again, with the rows it was or is like.

    Args:
        values: our column key → new text.

    Raises ValidationError when the list is committed already.
    """
    student_list, row = opened_row(row)
    options = options_for(
        student_list.office,
        today=timezone.localdate(at),
        school_code=student_list.school.code if student_list.school else "",
        group=student_list.group,
    )
    before = shared_with_others(row)
    _recheck(row, cells_of(row) | values, options, Places(student_list.office))
    affected = compare_in_file(row, before, shared_with_others(row))
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

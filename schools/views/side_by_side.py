"""A row of a file beside whom it may be: another row, or a student."""

from common.templatetags.vi import format_date
from schools.models import ListRow, School, Student

_STATE = "Trạng thái"
_HIDDEN = "thuộc đơn vị khác, không hiển thị"


def side_by_side(
    row: ListRow, other: ListRow | Student, *, sees_row: bool = True, sees_other: bool = True
) -> list[tuple[str, str, str, bool]]:
    """(what, in the row, in the other, whether they differ) of all that tells two children apart.

    Identity numbers stay unsaid; a side that the person may not see is said to be hidden.
    """
    return [
        (
            title,
            mine if sees_row else _HIDDEN,
            theirs if sees_other else _HIDDEN,
            sees_row and sees_other and mine != theirs and title != _STATE,
        )
        for (title, mine), (_, theirs) in zip(_side(row), _side(other), strict=True)
    ]


def _side(one: ListRow | Student) -> list[tuple[str, str]]:
    groups, sexes = dict(Student.Group.choices), dict(Student.Sex.choices)
    if isinstance(one, ListRow):
        names = School.objects.filter(code=one.school_code).values_list("office__name", flat=True)
        school, code, state = (
            names.first() or one.school_code,
            one.student_code,
            "trong danh sách đang kiểm tra",
        )
    else:
        school, code, state = str(one.school), one.code, one.get_state_display()
    return [
        ("Họ và tên", one.full_name),
        ("Ngày sinh", format_date(one.born_on)),
        ("Giới tính", str(sexes.get(one.sex, ""))),
        ("Trường", school),
        ("Lớp", one.class_name),
        ("Mã học sinh", code),
        ("Số định danh", "có" if one.identity_index else "chưa có"),
        ("Đối tượng", str(groups.get(one.group, ""))),
        (_STATE, state),
    ]

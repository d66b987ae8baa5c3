"""The tree of offices, the people in it, and what happens when an office closes."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.forms import Form

from accounts.models import User
from common.refusals import TOO_MUCH, refusals_on
from schools.models import AdministrativeUnit, Office, School, StaffRole, Student
from schools.reach import held_roles, holds
from schools.services.offices import close_office, move_office, rename_office
from schools.services.roles import end_role, grant_role, invite

Kind, Role = Office.Kind, StaffRole.Role
STARTED = dt.date(2021, 1, 1)
AT = dt.datetime(2021, 11, 15, 9, tzinfo=dt.UTC)

pytestmark = pytest.mark.django_db


def make_office(code: str, kind: Kind, parent: Office | None = None, **fields) -> Office:
    path = f"{parent.path if parent else '/'}{code}/"
    return Office.objects.create(
        code=code, kind=kind, name=f"Cơ quan {code}", parent=parent, path=path, valid_from=STARTED, **fields
    )


def make_user(name: str) -> User:
    return User.objects.create_user(f"{name}@example.vn", full_name=name)


class World:
    """Two provinces with a district and a school each."""

    def __init__(self):
        self.programme = make_office("CT", Kind.PROGRAMME)
        self.moet = make_office("BGD", Kind.MOET, self.programme)
        self.mic = make_office("BTTTT", Kind.MIC, self.programme)
        self.audit = make_office("KT", Kind.AUDIT, self.programme)
        self.warehouse = make_office("KHO", Kind.WAREHOUSE, self.programme)
        self.department = make_office("S-01", Kind.PROVINCE_DEPARTMENT, self.moet)
        self.other_department = make_office("S-75", Kind.PROVINCE_DEPARTMENT, self.moet)
        self.district = make_office("P-001", Kind.DISTRICT_OFFICE, self.department)
        self.neighbour = make_office("P-002", Kind.DISTRICT_OFFICE, self.department)
        unit = {"valid_from": STARTED, "vintage": "2021"}
        self.province = AdministrativeUnit.objects.create(
            level="province", code="01", name="Hà Nội", full_name="Thành phố Hà Nội", slug="ha-noi", **unit
        )
        of = {"province": self.province, **unit}
        self.unit = AdministrativeUnit.objects.create(
            level="district", code="001", name="Ba Đình", full_name="Quận Ba Đình", parent=self.province, **of
        )
        self.commune = AdministrativeUnit.objects.create(
            level="commune", code="00001", name="Phúc Xá", full_name="Phường Phúc Xá", parent=self.unit, **of
        )
        self.school = self.make_school("01001001")
        self.other_school = self.make_school("01001002")
        self.head = make_user("phu-trach")
        self.give(self.head, self.programme, Role.MANAGER)

    def make_school(self, code: str) -> School:
        return School.objects.create(
            office=make_office(code, Kind.SCHOOL, self.district),
            code=code,
            level=School.Level.PRIMARY,
            commune=self.commune,
            district=self.unit,
            province=self.province,
        )

    def give(self, user: User, office: Office, role: Role) -> StaffRole:
        return StaffRole.objects.create(
            user=user, office=office, role=role, granted_at=AT, granted_by=User.objects.system()
        )


@pytest.fixture
def world() -> World:
    return World()


# --- how far a role reaches -----------------------------------------------------------------------------------


def test_a_role_reaches_down_its_own_branch_only(world):
    user = make_user("chuyen-vien")
    world.give(user, world.department, Role.CLERK)
    codes = set(Office.objects.for_user(user).values_list("code", flat=True))
    assert codes == {"S-01", "P-001", "P-002", "01001001", "01001002"}
    assert set(School.objects.for_user(user)) == {world.school, world.other_school}
    assert holds(user, Role.CLERK, office=world.school.office)
    assert not holds(user, Role.APPROVER, office=world.school.office)
    assert not holds(user, Role.CLERK, office=world.other_department)


def test_a_code_that_begins_like_another_is_not_within_reach(world):
    near = make_office("S-0", Kind.PROVINCE_DEPARTMENT, world.moet)
    user = make_user("chuyen-vien")
    world.give(user, near, Role.CLERK)
    assert set(Office.objects.for_user(user)) == {near}


@pytest.mark.parametrize(
    ("office", "reaches_warehouse", "reaches_school"),
    [("programme", True, True), ("moet", True, True), ("audit", True, True), ("mic", False, False)],
)
def test_who_watches_sees_what_its_parent_sees(world, office, reaches_warehouse, reaches_school):
    user = make_user("quan-sat")
    world.give(user, getattr(world, office), Role.VIEWER)
    seen = set(Office.objects.for_user(user))
    assert (world.warehouse in seen) is reaches_warehouse
    assert (world.school.office in seen) is reaches_school


def test_an_ended_role_or_a_locked_account_reaches_nothing(world):
    user = make_user("chuyen-vien")
    role = world.give(user, world.department, Role.CLERK)
    end_role(by=world.head, role=role, at=AT)
    assert not Office.objects.for_user(user).exists()
    world.give(user, world.department, Role.CLERK)
    user.is_active = False
    assert held_roles(user) == ()


def test_reach_costs_one_query_however_many_roles(world, django_assert_num_queries):
    user = make_user("nhieu-vai")
    for office in (world.department, world.district, world.neighbour, world.other_department):
        world.give(user, office, Role.VIEWER)
    with django_assert_num_queries(2):
        assert len(Office.objects.for_user(user)) == 6


# --- roles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", StaffRole.INCOMPATIBLE, ids=lambda pair: "-".join(pair))
@pytest.mark.parametrize("turned", [False, True])
def test_the_database_refuses_incompatible_roles_even_in_different_offices(world, pair, turned):
    one, other = reversed(pair) if turned else pair
    user = make_user("hai-vai")
    world.give(user, world.department, one)
    with pytest.raises(IntegrityError, match="không đi cùng"), transaction.atomic():
        world.give(user, world.other_department, other)
    with (
        pytest.raises(IntegrityError, match="không đi cùng"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO schools_staffrole (user_id, office_id, role, granted_at, granted_by_id) "
            "VALUES (%s, %s, %s, now(), %s)",
            [user.pk, world.district.pk, str(other), world.head.pk],
        )


def test_every_other_pair_of_roles_goes_together(world):
    for number, one in enumerate(Role):
        for other in Role:
            if (
                one == other
                or (one, other) in StaffRole.INCOMPATIBLE
                or (other, one) in StaffRole.INCOMPATIBLE
            ):
                continue
            user = make_user(f"cap-{number}-{other}")
            world.give(user, world.department, one)
            world.give(user, world.department, other)
            assert user.staff_roles.count() == 2


def test_an_ended_role_frees_the_person_for_the_other(world):
    user = make_user("doi-vai")
    end_role(by=world.head, role=world.give(user, world.department, Role.CLERK), at=AT)
    assert grant_role(by=world.head, user=user, office=world.department, role=Role.APPROVER, at=AT).pk


def test_the_refusal_becomes_a_sentence_on_the_form(world):
    user = make_user("hai-vai")
    world.give(user, world.department, Role.CLERK)
    form = Form({})
    with refusals_on(form):
        grant_role(by=world.head, user=user, office=world.department, role=Role.APPROVER, at=AT)
    assert "người lập không được duyệt" in form.non_field_errors()[0]
    twice = Form({})
    with refusals_on(twice):
        grant_role(by=world.head, user=user, office=world.department, role=Role.CLERK, at=AT)
    assert twice.non_field_errors() == ["Người này đang giữ vai trò đó ở cơ quan này."]


@pytest.mark.parametrize("name", ["x" * 500, "a\0b"])
def test_what_no_column_can_hold_is_said_on_the_form(world, name):
    form = Form({})
    with refusals_on(form):
        User.objects.filter(pk=world.head.pk).update(full_name=name)
    assert form.non_field_errors() == [TOO_MUCH]
    assert User.objects.filter(pk=world.head.pk, full_name=world.head.full_name).exists()


def test_a_number_too_large_for_a_copy_is_said_on_the_form():
    form = Form({})
    with refusals_on(form), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE kho (so_may smallint) ON COMMIT DROP")
        with cursor.copy("COPY kho FROM STDIN") as copy:
            copy.write_row([99_999])
    assert form.non_field_errors() == [TOO_MUCH]


@pytest.mark.django_db(transaction=True)
def test_two_grants_at_the_same_moment_cannot_both_win():
    world = World()
    user = make_user("hai-vai")

    def grant(role):
        try:
            grant_role(by=world.head, user=user, office=world.department, role=role, at=AT)
            return True
        except IntegrityError:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(grant, [Role.CLERK, Role.APPROVER]))
    assert sorted(won) == [False, True]


def test_two_offices_do_not_end_up_below_each_other(world):
    """Each request read the other office before the first one moved."""
    stale = Office.objects.get(pk=world.department.pk)
    move_office(by=world.head, office=world.department, parent=world.other_department)
    with pytest.raises(ValidationError, match="không được nằm dưới"):
        move_office(by=world.head, office=world.other_department, parent=stale)


def test_nobody_gives_themselves_a_role(world):
    with pytest.raises(ValidationError, match="không tự cấp"):
        grant_role(by=world.head, user=world.head, office=world.moet, role=Role.VIEWER, at=AT)


def test_an_invitation_finds_the_account_in_any_spelling(world):
    first = invite(
        by=world.head,
        email="co.lan@example.vn",
        full_name="Cô Lan",
        office=world.district,
        role="clerk",
        at=AT,
    )
    again = invite(
        by=world.head,
        email=" Co.Lan@Example.vn",
        full_name="Khác",
        office=world.department,
        role="clerk",
        at=AT,
    )
    assert first.user == again.user
    assert not first.user.has_usable_password()


def test_the_last_head_of_an_office_cannot_leave_it_without_one(world):
    role = StaffRole.objects.get(user=world.head)
    with pytest.raises(ValidationError, match="cuối cùng"):
        end_role(by=world.head, role=role, at=AT)
    world.give(make_user("nguoi-sau"), world.programme, Role.MANAGER)
    assert end_role(by=world.head, role=role, at=AT).ended_by == world.head


# --- the tree -------------------------------------------------------------------------------------------------


def test_the_database_refuses_a_path_that_leaves_the_tree(world):
    with pytest.raises(IntegrityError, match="không khớp"), transaction.atomic():
        Office.objects.filter(pk=world.school.pk).update(path="/CT/01001001/")
    with pytest.raises(IntegrityError, match="không khớp"), transaction.atomic():
        Office.objects.filter(pk=world.district.pk).update(parent=world.other_department)


def test_the_database_refuses_a_school_in_another_province_than_its_commune(world):
    other = AdministrativeUnit.objects.create(
        level="province",
        code="75",
        name="Đồng Nai",
        full_name="Tỉnh Đồng Nai",
        slug="dong-nai",
        valid_from=STARTED,
    )
    with pytest.raises(IntegrityError, match="xã nơi trường đóng"), transaction.atomic():
        School.objects.filter(pk=world.school.pk).update(province=other)


def test_an_office_moves_with_all_below_it(world):
    move_office(by=world.head, office=world.district, parent=world.other_department)
    world.school.office.refresh_from_db()
    assert world.school.office.path == "/CT/BGD/S-75/P-001/01001001/"
    with pytest.raises(ValidationError, match="không được nằm dưới"):
        move_office(by=world.head, office=world.other_department, parent=world.school.office)


def make_student(school: School, **fields) -> Student:
    fields = {"full_name": "Nguyễn Văn A", "search_key": "nguyen van a", "sort_key": "a"} | fields
    return Student.objects.create(
        school=school, born_on=dt.date(2013, 5, 4), group=Student.Group.POOR, **fields
    )


def test_a_school_that_merges_takes_its_people_and_pupils_along(world):
    teacher = make_user("co-giao")
    world.give(teacher, world.school.office, Role.CLERK)
    student = make_student(world.school)
    gone = make_student(world.school, state=Student.State.LEFT)
    closed = close_office(
        by=world.head,
        office=world.school.office,
        successor=world.other_school.office,
        reason="QĐ 12/2021",
        at=AT,
    )
    assert dict(closed.moved) == {"học sinh đang học": 1, "người và vai trò": 1}
    student.refresh_from_db()
    gone.refresh_from_db()
    assert student.school == world.other_school
    assert gone.school == world.school
    assert [role.office for role in teacher.staff_roles.filter(ended_at=None)] == [world.other_school.office]
    assert closed.office.valid_to == AT.date()
    assert closed.office.successor == world.other_school.office


def test_a_district_that_ends_leaves_its_schools_to_the_successor(world):
    close_office(by=world.head, office=world.district, successor=world.department, reason="Luật 2025", at=AT)
    world.school.office.refresh_from_db()
    assert world.school.office.path == "/CT/BGD/S-01/01001001/"
    assert world.school.office.parent == world.department


@pytest.mark.parametrize(
    ("office", "successor", "message"),
    [
        ("district", "district", "cơ quan khác"),
        ("department", "district", "không được nằm dưới"),
        ("programme", "moet", "nằm dưới|nhập vào"),
    ],
)
def test_an_office_closes_only_into_one_that_can_take_over(world, office, successor, message):
    with pytest.raises(ValidationError, match=message):
        close_office(
            by=world.head,
            office=getattr(world, office),
            successor=getattr(world, successor),
            reason="QĐ 1",
            at=AT,
        )


def test_a_closed_office_closes_no_second_time_and_takes_nobody_in(world):
    close_office(by=world.head, office=world.district, successor=world.neighbour, reason="QĐ 1", at=AT)
    world.district.refresh_from_db()
    with pytest.raises(ValidationError, match="đã ngừng"):
        close_office(by=world.head, office=world.district, successor=world.neighbour, reason="QĐ 2", at=AT)
    with pytest.raises(ValidationError, match="đã ngừng"):
        grant_role(by=world.head, user=make_user("moi"), office=world.district, role=Role.CLERK, at=AT)
    with pytest.raises(ValidationError, match="không hoạt động"):
        close_office(by=world.head, office=world.neighbour, successor=world.district, reason="QĐ 3", at=AT)


def test_a_new_name_leaves_the_old_one_in_the_trail(world):
    rename_office(by=world.head, office=world.district, name="  Phòng   GD&ĐT mới ")
    world.district.refresh_from_db()
    assert world.district.name == "Phòng GD&ĐT mới"
    names = world.district.events.order_by("pgh_id").values_list("name", flat=True)
    assert list(names) == ["Cơ quan P-001", "Phòng GD&ĐT mới"]

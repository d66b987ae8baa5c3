"""The one noun for a beneficiary: a pupil or student without a computer (Plan I.1a, III.2c)."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.audit import audited
from common.constraints import paired
from schools.models.offices import School
from schools.models.units import AdministrativeUnit
from schools.reach import reach


class StudentQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, through="school__office__"))

    def eligible(self):
        """Approved, in a group of the plan (every row is), and not recorded as having a computer (Plan I.1a)."""
        return self.filter(state=Student.State.APPROVED, has_device=False)


@audited(inserts=False, children=True)
class Student(models.Model):
    """A pupil or student. Identity number encrypted; found again by blind index only."""

    class Group(models.TextChoices):
        POOR = "poor", "Hộ nghèo"
        NEAR_POOR = "near_poor", "Hộ cận nghèo"
        COVID_ORPHAN = "covid_orphan", "Mồ côi do COVID-19"

    class Sex(models.TextChoices):
        MALE = "male", "Nam"
        FEMALE = "female", "Nữ"

    class State(models.TextChoices):
        LISTED = "listed", "Trong danh sách, chờ duyệt"
        APPROVED = "approved", "Đã duyệt"
        LEFT = "left", "Đã thôi học"
        OUT_OF_GROUP = "out_of_group", "Không còn thuộc đối tượng"

    # Found by `student_school_class`, which begins with it.
    school = models.ForeignKey(
        School, on_delete=models.PROTECT, related_name="students", db_index=False, verbose_name="trường"
    )
    code = models.CharField("mã học sinh", max_length=16, blank=True)
    class_name = models.CharField("lớp", max_length=20, blank=True)
    grade = models.PositiveSmallIntegerField("khối", null=True, blank=True)
    full_name = models.CharField("họ và tên", max_length=80)
    search_key = models.CharField("khoá tìm kiếm", max_length=120, db_collation="C")
    sort_key = models.CharField("khoá sắp xếp", max_length=240, db_collation="C")
    born_on = models.DateField("ngày sinh")
    sex = models.CharField("giới tính", max_length=6, choices=Sex, blank=True)
    group = models.CharField("đối tượng", max_length=12, choices=Group)
    # One key per (commune, household code or head); empty where no household code was given.
    household_key = models.CharField("khoá hộ", max_length=64, blank=True)
    home_commune = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="xã, phường nơi ở",
    )
    identity_sealed = models.BinaryField("số định danh (đã mã hoá)", null=True, blank=True)
    identity_index = models.BinaryField("khoá tra số định danh", max_length=32, null=True, blank=True)
    has_device = models.BooleanField("đã có máy tính", default=False)
    state = models.CharField("trạng thái", max_length=12, choices=State, default=State.LISTED)
    approved_at = models.DateTimeField("duyệt lúc", null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người duyệt",
    )
    student_list = models.ForeignKey(
        "schools.StudentList",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="students",
        verbose_name="danh sách gần nhất",
    )

    objects = StudentQuerySet.as_manager()

    class Meta:
        verbose_name = "học sinh, sinh viên"
        verbose_name_plural = "học sinh, sinh viên"
        indexes = [
            models.Index(fields=["school", "class_name"], name="student_school_class"),
            # A freeze reads who of a school may be given a device, and who else is of a household, from these alone: to
            # visit the rows of a province costs three times as much.
            models.Index(
                fields=["school"],
                include=["id", "group", "household_key", "grade"],
                name="student_eligible",
                condition=Q(state="approved", has_device=False),
            ),
            models.Index(
                fields=["household_key"],
                include=["id"],
                name="student_household",
                condition=~Q(household_key=""),
            ),
            models.Index(fields=["search_key", "born_on"], name="student_likely"),
        ]
        constraints = [
            paired("student", "approved"),
            models.UniqueConstraint(
                fields=["identity_index"],
                condition=Q(identity_index__isnull=False),
                name="student_identity_unique",
                violation_error_message="Số định danh này đã có ở một học sinh khác.",
            ),
            models.UniqueConstraint(
                fields=["code"],
                condition=~Q(code=""),
                name="student_code_unique",
                violation_error_message="Mã học sinh này đã có.",
            ),
            models.CheckConstraint(
                name="student_approved_state_has_approver",
                condition=~Q(state="approved") | Q(approved_at__isnull=False),
                violation_error_message="Học sinh đã duyệt phải có người duyệt.",
            ),
            models.CheckConstraint(
                name="student_identity_sealed_with_index",
                condition=Q(identity_sealed__isnull=True, identity_index__isnull=True)
                | Q(identity_sealed__isnull=False, identity_index__isnull=False),
                violation_error_message="Số định danh phải được mã hoá cùng khoá tra.",
            ),
        ]

    def __str__(self):
        return self.full_name


class StatusChange(models.Model):
    """Something that happened to a student after listing, kept for good (append-only)."""

    class Kind(models.TextChoices):
        MOVED = "moved", "Chuyển trường"
        LEFT = "left", "Thôi học"
        OUT_OF_GROUP = "out_of_group", "Không còn thuộc đối tượng"
        GOT_DEVICE = "got_device", "Đã có máy từ nguồn khác"
        STILL_HERE = "still_here", "Rà soát lại: vẫn đủ điều kiện"

    student = models.ForeignKey(
        Student, on_delete=models.PROTECT, related_name="status_changes", verbose_name="học sinh"
    )
    kind = models.CharField("thay đổi", max_length=12, choices=Kind)
    from_school = models.ForeignKey(
        School, on_delete=models.PROTECT, related_name="+", verbose_name="trường trước đó"
    )
    to_school = models.ForeignKey(
        School, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name="trường mới"
    )
    reason = models.TextField("lý do, căn cứ")
    changed_at = models.DateTimeField("ghi nhận lúc")
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi nhận"
    )

    class Meta:
        verbose_name = "thay đổi của học sinh"
        verbose_name_plural = "thay đổi của học sinh"
        constraints = [
            paired("statuschange", "changed"),
            models.CheckConstraint(
                name="statuschange_move_has_school",
                condition=Q(kind="moved", to_school__isnull=False)
                | (~Q(kind="moved") & Q(to_school__isnull=True)),
                violation_error_message="Chuyển trường thì phải ghi trường mới.",
            ),
        ]

    def __str__(self):
        return f"{self.get_kind_display()}: {self.student}"

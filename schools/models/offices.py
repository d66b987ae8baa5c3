"""Offices in one tree, schools, and the roles that people hold in them."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.audit import audited
from common.constraints import paired, positive
from schools.models.units import AdministrativeUnit
from schools.reach import reach


class OfficeQuerySet(models.QuerySet):
    def for_user(self, user):
        """The offices that the person's roles reach."""
        return self.filter(reach(user))

    def open_on(self, day: dt.date):
        return self.filter(valid_from__lte=day).filter(Q(valid_to__isnull=True) | Q(valid_to__gt=day))

    def within(self, office: "Office"):
        """The office and all below it in the tree."""
        return self.filter(path__startswith=office.path)


@audited()
class Office(models.Model):
    """A named body in the programme's tree: only offices send, receive, list and approve (Plan I.2d, III.2c)."""

    class Kind(models.TextChoices):
        PROGRAMME = "programme", "Văn phòng Chương trình"
        MOET = "moet", "Bộ Giáo dục và Đào tạo"
        MIC = "mic", "Bộ Thông tin và Truyền thông"
        PROVINCE_COMMITTEE = "province_committee", "Ủy ban nhân dân tỉnh"
        PROVINCE_DEPARTMENT = "province_department", "Sở Giáo dục và Đào tạo"
        PROVINCE_INFORMATION = "province_information", "Sở Thông tin và Truyền thông"
        DISTRICT_OFFICE = "district_office", "Phòng Giáo dục và Đào tạo"
        COMMUNE_OFFICE = "commune_office", "Ủy ban nhân dân xã, phường"
        SCHOOL = "school", "Trường học"
        UNIVERSITY = "university", "Trường đại học, cao đẳng trực thuộc Bộ"
        WAREHOUSE = "warehouse", "Kho tiếp nhận"
        AUDIT = "audit", "Cơ quan kiểm toán, giám sát"

    kind = models.CharField("loại", max_length=24, choices=Kind)
    code = models.CharField("mã", max_length=24, unique=True)
    name = models.CharField("tên", max_length=160)
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name="cơ quan cấp trên",
    )
    # Materialised path of codes, "/CT/BGD/S-01/": reach down the tree is one prefix comparison.
    path = models.CharField("đường dẫn trong cây", max_length=200, unique=True)
    unit = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="offices",
        verbose_name="địa bàn",
        help_text="Bỏ trống nếu phụ trách cả nước.",
    )
    address = models.CharField("địa chỉ", max_length=200, blank=True)
    valid_from = models.DateField("hoạt động từ ngày")
    valid_to = models.DateField("đến trước ngày", null=True, blank=True)
    successor = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="predecessors",
        verbose_name="cơ quan tiếp nhận công việc",
    )
    closing_reason = models.CharField("căn cứ giải thể, sáp nhập", max_length=200, blank=True)

    objects = OfficeQuerySet.as_manager()

    class Meta:
        verbose_name = "cơ quan, đơn vị"
        verbose_name_plural = "cơ quan, đơn vị"
        indexes = [
            models.Index(fields=["path"], name="office_path", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["kind", "unit"], name="office_kind_unit"),
        ]
        constraints = [
            models.CheckConstraint(
                name="office_successor_is_another",
                condition=Q(successor__isnull=True) | ~Q(successor=F("id")),
                violation_error_message="Cơ quan tiếp nhận công việc phải là cơ quan khác.",
            ),
            models.CheckConstraint(
                name="office_successor_only_when_closed",
                condition=Q(successor__isnull=True) | Q(valid_to__isnull=False),
                violation_error_message="Chỉ cơ quan đã ngừng hoạt động mới có nơi tiếp nhận công việc.",
            ),
            models.CheckConstraint(
                name="office_validity_in_order",
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                violation_error_message="Ngày ngừng hoạt động phải sau ngày bắt đầu.",
            ),
            models.CheckConstraint(
                name="office_only_root_without_parent",
                condition=Q(kind="programme", parent__isnull=True)
                | Q(~Q(kind="programme"), parent__isnull=False),
                violation_error_message="Mọi cơ quan phải có cấp trên, trừ Văn phòng Chương trình.",
            ),
        ]

    def __str__(self):
        return self.name


class SchoolQuerySet(models.QuerySet):
    def for_user(self, user):
        """The schools that the person's roles reach."""
        return self.filter(reach(user, through="office__"))


@audited()
class School(models.Model):
    """A school, college or university: an office in which students learn. Custody and roles hang on its office."""

    class Level(models.TextChoices):
        PRIMARY = "primary", "Tiểu học"
        LOWER_SECONDARY = "lower_secondary", "Trung học cơ sở"
        UPPER_SECONDARY = "upper_secondary", "Trung học phổ thông"
        COMBINED = "combined", "Liên cấp"
        CONTINUING = "continuing", "Giáo dục thường xuyên"
        COLLEGE = "college", "Cao đẳng"
        UNIVERSITY = "university", "Đại học"

    office = models.OneToOneField(
        Office, on_delete=models.PROTECT, primary_key=True, related_name="school", verbose_name="đơn vị"
    )
    code = models.CharField("mã trường", max_length=12, unique=True)
    level = models.CharField("cấp học", max_length=16, choices=Level)
    commune = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        related_name="schools_in_commune",
        verbose_name="xã, phường",
    )
    # Denormalised from the commune for the engine's set-based reads; held by load and by a database trigger.
    district = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="schools_in_district",
        verbose_name="quận, huyện",
    )
    province = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        related_name="schools_in_province",
        verbose_name="tỉnh, thành phố",
    )
    enrolment = models.PositiveIntegerField("số học sinh toàn trường", default=0)
    teacher_count = models.PositiveIntegerField("số giáo viên", default=0)
    teachers_without_computer = models.PositiveIntegerField("số giáo viên chưa có máy", default=0)

    objects = SchoolQuerySet.as_manager()

    class Meta:
        verbose_name = "trường"
        verbose_name_plural = "trường"
        indexes = [models.Index(fields=["province", "district"], name="school_place")]
        constraints = [
            positive("school", "enrolment", "Số học sinh không thể âm.", zero=True),
            models.CheckConstraint(
                name="school_teachers_without_computer_within_count",
                condition=Q(teachers_without_computer__lte=F("teacher_count")),
                violation_error_message="Số giáo viên chưa có máy không thể vượt tổng số giáo viên.",
            ),
        ]

    def __str__(self):
        return self.office.name


class StaffRoleQuerySet(models.QuerySet):
    def live(self):
        return self.filter(ended_at=None)

    def for_user(self, user):
        """The roles held in offices that the person's roles reach."""
        return self.filter(reach(user, through="office__"))


@audited()
class StaffRole(models.Model):
    """A person's role in an office; it reaches down the office's subtree while it lasts."""

    class Role(models.TextChoices):
        MANAGER = "manager", "Phụ trách đơn vị (cấp và thu quyền)"
        CLERK = "clerk", "Chuyên viên (lập danh sách, phương án, vận chuyển)"
        APPROVER = "approver", "Lãnh đạo phê duyệt"
        KEEPER = "keeper", "Thủ kho"
        INSPECTOR = "inspector", "Kiểm định viên"
        AUDITOR = "auditor", "Kiểm toán, giám sát viên"
        VIEWER = "viewer", "Người xem số liệu"

    # Nobody prepares what they approve, and who audits does nothing else.
    INCOMPATIBLE = [
        (Role.CLERK, Role.APPROVER),
        (Role.KEEPER, Role.APPROVER),
        (Role.KEEPER, Role.INSPECTOR),
        (Role.AUDITOR, Role.MANAGER),
        (Role.AUDITOR, Role.CLERK),
        (Role.AUDITOR, Role.APPROVER),
        (Role.AUDITOR, Role.KEEPER),
        (Role.AUDITOR, Role.INSPECTOR),
    ]

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="staff_roles", verbose_name="người"
    )
    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="staff_roles", verbose_name="cơ quan"
    )
    role = models.CharField("vai trò", max_length=10, choices=Role)
    granted_at = models.DateTimeField("cấp lúc")
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người cấp"
    )
    ended_at = models.DateTimeField("thu lúc", null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người thu",
    )

    objects = StaffRoleQuerySet.as_manager()

    class Meta:
        verbose_name = "vai trò"
        verbose_name_plural = "vai trò"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "office", "role"],
                condition=Q(ended_at__isnull=True),
                name="staffrole_live_once",
                violation_error_message="Người này đang giữ vai trò đó ở cơ quan này.",
            ),
            paired("staffrole", "ended"),
        ]

    def __str__(self):
        return f"{self.get_role_display()} – {self.office}"

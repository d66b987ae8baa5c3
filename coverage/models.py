"""The signal: operators, points without it, data plans, platforms, school connectivity (Plan II.1, II.3, III.2b)."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery, Sum

from common.audit import audited
from common.constraints import paired, positive
from schools.models import AdministrativeUnit, Office, School, StaffRole, Student
from schools.reach import held_roles, reach

# Whose roles see coverage in the whole country, and whose in their own province.
NATIONAL_KINDS = (Office.Kind.PROGRAMME, Office.Kind.MIC, Office.Kind.MOET, Office.Kind.AUDIT)
PROVINCIAL_KINDS = (
    Office.Kind.PROVINCE_COMMITTEE,
    Office.Kind.PROVINCE_INFORMATION,
    Office.Kind.PROVINCE_DEPARTMENT,
)

# Who may see a row about a child, and where: never the ministry of information, operators, or viewers of figures.
READS_CHILDREN = (
    StaffRole.Role.CLERK,
    StaffRole.Role.APPROVER,
    StaffRole.Role.MANAGER,
    StaffRole.Role.AUDITOR,
)
CHILDREN_KINDS = (
    Office.Kind.PROGRAMME,
    Office.Kind.MOET,
    Office.Kind.AUDIT,
    Office.Kind.PROVINCE_DEPARTMENT,
    Office.Kind.DISTRICT_OFFICE,
    Office.Kind.SCHOOL,
    Office.Kind.UNIVERSITY,
)


def in_reach(user, *, operator: str = "operator", province: str = "province") -> Q:
    """Rows of an operator or province that a person may see: their own operator's, their province's, or all.

    Args:
        user: who asks. operator, province: look-ups from the row to its operator and to its province.
    """
    roles = held_roles(user)
    if any(held.kind in NATIONAL_KINDS for held in roles):
        return Q()
    own = Operator.objects.filter(people__user_id=user.pk, people__ended_at__isnull=True)
    condition = Q(**{f"{operator}__in": own})
    offices = [held.office_id for held in roles if held.kind in PROVINCIAL_KINDS]
    if offices:
        condition |= Q(**{f"{province}__offices__in": offices})
    return condition


@audited()
class Operator(models.Model):
    """A telecom operator."""

    code = models.CharField("mã", max_length=16, unique=True)
    name = models.CharField("tên", max_length=120)
    is_mobile = models.BooleanField("có mạng di động", default=True)

    class Meta:
        verbose_name = "doanh nghiệp viễn thông"
        verbose_name_plural = "doanh nghiệp viễn thông"

    def __str__(self):
        return self.name


@audited()
class OperatorMember(models.Model):
    """A person who works for an operator; the role of the operator's side."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="operator_members",
        verbose_name="người",
    )
    operator = models.ForeignKey(
        Operator, on_delete=models.PROTECT, related_name="people", verbose_name="doanh nghiệp"
    )
    granted_at = models.DateTimeField("cấp lúc")
    ended_at = models.DateTimeField("thu lúc", null=True, blank=True)

    class Meta:
        verbose_name = "người của doanh nghiệp viễn thông"
        verbose_name_plural = "người của doanh nghiệp viễn thông"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "operator"],
                condition=Q(ended_at__isnull=True),
                name="operatormember_live_once",
                violation_error_message="Người này đang thuộc doanh nghiệp đó.",
            ),
        ]

    def __str__(self):
        return f"{self.user} – {self.operator}"


class CoveragePointQuerySet(models.QuerySet):
    def uncovered(self):
        return self.exclude(state=CoveragePoint.State.COVERED)

    def late_on(self, day: dt.date):
        """Points not covered whose deadline has passed."""
        return self.uncovered().filter(deadline_on__lt=day)

    def for_user(self, user):
        """Own points of an operator's people, own province of its offices, all for the ministries."""
        return self.filter(in_reach(user))


@audited()
class CoveragePoint(models.Model):
    """A place without mobile internet; 283 urgent ones by 30/09/2021, 1,910 in all within 2021 (Plan II.1)."""

    class State(models.TextChoices):
        OPEN = "open", "Chưa có sóng"
        PLANNED = "planned", "Đã lên kế hoạch"
        BUILDING = "building", "Đang xây dựng"
        BLOCKED = "blocked", "Đang vướng"
        COVERED = "covered", "Đã có sóng"

    TRANSITIONS = [
        (State.OPEN, State.PLANNED),
        (State.OPEN, State.BLOCKED),
        (State.OPEN, State.COVERED),
        (State.PLANNED, State.BUILDING),
        (State.PLANNED, State.BLOCKED),
        (State.PLANNED, State.COVERED),
        (State.BUILDING, State.BLOCKED),
        (State.BUILDING, State.COVERED),
        (State.BLOCKED, State.PLANNED),
        (State.BLOCKED, State.BUILDING),
        (State.BLOCKED, State.COVERED),
    ]

    class Blocker(models.TextChoices):
        NO_POWER = "no_power", "Chưa có điện lưới"
        ISLAND = "island", "Đảo, vùng cách trở"
        LAND = "land", "Vướng mặt bằng"
        TRANSMISSION = "transmission", "Chưa có đường truyền"
        EPIDEMIC = "epidemic", "Không vào được do dịch"
        OTHER = "other", "Lý do khác"

    code = models.CharField("mã điểm", max_length=12, unique=True)
    name = models.CharField("thôn, bản", max_length=120)
    commune = models.ForeignKey(
        AdministrativeUnit, on_delete=models.PROTECT, related_name="+", verbose_name="xã, phường"
    )
    province = models.ForeignKey(
        AdministrativeUnit, on_delete=models.PROTECT, related_name="points", verbose_name="tỉnh, thành phố"
    )
    latitude = models.DecimalField("vĩ độ", max_digits=8, decimal_places=5, null=True, blank=True)
    longitude = models.DecimalField("kinh độ", max_digits=8, decimal_places=5, null=True, blank=True)
    operator = models.ForeignKey(
        Operator, on_delete=models.PROTECT, related_name="points", verbose_name="doanh nghiệp"
    )
    is_urgent = models.BooleanField("thuộc địa phương Chỉ thị 16", default=False)
    deadline_on = models.DateField("hạn phủ sóng")
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.OPEN)
    blocker = models.CharField("vướng mắc", max_length=12, choices=Blocker, blank=True)
    covered_on = models.DateField("ngày có sóng", null=True, blank=True)

    objects = CoveragePointQuerySet.as_manager()

    class Meta:
        verbose_name = "điểm chưa có Internet di động"
        verbose_name_plural = "điểm chưa có Internet di động"
        indexes = [models.Index(fields=["operator", "state"], name="point_operator_state")]
        constraints = [
            models.CheckConstraint(
                name="point_covered_has_date",
                condition=Q(state="covered", covered_on__isnull=False)
                | Q(~Q(state="covered"), covered_on__isnull=True),
                violation_error_message="Điểm đã có sóng phải ghi ngày có sóng.",
            ),
            models.CheckConstraint(
                name="point_blocked_has_reason",
                condition=Q(~Q(state="blocked"), blocker="") | Q(Q(state="blocked"), ~Q(blocker="")),
                violation_error_message="Điểm đang vướng phải nêu vướng mắc gì.",
            ),
            models.CheckConstraint(
                name="point_inside_vietnam",
                condition=Q(latitude__isnull=True, longitude__isnull=True)
                | Q(latitude__gte=6, latitude__lte=24, longitude__gte=102, longitude__lte=118),
                violation_error_message="Toạ độ nằm ngoài Việt Nam: vĩ độ 6–24, kinh độ 102–118.",
            ),
        ]

    def __str__(self):
        return f"{self.code} {self.name}"


class PointReport(models.Model):
    """One report on a point: its new state, with a measurement where it says covered; append-only."""

    point = models.ForeignKey(
        CoveragePoint, on_delete=models.PROTECT, related_name="reports", verbose_name="điểm"
    )
    state = models.CharField("trạng thái", max_length=10, choices=CoveragePoint.State)
    blocker = models.CharField("vướng mắc", max_length=12, choices=CoveragePoint.Blocker, blank=True)
    measured_on = models.DateField("ngày đo", null=True, blank=True)
    download_kbps = models.PositiveIntegerField("tốc độ tải xuống (kbit/s)", null=True, blank=True)
    signal_dbm = models.SmallIntegerField("cường độ sóng (dBm)", null=True, blank=True)
    technology = models.CharField("công nghệ", max_length=4, blank=True)
    evidence = models.FileField("bằng chứng", upload_to="points/%Y/%m/", blank=True)
    evidence_sha256 = models.CharField("dấu vết bằng chứng", max_length=64, blank=True)
    reported_at = models.DateTimeField("báo cáo lúc")
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người báo cáo"
    )

    class Meta:
        verbose_name = "báo cáo về điểm"
        verbose_name_plural = "báo cáo về điểm"
        constraints = [
            models.CheckConstraint(
                name="pointreport_covered_is_measured",
                condition=~Q(state="covered") | Q(measured_on__isnull=False, download_kbps__gt=0),
                violation_error_message="Báo có sóng phải kèm ngày đo và tốc độ tải xuống đo được.",
            ),
        ]

    def __str__(self):
        return f"{self.point}: {self.get_state_display()}"


class SimBatchQuerySet(models.QuerySet):
    def for_user(self, user):
        """An operator's own batches, a province's, or all for the ministries."""
        return self.filter(in_reach(user))

    def with_used(self):
        """Annotate ``used``, how many SIMs of each are in plans: what its shares don't hold any more."""
        shares = PlanShare.objects.filter(batch=OuterRef("pk")).values("batch")
        return self.annotate(
            used=F("quantity") - Subquery(shares.annotate(sum=Sum("remaining")).values("sum"))
        )


@audited()
class SimBatch(models.Model):
    """A batch of SIMs that an operator gives to a province for its students (Plan II.3b)."""

    code = models.CharField("mã lô SIM", max_length=16, unique=True)
    operator = models.ForeignKey(
        Operator, on_delete=models.PROTECT, related_name="sim_batches", verbose_name="doanh nghiệp"
    )
    province = models.ForeignKey(
        AdministrativeUnit, on_delete=models.PROTECT, related_name="+", verbose_name="tỉnh, thành phố"
    )
    quantity = models.PositiveIntegerField("số SIM")
    delivered_on = models.DateField("ngày giao")
    registered_at = models.DateTimeField("ghi nhận lúc")
    registered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi nhận"
    )

    objects = SimBatchQuerySet.as_manager()

    class Meta:
        verbose_name = "lô SIM"
        verbose_name_plural = "lô SIM"
        indexes = [models.Index(fields=["province", "operator"], name="simbatch_place")]
        constraints = [
            positive("simbatch", "quantity", "Số SIM phải lớn hơn 0."),
        ]

    def __str__(self):
        return f"{self.code} {self.operator}"


class PlanShare(models.Model):
    """A part of what may still be given: of a batch of SIMs, or of the programme's million plans where it has none.

    A trigger of the plans takes each new one off shares that no other transaction holds, so that handovers don't wait
    for one another; the shares of a quota together never give more than the quota.
    """

    batch = models.ForeignKey(
        SimBatch,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="shares",
        verbose_name="lô SIM",
    )
    remaining = models.PositiveIntegerField("còn lại")

    class Meta:
        verbose_name = "phần còn lại của gói dữ liệu"
        verbose_name_plural = "phần còn lại của gói dữ liệu"

    def __str__(self):
        return f"{self.batch or 'Chương trình'}: {self.remaining}"


class DataPlanQuerySet(models.QuerySet):
    def live_on(self, day: dt.date):
        """Plans that serve a student on a day."""
        return self.filter(starts_on__lte=day, ends_on__gte=day).filter(
            Q(cancelled_on__isnull=True) | Q(cancelled_on__gt=day)
        )

    def ending_within(self, *, day: dt.date, days: int):
        """Live plans whose last free day is at most ``days`` away: families are told before they are charged."""
        return self.live_on(day).filter(ends_on__lte=day + dt.timedelta(days=days))

    def for_user(self, user):
        """Plans of the students within reach of a person's offices; children, so no operator or MIC sees them."""
        return self.filter(
            reach(user, *READS_CHILDREN, kinds=CHILDREN_KINDS, through="student__school__office__")
        )


@audited(inserts=False, children=True)
class DataPlan(models.Model):
    """4 GB a day for 3 months, free, started by the handover of a computer (Plan II.3b). One live per student."""

    student = models.ForeignKey(
        Student, on_delete=models.PROTECT, related_name="data_plans", verbose_name="học sinh"
    )
    operator = models.ForeignKey(
        Operator, on_delete=models.PROTECT, related_name="data_plans", verbose_name="doanh nghiệp"
    )
    # Text, not a key: coverage does not know devices (its sibling's).
    device_code = models.CharField("mã thiết bị", max_length=20)
    sim_number = models.CharField("số SIM", max_length=20, blank=True)
    sim_batch = models.ForeignKey(
        SimBatch,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="plans",
        verbose_name="lô SIM",
    )
    daily_mb = models.PositiveIntegerField("dung lượng mỗi ngày (MB)", default=4096)
    starts_on = models.DateField("bắt đầu")
    ends_on = models.DateField("kết thúc")
    started_at = models.DateTimeField("ghi nhận lúc")
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi nhận"
    )
    cancelled_on = models.DateField("dừng từ ngày", null=True, blank=True)

    objects = DataPlanQuerySet.as_manager()

    class Meta:
        verbose_name = "gói dữ liệu"
        verbose_name_plural = "gói dữ liệu"
        indexes = [models.Index(fields=["ends_on"], name="dataplan_ends")]
        constraints = [
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(cancelled_on__isnull=True),
                name="dataplan_one_per_student",
                violation_error_message="Học sinh này đã có gói dữ liệu của Chương trình.",
            ),
            models.UniqueConstraint(
                fields=["sim_number"],
                condition=~Q(sim_number="") & Q(cancelled_on__isnull=True),
                name="dataplan_sim_once",
                violation_error_message="SIM này đang gắn với một gói khác.",
            ),
            models.CheckConstraint(
                name="dataplan_dates_in_order",
                condition=Q(ends_on__gt=F("starts_on")),
                violation_error_message="Ngày kết thúc phải sau ngày bắt đầu.",
            ),
        ]

    def __str__(self):
        return f"{self.operator} {self.starts_on}"


@audited()
class LearningPlatform(models.Model):
    """A Vietnamese online teaching platform, reviewed and published by both ministries (Plan II.3a, III.1b, III.2b)."""

    name = models.CharField("tên", max_length=120, unique=True)
    owner = models.CharField("đơn vị chủ quản", max_length=160)
    url = models.URLField("địa chỉ")
    grades = models.CharField("khối lớp", max_length=80)
    subjects = models.CharField("môn học", max_length=200)
    is_free = models.BooleanField("miễn phí", default=True)
    is_zero_rated = models.BooleanField("không tính cước dữ liệu", default=False)
    checked_on = models.DateField("ngày rà soát", null=True, blank=True)
    moet_reviewed_at = models.DateTimeField("Bộ GD&ĐT rà soát lúc", null=True, blank=True)
    moet_reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người rà soát của Bộ GD&ĐT",
    )
    mic_reviewed_at = models.DateTimeField("Bộ TT&TT rà soát lúc", null=True, blank=True)
    mic_reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người rà soát của Bộ TT&TT",
    )
    is_published = models.BooleanField("đã công bố", default=False)
    source = models.CharField("nguồn", max_length=300)

    class Meta:
        verbose_name = "nền tảng dạy, học trực tuyến"
        verbose_name_plural = "nền tảng dạy, học trực tuyến"
        constraints = [
            paired("platform", "moet_reviewed"),
            paired("platform", "mic_reviewed"),
            models.CheckConstraint(
                name="platform_published_by_both",
                condition=Q(is_published=False)
                | Q(moet_reviewed_at__isnull=False, mic_reviewed_at__isnull=False),
                violation_error_message="Chỉ công bố nền tảng mà cả hai Bộ đã rà soát.",
            ),
        ]

    def __str__(self):
        return self.name


class SchoolConnectivityQuerySet(models.QuerySet):
    def for_user(self, user):
        """Schools within reach of a person's offices."""
        return self.filter(reach(user, through="school__office__"))


@audited()
class SchoolConnectivity(models.Model):
    """Whether a school is connected, by which source and year; 'unknown' is a state of its own (Plan III.2b)."""

    class State(models.TextChoices):
        CONNECTED = "connected", "Đã kết nối"
        NOT_CONNECTED = "not_connected", "Chưa kết nối"
        UNKNOWN = "unknown", "Chưa rõ"

    school = models.OneToOneField(
        School, on_delete=models.PROTECT, related_name="connectivity", verbose_name="trường"
    )
    state = models.CharField("kết nối Internet", max_length=14, choices=State, default=State.UNKNOWN)
    source = models.CharField("nguồn", max_length=200, blank=True)
    surveyed_on = models.DateField("ngày khảo sát", null=True, blank=True)

    objects = SchoolConnectivityQuerySet.as_manager()

    class Meta:
        verbose_name = "kết nối Internet của trường"
        verbose_name_plural = "kết nối Internet của trường"
        constraints = [
            models.CheckConstraint(
                name="connectivity_known_has_source",
                condition=Q(state="unknown") | (~Q(source="") & Q(surveyed_on__isnull=False)),
                violation_error_message="Cần ghi nguồn và ngày khảo sát.",
            ),
        ]

    def __str__(self):
        return f"{self.school}: {self.get_state_display()}"


@audited()
class InfrastructureSupport(models.Model):
    """Free platforms, hosting, lines or tariffs given to a locality over a period (Plan II.3 head, II.3c, III.1c)."""

    class Kind(models.TextChoices):
        TARIFF = "tariff", "Gói cước ưu đãi"
        SERVER = "server", "Máy chủ, lưu trữ"
        LINE = "line", "Đường truyền"
        PLATFORM = "platform", "Nền tảng miễn phí"

    kind = models.CharField("loại hỗ trợ", max_length=8, choices=Kind)
    operator = models.ForeignKey(
        Operator, on_delete=models.PROTECT, related_name="supports", verbose_name="doanh nghiệp"
    )
    unit = models.ForeignKey(
        AdministrativeUnit, on_delete=models.PROTECT, related_name="+", verbose_name="địa phương"
    )
    description = models.CharField("nội dung", max_length=300)
    value_vnd = models.BigIntegerField("giá trị ước tính (đồng)", default=0)
    starts_on = models.DateField("từ ngày")
    ends_on = models.DateField("đến hết ngày", null=True, blank=True)

    class Meta:
        verbose_name = "hỗ trợ hạ tầng"
        verbose_name_plural = "hỗ trợ hạ tầng"
        constraints = [
            positive("support", "value_vnd", "Giá trị không thể âm.", zero=True),
            models.CheckConstraint(
                name="support_dates_in_order",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                violation_error_message="Ngày kết thúc không được trước ngày bắt đầu.",
            ),
        ]

    def __str__(self):
        return f"{self.get_kind_display()} – {self.unit}"

"""Who gets a device, decided by the law's order (Plan III.2c): phases, policies, runs, allocations."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.constraints import paired
from donations.models import Device
from schools.models import AdministrativeUnit, Student


class Phase(models.Model):
    """A phase of the plan with its dates, target and groups (Plan II.2a, II.2b)."""

    code = models.CharField("mã", max_length=8, unique=True)
    name = models.CharField("tên", max_length=120)
    clause = models.CharField("điều khoản", max_length=20)
    starts_on = models.DateField("từ ngày")
    ends_on = models.DateField("đến hết ngày")
    # Empty: 100% of the groups, counted from the need.
    target_devices = models.PositiveIntegerField("chỉ tiêu (máy)", null=True, blank=True)
    groups = models.JSONField("đối tượng, theo thứ tự ưu tiên")
    locality_first = models.BooleanField("ưu tiên địa phương Chỉ thị 16", default=True)

    class Meta:
        verbose_name = "giai đoạn"
        verbose_name_plural = "giai đoạn"
        constraints = [
            models.CheckConstraint(
                name="phase_dates_in_order",
                condition=Q(ends_on__gt=F("starts_on")),
                violation_error_message="Ngày kết thúc phải sau ngày bắt đầu.",
            ),
        ]

    def __str__(self):
        return self.name


class AllocationPolicy(models.Model):
    """A versioned priority policy; a published one never changes and its hash stands in the ledger."""

    phase = models.ForeignKey(
        Phase, on_delete=models.PROTECT, related_name="policies", verbose_name="giai đoạn"
    )
    version = models.PositiveSmallIntegerField("phiên bản")
    name = models.CharField("tên", max_length=120)
    # The policy file of allocation.md: {"locality_first", "margin", "groups"}
    rules = models.JSONField("quy tắc")
    published_at = models.DateTimeField("công bố lúc", null=True, blank=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người công bố",
    )

    class Meta:
        verbose_name = "chính sách ưu tiên"
        verbose_name_plural = "chính sách ưu tiên"
        constraints = [
            models.UniqueConstraint(
                fields=["phase", "version"],
                name="policy_version_unique",
                violation_error_message="Phiên bản này đã có.",
            ),
            paired("policy", "published"),
        ]

    def __str__(self):
        return f"{self.name} (bản {self.version})"


class AllocationRun(models.Model):
    """One run of the engine over inputs fixed at the freeze; proposed by one official, approved by another."""

    class State(models.TextChoices):
        FROZEN = "frozen", "Đã chốt dữ liệu"
        SEEDED = "seeded", "Đã bốc thăm"
        PROPOSED = "proposed", "Đã có phương án"
        APPROVED = "approved", "Đã phê duyệt"
        COMMITTED = "committed", "Đã phân bổ"
        REJECTED = "rejected", "Bị bác"

    TRANSITIONS = [
        (State.FROZEN, State.SEEDED),
        (State.FROZEN, State.REJECTED),
        (State.SEEDED, State.PROPOSED),
        (State.SEEDED, State.REJECTED),
        (State.PROPOSED, State.APPROVED),
        (State.PROPOSED, State.REJECTED),
        (State.APPROVED, State.COMMITTED),
        (State.APPROVED, State.REJECTED),
    ]

    code = models.CharField("mã đợt", max_length=16, unique=True)
    policy = models.ForeignKey(
        AllocationPolicy, on_delete=models.PROTECT, related_name="runs", verbose_name="chính sách"
    )
    province = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="trong tỉnh",
        help_text="Bỏ trống là đợt toàn quốc.",
    )
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.FROZEN)
    frozen_root = models.CharField("gốc dữ liệu đã chốt", max_length=64, blank=True)
    randomness_source = models.CharField("nguồn ngẫu nhiên đã công bố", max_length=200)
    randomness = models.CharField("giá trị ngẫu nhiên", max_length=200, blank=True)
    seed = models.CharField("hạt giống", max_length=64, blank=True)
    summary = models.JSONField("tóm tắt phương án", default=dict, blank=True)
    reject_reason = models.CharField("lý do bác", max_length=300, blank=True)
    frozen_at = models.DateTimeField("chốt lúc")
    frozen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người chốt"
    )
    approved_at = models.DateTimeField("phê duyệt lúc", null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người phê duyệt",
    )
    committed_on_clock_at = models.DateTimeField("ghi phân bổ lúc", null=True, blank=True)

    class Meta:
        verbose_name = "đợt phân bổ"
        verbose_name_plural = "đợt phân bổ"
        constraints = [
            paired("run", "approved"),
            models.CheckConstraint(
                name="run_approver_is_another",
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("frozen_by")),
                violation_error_message="Người phê duyệt phải khác người lập phương án.",
            ),
        ]

    def __str__(self):
        return self.code


class AllocationQuerySet(models.QuerySet):
    def live(self):
        return self.filter(ended_at__isnull=True)


class Allocation(models.Model):
    """That one device goes to one student. Live while it has not ended; ended by revocation or replacement."""

    class Pass(models.TextChoices):
        SCHOOL = "school", "Dành cho trường"
        DISTRICT = "district", "Dành cho huyện"
        PROVINCE = "province", "Dành cho tỉnh"
        FREE = "free", "Chung"
        SUBSTITUTE = "substitute", "Thay thế"

    class EndReason(models.TextChoices):
        REVOKED = "revoked", "Thu hồi quyết định"
        SUBSTITUTED = "substituted", "Chuyển cho học sinh kế tiếp"
        RETURNED = "returned", "Máy đã trả lại"
        REPLACED = "replaced", "Đổi máy khác"
        LOST = "lost", "Máy mất hoặc hỏng hẳn"

    run = models.ForeignKey(
        AllocationRun, on_delete=models.PROTECT, related_name="allocations", verbose_name="đợt phân bổ"
    )
    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="allocations", verbose_name="thiết bị"
    )
    student = models.ForeignKey(
        Student, on_delete=models.PROTECT, related_name="allocations", verbose_name="học sinh"
    )
    tier = models.CharField("bậc ưu tiên", max_length=12)
    engine_pass = models.CharField("lượt", max_length=10, choices=Pass)
    # Rule 3 of the ledger: the smallest area that hides the child, fixed here and never refined later.
    public_area = models.CharField("nơi nhận công khai", max_length=24)
    ended_at = models.DateTimeField("chấm dứt lúc", null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người chấm dứt",
    )
    end_reason = models.CharField("lý do chấm dứt", max_length=12, choices=EndReason, blank=True)

    objects = AllocationQuerySet.as_manager()

    class Meta:
        verbose_name = "phân bổ"
        verbose_name_plural = "phân bổ"
        constraints = [
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(ended_at__isnull=True),
                name="allocation_device_once",
                violation_error_message="Máy này đã được phân bổ.",
            ),
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(ended_at__isnull=True),
                name="allocation_student_once",
                violation_error_message="Học sinh này đã được phân bổ một máy.",
            ),
            models.CheckConstraint(
                name="allocation_end_complete",
                condition=Q(ended_at__isnull=True, ended_by__isnull=True, end_reason="")
                | Q(Q(ended_at__isnull=False, ended_by__isnull=False), ~Q(end_reason="")),
                violation_error_message="Chấm dứt phân bổ phải có lý do, người và thời điểm.",
            ),
        ]

    def __str__(self):
        return f"{self.device_id} → {self.student_id}"

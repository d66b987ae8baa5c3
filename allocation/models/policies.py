"""Phases of the plan, their priority policies, and two of them compared."""

import json
from hashlib import sha256

from django.db import models
from django.db.models import F, Q

from allocation.models.people import person
from common.audit import audited
from common.constraints import paired
from schools.models import AdministrativeUnit, Office
from schools.reach import held_roles, reach


@audited()
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


@audited()
class AllocationPolicy(models.Model):
    """A versioned priority policy; a published one never changes and its hash stands in the ledger."""

    phase = models.ForeignKey(
        Phase, on_delete=models.PROTECT, related_name="policies", verbose_name="giai đoạn"
    )
    version = models.PositiveSmallIntegerField("phiên bản")
    name = models.CharField("tên", max_length=120)
    # The policy file of `simulate`: {"locality_first", "margin", "groups"}; with "laptop_from_grade" if it prefers a kind.
    rules = models.JSONField("quy tắc")
    reserve_percent = models.PositiveSmallIntegerField(
        "giữ lại dự phòng (%)",
        default=0,
        help_text="Phần máy chung chưa chia trong đợt, để dành cho danh sách đến muộn, khiếu nại, đổi máy.",
    )
    # Empty for the first policy of a phase, which comes with the reference data.
    drafted_at = models.DateTimeField("soạn lúc", null=True, blank=True)
    drafted_by = person("người soạn")
    published_at = models.DateTimeField("công bố lúc", null=True, blank=True)
    published_by = person("người công bố")

    class Meta:
        verbose_name = "chính sách ưu tiên"
        verbose_name_plural = "chính sách ưu tiên"
        constraints = [
            models.UniqueConstraint(
                fields=["phase", "version"],
                name="policy_version_unique",
                violation_error_message="Phiên bản này đã có.",
            ),
            paired("policy", "drafted"),
            paired("policy", "published"),
            models.CheckConstraint(
                name="policy_publisher_is_another",
                condition=Q(published_by__isnull=True)
                | Q(drafted_by__isnull=True)
                | ~Q(published_by=F("drafted_by")),
                violation_error_message="Người công bố chính sách phải khác người soạn.",
            ),
            models.CheckConstraint(
                name="policy_reserve_within_half",
                condition=Q(reserve_percent__lte=50),
                violation_error_message="Chỉ được giữ lại nhiều nhất 50% số máy chung.",
            ),
        ]

    def __str__(self):
        return f"{self.name} (bản {self.version})"

    @property
    def code(self) -> str:
        """How the ledger calls it."""
        return f"CS-{self.phase.code}-{self.version}"

    @property
    def text(self) -> str:
        """Its canonical text: anyone who has it recomputes the digest."""
        return json.dumps(
            {**self.rules, "reserve_percent": self.reserve_percent},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of its text, 64 hex digits: what the ledger publishes and a run is pinned to."""
        return sha256(self.text.encode()).hexdigest()


class ComparisonQuerySet(models.QuerySet):
    def for_user(self, user):
        """National ones for everyone on the staff; those of one province within reach of its offices."""
        if not held_roles(user):
            return self.none()
        provinces = Office.objects.filter(reach(user)).values("unit__province")
        return self.filter(models.Q(province__isnull=True) | models.Q(province__in=provinces))


class Comparison(models.Model):
    """A policy simulated on today's inputs, or two of them side by side. Changes nothing but its own result."""

    one = models.ForeignKey(
        AllocationPolicy, on_delete=models.PROTECT, related_name="+", verbose_name="chính sách thứ nhất"
    )
    # Empty: the one policy is simulated alone.
    other = models.ForeignKey(
        AllocationPolicy,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="chính sách thứ hai",
    )
    province = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="phạm vi",
    )
    asked_at = models.DateTimeField("chạy thử lúc")
    asked_by = person("người chạy thử", required=True)
    result = models.JSONField("kết quả", default=dict, blank=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        verbose_name = "chạy thử chính sách"
        verbose_name_plural = "chạy thử chính sách"

    def __str__(self):
        return f"{self.one} – {self.other}" if self.other_id else str(self.one)

    @property
    def scope_name(self) -> str:
        return self.province.full_name if self.province_id else "Toàn quốc"

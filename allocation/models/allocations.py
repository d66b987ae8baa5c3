"""Allocations, and how they are taken back."""

from django.db import models
from django.db.models import F, Q

from allocation.models.people import person
from allocation.models.runs import AllocationRun
from common.audit import audited
from common.constraints import paired, positive, spelled_out
from donations.models import Device
from schools.models import StatusChange, Student
from schools.reach import reach

# What a family is told says why, from when, and where to complain.
NOTICE_LEAST = 20
NOTICE_SHORT = "Thông báo phải nói rõ vì sao và gia đình khiếu nại ở đâu"


class AllocationQuerySet(models.QuerySet):
    def live(self):
        return self.filter(ended_at__isnull=True)

    def for_user(self, user):
        return self.filter(reach(user, through="student__school__office__"))


@audited(inserts=False)
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
    ended_by = person("người chấm dứt")
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


class ReductionQuerySet(models.QuerySet):
    def for_user(self, user):
        """Of national runs for everyone on the staff; of a province within reach of its offices."""
        return self.filter(run__in=AllocationRun.objects.for_user(user))


@audited()
class Reduction(models.Model):
    """That a committed run is cut by a number of devices: the last by rank give way, nobody picks them.

    Only devices that have not left the warehouse are taken. Each of them becomes a `Revocation`.
    """

    run = models.ForeignKey(
        AllocationRun, on_delete=models.PROTECT, related_name="reductions", verbose_name="đợt phân bổ"
    )
    count = models.PositiveIntegerField("số máy cắt giảm")
    ground = models.CharField("lý do", max_length=300)
    notice = models.TextField(
        "thông báo cho nhà trường và gia đình",
        max_length=1000,
        help_text="Gửi nguyên văn: vì sao cắt giảm, em được xét lại khi nào, khiếu nại ở đâu. Không ghi họ tên em nào.",
    )
    requested_at = models.DateTimeField("đề nghị lúc")
    requested_by = person("người đề nghị", required=True)
    approved_at = models.DateTimeField("phê duyệt lúc", null=True, blank=True)
    approved_by = person("người phê duyệt")
    refused_at = models.DateTimeField("không đồng ý lúc", null=True, blank=True)
    refused_by = person("người không đồng ý")
    # Every address was tried and none is left to try; the trace per address is `SentMail`.
    told_on_clock_at = models.DateTimeField("đã gửi thông báo lúc", null=True, blank=True)

    objects = ReductionQuerySet.as_manager()

    class Meta:
        verbose_name = "cắt giảm phân bổ"
        verbose_name_plural = "cắt giảm phân bổ"
        constraints = [
            paired("reduction", "approved"),
            paired("reduction", "refused"),
            positive("reduction", "count", "Số máy cắt giảm phải lớn hơn 0."),
            spelled_out("reduction", "ground", "Lý do cắt giảm được gửi cho các trường nên phải nói rõ"),
            spelled_out("reduction", "notice", NOTICE_SHORT, least=NOTICE_LEAST),
            models.CheckConstraint(
                name="reduction_approver_is_another",
                condition=(Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")))
                & (Q(refused_by__isnull=True) | ~Q(refused_by=F("requested_by"))),
                violation_error_message="Người quyết định phải khác người đề nghị cắt giảm.",
            ),
            models.CheckConstraint(
                name="reduction_one_answer",
                condition=Q(approved_at__isnull=True) | Q(refused_at__isnull=True),
                violation_error_message="Đề nghị này đã có quyết định.",
            ),
            models.UniqueConstraint(
                fields=["run"],
                condition=Q(approved_at__isnull=True, refused_at__isnull=True),
                name="reduction_one_open",
                violation_error_message="Đợt này đang có một đề nghị cắt giảm chờ quyết định.",
            ),
        ]

    def __str__(self):
        return f"{self.run}: −{self.count}"

    @property
    def is_open(self) -> bool:
        return self.approved_at is None and self.refused_at is None


class RevocationQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, through="allocation__student__school__office__"))


class Revocation(models.Model):
    """That an allocation is taken back before the device is in a child's hands: a reason, a notice, two people."""

    class Reason(models.TextChoices):
        NOT_ELIGIBLE = "not_eligible", "Không thuộc đối tượng"
        ALREADY_HAS_DEVICE = "already_has_device", "Đã có máy tính"
        MOVED_AWAY = "moved_away", "Đã chuyển đi nơi khác"
        WITHDRAWN = "withdrawn", "Đã thôi học"
        DECLINED = "declined", "Gia đình từ chối nhận"
        DUPLICATE = "duplicate", "Trùng với học sinh khác"
        DEVICE_UNFIT = "device_unfit", "Máy không còn dùng được"
        SUPPLY_REDUCED = "supply_reduced", "Số máy bị cắt giảm"

    # What these say of the child, the child's record must say too: by which change there.
    IN_THE_RECORD = {
        Reason.NOT_ELIGIBLE: StatusChange.Kind.OUT_OF_GROUP,
        Reason.ALREADY_HAS_DEVICE: StatusChange.Kind.GOT_DEVICE,
        Reason.MOVED_AWAY: StatusChange.Kind.MOVED,
        Reason.WITHDRAWN: StatusChange.Kind.LEFT,
        Reason.DUPLICATE: StatusChange.Kind.OUT_OF_GROUP,
    }

    allocation = models.ForeignKey(
        Allocation, on_delete=models.PROTECT, related_name="revocations", verbose_name="phân bổ"
    )
    reason = models.CharField("lý do", max_length=20, choices=Reason)
    notice = models.TextField(
        "thông báo cho nhà trường và gia đình",
        max_length=1000,
        help_text="Gửi nguyên văn qua thư: vì sao, từ ngày nào, khiếu nại ở đâu. Không ghi họ tên em.",
    )
    # Of the many that one reduction takes back; its mail goes out once per school.
    reduction = models.ForeignKey(
        Reduction,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="revocations",
        verbose_name="cắt giảm",
    )
    requested_at = models.DateTimeField("đề nghị lúc")
    requested_by = person("người đề nghị", required=True)
    approved_at = models.DateTimeField("phê duyệt lúc", null=True, blank=True)
    approved_by = person("người phê duyệt")
    refused_at = models.DateTimeField("không đồng ý lúc", null=True, blank=True)
    refused_by = person("người không đồng ý")
    # Every address was tried and none is left to try; the trace per address is `SentMail`.
    told_on_clock_at = models.DateTimeField("đã gửi thông báo lúc", null=True, blank=True)

    objects = RevocationQuerySet.as_manager()

    class Meta:
        verbose_name = "thu hồi quyết định phân bổ"
        verbose_name_plural = "thu hồi quyết định phân bổ"
        constraints = [
            paired("revocation", "approved"),
            paired("revocation", "refused"),
            spelled_out("revocation", "notice", NOTICE_SHORT, least=NOTICE_LEAST),
            models.CheckConstraint(
                name="revocation_approver_is_another",
                condition=(Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")))
                & (Q(refused_by__isnull=True) | ~Q(refused_by=F("requested_by"))),
                violation_error_message="Người quyết định phải khác người đề nghị thu hồi.",
            ),
            models.CheckConstraint(
                name="revocation_one_answer",
                condition=Q(approved_at__isnull=True) | Q(refused_at__isnull=True),
                violation_error_message="Đề nghị này đã có quyết định.",
            ),
            models.UniqueConstraint(
                fields=["allocation"],
                condition=Q(approved_at__isnull=True, refused_at__isnull=True),
                name="revocation_one_open",
                violation_error_message="Phân bổ này đang có một đề nghị thu hồi chờ quyết định.",
            ),
        ]

    def __str__(self):
        return f"{self.allocation} ({self.get_reason_display()})"

    @property
    def is_open(self) -> bool:
        return self.approved_at is None and self.refused_at is None

    @property
    def next_change(self) -> StatusChange.Kind:
        """The change that the child's record still lacks, when it is behind (`is_record_behind`)."""
        return self.IN_THE_RECORD[self.Reason(self.reason)]

    @property
    def is_record_behind(self) -> bool:
        """Whether the reason is about the child but nothing in the child's record has changed since the freeze.

        The next run considers whoever the records say is eligible: it would give this child a device again.
        """
        child = self.allocation.student
        return (
            self.refused_at is None
            and self.reason in self.IN_THE_RECORD
            and child.state == Student.State.APPROVED
            and not child.has_device
            and not child.status_changes.exclude(kind=StatusChange.Kind.STILL_HERE)
            .filter(changed_at__gte=self.allocation.run.frozen_at)
            .exists()
        )

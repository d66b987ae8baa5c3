"""Into a child's hands (Plan I.2d): the record of a session, each handover on it, and what a phone sent later."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from allocation.models import Allocation
from common.audit import audited
from common.constraints import paired
from coverage.models import CHILDREN_KINDS, READS_CHILDREN, Operator
from schools.models import School
from schools.reach import reach


class HandoverRecordQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, *READS_CHILDREN, kinds=CHILDREN_KINDS, through="school__office__"))


@audited()
class HandoverRecord(models.Model):
    """The printed record (biên bản) of one handover session at a school: a class on one sheet."""

    code = models.CharField("số biên bản", max_length=16, unique=True)
    school = models.ForeignKey(
        School, on_delete=models.PROTECT, related_name="handover_records", verbose_name="trường"
    )
    class_name = models.CharField("lớp", max_length=20, blank=True)
    held_on = models.DateField("ngày bàn giao")
    operator = models.ForeignKey(
        Operator,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="nhà mạng của gói dữ liệu",
        help_text="Gói dữ liệu 4 GB/ngày trong 3 tháng bắt đầu từ ngày bàn giao.",
    )
    created_at = models.DateTimeField("lập lúc")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người lập"
    )
    # The scanned sheet with its signatures: private evidence, committed to the ledger by its hash.
    evidence = models.FileField("bản đã ký", upload_to="handovers/%Y/%m/", blank=True)
    evidence_sha256 = models.CharField("dấu vết bản đã ký", max_length=64, blank=True)
    signed_at = models.DateTimeField("ký lúc", null=True, blank=True)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người ký",
    )

    objects = HandoverRecordQuerySet.as_manager()

    class Meta:
        verbose_name = "biên bản bàn giao"
        verbose_name_plural = "biên bản bàn giao"
        indexes = [models.Index(fields=["school", "-held_on"], name="handoverrecord_school")]
        constraints = [paired("handoverrecord", "signed"), paired("handoverrecord", "created")]

    def __str__(self):
        return self.code


class Handover(models.Model):
    """A device in a child's hands: the last hop. Never changes once signed."""

    class Recipient(models.TextChoices):
        STUDENT = "student", "Học sinh nhận"
        GUARDIAN = "guardian", "Người giám hộ nhận thay"

    record = models.ForeignKey(
        HandoverRecord, on_delete=models.PROTECT, related_name="handovers", verbose_name="biên bản"
    )
    allocation = models.OneToOneField(
        Allocation, on_delete=models.PROTECT, related_name="handover", verbose_name="phân bổ"
    )
    recipient = models.CharField("người nhận", max_length=10, choices=Recipient, default=Recipient.STUDENT)
    guardian_name = models.CharField("người giám hộ", max_length=80, blank=True)
    handed_over_at = models.DateTimeField("bàn giao lúc")
    handed_over_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người bàn giao"
    )
    # The ledger entry of this handover: its event id; the salt lives with the ledger.
    ledger_event = models.CharField("mã sự kiện trên sổ cái", max_length=32)

    class Meta:
        verbose_name = "bàn giao"
        verbose_name_plural = "bàn giao"
        constraints = [
            models.CheckConstraint(
                name="handover_guardian_named",
                condition=Q(recipient="student", guardian_name="")
                | Q(Q(recipient="guardian"), ~Q(guardian_name="")),
                violation_error_message="Người giám hộ nhận thay thì phải ghi tên.",
            ),
        ]

    def __str__(self):
        return f"{self.record}: {self.allocation_id}"


class PhoneHandoverQuerySet(models.QuerySet):
    def to_look_at(self):
        """Handovers that happened and could not be recorded, until somebody has settled them."""
        return self.filter(outcome=PhoneHandover.Outcome.REFUSED, settled_at__isnull=True)

    def for_user(self, user):
        return self.filter(
            reach(user, *READS_CHILDREN, kinds=CHILDREN_KINDS, through="record__school__office__")
        )


@audited(inserts=False, exclude=("guardian_name",), children=True)
class PhoneHandover(models.Model):
    """A handover that a teacher wrote down on a phone without signal and sent later, and what became of it.

    The phone makes the key; the database holds it once, so that the same handover sent twice has one effect.
    """

    class Outcome(models.TextChoices):
        RECORDED = "recorded", "Đã ghi"
        EARLIER = "earlier", "Đã ghi từ trước"
        REFUSED = "refused", "Cần xem lại"

    key = models.UUIDField("mã do điện thoại tạo", primary_key=True)
    record = models.ForeignKey(
        HandoverRecord, on_delete=models.PROTECT, related_name="phone_handovers", verbose_name="biên bản"
    )
    # For whom the device was when the phone kept the list; meanwhile it may be somebody else's.
    allocation = models.ForeignKey(
        Allocation, on_delete=models.PROTECT, related_name="phone_handovers", verbose_name="phân bổ"
    )
    outcome = models.CharField("kết quả", max_length=10, choices=Outcome)
    reason = models.CharField("vì sao cần xem lại", max_length=300, blank=True)
    # Kept only while somebody must look at it; what was recorded says it itself.
    guardian_name = models.CharField("người giám hộ", max_length=80, blank=True)
    happened_at = models.DateTimeField("giao lúc")
    sent_at = models.DateTimeField("gửi lúc")
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người gửi"
    )
    settled_at = models.DateTimeField("xem lại lúc", null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người xem lại",
    )

    objects = PhoneHandoverQuerySet.as_manager()

    class Meta:
        verbose_name = "bàn giao ghi trên điện thoại"
        verbose_name_plural = "bàn giao ghi trên điện thoại"
        indexes = [
            models.Index(
                fields=["record"],
                name="phonehandover_to_look_at",
                condition=Q(outcome="refused", settled_at__isnull=True),
            )
        ]
        constraints = [
            paired("phonehandover", "sent"),
            paired("phonehandover", "settled"),
            models.CheckConstraint(
                name="phonehandover_refused_says_why",
                condition=Q(Q(outcome="refused"), ~Q(reason="")) | Q(~Q(outcome="refused"), reason=""),
                violation_error_message="Lần bàn giao cần xem lại phải ghi vì sao.",
            ),
            models.CheckConstraint(
                name="phonehandover_only_refused_is_settled",
                condition=Q(outcome="refused") | Q(settled_at__isnull=True),
                violation_error_message="Chỉ xem lại lần bàn giao chưa ghi được.",
            ),
            models.CheckConstraint(
                name="phonehandover_no_name_without_need",
                condition=Q(guardian_name="") | Q(outcome="refused", settled_at__isnull=True),
                violation_error_message="Tên người giám hộ chỉ giữ khi còn phải xem lại.",
            ),
            models.CheckConstraint(
                name="phonehandover_happened_before_sent",
                condition=Q(happened_at__lte=F("sent_at")),
                violation_error_message="Lúc giao không được sau lúc gửi.",
            ),
        ]

    def __str__(self):
        return f"{self.record_id}: {self.allocation_id}"

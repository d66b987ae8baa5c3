"""Problems that anyone reports."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.audit import audited
from common.constraints import paired
from delivery.models.shipments import DELIVERY_KINDS, Kind, Role
from schools.models import AdministrativeUnit, Office
from schools.reach import holds, reach

HANDLES_GRIEVANCES = (Role.MANAGER, Role.CLERK, Role.APPROVER, Role.AUDITOR)
# Misuse is reported about the very offices that would otherwise read it.
READS_SENSITIVE = (Role.MANAGER, Role.APPROVER, Role.AUDITOR)
SENSITIVE_KINDS = (Kind.PROGRAMME, Kind.MOET, Kind.AUDIT)


class GrievanceQuerySet(models.QuerySet):
    def for_user(self, user):
        """What an office within reach handles; what must stay confidential only few people at the centre see."""
        rows = self.filter(reach(user, *HANDLES_GRIEVANCES, kinds=DELIVERY_KINDS, through="office__"))
        if holds(user, *READS_SENSITIVE, kinds=SENSITIVE_KINDS):
            return rows
        return rows.filter(is_sensitive=False)


@audited(exclude=("text", "contact", "answer"))
class Grievance(models.Model):
    """A problem that anyone reports, with a code to follow it; sensitive ones are seen by few."""

    class Kind(models.TextChoices):
        DEVICE = "device", "Thiết bị có vấn đề"
        NOT_RECEIVED = "not_received", "Đủ điều kiện nhưng chưa nhận được máy"
        MISUSE = "misuse", "Nghi có sai phạm"
        PERSONAL_DATA = "personal_data", "Yêu cầu về dữ liệu cá nhân"
        OTHER = "other", "Góp ý khác"

    class State(models.TextChoices):
        OPEN = "open", "Đã tiếp nhận"
        ASSIGNED = "assigned", "Đang xử lý"
        ANSWERED = "answered", "Đã trả lời"

    TRANSITIONS = [
        (State.OPEN, State.ASSIGNED),
        (State.OPEN, State.ANSWERED),
        (State.ASSIGNED, State.ANSWERED),
    ]

    code = models.CharField("mã phản ánh", max_length=16, unique=True)
    kind = models.CharField("loại", max_length=14, choices=Kind)
    is_sensitive = models.BooleanField("cần giữ kín", default=False)
    device_code = models.CharField("mã thiết bị", max_length=20, blank=True)
    office = models.ForeignKey(
        Office,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="grievances",
        verbose_name="nơi xử lý",
    )
    province = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="tỉnh, thành phố",
    )
    text = models.TextField("nội dung", max_length=2000)
    contact = models.CharField("liên hệ", max_length=120, blank=True)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.OPEN)
    answer = models.TextField("trả lời", max_length=2000, blank=True)
    due_on = models.DateField("hạn trả lời")
    opened_at = models.DateTimeField("gửi lúc")
    assigned_at = models.DateTimeField("nhận xử lý lúc", null=True, blank=True)
    assigned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người nhận xử lý",
    )
    answered_at = models.DateTimeField("trả lời lúc", null=True, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người trả lời",
    )

    objects = GrievanceQuerySet.as_manager()

    class Meta:
        verbose_name = "phản ánh"
        verbose_name_plural = "phản ánh"
        indexes = [models.Index(fields=["state", "due_on"], name="grievance_due")]
        constraints = [
            paired("grievance", "answered"),
            paired("grievance", "assigned"),
            models.CheckConstraint(
                name="grievance_answered_has_answer",
                condition=Q(Q(state="answered", answered_at__isnull=False), ~Q(answer=""))
                | Q(~Q(state="answered"), answered_at__isnull=True, answer=""),
                violation_error_message="Đã trả lời thì phải có nội dung trả lời.",
            ),
        ]

    def __str__(self):
        return self.code

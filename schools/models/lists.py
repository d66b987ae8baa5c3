"""Student lists: uploaded, checked, committed, submitted, verified, approved (Plan III.2a)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.constraints import paired
from schools.models.offices import Office


class StudentList(models.Model):
    """One file of students that an office sends, on its way to approval."""

    class State(models.TextChoices):
        UPLOADED = "uploaded", "Đã tải lên"
        CHECKED = "checked", "Đã kiểm tra"
        REFUSED = "refused", "Không đọc được"
        COMMITTED = "committed", "Đã ghi vào hệ thống"
        SUBMITTED = "submitted", "Đã trình"
        VERIFIED = "verified", "Đã thẩm định"
        APPROVED = "approved", "Đã phê duyệt"
        RETURNED = "returned", "Trả lại để sửa"
        UNDONE = "undone", "Đã hoàn tác"

    TRANSITIONS = [
        (State.UPLOADED, State.CHECKED),
        (State.UPLOADED, State.REFUSED),
        (State.CHECKED, State.COMMITTED),
        (State.COMMITTED, State.UNDONE),
        (State.COMMITTED, State.SUBMITTED),
        (State.SUBMITTED, State.VERIFIED),
        (State.SUBMITTED, State.RETURNED),
        (State.VERIFIED, State.APPROVED),
        (State.VERIFIED, State.RETURNED),
        (State.RETURNED, State.SUBMITTED),
        (State.RETURNED, State.UNDONE),
    ]

    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="student_lists", verbose_name="đơn vị gửi"
    )
    file = models.FileField("tệp", upload_to="lists/%Y/%m/")
    file_name = models.CharField("tên tệp", max_length=200)
    file_sha256 = models.CharField("dấu vết tệp", max_length=64)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.UPLOADED)
    uploaded_at = models.DateTimeField("tải lên lúc")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người tải lên"
    )
    submitted_at = models.DateTimeField("trình lúc", null=True, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người trình",
    )
    verified_at = models.DateTimeField("thẩm định lúc", null=True, blank=True)
    verified_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người thẩm định",
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

    class Meta:
        verbose_name = "danh sách đề nghị"
        verbose_name_plural = "danh sách đề nghị"
        constraints = [
            paired("studentlist", "submitted"),
            paired("studentlist", "verified"),
            paired("studentlist", "approved"),
            models.CheckConstraint(
                name="studentlist_approver_is_another",
                condition=Q(approved_by__isnull=True)
                | (~Q(approved_by=F("uploaded_by")) & ~Q(approved_by=F("verified_by"))),
                violation_error_message="Người phê duyệt phải khác người tải lên và người thẩm định.",
            ),
            models.CheckConstraint(
                name="studentlist_verifier_is_another",
                condition=Q(verified_by__isnull=True) | ~Q(verified_by=F("uploaded_by")),
                violation_error_message="Người thẩm định phải khác người tải lên.",
            ),
        ]

    def __str__(self):
        return f"{self.file_name} – {self.office}"

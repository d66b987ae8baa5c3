"""What happens to a device on its way or after it was given, and lots that are called back."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.audit import audited
from common.constraints import paired
from delivery.models.shipments import DELIVERY_KINDS, FOLLOWS_DEVICES
from donations.models import Device, Lot
from schools.models import Office
from schools.reach import reach


class DeviceReportQuerySet(models.QuerySet):
    def for_user(self, user):
        """Reports from an office within reach."""
        return self.filter(reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through="office__"))

    def since_inspection(self):
        """What was reported since the device last passed inspection, which settles all before."""
        return self.filter(Q(device__accepted_at=None) | Q(reported_at__gte=F("device__accepted_at")))


class DeviceReport(models.Model):
    """What happened to a device on its way or after it was given; append-only.

    The latest one since its last inspection is its condition (`delivery.conditions`).
    """

    class Kind(models.TextChoices):
        IN_USE = "in_use", "Đang sử dụng"
        BROKEN = "broken", "Hỏng"
        REPAIRED = "repaired", "Đã sửa"
        LOST = "lost", "Mất"
        STOLEN = "stolen", "Bị lấy cắp"
        FOUND = "found", "Tìm thấy"
        RETURNED = "returned", "Trả lại"
        RECALLED = "recalled", "Thu hồi theo lô"
        REPLACED = "replaced", "Đã đổi máy khác"
        MISSING = "missing", "Thiếu khi nhận"
        DAMAGED = "damaged", "Hư hại khi đến"
        WRITTEN_OFF = "written_off", "Thanh lý"

    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="reports", verbose_name="thiết bị"
    )
    kind = models.CharField("tình trạng", max_length=12, choices=Kind)
    # A word of the public log for this kind: a fault, a loss, why returned, recalled or written off.
    reason = models.CharField("lý do", max_length=20, blank=True)
    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="device_reports", verbose_name="đơn vị báo"
    )
    happened_on = models.DateField("ngày xảy ra")
    note = models.CharField("ghi chú nội bộ", max_length=300, blank=True)
    reported_at = models.DateTimeField("báo lúc")
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người báo"
    )

    objects = DeviceReportQuerySet.as_manager()

    class Meta:
        verbose_name = "báo cáo về thiết bị"
        verbose_name_plural = "báo cáo về thiết bị"
        indexes = [
            models.Index(fields=["device", "-id"], name="devicereport_latest"),
            models.Index(fields=["office", "-id"], name="devicereport_office"),
        ]

    def __str__(self):
        return f"{self.device_id}: {self.get_kind_display()}"


@audited()
class LotRecall(models.Model):
    """A lot found faulty: every device of it is called back from whoever holds it, and leaves the stock."""

    class Reason(models.TextChoices):
        SECURITY = "security", "Lỗ hổng an toàn"
        MALWARE = "malware", "Có mã độc"
        BATTERY_SAFETY = "battery_safety", "Pin không an toàn"
        DEFECT = "defect", "Lỗi sản xuất"
        ADMINISTRATIVE = "administrative", "Lý do hành chính"

    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="recalls", verbose_name="lô thiết bị")
    reason = models.CharField("lý do", max_length=16, choices=Reason)
    opened_at = models.DateTimeField("ra lệnh lúc")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ra lệnh"
    )
    closed_at = models.DateTimeField("kết thúc lúc", null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người kết thúc",
    )

    class Meta:
        verbose_name = "lệnh thu hồi lô"
        verbose_name_plural = "lệnh thu hồi lô"
        constraints = [
            paired("lotrecall", "opened"),
            paired("lotrecall", "closed"),
            models.UniqueConstraint(
                fields=["lot"],
                condition=Q(closed_at__isnull=True),
                name="lotrecall_one_open",
                violation_error_message="Lô này đang có lệnh thu hồi.",
            ),
        ]

    def __str__(self):
        return f"{self.lot}: {self.get_reason_display()}"

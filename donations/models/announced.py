"""What a donor says will come: the serials of pledged devices, held against what the warehouse finds."""

from django.db import models
from django.db.models import Q

from common.audit import audited
from donations.models.donors import Pledge


@audited(inserts=False)
class AnnouncedSerial(models.Model):
    """One device that a donor announced by its serial; whether it came follows from the pledge's devices."""

    pledge = models.ForeignKey(
        Pledge, on_delete=models.PROTECT, related_name="announced_serials", verbose_name="cam kết"
    )
    serial_number = models.CharField("số sê-ri", max_length=40)
    serial_key = models.CharField("khoá số sê-ri", max_length=40)
    imei = models.CharField("IMEI", max_length=15, blank=True)
    announced_at = models.DateTimeField("khai lúc")

    class Meta:
        verbose_name = "số sê-ri nhà tài trợ khai"
        verbose_name_plural = "số sê-ri nhà tài trợ khai"
        constraints = [
            models.UniqueConstraint(
                fields=["pledge", "serial_key"],
                name="announcedserial_once_in_pledge",
                violation_error_message="Số sê-ri này đã khai cho cam kết.",
            ),
            models.CheckConstraint(
                name="announcedserial_has_key",
                condition=~Q(serial_key=""),
                violation_error_message="Số sê-ri phải có chữ cái hoặc chữ số.",
            ),
        ]

    def __str__(self):
        return f"{self.pledge_id}: {self.serial_key}"

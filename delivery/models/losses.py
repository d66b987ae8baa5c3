"""Devices that came to nobody: given up as lost after a search, by two people."""

from django.db import models
from django.db.models import F, Q

from allocation.models.people import person
from common.audit import audited
from common.constraints import paired
from delivery.models.shipments import DELIVERY_KINDS, FOLLOWS_DEVICES, ShipmentItem
from schools.reach import reach


class LossQuerySet(models.QuerySet):
    def for_user(self, user):
        """Requests about what an office within reach sent."""
        return self.filter(
            reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through="item__shipment__from_office__")
        )

    def open(self):
        """Nobody has decided yet."""
        return self.filter(confirmed_at=None, refused_at=None)


# What was done to find a device may name a driver: it stays out of the audit trail's images.
@audited(exclude=("account",))
class Loss(models.Model):
    """That a device missing from a shipment is given up as lost: its sender asks, an official above decides."""

    class Reason(models.TextChoices):
        IN_TRANSIT = "in_transit", "Mất khi vận chuyển"
        IN_STORAGE = "in_storage", "Mất khi lưu kho, chưa hề lên đường"
        THEFT = "theft", "Bị lấy cắp"
        DISASTER = "disaster", "Thiên tai"
        UNKNOWN = "unknown", "Chưa rõ vì sao"

    item = models.ForeignKey(
        ShipmentItem, on_delete=models.PROTECT, related_name="losses", verbose_name="máy trong lô hàng"
    )
    reason = models.CharField("vì sao", max_length=12, choices=Reason)
    account = models.TextField(
        "đã tìm thế nào",
        max_length=1000,
        help_text="Đã hỏi ai, tìm ở đâu, từ ngày nào, có biên bản hay trình báo công an không.",
    )
    requested_at = models.DateTimeField("đề nghị lúc")
    requested_by = person("người đề nghị", required=True)
    confirmed_at = models.DateTimeField("kết luận mất lúc", null=True, blank=True)
    confirmed_by = person("người kết luận")
    refused_at = models.DateTimeField("không đồng ý lúc", null=True, blank=True)
    refused_by = person("người không đồng ý")

    objects = LossQuerySet.as_manager()

    class Meta:
        verbose_name = "đề nghị kết luận mất máy"
        verbose_name_plural = "đề nghị kết luận mất máy"
        constraints = [
            paired("loss", "confirmed"),
            paired("loss", "refused"),
            models.CheckConstraint(
                name="loss_decided_by_another",
                condition=(Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("requested_by")))
                & (Q(refused_by__isnull=True) | ~Q(refused_by=F("requested_by"))),
                violation_error_message="Người quyết định phải khác người đề nghị kết luận mất.",
            ),
            models.CheckConstraint(
                name="loss_one_answer",
                condition=Q(confirmed_at__isnull=True) | Q(refused_at__isnull=True),
                violation_error_message="Đề nghị này đã có quyết định.",
            ),
            models.CheckConstraint(
                name="loss_searched_first",
                condition=~Q(account=""),
                violation_error_message="Hãy ghi đã tìm máy thế nào.",
            ),
            models.UniqueConstraint(
                fields=["item"],
                condition=Q(refused_at__isnull=True),
                name="loss_one_standing",
                violation_error_message="Máy này đã có đề nghị kết luận mất.",
            ),
        ]

    def __str__(self):
        return f"{self.item} ({self.get_reason_display()})"

    @property
    def is_open(self) -> bool:
        return self.confirmed_at is None and self.refused_at is None

"""Money: budget lines, receipts, price agreements, orders (Plan II.1c, II.2a, II.3d, III.1h)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.constraints import paired, positive
from donations.models.donors import Pledge
from schools.models import Office


class BudgetLine(models.Model):
    """A line of the plan's budget; committed and spent follow from orders and transfers, never stored."""

    code = models.CharField("mã dòng", max_length=16, unique=True)
    clause = models.CharField("điều khoản", max_length=20)
    name = models.CharField("nội dung", max_length=200)
    funding_source = models.CharField("nguồn", max_length=16, choices=Pledge.FundingSource)
    planned_vnd = models.BigIntegerField("kinh phí theo kế hoạch (đồng)")

    class Meta:
        verbose_name = "dòng kinh phí"
        verbose_name_plural = "dòng kinh phí"
        constraints = [positive("budgetline", "planned_vnd", "Kinh phí kế hoạch phải lớn hơn 0.")]

    def __str__(self):
        return self.name


class MoneyReceipt(models.Model):
    """Money that arrived for a pledge, with its document; append-only."""

    pledge = models.ForeignKey(
        Pledge, on_delete=models.PROTECT, related_name="money_receipts", verbose_name="cam kết"
    )
    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="+", verbose_name="nơi giữ tiền"
    )
    amount_vnd = models.BigIntegerField("số tiền (đồng)")
    document_number = models.CharField("số chứng từ", max_length=40)
    received_on = models.DateField("ngày nhận")
    received_at = models.DateTimeField("ghi nhận lúc")
    received_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi nhận"
    )

    class Meta:
        verbose_name = "khoản tiền đã nhận"
        verbose_name_plural = "khoản tiền đã nhận"
        constraints = [
            positive("moneyreceipt", "amount_vnd", "Số tiền phải lớn hơn 0."),
            models.UniqueConstraint(
                fields=["office", "document_number"],
                name="moneyreceipt_document_unique",
                violation_error_message="Số chứng từ này đã được ghi nhận.",
            ),
        ]

    def __str__(self):
        return f"{self.document_number}: {self.amount_vnd} đ"


class PriceAgreement(models.Model):
    """A negotiated price for a device kind with a manufacturer, with its dates (Plan III.1h)."""

    supplier = models.CharField("nhà cung cấp", max_length=160)
    device_kind = models.CharField("loại thiết bị", max_length=8, choices=Pledge.DeviceKind)
    model_name = models.CharField("mẫu máy", max_length=80)
    unit_price_vnd = models.BigIntegerField("đơn giá (đồng)")
    valid_from = models.DateField("từ ngày")
    valid_to = models.DateField("đến hết ngày", null=True, blank=True)

    class Meta:
        verbose_name = "thoả thuận giá"
        verbose_name_plural = "thoả thuận giá"
        constraints = [
            positive("priceagreement", "unit_price_vnd", "Đơn giá phải lớn hơn 0."),
            models.CheckConstraint(
                name="priceagreement_dates_in_order",
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
                violation_error_message="Ngày hết hạn không được trước ngày bắt đầu.",
            ),
        ]

    def __str__(self):
        return f"{self.model_name} – {self.supplier}"


class PurchaseOrder(models.Model):
    """Devices bought from mobilised money: quantity at the agreed price of the day; the price never changes after."""

    class State(models.TextChoices):
        ORDERED = "ordered", "Đã đặt mua"
        DELIVERED = "delivered", "Đã giao"
        CANCELLED = "cancelled", "Đã huỷ"

    TRANSITIONS = [(State.ORDERED, State.DELIVERED), (State.ORDERED, State.CANCELLED)]

    code = models.CharField("mã đơn mua", max_length=16, unique=True)
    agreement = models.ForeignKey(
        PriceAgreement, on_delete=models.PROTECT, related_name="orders", verbose_name="thoả thuận giá"
    )
    pledge = models.ForeignKey(
        Pledge, on_delete=models.PROTECT, related_name="orders", verbose_name="tiền của cam kết"
    )
    budget_line = models.ForeignKey(
        BudgetLine,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name="dòng kinh phí",
    )
    quantity = models.PositiveIntegerField("số lượng")
    unit_price_vnd = models.BigIntegerField("đơn giá (đồng)")
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.ORDERED)
    ordered_at = models.DateTimeField("đặt mua lúc")
    ordered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người đặt mua"
    )
    delivered_at = models.DateTimeField("giao lúc", null=True, blank=True)
    delivered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người nhận giao",
    )

    class Meta:
        verbose_name = "đơn mua"
        verbose_name_plural = "đơn mua"
        constraints = [
            positive("purchaseorder", "quantity", "Số lượng phải lớn hơn 0."),
            positive("purchaseorder", "unit_price_vnd", "Đơn giá phải lớn hơn 0."),
            paired("purchaseorder", "delivered"),
        ]

    def __str__(self):
        return self.code

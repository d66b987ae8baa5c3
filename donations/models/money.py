"""Money: budget lines, receipts, price agreements, orders (Plan II.1c, II.2a, II.3d, III.1h)."""

from django.conf import settings
from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.lookups import LessThan

from common.audit import audited
from common.constraints import paired, positive
from donations.models.donors import Pledge
from donations.querysets import BudgetLineQuerySet, MoneyQuerySet, OrderQuerySet, PriceAgreementQuerySet
from donations.rules import TWO_PERSONS_FROM_VND
from schools.models import AdministrativeUnit, Office


@audited()
class BudgetLine(models.Model):
    """A line of the plan's budget; committed and spent follow from orders and transfers, never stored."""

    code = models.CharField("mã dòng", max_length=16, unique=True)
    clause = models.CharField("điều khoản", max_length=20)
    name = models.CharField("nội dung", max_length=200)
    funding_source = models.CharField("nguồn", max_length=16, choices=Pledge.FundingSource)
    planned_vnd = models.BigIntegerField("kinh phí theo kế hoạch (đồng)")

    objects = BudgetLineQuerySet.as_manager()

    class Meta:
        verbose_name = "dòng kinh phí"
        verbose_name_plural = "dòng kinh phí"
        constraints = [positive("budgetline", "planned_vnd", "Kinh phí kế hoạch phải lớn hơn 0.")]

    def __str__(self):
        return self.name


class MoneyReceipt(models.Model):
    """Money that arrived for a pledge, with its document; append-only."""

    code = models.CharField("mã khoản thu", max_length=20, unique=True)
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

    objects = MoneyQuerySet.as_manager()

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


@audited()
class PriceAgreement(models.Model):
    """A negotiated price for a device kind with a manufacturer, with its dates (Plan III.1h)."""

    code = models.CharField("mã thoả thuận", max_length=20, unique=True)
    supplier = models.CharField("nhà cung cấp", max_length=160)
    device_kind = models.CharField("loại thiết bị", max_length=8, choices=Pledge.DeviceKind)
    model_name = models.CharField("mẫu máy", max_length=80)
    unit_price_vnd = models.BigIntegerField("đơn giá (đồng)")
    valid_from = models.DateField("từ ngày")
    valid_to = models.DateField("đến hết ngày", null=True, blank=True)
    legal_reference = models.CharField("căn cứ", max_length=200, blank=True)
    agreed_at = models.DateTimeField("ghi nhận lúc")
    agreed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi nhận"
    )

    objects = PriceAgreementQuerySet.as_manager()

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


@audited()
class PurchaseOrder(models.Model):
    """Devices bought from mobilised money: quantity at the agreed price of the day; the price never changes after."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "Chờ phê duyệt"
        ORDERED = "ordered", "Đã đặt mua"
        DELIVERED = "delivered", "Đã giao"
        CANCELLED = "cancelled", "Đã huỷ"

    TRANSITIONS = [
        (State.PROPOSED, State.ORDERED),
        (State.PROPOSED, State.CANCELLED),
        (State.ORDERED, State.DELIVERED),
        (State.ORDERED, State.CANCELLED),
    ]

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
    # Whom it is for: approved students without a device there are counted first (nobody named, nothing bought).
    target_unit = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="mua cho địa phương",
        help_text="Bỏ trống là cho cả nước.",
    )
    need_count = models.PositiveIntegerField("số học sinh đã duyệt chưa có máy khi đề xuất")
    quantity = models.PositiveIntegerField("số lượng")
    unit_price_vnd = models.BigIntegerField("đơn giá (đồng)")
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.PROPOSED)
    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="orders", verbose_name="nơi mua"
    )
    proposed_at = models.DateTimeField("đề xuất lúc")
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người đề xuất"
    )
    ordered_at = models.DateTimeField("đặt mua lúc", null=True, blank=True)
    ordered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người duyệt mua",
    )
    expected_on = models.DateField("hẹn giao", null=True, blank=True)
    delivered_at = models.DateTimeField("giao lúc", null=True, blank=True)
    delivered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người nhận giao",
    )

    objects = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = "đơn mua"
        verbose_name_plural = "đơn mua"
        constraints = [
            positive("purchaseorder", "quantity", "Số lượng phải lớn hơn 0."),
            positive("purchaseorder", "unit_price_vnd", "Đơn giá phải lớn hơn 0."),
            paired("purchaseorder", "ordered"),
            paired("purchaseorder", "delivered"),
            models.CheckConstraint(
                name="purchaseorder_ordered_before_delivered",
                condition=Q(state__in=["proposed", "cancelled"]) | Q(ordered_at__isnull=False),
                violation_error_message="Đơn mua phải được duyệt trước khi giao.",
            ),
            models.CheckConstraint(
                name="purchaseorder_two_persons",
                condition=Q(ordered_by__isnull=True)
                | Q(
                    LessThan(
                        ExpressionWrapper(
                            F("unit_price_vnd") * F("quantity"), output_field=models.BigIntegerField()
                        ),
                        TWO_PERSONS_FROM_VND,
                    )
                )
                | ~Q(ordered_by=F("proposed_by")),
                violation_error_message="Đơn mua từ 1 tỷ đồng phải do người khác người đề xuất phê duyệt.",
            ),
            models.CheckConstraint(
                name="purchaseorder_within_need",
                condition=Q(quantity__lte=F("need_count")),
                violation_error_message="Số máy mua không được nhiều hơn số học sinh đã duyệt chưa có máy.",
            ),
        ]

    def __str__(self):
        return self.code

    @property
    def amount_vnd(self) -> int:
        return self.quantity * self.unit_price_vnd


class MoneyTransfer(models.Model):
    """Money that went out: paid for an order, or passed on to another office; append-only."""

    code = models.CharField("mã khoản chi", max_length=20, unique=True)
    pledge = models.ForeignKey(
        Pledge, on_delete=models.PROTECT, related_name="money_transfers", verbose_name="tiền của cam kết"
    )
    from_office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="+", verbose_name="nơi chi"
    )
    to_office = models.ForeignKey(
        Office, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name="chuyển cho"
    )
    order = models.ForeignKey(
        PurchaseOrder,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="payments",
        verbose_name="trả cho đơn mua",
    )
    amount_vnd = models.BigIntegerField("số tiền (đồng)")
    document_number = models.CharField("số chứng từ", max_length=40)
    transferred_on = models.DateField("ngày chi")
    transferred_at = models.DateTimeField("ghi nhận lúc")
    transferred_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi nhận"
    )

    objects = MoneyQuerySet.as_manager()

    class Meta:
        verbose_name = "khoản tiền đã chi"
        verbose_name_plural = "khoản tiền đã chi"
        constraints = [
            positive("moneytransfer", "amount_vnd", "Số tiền phải lớn hơn 0."),
            models.UniqueConstraint(
                fields=["from_office", "document_number"],
                name="moneytransfer_document_unique",
                violation_error_message="Số chứng từ này đã được ghi nhận.",
            ),
            models.CheckConstraint(
                name="moneytransfer_one_purpose",
                condition=Q(order__isnull=False, to_office__isnull=True)
                | Q(order__isnull=True, to_office__isnull=False),
                violation_error_message="Khoản chi trả cho một đơn mua, hoặc chuyển cho một nơi.",
            ),
            models.CheckConstraint(
                name="moneytransfer_two_offices",
                condition=Q(to_office__isnull=True) | ~Q(to_office=F("from_office")),
                violation_error_message="Nơi chuyển và nơi nhận tiền phải khác nhau.",
            ),
        ]

    def __str__(self):
        return f"{self.code}: {self.amount_vnd} đ"

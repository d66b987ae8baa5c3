"""Lots and devices from announcement to acceptance (Plan I.2đ, III.1e, III.1i).

A device holds its intake states only: whether it is allocated, or where it is, follows from what allocation
and delivery record.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.audit import audited
from common.constraints import paired
from donations.models.donors import Pledge
from donations.models.money import PurchaseOrder
from donations.querysets import CriteriaQuerySet, DeviceQuerySet, LotQuerySet
from schools.models import AdministrativeUnit, Office, School


@audited()
class DeviceCriteria(models.Model):
    """Recommended technical criteria of a device kind, versioned; edited by the ministry (Plan III.1i)."""

    device_kind = models.CharField("loại thiết bị", max_length=8, choices=Pledge.DeviceKind)
    version = models.PositiveSmallIntegerField("phiên bản")
    is_used_device = models.BooleanField("cho máy đã qua sử dụng", default=False)
    # {"screen_inch_min": 8, "ram_gb_min": 2, …}: keys are in donations.rules.CRITERIA
    limits = models.JSONField("mức tối thiểu")
    legal_reference = models.CharField("căn cứ", max_length=200)
    is_confirmed = models.BooleanField("đã được Bộ xác nhận", default=False)
    published_at = models.DateTimeField("công bố lúc", null=True, blank=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người công bố",
    )

    objects = CriteriaQuerySet.as_manager()

    class Meta:
        verbose_name = "tiêu chí kỹ thuật"
        verbose_name_plural = "tiêu chí kỹ thuật"
        constraints = [
            models.UniqueConstraint(
                fields=["device_kind", "is_used_device", "version"],
                name="criteria_version_unique",
                violation_error_message="Phiên bản này đã có.",
            ),
            paired("criteria", "published"),
        ]

    def __str__(self):
        used = " (đã qua sử dụng)" if self.is_used_device else ""
        return f"{self.get_device_kind_display()}{used}, bản {self.version}"

    @property
    def code(self) -> str:
        """How the ledger names it: TC-TABLET-1, TC-LAPTOP-USED-2."""
        return f"TC-{self.device_kind.upper()}{'-USED' if self.is_used_device else ''}-{self.version}"


@audited()
class Lot(models.Model):
    """A batch of like devices that arrives together: from a pledge, or from an order that money bought."""

    code = models.CharField("mã lô", max_length=20, unique=True)
    pledge = models.ForeignKey(Pledge, on_delete=models.PROTECT, related_name="lots", verbose_name="cam kết")
    order = models.ForeignKey(
        PurchaseOrder,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="lots",
        verbose_name="đơn mua",
    )
    warehouse = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="lots", verbose_name="kho tiếp nhận"
    )
    device_kind = models.CharField("loại thiết bị", max_length=8, choices=Pledge.DeviceKind)
    model_name = models.CharField("mẫu máy", max_length=80, blank=True)
    is_used = models.BooleanField("máy đã qua sử dụng", default=False)
    declared_count = models.PositiveIntegerField("số máy theo giấy giao hàng", null=True, blank=True)
    received_at = models.DateTimeField("tiếp nhận lúc")
    received_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người tiếp nhận"
    )

    objects = LotQuerySet.as_manager()

    class Meta:
        verbose_name = "lô thiết bị"
        verbose_name_plural = "lô thiết bị"

    def __str__(self):
        return self.code


@audited(exclude=("serial_number", "serial_key", "imei"), inserts=False)
class Device(models.Model):
    """One computer, known for ever by its code; the code is on its label and never reused."""

    class State(models.TextChoices):
        RECEIVED = "received", "Đã tiếp nhận, chờ kiểm định"
        TO_REPAIR = "to_repair", "Chờ sửa chữa"
        ACCEPTED = "accepted", "Đạt kiểm định"
        REFUSED = "refused", "Không đạt"
        # Taken back from its student; it can't be inspected before it has come to a warehouse.
        RETURNED = "returned", "Đã thu về, chưa đến kho"
        RETIRED = "retired", "Đã loại khỏi chương trình"

    TRANSITIONS = [
        (State.RECEIVED, State.ACCEPTED),
        (State.RECEIVED, State.TO_REPAIR),
        (State.RECEIVED, State.REFUSED),
        # Lost between two warehouses before anyone inspected it again.
        (State.RECEIVED, State.RETIRED),
        # Repaired: it waits for another inspection.
        (State.TO_REPAIR, State.RECEIVED),
        (State.TO_REPAIR, State.RETIRED),
        (State.REFUSED, State.RETIRED),
        (State.ACCEPTED, State.RETIRED),
        (State.ACCEPTED, State.TO_REPAIR),
        (State.ACCEPTED, State.REFUSED),
        # Recalled while it lay in a warehouse: it waits there for another inspection.
        (State.ACCEPTED, State.RECEIVED),
        # Returned, replaced or recalled elsewhere: first it must come to a warehouse.
        (State.ACCEPTED, State.RETURNED),
        (State.RETURNED, State.RECEIVED),
        (State.RETURNED, State.RETIRED),
    ]

    code = models.CharField("mã thiết bị", max_length=20, unique=True)
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="devices", verbose_name="lô")
    serial_number = models.CharField("số sê-ri", max_length=40)
    # Upper case, letters and digits only: "ab-12 3" and "AB123" are the same machine.
    serial_key = models.CharField("khoá sê-ri", max_length=40)
    imei = models.CharField("IMEI", max_length=15, blank=True)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.RECEIVED)
    earmark_unit = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="dành cho địa phương",
    )
    earmark_school = models.ForeignKey(
        School,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="dành cho trường",
    )
    # The warehouse that it came back to; the lot's own until then.
    returned_to = models.ForeignKey(
        Office,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name="kho nhận lại",
    )
    is_child_protected = models.BooleanField("đã bật bảo vệ trẻ em trên mạng", default=False)
    accepted_at = models.DateTimeField("đạt kiểm định lúc", null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người kiểm định",
    )

    objects = DeviceQuerySet.as_manager()

    class Meta:
        verbose_name = "thiết bị"
        verbose_name_plural = "thiết bị"
        indexes = [
            models.Index(fields=["state", "lot"], name="device_state_lot"),
            models.Index(
                fields=["returned_to"], condition=Q(returned_to__isnull=False), name="device_came_back"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["serial_key"],
                name="device_serial_unique",
                violation_error_message="Số sê-ri này đã có ở một máy khác.",
            ),
            models.UniqueConstraint(
                fields=["imei"],
                condition=~Q(imei=""),
                name="device_imei_unique",
                violation_error_message="IMEI này đã có ở một máy khác.",
            ),
            models.CheckConstraint(
                name="device_one_earmark",
                condition=Q(earmark_unit__isnull=True) | Q(earmark_school__isnull=True),
                violation_error_message="Một máy chỉ dành cho một nơi: địa phương hoặc trường.",
            ),
            paired("device", "accepted"),
            models.CheckConstraint(
                name="device_serial_key_plain",
                condition=Q(serial_key__regex=r"^[0-9A-Z]{3,40}$"),
                violation_error_message="Số sê-ri cần ít nhất 3 chữ cái hoặc chữ số.",
            ),
            models.CheckConstraint(
                name="device_accepted_is_child_protected",
                condition=~Q(state="accepted") | Q(is_child_protected=True),
                violation_error_message="Máy đạt kiểm định phải bật bảo vệ trẻ em trên mạng.",
            ),
            models.CheckConstraint(
                name="device_accepted_has_inspector",
                condition=~Q(state="accepted") | Q(accepted_at__isnull=False),
                violation_error_message="Máy đạt kiểm định phải có người kiểm định.",
            ),
        ]

    def __str__(self):
        return self.code


class Inspection(models.Model):
    """One inspection of one device against the criteria in force; append-only."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "Đạt"
        TO_REPAIR = "to_repair", "Cần sửa"
        REFUSED = "refused", "Không đạt"

    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="inspections", verbose_name="thiết bị"
    )
    criteria = models.ForeignKey(
        DeviceCriteria, on_delete=models.PROTECT, related_name="+", verbose_name="tiêu chí"
    )
    measured = models.JSONField("số đo")
    outcome = models.CharField("kết quả", max_length=10, choices=Outcome)
    # Codes of donations.rules.REASONS; never free text, so that they may stand in public.
    reasons = models.JSONField("lý do", default=list, blank=True)
    is_child_protected = models.BooleanField("đã bật bảo vệ trẻ em trên mạng", default=False)
    is_wiped = models.BooleanField("đã xoá dữ liệu cũ", null=True, blank=True)
    inspected_at = models.DateTimeField("kiểm định lúc")
    inspected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người kiểm định"
    )

    class Meta:
        verbose_name = "lần kiểm định"
        verbose_name_plural = "lần kiểm định"
        indexes = [models.Index(fields=["device", "-inspected_at"], name="inspection_latest")]
        constraints = [
            models.CheckConstraint(
                name="inspection_refusal_has_reasons",
                condition=Q(outcome="accepted", reasons=[]) | (~Q(outcome="accepted") & ~Q(reasons=[])),
                violation_error_message="Máy không đạt phải ghi lý do; máy đạt thì không có lý do.",
            ),
        ]

    def __str__(self):
        return f"{self.device}: {self.get_outcome_display()}"

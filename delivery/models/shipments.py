"""From office to office (Plan I.2d, III.2c): who holds each device, and the shipments that change it."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from common.audit import audited
from common.constraints import paired
from delivery.rules import STUCK_AFTER_DAYS
from donations.models import Device
from schools.models import Office, StaffRole
from schools.reach import reach

Role, Kind = StaffRole.Role, Office.Kind
# Who follows devices on their way; not the ministry of information, which sees coverage and totals only.
FOLLOWS_DEVICES = (Role.MANAGER, Role.CLERK, Role.APPROVER, Role.KEEPER, Role.AUDITOR)
DELIVERY_KINDS = (
    Kind.PROGRAMME,
    Kind.MOET,
    Kind.AUDIT,
    Kind.PROVINCE_DEPARTMENT,
    Kind.DISTRICT_OFFICE,
    Kind.SCHOOL,
    Kind.UNIVERSITY,
    Kind.WAREHOUSE,
)


class Fault(models.TextChoices):
    """What is wrong with a device: the words of the public log."""

    BELOW_SPECIFICATION = "below_specification", "Dưới tiêu chí kỹ thuật"
    BATTERY = "battery", "Pin"
    SCREEN = "screen", "Màn hình"
    NO_POWER = "no_power", "Không lên nguồn"
    NOT_WIPED = "not_wiped", "Còn dữ liệu cũ"
    MALWARE = "malware", "Có mã độc"
    MISSING_PART = "missing_part", "Thiếu phụ kiện"
    NO_CHILD_PROTECTION = "no_child_protection", "Chưa bật bảo vệ trẻ em"
    OTHER_FAULT = "other_fault", "Lỗi khác"


class CustodyQuerySet(models.QuerySet):
    def open(self):
        """Who holds each device now."""
        return self.filter(to_at__isnull=True)

    def for_user(self, user):
        return self.filter(reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through="office__"))


@audited(inserts=False)
class Custody(models.Model):
    """Which office holds a device, from when to when: the answer to "who holds device X"."""

    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="custodies", verbose_name="thiết bị"
    )
    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="custodies", verbose_name="nơi giữ"
    )
    from_at = models.DateTimeField("giữ từ")
    to_at = models.DateTimeField("giữ đến", null=True, blank=True)

    objects = CustodyQuerySet.as_manager()

    class Meta:
        verbose_name = "nơi giữ thiết bị"
        verbose_name_plural = "nơi giữ thiết bị"
        indexes = [
            models.Index(fields=["office"], name="custody_held_now", condition=Q(to_at__isnull=True)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(to_at__isnull=True),
                name="custody_one_holder",
                violation_error_message="Một máy chỉ ở một nơi.",
            ),
            models.CheckConstraint(
                name="custody_in_order",
                condition=Q(to_at__isnull=True) | Q(to_at__gte=F("from_at")),
                violation_error_message="Thời điểm giao đi không được trước thời điểm nhận về.",
            ),
        ]

    def __str__(self):
        return f"{self.device_id} ở {self.office_id}"


class ShipmentQuerySet(models.QuerySet):
    def for_user(self, user):
        """Shipments from or to an office within reach."""
        return self.filter(
            reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through="from_office__")
            | reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through="to_office__")
            if not _sees_all(user)
            else Q()
        )

    def under_way(self):
        return self.filter(state=Shipment.State.DISPATCHED)

    def stuck_on(self, day: dt.date):
        """Under way for too many days, as `rules.ageing` counts them: by the calendar in Vietnam."""
        last = dt.datetime.combine(day - dt.timedelta(days=STUCK_AFTER_DAYS), dt.time.min)
        return self.under_way().filter(dispatched_at__lt=timezone.make_aware(last))


def _sees_all(user) -> bool:
    return reach(user, *FOLLOWS_DEVICES, kinds=DELIVERY_KINDS, through="from_office__") == Q()


@audited()
class Shipment(models.Model):
    """One hop: an office sends devices, another receives them item by item."""

    class State(models.TextChoices):
        DRAFT = "draft", "Đang soạn"
        DISPATCHED = "dispatched", "Đang vận chuyển"
        ARRIVED = "arrived", "Đã nhận"
        CANCELLED = "cancelled", "Đã huỷ"

    TRANSITIONS = [
        (State.DRAFT, State.DISPATCHED),
        (State.DRAFT, State.CANCELLED),
        (State.DISPATCHED, State.ARRIVED),
    ]

    code = models.CharField("mã lô hàng", max_length=16, unique=True)
    from_office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="shipments_out", verbose_name="nơi gửi"
    )
    to_office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="shipments_in", verbose_name="nơi nhận"
    )
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.DRAFT)
    created_at = models.DateTimeField("soạn lúc")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người soạn"
    )
    dispatched_at = models.DateTimeField("gửi lúc", null=True, blank=True)
    dispatched_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người gửi",
    )
    arrived_at = models.DateTimeField("nhận lúc", null=True, blank=True)
    arrived_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người nhận",
    )
    expected_on = models.DateField("dự kiến đến", null=True, blank=True)
    # Back up the tree: recalled, returned or faulty devices to a warehouse.
    is_return = models.BooleanField("chuyển trả về", default=False)
    cancelled_at = models.DateTimeField("huỷ lúc", null=True, blank=True)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người huỷ",
    )

    objects = ShipmentQuerySet.as_manager()

    class Meta:
        verbose_name = "lô hàng"
        verbose_name_plural = "lô hàng"
        indexes = [
            models.Index(fields=["state", "dispatched_at"], name="shipment_state_age"),
        ]
        constraints = [
            paired("shipment", "dispatched"),
            paired("shipment", "arrived"),
            paired("shipment", "cancelled"),
            models.CheckConstraint(
                name="shipment_state_has_moments",
                condition=Q(state="draft", dispatched_at__isnull=True, arrived_at__isnull=True)
                | Q(state="dispatched", dispatched_at__isnull=False, arrived_at__isnull=True)
                | Q(state="arrived", dispatched_at__isnull=False, arrived_at__isnull=False)
                | Q(state="cancelled", dispatched_at__isnull=True, cancelled_at__isnull=False),
                violation_error_message="Trạng thái lô hàng không khớp với người và thời điểm gửi, nhận.",
            ),
            models.CheckConstraint(
                name="shipment_received_by_another",
                condition=Q(arrived_by__isnull=True) | ~Q(arrived_by=F("dispatched_by")),
                violation_error_message="Người nhận phải khác người gửi: hai bên cùng xác nhận.",
            ),
            models.CheckConstraint(
                name="shipment_two_offices",
                condition=~Q(from_office=F("to_office")),
                violation_error_message="Nơi gửi và nơi nhận phải khác nhau.",
            ),
        ]

    def __str__(self):
        return self.code


@audited(inserts=False)
class ShipmentItem(models.Model):
    """One device in a shipment, and what the receiver found."""

    class Result(models.TextChoices):
        EXPECTED = "expected", "Chờ nhận"
        ARRIVED = "arrived", "Đã nhận đủ"
        MISSING = "missing", "Thiếu"
        DAMAGED = "damaged", "Hư hại khi đến"
        FOUND = "found", "Thiếu, đã tìm thấy"
        LOST = "lost", "Thiếu, đã kết luận mất"

    shipment = models.ForeignKey(
        Shipment, on_delete=models.PROTECT, related_name="items", verbose_name="lô hàng"
    )
    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="shipment_items", verbose_name="thiết bị"
    )
    result = models.CharField("kết quả nhận", max_length=10, choices=Result, default=Result.EXPECTED)
    # True while the shipment is on its way: one shipment at a time, held by the constraint below.
    is_open = models.BooleanField("đang trên đường", default=True)
    fault = models.CharField("hư hại gì", max_length=20, choices=Fault, blank=True)
    found_at = models.DateTimeField("tìm thấy lúc", null=True, blank=True)
    found_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người tìm thấy",
    )

    class Meta:
        verbose_name = "máy trong lô hàng"
        verbose_name_plural = "máy trong lô hàng"
        constraints = [
            paired("shipmentitem", "found"),
            models.CheckConstraint(
                name="shipmentitem_damage_named",
                condition=Q(Q(result="damaged"), ~Q(fault="")) | Q(~Q(result="damaged"), fault=""),
                violation_error_message="Máy hư hại phải ghi hư hại gì.",
            ),
            models.CheckConstraint(
                name="shipmentitem_found_has_finder",
                condition=Q(result="found", found_at__isnull=False)
                | Q(~Q(result="found"), found_at__isnull=True),
                violation_error_message="Máy tìm thấy phải ghi ai tìm thấy, lúc nào.",
            ),
            models.CheckConstraint(
                name="shipmentitem_settled_is_closed",
                condition=Q(result="expected") | Q(is_open=False),
                violation_error_message="Máy đã có kết quả nhận thì không còn trên đường.",
            ),
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(is_open=True),
                name="shipmentitem_one_open_per_device",
                violation_error_message="Máy này đang nằm trong một lô hàng khác.",
            ),
            models.UniqueConstraint(
                fields=["shipment", "device"],
                name="shipmentitem_once_in_shipment",
                violation_error_message="Máy này đã có trong lô hàng.",
            ),
        ]

    def __str__(self):
        return f"{self.shipment_id}: {self.device_id}"

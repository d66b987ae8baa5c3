"""From office to office into a child's hands (Plan I.2d, III.2c): shipments, handovers, what happens after."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from allocation.models import Allocation
from common.constraints import paired
from donations.models import Device
from schools.models import Office, School


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

    class Meta:
        verbose_name = "nơi giữ thiết bị"
        verbose_name_plural = "nơi giữ thiết bị"
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

    class Meta:
        verbose_name = "lô hàng"
        verbose_name_plural = "lô hàng"
        constraints = [
            paired("shipment", "dispatched"),
            paired("shipment", "arrived"),
            models.CheckConstraint(
                name="shipment_two_offices",
                condition=~Q(from_office=F("to_office")),
                violation_error_message="Nơi gửi và nơi nhận phải khác nhau.",
            ),
        ]

    def __str__(self):
        return self.code


class ShipmentItem(models.Model):
    """One device in a shipment, and what the receiver found."""

    class Result(models.TextChoices):
        EXPECTED = "expected", "Chờ nhận"
        ARRIVED = "arrived", "Đã nhận đủ"
        MISSING = "missing", "Thiếu"
        DAMAGED = "damaged", "Hư hại khi đến"
        FOUND = "found", "Thiếu, đã tìm thấy"

    shipment = models.ForeignKey(
        Shipment, on_delete=models.PROTECT, related_name="items", verbose_name="lô hàng"
    )
    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="shipment_items", verbose_name="thiết bị"
    )
    result = models.CharField("kết quả nhận", max_length=10, choices=Result, default=Result.EXPECTED)
    # True while the shipment is on its way: one shipment at a time, held by the constraint below.
    is_open = models.BooleanField("đang trên đường", default=True)

    class Meta:
        verbose_name = "máy trong lô hàng"
        verbose_name_plural = "máy trong lô hàng"
        constraints = [
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


class HandoverRecord(models.Model):
    """The printed record (biên bản) of one handover session at a school: a class on one sheet."""

    code = models.CharField("số biên bản", max_length=16, unique=True)
    school = models.ForeignKey(
        School, on_delete=models.PROTECT, related_name="handover_records", verbose_name="trường"
    )
    class_name = models.CharField("lớp", max_length=20, blank=True)
    held_on = models.DateField("ngày bàn giao")
    signed_at = models.DateTimeField("ký lúc", null=True, blank=True)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người ký",
    )

    class Meta:
        verbose_name = "biên bản bàn giao"
        verbose_name_plural = "biên bản bàn giao"
        constraints = [paired("handoverrecord", "signed")]

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


class DeviceReport(models.Model):
    """What happened to a device after it was given, or on its way: in use, broken, lost, returned; append-only."""

    class Kind(models.TextChoices):
        IN_USE = "in_use", "Đang sử dụng"
        BROKEN = "broken", "Hỏng"
        REPAIRED = "repaired", "Đã sửa"
        LOST = "lost", "Mất"
        STOLEN = "stolen", "Bị lấy cắp"
        FOUND = "found", "Tìm thấy"
        RETURNED = "returned", "Trả lại"
        RECALLED = "recalled", "Thu hồi theo lô"
        WRITTEN_OFF = "written_off", "Thanh lý"

    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="reports", verbose_name="thiết bị"
    )
    kind = models.CharField("tình trạng", max_length=12, choices=Kind)
    happened_on = models.DateField("ngày xảy ra")
    note = models.CharField("ghi chú nội bộ", max_length=300, blank=True)
    reported_at = models.DateTimeField("báo lúc")
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người báo"
    )

    class Meta:
        verbose_name = "báo cáo về thiết bị"
        verbose_name_plural = "báo cáo về thiết bị"
        indexes = [models.Index(fields=["device", "-reported_at"], name="devicereport_latest")]

    def __str__(self):
        return f"{self.device_id}: {self.get_kind_display()}"


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
    text = models.TextField("nội dung", max_length=2000)
    contact = models.CharField("liên hệ", max_length=120, blank=True)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.OPEN)
    answer = models.TextField("trả lời", max_length=2000, blank=True)
    due_on = models.DateField("hạn trả lời")
    opened_at = models.DateTimeField("gửi lúc")
    answered_at = models.DateTimeField("trả lời lúc", null=True, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người trả lời",
    )

    class Meta:
        verbose_name = "phản ánh"
        verbose_name_plural = "phản ánh"
        constraints = [paired("grievance", "answered")]

    def __str__(self):
        return self.code

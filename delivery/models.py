"""From office to office into a child's hands (Plan I.2d, III.2c): shipments, handovers, what happens after."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from allocation.models import Allocation
from common.audit import audited
from common.constraints import paired
from coverage.models import CHILDREN_KINDS, READS_CHILDREN, Operator
from donations.models import Device, Lot
from schools.models import AdministrativeUnit, Office, School, StaffRole
from schools.reach import holds, reach

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


class HandoverRecordQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, *READS_CHILDREN, kinds=CHILDREN_KINDS, through="school__office__"))


@audited()
class HandoverRecord(models.Model):
    """The printed record (biên bản) of one handover session at a school: a class on one sheet."""

    code = models.CharField("số biên bản", max_length=16, unique=True)
    school = models.ForeignKey(
        School, on_delete=models.PROTECT, related_name="handover_records", verbose_name="trường"
    )
    class_name = models.CharField("lớp", max_length=20, blank=True)
    held_on = models.DateField("ngày bàn giao")
    operator = models.ForeignKey(
        Operator,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="nhà mạng của gói dữ liệu",
        help_text="Gói dữ liệu 4 GB/ngày trong 3 tháng bắt đầu từ ngày bàn giao.",
    )
    created_at = models.DateTimeField("lập lúc")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người lập"
    )
    # The scanned sheet with its signatures: private evidence, committed to the ledger by its hash.
    evidence = models.FileField("bản đã ký", upload_to="handovers/%Y/%m/", blank=True)
    evidence_sha256 = models.CharField("dấu vết bản đã ký", max_length=64, blank=True)
    signed_at = models.DateTimeField("ký lúc", null=True, blank=True)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người ký",
    )

    objects = HandoverRecordQuerySet.as_manager()

    class Meta:
        verbose_name = "biên bản bàn giao"
        verbose_name_plural = "biên bản bàn giao"
        indexes = [models.Index(fields=["school", "-held_on"], name="handoverrecord_school")]
        constraints = [paired("handoverrecord", "signed"), paired("handoverrecord", "created")]

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

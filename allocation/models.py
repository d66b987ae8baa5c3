"""Who gets a device, decided by the law's order (Plan III.2c): phases, policies, runs, allocations."""

import json
from hashlib import sha256

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.audit import audited
from common.constraints import paired
from donations.models import Device
from schools.models import AdministrativeUnit, Office, Student
from schools.reach import held_roles, reach


def person(verbose_name: str, *, required: bool = False):
    """A foreign key to whoever did something; empty until it is done unless `required`."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=not required,
        blank=not required,
        related_name="+",
        verbose_name=verbose_name,
    )


@audited()
class Phase(models.Model):
    """A phase of the plan with its dates, target and groups (Plan II.2a, II.2b)."""

    code = models.CharField("mã", max_length=8, unique=True)
    name = models.CharField("tên", max_length=120)
    clause = models.CharField("điều khoản", max_length=20)
    starts_on = models.DateField("từ ngày")
    ends_on = models.DateField("đến hết ngày")
    # Empty: 100% of the groups, counted from the need.
    target_devices = models.PositiveIntegerField("chỉ tiêu (máy)", null=True, blank=True)
    groups = models.JSONField("đối tượng, theo thứ tự ưu tiên")
    locality_first = models.BooleanField("ưu tiên địa phương Chỉ thị 16", default=True)

    class Meta:
        verbose_name = "giai đoạn"
        verbose_name_plural = "giai đoạn"
        constraints = [
            models.CheckConstraint(
                name="phase_dates_in_order",
                condition=Q(ends_on__gt=F("starts_on")),
                violation_error_message="Ngày kết thúc phải sau ngày bắt đầu.",
            ),
        ]

    def __str__(self):
        return self.name


@audited()
class AllocationPolicy(models.Model):
    """A versioned priority policy; a published one never changes and its hash stands in the ledger."""

    phase = models.ForeignKey(
        Phase, on_delete=models.PROTECT, related_name="policies", verbose_name="giai đoạn"
    )
    version = models.PositiveSmallIntegerField("phiên bản")
    name = models.CharField("tên", max_length=120)
    # The policy file of allocation.md: {"locality_first", "margin", "groups"}
    rules = models.JSONField("quy tắc")
    reserve_percent = models.PositiveSmallIntegerField(
        "giữ lại dự phòng (%)",
        default=0,
        help_text="Phần máy chung chưa chia trong đợt, để dành cho danh sách đến muộn, khiếu nại, đổi máy.",
    )
    published_at = models.DateTimeField("công bố lúc", null=True, blank=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người công bố",
    )

    class Meta:
        verbose_name = "chính sách ưu tiên"
        verbose_name_plural = "chính sách ưu tiên"
        constraints = [
            models.UniqueConstraint(
                fields=["phase", "version"],
                name="policy_version_unique",
                violation_error_message="Phiên bản này đã có.",
            ),
            paired("policy", "published"),
            models.CheckConstraint(
                name="policy_reserve_within_half",
                condition=Q(reserve_percent__lte=50),
                violation_error_message="Chỉ được giữ lại nhiều nhất 50% số máy chung.",
            ),
        ]

    def __str__(self):
        return f"{self.name} (bản {self.version})"

    @property
    def code(self) -> str:
        """How the ledger calls it."""
        return f"CS-{self.phase.code}-{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of its canonical text, 64 hex digits: what the ledger publishes and a run is pinned to."""
        text = json.dumps(
            {**self.rules, "reserve_percent": self.reserve_percent},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return sha256(text.encode()).hexdigest()


class AllocationRunQuerySet(models.QuerySet):
    def live(self):
        """Neither committed nor rejected: no other run over the same place may be opened."""
        return self.filter(state__in=AllocationRun.LIVE)

    def for_user(self, user):
        """National runs for everyone on the staff; a province's own runs within reach of its offices."""
        if not held_roles(user):
            return self.none()
        provinces = Office.objects.filter(reach(user)).values("unit__province")
        return self.filter(Q(province__isnull=True) | Q(province__in=provinces))


@audited()
class AllocationRun(models.Model):
    """One run of the engine over inputs fixed at the freeze; proposed by one official, approved by another."""

    class State(models.TextChoices):
        OPENED = "opened", "Đã mở, chờ chốt dữ liệu"
        FROZEN = "frozen", "Đã chốt dữ liệu, chờ bốc thăm"
        SEEDED = "seeded", "Đã bốc thăm, đang lập phương án"
        PROPOSED = "proposed", "Đã có phương án, chờ phê duyệt"
        APPROVED = "approved", "Đã phê duyệt, đang ghi phân bổ"
        COMMITTED = "committed", "Đã phân bổ"
        REJECTED = "rejected", "Bị bác"

    class Source(models.TextChoices):
        PUBLIC_DRAW = "public_draw", "Kết quả xổ số kiến thiết công khai"
        BEACON = "beacon", "Nguồn số ngẫu nhiên công cộng"
        THREE_PARTIES = "three_parties", "Ba bên cùng góp số, cam kết trước"

    class RejectReason(models.TextChoices):
        ERROR_IN_INPUTS = "error_in_inputs", "Dữ liệu đầu vào có sai sót"
        POLICY_CHANGED = "policy_changed", "Chính sách đã thay đổi"
        SUPPLY_CHANGED = "supply_changed", "Số máy đã thay đổi"
        SEED_NOT_REVEALED = "seed_not_revealed", "Không có số ngẫu nhiên như đã công bố"
        LEGAL = "legal", "Yêu cầu pháp lý"
        OTHER_GROUND = "other_ground", "Lý do khác"

    LIVE = [State.OPENED, State.FROZEN, State.SEEDED, State.PROPOSED, State.APPROVED]
    TRANSITIONS = [
        (State.OPENED, State.FROZEN),
        (State.OPENED, State.REJECTED),
        (State.FROZEN, State.SEEDED),
        (State.FROZEN, State.REJECTED),
        (State.SEEDED, State.PROPOSED),
        (State.SEEDED, State.REJECTED),
        (State.PROPOSED, State.APPROVED),
        (State.PROPOSED, State.REJECTED),
        (State.APPROVED, State.COMMITTED),
        (State.APPROVED, State.REJECTED),
    ]

    code = models.CharField("mã đợt", max_length=16, unique=True)
    policy = models.ForeignKey(
        AllocationPolicy, on_delete=models.PROTECT, related_name="runs", verbose_name="chính sách"
    )
    province = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="phạm vi",
        help_text="Bỏ trống là đợt toàn quốc.",
    )
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.OPENED)
    # What was announced before the freeze was sealed.
    source = models.CharField(
        "loại nguồn ngẫu nhiên", max_length=16, choices=Source, default=Source.PUBLIC_DRAW
    )
    randomness_source = models.CharField("nguồn ngẫu nhiên đã công bố", max_length=200)
    draw_at = models.DateTimeField("có kết quả ngẫu nhiên lúc")
    # Three SHA-256 in hex, one per party, when `source` is three_parties; otherwise empty.
    commitments = models.JSONField("cam kết của ba bên", default=list, blank=True)
    opened_at = models.DateTimeField("mở lúc")
    opened_by = person("người mở đợt", required=True)
    # Fixed at the freeze.
    frozen_root = models.CharField("gốc dữ liệu đã chốt", max_length=64, blank=True)
    engine_digest = models.CharField("dấu vết mã chương trình", max_length=64, blank=True)
    applicant_count = models.PositiveIntegerField("số học sinh đủ điều kiện", default=0)
    supply_count = models.PositiveIntegerField("số máy", default=0)
    reserve_count = models.PositiveIntegerField("số máy giữ lại", default=0)
    frozen_at = models.DateTimeField("chốt lúc", null=True, blank=True)
    frozen_by = person("người chốt")
    # The lottery: entered by one, confirmed by another.
    randomness = models.CharField("giá trị ngẫu nhiên", max_length=200, blank=True)
    entered_at = models.DateTimeField("nhập lúc", null=True, blank=True)
    entered_by = person("người nhập")
    confirmed_at = models.DateTimeField("xác nhận lúc", null=True, blank=True)
    confirmed_by = person("người xác nhận")
    seed = models.CharField("hạt giống", max_length=64, blank=True)
    summary = models.JSONField("tóm tắt phương án", default=dict, blank=True)
    proposal_digest = models.CharField("dấu vết phương án", max_length=64, blank=True)
    proposed_at = models.DateTimeField("lập phương án lúc", null=True, blank=True)
    proposed_by = person("người lập phương án")
    approved_at = models.DateTimeField("phê duyệt lúc", null=True, blank=True)
    approved_by = person("người phê duyệt")
    committed_on_clock_at = models.DateTimeField("ghi phân bổ lúc", null=True, blank=True)
    draw_file_digest = models.CharField("dấu vết tệp bốc thăm", max_length=64, blank=True)
    rejected_at = models.DateTimeField("bác lúc", null=True, blank=True)
    rejected_by = person("người bác")
    reject_reason = models.CharField("lý do bác", max_length=20, choices=RejectReason, blank=True)
    reject_note = models.CharField("giải thích khi bác", max_length=300, blank=True)

    objects = AllocationRunQuerySet.as_manager()

    class Meta:
        verbose_name = "đợt phân bổ"
        verbose_name_plural = "đợt phân bổ"
        constraints = [
            *(
                paired("run", verb)
                for verb in ("frozen", "entered", "confirmed", "proposed", "approved", "rejected")
            ),
            models.CheckConstraint(
                name="run_approver_is_another",
                condition=Q(approved_by__isnull=True)
                | (
                    ~Q(approved_by=F("opened_by"))
                    & ~Q(approved_by=F("frozen_by"))
                    & ~Q(approved_by=F("proposed_by"))
                ),
                violation_error_message="Người phê duyệt phải khác người mở đợt và người lập phương án.",
            ),
            models.CheckConstraint(
                name="run_randomness_by_two",
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("entered_by")),
                violation_error_message="Người xác nhận số ngẫu nhiên phải khác người nhập.",
            ),
            models.CheckConstraint(
                name="run_drawn_after_freeze",
                condition=Q(frozen_at__isnull=True) | Q(draw_at__gt=F("frozen_at")),
                violation_error_message="Số ngẫu nhiên phải có sau khi chốt dữ liệu, nếu không ai cũng tính trước được.",
            ),
            models.CheckConstraint(
                name="run_rejected_has_reason",
                condition=Q(rejected_at__isnull=True) | ~Q(reject_reason=""),
                violation_error_message="Bác một đợt phân bổ phải có lý do.",
            ),
        ]

    def __str__(self):
        return self.code

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def scope_name(self) -> str:
        return self.province.full_name if self.province_id else "Toàn quốc"


# Applicant, Offer and Proposed are written by the million in one statement, by the run that owns them, and
# never changed: a foreign key checked row by row would cost more than the run itself.


class Applicant(models.Model):
    """One eligible student as frozen for a run, known in public by a one-time code. Never changed."""

    pk = models.CompositePrimaryKey("run", "student")
    run = models.ForeignKey(
        AllocationRun,
        on_delete=models.PROTECT,
        related_name="applicants",
        db_constraint=False,
        db_index=False,
        verbose_name="đợt",
    )
    student = models.ForeignKey(
        Student,
        on_delete=models.PROTECT,
        related_name="applications",
        db_constraint=False,
        db_index=False,
        verbose_name="học sinh",
    )
    code = models.CharField("mã bốc thăm", max_length=16)
    school_id = models.BigIntegerField("trường")
    group = models.SmallIntegerField("đối tượng")  # index into engine.GROUPS
    is_priority = models.BooleanField("địa phương ưu tiên")
    household = models.BigIntegerField("hộ trong đợt")  # smallest student id of the household, -1 without one
    held = models.SmallIntegerField("máy hộ đã có")

    class Meta:
        verbose_name = "học sinh trong đợt"
        verbose_name_plural = "học sinh trong đợt"

    def __str__(self):
        return self.code


class Offer(models.Model):
    """One device as frozen for a run: where it may go, and its place in the order of (lot, device). Never changed."""

    pk = models.CompositePrimaryKey("run", "device")
    run = models.ForeignKey(
        AllocationRun,
        on_delete=models.PROTECT,
        related_name="offers",
        db_constraint=False,
        db_index=False,
        verbose_name="đợt",
    )
    device = models.ForeignKey(
        Device,
        on_delete=models.PROTECT,
        related_name="offers",
        db_constraint=False,
        db_index=False,
        verbose_name="thiết bị",
    )
    level = models.SmallIntegerField("cấp dành riêng")  # engine.SCHOOL … engine.FREE
    area = models.BigIntegerField("nơi dành riêng")  # School or AdministrativeUnit, -1 if free
    position = models.IntegerField("thứ tự")

    class Meta:
        verbose_name = "máy trong đợt"
        verbose_name_plural = "máy trong đợt"

    def __str__(self):
        return f"{self.device_id}"


class Proposed(models.Model):
    """One line of a run's proposal; becomes an Allocation when the run is committed."""

    pk = models.CompositePrimaryKey("run", "device")
    run = models.ForeignKey(
        AllocationRun,
        on_delete=models.PROTECT,
        related_name="proposed",
        db_constraint=False,
        db_index=False,
        verbose_name="đợt",
    )
    device = models.ForeignKey(
        Device,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name="thiết bị",
    )
    student = models.ForeignKey(
        Student,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name="học sinh",
    )
    locality = models.SmallIntegerField("địa phương")
    group = models.SmallIntegerField("đối tượng")
    place = models.SmallIntegerField("thứ trong hộ")
    via = models.SmallIntegerField("lượt")  # index into engine.PASSES

    class Meta:
        verbose_name = "dòng phương án"
        verbose_name_plural = "dòng phương án"

    def __str__(self):
        return f"{self.device_id} → {self.student_id}"


class AllocationQuerySet(models.QuerySet):
    def live(self):
        return self.filter(ended_at__isnull=True)

    def for_user(self, user):
        return self.filter(reach(user, through="student__school__office__"))


@audited(inserts=False)
class Allocation(models.Model):
    """That one device goes to one student. Live while it has not ended; ended by revocation or replacement."""

    class Pass(models.TextChoices):
        SCHOOL = "school", "Dành cho trường"
        DISTRICT = "district", "Dành cho huyện"
        PROVINCE = "province", "Dành cho tỉnh"
        FREE = "free", "Chung"
        SUBSTITUTE = "substitute", "Thay thế"

    class EndReason(models.TextChoices):
        REVOKED = "revoked", "Thu hồi quyết định"
        SUBSTITUTED = "substituted", "Chuyển cho học sinh kế tiếp"
        RETURNED = "returned", "Máy đã trả lại"
        REPLACED = "replaced", "Đổi máy khác"
        LOST = "lost", "Máy mất hoặc hỏng hẳn"

    run = models.ForeignKey(
        AllocationRun, on_delete=models.PROTECT, related_name="allocations", verbose_name="đợt phân bổ"
    )
    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="allocations", verbose_name="thiết bị"
    )
    student = models.ForeignKey(
        Student, on_delete=models.PROTECT, related_name="allocations", verbose_name="học sinh"
    )
    tier = models.CharField("bậc ưu tiên", max_length=12)
    engine_pass = models.CharField("lượt", max_length=10, choices=Pass)
    # Rule 3 of the ledger: the smallest area that hides the child, fixed here and never refined later.
    public_area = models.CharField("nơi nhận công khai", max_length=24)
    ended_at = models.DateTimeField("chấm dứt lúc", null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người chấm dứt",
    )
    end_reason = models.CharField("lý do chấm dứt", max_length=12, choices=EndReason, blank=True)

    objects = AllocationQuerySet.as_manager()

    class Meta:
        verbose_name = "phân bổ"
        verbose_name_plural = "phân bổ"
        constraints = [
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(ended_at__isnull=True),
                name="allocation_device_once",
                violation_error_message="Máy này đã được phân bổ.",
            ),
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(ended_at__isnull=True),
                name="allocation_student_once",
                violation_error_message="Học sinh này đã được phân bổ một máy.",
            ),
            models.CheckConstraint(
                name="allocation_end_complete",
                condition=Q(ended_at__isnull=True, ended_by__isnull=True, end_reason="")
                | Q(Q(ended_at__isnull=False, ended_by__isnull=False), ~Q(end_reason="")),
                violation_error_message="Chấm dứt phân bổ phải có lý do, người và thời điểm.",
            ),
        ]

    def __str__(self):
        return f"{self.device_id} → {self.student_id}"


class Revocation(models.Model):
    """That an allocation is taken back before the device is in a child's hands: a reason, a notice, two people."""

    class Reason(models.TextChoices):
        NOT_ELIGIBLE = "not_eligible", "Không thuộc đối tượng"
        ALREADY_HAS_DEVICE = "already_has_device", "Đã có máy tính"
        MOVED_AWAY = "moved_away", "Đã chuyển đi nơi khác"
        WITHDRAWN = "withdrawn", "Đã thôi học"
        DECLINED = "declined", "Gia đình từ chối nhận"
        DUPLICATE = "duplicate", "Trùng với học sinh khác"
        DEVICE_UNFIT = "device_unfit", "Máy không còn dùng được"
        SUPPLY_REDUCED = "supply_reduced", "Số máy bị cắt giảm"

    allocation = models.ForeignKey(
        Allocation, on_delete=models.PROTECT, related_name="revocations", verbose_name="phân bổ"
    )
    reason = models.CharField("lý do", max_length=20, choices=Reason)
    notice = models.TextField(
        "thông báo cho nhà trường và gia đình",
        max_length=1000,
        help_text="Gửi nguyên văn: vì sao, từ ngày nào, khiếu nại ở đâu.",
    )
    requested_at = models.DateTimeField("đề nghị lúc")
    requested_by = person("người đề nghị", required=True)
    approved_at = models.DateTimeField("phê duyệt lúc", null=True, blank=True)
    approved_by = person("người phê duyệt")
    refused_at = models.DateTimeField("không đồng ý lúc", null=True, blank=True)
    refused_by = person("người không đồng ý")

    class Meta:
        verbose_name = "thu hồi quyết định phân bổ"
        verbose_name_plural = "thu hồi quyết định phân bổ"
        constraints = [
            paired("revocation", "approved"),
            paired("revocation", "refused"),
            models.CheckConstraint(
                name="revocation_approver_is_another",
                condition=(Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")))
                & (Q(refused_by__isnull=True) | ~Q(refused_by=F("requested_by"))),
                violation_error_message="Người quyết định phải khác người đề nghị thu hồi.",
            ),
            models.CheckConstraint(
                name="revocation_one_answer",
                condition=Q(approved_at__isnull=True) | Q(refused_at__isnull=True),
                violation_error_message="Đề nghị này đã có quyết định.",
            ),
            models.UniqueConstraint(
                fields=["allocation"],
                condition=Q(approved_at__isnull=True, refused_at__isnull=True),
                name="revocation_one_open",
                violation_error_message="Phân bổ này đang có một đề nghị thu hồi chờ quyết định.",
            ),
        ]

    def __str__(self):
        return f"{self.allocation} ({self.get_reason_display()})"


class Comparison(models.Model):
    """Two policies on the same inputs of today, simulated: who gains, who loses. Changes nothing else."""

    one = models.ForeignKey(
        AllocationPolicy, on_delete=models.PROTECT, related_name="+", verbose_name="chính sách thứ nhất"
    )
    other = models.ForeignKey(
        AllocationPolicy, on_delete=models.PROTECT, related_name="+", verbose_name="chính sách thứ hai"
    )
    province = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="phạm vi",
    )
    asked_at = models.DateTimeField("chạy thử lúc")
    asked_by = person("người chạy thử", required=True)
    result = models.JSONField("kết quả", default=dict, blank=True)

    class Meta:
        verbose_name = "so sánh chính sách"
        verbose_name_plural = "so sánh chính sách"

    def __str__(self):
        return f"{self.one} – {self.other}"

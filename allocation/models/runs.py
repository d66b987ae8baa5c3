"""Runs, and the rows they fix: applicants, devices on offer, the proposal."""

import datetime as dt

from django.db import models
from django.db.models import F, Q

from allocation.models.people import person
from allocation.models.policies import AllocationPolicy
from common.audit import audited
from common.constraints import paired, spelled_out
from donations.models import Device
from schools.models import AdministrativeUnit, Office, Student
from schools.reach import held_roles, reach


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

    class Purpose(models.TextChoices):
        MAIN = "main", "Đợt chính"
        TOP_UP = "top_up", "Đợt bổ sung: danh sách đến muộn, khiếu nại, máy trả lại, máy đổi"

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
    # A main run holds back what the policy reserves; a top-up run gives it out.
    purpose = models.CharField("loại đợt", max_length=6, choices=Purpose, default=Purpose.MAIN)
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
    # Entries of the ledger when the devices were looked up there; without it every device is looked up at the commit.
    log_size = models.BigIntegerField("số mục sổ cái lúc chốt", null=True, blank=True)
    frozen_at = models.DateTimeField("chốt lúc", null=True, blank=True)
    frozen_by = person("người chốt")
    # The lottery: entered by one, confirmed by another.
    randomness = models.CharField("giá trị ngẫu nhiên", max_length=200, blank=True)
    entered_at = models.DateTimeField("nhập lúc", null=True, blank=True)
    entered_by = person("người nhập")
    confirmed_at = models.DateTimeField("xác nhận lúc", null=True, blank=True)
    confirmed_by = person("người xác nhận")
    seed = models.CharField("hạt giống", max_length=64, blank=True)
    # The rejected run whose very same applicants were drawn already: its codes, randomness and seed are kept.
    seed_kept_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="giữ hạt giống của đợt",
    )
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
            spelled_out(
                "run",
                "reject_note",
                "Bác với «Lý do khác» thì phải giải thích rõ",
                when=Q(reject_reason="other_ground"),
            ),
        ]

    def __str__(self):
        return self.code

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def is_top_up(self) -> bool:
        return self.purpose == self.Purpose.TOP_UP

    @property
    def is_three_parties(self) -> bool:
        return self.source == self.Source.THREE_PARTIES

    @property
    def scope_name(self) -> str:
        return self.province.full_name if self.province_id else "Toàn quốc"

    @property
    def randomness_at(self) -> dt.datetime:
        """When the randomness that decides this run comes out: its own, or that of the run whose draw is kept."""
        return self.seed_kept_from.randomness_at if self.seed_kept_from else self.draw_at


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
    # Only for a policy that prefers a kind of device: says which device, never who. 0 unknown, 13 after school.
    grade = models.SmallIntegerField("khối", db_default=0)

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
    is_laptop = models.BooleanField("là máy xách tay", db_default=False)
    # As the ledger has it: the device's code, and its latest step where the ledger too holds it in stock.
    code = models.CharField("mã máy", max_length=12, default="")
    step = models.IntegerField("bước trong sổ cái", null=True)

    class Meta:
        verbose_name = "máy trong đợt"
        verbose_name_plural = "máy trong đợt"

    def __str__(self):
        return f"{self.device_id}"


class FrozenColumn(models.Model):
    """One column of a live run's applicants, offers or proposal as `allocation.inputs` keeps it for engine and commit.

    Derived from their rows, which auditors recompute from; dropped when the run is over.
    """

    pk = models.CompositePrimaryKey("run", "name")
    run = models.ForeignKey(
        AllocationRun,
        on_delete=models.PROTECT,
        related_name="frozen_columns",
        db_index=False,
        verbose_name="đợt",
    )
    name = models.CharField("cột", max_length=16)
    data = models.BinaryField("các giá trị")  # little-endian, one after another

    class Meta:
        verbose_name = "cột đã chốt"
        verbose_name_plural = "cột đã chốt"

    def __str__(self):
        return self.name


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
    school_id = models.BigIntegerField("trường")  # as frozen: what the public destination is chosen by
    locality = models.SmallIntegerField("địa phương")
    group = models.SmallIntegerField("đối tượng")
    place = models.SmallIntegerField("thứ trong hộ")
    via = models.SmallIntegerField("lượt")  # index into engine.PASSES

    class Meta:
        verbose_name = "dòng phương án"
        verbose_name_plural = "dòng phương án"

    def __str__(self):
        return f"{self.device_id} → {self.student_id}"


class Ranking(models.Model):
    """Where an applicant stands in a run once its draw is known: in rank order, and among those who wait.

    Who is next when a device comes free is read from here, so that nobody picks.
    """

    pk = models.CompositePrimaryKey("run", "student")
    run = models.ForeignKey(
        AllocationRun,
        on_delete=models.PROTECT,
        related_name="rankings",
        db_constraint=False,
        db_index=False,
        verbose_name="đợt",
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
    position = models.IntegerField("thứ tự trong đợt")  # from 1
    # Place among the unserved, from 1, nationwide and in the province; 0 for who is served.
    queue = models.IntegerField("thứ tự chờ, toàn đợt")
    queue_in_province = models.IntegerField("thứ tự chờ, trong tỉnh")

    class Meta:
        verbose_name = "thứ tự trong đợt"
        verbose_name_plural = "thứ tự trong đợt"
        indexes = [models.Index(fields=["run", "position"], name="ranking_by_position")]

    def __str__(self):
        return f"{self.student_id}: {self.position}"

    @property
    def tier(self) -> str:
        return f"{self.locality}.{self.group}.{self.place}"

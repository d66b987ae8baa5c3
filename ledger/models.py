"""Tables of the public log. No foreign key and nobody's name: codes only, so that what is here is public,
except the openings of commitments (private, erasable) and the outbox (public once its batch is due)."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from common.audit import audited
from common.constraints import spelled_out
from ledger.events import BATCHED


class LedgerOutbox(models.Model):
    """An entry that a service recorded in its own transaction and that the sequencer has not taken yet.

    `body` is canonical without `prev`; `prev_at` counts the characters before the place where `prev` goes.
    `n` counts a device's entries from 0; `state` is where the device stands after this one.
    """

    id = models.BigAutoField(primary_key=True)
    eid = models.UUIDField("mã sự kiện")
    event = models.CharField("loại", max_length=40, db_collation="C")
    day = models.DateField("ngày")
    dev = models.CharField("mã máy", max_length=12, null=True, db_collation="C")  # noqa: DJ001 - NULL is outside the unique rule
    n = models.IntegerField("thứ tự của máy", null=True)
    state = models.CharField("trạng thái", max_length=20, default="", db_collation="C")
    subject = models.CharField("đối tượng", max_length=64, null=True, db_collation="C")  # noqa: DJ001 - same as in the entry
    hold = models.CharField("đợt chờ công bố", max_length=140, null=True, db_collation="C")  # noqa: DJ001 - NULL: due now
    body = models.TextField("nội dung", db_collation="C")
    prev_at = models.SmallIntegerField("vị trí của prev")
    recorded_at = models.DateTimeField("ghi lúc", db_default=Now())

    class Meta:
        verbose_name = "mục chờ niêm phong"
        verbose_name_plural = "mục chờ niêm phong"
        db_table = "ledger_outbox"
        constraints = [
            models.UniqueConstraint(
                fields=["dev", "n"],
                name="ledger_outbox_one_way",
                violation_error_message="Máy này vừa được người khác ghi một bước khác. Hãy tải lại trang rồi làm lại.",
            ),
            models.CheckConstraint(
                condition=Q(event__in=BATCHED, hold__isnull=False)
                | (~Q(event__in=BATCHED) & Q(hold__isnull=True)),
                name="ledger_outbox_handovers_held",
                violation_error_message="Việc bàn giao, và chỉ việc bàn giao, được công bố theo đợt của vùng.",
            ),
        ]
        indexes = [
            models.Index(fields=["hold"], condition=models.Q(hold__isnull=False), name="ledger_outbox_held")
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.eid}"


class LedgerEntry(models.Model):
    """One leaf of the log, never changed: `index` from 0 without a gap, `body` its canonical bytes."""

    index = models.BigIntegerField("số thứ tự", primary_key=True)
    eid = models.UUIDField("mã sự kiện")
    event = models.CharField("loại", max_length=40, db_collation="C")
    dev = models.CharField("mã máy", max_length=12, null=True, db_collation="C")  # noqa: DJ001 - NULL is outside the unique rule
    n = models.IntegerField("thứ tự của máy", null=True)
    state = models.CharField("trạng thái", max_length=20, default="", db_collation="C")
    subject = models.CharField("đối tượng", max_length=64, null=True, db_collation="C")  # noqa: DJ001 - NULL stays off the index
    body = models.TextField("nội dung", db_collation="C")
    leaf_hash = models.BinaryField("mã băm", max_length=32)

    class Meta:
        verbose_name = "mục sổ cái"
        verbose_name_plural = "mục sổ cái"
        db_table = "ledger_entry"
        constraints = [
            models.UniqueConstraint(
                fields=["eid"],
                name="ledger_entry_eid",
                violation_error_message="Mã sự kiện này đã có trong sổ cái.",
            ),
            models.UniqueConstraint(
                fields=["dev", "n"],
                name="ledger_entry_one_way",
                violation_error_message="Bước này của máy đã có trong sổ cái.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["subject", "index"],
                condition=models.Q(subject__isnull=False),
                name="ledger_entry_subject",
            ),
            # The page of corrections reads the newest of these few.
            models.Index(
                fields=["-index"],
                condition=models.Q(event__in=["correction", "commitment.erased"]),
                name="ledger_entry_amendments",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.index} {self.event}"


class Checkpoint(models.Model):
    """A tree head that the signer signed: what was promised to the world, kept for good."""

    size = models.BigIntegerField("số mục")
    root = models.BinaryField("gốc cây", max_length=32)
    note = models.TextField("bản ký")
    signed_at = models.DateTimeField("ký lúc")

    class Meta:
        verbose_name = "điểm niêm phong"
        verbose_name_plural = "điểm niêm phong"
        db_table = "ledger_checkpoint"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.size} mục, ký lúc {self.signed_at:%d/%m/%Y %H:%M}"


class Opening(models.Model):
    """What opens one commitment: its salt and value. Erasing the row leaves a commitment that says nothing."""

    eid = models.UUIDField("mã sự kiện")
    field = models.CharField("trường", max_length=20, db_collation="C")
    salt = models.BinaryField("muối", max_length=32)
    value = models.TextField("giá trị")

    class Meta:
        verbose_name = "chìa mở cam kết"
        verbose_name_plural = "chìa mở cam kết"
        db_table = "ledger_opening"
        constraints = [
            models.UniqueConstraint(
                fields=["eid", "field"],
                name="ledger_opening_once",
                violation_error_message="Cam kết này đã có chìa mở.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.eid} {self.field}"


class ErasureOwed(models.Model):
    """A commitment that was erased while its event waited for its batch: the entry that says so is still to come."""

    eid = models.UUIDField("mã sự kiện")
    field = models.CharField("trường", max_length=20, db_collation="C")
    reason = models.CharField("lý do", max_length=20, db_collation="C")

    class Meta:
        verbose_name = "việc xoá chờ ghi sổ"
        verbose_name_plural = "việc xoá chờ ghi sổ"
        db_table = "ledger_erasure_owed"
        constraints = [
            models.UniqueConstraint(
                fields=["eid", "field"],
                name="ledger_erasure_owed_once",
                violation_error_message="Việc xoá này đã được ghi.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.eid} {self.field}"


class ClosedHold(models.Model):
    """A batch key whose run is closed: what it still holds goes out although it has fewer than ten."""

    hold = models.CharField("đợt", max_length=140, primary_key=True, db_collation="C")
    closed_at = models.DateTimeField("đóng lúc", db_default=Now())

    class Meta:
        verbose_name = "đợt đã đóng"
        verbose_name_plural = "đợt đã đóng"
        db_table = "ledger_closed_hold"

    def __str__(self) -> str:
        return self.hold


class PrivacyRequestQuerySet(models.QuerySet):
    def waiting_first(self):
        """What is still to be answered or done, by its next deadline; then what is finished, newest first."""
        answer = PrivacyRequest.Answer
        is_finished = Q(done_at__isnull=False) | Q(answer=answer.REFUSED)
        return self.annotate(
            is_finished=models.Case(models.When(is_finished, then=1), default=0),
            due_on=models.Case(models.When(answer="", then="answer_due_on"), default="done_due_on"),
        ).order_by("is_finished", "due_on", "-pk")


# What the person wrote is private and leaves with the request: it is in no image of the audit trail either.
@audited(exclude=("contact", "detail"))
class PrivacyRequest(models.Model):
    """A family's or donor's request to erase or to correct what the log holds about them, with its legal deadlines.

    Law 91/2025/QH15, Decree 356/2025: answered within 2 working days, carried out within 10 days, 20 when extended.
    """

    class Kind(models.TextChoices):
        ERASE = "erase", "Xoá thông tin về chúng tôi"
        CORRECT = "correct", "Đính chính một điều ghi sai"

    class Answer(models.TextChoices):
        ACCEPTED = "accepted", "Sẽ thực hiện"
        REFUSED = "refused", "Không thực hiện được"

    code = models.CharField("mã yêu cầu", max_length=20, unique=True)
    kind = models.CharField("yêu cầu", max_length=10, choices=Kind)
    # What it is about: the device that a family got, or the pledge that a donor made.
    device = models.CharField("mã máy", max_length=12, blank=True, db_collation="C")
    pledge = models.CharField("mã cam kết", max_length=16, blank=True, db_default="", db_collation="C")
    contact = models.CharField("cách liên hệ", max_length=120, blank=True)
    detail = models.CharField("nội dung", max_length=500, blank=True)
    received_at = models.DateTimeField("nhận lúc")
    answer_due_on = models.DateField("hạn trả lời")
    done_due_on = models.DateField("hạn thực hiện")
    is_extended = models.BooleanField("đã gia hạn", default=False)
    answer = models.CharField("trả lời", max_length=10, choices=Answer, blank=True)
    refuse_reason = models.CharField("vì sao không thực hiện", max_length=300, blank=True)
    answered_at = models.DateTimeField("trả lời lúc", null=True, blank=True)
    answered_by = models.CharField("người trả lời", max_length=120, blank=True)
    done_at = models.DateTimeField("xong lúc", null=True, blank=True)
    done_by = models.CharField("người thực hiện", max_length=120, blank=True)

    objects = PrivacyRequestQuerySet.as_manager()

    class Meta:
        verbose_name = "yêu cầu xoá hoặc đính chính"
        verbose_name_plural = "yêu cầu xoá hoặc đính chính"
        db_table = "ledger_privacy_request"
        ordering = ["done_due_on", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(device="") ^ Q(pledge=""),
                name="ledger_request_about_one",
                violation_error_message="Yêu cầu phải nói về một máy hoặc một cam kết.",
            ),
            models.CheckConstraint(
                condition=Q(answered_at__isnull=True, answered_by="", answer="")
                | (Q(answered_at__isnull=False) & ~Q(answered_by="") & ~Q(answer="")),
                name="ledger_request_answered_pair",
                violation_error_message="Trả lời phải có người trả lời và thời điểm.",
            ),
            models.CheckConstraint(
                condition=Q(done_at__isnull=True, done_by="")
                | (Q(done_at__isnull=False, answer="accepted") & ~Q(done_by="")),
                name="ledger_request_done_pair",
                violation_error_message="Chỉ yêu cầu đã chấp nhận mới được thực hiện, và phải ghi người thực hiện.",
            ),
            spelled_out(
                "ledger_request",
                "refuse_reason",
                "Hãy nói rõ vì sao không thực hiện được",
                when=Q(answer="refused"),
            ),
        ]

    def __str__(self) -> str:
        return self.code

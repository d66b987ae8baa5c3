"""Small tables that every app may use: the programme's settings, long work, sent mail."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from common.audit import audited
from common.constraints import positive


class Programme(models.Model):
    """The one row of programme-wide settings."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    today_on = models.DateField(
        "ngày của chương trình",
        null=True,
        blank=True,
        help_text="Chỉ dùng cho bản trình diễn: hệ thống coi đây là hôm nay.",
    )
    is_demonstration = models.BooleanField("là bản trình diễn", default=False)
    demonstration_seed = models.BigIntegerField("hạt giống của số liệu minh họa", null=True, blank=True)
    # What the demonstration is filling in now, and how far it is; 100 when it is whole.
    demonstration_step = models.CharField("đang nạp số liệu minh họa", max_length=120, blank=True)
    demonstration_percent = models.PositiveSmallIntegerField("đã nạp (%)", default=0)
    demonstration_steps_done = models.PositiveSmallIntegerField("số bước đã nạp xong", default=0)

    class Meta:
        verbose_name = "thiết lập chương trình"
        verbose_name_plural = "thiết lập chương trình"
        constraints = [
            models.CheckConstraint(
                name="programme_single_row",
                condition=Q(id=1),
                violation_error_message="Chương trình chỉ có một bản thiết lập.",
            ),
            models.CheckConstraint(
                name="programme_date_only_in_demonstration",
                condition=Q(today_on__isnull=True) | Q(is_demonstration=True),
                violation_error_message="Chỉ bản trình diễn mới được đặt ngày riêng.",
            ),
        ]

    def __str__(self):
        return "Chương trình Sóng và máy tính cho em"


class JobQuerySet(models.QuerySet):
    def unfinished(self):
        return self.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])

    def for_subject(self, subject):
        """The jobs about one object, newest first."""
        return self.filter(subject_type=subject._meta.label_lower, subject_id=str(subject.pk)).order_by(
            "-created_at"
        )


class Job(models.Model):
    """A piece of long work: who asked, how far it is, how it ended. Work lists come from here, not the broker."""

    class State(models.TextChoices):
        QUEUED = "queued", "Đang chờ"
        RUNNING = "running", "Đang chạy"
        DONE = "done", "Đã xong"
        FAILED = "failed", "Không hoàn thành"
        CANCELLED = "cancelled", "Đã dừng theo yêu cầu"

    TRANSITIONS = [
        (State.QUEUED, State.RUNNING),
        (State.QUEUED, State.CANCELLED),
        (State.QUEUED, State.FAILED),
        (State.RUNNING, State.QUEUED),
        (State.RUNNING, State.DONE),
        (State.RUNNING, State.FAILED),
        (State.RUNNING, State.CANCELLED),
        # An administrator sends it again.
        (State.FAILED, State.QUEUED),
        (State.CANCELLED, State.QUEUED),
    ]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField("loại việc", max_length=60)
    subject_type = models.CharField("loại đối tượng", max_length=80)
    subject_id = models.CharField("đối tượng", max_length=64)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField("đang làm", max_length=200, blank=True)
    done_rows = models.BigIntegerField("số dòng đã xong", default=0)
    total_rows = models.BigIntegerField("tổng số dòng", null=True, blank=True)
    attempts = models.PositiveSmallIntegerField("số lần thử", default=0)
    message = models.TextField("thông báo cho người dùng", blank=True)
    is_cancel_requested = models.BooleanField("được yêu cầu dừng", default=False)
    created_at = models.DateTimeField("giao việc lúc", auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name="người giao việc",
    )
    started_on_clock_at = models.DateTimeField("bắt đầu lúc", null=True, blank=True)
    beat_at = models.DateTimeField("lần cuối có tiến triển", null=True, blank=True)
    finished_on_clock_at = models.DateTimeField("kết thúc lúc", null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = "việc chạy nền"
        verbose_name_plural = "việc chạy nền"
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "-created_at"], name="job_subject"),
            models.Index(
                fields=["created_at"], name="job_unfinished", condition=Q(state__in=["queued", "running"])
            ),
        ]
        constraints = [
            positive("job", "done_rows", "Số dòng đã xong không thể âm.", zero=True),
            models.CheckConstraint(
                name="job_done_rows_within_total",
                condition=Q(total_rows__isnull=True) | Q(done_rows__lte=F("total_rows")),
                violation_error_message="Số dòng đã xong không thể vượt tổng số dòng.",
            ),
            models.UniqueConstraint(
                fields=["kind", "subject_type", "subject_id"],
                condition=Q(state__in=["queued", "running"]),
                name="job_one_unfinished_per_subject",
                violation_error_message="Việc này đang chạy. Xin chờ cho đến khi xong.",
            ),
        ]

    def __str__(self):
        return f"{self.kind} {self.subject_id}"

    @property
    def percent(self) -> int | None:
        """Progress in whole percent, None while the total is not known."""
        if not self.total_rows:
            return None
        return min(100, self.done_rows * 100 // self.total_rows)


class RequestedFileQuerySet(models.QuerySet):
    def for_user(self, user):
        """Only what the person asked for: a file is nobody else's, whatever their post."""
        return self.filter(created_by_id=user.pk)

    def living(self):
        """Files whose time is not over."""
        return self.filter(expires_on_clock_at__gt=timezone.now())


class RequestedFile(models.Model):
    """A large table that somebody asked for; its file is deleted when its time is over."""

    FOLDER = "requested"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField("loại tệp", max_length=60)
    filters = models.CharField("bộ lọc", max_length=1000, blank=True)
    # What the person could see then; with another reach they ask again.
    reach = models.CharField("dấu vết phạm vi", max_length=64, blank=True)
    row_count = models.BigIntegerField("số dòng", null=True, blank=True)
    created_at = models.DateTimeField("yêu cầu lúc", auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người yêu cầu"
    )
    expires_on_clock_at = models.DateTimeField("giữ đến")

    objects = RequestedFileQuerySet.as_manager()

    class Meta:
        verbose_name = "tệp đã yêu cầu"
        verbose_name_plural = "tệp đã yêu cầu"
        indexes = [models.Index(fields=["created_by", "-created_at"], name="requestedfile_mine")]
        constraints = [
            positive("requestedfile", "row_count", "Số dòng của tệp không thể âm.", zero=True),
            models.CheckConstraint(
                name="requestedfile_expires_after_it_was_asked_for",
                condition=Q(expires_on_clock_at__gt=F("created_at")),
                violation_error_message="Thời điểm xoá tệp phải sau thời điểm yêu cầu.",
            ),
        ]

    def __str__(self):
        return f"{self.kind} {self.pk}"

    @property
    def file_name(self) -> str:
        """Where storage keeps it, once `row_count` says that it is written."""
        return f"{self.FOLDER}/{self.pk}.xlsx"


class SentMail(models.Model):
    """That a mail was sent, about what, and whether the server took it. Never the text, never the address."""

    kind = models.CharField("loại thư", max_length=60)
    subject_type = models.CharField("về đối tượng", max_length=80)
    subject_id = models.CharField("mã đối tượng", max_length=64)
    recipient_hash = models.BinaryField("dấu vết địa chỉ nhận", max_length=32)
    queued_at = models.DateTimeField("xếp hàng lúc", auto_now_add=True)
    delivered_on_clock_at = models.DateTimeField("máy chủ thư nhận lúc", null=True, blank=True)
    attempts = models.PositiveSmallIntegerField("số lần gửi", default=0)
    error = models.CharField("lỗi lần cuối", max_length=200, blank=True)

    class Meta:
        verbose_name = "thư đã gửi"
        verbose_name_plural = "thư đã gửi"
        indexes = [
            models.Index(fields=["subject_type", "subject_id"], name="sentmail_subject"),
            models.Index(
                fields=["kind", "queued_at"],
                name="sentmail_waiting",
                condition=models.Q(delivered_on_clock_at=None),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_type", "subject_id", "recipient_hash"],
                name="sentmail_once",
                violation_error_message="Thư loại này về việc này đã ghi cho địa chỉ này.",
            ),
        ]

    def __str__(self):
        return f"{self.kind} {self.subject_id}"

    @property
    def is_delivered(self) -> bool:
        return self.delivered_on_clock_at is not None


class SentForm(models.Model):
    """A form that was accepted lately, by its digest, and where it led (sealed); see `common.once`."""

    digest = models.CharField("dấu vết", max_length=64, primary_key=True)
    sent_on_clock_at = models.DateTimeField("ghi nhận lúc")
    location = models.BinaryField("dẫn đến (niêm kín)")

    class Meta:
        verbose_name = "biểu mẫu đã gửi"
        verbose_name_plural = "biểu mẫu đã gửi"
        indexes = [models.Index(fields=["sent_on_clock_at"], name="sentform_age")]

    def __str__(self):
        return self.digest[:8]


class Heartbeat(models.Model):
    """When a process last did real work: one row per name (a worker's probe, the sequencer, the signer)."""

    name = models.CharField("tên", max_length=60, primary_key=True)
    beat_on_clock_at = models.DateTimeField("lần cuối lúc")

    class Meta:
        verbose_name = "nhịp của tiến trình"
        verbose_name_plural = "nhịp của tiến trình"

    def __str__(self):
        return self.name


@audited()
class RetentionRule(models.Model):
    """How long one kind of personal data is kept, and by what law: the policy as data, which the programme edits."""

    code = models.CharField("mã", max_length=40, unique=True)
    what = models.CharField("dữ liệu", max_length=300)
    counted_from = models.CharField("tính từ", max_length=200)
    keeps_days = models.PositiveIntegerField("giữ (ngày)")
    legal_basis = models.CharField("căn cứ", max_length=300)
    is_active = models.BooleanField("đang áp dụng", default=True)

    class Meta:
        verbose_name = "thời hạn lưu dữ liệu cá nhân"
        verbose_name_plural = "thời hạn lưu dữ liệu cá nhân"
        constraints = [
            models.CheckConstraint(
                name="retentionrule_has_legal_basis",
                condition=~Q(legal_basis=""),
                violation_error_message="Phải ghi căn cứ pháp lý của thời hạn lưu.",
            ),
            models.CheckConstraint(
                name="retentionrule_keeps_a_month",
                condition=Q(keeps_days__gte=30),
                violation_error_message="Thời hạn lưu ít nhất 30 ngày, để còn sửa được việc làm nhầm.",
            ),
        ]

    def __str__(self):
        return self.what


class RetentionRun(models.Model):
    """That data past their time were erased: which rule, everything before which day, how many rows. Append-only."""

    rule = models.ForeignKey(
        RetentionRule, on_delete=models.PROTECT, related_name="runs", verbose_name="thời hạn"
    )
    before_on = models.DateField("dữ liệu trước ngày")
    erased_rows = models.BigIntegerField("số bản ghi đã xoá")
    erased_at = models.DateTimeField("xoá lúc")
    erased_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người thực hiện"
    )

    class Meta:
        verbose_name = "lần xoá dữ liệu hết hạn lưu"
        verbose_name_plural = "lần xoá dữ liệu hết hạn lưu"
        constraints = [positive("retentionrun", "erased_rows", "Số bản ghi phải lớn hơn 0.")]

    def __str__(self):
        return f"{self.rule}: {self.erased_rows}"


@audited()
class Banner(models.Model):
    """A notice above every page for some time: maintenance tonight, a new deadline."""

    text = models.CharField("nội dung", max_length=300)
    text_en = models.CharField("nội dung tiếng Anh", max_length=300, blank=True)
    is_warning = models.BooleanField("là cảnh báo", default=False)
    shows_from = models.DateTimeField("hiện từ")
    shows_until = models.DateTimeField("hiện đến")

    class Meta:
        verbose_name = "thông báo trên đầu trang"
        verbose_name_plural = "thông báo trên đầu trang"
        constraints = [
            models.CheckConstraint(
                name="banner_shows_in_order",
                condition=Q(shows_until__gt=F("shows_from")),
                violation_error_message="Thời điểm ẩn phải sau thời điểm hiện.",
            ),
        ]

    def __str__(self):
        return self.text


@audited()
class Switch(models.Model):
    """Whether the platform takes in one kind of thing now; switched off, forms say so instead of losing what was sent."""

    class Name(models.TextChoices):
        PLEDGES = "pledges", "Nhận ủng hộ qua mạng"
        GRIEVANCES = "grievances", "Nhận phản ánh qua mạng"
        STUDENT_LISTS = "student_lists", "Nhận danh sách học sinh"

    name = models.CharField("việc", max_length=20, choices=Name, primary_key=True)
    is_on = models.BooleanField("đang nhận", default=True)
    why = models.CharField("lý do tạm ngừng, khi nào nhận lại", max_length=300, blank=True)

    class Meta:
        verbose_name = "công tắc"
        verbose_name_plural = "công tắc"
        constraints = [
            models.CheckConstraint(
                name="switch_off_says_why",
                condition=Q(is_on=True) | ~Q(why=""),
                violation_error_message="Tạm ngừng thì phải ghi lý do và khi nào nhận lại: người dùng đọc dòng này.",
            ),
        ]

    def __str__(self):
        return self.get_name_display()

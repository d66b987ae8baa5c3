"""Student lists: uploaded, checked, committed, submitted, verified, approved (Plan III.2a)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.audit import audited
from common.constraints import paired, spelled_out
from schools.models.offices import Office, School
from schools.models.students import Student
from schools.models.units import AdministrativeUnit
from schools.reach import reach


class StudentListQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, through="office__"))

    def waiting(self):
        """Sent up and not decided yet."""
        return self.filter(state__in=[StudentList.State.SUBMITTED, StudentList.State.VERIFIED])


@audited()
class StudentList(models.Model):
    """One file of students that an office sends, on its way to approval."""

    class State(models.TextChoices):
        UPLOADED = "uploaded", "Đã tải lên"
        CHECKED = "checked", "Đã kiểm tra"
        REFUSED = "refused", "Không đọc được"
        COMMITTED = "committed", "Đã ghi vào hệ thống"
        SUBMITTED = "submitted", "Đã trình"
        VERIFIED = "verified", "Đã thẩm định"
        APPROVED = "approved", "Đã phê duyệt"
        RETURNED = "returned", "Trả lại để sửa"
        UNDONE = "undone", "Đã hoàn tác"

    TRANSITIONS = [
        (State.UPLOADED, State.CHECKED),
        (State.UPLOADED, State.REFUSED),
        (State.REFUSED, State.UPLOADED),
        (State.CHECKED, State.UPLOADED),
        (State.CHECKED, State.COMMITTED),
        (State.COMMITTED, State.UNDONE),
        (State.COMMITTED, State.SUBMITTED),
        (State.SUBMITTED, State.VERIFIED),
        (State.SUBMITTED, State.RETURNED),
        (State.VERIFIED, State.APPROVED),
        (State.VERIFIED, State.RETURNED),
        (State.RETURNED, State.SUBMITTED),
        (State.RETURNED, State.UNDONE),
    ]

    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="student_lists", verbose_name="đơn vị gửi"
    )
    # Sealed: a list holds identity numbers.
    file = models.FileField("tệp", upload_to="lists/%Y/%m/")
    file_name = models.CharField("tên tệp", max_length=200)
    file_sha256 = models.CharField("dấu vết tệp", max_length=64)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.UPLOADED)
    uploaded_at = models.DateTimeField("tải lên lúc")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người tải lên"
    )
    school = models.ForeignKey(
        School,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="trường (cả tệp)",
        help_text="Chỉ khi tệp không có cột mã trường.",
    )
    group = models.CharField(
        "đối tượng (cả tệp)",
        max_length=12,
        choices=Student.Group,
        blank=True,
        help_text="Chỉ khi tệp không có cột đối tượng.",
    )
    sheet_name = models.CharField("trang tính", max_length=120, blank=True)
    # What the reading found beside the rows: header, columns, unknown columns, skipped rows, notices.
    reading = models.JSONField("kết quả đọc", default=dict, blank=True)
    refused_code = models.CharField("mã lý do từ chối", max_length=30, blank=True)
    refused_message = models.TextField("lý do không đọc được", blank=True)
    # Codes of warnings that the office has seen and stands by.
    acknowledged = models.JSONField("các lưu ý đã xem và chấp nhận", default=list, blank=True)
    is_conversion_confirmed = models.BooleanField("đã xác nhận đổi phông chữ", default=False)
    # A committed new row's student has the id first_student_id + row: rows need no update to be found again.
    first_student_id = models.BigIntegerField("mã số học sinh đầu tiên", null=True, blank=True)
    committed_at = models.DateTimeField("ghi lúc", null=True, blank=True)
    committed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người ghi",
    )
    undone_at = models.DateTimeField("hoàn tác lúc", null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người hoàn tác",
    )
    returned_at = models.DateTimeField("trả lại lúc", null=True, blank=True)
    returned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người trả lại",
    )
    return_reason = models.TextField("lý do trả lại", blank=True)
    attestation = models.TextField("lời cam đoan khi trình", blank=True)
    submitted_at = models.DateTimeField("trình lúc", null=True, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người trình",
    )
    verified_at = models.DateTimeField("thẩm định lúc", null=True, blank=True)
    verified_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người thẩm định",
    )
    approved_at = models.DateTimeField("phê duyệt lúc", null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người phê duyệt",
    )

    objects = StudentListQuerySet.as_manager()

    class Meta:
        verbose_name = "danh sách đề nghị"
        verbose_name_plural = "danh sách đề nghị"
        indexes = [models.Index(fields=["office", "-uploaded_at"], name="studentlist_office_newest")]
        constraints = [
            paired("studentlist", "committed"),
            paired("studentlist", "undone"),
            paired("studentlist", "returned"),
            paired("studentlist", "submitted"),
            paired("studentlist", "verified"),
            paired("studentlist", "approved"),
            models.CheckConstraint(
                name="studentlist_approver_is_another",
                condition=Q(approved_by__isnull=True)
                | (
                    ~Q(approved_by=F("uploaded_by"))
                    & ~Q(approved_by=F("submitted_by"))
                    & ~Q(approved_by=F("verified_by"))
                ),
                violation_error_message="Người phê duyệt phải khác người tải lên, người trình và người thẩm định.",
            ),
            models.CheckConstraint(
                name="studentlist_verifier_is_another",
                condition=Q(verified_by__isnull=True)
                | (~Q(verified_by=F("uploaded_by")) & ~Q(verified_by=F("submitted_by"))),
                violation_error_message="Người thẩm định phải khác người tải lên và người trình.",
            ),
            spelled_out(
                "studentlist",
                "return_reason",
                "Hãy viết lý do trả lại để người gửi biết phải sửa gì",
                when=Q(state="returned"),
            ),
            models.CheckConstraint(
                name="studentlist_submitted_is_attested",
                condition=Q(submitted_at__isnull=True) | ~Q(attestation=""),
                violation_error_message="Danh sách được trình phải có lời cam đoan.",
            ),
            models.CheckConstraint(
                name="studentlist_approved_has_approver",
                condition=~Q(state="approved") | Q(approved_at__isnull=False, verified_at__isnull=False),
                violation_error_message="Danh sách phải được thẩm định rồi mới phê duyệt.",
            ),
        ]

    def __str__(self):
        return f"{self.file_name} – {self.office}"


class ListRow(models.Model):
    """One row of a file as it was read: its values, what was said about it, its one outcome and one effect.

    A staging table, written by COPY: the trail of a list is its file, its rows and the students' own trail.
    """

    class Outcome(models.IntegerChoices):
        OK = 0, "Hợp lệ"
        CORRECTED = 1, "Đã tự sửa"
        WARNING = 2, "Cần lưu ý"
        DUPLICATE = 3, "Trùng"
        ERROR = 4, "Lỗi"

    class Effect(models.IntegerChoices):
        NEW = 0, "Mới"
        CHANGED = 1, "Thay đổi"
        UNCHANGED = 2, "Không đổi"

    student_list = models.ForeignKey(
        StudentList, on_delete=models.CASCADE, related_name="rows", verbose_name="danh sách", db_index=False
    )
    number = models.PositiveIntegerField("hàng trong tệp")
    outcome = models.PositiveSmallIntegerField("kết quả", choices=Outcome)
    effect = models.PositiveSmallIntegerField("tác động", choices=Effect, default=Effect.NEW)
    school_code = models.CharField("mã trường", max_length=24, blank=True)
    class_name = models.CharField("lớp", max_length=20, blank=True)
    student_code = models.CharField("mã học sinh", max_length=16, blank=True)
    full_name = models.CharField("họ và tên", max_length=80, blank=True)
    search_key = models.CharField("khoá tìm kiếm", max_length=120, blank=True)
    sort_key = models.CharField("khoá sắp xếp", max_length=240, blank=True)
    born_on = models.DateField("ngày sinh", null=True, blank=True)
    sex = models.CharField("giới tính", max_length=6, blank=True)
    identity_index = models.BinaryField("khoá tra số định danh", null=True, blank=True)
    # Whatever was typed in the cell, right or wrong.
    identity_sealed = models.BinaryField("số định danh (đã mã hoá)", null=True, blank=True)
    group = models.CharField("đối tượng", max_length=12, blank=True)
    household_code = models.CharField("mã hộ", max_length=40, blank=True)
    commune_name = models.CharField("xã, phường", max_length=80, blank=True)
    # Resolved from the commune's name; the key joins the children of one household of one commune.
    commune = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="xã, phường đã nhận ra",
        db_index=False,
    )
    household_key = models.CharField("khoá hộ", max_length=64, blank=True)
    has_device = models.BooleanField("đã có máy tính", default=False)
    # [[column, kind, code, value, message], …]; identity numbers masked.
    findings = models.JSONField("điều cần nói", null=True, blank=True)
    typed = models.JSONField("nguyên văn các ô có điều cần nói", null=True, blank=True)
    student = models.ForeignKey(
        Student,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="học sinh đã có",
        db_index=False,
    )
    # The student's values before this list changed them: what an undo puts back.
    before = models.JSONField("giá trị trước khi ghi", null=True, blank=True)

    class Meta:
        verbose_name = "hàng của danh sách"
        verbose_name_plural = "hàng của danh sách"
        constraints = [
            models.UniqueConstraint(
                fields=["student_list", "number"],
                name="listrow_number_once",
                violation_error_message="Hàng này của tệp đã được đọc.",
            ),
            models.CheckConstraint(
                name="listrow_good_row_is_whole",
                condition=Q(outcome=4)
                | (Q(born_on__isnull=False) & ~Q(full_name="") & ~Q(group="") & ~Q(school_code="")),
                violation_error_message="Hàng thiếu họ tên, ngày sinh, đối tượng hoặc trường thì phải là hàng lỗi.",
            ),
        ]

    def __str__(self):
        return f"Hàng {self.number}"


class DuplicateCaseQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(
            Q(reach(user, through="row__student_list__office__"))
            | Q(reach(user, through="student__school__office__"))
        )

    def open(self):
        return self.filter(decision="")


@audited(children=True)
class DuplicateCase(models.Model):
    """A row that may be a child whom the system has already: a person decides, nothing is deleted by itself."""

    class Reason(models.TextChoices):
        IDENTITY = "identity", "Trùng số định danh"
        CODE = "code", "Trùng mã học sinh"
        LIKELY = "likely", "Trùng họ tên, ngày sinh và địa bàn"

    class Decision(models.TextChoices):
        DIFFERENT = "different", "Hai em khác nhau"
        KEEP = "keep", "Cùng một em, giữ bản ghi đã có"
        MOVE = "move", "Cùng một em, nay học ở trường trong tệp này"

    row = models.ForeignKey(
        ListRow, on_delete=models.CASCADE, related_name="cases", verbose_name="hàng của danh sách"
    )
    student = models.ForeignKey(
        Student, on_delete=models.CASCADE, related_name="duplicate_cases", verbose_name="học sinh đã có"
    )
    reason = models.CharField("vì sao nghi trùng", max_length=10, choices=Reason)
    # The student belongs to an office beyond the sender's reach: only an office above both decides.
    is_disputed = models.BooleanField("giữa hai đơn vị", default=False)
    decision = models.CharField("quyết định", max_length=10, choices=Decision, blank=True)
    note = models.TextField("ghi chú", blank=True)
    decided_at = models.DateTimeField("quyết định lúc", null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người quyết định",
    )

    objects = DuplicateCaseQuerySet.as_manager()

    class Meta:
        verbose_name = "trường hợp nghi trùng"
        verbose_name_plural = "trường hợp nghi trùng"
        constraints = [
            paired("duplicatecase", "decided"),
            models.UniqueConstraint(
                fields=["row", "student"],
                name="duplicatecase_once",
                violation_error_message="Trường hợp này đã có.",
            ),
            models.CheckConstraint(
                name="duplicatecase_decision_has_person",
                condition=Q(decision="", decided_at__isnull=True)
                | (~Q(decision="") & Q(decided_at__isnull=False)),
                violation_error_message="Quyết định phải có người quyết định.",
            ),
            models.CheckConstraint(
                name="duplicatecase_same_identity_is_one_child",
                condition=~Q(reason__in=["identity", "code"]) | ~Q(decision="different"),
                violation_error_message="Hai em khác nhau không thể chung số định danh hoặc mã học sinh: hãy sửa số ở một trong hai.",
            ),
        ]

    def __str__(self):
        return f"{self.get_reason_display()}: {self.row}"


@audited(children=True)
class ToldApart(models.Model):
    """That two rows of one file with one name, birth date and school are two children: a person said so, and why."""

    row = models.ForeignKey(
        ListRow, on_delete=models.CASCADE, related_name="told_apart", verbose_name="hàng của danh sách"
    )
    other = models.ForeignKey(
        ListRow, on_delete=models.CASCADE, related_name="+", verbose_name="hàng giống nó ở trên"
    )
    note = models.TextField("căn cứ")
    decided_at = models.DateTimeField("xác nhận lúc")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người xác nhận"
    )

    class Meta:
        verbose_name = "xác nhận hai em khác nhau"
        verbose_name_plural = "xác nhận hai em khác nhau"
        constraints = [
            paired("toldapart", "decided"),
            models.UniqueConstraint(
                fields=["row", "other"],
                name="toldapart_once",
                violation_error_message="Hai hàng này đã được xác nhận là hai em khác nhau.",
            ),
            models.CheckConstraint(
                name="toldapart_has_note",
                condition=~Q(note=""),
                violation_error_message="Hãy viết căn cứ vì sao đây là hai em khác nhau.",
            ),
        ]

    def __str__(self):
        return f"{self.row} và {self.other}"


@audited()
class HeaderMapping(models.Model):
    """That an office's header means a column of ours: mapped by hand once, remembered for its next files."""

    office = models.ForeignKey(
        Office, on_delete=models.CASCADE, related_name="header_mappings", verbose_name="đơn vị"
    )
    header = models.CharField("tiêu đề trong tệp", max_length=200)
    column = models.CharField("cột của hệ thống", max_length=20)
    mapped_at = models.DateTimeField("chỉ ra lúc")
    mapped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người chỉ ra"
    )

    class Meta:
        verbose_name = "cột đã nhận biết"
        verbose_name_plural = "cột đã nhận biết"
        constraints = [
            paired("headermapping", "mapped"),
            models.UniqueConstraint(
                fields=["office", "header"],
                name="headermapping_once",
                violation_error_message="Tiêu đề này đã được chỉ ra cột.",
            ),
        ]

    def __str__(self):
        return f"{self.header} → {self.column}"

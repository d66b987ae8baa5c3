"""What people type on the pages of delivery: shape only."""

from django import forms
from django.utils import timezone

from coverage.models import Operator
from delivery.models import DeviceReport, Fault, Grievance, Loss, LotRecall, Shipment
from donations.models import Lot
from ledger.events import CORRECTION
from ledger.models import PrivacyRequest
from ledger.words import REASON
from schools.models import AdministrativeUnit, Office

MAX_EVIDENCE_MB = 10
EVIDENCE_STARTS = (b"%PDF-", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def check_evidence(file):
    """A scan or photo: PDF, JPEG or PNG by content, not by name; at most 10 MB. Raises ValidationError."""
    if file.size > MAX_EVIDENCE_MB * 2**20:
        raise forms.ValidationError(f"Tệp quá {MAX_EVIDENCE_MB} MB. Hãy chụp lại với độ phân giải thấp hơn.")
    start = file.read(16)
    file.seek(0)
    if not start.startswith(EVIDENCE_STARTS):
        raise forms.ValidationError("Chỉ nhận ảnh JPEG, PNG hoặc tệp PDF.")
    return file


class DateInput(forms.DateInput):
    """The browser's own date picker."""

    input_type = "date"

    def __init__(self):
        super().__init__(format="%Y-%m-%d")


class ShipmentFilter(forms.Form):
    """Which shipments to list; everything optional, from the address."""

    direction = forms.ChoiceField(
        label="Chiều",
        choices=[("", "Đến và đi"), ("den", "Đến đơn vị"), ("di", "Từ đơn vị đi")],
        required=False,
    )
    state = forms.ChoiceField(
        label="Trạng thái",
        choices=[("", "Mọi trạng thái"), *Shipment.State.choices, ("stuck", "Kẹt trên đường")],
        required=False,
    )


class ReceiveForm(forms.Form):
    """Differences found while receiving; whatever is not named here has arrived whole."""

    missing = forms.CharField(
        label="Mã máy thiếu",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text="Mỗi dòng một mã. Máy thiếu vẫn do nơi gửi chịu trách nhiệm.",
    )
    damaged = forms.CharField(
        label="Mã máy hư hại",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text="Mỗi dòng một mã.",
    )
    fault = forms.ChoiceField(
        label="Hư hại gì", choices=[("", "Chọn nếu có máy hư hại"), *Fault.choices], required=False
    )


class LossForm(forms.ModelForm):
    """Missing devices to give up as lost, why, and how they were looked for."""

    may = forms.MultipleChoiceField(
        label="Máy", widget=forms.CheckboxSelectMultiple, error_messages={"required": "Chưa chọn máy nào."}
    )

    class Meta:
        model = Loss
        fields = ("reason", "account")
        widgets = {"account": forms.Textarea(attrs={"rows": 4})}

    field_order = ("may", "reason", "account")

    def __init__(self, *args, codes: list[tuple[str, str]], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["may"].choices = codes
        self.fields["reason"].choices = [("", "Chọn lý do"), *Loss.Reason.choices]


class ReturnForm(forms.Form):
    """Devices to send back, and where to."""

    to_office = forms.ModelChoiceField(
        label="Gửi trả về", queryset=Office.objects.none(), to_field_name="code", empty_label=None
    )
    may = forms.MultipleChoiceField(label="Máy", error_messages={"required": "Chưa chọn máy nào để gửi trả."})

    def __init__(self, *args, targets: list[Office], codes: list[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["to_office"].queryset = Office.objects.filter(pk__in=[office.pk for office in targets])
        self.fields["to_office"].choices = [(office.code, office.name) for office in targets]
        self.fields["may"].choices = [(code, code) for code in codes]


class ScanForm(forms.Form):
    """Codes as scanned: what is scanned has come, what was not is missing."""

    codes = forms.CharField(
        label="Mã đã quét hoặc gõ",
        widget=forms.Textarea(attrs={"rows": 6, "autocomplete": "off", "autocapitalize": "characters"}),
        help_text="Quét tem bằng máy quét hoặc gõ tay, mỗi dòng một mã.",
    )


class RecordForm(forms.Form):
    """A handover session to open."""

    class_name = forms.ChoiceField(label="Lớp", required=False)
    held_on = forms.DateField(label="Ngày bàn giao", widget=DateInput)
    operator = forms.ModelChoiceField(
        label="Nhà mạng của gói dữ liệu",
        queryset=Operator.objects.filter(is_mobile=True).order_by("name"),
        required=False,
        empty_label="Không cấp gói dữ liệu",
        help_text="4 GB mỗi ngày, miễn phí 3 tháng, bắt đầu khi bàn giao.",
    )

    def __init__(self, *args, classes: list[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["class_name"].choices = [("", "Cả trường"), *((name, name) for name in classes if name)]
        for name in ("class_name", "operator"):
            self.fields[name].has_default = True  # what stands there first is an answer, too


class SignForm(forms.Form):
    """Closing a record, with the signed sheet as evidence."""

    evidence = forms.FileField(
        label="Ảnh chụp hoặc bản quét biên bản đã ký",
        required=False,
        help_text="JPEG, PNG hoặc PDF, tối đa 10 MB. Chỉ cán bộ có trách nhiệm xem được.",
        widget=forms.FileInput(
            attrs={"class": "form-control", "accept": "image/jpeg,image/png,application/pdf"}
        ),
    )

    def clean_evidence(self):
        file = self.cleaned_data["evidence"]
        return check_evidence(file) if file else None


class DeviceReportForm(forms.Form):
    """What happened to one device after it was given."""

    device = forms.CharField(label="Mã thiết bị", max_length=40)
    kind = forms.ChoiceField(
        label="Tình trạng",
        choices=[
            (kind.value, kind.label)
            for kind in DeviceReport.Kind
            if kind
            not in (
                DeviceReport.Kind.RECALLED,
                DeviceReport.Kind.MISSING,
                DeviceReport.Kind.DAMAGED,
                DeviceReport.Kind.REPLACED,
            )
        ],
    )
    reason = forms.ChoiceField(label="Lý do", required=False)
    happened_on = forms.DateField(label="Ngày xảy ra", widget=DateInput)
    note = forms.CharField(
        label="Ghi chú nội bộ",
        max_length=300,
        required=False,
        help_text="Không ghi tên hay thông tin của học sinh.",
    )

    def __init__(self, *args, reasons: list[tuple[str, list[tuple[str, str]]]], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].choices = [("", "Không cần lý do"), *reasons]


class RecallForm(forms.Form):
    """A lot to call back."""

    lot = forms.ModelChoiceField(
        label="Lô thiết bị",
        queryset=Lot.objects.order_by("code"),
        to_field_name="code",
        empty_label="Chọn lô",
    )
    reason = forms.ChoiceField(label="Lý do", choices=LotRecall.Reason.choices)


class GrievanceForm(forms.Form):
    """A problem that anyone reports."""

    kind = forms.ChoiceField(
        label="Bạn muốn phản ánh việc gì?", choices=Grievance.Kind.choices, widget=forms.RadioSelect
    )
    text = forms.CharField(
        label="Nội dung",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="Việc gì, ở đâu, khi nào. Bạn không cần ghi tên học sinh.",
    )
    device_code = forms.CharField(
        label="Mã thiết bị",
        max_length=20,
        required=False,
        help_text="12 ký tự in trên tem của máy, nếu việc này về một máy.",
    )
    province = forms.ModelChoiceField(
        label="Tỉnh, thành phố",
        queryset=AdministrativeUnit.objects.provinces().filter(vintage="2021").order_by("search_key"),
        required=False,
        empty_label="Không rõ hoặc cả nước",
    )
    contact = forms.CharField(
        label="Điện thoại hoặc thư điện tử của bạn",
        max_length=120,
        required=False,
        help_text="Chỉ để người xử lý hỏi thêm. Bạn vẫn xem được trả lời bằng mã phản ánh.",
    )
    is_sensitive = forms.BooleanField(
        label="Việc này cần giữ kín: chỉ Văn phòng Chương trình được đọc", required=False
    )
    # A person leaves it empty; a machine fills every field.
    website = forms.CharField(
        required=False,
        label="Bỏ trống ô này",
        widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}),
    )

    def clean(self):
        if self.data.get("website"):
            raise forms.ValidationError("Phản ánh chưa gửi được. Hãy tải lại trang và gửi lại.")


class AnswerForm(forms.Form):
    """The answer to a reported problem."""

    answer = forms.CharField(
        label="Trả lời",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Người phản ánh đọc được nội dung này. Không ghi thông tin của học sinh.",
    )


class PrivacyAnswerForm(forms.Form):
    """The answer to a family's request."""

    answer = forms.ChoiceField(label="Trả lời", choices=PrivacyRequest.Answer, widget=forms.RadioSelect)
    reason = forms.CharField(
        label="Vì sao không thực hiện được",
        max_length=300,
        required=False,
        help_text="Người gửi đọc câu này. Đừng ghi tên ai.",
    )
    extend = forms.BooleanField(label="Việc khó, gia hạn đến 20 ngày", required=False)


class EraseForm(forms.Form):
    """Whose data to erase: the family that holds the device's receipt."""

    handover = forms.ChoiceField(label="Gia đình nhận máy", widget=forms.RadioSelect)
    sure = forms.BooleanField(label="Tôi đã gọi lại và kiểm tra biên nhận; việc xoá không lấy lại được")

    def __init__(self, *args, handovers, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["handover"].choices = [
            (str(row.pk), f"Nhận ngày {timezone.localtime(row.handed_over_at):%d/%m/%Y}, {row.record.school}")
            for row in handovers
        ]
        if len(handovers) == 1:
            self.initial["handover"] = str(handovers[0].pk)


class EraseGiverForm(forms.Form):
    """A giver's data: the pledge says whose."""

    sure = forms.BooleanField(
        label="Tôi đã gọi lại và kiểm tra người gửi có đường dẫn riêng của cam kết; việc xoá không lấy lại được"
    )


class CorrectForm(forms.Form):
    """A correction names the entry and why."""

    corrects = forms.ChoiceField(label="Mục cần đính chính", widget=forms.RadioSelect)
    reason = forms.ChoiceField(label="Vì sao", choices=[(word, REASON[word]) for word in CORRECTION])

    def __init__(self, *args, entries, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["corrects"].choices = entries

"""What people type on the pages of coverage: shape only."""

from django import forms

from coverage.models import CoveragePoint, InfrastructureSupport, Operator, SchoolConnectivity
from coverage.rules import TECHNOLOGIES
from schools.models import AdministrativeUnit

MAX_EVIDENCE_MB = 10
MAX_CSV_MB = 4
EVIDENCE_STARTS = (b"%PDF-", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class DateInput(forms.DateInput):
    """The browser's own date picker."""

    input_type = "date"

    def __init__(self):
        super().__init__(format="%Y-%m-%d")


def provinces():
    """The 63 provinces of 2021, by name."""
    return AdministrativeUnit.objects.provinces().filter(vintage="2021").order_by("search_key")


class PointFilter(forms.Form):
    """Which points to list; everything optional, from the address."""

    province = forms.ModelChoiceField(
        label="Tỉnh, thành phố",
        queryset=provinces(),
        to_field_name="slug",
        required=False,
        empty_label="Cả nước",
    )
    operator = forms.ModelChoiceField(
        label="Doanh nghiệp",
        queryset=Operator.objects.order_by("name"),
        to_field_name="code",
        required=False,
        empty_label="Mọi doanh nghiệp",
    )
    state = forms.ChoiceField(
        label="Trạng thái",
        required=False,
        choices=[("", "Mọi trạng thái"), ("late", "Quá hạn"), *CoveragePoint.State.choices],
    )
    urgent = forms.BooleanField(label="Chỉ điểm ở địa phương Chỉ thị 16", required=False)

    def select(self, points, day):
        """Narrow a queryset of points; a wrong value in the address narrows nothing."""
        self.is_valid()
        chosen = self.cleaned_data
        if chosen.get("province"):
            points = points.filter(province=chosen["province"])
        if chosen.get("operator"):
            points = points.filter(operator=chosen["operator"])
        if chosen.get("state") == "late":
            points = points.late_on(day)
        elif chosen.get("state"):
            points = points.filter(state=chosen["state"])
        if chosen.get("urgent"):
            points = points.filter(is_urgent=True)
        return points


class PointReportForm(forms.Form):
    """A report on one point."""

    state = forms.ChoiceField(label="Trạng thái", choices=CoveragePoint.State.choices)
    blocker = forms.ChoiceField(
        label="Vướng mắc",
        choices=[("", "Không vướng"), *CoveragePoint.Blocker.choices],
        required=False,
        help_text="Chỉ chọn khi trạng thái là «Đang vướng».",
    )
    measured_on = forms.DateField(
        label="Ngày đo", required=False, widget=DateInput, help_text="Cần khi báo «Đã có sóng»."
    )
    download_kbps = forms.IntegerField(
        label="Tốc độ tải xuống (kbit/s)",
        required=False,
        min_value=1,
        help_text="Đo tại điểm, từ 1.000 kbit/s trở lên mới đủ học trực tuyến.",
    )
    signal_dbm = forms.IntegerField(label="Cường độ sóng (dBm)", required=False)
    technology = forms.ChoiceField(
        label="Công nghệ", required=False, choices=[("", "Chưa ghi"), *((t, t) for t in TECHNOLOGIES)]
    )
    evidence = forms.FileField(
        label="Bằng chứng (ảnh chụp màn hình đo)",
        required=False,
        help_text="JPEG, PNG hoặc PDF, tối đa 10 MB.",
        widget=forms.FileInput(
            attrs={"class": "form-control", "accept": "image/jpeg,image/png,application/pdf"}
        ),
    )

    def clean_evidence(self):
        file = self.cleaned_data["evidence"]
        if not file:
            return None
        if file.size > MAX_EVIDENCE_MB * 2**20:
            raise forms.ValidationError(
                f"Tệp quá {MAX_EVIDENCE_MB} MB. Hãy chụp lại với độ phân giải thấp hơn."
            )
        start = file.read(16)
        file.seek(0)
        if not start.startswith(EVIDENCE_STARTS):
            raise forms.ValidationError("Chỉ nhận ảnh JPEG, PNG hoặc tệp PDF.")
        return file


class PointsFileForm(forms.Form):
    """The CSV that was downloaded, filled in, on its way back."""

    file = forms.FileField(
        label="Tệp CSV đã điền",
        help_text="Giữ nguyên cột «ma_diem». Dòng không đổi trạng thái sẽ được bỏ qua.",
        widget=forms.FileInput(attrs={"class": "form-control", "accept": ".csv,text/csv"}),
    )

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > MAX_CSV_MB * 2**20:
            raise forms.ValidationError(f"Tệp quá {MAX_CSV_MB} MB. Hãy chia thành nhiều tệp.")
        return file


class SimBatchForm(forms.Form):
    """SIMs delivered to a province."""

    province = forms.ModelChoiceField(
        label="Tỉnh, thành phố", queryset=provinces(), empty_label="Chọn tỉnh, thành phố"
    )
    quantity = forms.IntegerField(label="Số SIM", min_value=1, max_value=1_000_000)
    delivered_on = forms.DateField(label="Ngày giao", widget=DateInput)


class SupportForm(forms.Form):
    """Support for a locality over a period."""

    operator = forms.ModelChoiceField(
        label="Doanh nghiệp", queryset=Operator.objects.order_by("name"), empty_label="Chọn doanh nghiệp"
    )
    kind = forms.ChoiceField(label="Loại hỗ trợ", choices=InfrastructureSupport.Kind.choices)
    unit = forms.ModelChoiceField(label="Địa phương", queryset=provinces(), empty_label="Chọn địa phương")
    description = forms.CharField(
        label="Nội dung",
        max_length=300,
        help_text="Hỗ trợ gì, cho ai, bao nhiêu; ví dụ: miễn cước truy cập nền tảng dạy học cho học sinh toàn tỉnh.",
    )
    value_vnd = forms.IntegerField(
        label="Giá trị ước tính (đồng)", required=False, min_value=0, max_value=10**13
    )
    starts_on = forms.DateField(label="Từ ngày", widget=DateInput)
    ends_on = forms.DateField(label="Đến hết ngày", required=False, widget=DateInput)

    def __init__(self, *args, operators, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["operator"].queryset = operators

    def clean_value_vnd(self):
        return self.cleaned_data["value_vnd"] or 0


class SchoolFilter(forms.Form):
    """Which schools to list by connection."""

    province = forms.ModelChoiceField(
        label="Tỉnh, thành phố",
        queryset=provinces(),
        to_field_name="slug",
        required=False,
        empty_label="Tất cả",
    )
    state = forms.ChoiceField(
        label="Kết nối", required=False, choices=[("", "Mọi trạng thái"), *SchoolConnectivity.State.choices]
    )


class SurveyForm(forms.Form):
    """What a survey found about one school."""

    state = forms.ChoiceField(label="Kết nối Internet", choices=SchoolConnectivity.State.choices)
    source = forms.CharField(label="Nguồn", max_length=200, required=False)
    surveyed_on = forms.DateField(label="Ngày khảo sát", required=False, widget=DateInput)

"""What officials type about policies and runs: shape only; rules and services decide."""

from typing import Any

from django import forms

from allocation import perms
from allocation.engine import GROUPS
from allocation.models import AllocationPolicy, AllocationRun, Phase, Reduction, Revocation
from allocation.rules import HEX256, LAST_GRADE, group_title
from common import clock
from schools.models import AdministrativeUnit

GROUP_CHOICES = [(group, group_title(group)) for group in GROUPS]
MARGIN_CHOICES = [
    ("proportional", "Chia cho các tỉnh theo tỉ lệ số em còn thiếu, trong tỉnh thì bốc thăm"),
    ("draw", "Bốc thăm chung cả nước"),
]


class PolicyForm(forms.Form):
    phase = forms.ModelChoiceField(
        label="Giai đoạn", queryset=Phase.objects.order_by("code"), empty_label="Chọn một giai đoạn"
    )
    name = forms.CharField(label="Tên gọi", max_length=120)
    groups = forms.MultipleChoiceField(
        label="Đối tượng được xét",
        choices=GROUP_CHOICES,
        widget=forms.CheckboxSelectMultiple,
        help_text="Thứ tự giữa các đối tượng theo Kế hoạch, không đổi được: nghèo, cận nghèo, mồ côi do COVID-19.",
    )
    locality_first = forms.TypedChoiceField(
        label="Xét trước theo",
        choices=[
            ("1", "Địa phương thực hiện Chỉ thị 16, rồi đến đối tượng"),
            ("0", "Đối tượng, rồi đến địa phương"),
        ],
        coerce=lambda value: value == "1",
        widget=forms.RadioSelect,
    )
    margin = forms.ChoiceField(
        label="Khi máy hết giữa một bậc", choices=MARGIN_CHOICES, widget=forms.RadioSelect
    )
    reserve_percent = forms.IntegerField(
        label="Giữ lại dự phòng (% số máy chung)",
        min_value=0,
        max_value=50,
        initial=0,
        help_text="Để dành cho danh sách đến muộn, khiếu nại, đổi máy hỏng.",
    )
    laptop_from_grade = forms.IntegerField(
        label="Ưu tiên máy xách tay từ lớp",
        required=False,
        min_value=1,
        max_value=LAST_GRADE,
        help_text="Ví dụ 10: trong số em đã được xét, em từ lớp 10 và sinh viên nhận máy xách tay trước, em khác nhận "
        "loại còn lại. Chỉ chọn loại máy, không đổi em nào được nhận. Bỏ trống: không phân biệt loại máy.",
    )


class RunForm(forms.Form):
    policy = forms.ModelChoiceField(
        label="Chính sách đã công bố",
        empty_label="Chọn một chính sách",
        queryset=AllocationPolicy.objects.filter(published_at__isnull=False)
        .select_related("phase")
        .order_by("phase__code", "-version"),
    )
    province = forms.ModelChoiceField(
        label="Phạm vi",
        queryset=AdministrativeUnit.objects.none(),
        required=False,
        empty_label="Toàn quốc",
    )
    purpose = forms.ChoiceField(
        label="Loại đợt",
        choices=AllocationRun.Purpose.choices,
        widget=forms.RadioSelect,
        initial=AllocationRun.Purpose.MAIN,
        help_text="Đợt chính giữ lại phần dự phòng của chính sách; đợt bổ sung chia cả phần đã giữ lại.",
    )
    source = forms.ChoiceField(
        label="Số ngẫu nhiên lấy từ đâu",
        choices=AllocationRun.Source.choices,
        widget=forms.RadioSelect,
        initial=AllocationRun.Source.PUBLIC_DRAW,
    )
    randomness_source = forms.CharField(
        label="Nguồn cụ thể",
        max_length=200,
        help_text="Ví dụ: Xổ số kiến thiết miền Bắc, giải đặc biệt, kỳ quay 18:15 ngày 16/11/2021.",
    )
    draw_at = forms.DateTimeField(
        label="Thời điểm có kết quả",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
        input_formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%d/%m/%Y %H:%M"],
        help_text="Phải sau lúc chốt dữ liệu, để không ai biết trước.",
    )
    commitments = forms.CharField(
        label="Cam kết của ba bên",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Chỉ khi ba bên cùng góp số: mỗi bên một dòng, 64 ký tự, là SHA-256 của đúng các ký tự mà bên đó giữ kín: "
        "một dòng, dài nhất 60 ký tự, không có khoảng trắng hay dấu xuống dòng ở hai đầu. Không khớp thì cả đợt phải bác.",
    )

    def __init__(self, *args: Any, user, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit_to_scope(self.fields["province"], *perms.scopes_to_run(user))

    def clean_commitments(self) -> list[str]:
        lines = self.cleaned_data["commitments"].lower().split()
        if any(not HEX256.fullmatch(line) for line in lines):
            raise forms.ValidationError("Mỗi cam kết phải đúng 64 ký tự 0–9, a–f.")
        return lines


class RandomnessForm(forms.Form):
    value = forms.CharField(
        label="Kết quả ngẫu nhiên",
        max_length=200,
        help_text="Nhập đúng từng ký tự như nguồn đã công bố; khoảng trắng ở hai đầu bỏ qua.",
    )

    def __init__(self, *args: Any, run: AllocationRun, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if run.is_three_parties:
            self.fields["value"].widget = forms.Textarea(attrs={"rows": 3})
            self.fields["value"].label = "Số của ba bên"
            self.fields["value"].help_text = "Mỗi bên một dòng, theo đúng thứ tự của ba cam kết."


class RejectForm(forms.Form):
    reason = forms.ChoiceField(
        label="Lý do", choices=AllocationRun.RejectReason.choices, widget=forms.RadioSelect
    )
    note = forms.CharField(
        label="Giải thích thêm",
        max_length=300,
        required=False,
        help_text="Phải có khi chọn «Lý do khác». Chỉ cán bộ xem được; sổ cái công khai chỉ ghi lý do.",
    )


class TrialForm(forms.Form):
    """A policy to try alone, or two of them side by side."""

    one = forms.ModelChoiceField(
        label="Chính sách", queryset=AllocationPolicy.objects.none(), empty_label="Chọn một chính sách"
    )
    other = forms.ModelChoiceField(
        label="So với chính sách",
        queryset=AllocationPolicy.objects.none(),
        required=False,
        empty_label="Không so sánh, chỉ chạy thử một chính sách",
    )
    province = forms.ModelChoiceField(
        label="Phạm vi",
        queryset=AdministrativeUnit.objects.none(),
        required=False,
        empty_label="Toàn quốc",
    )

    def __init__(self, *args: Any, user, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policies = AllocationPolicy.objects.select_related("phase").order_by("phase__code", "version")
        self.fields["one"].queryset = self.fields["other"].queryset = policies
        limit_to_scope(self.fields["province"], *perms.scopes_to_try(user))


def limit_to_scope(field: forms.ModelChoiceField, provinces, is_national: bool) -> None:
    """Offer those of these provinces that exist today, and the nation only to whom it is open."""
    provinces = field.queryset = provinces.valid_on(clock.today())
    field.has_default = is_national  # the nation, which is no missing answer
    if not is_national:
        field.required = True
        field.empty_label = None
        if provinces.count() == 1:
            field.initial = provinces.get().pk


class ReductionForm(forms.ModelForm):
    class Meta:
        model = Reduction
        fields = ["count", "ground", "notice"]
        widgets = {"notice": forms.Textarea(attrs={"rows": 5})}
        help_texts = {
            "count": "Hệ thống lấy lại của các em đứng cuối theo bậc và bốc thăm, máy chưa rời kho; không ai chọn em nào.",
            "ground": "Ví dụ: nhà tài trợ rút 120 máy theo công văn số …",
        }


class DecisionForm(forms.Form):
    """Yes or no to what another official asked for."""

    quyet_dinh = forms.ChoiceField(
        label="Quyết định", choices=[("dong-y", "Đồng ý"), ("khong", "Không đồng ý")]
    )

    def add_prefix(self, field_name: str) -> str:
        return field_name.replace("_", "-")


class RevocationForm(forms.ModelForm):
    class Meta:
        model = Revocation
        fields = ["reason", "notice"]
        widgets = {"notice": forms.Textarea(attrs={"rows": 5})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].choices = [("", "Chọn lý do"), *Revocation.Reason.choices]

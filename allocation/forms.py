"""What officials type about policies and runs: shape only; rules and services decide."""

from typing import Any

from django import forms

from allocation.engine import GROUPS
from allocation.models import AllocationPolicy, AllocationRun, Phase, Revocation
from allocation.rules import GROUP_NAMES, HEX256
from schools.models import AdministrativeUnit

GROUP_CHOICES = [(group, GROUP_NAMES[group].capitalize()) for group in GROUPS]
MARGIN_CHOICES = [
    ("proportional", "Chia cho các tỉnh theo tỉ lệ số em còn thiếu, trong tỉnh thì bốc thăm"),
    ("draw", "Bốc thăm chung cả nước"),
]


class PolicyForm(forms.Form):
    phase = forms.ModelChoiceField(label="Giai đoạn", queryset=Phase.objects.order_by("code"))
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


class RunForm(forms.Form):
    policy = forms.ModelChoiceField(
        label="Chính sách đã công bố",
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
        help_text="Chỉ khi ba bên cùng góp số: mỗi bên một dòng, 64 ký tự (SHA-256 của số mà bên đó giữ kín).",
    )

    def __init__(self, *args: Any, user, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["province"].queryset, national = self._scopes(user)
        if not national:
            self.fields["province"].required = True
            self.fields["province"].empty_label = None

    @staticmethod
    def _scopes(user):
        """The provinces over which this person may open a run, and whether the nation too."""
        provinces = AdministrativeUnit.objects.provinces().order_by("code")
        roles = user.staff_roles.filter(ended_at=None, role="clerk")
        if roles.filter(office__kind="programme").exists():
            return provinces, True
        own = roles.filter(office__kind="province_department").values("office__unit")
        return provinces.filter(pk__in=own), False

    def clean_commitments(self) -> list[str]:
        lines = self.cleaned_data["commitments"].lower().split()
        if any(not HEX256.fullmatch(line) for line in lines):
            raise forms.ValidationError("Mỗi cam kết phải đúng 64 ký tự 0–9, a–f.")
        return lines


class RandomnessForm(forms.Form):
    value = forms.CharField(
        label="Kết quả ngẫu nhiên",
        max_length=200,
        widget=forms.Textarea(attrs={"rows": 1}),
        help_text="Nhập đúng như nguồn đã công bố. Ba bên cùng góp số thì mỗi bên một dòng.",
    )


class RejectForm(forms.Form):
    reason = forms.ChoiceField(
        label="Lý do", choices=AllocationRun.RejectReason.choices, widget=forms.RadioSelect
    )
    note = forms.CharField(
        label="Giải thích thêm",
        max_length=300,
        required=False,
        help_text="Chỉ cán bộ xem được; sổ cái công khai chỉ ghi lý do.",
    )


class ComparisonForm(forms.Form):
    one = forms.ModelChoiceField(
        label="Chính sách thứ nhất",
        queryset=AllocationPolicy.objects.select_related("phase").order_by("phase__code", "version"),
    )
    other = forms.ModelChoiceField(
        label="Chính sách thứ hai",
        queryset=AllocationPolicy.objects.select_related("phase").order_by("phase__code", "version"),
    )


class RevocationForm(forms.ModelForm):
    class Meta:
        model = Revocation
        fields = ["reason", "notice"]
        widgets = {"notice": forms.Textarea(attrs={"rows": 5})}

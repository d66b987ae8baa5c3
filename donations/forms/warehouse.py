"""Forms of the warehouse: lots, serials, inspection, criteria."""

from django import forms
from django.utils.translation import gettext as _

from common.templatetags.vi import format_number
from donations.forms.pledge import LARGEST_QUANTITY
from donations.models import DeviceCriteria, Pledge
from donations.rules import CRITERIA, REASONS, SEEN_BY_INSPECTOR, WRITE_OFF_REASONS
from schools.models import Office

LARGEST_FILE = 5 * 2**20
LARGEST_PASTE = 20_000


class LotForm(forms.Form):
    """Like devices that arrived together."""

    warehouse = forms.ModelChoiceField(label="Kho", queryset=Office.objects.none(), empty_label=None)
    device_kind = forms.ChoiceField(label="Loại máy", choices=Pledge.DeviceKind.choices)
    model_name = forms.CharField(label="Mẫu máy", max_length=80, required=False)
    is_used = forms.BooleanField(label="Máy đã qua sử dụng", required=False)
    declared_count = forms.IntegerField(
        label="Số máy theo giấy giao hàng",
        min_value=1,
        max_value=LARGEST_QUANTITY,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )

    def __init__(self, *args, warehouses, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["warehouse"].queryset = warehouses


class SerialsForm(forms.Form):
    """Serials one by one, pasted or scanned, one machine a line; or a file."""

    serials = forms.CharField(
        label="Số sê-ri",
        required=False,
        strip=False,
        max_length=LARGEST_PASTE * 60,
        help_text="Mỗi dòng một máy. Quét mã vạch hoặc dán từ bảng tính; có IMEI thì ghi sau dấu phẩy hoặc tab.",
        widget=forms.Textarea(
            attrs={"rows": 8, "autocomplete": "off", "spellcheck": "false", "class": "code"}
        ),
    )
    file = forms.FileField(
        label="Hoặc tải tệp lên",
        required=False,
        help_text="Tệp .xlsx hoặc .csv, tối đa 5 MB; cột “Số sê-ri” và, nếu có, cột “IMEI”.",
        widget=forms.FileInput(attrs={"accept": ".xlsx,.xls,.csv,.txt"}),
    )

    def clean_file(self):
        file = self.cleaned_data.get("file")
        if file and file.size > LARGEST_FILE:
            raise forms.ValidationError(_("Tệp lớn hơn 5 MB. Hãy tách thành nhiều tệp."))
        return file

    def clean(self):
        data = super().clean()
        if bool((data.get("serials") or "").strip()) == bool(data.get("file")) and not self.errors:
            raise forms.ValidationError(_("Hãy nhập số sê-ri vào ô, hoặc chọn một tệp (một trong hai cách)."))
        return data


class AnnounceForm(SerialsForm):
    """The same from a donor, before the devices come: what the boxes say is translated."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["serials"].label = _("Số sê-ri")
        self.fields["serials"].help_text = _(
            "Mỗi dòng một máy, dán từ bảng tính được; có IMEI thì ghi sau dấu phẩy hoặc tab."
        )
        self.fields["file"].label = _("Hoặc tải tệp lên")
        self.fields["file"].help_text = _(
            "Tệp .xlsx hoặc .csv, tối đa 5 MB; cột “Số sê-ri” và, nếu có, cột “IMEI”. Chọn tệp thì ô trên không tính."
        )

    def clean(self):
        # The box holds the list of before; a chosen file takes its place.
        data = forms.Form.clean(self)
        if not (data.get("serials") or "").strip() and not data.get("file") and not self.errors:
            raise forms.ValidationError(_("Hãy nhập số sê-ri vào ô, hoặc chọn một tệp."))
        return data


def fault_choices() -> list:
    """What an inspector may see on one device, grouped by what follows."""
    groups = {"to_repair": "Cần sửa", "refused": "Không đạt"}
    return [
        ("", "Không thấy lỗi"),
        *[
            (
                label,
                [
                    (code, REASONS[code].label)
                    for code in SEEN_BY_INSPECTOR
                    if REASONS[code].outcome == outcome
                ],
            )
            for outcome, label in groups.items()
        ],
    ]


class InspectionForm(forms.Form):
    """What holds for the devices of a lot, then the exceptions item by item."""

    is_child_protected = forms.BooleanField(
        label="Đã bật bảo vệ trẻ em trên mạng ở tất cả các máy", required=False
    )
    is_wiped = forms.BooleanField(label="Đã xoá dữ liệu của người dùng cũ ở tất cả các máy", required=False)
    scope = forms.ChoiceField(
        label="Kiểm định",
        choices=[("shown", "Các máy trong bảng dưới đây"), ("all", "Tất cả máy chờ kiểm định của lô")],
        widget=forms.RadioSelect,
        initial="shown",
    )

    def __init__(
        self, *args, criteria: DeviceCriteria, is_used: bool, codes: list[str], waiting: int, **kwargs
    ):
        super().__init__(*args, **kwargs)
        measures = {}
        for key, criterion in CRITERIA.items():
            if key not in criteria.limits or key == "data_wiped":
                continue
            name = f"m_{criterion.measure}"
            if criterion.is_flag:
                measures[name] = forms.BooleanField(
                    label=f"Có: {criterion.label}", required=False, initial=True
                )
            else:
                limit = format_number(criteria.limits[key], 2)
                measures[name] = forms.FloatField(
                    label=f"{criterion.label} ({criterion.unit})" if criterion.unit else criterion.label,
                    help_text=f"Tối thiểu {limit}",
                    min_value=0,
                    widget=forms.TextInput(attrs={"inputmode": "decimal"}),
                    localize=True,
                )
        self.measures = list(measures)
        rest = dict(self.fields)
        if not is_used and not criteria.limits.get("data_wiped"):
            del rest["is_wiped"]
        if waiting <= len(codes):
            del rest["scope"]
        self.codes = codes
        self.fields = measures | rest
        for code in codes:
            self.fields[f"f_{code}"] = forms.ChoiceField(
                label=code,
                choices=fault_choices(),
                required=False,
                widget=forms.Select(attrs={"class": "input"}),
            )

    def measured(self) -> dict:
        """Measure → value, for the rules."""
        return {name.removeprefix("m_"): self.cleaned_data[name] for name in self.measures}

    def faults(self) -> dict[str, str]:
        """Device code → the fault that was seen."""
        return {code: self.cleaned_data[f"f_{code}"] for code in self.codes if self.cleaned_data[f"f_{code}"]}

    def common_fields(self):
        return [self[name] for name in self.fields if not name.startswith("f_")]


class WriteOffForm(forms.Form):
    reason = forms.ChoiceField(label="Lý do loại máy", choices=list(WRITE_OFF_REASONS.items()))


class RepairForm(forms.Form):
    """Nothing to fill in: sending it is the act."""


class CriteriaForm(forms.Form):
    """A new version of the criteria of a device kind; empty is no criterion."""

    device_kind = forms.ChoiceField(label="Loại máy", choices=Pledge.DeviceKind.choices)
    is_used_device = forms.BooleanField(label="Cho máy đã qua sử dụng", required=False)
    legal_reference = forms.CharField(
        label="Căn cứ",
        max_length=200,
        help_text="Số, ngày văn bản; nếu chưa có ghi “đề xuất – chưa xác nhận”.",
    )
    is_confirmed = forms.BooleanField(label="Đã được Bộ xác nhận", required=False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for key, criterion in CRITERIA.items():
            if criterion.is_flag:
                self.fields[key] = forms.BooleanField(
                    label=criterion.label if key == "data_wiped" else f"Phải có: {criterion.label}",
                    required=False,
                )
            else:
                unit = f" ({criterion.unit})" if criterion.unit else ""
                self.fields[key] = forms.FloatField(
                    label=f"{criterion.label} tối thiểu{unit}",
                    min_value=0,
                    required=False,
                    localize=True,
                    widget=forms.TextInput(attrs={"inputmode": "decimal"}),
                )

    def clean(self):
        data = super().clean()
        limits = {}
        for key, criterion in CRITERIA.items():
            value = data.get(key)
            if criterion.is_flag and value:
                limits[key] = True
            elif not criterion.is_flag and value:
                limits[key] = int(value) if value == int(value) else value
        if not limits and not self.errors:
            raise forms.ValidationError("Hãy ghi ít nhất một tiêu chí.")
        data["limits"] = limits
        return data

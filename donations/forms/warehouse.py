"""Forms of the warehouse: lots, serials, inspection, criteria."""

import re

from django import forms
from django.utils.translation import gettext as _

from common.templatetags.vi import format_number
from donations.forms.pledge import LARGEST_QUANTITY
from donations.models import DeviceCriteria, Pledge
from donations.rules import (
    CRITERIA,
    REASONS,
    SEEN_BY_INSPECTOR,
    WRITE_OFF_REASONS,
    Finding,
    serial_key,
)
from ledger.codes import normalise_code
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
        ("", "Chọn lỗi"),
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
    """What holds for the devices of a lot, and the few that have a fault: as short for 2,000 devices as for two.

    `named` are the waiting devices, code → serial: a person names one by its label, by its serial or by a scan of it.
    """

    ROWS, MOST_ROWS = 3, 200

    is_child_protected = forms.BooleanField(
        label="Đã bật bảo vệ trẻ em trên mạng ở tất cả các máy", required=False
    )
    is_wiped = forms.BooleanField(label="Đã xoá dữ liệu của người dùng cũ ở tất cả các máy", required=False)
    only = forms.CharField(
        label="Chỉ các máy này",
        required=False,
        max_length=LARGEST_PASTE * 60,
        widget=forms.Textarea(
            attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false", "class": "code"}
        ),
    )
    waiting = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        *args,
        criteria: DeviceCriteria,
        is_used: bool,
        named: dict[str, str],
        row_count: int = ROWS,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.code_of = {serial_key(serial): code for code, serial in named.items()} | {c: c for c in named}
        self.count = len(named)
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
        rest["only"].help_text = f"Để trống nếu đã kiểm định cả {format_number(self.count)} máy đang chờ."
        self.fields = measures | rest
        self.fault_rows = range(1, row_count + 1)
        for number in self.fault_rows:
            self.fields[f"d_{number}"] = forms.CharField(
                label=f"Máy có lỗi {number}",
                max_length=200,
                required=False,
                widget=forms.TextInput(
                    attrs={
                        "class": "input code",
                        "list": "may-cho",
                        "autocomplete": "off",
                        "spellcheck": "false",
                    }
                ),
            )
            self.fields[f"f_{number}"] = forms.ChoiceField(
                label=f"Lỗi của máy {number}",
                choices=fault_choices(),
                required=False,
                widget=forms.Select(attrs={"class": "input"}),
            )
            for name in (f"d_{number}", f"f_{number}"):
                self.fields[name].has_default = True  # an empty row is an answer: no fault

    @classmethod
    def rows_typed(cls, data) -> int:
        """How many rows for faults: those that were on the page, and always a few empty ones after the last typed."""
        numbers = {
            int(name[2:]): value
            for name, value in data.items()
            if re.fullmatch(r"d_[1-9][0-9]{0,2}", name, re.ASCII)
        }
        last = max((number for number, value in numbers.items() if value.strip()), default=0)
        return min(max(*numbers, last + cls.ROWS, cls.ROWS), cls.MOST_ROWS)

    def find(self, typed: str) -> str | None:
        """Code of the waiting device that was typed or scanned; None if none of them is called so."""
        # A scanner types the address of the label's QR code.
        code = normalise_code(typed.rstrip("/").rpartition("/")[2])
        return self.code_of.get(code or "") or self.code_of.get(serial_key(typed) or "-")

    def clean_only(self) -> list[str]:
        found, unknown = [], []
        for line in filter(None, map(str.strip, self.cleaned_data["only"].splitlines())):
            code = self.find(line)
            (found if code else unknown).append(code or line[:40])
        if unknown:
            names = ", ".join(f"“{name}”" for name in unknown[:5])
            more = f" và {len(unknown) - 5} mã khác" if len(unknown) > 5 else ""
            raise forms.ValidationError(
                f"{names}{more}: không có máy này đang chờ kiểm định trong lô. "
                "Hãy ghi mã trên tem hoặc số sê-ri, mỗi dòng một máy."
            )
        return list(dict.fromkeys(found))

    def clean(self):
        data = super().clean()
        chosen = data.get("only")
        if chosen == [] and data.get("waiting") not in (None, self.count):
            self.add_error(
                None,
                f"Trong lúc thầy/cô điền, số máy chờ kiểm định đổi từ {format_number(data['waiting'])} thành "
                f"{format_number(self.count)}. Hãy xem lại rồi ghi lần nữa.",
            )
        row_of: dict[str, int] = {}
        for number in self.fault_rows:
            typed, fault = data.get(f"d_{number}"), data.get(f"f_{number}")
            if not typed:
                if fault:
                    self.add_error(f"d_{number}", "Ghi mã trên tem hoặc số sê-ri của máy có lỗi này.")
                continue
            code = self.find(typed)
            if code is None:
                self.add_error(
                    f"d_{number}",
                    f"Không có máy “{typed[:40]}” đang chờ kiểm định trong lô. Hãy ghi mã trên tem hoặc số sê-ri.",
                )
            elif code in row_of:
                self.add_error(f"d_{number}", f"Máy này đã ghi ở dòng {row_of[code]}.")
            elif chosen and code not in chosen:
                self.add_error(f"d_{number}", "Máy này không nằm trong các máy ghi ở ô “Chỉ các máy này”.")
            else:
                row_of[code] = number
            if not fault and f"f_{number}" not in self.errors:
                self.add_error(f"f_{number}", "Chọn lỗi của máy này, hoặc xoá mã của máy nếu không có lỗi.")
        self.faults = {code: data.get(f"f_{number}") for code, number in row_of.items()}
        return data

    def findings(self) -> list[Finding]:
        """What was found on each device, for the rules; only of a valid form."""
        data = self.cleaned_data
        measured = {name.removeprefix("m_"): data[name] for name in self.measures}
        return [
            Finding(
                code,
                measured,
                (self.faults[code],) if code in self.faults else (),
                is_child_protected=data["is_child_protected"],
                is_wiped=data.get("is_wiped"),
            )
            for code in data["only"] or dict.fromkeys(self.code_of.values())
        ]

    def common_fields(self):
        return [self[name] for name in self.measures] + [
            self[name] for name in ("is_child_protected", "is_wiped") if name in self.fields
        ]

    def pairs(self):
        return [(self[f"d_{number}"], self[f"f_{number}"]) for number in self.fault_rows]


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

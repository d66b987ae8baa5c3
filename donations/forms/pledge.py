"""The public pledge form, step by step."""

from django import forms
from django.core import signing
from django.db.models import BooleanField, ExpressionWrapper, F, Q
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from common.clock import today
from common.search_keys import SearchKey
from common.templatetags.vi import format_number
from common.vietnamese import clean, search_key
from donations.models import DeviceCriteria, Donor, Pledge
from donations.rules import CRITERIA, REASONS, failed_criteria, normalise_tax_code, read_vnd
from schools.models import AdministrativeUnit, School

# A person needs longer than this from the first page to the last; a form older than a day is begun anew.
FASTEST_S, SLOWEST_S = 3, 24 * 3600
SIGNER = signing.TimestampSigner(salt="donations.pledge.form")
LARGEST_QUANTITY = 1_000_000
# The units that schools and lists are in.
VINTAGE = "2021"
LARGEST_VND = 10_000_000_000_000
# Of places that are alike so many are named.
MOST_NAMED = 6


class _Translated(forms.Form):
    """Choices in the language of the page; the models' labels are the Vietnamese msgids."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            # Rows of the database are no texts to translate, and a list of them that is set once never changes again.
            if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
                field.choices = [
                    (value, _now(str(label)) if label else label) for value, label in field.choices
                ]


class WhoForm(_Translated):
    """Step 1: who gives, and what kind of thing."""

    donor_kind = forms.ChoiceField(
        label=_("Bạn ủng hộ với tư cách"), choices=Donor.Kind.choices, widget=forms.RadioSelect
    )
    name = forms.CharField(
        label=_("Tên cá nhân hoặc tên đơn vị"),
        max_length=160,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    tax_code = forms.CharField(
        label=_("Mã số thuế"),
        max_length=20,
        required=False,
        help_text=_("Chỉ dành cho doanh nghiệp: 10 chữ số, hoặc 13 chữ số nếu là chi nhánh."),
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    kind = forms.ChoiceField(
        label=_("Bạn muốn ủng hộ"), choices=Pledge.Kind.choices, widget=forms.RadioSelect
    )

    def clean_name(self):
        return clean(self.cleaned_data["name"])

    def clean(self):
        data = super().clean()
        code = data.get("tax_code", "")
        if data.get("donor_kind") == Donor.Kind.ENTERPRISE and not code:
            self.add_error("tax_code", _("Doanh nghiệp cần ghi mã số thuế."))
        elif code and "tax_code" not in self.errors:
            normal = normalise_tax_code(code)
            if normal is None:
                self.add_error(
                    "tax_code",
                    _("Mã số thuế không đúng. Hãy xem lại trên giấy chứng nhận đăng ký kinh doanh."),
                )
            else:
                data["tax_code"] = normal
        return data


class DeviceForm(_Translated):
    """Step 2 for devices, checked against the recommended criteria at once (Plan III.1i)."""

    device_kind = forms.ChoiceField(
        label=_("Loại máy"), choices=Pledge.DeviceKind.choices, widget=forms.RadioSelect
    )
    quantity = forms.IntegerField(
        label=_("Số lượng"),
        min_value=1,
        max_value=LARGEST_QUANTITY,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    condition = forms.ChoiceField(
        label=_("Tình trạng"),
        choices=[("new", _("Máy mới")), ("used", _("Máy đã qua sử dụng"))],
        widget=forms.RadioSelect,
        initial="new",
    )
    screen_inch = forms.FloatField(label=_("Màn hình (inch)"), min_value=3, max_value=40, required=False)
    ram_gb = forms.FloatField(label=_("Bộ nhớ RAM (GB)"), min_value=0.25, max_value=1024, required=False)
    storage_gb = forms.FloatField(
        label=_("Bộ nhớ lưu trữ (GB)"), min_value=1, max_value=100_000, required=False
    )
    description = forms.CharField(label=_("Mẫu máy, ghi chú"), max_length=200, required=False)
    expected_on = forms.DateField(
        label=_("Dự kiến giao"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    SPECS = ("screen_inch", "ram_gb", "storage_gb")

    def clean_expected_on(self):
        day = self.cleaned_data["expected_on"]
        if day and day < today():
            raise forms.ValidationError(
                _("Ngày này đã qua. Hãy chọn từ hôm nay trở đi, hoặc bỏ trống nếu chưa biết.")
            )
        return day

    def clean(self):
        data = super().clean()
        if data.get("device_kind") and data.get("condition"):
            criteria = DeviceCriteria.objects.in_force(
                device_kind=data["device_kind"], is_used=data["condition"] == "used"
            )
            measured = {key: data[key] for key in self.SPECS if data.get(key) is not None}
            for reason in failed_criteria(criteria.limits, measured) if criteria else []:
                field = reason.removesuffix("_low")
                limit = criteria.limits.get(f"{field}_min")
                unit = _now(CRITERIA[f"{field}_min"].unit)
                self.add_error(
                    field if field in self.fields else None,
                    _now(
                        "%(reason)s theo tiêu chí của chương trình: ít nhất %(limit)s. Bạn có thể chọn máy khác hoặc ủng hộ tiền."
                    )
                    % {"reason": _now(REASONS[reason].label), "limit": f"{format_number(limit, 2)} {unit}"},
                )
        return data


class MoneyForm(_Translated):
    """Step 2 for money."""

    amount_vnd = forms.CharField(
        label=_("Số tiền (đồng)"),
        help_text=_("Ghi bằng chữ số, ví dụ 25.000.000.000"),
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    description = forms.CharField(label=_("Lời nhắn"), max_length=200, required=False)

    def clean_amount_vnd(self):
        amount = read_vnd(self.cleaned_data["amount_vnd"])
        if amount is None:
            raise forms.ValidationError(_("Hãy ghi số tiền bằng chữ số, ví dụ 25.000.000.000."))
        if not 1_000 <= amount <= LARGEST_VND:
            raise forms.ValidationError(_("Số tiền phải từ 1.000 đ đến 10.000 tỷ đồng."))
        return amount


class InfrastructureForm(_Translated):
    """Step 2 for tariff plans, servers, hosting, lines (Plan II.3c, III.1c)."""

    infrastructure_kind = forms.ChoiceField(
        label=_("Loại hỗ trợ"), choices=Pledge.InfrastructureKind.choices, widget=forms.RadioSelect
    )
    description = forms.CharField(
        label=_("Mô tả"),
        max_length=500,
        help_text=_("Hỗ trợ gì, bao nhiêu, cho ai. Ví dụ: 10.000 SIM miễn phí 4 GB/ngày trong 3 tháng."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    starts_on = forms.DateField(
        label=_("Từ ngày"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    ends_on = forms.DateField(
        label=_("Đến hết ngày"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def clean(self):
        data = super().clean()
        start, end = data.get("starts_on"), data.get("ends_on")
        if end and (not start or end < start):
            self.add_error("ends_on", _("Ngày kết thúc phải từ ngày bắt đầu trở đi."))
        return data


class WhereForm(_Translated):
    """Step 3: where it goes; a district or a school is typed and found by name or code."""

    scope = forms.ChoiceField(
        label=_("Bạn muốn ủng hộ đến đâu"),
        choices=[
            ("anywhere", _("Nơi cần nhất, theo thứ tự ưu tiên của chương trình")),
            ("province", _("Một tỉnh, thành phố")),
            ("district", _("Một quận, huyện")),
            ("school", _("Một trường")),
        ],
        widget=forms.RadioSelect,
        initial="anywhere",
    )
    province = forms.ModelChoiceField(
        label=_("Tỉnh, thành phố"),
        queryset=AdministrativeUnit.objects.none(),
        required=False,
        empty_label=_("Chọn tỉnh"),
    )
    place = forms.CharField(
        label=_("Tên quận, huyện; hoặc tên hay mã trường"),
        max_length=160,
        required=False,
        help_text=_("Không dấu cũng được."),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["province"].queryset = (
            AdministrativeUnit.objects.provinces().filter(vintage=VINTAGE).order_by("search_key")
        )

    def clean(self):
        data = super().clean()
        scope, province, place = data.get("scope"), data.get("province"), clean(data.get("place") or "")
        data["unit"] = data["school"] = None
        if scope in (None, "anywhere"):
            return data
        if province is None and not self.has_error("province"):
            self.add_error("province", _("Hãy chọn tỉnh, thành phố."))
            return data
        if scope == "province":
            data["unit"] = province
        elif not place:
            self.add_error("place", _("Hãy ghi tên quận, huyện hoặc tên, mã trường."))
        elif scope == "district":
            districts = AdministrativeUnit.objects.filter(level="district", province=province)
            data["unit"] = self._one(
                districts.annotate(key=F("search_key"), name_key=SearchKey("name")),
                place,
                words=[search_key(place)],
                shown=lambda unit: unit.full_name,
            )
        else:
            schools = School.objects.filter(province=province).select_related("office")
            data["school"] = schools.filter(code=place.upper()).first() or self._one(
                schools.annotate(key=SearchKey("office__name"), name_key=F("key")),
                place,
                words=search_key(place).split(),
                shown=lambda school: f"{school.office.name} ({school.code})",
            )
        return data

    def _one(self, rows, place: str, *, words: list[str], shown):
        """The one row whose key holds these words, or is named just as was typed; says so where there is no such row."""
        for word in words:
            rows = rows.filter(key__contains=word)
        # Who types a whole name that longer ones begin with means that one.
        is_exact = Q(key=search_key(place)) | Q(name_key=search_key(place))
        found = list(
            rows.annotate(is_exact=ExpressionWrapper(is_exact, BooleanField())).order_by("-is_exact", "key")[
                :MOST_NAMED
            ]
        )
        exact = [row for row in found if row.is_exact]
        found = exact if len(exact) == 1 else found
        if len(found) == 1:
            return found[0]
        self._say(place, [shown(row) for row in found])
        return None

    def _say(self, place: str, names: list[str]) -> None:
        if not names:
            self.add_error(
                "place",
                _now("Không tìm thấy «%(place)s» trong tỉnh này. Hãy xem lại tên.") % {"place": place},
            )
        else:
            self.add_error(
                "place",
                _now("Có nhiều nơi giống «%(place)s»: %(names)s. Hãy ghi rõ hơn hoặc ghi mã trường.")
                % {"place": place, "names": "; ".join(names)},
            )


class ContactForm(_Translated):
    """Step 4: whom to talk to, and whether the donor may be named."""

    contact_name = forms.CharField(
        label=_("Người liên hệ"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    contact_email = forms.EmailField(
        label=_("Thư điện tử"),
        help_text=_("Để gửi mã cam kết và báo khi máy đến nơi. Không hiện công khai."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    contact_phone = forms.RegexField(
        r"^\+?[0-9 .()-]{8,20}$",
        label=_("Điện thoại"),
        required=False,
        error_messages={"invalid": _("Số điện thoại cần từ 8 chữ số trở lên.")},
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
    )
    is_named_in_public = forms.BooleanField(
        label=_("Đồng ý nêu tên nhà tài trợ trên trang công khai"),
        required=False,
        help_text=_("Nếu không chọn, trang công khai chỉ ghi “Nhà tài trợ không nêu tên”."),
    )


class SendForm(forms.Form):
    """Step 5: nothing to fill in for a person; a robot fills the hidden field or is too fast."""

    website = forms.CharField(required=False, label=_("Để trống ô này"))
    started = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean(self):
        data = super().clean()
        if data.get("website"):
            raise forms.ValidationError(
                _("Ô dành cho máy phải để trống. Hãy xoá chữ trong ô đó rồi gửi lại.")
            )
        return data


def begin_token() -> str:
    """When the form was opened, signed, so that it can't be made up."""
    return SIGNER.sign("pledge")


def is_too_fast(token: str) -> bool | None:
    """True when the form was sent faster than a person could; None when the token is missing, forged or too old."""
    try:
        SIGNER.unsign(token, max_age=SLOWEST_S)
    except signing.BadSignature:
        return None
    try:
        SIGNER.unsign(token, max_age=FASTEST_S)
    except signing.SignatureExpired:
        return False
    return True


STEP_FORMS = {
    "nguoi-ung-ho": WhoForm,
    "noi-nhan": WhereForm,
    "lien-he": ContactForm,
}
WHAT_FORMS = {"device": DeviceForm, "money": MoneyForm, "infrastructure": InfrastructureForm}

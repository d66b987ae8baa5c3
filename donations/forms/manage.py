"""Forms of staff for pledges and money, and the two by which a donor changes a pledge."""

from django import forms
from django.utils.translation import gettext_lazy as _

from donations.forms.pledge import LARGEST_QUANTITY, LARGEST_VND
from donations.models import BudgetLine, Donor, Pledge, PriceAgreement
from donations.rules import normalise_tax_code, read_vnd
from schools.models import AdministrativeUnit, Office


def date_input() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class VndField(forms.CharField):
    """Đồng as people write them: 25.000.000.000."""

    widget = forms.TextInput(attrs={"inputmode": "numeric"})

    def clean(self, value):
        text = super().clean(value)
        if not text:
            return None
        amount = read_vnd(text)
        if amount is None:
            raise forms.ValidationError(_("Hãy ghi số tiền bằng chữ số, ví dụ 25.000.000.000."))
        if not 1 <= amount <= LARGEST_VND:
            raise forms.ValidationError(_("Số tiền phải từ 1 đ đến 10.000 tỷ đồng."))
        return amount


class CancelForm(forms.Form):
    """Nothing to fill in: sending it is the act."""


class ChangeForm(forms.Form):
    """How much is promised now."""

    def __init__(self, *args, pledge: Pledge, **kwargs):
        super().__init__(*args, **kwargs)
        if pledge.kind == Pledge.Kind.DEVICE:
            self.fields["quantity"] = forms.IntegerField(
                label=_("Số máy"), min_value=1, max_value=LARGEST_QUANTITY, initial=pledge.quantity,
                widget=forms.TextInput(attrs={"inputmode": "numeric"}),
            )  # fmt: skip
        else:
            self.fields["amount_vnd"] = VndField(label=_("Số tiền (đồng)"), initial=pledge.amount_vnd)


class ConfirmForm(forms.Form):
    """The warehouse that expects a pledge's devices."""

    warehouse = forms.ModelChoiceField(
        label="Kho sẽ tiếp nhận", queryset=Office.objects.none(), required=False, empty_label="Chọn kho"
    )

    def __init__(self, *args, pledge: Pledge, **kwargs):
        super().__init__(*args, **kwargs)
        if pledge.kind == Pledge.Kind.DEVICE:
            self.fields["warehouse"].queryset = Office.objects.filter(
                kind=Office.Kind.WAREHOUSE, valid_to=None
            ).order_by("code")
            self.fields["warehouse"].required = True
        else:
            del self.fields["warehouse"]


class StaffCancelForm(forms.Form):
    reason = forms.ChoiceField(label="Lý do", choices=Pledge.ChangeReason.choices)


class MemberForm(forms.Form):
    """A person who acts for a donor; they sign in by a code sent to this address."""

    full_name = forms.CharField(label="Họ và tên", max_length=120)
    email = forms.EmailField(label="Thư điện tử")


class UmbrellaForm(forms.Form):
    """The common pledge that already holds this one's number."""

    umbrella_code = forms.CharField(
        label="Mã cam kết chung",
        max_length=20,
        required=False,
        help_text="Bỏ trống để tách khỏi cam kết chung.",
    )


class ReceiptForm(forms.Form):
    """Money that arrived."""

    office = forms.ModelChoiceField(label="Nơi giữ tiền", queryset=Office.objects.none(), empty_label=None)
    amount_vnd = VndField(label="Số tiền (đồng)")
    document_number = forms.CharField(label="Số chứng từ", max_length=40)
    received_on = forms.DateField(label="Ngày nhận", widget=date_input())

    def __init__(self, *args, offices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["office"].queryset = offices


class TransferForm(forms.Form):
    """Money passed on to another office that will buy."""

    from_office = forms.ModelChoiceField(label="Nơi chuyển", queryset=Office.objects.none(), empty_label=None)
    to_office = forms.ModelChoiceField(
        label="Nơi nhận", queryset=Office.objects.none(), empty_label="Chọn nơi nhận"
    )
    amount_vnd = VndField(label="Số tiền (đồng)")
    document_number = forms.CharField(label="Số chứng từ", max_length=40)
    transferred_on = forms.DateField(label="Ngày chuyển", widget=date_input())

    def __init__(self, *args, offices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["from_office"].queryset = offices
        self.fields["to_office"].queryset = Office.objects.filter(
            kind__in=[Office.Kind.PROGRAMME, Office.Kind.PROVINCE_COMMITTEE, Office.Kind.PROVINCE_DEPARTMENT]
        ).order_by("name")


class PaymentForm(forms.Form):
    amount_vnd = VndField(label="Số tiền (đồng)")
    document_number = forms.CharField(label="Số chứng từ", max_length=40)
    transferred_on = forms.DateField(label="Ngày chi", widget=date_input())


class PriceForm(forms.Form):
    """A negotiated price with its dates."""

    supplier = forms.CharField(label="Nhà cung cấp", max_length=160)
    device_kind = forms.ChoiceField(label="Loại máy", choices=Pledge.DeviceKind.choices)
    model_name = forms.CharField(label="Mẫu máy", max_length=80)
    unit_price_vnd = VndField(label="Đơn giá (đồng)")
    valid_from = forms.DateField(label="Từ ngày", widget=date_input())
    valid_to = forms.DateField(label="Đến hết ngày", required=False, widget=date_input())
    legal_reference = forms.CharField(label="Căn cứ", max_length=200, required=False)


class OrderForm(forms.Form):
    """Devices to buy from money that has arrived, for students that are known."""

    agreement = forms.ModelChoiceField(
        label="Thoả thuận giá", queryset=PriceAgreement.objects.none(), empty_label="Chọn giá"
    )
    quantity = forms.IntegerField(
        label="Số máy",
        min_value=1,
        max_value=LARGEST_QUANTITY,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    target_unit = forms.ModelChoiceField(
        label="Mua cho địa phương",
        queryset=AdministrativeUnit.objects.none(),
        required=False,
        empty_label="Cả nước",
    )
    office = forms.ModelChoiceField(label="Nơi mua", queryset=Office.objects.none(), empty_label=None)
    budget_line = forms.ModelChoiceField(
        label="Dòng kinh phí",
        queryset=BudgetLine.objects.order_by("code"),
        required=False,
        empty_label="Không gắn dòng kinh phí",
    )
    expected_on = forms.DateField(label="Hẹn giao", required=False, widget=date_input())

    def __init__(self, *args, agreements, offices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["agreement"].queryset = agreements
        self.fields["office"].queryset = offices
        self.fields["target_unit"].queryset = AdministrativeUnit.objects.filter(
            level="province", vintage="2021"
        ).order_by("search_key")


class DeliverForm(forms.Form):
    warehouse = forms.ModelChoiceField(
        label="Kho nhận", queryset=Office.objects.none(), empty_label="Chọn kho"
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["warehouse"].queryset = Office.objects.filter(
            kind=Office.Kind.WAREHOUSE, valid_to=None
        ).order_by("code")


class StaffPledgeForm(forms.Form):
    """A pledge that staff record: by letter, by phone, an umbrella, a province's own initiative."""

    donor_kind = forms.ChoiceField(label="Loại nhà tài trợ", choices=Donor.Kind.choices)
    name = forms.CharField(label="Tên nhà tài trợ", max_length=160)
    tax_code = forms.CharField(label="Mã số thuế", max_length=20, required=False)
    is_named_in_public = forms.BooleanField(label="Nhà tài trợ đồng ý nêu tên công khai", required=False)
    kind = forms.ChoiceField(label="Hình thức", choices=Pledge.Kind.choices)
    device_kind = forms.ChoiceField(
        label="Loại máy (nếu ủng hộ máy)", choices=[("", "—"), *Pledge.DeviceKind.choices], required=False
    )
    quantity = forms.IntegerField(label="Số máy", min_value=1, max_value=LARGEST_QUANTITY, required=False)
    amount_vnd = VndField(label="Số tiền (đồng)", required=False)
    infrastructure_kind = forms.ChoiceField(
        label="Loại hỗ trợ (nếu là hạ tầng)",
        choices=[("", "—"), *Pledge.InfrastructureKind.choices],
        required=False,
    )
    description = forms.CharField(label="Mô tả", max_length=500, required=False)
    funding_source = forms.ChoiceField(label="Nguồn", choices=Pledge.FundingSource.choices)
    earmark_unit = forms.ModelChoiceField(
        label="Dành cho tỉnh",
        queryset=AdministrativeUnit.objects.none(),
        required=False,
        empty_label="Nơi cần nhất",
    )
    umbrella_code = forms.CharField(label="Nằm trong cam kết chung (mã)", max_length=20, required=False)
    office = forms.ModelChoiceField(label="Nơi phụ trách", queryset=Office.objects.none(), empty_label=None)
    warehouse = forms.ModelChoiceField(
        label="Kho sẽ tiếp nhận", queryset=Office.objects.none(), required=False, empty_label="—"
    )
    contact_name = forms.CharField(label="Người liên hệ", max_length=120, required=False)
    contact_email = forms.EmailField(label="Thư điện tử", required=False)

    def __init__(self, *args, offices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["office"].queryset = offices
        self.fields["earmark_unit"].queryset = AdministrativeUnit.objects.filter(
            level="province", vintage="2021"
        ).order_by("search_key")
        self.fields["warehouse"].queryset = Office.objects.filter(
            kind=Office.Kind.WAREHOUSE, valid_to=None
        ).order_by("code")

    def clean(self):
        data = super().clean()
        kind = data.get("kind")
        if kind == Pledge.Kind.DEVICE:
            if not data.get("device_kind"):
                self.add_error("device_kind", "Hãy chọn loại máy.")
            if not data.get("quantity") and "quantity" not in self.errors:
                self.add_error("quantity", "Hãy ghi số máy.")
            data["amount_vnd"], data["infrastructure_kind"] = None, ""
        elif kind == Pledge.Kind.MONEY:
            if not data.get("amount_vnd") and "amount_vnd" not in self.errors:
                self.add_error("amount_vnd", "Hãy ghi số tiền.")
            data["quantity"], data["device_kind"], data["infrastructure_kind"] = None, "", ""
        elif kind == Pledge.Kind.INFRASTRUCTURE:
            if not data.get("description"):
                self.add_error("description", "Hãy mô tả hỗ trợ.")
            data["quantity"], data["device_kind"] = None, ""
        if data.get("tax_code") and normalise_tax_code(data["tax_code"]) is None:
            self.add_error("tax_code", "Mã số thuế không đúng. Hãy xem lại trên giấy đăng ký kinh doanh.")
        return data

"""Forms of offices and roles: shape only; who may and what holds is said elsewhere."""

from django import forms

from schools.models import Office, StaffRole
from schools.rules import grantable_roles


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    full_name = forms.CharField(label="Họ và tên", max_length=120)
    email = forms.EmailField(
        label="Thư điện tử công vụ",
        max_length=254,
        help_text="Lời mời và mã đăng nhập được gửi đến địa chỉ này.",
    )
    role = forms.ChoiceField(label="Vai trò", widget=forms.RadioSelect)

    def __init__(self, *args, office: Office, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [
            (role, StaffRole.Role(role).label) for role in grantable_roles(office.kind)
        ]


class ConfirmForm(forms.Form):
    """Nothing to type: that it was sent is the answer."""


class RenameForm(forms.Form):
    """The new name of an office."""

    name = forms.CharField(label="Tên mới", max_length=160)


class CloseForm(forms.Form):
    """Which office takes over, and by what decision."""

    successor = forms.CharField(
        label="Mã cơ quan tiếp nhận công việc",
        max_length=24,
        help_text="Mã ghi cạnh tên cơ quan trong danh sách, ví dụ S-75 hoặc mã trường.",
    )
    reason = forms.CharField(
        label="Căn cứ", max_length=200, help_text="Số, ngày của quyết định giải thể hoặc sáp nhập."
    )
    confirm = forms.BooleanField(label="Tôi đã kiểm tra: việc này không hoàn tác được")

    def __init__(self, *args, offices=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.offices = Office.objects.none() if offices is None else offices

    def clean_successor(self) -> Office:
        code = self.cleaned_data["successor"].strip().upper()
        office = self.offices.filter(code__iexact=code).first()
        if office is None:
            raise forms.ValidationError("Không có cơ quan nào mang mã này trong phạm vi của thầy/cô.")
        return office

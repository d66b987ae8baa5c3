"""Forms of the log's pages: shape only."""

from django import forms
from django.utils.translation import gettext_lazy as _

from ledger.codes import normalise, normalise_code
from ledger.models import PrivacyRequest


class RequestForm(forms.ModelForm):
    """What a family or donor asks for."""

    field_order = ("kind", "device", "contact", "detail")

    device = forms.CharField(
        label=_("Mã máy hoặc mã cam kết"),
        max_length=20,
        help_text=_(
            "Gia đình: 12 chữ và số trên tem của máy hoặc biên nhận. Nhà tài trợ: mã cam kết, như CK-7K3QF9XWM."
        ),
    )
    # Left empty by people, filled by machines.
    website = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = PrivacyRequest
        fields = ("kind", "contact", "detail")
        labels = {
            "kind": _("Bạn muốn"),
            "contact": _("Số điện thoại hoặc thư điện tử"),
            "detail": _("Nội dung"),
        }
        help_texts = {
            "contact": _("Để chúng tôi trả lời bạn; sẽ được xoá khi xong việc."),
            "detail": _("Nếu đính chính: điều gì ghi sai, và đúng phải là gì. Đừng ghi số định danh."),
        }
        widgets = {"kind": forms.RadioSelect, "detail": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["contact"].required = True
        self.fields["kind"].choices = PrivacyRequest.Kind.choices

    def clean_device(self) -> str:
        """The device's code, "" where it is a pledge's, which is kept apart."""
        typed = self.cleaned_data["device"]
        code, pledge = normalise_code(typed), normalise(typed)
        if pledge is not None and pledge.startswith("CK-"):
            self.cleaned_data["pledge"], code = pledge, ""
        if code is None:
            raise forms.ValidationError(
                _("Mã này không đúng. Hãy xem lại từng ký tự trên tem hoặc biên nhận.")
            )
        return code

    def clean(self) -> dict:
        cleaned = super().clean() or {}
        if cleaned.get("website"):
            raise forms.ValidationError(_("Không gửi được yêu cầu này."))
        return cleaned

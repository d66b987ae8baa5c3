from decimal import Decimal

from django.apps import AppConfig
from django.core import validators
from django.forms import ChoiceField, Field, FileField
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from common.vietnamese import number_text


class WithNumbers:
    """A message about a limit: its numbers are written as the page's language writes them, 1.000.000 or 1,000,000."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return str(self.text)

    def __mod__(self, params: dict) -> str:
        english = (get_language() or "vi").startswith("en")
        said = {
            name: number_text(value, 3, english=english)
            if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
            else value
            for name, value in params.items()
        }
        return str(self.text) % said


# Django's Vietnamese catalogue says "Trường này là bắt buộc", in which a teacher reads "this school".
Field.default_error_messages["required"] = _("Hãy điền mục này.")
ChoiceField.default_error_messages["required"] = _("Hãy chọn một mục.")
FileField.default_error_messages["required"] = _("Hãy chọn tệp.")
# Django writes the bare digits of a limit.
validators.MinValueValidator.message = WithNumbers(_("Hãy nhập số từ %(limit_value)s trở lên."))
validators.MaxValueValidator.message = WithNumbers(_("Hãy nhập số không quá %(limit_value)s."))
validators.MinLengthValidator.message = WithNumbers(
    _("Cần ít nhất %(limit_value)s ký tự; hiện có %(show_value)s.")
)
validators.MaxLengthValidator.message = WithNumbers(
    _("Nhiều nhất %(limit_value)s ký tự; hiện có %(show_value)s. Hãy viết ngắn lại.")
)


class CommonConfig(AppConfig):
    name = "common"
    verbose_name = "Dùng chung"

    def ready(self):
        # What is erased when its time is over: every app says it in its own retention.py.
        autodiscover_modules("retention")
        # Which large tables may be asked for: every app says it in its own files.py.
        autodiscover_modules("files")

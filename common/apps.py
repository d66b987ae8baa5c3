from django.apps import AppConfig
from django.forms import Field
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

# Django's Vietnamese catalogue says "Trường này là bắt buộc", in which a teacher reads "this school".
Field.default_error_messages["required"] = _("Hãy điền mục này.")


class CommonConfig(AppConfig):
    name = "common"
    verbose_name = "Dùng chung"

    def ready(self):
        # What is erased when its time is over: every app says it in its own retention.py.
        autodiscover_modules("retention")
        # Which large tables may be asked for: every app says it in its own files.py.
        autodiscover_modules("files")

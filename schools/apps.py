from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class SchoolsConfig(AppConfig):
    name = "schools"
    verbose_name = "Trường, học sinh và danh sách"

    def ready(self):
        # What moves when an office closes: every app says it in its own succession.py.
        autodiscover_modules("succession")

"""The Celery application; how tasks behave is in settings (CELERY_*)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")

app = Celery("sms_program")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

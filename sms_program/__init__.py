"""The project: settings, addresses, tasks, web server. The Celery app is loaded with Django so that tasks bind to it."""

from sms_program.celery import app as celery_app

__all__ = ["celery_app"]

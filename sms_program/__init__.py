"""The project: settings, addresses, tasks, web server. The Celery app is loaded with Django so that tasks bind to it."""

import atexit
import gc

from sms_program.celery import app as celery_app

__all__ = ["celery_app"]

# At its end the interpreter looks through all objects for cycles, of Django and numpy too: 1.4 s of work for each of a
# dozen processes when everything stops. What is frozen it leaves alone; the kernel takes the memory back.
atexit.register(gc.freeze)

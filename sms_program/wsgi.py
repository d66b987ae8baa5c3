"""What gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")
application = get_wsgi_application()
# Every view is imported before gunicorn forks: otherwise each worker's first request pays two seconds for it.
get_resolver().url_patterns  # noqa: B018 - reading it is what loads it

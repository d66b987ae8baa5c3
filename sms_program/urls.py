"""Every address of the house. Each app owns its own list; the order is from the top floor down."""

from importlib.util import find_spec

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

handler400 = "common.errors.bad_request"
handler403 = "common.errors.permission_denied"
handler404 = "common.errors.not_found"
handler500 = "common.errors.server_error"

urlpatterns = [
    path("quan-tri/", admin.site.urls),
    *[path("", include(f"{app}.urls")) for app in settings.PROJECT_APPS if find_spec(f"{app}.urls")],
    path("tai-khoan/", include("allauth.urls")),
]

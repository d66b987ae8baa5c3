"""Every address of the house. Each app owns its own list; the order is from the top floor down.

The public log comes first all the same: addresses are tried one after the other, and a device's page is what the most
people open; tried last, it would cost a tenth more.

Vietnamese addresses stand at the root, English pages under /en/.
"""

from importlib.util import find_spec

from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

admin.site.site_title = admin.site.site_header = "Quản trị hệ thống"
admin.site.index_title = "Sóng và máy tính cho em"

handler400 = "common.errors.bad_request"
handler403 = "common.errors.permission_denied"
handler404 = "common.errors.not_found"
handler500 = "common.errors.server_error"

urlpatterns = [
    path("", include("common.urls")),
    path("quan-tri/", admin.site.urls),
    *i18n_patterns(
        *[
            path("", include(f"{app}.urls"))
            for app in sorted(settings.PROJECT_APPS, key=lambda app: app != "ledger")
            if app != "common" and find_spec(f"{app}.urls")
        ],
        path("tai-khoan/", include("allauth.urls")),
        prefix_default_language=False,
    ),
]

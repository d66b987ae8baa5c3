"""Addresses of the public log."""

from django.urls import path, register_converter

from ledger import views


class Hex128:
    """32 hex digits: an event id."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str):
        return views.uuid.UUID(hex=value)

    def to_url(self, value) -> str:
        return value if isinstance(value, str) else value.hex


register_converter(Hex128, "eid")
app_name = "ledger"
urlpatterns = [
    path("ledger/<path:path>", views.log_file, name="file"),
    path("so-cai/", views.log_page, name="log"),
    path("so-cai/tu-kiem-tra/", views.how_page, name="how"),
    path("so-cai/tu-kiem-tra/mtce_verify.py", views.verifier_file, name="verifier"),
    path("so-cai/bien-nhan/", views.family, name="family"),
    path("so-cai/bien-nhan/<eid:eid>.tlog-proof", views.receipt, name="receipt"),
    path("so-cai/cam-ket/<str:code>/", views.pledge_page, name="pledge"),
    path("so-cai/dinh-chinh/", views.amendments, name="amendments"),
    path("so-cai/dot/<str:run>/", views.run_page, name="run"),
    path("so-cai/yeu-cau/", views.ask, name="ask"),
    path("so-cai/yeu-cau/<str:code>/", views.asked, name="asked"),
    path("tra-cuu/", views.lookup, name="lookup"),
    path("thiet-bi/<str:code>/", views.device, name="device"),
]

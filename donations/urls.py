"""Addresses of donors, the warehouse and money."""

from django.urls import path

from donations.views import public

app_name = "donations"
urlpatterns = [
    path("ung-ho/", public.begin, name="pledge_begin"),
    path("ung-ho/<str:secret>/<slug:step>/", public.step, name="pledge_step"),
    path("cam-ket/<str:code>/", public.pledge, name="pledge"),
    path("cam-ket/<str:code>/may.csv", public.pledge_csv, name="pledge_csv"),
    path("cam-ket/<str:code>/rieng/<str:secret>/", public.pledge_private, name="pledge_private"),
    path("cam-ket/<str:code>/rieng/<str:secret>/doi/", public.pledge_change, name="pledge_change"),
    path("cam-ket/<str:code>/rieng/<str:secret>/rut/", public.pledge_cancel, name="pledge_cancel"),
    path(
        "cam-ket/<str:code>/rieng/<str:secret>/giay-to/<slug:kind>.pdf",
        public.pledge_document,
        name="pledge_document",
    ),
]

"""Addresses of the national pages."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from common.throttle import found_by_code
from dashboards import api, opendata
from dashboards.views import data, files, ministry, public, staff

app_name = "dashboards"
urlpatterns = [
    path("", public.home, name="home"),
    path("tien-do-theo-tinh.csv", public.provinces_csv, name="provinces_csv"),
    path("tinh/<slug:slug>/", public.province, name="province"),
    path("cach-tinh/", public.how_counted, name="how_counted"),
    path("huong-dan/", public.guide, name="guide"),
    path("gia-dinh/", public.families, name="families"),
    path("tin-tuc/", public.stories, name="stories"),
    path("tin-tuc.rss", data.StoriesFeed(), name="stories_rss"),
    path("tin-tuc/<slug:slug>/", public.story, name="story"),
    path("nha-tai-tro/", data.donor_list, name="donors"),
    path("sao-ke/", data.statement_page, name="statement"),
    path("sao-ke/<slug:ref>/", data.statement_line, name="statement_line"),
    path("du-lieu-mo/", data.open_data, name="open_data"),
    path("du-lieu-mo/<slug:slug>.<slug:kind>", data.dataset_file, name="dataset"),
    path("du-lieu-mo/ban-ngay/<str:on>/<str:name>", data.dump_file, name="dump_file"),
    path("huy-hieu.svg", data.badge, name="badge"),
    path("dieu-hanh/", ministry.dashboard, name="ministry"),
    path("dieu-hanh/tinh/<slug:slug>/", ministry.province, name="ministry_province"),
    path("dieu-hanh/dot/<str:code>/", ministry.run, name="ministry_run"),
    path("dieu-hanh/dang-ket/", ministry.stuck_list, name="stuck"),
    path("dieu-hanh/don-doc/<slug:kind>/<str:office>/", ministry.letter, name="letter"),
    path("dieu-hanh/don-doc/<slug:kind>/<str:office>.pdf", ministry.letter_pdf, name="letter_pdf"),
    path("dieu-hanh/bao-cao/", ministry.report, name="report"),
    path("dieu-hanh/bao-cao.pdf", ministry.report_pdf, name="report_pdf"),
    path("dieu-hanh/bao-cao.xlsx", ministry.report_xlsx, name="report_xlsx"),
    path("viec-can-lam/", staff.what_to_do, name="work"),
    path("tep-yeu-cau/", files.requested, name="requested_files"),
    path("tep-yeu-cau/<uuid:pk>/", files.requested_file, name="requested_file"),
    path("tep-yeu-cau/<uuid:pk>/tai/", files.download, name="requested_file_download"),
    path("tep-yeu-cau/<uuid:pk>/dung/", files.stop, name="requested_file_stop"),
    path("tep-yeu-cau/<uuid:pk>/xoa/", files.drop, name="requested_file_drop"),
    path("kiem-toan/", staff.audit_index, name="audit"),
    path("kiem-toan/may/", staff.audit_device, name="audit_device"),
    path("kiem-toan/mau/", staff.audit_sample, name="audit_sample"),
    path("kiem-toan/<slug:slug>/", staff.audit_question, name="audit_question"),
    path("api/v1/", api.api_page, name="api_page"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path("api/v1/devices/<str:code>/", found_by_code(api.DeviceView.as_view()), name="api_device"),
    *[
        path(f"api/v1/{slug}/", api.dataset_view(dataset).as_view(), name=f"api_{slug}")
        for slug, dataset in opendata.DATASETS.items()
    ],
]

"""Addresses of coverage."""

from django.urls import path

from coverage import views

app_name = "coverage"
urlpatterns = [
    path("phu-song/", views.coverage_public, name="public"),
    path("phu-song/diem.csv", views.points_csv, name="points_csv"),
    path("phu-song/ho-tro/", views.supports, name="supports"),
    path("phu-song/truong/", views.schools, name="schools"),
    path("phu-song/truong.xlsx", views.schools_xlsx, name="schools_xlsx"),
    path("phu-song/truong/<str:code>/", views.survey, name="survey"),
    path("nen-tang/", views.platforms, name="platforms"),
    path("nen-tang/ra-soat/", views.platform_review, name="platform_review"),
    path("nen-tang/ra-soat/<int:pk>/<slug:verb>/", views.platform_act, name="platform_act"),
    path("diem-song/", views.queue, name="queue"),
    path("diem-song/tai-ve.csv", views.queue_csv, name="queue_csv"),
    path("diem-song/tai-len/", views.upload, name="upload"),
    path("diem-song/ho-tro/", views.support_new, name="support_new"),
    path("diem-song/sim/", views.sims, name="sims"),
    path("diem-song/goi-du-lieu/", views.plans, name="plans"),
    path("diem-song/<str:code>/", views.point_detail, name="point"),
]

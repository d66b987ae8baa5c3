"""Addresses of coverage."""

from django.urls import path

from coverage.views import plans, points, schools, supports

app_name = "coverage"
urlpatterns = [
    path("phu-song/", points.coverage_public, name="public"),
    path("phu-song/diem.csv", points.points_csv, name="points_csv"),
    path("phu-song/ho-tro/", supports.supports, name="supports"),
    path("phu-song/truong/", schools.schools, name="schools"),
    path("phu-song/truong.xlsx", schools.schools_xlsx, name="schools_xlsx"),
    path("phu-song/truong/<str:code>/", schools.survey, name="survey"),
    path("nen-tang/", supports.platforms, name="platforms"),
    path("nen-tang/ra-soat/", supports.platform_review, name="platform_review"),
    path("nen-tang/ra-soat/<int:pk>/<slug:verb>/", supports.platform_act, name="platform_act"),
    path("diem-song/", points.queue, name="queue"),
    path("diem-song/tai-ve.csv", points.queue_csv, name="queue_csv"),
    path("diem-song/tai-len/", points.upload, name="upload"),
    path("diem-song/ho-tro/", supports.support_new, name="support_new"),
    path("diem-song/sim/", plans.sims, name="sims"),
    path("diem-song/goi-du-lieu/", plans.plans, name="plans"),
    path("diem-song/<str:code>/", points.point_detail, name="point"),
]

"""Addresses of allocation: staff under /phan-bo/, the public's under /phan-bo/cong-khai/."""

from django.urls import path

from allocation.views import policies, public, revocations, runs, students

app_name = "allocation"
urlpatterns = [
    path("phan-bo/", runs.run_list, name="runs"),
    path("phan-bo/mo-dot/", runs.run_open, name="run_open"),
    path("phan-bo/dot/<str:code>/", runs.run_page, name="run"),
    path("phan-bo/dot/<str:code>/tien-do/", runs.run_progress, name="run_progress"),
    path("phan-bo/dot/<str:code>/chot/", runs.run_freeze, name="run_freeze"),
    path("phan-bo/dot/<str:code>/boc-tham/", runs.run_randomness, name="run_randomness"),
    path("phan-bo/dot/<str:code>/phe-duyet/", runs.run_approve, name="run_approve"),
    path("phan-bo/dot/<str:code>/lam-lai/", runs.run_step_again, name="run_step_again"),
    path("phan-bo/dot/<str:code>/bac/", runs.run_reject, name="run_reject"),
    path("phan-bo/dot/<str:code>/phuong-an.csv", runs.run_csv, name="run_csv"),
    path("phan-bo/dot/<str:code>/hoc-sinh/", students.applicants, name="applicants"),
    path("phan-bo/dot/<str:code>/hoc-sinh/<int:student>/", students.explanation, name="explanation"),
    path("phan-bo/dot/<str:code>/phieu/", students.slip_classes, name="slip_classes"),
    path("phan-bo/dot/<str:code>/phieu.pdf", students.slips, name="slips"),
    path("phan-bo/chinh-sach/", policies.policy_list, name="policies"),
    path("phan-bo/chinh-sach/moi/", policies.policy_new, name="policy_new"),
    path("phan-bo/chinh-sach/<int:pk>/cong-bo/", policies.policy_publish, name="policy_publish"),
    path("phan-bo/so-sanh/", policies.trial_new, name="trial_new"),
    path("phan-bo/so-sanh/<int:pk>/", policies.comparison, name="comparison"),
    path("phan-bo/so-sanh/<int:pk>/ai-them-ai-bot.csv", policies.comparison_csv, name="comparison_csv"),
    path("phan-bo/dot/<str:code>/cat-giam/", revocations.reduction_new, name="reduction_new"),
    path("phan-bo/cat-giam/<int:pk>/", revocations.reduction_page, name="reduction"),
    path("phan-bo/thu-hoi/", revocations.revocation_list, name="revocations"),
    path("phan-bo/thu-hoi/<int:allocation>/moi/", revocations.revocation_new, name="revocation_new"),
    path("phan-bo/thu-hoi/<int:pk>/", revocations.revocation_page, name="revocation"),
    path("phan-bo/cong-khai/", public.run_list, name="public_runs"),
    path("phan-bo/cong-khai/<str:code>/", public.run_page, name="public_run"),
    path("phan-bo/cong-khai/<str:code>/boc-tham.csv", public.draw_file, name="public_draw_file"),
]

"""Addresses that misbehave, for the tests of what every request passes through."""

import errno

from celery import Celery
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection, transaction
from django.http import HttpResponse
from django.urls import path

from common.access import public
from common.middleware import writes_on_get
from sms_program.urls import handler400, handler403, handler404, handler500, urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500"]


def _write() -> HttpResponse:
    get_user_model().objects.create_user("ghi@example.vn", full_name="Người Ghi")
    return HttpResponse("đã ghi")


@public
def write(request):
    return _write()


@public
def write_in_transaction(request):
    with transaction.atomic():
        return _write()


@public
def write_in_sql(request):
    get_user_model().objects.count()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_user SET full_name = 'x'")
    return HttpResponse("đã ghi")


@public
@writes_on_get("một thư viện cần ghi")
def write_with_reason(request):
    return _write()


@public
def lose_database(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return HttpResponse("không đến được đây")


@public
def fill_the_database(request):
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$")
    return HttpResponse("không đến được đây")


@public
def fill_the_disk(request):
    raise OSError(errno.ENOSPC, "no room")


@public
def lose_broker(request):
    Celery(broker="redis://127.0.0.1:1/0", set_as_current=False).send_task("viec", retry=False)
    return HttpResponse("không đến được đây")


class LosesDatabase:
    """Whom the gate asks, before any view, while the database is away."""

    name, alternatives, second_factor, is_public = "mất", (), "never", True

    def outcome(self, request):
        lose_database(request)


def behind_a_lost_gate(request):
    return HttpResponse("không đến được đây")


behind_a_lost_gate.access = LosesDatabase()


@public
def fail(request):
    raise ValueError("em Nguyễn Văn A 012345678901")


@public
def forbid(request):
    raise PermissionDenied


@public
def find(request):
    return HttpResponse(str(get_user_model().objects.filter(full_name=request.GET["ma"]).count()))


@public
def suspect(request):
    raise SuspiciousOperation


urlpatterns = [
    *urlpatterns,
    path("thu/ghi", write),
    path("thu/ghi-giao-dich", write_in_transaction),
    path("thu/ghi-sql", write_in_sql),
    path("thu/ghi-co-ly-do", write_with_reason),
    path("thu/mat-csdl", lose_database),
    path("thu/mat-csdl-truoc-trang", behind_a_lost_gate),
    path("thu/het-cho-csdl", fill_the_database),
    path("thu/het-cho-tep", fill_the_disk),
    path("thu/mat-hang-doi", lose_broker),
    path("thu/loi", fail),
    path("thu/cam", forbid),
    path("thu/ngo", suspect),
    path("thu/tim", find),
]

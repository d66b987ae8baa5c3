"""Public addresses that somebody added in a hurry, with what they should never answer."""

import uuid

from django.http import HttpResponse, JsonResponse
from django.urls import path

from common.access import public, signed_in
from common.exports import csv_response
from dashboards.models import DailyFigure
from ledger.models import Opening
from schools.models import Student
from sms_program.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500"]

ROWS = [("TH Sao Mai", "Giàng Thị Mỷ")]


@public
def column_in_csv(request):
    return csv_response("x.csv", ["school", "full_name"], ROWS)


@public
def vietnamese_column_in_csv(request):
    return csv_response("x.csv", ["Trường", "Họ và tên"], ROWS)


@public
def csv_whole(request):
    return HttpResponse("school,guardian\nA,B\n", content_type="text/csv; charset=utf-8")


@public
def key_in_json(request):
    return JsonResponse({"rows": [{"place": {"class_name": "5A"}}]})


@public
def number_in_json(request):
    return JsonResponse({"rows": [{"note": "CCCD 001234567890"}]})


@public
def number_in_list(request):
    return JsonResponse([["001234567890"]], safe=False)


@public
def count_on_a_page(request):
    return HttpResponse(f"<p>{Student.objects.filter(group='poor').count()}</p>")


@public
def figure_behind_few(request):
    return HttpResponse(f"<p>{list(DailyFigure.objects.values_list('area', 'value'))}</p>")


@public
def sent_form(request):
    Opening.objects.create(eid=uuid.uuid4(), field="donor", salt=bytes(32), value="Nguyễn Văn An")
    return HttpResponse("<p>CK-2021-000123</p>")


@public
def number_on_a_page(request):
    return HttpResponse(
        "<p>CCCD 001234567890, máy 7K3Q, <a href='/thiet-bi/012345678901/'>012345678901</a></p>"
    )


@public
def number_in_csv(request):
    return csv_response("x.csv", ["ref", "text", "amount_vnd"], [("A", "cccd 001234567890", 250_000_000_000)])


@public
def things(request):
    return JsonResponse({"name": "Trường TH Sao Mai", "device": "012345678901", "eid": "a001234567890b"})


@public
def table(request):
    return csv_response("x.csv", ["code", "name"], [("A", "Trường TH Sao Mai")])


@signed_in
def staff(request):
    return JsonResponse({"full_name": "Giàng Thị Mỷ"})


@signed_in
def staff_count(request):
    return HttpResponse(f"<p>{Student.objects.count()}</p>")


REFUSED = [
    column_in_csv, vietnamese_column_in_csv, csv_whole, key_in_json, number_in_json, number_in_list, count_on_a_page,
    figure_behind_few,
]  # fmt: skip
urlpatterns = [
    path(f"{view.__name__}/", view)
    for view in [*REFUSED, sent_form, number_on_a_page, number_in_csv, things, table, staff, staff_count]
]

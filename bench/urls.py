"""The platform's addresses, and the minimal page that the device page is measured against."""

from django.http import HttpResponse
from django.urls import path

from common.access import public
from ledger.models import LedgerEntry
from sms_program.urls import *  # noqa: F403 - the same addresses and error handlers
from sms_program.urls import urlpatterns as platform


@public
def floor(request, code: str):
    """The least a Django page with one indexed look-up can be."""
    entry = LedgerEntry.objects.only("index").filter(dev=code, n=0).first()
    return HttpResponse(f"<p>{entry.index}</p>" if entry else "", status=200 if entry else 404)


urlpatterns = [path("san/<str:code>/", floor), *platform]

"""Help on the sign-in page of a demonstration: who can be played, the password, the code of this moment."""

import time

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db.models import Count
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from delivery.models import Custody
from schools.models import Office
from sms_program.demo import staff
from sms_program.demo.offices import TOTP_SECRET


def current_code() -> str:
    """The six digits that an authenticator app with the demonstration's secret shows now."""
    return format_hotp_value(hotp_value(TOTP_SECRET, int(time.time()) // app_settings.TOTP_PERIOD))


def sign_in_help(request: HttpRequest) -> dict:
    """Context of every template, computed only where the sign-in page asks; installed with DEMO=1 alone."""
    return {"demo_sign_in": SimpleLazyObject(_help)}


def _help() -> dict:
    people = [{"email": f"{address}@{staff.DOMAIN}", "part": part} for address, part in staff.PARTS.items()]
    # Who has the most at school; which school that is, the draw decides. A public page reads nothing about children.
    waiting = Custody.objects.filter(to_at=None, office__kind=Office.Kind.SCHOOL)
    counted = waiting.values_list("office__code", "office__name").annotate(count=Count("pk"))
    if school := counted.order_by("-count", "office__code").first():
        part = staff.school_part(*school[:2])
        people.append({"email": part.email, "part": f"{school[1]}: bàn giao máy cho học sinh"})
    return {"password": staff.PASSWORD, "code": current_code(), "people": people}

"""Help on the sign-in page of a demonstration: who can be played, the password, the code of this moment."""

import time

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

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
    return {"password": staff.PASSWORD, "code": current_code(), "people": people}

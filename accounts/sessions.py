"""Sessions that know whose they are and in which browser, so that a person sees where they are signed in and ends others.

The settings name this module as the session engine. No address of a network is kept.
"""

import datetime as dt
import hashlib
import hmac
import re
from dataclasses import dataclass

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone

BROWSER_KEY = "browser"
# The first that fits: several browsers call themselves Chrome and Safari, too.
BROWSERS = (
    ("Cốc Cốc", r"coc_coc_browser"),
    ("Zalo", r"Zalo"),
    ("Facebook", r"FBA[NV]"),
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser"),
    ("Firefox", r"Firefox/|FxiOS"),
    ("Chrome", r"Chrom(e|ium)/|CriOS"),
    ("Safari", r"Safari/"),
)
SYSTEMS = (
    ("điện thoại Android", r"Android.*Mobile"),
    ("máy tính bảng Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Windows", r"Windows"),
    ("máy Mac", r"Macintosh"),
    ("Linux", r"Linux"),
)


def describe_browser(user_agent: str) -> str:
    """A browser as its owner would call it: "Chrome trên điện thoại Android"."""
    names = [
        next((name for name, pattern in known if re.search(pattern, user_agent)), "")
        for known in (BROWSERS, SYSTEMS)
    ]
    return f"{names[0] or 'Trình duyệt khác'} trên {names[1] or 'thiết bị khác'}"


class Session(AbstractBaseSession):
    """A browser that is or was in use; deleted when signed out or expired."""

    session_data = models.TextField("nội dung phiên")
    expire_date = models.DateTimeField("hết hạn lúc", db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="sessions",
        verbose_name="người đăng nhập",
    )
    browser = models.CharField("trình duyệt", max_length=80, blank=True)

    class Meta:
        verbose_name = "phiên đăng nhập"
        verbose_name_plural = "phiên đăng nhập"

    def __str__(self):
        return f"{self.user_id}: {self.browser}"

    @classmethod
    def get_session_store_class(cls):
        return SessionStore


class SessionStore(db.SessionStore):
    """The database's own store; each row says whose it is."""

    @classmethod
    def get_model_class(cls):
        return Session

    def create_model_instance(self, data):
        row = super().create_model_instance(data)
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.browser = data.get(BROWSER_KEY, "")
        return row


@dataclass(frozen=True)
class SignedIn:
    """A place where somebody is signed in. `mark` names it on a page without giving the session away."""

    mark: str
    browser: str
    since: dt.datetime | None
    is_current: bool
    session: Session


def signed_in_places(user, *, current_key: str | None) -> list[SignedIn]:
    """Where a person is signed in now, this browser first, then the latest."""
    fingerprint, places = user.get_session_auth_hash(), []
    for session in Session.objects.filter(user=user, expire_date__gt=timezone.now()):
        data = session.get_decoded()
        # A password was changed since: Django lets this one in no more.
        if not hmac.compare_digest(data.get(HASH_SESSION_KEY, ""), fingerprint):
            continue
        passed = [record["at"] for record in data.get(AUTHENTICATION_METHODS_SESSION_KEY, [])]
        places.append(
            SignedIn(
                mark=hashlib.sha256(session.session_key.encode()).hexdigest()[:20],
                browser=session.browser or describe_browser(""),
                since=dt.datetime.fromtimestamp(min(passed), tz=dt.UTC) if passed else None,
                is_current=session.session_key == current_key,
                session=session,
            )
        )
    oldest = dt.datetime.min.replace(tzinfo=dt.UTC)
    return sorted(places, key=lambda place: (place.is_current, place.since or oldest), reverse=True)

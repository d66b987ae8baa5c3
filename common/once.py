"""A form sent twice has one effect: a double click, the back button, a reload of what was sent, a line that broke off.

Django masks the CSRF token anew for every page that it draws, so the token in a form's body names that very page. The
same body sent to the same address again is therefore the same act. The first one that was accepted (it redirects) is
remembered for two days by its digest, with where it led; the second is led there too and told when it was recorded.
One that was refused, on the page or with an error message, is not remembered: sent again it is looked at again.
"""

import hashlib

import structlog
from django.contrib import messages
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import CSRF_TOKEN_LENGTH
from django.utils import timezone

from common.crypto import CannotUnseal, seal, unseal
from common.middleware import GetResponse

log = structlog.get_logger("once")
TOKEN = "csrfmiddlewaretoken"
# Signing in has guards of its own, and a new token after each.
NOT_HERE = ("allauth.",)
SIGN_IN = "/tai-khoan/"
KNOWN = "SELECT sent_on_clock_at, location FROM common_sentform WHERE digest = %s"
REMEMBER = """
WITH gone AS (DELETE FROM common_sentform WHERE sent_on_clock_at < now() - interval '2 days')
INSERT INTO common_sentform (digest, sent_on_clock_at, location) VALUES (%s, now(), %s) ON CONFLICT DO NOTHING
"""


def digest_of(request: HttpRequest) -> str | None:
    """What names this sending of this form, 64 hex digits; None for what is no form of a page of ours."""
    if request.method != "POST" or len(request.POST.get(TOKEN, "")) != CSRF_TOKEN_LENGTH:
        return None
    digest = hashlib.sha256(request.get_full_path().encode())
    for name, values in sorted(request.POST.lists()):
        digest.update(repr((name, values)).encode())
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            digest.update(repr((name, file.name, file.size)).encode())
            for chunk in file.chunks():
                digest.update(chunk)
            file.seek(0)
    return digest.hexdigest()


class SentOnce:
    """Leads the second sending of a form to where the first one led; two at the same time wait for each other."""

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.form_digest = None
        try:
            response = self.get_response(request)
            if (
                request.form_digest
                and response.status_code in (302, 303)
                and not _is_refused(request, response)
            ):
                self._remember(request.form_digest, response["Location"])
            return response
        finally:
            if request.form_digest:
                self._unlock(request.form_digest)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        if getattr(getattr(view, "view_class", view), "__module__", "").startswith(NOT_HERE):
            return None
        digest = digest_of(request)
        if digest is None:
            return None
        with connection.cursor() as cursor:
            # Held by the connection, so that it goes with a worker that dies.
            cursor.execute("SELECT pg_advisory_lock(%s)", [_number(digest)])
            request.form_digest = digest
            cursor.execute(KNOWN, [digest])
            known = cursor.fetchone()
        return self._lead_on(request, *known) if known else None

    def _lead_on(self, request: HttpRequest, sent_at, location: bytes) -> HttpResponse | None:
        try:
            address = unseal(location).decode()
        except CannotUnseal:
            return None
        # Public pages read no session; where they lead says itself what was recorded.
        if request.COOKIES and request.user.is_authenticated:
            moment = timezone.localtime(sent_at)
            messages.info(
                request,
                f"Đã ghi nhận lúc {moment:%H:%M} ngày {moment:%d/%m/%Y}; gửi lại không ghi thêm lần nữa.",
            )
        return HttpResponseRedirect(address)

    def _remember(self, digest: str, location: str) -> None:
        try:
            with connection.cursor() as cursor:
                # Where a pledge's form leads is its private address: sealed, like what else opens a door.
                cursor.execute(REMEMBER, [digest, seal(location.encode())])
        except DatabaseError as error:
            # What was asked for is done; that it is not remembered must not look like a failure.
            log.warning("once.not_remembered", error=type(error).__name__)

    def _unlock(self, digest: str) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_number(digest)])
        except DatabaseError as error:
            log.warning("once.not_unlocked", error=type(error).__name__)
            connection.close()


def _is_refused(request: HttpRequest, response: HttpResponse) -> bool:
    """Whether an answer leads on without having done what was asked: to sign in first, or with its reason to say."""
    return response["Location"].startswith(SIGN_IN) or any(
        # Looking at them the public way would count them as shown.
        message.level >= messages.ERROR
        for message in getattr(messages.get_messages(request), "_queued_messages", ())
    )


def _number(digest: str) -> int:
    return int.from_bytes(bytes.fromhex(digest[:16]), signed=True)

"""Where the sign-in library asks us: who may make an account, where one goes after, how mail leaves."""

import base64
import smtplib

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.sessions import BROWSER_KEY, describe_browser
from common.access import may_open
from common.crypto import seal, unseal
from common.mail import trace_of
from common.throttle import client_address

log = structlog.get_logger("accounts")


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are given by an office's head or made for a donor's people; nobody registers alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Staff to what they have to do now, everyone else to their account."""
        if may_open(request.user, settings.STAFF_HOME):
            return settings.STAFF_HOME
        return reverse("accounts:home")

    def login(self, request: HttpRequest, user) -> None:
        """The session keeps in which browser it was opened: the person sees it in the list of their sign-ins."""
        super().login(request, user)
        request.session[BROWSER_KEY] = describe_browser(request.headers.get("User-Agent", ""))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def send_mail(self, template_prefix: str, email: str, context: dict) -> None:
        """Send and leave a trace without text or address; a mail server that is away is said, not a 500."""
        user = User.objects.filter(email__iexact=email).only("pk").first()
        # One row per kind and address: later mails are counted on.
        trace = trace_of(
            kind=template_prefix.rpartition("/")[2],
            subject_type="accounts.user",
            subject_id=str(user.pk) if user else "",
            to=email,
        )
        trace.attempts += 1
        try:
            self.render_mail(template_prefix, email, context | {"request": self.request}).send()
        except (smtplib.SMTPException, OSError) as error:
            trace.error = type(error).__name__
            log.warning("mail.refused", kind=trace.kind, error=trace.error)
            messages.error(
                self.request,
                "Máy chủ thư đang gián đoạn nên chưa gửi được thư. Hãy thử lại sau ít phút, "
                "hoặc đăng nhập bằng mật khẩu.",
            )
        else:
            trace.delivered_on_clock_at, trace.error = timezone.now(), ""
        trace.save()


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps and recovery codes are sealed like identity numbers, not stored as they are."""

    def encrypt(self, text: str) -> str:
        return base64.urlsafe_b64encode(seal(text.encode())).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(base64.urlsafe_b64decode(encrypted_text)).decode()

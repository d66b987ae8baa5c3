"""Who may open a page: every view says so itself, and one middleware holds it.

``@public``, ``@signed_in`` and what the floors above build from `Access` (``schools.perms.staff``,
``coverage.perms.operator``, …) mark a view; `AccessGate` refuses a view that says nothing. The house test and the
matrix test read the same marks, so a page can be neither forgotten nor wrongly listed.
This decides *who may open the page*; which rows they see is ``QuerySet.for_user()``, what they may do ``can_*``.
"""

import enum
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from allauth.account.authentication import get_authentication_records
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import resolve_url
from django.urls import Resolver404, resolve
from django.utils.translation import get_language
from django_htmx.http import HttpResponseClientRedirect

GetResponse = Callable[[HttpRequest], HttpResponse]

# A staff session counts as proven by the second factor for one working day.
SECOND_FACTOR_LASTS_S = 12 * 3600


class Outcome(enum.IntEnum):
    """What the gate answers; the larger, the nearer to open."""

    HIDDEN = 0  # signed in, but not for this page: it does not exist (404)
    SIGN_IN = 1
    SECOND_FACTOR = 2
    OPEN = 3


@dataclass(frozen=True)
class Access:
    """Who may open a page. Used as a decorator on a function or class: ``@public``; joined with ``|``.

    Attributes:
        name: what the matrix test prints, such as ``staff(clerk, approver)``.
        test: given a signed-in, active user, whether the page is for them; None for everyone without sign-in.
        second_factor: ``always``, ``if_enrolled`` or ``never``.
        alternatives: the members of a union; then ``test`` and ``second_factor`` are theirs.
    """

    name: str
    test: Callable[..., bool] | None
    second_factor: str = "never"
    alternatives: tuple["Access", ...] = ()

    def __call__(self, view):
        view.access = self
        return view

    def __or__(self, other: "Access") -> "Access":
        members = (*(self.alternatives or (self,)), *(other.alternatives or (other,)))
        return Access(" | ".join(member.name for member in members), None, alternatives=members)

    @property
    def is_public(self) -> bool:
        return not self.alternatives and self.test is None

    def outcome(self, request: HttpRequest) -> Outcome:
        """Decide for this request; a public page never looks at the session."""
        if self.alternatives:
            return max(member.outcome(request) for member in self.alternatives)
        if self.test is None:
            return Outcome.OPEN
        user = request.user
        if not user.is_authenticated or not user.is_active:
            return Outcome.SIGN_IN
        # The user of a request lives as long as the request: what is read about it may be kept on it.
        user.remembers_roles = True
        if not self.test(user):
            return Outcome.HIDDEN
        if self.second_factor == "never" or used_second_factor(request):
            return Outcome.OPEN
        if self.second_factor == "if_enrolled" and not is_mfa_enabled(user):
            return Outcome.OPEN
        return Outcome.SECOND_FACTOR


def _anyone(user) -> bool:
    return True


def _is_administrator(user) -> bool:
    return user.is_staff


public = Access("public", None)
signed_in = Access("signed_in", _anyone)
# Password, mail address, second factor: whoever has a second factor must have used it in this session first, so a
# session from before it was enrolled, or one opened by a reset, cannot swap it for another.
own_account = Access("own_account", _anyone, second_factor="if_enrolled")
administrator = Access("administrator", _is_administrator, second_factor="always")

# Views of libraries, by the module that defines them (the longest prefix wins); ours are never listed here.
LIBRARIES = {
    "allauth.account.views": own_account,
    "allauth.account.views.LoginView": public,
    "allauth.account.views.SignupView": public,
    "allauth.account.views.SignupByPasskeyView": public,
    "allauth.account.views.LogoutView": public,
    "allauth.account.views.AccountInactiveView": public,
    "allauth.account.views.ConfirmEmailView": public,
    "allauth.account.views.EmailVerificationSentView": public,
    "allauth.account.views.ConfirmEmailVerificationCodeView": public,
    "allauth.account.views.PasswordResetView": public,
    "allauth.account.views.PasswordResetDoneView": public,
    "allauth.account.views.PasswordResetFromKeyView": public,
    "allauth.account.views.PasswordResetFromKeyDoneView": public,
    "allauth.account.views.ConfirmPasswordResetCodeView": public,
    "allauth.account.views.CompletePasswordResetView": public,
    "allauth.account.views.RequestLoginCodeView": public,
    "allauth.account.views.ConfirmLoginCodeView": public,
    # To prove oneself again one must not yet have proven oneself.
    "allauth.account.views.ReauthenticateView": signed_in,
    "allauth.mfa": own_account,
    "allauth.mfa.base.views.AuthenticateView": public,
    "allauth.mfa.base.views.TrustView": public,
    "allauth.mfa.base.views.ReauthenticateView": signed_in,
    "allauth.mfa.webauthn.views.LoginWebAuthnView": public,
    "allauth.mfa.webauthn.views.SignupWebAuthnView": public,
    "allauth.mfa.webauthn.views.ReauthenticateWebAuthnView": signed_in,
    "django.contrib.admin": administrator,
    "import_export.admin": administrator,
    "django.contrib.staticfiles": public,
    "django.views.i18n": public,
    "django.views.generic.base.RedirectView": public,
    "drf_spectacular": public,
}


def access_of(view) -> Access | None:
    """Return what a URL's callback declares, None if it says nothing."""
    if declared := getattr(view, "access", None):
        return declared
    cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if declared := getattr(cls, "access", None):
        return declared
    if getattr(view, "admin_site", None) or getattr(view, "model_admin", None):
        return administrator
    origin = cls or view
    name = f"{origin.__module__}.{getattr(origin, '__qualname__', '')}"
    known = [prefix for prefix in LIBRARIES if name == prefix or name.startswith(prefix + ".")]
    return LIBRARIES[max(known, key=len)] if known else None


@functools.lru_cache(maxsize=256)
def _access_at(path: str, urls: str, language: str | None) -> Access | None:
    """What the page at this address declares. Addresses depend on the language, the tests' on their own table too."""
    try:
        return access_of(resolve(path, urls).func)
    except Resolver404:
        return None


def may_open(user, path: str) -> bool:
    """Whether the page at this address exists and its own declaration lets this person in."""
    access = _access_at(path, settings.ROOT_URLCONF, get_language())
    if access is None:
        return False
    return any(member.test is None or member.test(user) for member in access.alternatives or (access,))


def used_second_factor(request: HttpRequest) -> bool:
    """Whether this very session was opened, or proven again, by TOTP, passkey or recovery code, within a day."""
    since = time.time() - SECOND_FACTOR_LASTS_S
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" and record.get("at", 0) >= since for record in records)


class AccessGate:
    """Refuses what a view's declaration does not allow, and any view without one."""

    def __init__(self, get_response: GetResponse):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        access = access_of(view)
        if access is None:
            raise ImproperlyConfigured(
                f"{view.__module__}.{view.__qualname__} does not declare who may open it"
            )
        # An API view; `rest_framework.views` itself imports this module through its settings.
        if hasattr(getattr(view, "cls", None), "permission_classes"):
            return None  # `DeclaredAccess` decides there, once the token or session is read
        return answer(request, access.outcome(request))


def answer(request: HttpRequest, outcome: Outcome) -> HttpResponse | None:
    """Turn the outcome into a response; None lets the request through. Raises Http404 for a hidden page."""
    if outcome is Outcome.OPEN:
        return None
    if outcome is Outcome.HIDDEN:
        raise Http404
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"detail": "Phiên đăng nhập đã hết. Hãy đăng nhập lại rồi gửi lại."}, status=401)
    # After a form that could not be sent one comes back to the page it stood on, not to its address for POST.
    back = request.get_full_path()
    if request.htmx:
        back = request.htmx.current_url_abs_path or "/"
    if outcome is Outcome.SIGN_IN:
        response = redirect_to_login(back)
    else:
        enrolled = is_mfa_enabled(request.user)
        page = resolve_url("mfa_reauthenticate" if enrolled else settings.SECOND_FACTOR_ENROL_URL)
        response = redirect_to_login(back, login_url=page)
    return HttpResponseClientRedirect(response.url) if request.htmx else response

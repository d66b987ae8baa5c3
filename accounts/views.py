"""One's own account."""

from allauth.account.internal.flows.login import record_authentication
from allauth.account.views import LogoutView
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.views import ActivateTOTPView
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.services import end_sessions
from accounts.sessions import SignedIn, signed_in_places
from common.access import own_account, public, signed_in


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """Who is signed in, and the doors to password and second factor."""
    kinds = set(Authenticator.objects.filter(user=request.user).values_list("type", flat=True))
    names = [str(Authenticator.Type(kind).label) for kind in sorted(kinds)]
    has_password = request.user.has_usable_password()
    rows = [
        {"key": "Họ và tên", "value": request.user.full_name},
        {"key": "Thư điện tử", "value": request.user.email},
        {
            "key": "Mật khẩu",
            "value": "Đã đặt" if has_password else "Chưa đặt, đăng nhập bằng mã gửi qua thư",
            "href": reverse("account_change_password" if has_password else "account_set_password"),
            "action": "Đổi" if has_password else "Đặt",
        },
        {
            "key": "Xác thực hai bước",
            "value": ", ".join(names) or "Chưa bật",
            "href": reverse("mfa_index"),
            "action": "Quản lý",
        },
        {
            "key": "Phiên đăng nhập",
            "value": _places_in_words(len(_places(request))),
            "href": reverse("accounts:sign_ins"),
            "action": "Xem",
        },
    ]
    return render(request, "accounts/home.html", {"rows": rows})


def _places(request: HttpRequest) -> list[SignedIn]:
    return signed_in_places(request.user, current_key=request.session.session_key)


def _places_in_words(count: int) -> str:
    return f"Đang mở ở {count} nơi" if count > 1 else "Chỉ mở ở trình duyệt này"


@own_account
def sign_ins(request: HttpRequest) -> HttpResponse:
    """Where this person is signed in, and signing out elsewhere: one place, or all but this browser."""
    if request.method == "POST":
        mark = request.POST.get("noi", "")
        count = end_sessions(
            by=request.user,
            marks=None if mark == "tat-ca" else {mark},
            current_key=request.session.session_key,
        )
        if count:
            messages.success(request, f"Đã đăng xuất ở {count} nơi.")
        else:
            messages.info(request, "Nơi đó đã đăng xuất rồi.")
        return redirect("accounts:sign_ins")
    return render(request, "accounts/sign_ins.html", {"places": _places(request)})


class EnrolAuthenticator(ActivateTOTPView):
    """Turn the authenticator app on; the code that proves it has then been given in this session."""

    access = own_account

    def form_valid(self, form) -> HttpResponse:
        response = super().form_valid(form)
        record_authentication(self.request, self.request.user, "mfa", type=Authenticator.Type.TOTP)
        return response


class SignOut(LogoutView):
    """The library's own; and what the browser kept of this site goes too: the next person may hold the same phone."""

    access = public

    def post(self, *args, **kwargs) -> HttpResponse:
        response = super().post(*args, **kwargs)
        response["Clear-Site-Data"] = '"storage"'
        return response

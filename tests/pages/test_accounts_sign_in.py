"""The door: password, then the second factor; and no way round it."""

import re

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.services import erase_account
from common.models import SentMail

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PASSWORD = "mot-mat-khau-du-dai-2021"
ADMIN = "/quan-tri/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def official() -> User:
    """A system administrator, whose admin pages are staff pages like any other, with an authenticator app."""
    user = User.objects.create_superuser("can.bo@example.vn", PASSWORD, full_name="Trần Cán Bộ")
    Authenticator.objects.create(
        user=user, type=Authenticator.Type.TOTP, data={"secret": get_adapter().encrypt(SECRET)}
    )
    return user


@pytest.fixture
def code(time_machine) -> str:
    time_machine.move_to("2021-11-15 09:00:00 +07:00", tick=False)
    return format_hotp_value(hotp_value(SECRET, 1636941600 // 30))


def give_password(client, email="can.bo@example.vn", password=PASSWORD, **extra):
    return client.post(reverse("account_login"), {"login": email, "password": password, **extra})


def is_outside(client) -> bool:
    """A staff page sends elsewhere; nothing of it is shown."""
    response = client.get(ADMIN)
    assert response.status_code == 302
    return "/tai-khoan/" in response.url


def test_password_and_code_open_the_staff_pages(client, official, code):
    response = give_password(client)
    assert response.url == reverse("mfa_authenticate")
    assert is_outside(client)
    response = client.post(reverse("mfa_authenticate"), {"code": code})
    assert response.status_code == 302
    assert client.get(ADMIN).status_code == 200


def test_the_admin_speaks_vietnamese_and_changes_nobodys_second_factor(client, official, code):
    give_password(client)
    client.post(reverse("mfa_authenticate"), {"code": code})
    page = client.get(ADMIN).content.decode()
    assert "Quản trị hệ thống" in page
    assert "Django" not in page
    for kept in ("Authenticator", "/auth/group/", "/account/emailaddress/"):
        assert kept not in page


def test_the_code_of_another_moment_is_refused(client, official, code):
    give_password(client)
    response = client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert "Mã không đúng" in response.content.decode()
    assert is_outside(client)


def test_a_wrong_password_says_what_to_do_and_not_whether_the_account_exists(client, official):
    known = give_password(client, password="sai-mat-khau-2021")
    unknown = give_password(client, email="khong.co@example.vn", password="sai-mat-khau-2021")
    for response in (known, unknown):
        assert "Địa chỉ thư hoặc mật khẩu không đúng" in response.content.decode()


def test_guessing_is_slowed_down(client, official):
    for _ in range(6):
        response = give_password(client, password="sai-mat-khau-2021")
    assert "quá nhiều lần" in response.content.decode()
    assert "quá nhiều lần" in give_password(client).content.decode()


def test_a_password_alone_reaches_no_staff_page(client, official):
    give_password(client)
    assert is_outside(client)
    assert client.get("/quan-tri/accounts/user/").status_code == 302


def test_a_code_by_mail_alone_reaches_no_staff_page(client, official):
    client.post(reverse("account_request_login_code"), {"email": official.email})
    body = mail.outbox[-1].body
    sent = re.search(r"^[A-Z0-9]{3,4}-?[A-Z0-9]{3,4}$", body, re.M)[0]
    response = client.post(reverse("account_confirm_login_code"), {"code": sent})
    assert response.url == reverse("mfa_authenticate")
    assert is_outside(client)


def test_a_reset_password_reaches_no_staff_page(client, official):
    client.post(reverse("account_reset_password"), {"email": official.email})
    link = re.search(r"http://testserver(\S+)", mail.outbox[-1].body)[1]
    form = client.get(link, follow=True)
    new = "mat-khau-moi-rat-dai-2021"
    client.post(form.redirect_chain[-1][0], {"password1": new, "password2": new})
    official.refresh_from_db()
    assert official.check_password(new)
    assert is_outside(client)
    give_password(client, password=new)
    assert is_outside(client)


def test_a_session_from_before_the_second_factor_cannot_swap_it(client, sign_in):
    user = User.objects.create_superuser("can.bo@example.vn", PASSWORD, full_name="Trần Cán Bộ")
    sign_in(user, second_factor=False)
    assert client.get(ADMIN).url.startswith(reverse("mfa_activate_totp"))
    Authenticator.objects.create(
        user=user, type=Authenticator.Type.TOTP, data={"secret": get_adapter().encrypt(SECRET)}
    )
    reauthenticate = reverse("mfa_reauthenticate")
    assert client.get(ADMIN).url.startswith(reauthenticate)
    for name in (
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_add_webauthn",
        "mfa_generate_recovery_codes",
        "mfa_view_recovery_codes",
        "account_change_password",
        "account_email",
    ):
        for method in (client.get, client.post):
            assert method(reverse(name)).url.startswith(reauthenticate), name


def test_an_old_second_factor_is_asked_again(client, sign_in, official, time_machine):
    time_machine.move_to("2021-11-15 07:00:00 +07:00", tick=False)
    sign_in(official)
    assert client.get(ADMIN).status_code == 200
    time_machine.move_to("2021-11-15 19:01:00 +07:00", tick=False)
    assert is_outside(client)


def test_the_second_factor_of_another_person_does_not_count(client, sign_in, official, user):
    sign_in(user)
    client.force_login(official)
    assert is_outside(client)


def test_enrolling_the_app_proves_it_for_this_session(client, sign_in, time_machine):
    time_machine.move_to("2021-11-15 09:00:00 +07:00", tick=False)
    user = User.objects.create_superuser("can.bo@example.vn", PASSWORD, full_name="Trần Cán Bộ")
    give_password(client)
    # Fresh from the password as one is, it is asked once more before anything about the account changes.
    again = client.get(reverse("mfa_activate_totp"))
    client.post(again.url, {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    code = format_hotp_value(hotp_value(secret, 1636941600 // 30))
    response = client.post(reverse("mfa_activate_totp"), {"code": code})
    assert response.status_code == 302
    assert client.get(ADMIN).status_code == 200
    stored = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    assert secret not in str(stored.data)


def test_a_locked_account_cannot_sign_in(client, official):
    User.objects.filter(pk=official.pk).update(is_active=False)
    assert give_password(client).url == reverse("account_inactive")
    assert is_outside(client)


def test_nobody_registers_alone(client):
    response = client.post(reverse("account_signup"), {"email": "la@example.vn"})
    assert "do phụ trách cơ quan cấp" in response.content.decode()
    assert not User.objects.filter(email="la@example.vn").exists()


def test_sent_mail_leaves_a_trace_without_text_or_address(client, official):
    client.post(reverse("account_request_login_code"), {"email": official.email})
    trace = SentMail.objects.get(kind="login_code")
    assert trace.subject_id == str(official.pk)
    assert trace.delivered_on_clock_at is not None
    assert official.email not in str(trace.__dict__)


@pytest.mark.parametrize(
    "name",
    ["account_login", "account_request_login_code", "account_reset_password", "account_signup"],
)
def test_pages_of_the_door_are_in_vietnamese_and_show_no_code(client, name):
    page = client.get(reverse(name)).content.decode()
    assert '<html lang="vi">' in page
    assert not re.search(r"\b(Sign|Password|Email|Forgot|your)\b", re.sub(r"<[^>]+>", "", page))
    assert "demo-code" not in page


PHONE = (
    "Mozilla/5.0 (Linux; Android 11; SM-A125F) AppleWebKit/537.36 Chrome/96.0.4664.45 Mobile Safari/537.36"
)
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/96.0 Safari/537.36 Edg/96.0"


def come_in(code, user_agent) -> Client:
    client = Client(headers={"User-Agent": user_agent})
    give_password(client)
    # The same code does not open the door twice.
    cache.clear()
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    return client


def test_a_person_sees_where_they_are_signed_in_and_ends_the_others(official, code):
    phone, desk, other = (come_in(code, agent) for agent in (PHONE, DESK, ""))
    stranger = Client()
    stranger.force_login(User.objects.create_user("khac@example.vn", PASSWORD, full_name="Người khác"))
    page = phone.get("/tai-khoan/phien/").content.decode()
    for name in ("Chrome trên điện thoại Android", "Edge trên Windows", "Trình duyệt khác"):
        assert name in page
    assert page.count("Đăng xuất nơi này") == 2
    assert not [client for client in (phone, desk, other) if client.session.session_key in page]
    assert "Đang mở ở 3 nơi" in phone.get("/tai-khoan/").content.decode()
    places = phone.get("/tai-khoan/phien/").context["places"]
    at_desk = next(place for place in places if place.browser.startswith("Edge"))
    own = next(place for place in places if place.is_current)
    assert (
        "Nơi đó đã đăng xuất rồi"
        in stranger.post("/tai-khoan/phien/", {"noi": at_desk.mark}, follow=True).content.decode()
    )
    # One's own browser is left by the button for it.
    phone.post("/tai-khoan/phien/", {"noi": own.mark})
    assert desk.get(ADMIN).status_code == 200
    said = phone.post("/tai-khoan/phien/", {"noi": at_desk.mark}, follow=True).content.decode()
    assert "Đã đăng xuất ở 1 nơi" in said
    assert is_outside(desk)
    assert other.get(ADMIN).status_code == 200
    phone.post("/tai-khoan/phien/", {"noi": "tat-ca"})
    assert is_outside(other)
    assert phone.get(ADMIN).status_code == 200
    assert stranger.get("/tai-khoan/").status_code == 200


def test_an_erased_account_is_signed_out_everywhere(official, code):
    phone = come_in(code, PHONE)
    erase_account(user=official)
    assert is_outside(phone)
    assert not official.sessions.exists()


def test_a_session_without_the_second_factor_ends_no_other(client, official, code):
    desk = come_in(code, DESK)
    give_password(client)
    assert client.post("/tai-khoan/phien/", {"noi": "tat-ca"}).status_code == 302
    client.force_login(official)
    assert client.post("/tai-khoan/phien/", {"noi": "tat-ca"}).status_code == 302
    assert desk.get(ADMIN).status_code == 200

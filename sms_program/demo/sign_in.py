"""Help on the sign-in page of a demonstration: who can be played, the password, the code of this moment."""

import time

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from sms_program.demo import staff
from sms_program.demo.offices import TOTP_SECRET

PARTS = {
    "dieu-phoi": "Văn phòng Chương trình: chuyên viên mở đợt phân bổ",
    "lanh-dao": "Văn phòng Chương trình: lãnh đạo phê duyệt",
    "quan-ly": "Văn phòng Chương trình: phụ trách, cấp và thu quyền",
    "bo-giao-duc": "Bộ GD&ĐT: xem điều hành",
    "bo-thong-tin": "Bộ TT&TT: xem điều hành, điểm sóng",
    "kiem-toan": "Kiểm toán, giám sát",
    "thu-kho": "Kho trung ương: thủ kho",
    "kiem-dinh": "Kho trung ương: kiểm định viên",
    "so-75": "Sở GD&ĐT Đồng Nai: chuyên viên tải danh sách",
    "so-75-tham-dinh": "Sở GD&ĐT Đồng Nai: chuyên viên thẩm định",
    "so-75-lanh-dao": "Sở GD&ĐT Đồng Nai: lãnh đạo phê duyệt",
    "ubnd-75": "UBND tỉnh Đồng Nai: xem số liệu",
    "viettel": "Doanh nghiệp viễn thông: điểm sóng",
    "quan-tri": "Quản trị hệ thống",
}


def current_code() -> str:
    """The six digits that an authenticator app with the demonstration's secret shows now."""
    return format_hotp_value(hotp_value(TOTP_SECRET, int(time.time()) // app_settings.TOTP_PERIOD))


def sign_in_help(request: HttpRequest) -> dict:
    """Context of every template, computed only where the sign-in page asks; installed with DEMO=1 alone."""
    return {"demo_sign_in": SimpleLazyObject(_help)}


def _help() -> dict:
    people = [{"email": f"{address}@{staff.DOMAIN}", "part": part} for address, part in PARTS.items()]
    return {"password": staff.PASSWORD, "code": current_code(), "people": people}

"""The staff menu: what this person may open, looked up only where a template asks for it."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from common.access import may_open

# The rooms of the house in the order of the way; each shows only to whom its page would open.
ROOMS = (
    ("/viec-can-lam/", "Việc cần làm"),
    ("/danh-sach/", "Danh sách"),
    ("/hoc-sinh/", "Học sinh"),
    ("/nguon-luc/", "Nguồn lực"),
    ("/kho/", "Kho"),
    ("/phan-bo/", "Phân bổ"),
    ("/van-chuyen/", "Vận chuyển"),
    ("/ban-giao/", "Bàn giao"),
    ("/diem-song/", "Điểm sóng"),
    ("/phu-song/truong/", "Kết nối trường"),
    ("/nen-tang/ra-soat/", "Rà soát nền tảng"),
    ("/phan-anh/xu-ly/", "Phản ánh"),
    ("/so-cai/hang-doi/", "Xoá, đính chính"),
    ("/dieu-hanh/", "Điều hành"),
    ("/kiem-toan/", "Kiểm toán"),
    ("/ung-ho-cua-toi/", "Ủng hộ của tôi"),
    ("/co-quan/", "Cơ quan"),
    ("/nhat-ky/", "Nhật ký"),
    ("/quan-tri/", "Quản trị"),
)


@dataclass(frozen=True)
class Room:
    path: str
    text: str
    is_current: bool


def rooms_of(request: HttpRequest) -> list[Room]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return []
    user.remembers_roles = True
    return [
        Room(path, text, is_current=request.path.startswith(path))
        for path, text in ROOMS
        if may_open(user, path)
    ]


def staff_nav(request: HttpRequest) -> dict:
    """Context of every template; costs nothing where `staff_nav` isn't used."""
    return {"staff_nav": SimpleLazyObject(lambda: rooms_of(request))}

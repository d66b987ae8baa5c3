"""The demonstration's people who sign in: one address per part that somebody plays. All share one password.

Addresses end in ``.example`` (RFC 2606): nobody can receive mail there.
"""

from dataclasses import dataclass

PASSWORD = "song-va-may-tinh-2021"
DOMAIN = "minh-hoa.example"
# The admin pages only; no role of the programme.
ADMINISTRATOR = f"quan-tri@{DOMAIN}"
# Who the sign-in page and the terminal offer to play: local part of the address, and what they do.
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


@dataclass(frozen=True)
class Part:
    """One sign-in: the local part of the address, the person's name, the role and the office's code."""

    address: str
    name: str
    role: str
    office: str

    @property
    def email(self) -> str:
        return f"{self.address}@{DOMAIN}"


# The parts shown on the sign-in page, in the order of the programme's way.
PROGRAMME = [
    Part("dieu-phoi", "Nguyễn Minh Điều", "clerk", "CT"),
    Part("dieu-phoi-2", "Ngô Lan Phối", "clerk", "CT"),
    Part("lanh-dao", "Trần Quốc Duyệt", "approver", "CT"),
    Part("quan-ly", "Lê Thu Quản", "manager", "CT"),
    Part("bo-giao-duc", "Phạm Thanh Giáo", "viewer", "BGD"),
    Part("bo-giao-duc-duyet", "Đỗ Hải Nam", "approver", "BGD"),
    Part("bo-giao-duc-tham-dinh", "Lương Thu Hiền", "clerk", "BGD"),
    Part("bo-thong-tin", "Vũ Hải Thông", "viewer", "BTTTT"),
    Part("bo-thong-tin-duyet", "Mai Quang Viễn", "approver", "BTTTT"),
    Part("kiem-toan", "Hoàng Công Minh", "auditor", "KT"),
    Part("thu-kho", "Bùi Văn Kho", "keeper", "KHO-TW"),
    Part("kiem-dinh", "Đặng Thị Định", "inspector", "KHO-TW"),
]


def province_parts(code: str, name: str) -> list[Part]:
    """Who works at a province's department of education: two who prepare, one who approves, and the committee."""
    return [
        Part(f"so-{code}", f"Chuyên viên Sở {name}", "clerk", f"S-{code}"),
        Part(f"so-{code}-tham-dinh", f"Thẩm định Sở {name}", "clerk", f"S-{code}"),
        Part(f"so-{code}-lanh-dao", f"Lãnh đạo Sở {name}", "approver", f"S-{code}"),
        Part(f"ubnd-{code}", f"Văn phòng UBND {name}", "viewer", f"UBND-{code}"),
        Part(f"so-tttt-{code}", f"Sở TT&TT {name}", "viewer", f"TTTT-{code}"),
    ]


def district_part(code: str, name: str) -> Part:
    """Who works at a district's office of education."""
    return Part(f"phong-{code}", f"Chuyên viên Phòng {name}", "clerk", f"P-{code}")


def school_part(code: str, name: str) -> Part:
    """Who hands computers over at a school."""
    return Part(f"truong-{code}", f"Phụ trách {name}"[:120], "clerk", code)


def operator_email(code: str) -> str:
    """The address of an operator's person."""
    return f"{code.lower()}@{DOMAIN}"

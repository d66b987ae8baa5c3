"""The log in plain words: what happened to a device, as a mother in a village or a donor would want to read it."""

import datetime
import re
from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.templatetags.vi import format_date, format_number, format_vnd
from ledger.codes import LENGTH, LOOKALIKE, VALUE, check_symbol, spell
from ledger.custody import EVENT_LABEL
from ledger.receipts import FIELD_LABEL
from ledger.trace import PublicEntry

KIND = {
    "tablet": gettext_lazy("máy tính bảng"),
    "laptop": gettext_lazy("máy tính xách tay"),
    "desktop": gettext_lazy("máy tính để bàn"),
    "phone": gettext_lazy("điện thoại thông minh"),
    "other": gettext_lazy("thiết bị"),
}
REASON = {
    "below_specification": gettext_lazy("cấu hình chưa đạt tiêu chí"),
    "battery": gettext_lazy("pin"),
    "screen": gettext_lazy("màn hình"),
    "no_power": gettext_lazy("không lên nguồn"),
    "not_wiped": gettext_lazy("chưa xoá dữ liệu cũ"),
    "malware": gettext_lazy("phần mềm độc hại"),
    "missing_part": gettext_lazy("thiếu phụ kiện"),
    "no_child_protection": gettext_lazy("chưa có công cụ bảo vệ trẻ em"),
    "duplicate_serial": gettext_lazy("trùng số sê-ri"),
    "other_fault": gettext_lazy("lỗi khác"),
    "in_transit": gettext_lazy("trên đường vận chuyển"),
    "in_storage": gettext_lazy("trong kho"),
    "with_student": gettext_lazy("khi đang sử dụng"),
    "theft": gettext_lazy("bị lấy cắp"),
    "disaster": gettext_lazy("thiên tai"),
    "unknown": gettext_lazy("chưa rõ"),
    "not_eligible": gettext_lazy("không đúng đối tượng"),
    "already_has_device": gettext_lazy("đã có máy"),
    "moved_away": gettext_lazy("chuyển đi nơi khác"),
    "withdrawn": gettext_lazy("rút khỏi danh sách"),
    "declined": gettext_lazy("gia đình không nhận"),
    "duplicate": gettext_lazy("trùng người"),
    "device_unfit": gettext_lazy("máy không phù hợp"),
    "supply_reduced": gettext_lazy("nguồn máy giảm"),
    "substitution": gettext_lazy("thay bằng người kế tiếp"),
    "left_school": gettext_lazy("thôi học hoặc chuyển trường"),
    "no_longer_eligible": gettext_lazy("không còn thuộc đối tượng"),
    "unused": gettext_lazy("không dùng đến"),
    "repair": gettext_lazy("đem sửa"),
    "recall": gettext_lazy("theo lệnh thu hồi"),
    "end_of_use": gettext_lazy("hết thời gian sử dụng"),
    "replaced": gettext_lazy("đã được đổi máy khác"),
    "security": gettext_lazy("an toàn thông tin"),
    "battery_safety": gettext_lazy("an toàn pin"),
    "defect": gettext_lazy("lỗi của lô máy"),
    "administrative": gettext_lazy("lý do quản lý"),
    "beyond_repair": gettext_lazy("không sửa được"),
    "lost": gettext_lazy("bị mất"),
    "stolen": gettext_lazy("bị lấy cắp"),
    "end_of_life": gettext_lazy("quá cũ"),
    "returned_to_donor": gettext_lazy("trả lại nhà tài trợ"),
    "recycled": gettext_lazy("đem tái chế"),
    "recorded_in_error": gettext_lazy("ghi nhầm"),
    "wrong_device": gettext_lazy("nhầm máy"),
    "wrong_date": gettext_lazy("sai ngày"),
    "wrong_office": gettext_lazy("sai cơ quan"),
    "wrong_quantity": gettext_lazy("sai số lượng"),
    "wrong_value": gettext_lazy("sai giá trị"),
    "family_request": gettext_lazy("theo yêu cầu của gia đình"),
    "donor_request": gettext_lazy("theo yêu cầu của nhà tài trợ"),
    "retention_over": gettext_lazy("hết thời hạn lưu"),
    "court_order": gettext_lazy("theo quyết định của toà án"),
}
STATE = {
    "received": gettext_lazy("Đã tiếp nhận, chờ kiểm định"),
    "accepted": gettext_lazy("Đạt kiểm định, sẵn sàng phân bổ"),
    "to_repair": gettext_lazy("Chờ sửa chữa"),
    "repaired": gettext_lazy("Đã sửa, chờ kiểm định lại"),
    "refused": gettext_lazy("Không đạt kiểm định"),
    "allocated": gettext_lazy("Đã phân bổ, chờ chuyển đi"),
    "in_transit": gettext_lazy("Đang vận chuyển"),
    "arrived": gettext_lazy("Đã đến nơi"),
    "missing": gettext_lazy("Thất lạc, đang tìm"),
    "missing_free": gettext_lazy("Thất lạc, đang tìm"),
    "damaged": gettext_lazy("Hư hỏng trên đường"),
    "handed_over": gettext_lazy("Đã bàn giao"),
    "in_use": gettext_lazy("Đang sử dụng"),
    "broken": gettext_lazy("Hỏng"),
    "lost": gettext_lazy("Mất"),
    "stolen": gettext_lazy("Bị lấy cắp"),
    "returned": gettext_lazy("Đã thu về"),
    "recalled": gettext_lazy("Thu hồi"),
    "recalled_out": gettext_lazy("Thu hồi"),
    "replaced": gettext_lazy("Đã thay bằng máy khác"),
    "transfer": gettext_lazy("Đang chuyển kho"),
    "sent_back": gettext_lazy("Đang trả về"),
    "written_off": gettext_lazy("Đã thanh lý"),
}
TEXT = {
    "pledge.made": gettext_lazy("Ghi nhận cam kết ủng hộ%(amount)s"),
    "pledge.changed": gettext_lazy("Cam kết thay đổi%(amount)s: %(reason)s"),
    "pledge.cancelled": gettext_lazy("Cam kết được rút lại: %(reason)s"),
    "money.received": gettext_lazy("Nhận tiền ủng hộ, phiếu thu %(ref)s%(amount)s"),
    "money.transferred": gettext_lazy("Chuyển tiền, phiếu chi %(ref)s%(amount)s"),
    "purchase.ordered": gettext_lazy("Đặt mua máy, đơn %(order)s%(amount)s"),
    "purchase.delivered": gettext_lazy("Nhà cung cấp giao máy, đơn %(order)s%(amount)s"),
    "lot.dispatched": gettext_lazy("Chuyến %(lot)s rời %(from)s, nơi nhận: %(to)s%(amount)s"),
    "lot.arrived": gettext_lazy("Chuyến %(lot)s đã đến %(to)s%(amount)s"),
    "lot.recalled": gettext_lazy("Thu hồi lô %(lot)s (%(reason)s)%(amount)s"),
    "run.frozen": gettext_lazy("Đợt phân bổ %(run)s: chốt danh sách và nguồn máy"),
    "run.seeded": gettext_lazy("Đợt phân bổ %(run)s: đã có số ngẫu nhiên công khai để bốc thăm"),
    "run.approved": gettext_lazy("Đợt phân bổ %(run)s: được phê duyệt"),
    "run.rejected": gettext_lazy("Đợt phân bổ %(run)s: không được phê duyệt"),
    "run.committed": gettext_lazy("Đợt phân bổ %(run)s: công bố kết quả và tệp bốc thăm"),
    "policy.published": gettext_lazy("Công bố quy tắc phân bổ %(policy)s"),
    "criteria.published": gettext_lazy("Công bố tiêu chí máy %(criteria)s"),
    "figures.published": gettext_lazy("Công bố số liệu ngày %(figures)s"),
    "point.covered": gettext_lazy("Điểm lõm %(point)s đã có sóng"),
    "unit.registered": gettext_lazy("Ghi tên địa bàn hoặc cơ quan: %(name)s"),
    "unit.renamed": gettext_lazy("Đổi tên địa bàn hoặc cơ quan: %(name)s"),
    "unit.merged": gettext_lazy("Sáp nhập %(unit)s vào %(into)s"),
    "key.rotated": gettext_lazy("Thay khóa ký của sổ cái"),
    "device.repaired": gettext_lazy("Đã sửa xong"),
    "device.allocated": gettext_lazy("Phân bổ theo đúng thứ tự ưu tiên cho một học sinh ở %(area)s"),
    "device.allocation_revoked": gettext_lazy("Huỷ phân bổ: %(reason)s"),
    "device.dispatched": gettext_lazy("%(from)s gửi đi, nơi nhận: %(to)s"),
    "device.arrived": gettext_lazy("%(to)s đã nhận đủ"),
    "device.missing": gettext_lazy("Thất lạc: %(reason)s"),
    "device.damaged": gettext_lazy("Hư hỏng: %(reason)s"),
    "device.found": gettext_lazy("Đã tìm thấy"),
    "device.handed_over": gettext_lazy("Bàn giao tận tay một học sinh ở %(destination)s"),
    "device.handover_confirmed": gettext_lazy("Gia đình xác nhận đã nhận máy"),
    "device.broken": gettext_lazy("Gia đình báo hỏng: %(reason)s"),
    "device.lost": gettext_lazy("Báo mất: %(reason)s"),
    "device.stolen": gettext_lazy("Báo bị lấy cắp"),
    "device.returned": gettext_lazy("Thu về: %(reason)s"),
    "device.replaced": gettext_lazy("Được thay bằng máy khác"),
    "device.recalled": gettext_lazy("Có lệnh thu hồi: %(reason)s"),
    "device.written_off": gettext_lazy("Thanh lý: %(reason)s"),
    "correction": gettext_lazy("Đính chính: %(reason)s"),
    "commitment.erased": gettext_lazy("Xoá chìa mở thông tin «%(field)s»: %(reason)s"),
}
# What a commitment is about; the value itself is in no entry, and a contact was never committed to.
FIELD = FIELD_LABEL | {"contact": "người liên hệ"}
INSPECTED = {
    "accepted": gettext_lazy("Kiểm định: đạt yêu cầu"),
    "to_repair": gettext_lazy("Kiểm định: cần sửa (%(reason)s)"),
    "refused": gettext_lazy("Kiểm định: không đạt (%(reason)s)"),
}
UNIT_WORDS = ("Tỉnh ", "Thành phố ", "Huyện ", "Quận ", "Thị xã ", "Xã ", "Phường ", "Thị trấn ", "Trường ")


def shown_state(state: str, body: Mapping) -> str:
    """The state that a reader means: a device written off because it is lost or stolen is that, not scrapped."""
    return body["reason"] if state == "written_off" and body.get("reason") in ("lost", "stolen") else state


GOOD = ("handed_over", "in_use")
TROUBLE = (
    "missing",
    "missing_free",
    "damaged",
    "broken",
    "lost",
    "stolen",
    "recalled",
    "recalled_out",
    "refused",
)
PROBLEM_EVENTS = (
    "device.missing",
    "device.damaged",
    "device.broken",
    "device.lost",
    "device.stolen",
    "device.recalled",
)


PLACES = ("from", "to", "at", "area", "unit", "into")


def codes_in(way: list[PublicEntry]) -> set[str]:
    """Codes of offices and areas that a device's entries name."""
    return {entry.body[key] for entry in way for key in PLACES if key in entry.body}


def place(code: str, names: Mapping[str, str]) -> str:
    """An office or area as people call it; its code where the log has no name for it."""
    if code == "VN":
        return _("một nơi trong cả nước")
    name = names.get(code, code)
    # Inside a sentence: "ở tỉnh Yên Bái".
    return name[0].lower() + name[1:] if name.startswith(UNIT_WORDS) else name


def sentence(body: Mapping, names: Mapping[str, str], area: str | None = None) -> str:
    """One entry in one sentence; `area` is where the device was allocated to."""
    kind = body["t"]
    where = {key: str(value) for key, value in body.items()}
    where |= {key: place(body[key], names) for key in PLACES if key in body}
    if kind == "figures.published":
        where["figures"] = format_date(datetime.date.fromisoformat(body["figures"]))
    if kind == "device.received":
        return _("%(to)s tiếp nhận một %(kind)s") % (where | {"kind": KIND[body["kind"]]})
    where["reason"] = str(REASON.get(body.get("reason", ""), ""))
    where["field"] = _(FIELD[body["field"]]) if "field" in body else ""
    where["amount"] = _amount(body)
    if kind == "device.inspected":
        return str(INSPECTED[body["outcome"]]) % where
    if kind == "device.handed_over":
        where["destination"] = place(area or "VN", names)
    said = str(TEXT[kind]) % where if kind in TEXT else kind
    return said[:1].upper() + said[1:]


def kind_of(body: Mapping) -> str:
    """What kind of entry this is, without saying of which device."""
    return _(EVENT_LABEL[body["t"]]) if body["t"] in EVENT_LABEL else sentence(body, {})


def _amount(body: Mapping) -> str:
    if "qty" in body:
        return _(": %(count)s máy") % {"count": format_number(body["qty"])}
    return f": {format_vnd(body['amount_vnd'])}" if "amount_vnd" in body else ""


# Two words of letters alone, or ten digits as a telephone has them: what a mother types who looks for her child.
PERSON = re.compile(r"[^\W\d_]+(\s+[^\W\d_]+)+|(0|\+?84)([\s.]?\d){9}")


def what_is_wrong(typed: str) -> str:
    """Why this can't be a device's code, to the character where that can be told; empty when it can be one."""
    upper = typed.strip().upper()
    if upper.startswith(("CK-", "YC-", "PA-")):
        return _(
            "Mã %(code)s có ký tự gõ nhầm: ký tự cuối dùng để kiểm tra mã, và nó không khớp. Hãy so lại từng ký tự."
        ) % {"code": upper[:20]}
    if upper.startswith("DPB-"):
        return _("Sổ cái không có đợt phân bổ nào mang mã %(code)s.") % {"code": upper[:20]}
    if PERSON.fullmatch(typed.strip()):
        return _(
            "Không tra được bằng tên người hay số điện thoại: trang này không giữ tên em nào. Muốn biết con bạn có được nhận máy không, hãy hỏi nhà trường."
        )
    code = upper.translate(LOOKALIKE)
    strange = [symbol for symbol in code if symbol not in VALUE]
    if strange:
        return _(
            "Ký tự «%(symbol)s» không có trong mã máy nào. Mã máy chỉ gồm chữ số và chữ cái không dấu, trừ I, L, O, U."
        ) % {"symbol": strange[0]}
    if len(code) != LENGTH:
        return _("Mã máy có %(length)s ký tự; bạn gõ %(count)s.") % {"length": LENGTH, "count": len(code)}
    if check_symbol(code[:-1]) != code[-1]:
        return _(
            "Mã này có một ký tự gõ nhầm, hoặc hai ký tự đổi chỗ: ký tự cuối «%(last)s» dùng để kiểm tra mã, và nó không"
            " khớp với các ký tự trước. Hãy so lại từng ký tự với tem: %(spelled)s."
        ) % {"last": code[-1], "spelled": spell(code)}
    return ""


def timeline(
    way: list[PublicEntry], names: Mapping[str, str], erased: Mapping[str, list[PublicEntry]] | None = None
) -> list[dict]:
    """Items of `components/timeline.html` for a device's way; a correction stands beside what it corrects.

    `erased`: for an event id, the entries that say which of its commitments were erased.
    """
    items, area = [], None
    by_eid = {entry.eid: entry for entry in way}
    corrected = {entry.body["corrects"]: entry for entry in way if entry.body["t"] == "correction"}
    for number, entry in enumerate(way, 1):
        body = entry.body
        if body["t"] == "device.allocated":
            area = body["area"]
        note = _("Mục %(index)s trong sổ cái") % {"index": entry.index}
        if body["t"] in ("device.handed_over", "device.handover_confirmed"):
            note = _("Trong tuần bắt đầu từ ngày này. ") + note
        if fix := corrected.get(body["eid"]):
            said = {"index": fix.index, "reason": REASON.get(fix.body["reason"], "")}
            note = _("Đã được đính chính ở mục %(index)s: %(reason)s. ") % said + note
        if body["t"] == "correction" and (original := by_eid.get(body["corrects"])):
            said = {"index": original.index, "text": sentence(original.body, names, area)}
            note = _("Mục được đính chính: mục %(index)s, «%(text)s». ") % said + note
        if gone := (erased or {}).get(body["eid"]):
            said = {"index": gone[-1].index}
            note = (
                _("Gia đình đã yêu cầu xoá: không ai mở được tên người nhận nữa (mục %(index)s). ") % said
                + note
            )
        trouble = body["t"] in PROBLEM_EVENTS or body.get("outcome") == "refused"
        items.append(
            {
                "text": sentence(body, names, area),
                "at": datetime.date.fromisoformat(body["d"]),
                "note": note,
                "state": "problem" if trouble else "current" if number == len(way) else "done",
            }
        )
    return items

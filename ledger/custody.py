"""The legal order of a device's events: one table, refused before an entry is recorded.

A state says where a device stands in the chain of custody (Plan I.2d, III.2c): accepted stock is
`accepted`, an allocated device keeps that quality through `in_transit` and `arrived` until it is in a
child's hands; `…_free` states are devices on the road or missing without an allocation.
No Django here: the stand-alone verifier carries this very file.
"""

from dataclasses import dataclass

NEW = ""
LABEL = {
    NEW: "chưa có trong sổ cái",
    "received": "Đã tiếp nhận, chờ kiểm định",
    "accepted": "Đạt kiểm định, sẵn sàng phân bổ",
    "to_repair": "Chờ sửa chữa",
    "repaired": "Đã sửa, chờ kiểm định lại",
    "refused": "Không đạt kiểm định",
    "allocated": "Đã phân bổ, chờ chuyển đi",
    "in_transit": "Đang vận chuyển",
    "arrived": "Đã đến nơi, chờ chuyển tiếp hoặc bàn giao",
    "missing": "Thất lạc, đang tìm",
    "damaged": "Hư hỏng trên đường",
    "handed_over": "Đã bàn giao cho học sinh",
    "in_use": "Đang sử dụng, gia đình đã xác nhận",
    "broken": "Hỏng khi đang sử dụng",
    "lost": "Mất",
    "stolen": "Bị lấy cắp",
    "returned": "Đã thu về, chờ kiểm định lại",
    "recalled": "Có lệnh thu hồi, máy đang ở cơ quan",
    "recalled_out": "Có lệnh thu hồi, máy đang ở học sinh",
    "replaced": "Đã được thay bằng máy khác",
    "transfer": "Đang chuyển kho",
    "sent_back": "Đang trên đường trả về",
    "missing_free": "Thất lạc, không còn phân bổ",
    "written_off": "Đã thanh lý",
}
# What a person reads, in a refusal and in the verifier's report.
EVENT_LABEL = {
    "device.received": "tiếp nhận",
    "device.inspected": "kiểm định",
    "device.repaired": "sửa xong",
    "device.allocated": "phân bổ",
    "device.allocation_revoked": "huỷ phân bổ",
    "device.dispatched": "chuyển đi",
    "device.arrived": "đã đến",
    "device.missing": "thất lạc",
    "device.damaged": "hư hỏng",
    "device.found": "tìm thấy",
    "device.handed_over": "bàn giao",
    "device.handover_confirmed": "gia đình xác nhận",
    "device.broken": "hỏng",
    "device.lost": "mất",
    "device.stolen": "bị lấy cắp",
    "device.returned": "thu về",
    "device.replaced": "thay bằng máy khác",
    "device.recalled": "thu hồi",
    "device.written_off": "thanh lý",
    "correction": "đính chính",
}
WITH_STUDENT = ("handed_over", "in_use", "broken", "recalled_out")
IN_OFFICE = ("received", "accepted", "to_repair", "repaired", "allocated", "arrived", "damaged", "returned")
# A device in these states is bound to one allocation.
ALLOCATED = ("allocated", "in_transit", "arrived", "missing", "damaged", "handed_over", "in_use", "broken")

# (event, outcome or "") → {state before: state after}
TRANSITIONS: dict[tuple[str, str], dict[str, str]] = {
    ("device.received", ""): {NEW: "received"},
    ("device.inspected", "accepted"): dict.fromkeys(("received", "repaired", "returned", "recalled"), "accepted"),
    ("device.inspected", "to_repair"): dict.fromkeys(
        ("received", "repaired", "returned", "recalled", "accepted"), "to_repair"
    ),
    ("device.inspected", "refused"): dict.fromkeys(
        ("received", "repaired", "returned", "recalled", "accepted"), "refused"
    ),
    ("device.repaired", ""): {
        "to_repair": "repaired",
        "recalled": "repaired",
        "damaged": "arrived",
        "broken": "in_use",
        "recalled_out": "in_use",
    },
    ("device.allocated", ""): {"accepted": "allocated"},
    ("device.allocation_revoked", ""): {
        "allocated": "accepted",
        "arrived": "accepted",
        "in_transit": "transfer",
        "missing": "missing_free",
        "damaged": "to_repair",
    },
    ("device.dispatched", ""): {
        "allocated": "in_transit",
        "arrived": "in_transit",
        "accepted": "transfer",
        **dict.fromkeys(("returned", "recalled", "to_repair", "refused", "replaced"), "sent_back"),
    },
    ("device.arrived", ""): {"in_transit": "arrived", "transfer": "accepted", "sent_back": "returned"},
    ("device.missing", ""): {
        **dict.fromkeys(("allocated", "in_transit", "arrived", "damaged"), "missing"),
        **dict.fromkeys(
            ("received", "accepted", "to_repair", "repaired", "refused", "returned", "recalled", "transfer", "sent_back"),
            "missing_free",
        ),
    },
    ("device.damaged", ""): dict.fromkeys(("allocated", "in_transit", "arrived"), "damaged")
    | dict.fromkeys(("received", "accepted", "transfer", "sent_back", "returned"), "to_repair"),
    ("device.found", ""): {
        "missing": "arrived",
        "missing_free": "returned",
        "lost": "in_use",
        "stolen": "in_use",
        "replaced": "returned",
    },
    ("device.handed_over", ""): {"arrived": "handed_over", "allocated": "handed_over"},
    ("device.handover_confirmed", ""): {"handed_over": "in_use"},
    ("device.broken", ""): dict.fromkeys(("handed_over", "in_use"), "broken"),
    ("device.lost", ""): dict.fromkeys(("handed_over", "in_use", "broken", "recalled_out"), "lost"),
    ("device.stolen", ""): dict.fromkeys(("handed_over", "in_use", "broken", "recalled_out"), "stolen"),
    ("device.returned", ""): dict.fromkeys(
        ("handed_over", "in_use", "broken", "recalled_out", "lost", "stolen", "replaced"), "returned"
    ),
    ("device.replaced", ""): dict.fromkeys(
        ("broken", "lost", "stolen", "damaged", "missing", "recalled", "recalled_out", "returned"), "replaced"
    ),
    ("device.recalled", ""): {
        **dict.fromkeys(IN_OFFICE, "recalled"),
        **dict.fromkeys(("in_transit", "transfer", "sent_back"), "recalled"),
        **dict.fromkeys(("handed_over", "in_use", "broken"), "recalled_out"),
    },
    ("device.written_off", ""): dict.fromkeys(
        ("to_repair", "refused", "damaged", "missing", "missing_free", "broken", "lost", "stolen", "returned",
         "recalled", "recalled_out", "replaced"),
        "written_off",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class IllegalMoveError(ValueError):
    """The device may not make this move from where it is."""

    event: str
    outcome: str
    state: str

    def __str__(self) -> str:
        what = f"{self.event} ({self.outcome})" if self.outcome else self.event
        return f"{what} is not allowed when the device is {self.state or 'unknown to the log'}"


def move(state: str, event: str, outcome: str = "") -> str:
    """State after `event` in `state`; raises IllegalMoveError."""
    after = TRANSITIONS.get((event, outcome), {}).get(state)
    if after is None:
        raise IllegalMoveError(event, outcome, state)
    return after


def is_undo(body: dict) -> bool:
    """Whether a correction puts its device back to the state before the entry that it corrects."""
    return body["t"] == "correction" and body["reason"] == "recorded_in_error" and "dev" in body


def next_state(way: list[str], body: dict) -> str:
    """State of a device after an entry about it, given its states so far; raises IllegalMoveError."""
    state = way[-1] if way else NEW
    if body["t"] == "correction":
        if not way:
            raise IllegalMoveError("correction", "", state)
        return (way[-2] if len(way) > 1 else NEW) if is_undo(body) else state
    return move(state, body["t"], body.get("outcome", ""))

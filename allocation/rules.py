"""Decisions around a run that need no database: policies, randomness, the seed, what is public, why and why not."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from allocation.engine import GROUPS, MARGINS
from ledger.tree import HASH_BYTES, next_level

HEX256 = re.compile(r"[0-9a-f]{64}")
GROUP_NAMES = {"poor": "hộ nghèo", "near_poor": "hộ cận nghèo", "covid_orphan": "mồ côi do COVID-19"}
PASS_NAMES = {
    "school": "máy dành riêng cho trường",
    "district": "máy dành riêng cho huyện",
    "province": "máy dành riêng cho tỉnh",
    "free": "máy chung cả nước",
}


# --- policies ----------------------------------------------------------------------------------------


def policy_problems(rules: Mapping[str, Any], phase_groups: Sequence[str]) -> list[str]:
    """Why a policy can't be used in its phase, as sentences; empty if it can.

    Plan III.2c: the groups and their order are the law's; a phase may have fewer of them, a policy not others.
    """
    problems = []
    unknown = set(rules) - {"locality_first", "margin", "groups"}
    if unknown:
        problems.append(f"Chính sách có mục không hiểu được: {', '.join(sorted(unknown))}.")
    if not isinstance(rules.get("locality_first"), bool):
        problems.append("Chưa nói rõ địa phương hay đối tượng được xét trước.")
    if rules.get("margin") not in MARGINS:
        problems.append("Chưa nói rõ cách chia phần máy cuối cùng trong một bậc.")
    groups = rules.get("groups")
    if not isinstance(groups, list) or not groups:
        return [*problems, "Chính sách phải có ít nhất một đối tượng."]
    if len(set(groups)) != len(groups):
        problems.append("Một đối tượng chỉ được nêu một lần.")
    for group in groups:
        if group not in phase_groups:
            name = GROUP_NAMES.get(group, group)
            problems.append(f"Giai đoạn này không có đối tượng «{name}»; hãy bỏ đối tượng đó.")
    in_law = [group for group in GROUPS if group in groups]
    if [group for group in groups if group in GROUPS] != in_law:
        order = ", rồi ".join(GROUP_NAMES[group] for group in in_law)
        problems.append(f"Thứ tự đối tượng trái Kế hoạch (III.2c): phải là {order}.")
    return problems


# --- the lottery -------------------------------------------------------------------------------------


def applicant_leaf(code: str, province: str, locality: int, group: str) -> bytes:
    """Bytes of an applicant in the tree of a freeze: one-time code, stratum (province), class before the draw."""
    return f"{code},{province},{locality},{group}".encode()


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """RFC 6962 root over many leaves in order, level by level; `ledger.tree.root_of` is its plain statement."""
    level = b"".join([sha256(b"\x00" + leaf).digest() for leaf in leaves])
    if not level:
        return sha256(b"").digest()
    while len(level) > HASH_BYTES:
        odd = level[-HASH_BYTES:] if (len(level) // HASH_BYTES) % 2 else b""
        level = next_level(level) + odd
    return level


def commitment_of(value: str) -> str:
    """What a party announces before the freeze (SHA-256 of its number's text), so that it can't change it afterwards."""
    return sha256(value.encode()).hexdigest()


def randomness_problem(
    *,
    randomness: str,
    source: str,
    commitments: Sequence[str],
    draw_at: dt.datetime,
    frozen_at: dt.datetime,
    at: dt.datetime,
) -> str | None:
    """Why a value can't be the run's randomness; None if it can.

    It must not have been known before the freeze, or whoever froze could have chosen the outcome. Three
    parties give their numbers one per line, each the one it committed to.
    """
    if not randomness.strip():
        return "Chưa có giá trị ngẫu nhiên."
    if draw_at <= frozen_at:
        return "Số này đã có trước khi chốt dữ liệu nên không dùng được: người chốt có thể đã biết trước kết quả."
    if source == "three_parties":
        if [commitment_of(part) for part in randomness.split("\n")] != list(commitments):
            return (
                "Số của ba bên không khớp với cam kết đã công bố. Nhập mỗi bên một dòng, đúng thứ tự, "
                "đúng từng ký tự; bên nào không đưa số ra thì phải bác đợt này."
            )
        return None
    if at < draw_at:
        return "Chưa đến giờ có kết quả ngẫu nhiên đã công bố; hãy chờ đến lúc đó."
    return None


# --- why, and why not yet ----------------------------------------------------------------------------


def tier_words(tier: Sequence[int], groups: Sequence[str]) -> str:
    """A tier in words an official reads."""
    locality = "địa phương thực hiện Chỉ thị 16, học trực tuyến" if tier[0] == 1 else "địa phương khác"
    group = GROUP_NAMES[groups[tier[1] - 1]]
    place = "con thứ nhất trong hộ" if tier[2] == 1 else f"con thứ {tier[2]} trong hộ"
    return f"{group}, {locality}, {place}"


def tier_key(tier: Sequence[int], locality_first: bool) -> tuple[int, ...]:
    locality, group, place = tier
    return (locality, group, place) if locality_first else (group, locality, place)


def reasons(
    *,
    tier: Sequence[int],
    groups: Sequence[str],
    locality_first: bool,
    via: str | None,
    waterline: Sequence[int] | None,
) -> list[str]:
    """Sentences that answer "why" (via is the pass) or "why not yet" (via is None), and what would change it."""
    said = [f"Em ở bậc {'.'.join(map(str, tier))}: {tier_words(tier, groups)}."]
    if via is not None:
        said.append(f"Em được nhận từ {PASS_NAMES[via]}, đúng lượt theo bậc và bốc thăm.")
        return said
    if waterline is None:
        said.append("Đợt này không có máy chung nào để chia; chỉ có máy dành riêng cho một số nơi.")
    elif tier_key(tier, locality_first) == tier_key(waterline, locality_first):
        said.append(
            "Máy chung hết ngay trong bậc của em: các em cùng bậc được chọn bằng bốc thăm, "
            "và số bốc thăm của em đứng sau."
        )
    else:
        said.append(
            f"Máy chung hết ở bậc {'.'.join(map(str, waterline))} ({tier_words(waterline, groups)}), "
            "trước khi đến bậc của em."
        )
    said.append(
        "Em vẫn ở trong danh sách chờ: có thêm máy, hoặc máy được trả lại, thì đợt sau xét tiếp theo đúng thứ tự này."
    )
    if tier[0] != 1:
        said.append(
            "Nếu nơi trường đóng thực hiện Chỉ thị 16 và dạy trực tuyến vào ngày chốt đợt sau, em sẽ lên bậc trước."
        )
    return said


def starvation(served: Mapping[str, int], unmet: Mapping[str, int]) -> list[str]:
    """Groups that got nothing, or not all, in words for the top of a proposal."""
    said = []
    for group, missing in unmet.items():
        if missing and not served.get(group):
            said.append(
                f"Nhóm {GROUP_NAMES[group]}: cả {number(missing)} em chưa em nào có máy trong đợt này."
            )
        elif missing:
            said.append(f"Nhóm {GROUP_NAMES[group]}: còn {number(missing)} em chưa có máy.")
    return said


def number(value: int) -> str:
    return f"{value:,}".replace(",", ".")

"""Decisions around a run that need no database: policies, randomness, the seed, what is public, why and why not."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from allocation.engine import GROUPS, MARGINS
from ledger.tree import HASH_BYTES, next_level

LAST_GRADE = 12
SUBSTITUTE = "substitute"  # how `Allocation.Pass` calls a device that came from another student
NAMED = 3  # provinces that a sentence lists by name
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
    unknown = set(rules) - {"locality_first", "margin", "groups", "laptop_from_grade"}
    if unknown:
        problems.append(f"Chính sách có mục không hiểu được: {', '.join(sorted(unknown))}.")
    if not isinstance(rules.get("locality_first"), bool):
        problems.append("Chưa nói rõ địa phương hay đối tượng được xét trước.")
    if rules.get("margin") not in MARGINS:
        problems.append("Chưa nói rõ cách chia phần máy cuối cùng trong một bậc.")
    grade = rules.get("laptop_from_grade", LAST_GRADE)
    if type(grade) is not int or not 1 <= grade <= LAST_GRADE:
        problems.append(f"Máy xách tay ưu tiên từ lớp nào phải là số từ 1 đến {LAST_GRADE}, hoặc bỏ trống.")
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


def source_digest(randomness_source: str) -> str:
    """What names the announced draw in the ledger, which holds no free text: SHA-256 of its exact words."""
    return sha256(randomness_source.encode()).hexdigest()


def commitment_of(value: str) -> str:
    """What a party announces before the freeze (SHA-256 of its number's text), so that it can't change it afterwards."""
    return sha256(value.encode()).hexdigest()


def commitments_problem(source: str, commitments: Sequence[str]) -> str | None:
    """Why these commitments can't be announced for a run with this source of randomness; None if they can."""
    if source != "three_parties":
        return "Chỉ khi ba bên cùng góp số mới có cam kết; hãy để trống." if commitments else None
    if len(commitments) != 3 or not all(HEX256.fullmatch(value) for value in commitments):
        return "Cần đúng ba cam kết, mỗi cam kết 64 ký tự 0–9, a–f, mỗi dòng một bên."
    if len(set(commitments)) != 3:
        return "Hai bên có cùng một cam kết: mỗi bên phải tự chọn số của mình."
    return None


def parties(commitments: Sequence[str], randomness: str) -> list[dict[str, str]]:
    """Of each of the three parties: what it committed to, and the number that it gave once the seed is fixed."""
    given = randomness.split("\n") if randomness else [""] * len(commitments)
    return [
        {"name": f"Bên {place}", "commitment": commitment, "value": value}
        for place, (commitment, value) in enumerate(zip(commitments, given, strict=False), start=1)
    ]


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
        given = randomness.split("\n")
        if len(given) != len(commitments):
            return (
                f"Cần đúng {len(commitments)} dòng, mỗi bên một dòng, theo thứ tự của các cam kết. "
                "Bên nào không đưa số ra thì đợt này không còn hiệu lực: phải bác, lý do «Không có số ngẫu nhiên như đã công bố»."
            )
        wrong = [
            f"bên {place}"
            for place, (part, commitment) in enumerate(zip(given, commitments, strict=True), start=1)
            if commitment_of(part) != commitment
        ]
        if wrong:
            return (
                f"Số của {', '.join(wrong)} không khớp với cam kết đã công bố. Xem lại thứ tự và từng ký tự; "
                "bên nào không đưa đúng số đã cam kết thì đợt này không còn hiệu lực và phải bác."
            )
        return None
    if at < draw_at:
        return "Chưa đến giờ có kết quả ngẫu nhiên đã công bố; hãy chờ đến lúc đó."
    return None


# --- why, and why not yet ----------------------------------------------------------------------------


def group_title(group: str) -> str:
    """A group's name at the beginning of a line; the acronym in it keeps its capitals."""
    name = GROUP_NAMES.get(group, group)
    return name[:1].upper() + name[1:]


def tier_words(tier: Sequence[int], groups: Sequence[str]) -> str:
    """A tier in words an official reads."""
    locality = "địa phương thực hiện Chỉ thị 16, học trực tuyến" if tier[0] == 1 else "địa phương khác"
    group = GROUP_NAMES[groups[tier[1] - 1]]
    place = "con thứ nhất trong hộ" if tier[2] == 1 else f"con thứ {tier[2]} trong hộ"
    return f"{group}, {locality}, {place}"


def tier_of(text: str) -> tuple[int, ...]:
    """The numbers of a tier as a summary writes it, such as `1.2.1`."""
    return tuple(map(int, text.split(".")))


def waterline_words(waterline: str | None, groups: Sequence[str]) -> str:
    """How far the devices that are nobody's went, of a summary's waterline such as `1.2.1`."""
    if not waterline:
        return "không có máy chung nào được chia"
    return f"bậc {waterline}: {tier_words(tier_of(waterline), groups)}"


def tier_key(tier: Sequence[int], locality_first: bool) -> tuple[int, ...]:
    locality, group, place = tier
    return (locality, group, place) if locality_first else (group, locality, place)


def reasons(
    *,
    tier: Sequence[int],
    groups: Sequence[str],
    locality_first: bool,
    via: str | None,
    waterline: str | None,
    province_waterline: str | None = None,
    margin: str = "draw",
    held: int = 0,
    queue: tuple[int, int] | None = None,
    elsewhere: str = "",
) -> list[str]:
    """Sentences that answer "why" (`via` is the pass) or "why not yet" (`via` is None), and what would change it.

    `waterline` is the tier of the last free device, `province_waterline` that of the last device of the student's own
    province. `held` are the devices the household had before the run; `queue` is the place among those who wait, in
    the run and in the province (from 1), None while it isn't written yet. `elsewhere` is the run from which the
    student has a device since.
    """
    said = [f"Em ở bậc {'.'.join(map(str, tier))}: {tier_words(tier, groups)}."]
    if tier[2] > 1:
        said.append(household_words(tier[2], held))
    if via == SUBSTITUTE:
        said.append(
            "Em được nhận máy mà em trước đó không nhận nữa: em đứng đầu hàng chờ ở nơi có máy đó, không ai chọn."
        )
        return said
    if via is not None:
        said.append(f"Em được nhận từ {PASS_NAMES[via]}, đúng lượt theo bậc và bốc thăm.")
        return said
    own = tier_key(tier, locality_first)
    if waterline:
        same_province = margin == "proportional"
        said.append(short_words("Máy chung", own, tier_of(waterline), groups, locality_first, same_province))
    elif province_waterline:
        last = tier_of(province_waterline)
        said.append(short_words("Máy dành riêng cho tỉnh", own, last, groups, locality_first, True))
    else:
        said.append("Đợt này không có máy chung nào để chia; chỉ có máy dành riêng cho một số nơi.")
    if elsewhere:
        said.append(f"Sau đợt này, em đã được chia máy ở đợt {elsewhere} nên không còn trong hàng chờ.")
        return said
    if queue is not None:
        said.append(queue_words(*queue))
    said.append(
        "Em vẫn ở trong danh sách chờ: có thêm máy, hoặc máy được trả lại, thì đợt sau xét tiếp theo đúng thứ tự này."
    )
    if tier[0] != 1:
        said.append(
            "Nếu nơi trường đóng thực hiện Chỉ thị 16 và dạy trực tuyến vào ngày chốt đợt sau, em sẽ lên bậc trước."
        )
    if tier[2] > 1:
        said.append("Nếu hộ trả lại máy đã nhận, hoặc em đứng trước trong hộ thôi xét, em sẽ lên bậc trước.")
    return said


def short_words(
    devices: str,
    own: tuple[int, ...],
    last: Sequence[int],
    groups: Sequence[str],
    locality_first: bool,
    same_province: bool,
) -> str:
    """Where some devices ended, seen from a student whom they did not reach; `same_province`: who draws together."""
    if own == tier_key(last, locality_first):
        who = "các em cùng bậc trong tỉnh" if same_province else "các em cùng bậc"
        return f"{devices} hết ngay trong bậc của em: {who} được chọn bằng bốc thăm, và số bốc thăm của em đứng sau."
    words = tier_words(last, groups)
    return f"{devices} hết ở bậc {'.'.join(map(str, last))} ({words}), trước khi đến bậc của em."


def queue_words(in_run: int, in_province: int) -> str:
    """A place among those who wait; in a run over one province the two numbers are the same."""
    place = f"Trong hàng chờ của đợt, em đứng thứ {number(in_run)}"
    if in_province != in_run:
        place += f"; riêng trong tỉnh, em đứng thứ {number(in_province)}"
    return f"{place}. Máy nào được trả lại thì đến em đứng đầu hàng chờ ở nơi có máy đó, không ai chọn."


def household_words(place: int, held: int) -> str:
    """Why a student isn't the first of the household."""
    ahead = place - 1 - held
    grounds = []
    if held:
        grounds.append(f"hộ đã nhận {number(held)} máy")
    if ahead > 0:
        grounds.append(f"trong hộ có {number(ahead)} em đứng trước theo đối tượng và bốc thăm")
    return f"Em là suất thứ {place} của hộ vì {' và '.join(grounds)}; mỗi hộ có một máy rồi mới đến suất thứ hai."


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


def preference_words(laptop_from_grade: int | None) -> str:
    """Which students a policy would rather give laptops."""
    if laptop_from_grade is None:
        return "Không phân biệt"
    return f"Máy xách tay ưu tiên từ lớp {laptop_from_grade} trở lên và sinh viên; không đổi em nào được nhận"


def laptop_words(laptops: Mapping[str, int] | None) -> str:
    """How far a policy's preference for laptops could be met; "" without one."""
    if not laptops:
        return ""
    return (
        f"Chính sách ưu tiên máy xách tay từ lớp {laptops['from_grade']}: {number(laptops['given'])} trong "
        f"{number(laptops['asked'])} em có máy thuộc diện này được máy xách tay. Ưu tiên này chỉ chọn loại máy, "
        "không đổi em nào được nhận."
    )


# --- two policies side by side -------------------------------------------------------------------------


def left_out_words(one: Collection[str], other: Collection[str]) -> list[str]:
    """Which groups only one of two policies considers at all: nobody of them waits under the other."""
    return [
        f"Chính sách {which} không xét nhóm {GROUP_NAMES[group]}: em trong nhóm đó không được máy, cũng không ở hàng chờ."
        for which, mine, its in (("thứ nhất", one, other), ("thứ hai", other, one))
        for group in GROUPS
        if group in its and group not in mine
    ]


def comparison_words(cells: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    """Who gains and who loses by the second policy, in sentences; `names` are the provinces' by code."""
    gain, lose = (sum(cell[side] for cell in cells) for side in ("gain", "lose"))
    if not cells:
        return ["Hai chính sách cho máy đúng cùng những em đó: không em nào thêm, không em nào mất lượt."]
    said = [
        f"So với chính sách thứ nhất, chính sách thứ hai thêm máy cho {number(gain)} em, bớt của {number(lose)} em."
    ]
    for group in GROUPS:
        of_group = [cell for cell in cells if cell["group"] == group]
        more, less = (sum(cell[side] for cell in of_group) for side in ("gain", "lose"))
        if more or less:
            said.append(
                f"{group_title(group)}: thêm {number(more)} em, bớt {number(less)} em "
                f"({signed(more - less)})."
            )
    net: dict[str, int] = {}
    for cell in cells:
        net[cell["province"]] = net.get(cell["province"], 0) + cell["gain"] - cell["lose"]
    for sign, words in ((1, "Tỉnh được thêm nhiều nhất"), (-1, "Tỉnh bị bớt nhiều nhất")):
        change = sign * max(sign * value for value in net.values())
        if sign * change > 0:
            most = sorted(names.get(code, code) for code, value in net.items() if value == change)
            listed = ", ".join(most[:NAMED]) + (
                f" và {len(most) - NAMED} tỉnh khác" if len(most) > NAMED else ""
            )
            said.append(f"{words}: {listed} ({signed(change)} em{' mỗi tỉnh' if len(most) > 1 else ''}).")
    return said


def signed(value: int) -> str:
    """`+12`, `−3` or `0`, for a difference that a person reads."""
    return f"+{number(value)}" if value > 0 else f"−{number(-value)}" if value < 0 else "0"

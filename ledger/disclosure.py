"""What is public: the nine rules of the ledger's design as code. Every public page, API and file goes through here.

Law 91/2025/QH15, Decree 356/2025 and Decree 56/2017 art. 33: what is public identifies no child by construction.
No Django here: the stand-alone verifier carries this very file, so that published figures can be recomputed.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ledger.canon import dumps

# Rule 3: an area's recipients in one run are at least this many, and at most half of its roll.
AREA_MINIMUM = 10
# Rule 4: counts below this are not shown at province level.
CELL_MINIMUM = 10
# Where the count can be made from the log's entries; where it can't, hidden says nothing at all.
FEW, HIDDEN = "<10", "ẩn"
# Rule 4 from release to release (`release_line`): from where on a number is shown, by how much its count must move
# before it changes, and how much of the total is always in no shown number.
SHOWN_FROM, CELL_STEP, KEPT_BACK = 20, 10, 30
NATION = "VN"
# Words that may never be a key of anything public (rules 1 and 2).
PERSONAL_KEYS = frozenset(
    [
        "name",
        "full_name",
        "student",
        "pupil",
        "class",
        "class_name",
        "grade",
        "birth_date",
        "date_of_birth",
        "dob",
        "sex",
        "gender",
        "ethnicity",
        "photo",
        "address",
        "guardian",
        "phone",
        "email",
        "identity_number",
        "citizen_id",
        "cccd",
        "household",
        "group",
        "eligibility_group",
        "priority",
        # Heads of columns, as a file for people has them.
        "họ và tên",
        "họ tên",
        "học sinh",
        "lớp",
        "ngày sinh",
        "giới tính",
        "dân tộc",
        "địa chỉ",
        "người giám hộ",
        "số điện thoại",
        "số định danh",
        "đối tượng",
    ]
)
# A place, an organisation, a platform and a figure have a `name` in public; what is a person's is never called just so.
NAMES_OF_THINGS = frozenset(["name"])
# Where twelve digits are no citizen's: a device code may be all digits.
DEVICE_KEYS = frozenset(["dev", "device"])
CITIZEN_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])")
MASK = "(đã ẩn)"
# Under this key an entry has its salted commitments: what each is about, and nothing but its hash.
COMMITMENTS = "c"
COMMITMENT = re.compile(r"[0-9a-f]{64}")


class DisclosureError(ValueError):
    """What was about to be published says more than the rules allow."""


def choose_area(chain: Sequence[tuple[str, int, int]]) -> str:
    """Rule 3: the smallest area that may be named as the destination of a handover, fixed at allocation.

    `chain` goes from the school up (school, commune, district, province): (code, recipients of this run in it, roll).
    The nation is the last resort, so the answer always exists.
    """
    for code, recipients, roll in chain:
        if recipients >= AREA_MINIMUM and 2 * recipients <= roll:
            return code
    return NATION


def choose_areas(schools: Sequence[tuple[Sequence[str | None], int, int]]) -> list[str]:
    """Rule 3 for all schools of a run at once: each school's public area, never one that few are left in.

    Each school is (codes from itself up: school, commune, district, province, None where it has none; recipients;
    roll). From the finest
    level up, an area is taken by the schools in it that have none yet, when those have at least ten recipients who
    are at most half of those schools' roll. Counting only who is left matters: in a commune whose large school is
    named by itself, the commune's name would otherwise point at the one pupil of its small school. And where fewer
    than ten of the whole run are left for "the nation", an area around them takes in its neighbours.
    """
    found: list[str | None] = [None] * len(schools)
    levels = max((len(chain) for chain, _, _ in schools), default=0)
    for level in range(levels):
        _name_areas(schools, found, level, [at for at, area in enumerate(found) if area is None])
    _hide_the_rest(schools, found, levels)
    return [area or NATION for area in found]


Schools = Sequence[tuple[Sequence[str | None], int, int]]


def _at(chain: Sequence[str | None], level: int) -> str | None:
    return chain[level] if level < len(chain) else None


def _name_areas(schools: Schools, found: list[str | None], level: int, members: Sequence[int]) -> None:
    """Give the areas of a level to those of these schools that are, together, enough to hide their recipients."""
    recipients: Counter[str | None] = Counter()
    roll: Counter[str | None] = Counter()
    for at in members:
        chain, count, size = schools[at]
        recipients[_at(chain, level)] += count
        roll[_at(chain, level)] += size
    for at in members:
        area = _at(schools[at][0], level)
        if area and recipients[area] >= AREA_MINIMUM and 2 * recipients[area] <= roll[area]:
            found[at] = area


def _hide_the_rest(schools: Schools, found: list[str | None], levels: int) -> None:
    """Where fewer than ten recipients of the whole nation are left, "the nation" would point at them.

    The finest area around them takes in its neighbours, who were named more finely; in the last resort the nation
    takes in the smallest area.
    """

    def rest() -> list[int]:
        left = [at for at, area in enumerate(found) if area is None and schools[at][1]]
        return left if sum(schools[at][1] for at in left) < AREA_MINIMUM else []

    for level in range(1, levels):
        around = {_at(schools[at][0], level) for at in rest()} - {None}
        if around:
            finer = [
                at
                for at, area in enumerate(found)
                if (area is None or area in schools[at][0][:level]) and _at(schools[at][0], level) in around
            ]
            _name_areas(schools, found, level, finer)
    while rest():
        sizes: Counter[str] = Counter()
        for at, area in enumerate(found):
            if area and schools[at][1]:
                sizes[area] += schools[at][1]
        if not sizes:
            return
        smallest = min(sizes, key=lambda area: (sizes[area], area))
        for at, area in enumerate(found):
            if area == smallest:
                found[at] = None


def public_place(chain: Sequence[str], area: str | None) -> str:
    """Rule 3: the finest code that may stand in an entry or on a page for a place of an allocated device.

    `chain` are the codes from the place itself up to the widest (an office, its units, the nation); `area` is the
    device's. A place inside the area is replaced by the area; one that holds the area, or lies elsewhere, stays.
    A device without an area (not allocated) keeps its place.
    """
    if area is None or not chain or area not in chain:
        return chain[0] if chain and (area is None or area != NATION) else NATION
    return area


def check_public(
    value: object, where: str = "answer", *, allowed: frozenset[str] = frozenset(), key: str = ""
) -> None:
    """Rules 1 and 2: raise DisclosureError if a public structure carries a key or number of a person.

    `allowed` are keys that here are no person's; `key` is the one that the value stands under.
    """
    if isinstance(value, Mapping):
        if key == COMMITMENTS and all(COMMITMENT.fullmatch(str(inner)) for inner in value.values()):
            return
        check_keys(value, where, allowed=allowed)
        for name, inner in value.items():
            check_public(inner, f"{where}.{name}", allowed=allowed, key=str(name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            check_public(inner, f"{where}[{number}]", allowed=allowed, key=key)
    elif isinstance(value, str) and key not in DEVICE_KEYS and CITIZEN_NUMBER.search(value):
        raise DisclosureError(f"{where}: looks like a citizen number")


def check_keys(keys: Iterable, where: str, *, allowed: frozenset[str] = frozenset()) -> None:
    """Rules 1 and 2 for the keys of an object or the columns of a table."""
    for key in keys:
        if str(key).strip().lower() in PERSONAL_KEYS - allowed:
            raise DisclosureError(f"{where}: «{key}» may not be public")


def public_rows(columns: Sequence[str], rows: Iterable[Sequence], where: str) -> Iterator[tuple]:
    """Rules 1 and 2 for a table, row by row: a column about persons is refused, a citizen's number in a text masked.

    The texts are other people's (a bank's line, a donor's note); one of them must not keep the whole table from the
    public.
    """
    check_keys(columns, where, allowed=NAMES_OF_THINGS)
    for row in rows:
        yield tuple(CITIZEN_NUMBER.sub(MASK, cell) if isinstance(cell, str) else cell for cell in row)


def ten_or_none(count: int) -> int | None:
    """Rule 4 for a count that anybody can make from the log's entries: 1 to 9 aren't spread, and nothing else is hidden.

    Hiding other counts beside it would protect nothing (ADR 24, 34).
    """
    return None if 0 < count < CELL_MINIMUM else count


@dataclass(frozen=True)
class PublicLine:
    """What stood in public of a line of counts at one release: its total, and the numbers of the cells that had one."""

    total: int
    shown: Mapping[str, int]


def release_line(counts: Mapping[str, int], stood: Sequence[PublicLine]) -> dict[str, int]:
    """Rule 4 for counts that stand nowhere else, from release to release: which number of each cell the public sees.

    `counts`: the line as counted; its total is public and exact. `stood`: all that stood in public so far, the latest
    last. A number is shown from 20 on and stays as it is until its count has moved by ten; one that falls below ten is
    hidden again. At least 30 of the total are in no shown number. A cell waits, in the order of the codes, whose new
    number would leave less, or would let a plain guess about an earlier release come out. Whatever isn't in the answer
    is hidden, zeros too, and nothing may tell such cells apart. Source: rule 4 of the ledger's design; tried and
    measured in ADR 34.
    """
    total = sum(counts.values())
    before = stood[-1].shown if stood else {}
    shown = {cell: before[cell] for cell in sorted(counts) if cell in before}
    for cell in list(shown):
        if counts[cell] < CELL_MINIMUM and shown[cell] - counts[cell] >= CELL_STEP:
            del shown[cell]
    for cell in sorted(counts):
        count, old = counts[cell], shown.get(cell)
        if (count >= SHOWN_FROM) if old is None else (abs(count - old) >= CELL_STEP):
            new = shown | {cell: count}
            is_kept_back = total - sum(new.values()) >= KEPT_BACK or count < (old or 0)
            if is_kept_back and not any(_lets_guess(total, new, then) for then in stood):
                shown = new
    for cell in sorted(shown, reverse=True):  # only where counts fell
        if total - sum(shown.values()) < KEPT_BACK:
            del shown[cell]
    return shown


def _lets_guess(total: int, shown: Mapping[str, int], then: PublicLine) -> bool:
    """Whether a plain guess about an earlier release would come out at a small count.

    The guesses: none of the cells that were hidden then and are shown now has changed since (what is left of the total
    of then is the others'), or one of them alone has, by all that the hidden ones have moved.
    """
    fresh = shown.keys() - then.shown.keys()
    if not fresh:
        return False
    left = then.total - sum(then.shown.values()) - sum(shown[cell] for cell in fresh)
    moved = total - then.total - sum(shown[cell] - old for cell, old in then.shown.items() if cell in shown)
    return 0 <= left < KEPT_BACK or any(0 < shown[cell] - moved < CELL_MINIMUM for cell in fresh)


def merge_small(
    counts: Mapping[str, int], parents: Mapping[str, str], minimum: int = CELL_MINIMUM
) -> dict[str, int]:
    """Rules 2 and "the draw": cells below `minimum` are added to their parent's, upward, until all are large enough."""
    merged = Counter({key: count for key, count in counts.items() if count})
    while True:
        small = sorted(key for key, count in merged.items() if count < minimum and key in parents)
        if not small:
            return dict(merged)
        for key in small:
            merged[parents[key]] += merged.pop(key)


@dataclass
class Tally:
    """Public figures from the entries alone (rules 3 and 4): `figures()` is what a release says of a log."""

    devices: Counter = field(default_factory=Counter)
    handed: Counter = field(default_factory=Counter)
    points: Counter = field(default_factory=Counter)
    area: dict[str, str] = field(default_factory=dict)
    money_vnd: int = 0
    pledges: int = 0

    def add(self, body: Mapping) -> None:
        """Count one entry."""
        kind = body["t"]
        if kind == "device.allocated":
            self.area[body["dev"]] = body["area"]
        if kind.startswith("device."):
            self.devices[
                kind.removeprefix("device.") + (f"_{body['outcome']}" if "outcome" in body else "")
            ] += 1
        if kind == "device.handed_over":
            self.handed[self.area.get(body["dev"], NATION)] += 1
        elif kind == "point.covered":
            self.points[body.get("urgency", "regular")] += 1
        elif kind == "money.received":
            self.money_vnd += body["amount_vnd"]
        elif kind == "pledge.made":
            self.pledges += 1

    def figures(self) -> dict:
        """National counts of each step, and handovers by the areas of rule 3; small areas are merged upward."""
        areas = merge_small(
            self.handed, {code: NATION for code in self.handed if code != NATION}, AREA_MINIMUM
        )
        return {
            "devices": dict(sorted(self.devices.items())),
            "handed_over_by_area": dict(sorted(areas.items())),
            "points_covered": dict(sorted(self.points.items())),
            "money_received_vnd": self.money_vnd,
            "pledges": self.pledges,
        }

    def digest(self) -> str:
        """SHA-256 of the canonical figures: what `figures.published` carries."""
        return hashlib.sha256(dumps(self.figures())).hexdigest()

"""What is public: the nine rules of the ledger's design as code. Every public page, API and file goes through here.

Law 91/2025/QH15, Decree 356/2025 and Decree 56/2017 art. 33: what is public identifies no child by construction.
No Django here: the stand-alone verifier carries this very file, so that published figures can be recomputed.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ledger.canon import dumps

# Rule 3: an area's recipients in one run are at least this many, and at most half of its roll.
AREA_MINIMUM = 10
# Rule 4: counts below this are not shown at province level.
CELL_MINIMUM = 10
FEW = "<10"
# Says nothing but that there is a count.
HIDDEN = "ẩn"
# A "<10" must stay one of at least three values for whoever knows the totals.
CELL_RANGE = 3
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


def _after(small: Collection[str], large: Collection[str]) -> list[str]:
    """The large cells of a line in the order in which they are hidden beside small ones: by code, from those on.

    Never by size, so that which ones were taken says nothing of how large they are.
    """
    last = max(small, default="")
    return sorted(large, key=lambda key: (key <= last, key))


def suppress(cells: Mapping[str, int], *, sticky: frozenset[str] = frozenset()) -> dict[str, int | str]:
    """Rule 4: counts of one line whose total is public, with no hidden one derivable from the rest.

    A count of 1 to 9 becomes "<10", and large ones beside it "ẩn", until each "<10" can be at least three values for
    whoever knows the total and this code; zero is shown. Where no large ones help, the whole line is "ẩn", its zeros
    too. `sticky` names cells that stay hidden because they were before. Whether enough is hidden is asked of public
    numbers only: the sum of what is hidden, and how many cells are.
    """
    small = {key for key, count in cells.items() if 0 < count < CELL_MINIMUM}
    large = {key for key, count in cells.items() if count >= CELL_MINIMUM}
    beside = large & sticky
    hidden = small | beside
    total, most = sum(cells[key] for key in hidden), (CELL_MINIMUM - 1) * len(small)
    # At either end of what small cells can add up to, each of them is known to within two.
    if not hidden or (
        small
        and not beside
        and len(small) + CELL_RANGE - 1 <= total <= most - CELL_RANGE + 1
        and len(small) > 1
    ):
        return as_shown(cells, frozenset(hidden))
    for key in [None, *_after(small, large - beside)]:
        if key is not None:
            beside.add(key)
            hidden.add(key)
            total += cells[key]
        # Whatever the small cells are, the large ones can be the rest; and one alone is never hidden.
        if len(hidden) > 1 and beside and total >= CELL_MINIMUM * len(beside) + most:
            return as_shown(cells, frozenset(hidden))
    return as_shown(cells, frozenset(cells))


def as_shown(cells: Mapping[str, int], hidden: frozenset[str]) -> dict[str, int | str]:
    """A line as the public sees it. Where all of it is hidden nothing tells small from large."""
    whole = hidden >= cells.keys()
    return {
        key: count if key not in hidden else FEW if count < CELL_MINIMUM and not whole else HIDDEN
        for key, count in cells.items()
    }


def suppress_split(rows: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int | str, int | str]]:
    """Rule 4 for counts in two parts (served, still waiting) where the totals of both ways are public.

    A row is shown whole or hidden in both parts: one would give the other away. Beside the rows with a small part one
    more large row than those is hidden; where that isn't enough for whatever the small parts may be, all rows are.
    """
    small = {
        key: _first_part(row) for key, row in rows.items() if any(0 < part < CELL_MINIMUM for part in row)
    }
    if not small:
        return dict(rows)
    after = _after(small, [key for key, row in rows.items() if min(row) >= CELL_MINIMUM])
    beside = {key: _first_part(rows[key]) for key in after[: len(small) + 1]}
    total = sum(rows[key][0] for key in small | beside)
    least, most = (total - sum(part[end] for part in small.values()) for end in (1, 0))
    low, high = (sum(part[end] for part in beside.values()) for end in (0, 1))
    # With room left: else that all rows are hidden would tell those that just failed this.
    if not beside or least < low + CELL_RANGE - 1 or most > high - CELL_RANGE + 1:
        return dict.fromkeys(rows, (HIDDEN, HIDDEN))
    return {key: _split_as_shown(row) if key in small | beside else row for key, row in rows.items()}


def _split_as_shown(row: tuple[int, int]) -> tuple[int | str, int | str]:
    """What stands for a hidden row: no more than follows from its sum and, from 19 on, which part is small."""
    if sum(row) < CELL_MINIMUM:
        return FEW, FEW
    if sum(row) < 2 * CELL_MINIMUM - 1:  # one part is small however it is split: which one isn't told
        return HIDDEN, HIDDEN
    first, second = (FEW if count < CELL_MINIMUM else HIDDEN for count in row)
    return first, second


def _first_part(row: tuple[int, int]) -> tuple[int, int]:
    """From where to where the first part of a hidden row can be, for whoever knows its sum."""
    total, shown = sum(row), _split_as_shown(row)
    if shown == (FEW, FEW):
        return 0, total
    if total < 2 * CELL_MINIMUM - 1:
        return 1, total - 1
    if shown == (HIDDEN, HIDDEN):
        return CELL_MINIMUM, total - CELL_MINIMUM
    return (1, CELL_MINIMUM - 1) if shown[0] == FEW else (total - CELL_MINIMUM + 1, total - 1)


@dataclass(frozen=True)
class Release:
    """One earlier release of a row of counts: its values, and which of them the public saw only as "<10" or "ẩn"."""

    values: Mapping[str, int]
    hidden: frozenset[str]

    @property
    def few(self) -> set[str]:
        """What is to be protected: the hidden cells of 1 to 9, the others were hidden beside them.

        Of a line that was hidden whole any cell could be one.
        """
        if self.hidden >= self.values.keys():
            return set(self.hidden)
        return {cell for cell in self.hidden if 0 < self.values[cell] < CELL_MINIMUM}

    def is_possible(self, total: int) -> bool:
        """Whether the hidden small cells could add up to this."""
        return len(self.few) <= total <= (CELL_MINIMUM - 1) * len(self.few)


def hide_after(cells: Mapping[str, int], earlier: Sequence[Release]) -> frozenset[str]:
    """Rule 4 from one release to the next: which cells of a row with a public total to hide, given what was released.

    Beside what one release must hide, cells that were hidden before stay hidden while showing them now would let one
    of the plain guesses about the past stand: that none of the cells hidden beside a small one has changed since, that
    one alone has (its change is then the change of the totals), or that only the small one has. Only refuted guesses
    let them be shown again, and whether they are refuted follows from what is public, so that showing or not showing
    tells nothing by itself.
    """
    hidden = {cell for cell, shown in suppress(cells).items() if isinstance(shown, str)}
    while True:
        kept = set().union(*(_telling(cells, release, hidden) for release in earlier))
        if not kept:
            return frozenset(hidden)
        shown = suppress(cells, sticky=frozenset(hidden | kept))
        hidden = {cell for cell, value in shown.items() if isinstance(value, str)}


def _telling(cells: Mapping[str, int], release: Release, hidden: set[str]) -> set[str]:
    """The cells that, shown now, would let a guess about this earlier release stand."""
    few, beside = release.few, release.hidden - release.few
    moved = sum(cells.get(cell, 0) - release.values.get(cell, 0) for cell in release.hidden | hidden)
    kept = {cell for cell in few - hidden if cells.get(cell, 0) and 0 < cells[cell] - moved < CELL_MINIMUM}
    if few and beside and not beside & hidden:
        before = sum(release.values[cell] for cell in release.hidden)
        rest = before - sum(cells.get(cell, 0) for cell in beside)
        if release.is_possible(rest) or release.is_possible(rest + moved):
            kept |= set(sorted(beside, key=lambda cell: (cells.get(cell, 0), cell))[:1])
    return {cell for cell in kept if cells.get(cell, 0)}


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

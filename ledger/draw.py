"""The public draw file of a run, and what anyone can prove with it.

UTF-8 CSV, LF, header `applicant,cell,served`, sorted by applicant code: a one-time code, the cell (class before
the draw, province; cells under ten are merged upward, so a line says no more than a table of counts), and how the
applicant was served: `no`, `draw` (from the free pool, by the draw) or `earmark` (a device promised to its area).
Cells that were merged are marked with a leading `*`: inside them the order of the draw isn't one order.
No Django here: the stand-alone verifier carries this very file.
"""

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from ledger.commitments import draw_seed, lot_number

HEADER = "applicant,cell,served"
SERVED = ("no", "draw", "earmark")
LINE = re.compile(r"([A-Za-z0-9._-]{1,40}),(\*?[A-Za-z0-9._/-]{1,60}),(no|draw|earmark)")
DRAW_CELL_MINIMUM = 10
# A cell of its own: locality, group, place in the household, then the province.
TIER_CELL = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{1,4})-([A-Za-z0-9._/-]+)")
# The two orders that a policy may have: (locality, group, place) and (group, locality, place).
TIER_ORDERS = {"locality_first": (0, 1, 2), "group_first": (1, 0, 2)}
Tier = tuple[int, int, int]


class DrawError(ValueError):
    """The draw file is malformed or doesn't agree with the log."""


def draw_file(rows: Iterable[tuple[str, str, str]]) -> bytes:
    """Bytes of the draw file of (applicant, cell, served) rows; raises DrawError on a cell under ten."""
    lines = sorted(rows, key=lambda row: row[0].encode())
    for row in lines:
        if not LINE.fullmatch(",".join(row)):
            raise DrawError(f"draw file: malformed line {','.join(row)}")
    small = [cell for cell, count in Counter(row[1] for row in lines).items() if count < DRAW_CELL_MINIMUM]
    if small and len(lines) >= DRAW_CELL_MINIMUM:
        raise DrawError(f"draw file: {len(small)} cells have fewer than {DRAW_CELL_MINIMUM} applicants")
    return "".join(f"{line}\n" for line in [HEADER, *(",".join(row) for row in lines)]).encode()


def read_draw_file(data: bytes) -> list[tuple[str, str, str]]:
    """Rows of a draw file; raises DrawError naming the line."""
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise DrawError("draw file: not UTF-8") from error
    if lines[0] != HEADER or lines[-1]:
        raise DrawError(f"draw file: expected the header {HEADER} and a last line end")
    rows = []
    for number, line in enumerate(lines[1:-1], 2):
        match = LINE.fullmatch(line)
        if match is None:
            raise DrawError(f"draw file: line {number} is malformed")
        rows.append((match[1], match[2], match[3]))
    codes = [row[0].encode() for row in rows]
    if any(one >= other for one, other in itertools.pairwise(codes)):
        raise DrawError("draw file: not sorted by applicant, or an applicant twice")
    return rows


@dataclass
class Cell:
    """What the file says of one cell: its size, who was served, and the draw among those without an earmark."""

    size: int = 0
    served: int = 0
    need: int = 0
    given: int = 0
    last_served: bytes = b""
    first_unserved: bytes = b""

    def add(self, how: str, lot: bytes) -> None:
        self.size += 1
        self.served += how != "no"
        if how == "earmark":
            return
        self.need += 1
        if how == "draw":
            self.given += 1
            self.last_served = max(self.last_served, lot)
        else:
            self.first_unserved = min(self.first_unserved or lot, lot)

    @property
    def is_in_order(self) -> bool:
        return not self.first_unserved or self.last_served < self.first_unserved


@dataclass
class TierCells:
    """One tier over its provinces, as far as its cells were large enough to be shown."""

    provinces: dict[str, Cell] = field(default_factory=dict)

    @property
    def need(self) -> dict[str, int]:
        return {province: cell.need for province, cell in self.provinces.items() if cell.need}

    @property
    def given(self) -> dict[str, int]:
        return {province: cell.given for province, cell in self.provinces.items() if cell.need}

    @property
    def is_drawn_as_one(self) -> bool:
        """Whether the draw alone decided in the whole tier, whatever the province."""
        unserved = [cell.first_unserved for cell in self.provinces.values() if cell.first_unserved]
        return not unserved or max(cell.last_served for cell in self.provinces.values()) < min(unserved)


def largest_shares(left: int, need: dict[str, int]) -> dict[str, int]:
    """`left` devices in proportion to `need`: the floors, then one each to the largest remainders.

    Ties go to the larger need, then to the smaller code.
    """
    total = sum(need.values())
    share = {province: left * wanted // total for province, wanted in need.items()}
    by_remainder = sorted(need, key=lambda code: (-(left * need[code] % total), -need[code], code.encode()))
    for province in by_remainder[: left - sum(share.values())]:
        share[province] += 1
    return share


def is_fair_to_one(need: dict[str, int], given: dict[str, int]) -> bool:
    """Whether one common share explains every province to within one device (some cells of the tier are merged)."""
    low = max((Fraction(given[code] - 1, need[code]) for code in need), default=Fraction(0))
    high = min((Fraction(given[code] + 1, need[code]) for code in need), default=Fraction(1))
    return low < high


def check_margin(cells: dict[str, Cell]) -> dict:
    """Prove who came first and how the last devices were split. Raises DrawError.

    Under one of the two orders a policy may have, no tier is served while one before it waits; the one tier that was
    served in part is the margin, and its devices are split over the provinces in proportion to the need (largest
    remainders) or by the draw alone. Cells that were merged because they are small stay out: where some are, a
    province's share is proved to within one device.
    """
    tiers: dict[Tier, TierCells] = {}
    for name, cell in cells.items():
        if match := TIER_CELL.fullmatch(name):
            tier = (int(match[1]), int(match[2]), int(match[3]))
            tiers.setdefault(tier, TierCells()).provinces[match[4]] = cell
    merged = any(name.startswith("*") for name in cells)
    waiting = [tier for tier, shown in tiers.items() if sum(shown.need.values()) > sum(shown.given.values())]
    served = [tier for tier, shown in tiers.items() if sum(shown.given.values())]
    orders = []
    for order, key in TIER_ORDERS.items():
        first_waiting = min(([tier[at] for at in key] for tier in waiting), default=None)
        last_served = max(([tier[at] for at in key] for tier in served), default=None)
        if first_waiting is None or last_served is None or last_served <= first_waiting:
            orders.append(order)
    if not orders:
        raise DrawError("draw file: a later tier was served from the free devices while an earlier one waits")
    margin = [tier for tier in waiting if tier in served]
    if not margin:
        return {"orders": orders, "margin": None}
    (tier,) = margin
    need, given = tiers[tier].need, tiers[tier].given
    if given == largest_shares(sum(given.values()), need):
        split = "proportional"
    elif merged and is_fair_to_one(need, given):
        split = "proportional to within one device"
    elif tiers[tier].is_drawn_as_one:
        split = "by the draw alone"
    else:
        raise DrawError(
            f"draw file: the devices of the last tier {'.'.join(map(str, tier))} are split over the provinces neither"
            " in proportion nor by the draw"
        )
    quotas = {province: [need[province], given[province]] for province in sorted(need)}
    return {
        "orders": orders,
        "margin": {"tier": ".".join(map(str, tier)), "split": split, "provinces": quotas},
    }


def check_draw(data: bytes, frozen: dict, seeded: dict, committed: dict) -> dict:
    """Prove a run's file against its entries: counts, seed, order of the draw, quotas at the margin. Raises DrawError.

    Returns {"applicants", "served", "cells": {cell: [applicants, served]}, "ordered_cells", "seed", "orders",
    "margin"}.
    """
    if hashlib.sha256(data).hexdigest() != committed["draw_file"]:
        raise DrawError("draw file: not the file whose hash was committed")
    rows = read_draw_file(data)
    if len(rows) != frozen["applicants"]:
        raise DrawError(f"draw file: {len(rows)} applicants, {frozen['applicants']} were frozen")
    served = sum(row[2] != "no" for row in rows)
    if served != committed["served"] or len(rows) - served != committed["unserved"]:
        raise DrawError(f"draw file: {served} served, the run says {committed['served']}")
    if served > frozen["supply"]:
        raise DrawError(f"draw file: {served} served with {frozen['supply']} devices")
    seed = draw_seed(bytes.fromhex(frozen["root"]), bytes.fromhex(seeded["randomness"]))
    if seed.hex() != seeded["seed"]:
        raise DrawError("the seed doesn't follow from the freeze and the randomness")
    cells: dict[str, Cell] = {}
    for applicant, name, how in rows:
        cells.setdefault(name, Cell()).add(how, lot_number(seed, applicant))
    small = [name for name, cell in cells.items() if cell.size < DRAW_CELL_MINIMUM]
    if small and len(rows) >= DRAW_CELL_MINIMUM:
        raise DrawError(f"draw file: cell {min(small)} has fewer than {DRAW_CELL_MINIMUM} applicants")
    for name, cell in cells.items():
        if not name.startswith("*") and not cell.is_in_order:
            raise DrawError(f"draw file: cell {name} was not served in the order of the draw")
    return {
        "applicants": len(rows),
        "served": served,
        "cells": {name: [cells[name].size, cells[name].served] for name in sorted(cells)},
        "ordered_cells": sum(not name.startswith("*") for name in cells),
        "seed": seed.hex(),
    } | check_margin(cells)

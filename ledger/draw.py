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

from ledger.commitments import draw_seed, lot_number

HEADER = "applicant,cell,served"
SERVED = ("no", "draw", "earmark")
LINE = re.compile(r"([A-Za-z0-9._-]{1,40}),(\*?[A-Za-z0-9._/-]{1,60}),(no|draw|earmark)")
DRAW_CELL_MINIMUM = 10


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


def check_draw(data: bytes, frozen: dict, seeded: dict, committed: dict) -> dict:
    """Prove a run's file against its entries: counts, seed, order of the draw. Raises DrawError.

    Returns counts per cell: {"applicants", "served", "cells": {cell: [applicants, served]}, "ordered_cells"}.
    """
    if hashlib.sha256(data).hexdigest() != committed["draw_file"]:
        raise DrawError("draw file: not the file whose hash was committed")
    rows = read_draw_file(data)
    if len(rows) != frozen["applicants"]:
        raise DrawError(f"draw file: {len(rows)} applicants, {frozen['applicants']} were frozen")
    served = sum(row[2] != "no" for row in rows)
    if served != committed["served"] or len(rows) - served != committed["unserved"]:
        raise DrawError(f"draw file: {served} served, the run says {committed['served']}")
    seed = draw_seed(bytes.fromhex(frozen["root"]), bytes.fromhex(seeded["randomness"]))
    if seed.hex() != seeded["seed"]:
        raise DrawError("the seed doesn't follow from the freeze and the randomness")
    cells: dict[str, list[int]] = {}
    last_served: dict[str, bytes] = {}
    first_unserved: dict[str, bytes] = {}
    for applicant, cell, how in rows:
        count = cells.setdefault(cell, [0, 0])
        count[0] += 1
        count[1] += how != "no"
        if cell.startswith("*") or how == "earmark":
            continue
        lot = lot_number(seed, applicant)
        if how == "draw":
            last_served[cell] = max(last_served.get(cell, lot), lot)
        else:
            first_unserved[cell] = min(first_unserved.get(cell, lot), lot)
    for cell, lot in last_served.items():
        if cell in first_unserved and first_unserved[cell] < lot:
            raise DrawError(f"draw file: cell {cell} was not served in the order of the draw")
    return {
        "applicants": len(rows),
        "served": served,
        "cells": {cell: cells[cell] for cell in sorted(cells)},
        "ordered_cells": sum(not cell.startswith("*") for cell in cells),
        "seed": seed.hex(),
    }

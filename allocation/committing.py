"""From an approved proposal to allocations: checked again, given their public areas, written and told the ledger."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

import numpy as np
from django.db import connection

from allocation.engine import FREE, NOBODY, PASSES, Outcome
from allocation.inputs import Columns, Inputs, steps_of
from allocation.models import AllocationRun
from common.columns import Words, write_columns
from ledger.bulk import record_select
from ledger.bulk_columns import Seen, record_columns
from ledger.disclosure import CELL_MINIMUM, choose_areas

# What changed between the freeze and now, in words for the refusal. Each count looks for what no longer holds, which is
# little, among the lines of the proposal: to look up every line's device and pupil costs a million random reads.
STALE = """
    WITH line AS NOT MATERIALIZED (SELECT device_id, student_id FROM allocation_proposed WHERE run_id = %(run)s),
    live AS NOT MATERIALIZED (SELECT device_id, student_id FROM allocation_allocation WHERE ended_at IS NULL)
    SELECT
        (SELECT count(*) FROM line JOIN donations_device d ON d.id = line.device_id AND d.state <> 'accepted'),
        (SELECT count(*) FROM line JOIN schools_student s ON s.id = line.student_id
            AND (s.state <> 'approved' OR s.has_device)),
        (SELECT count(*) FROM (
            SELECT line.device_id FROM line JOIN live ON live.device_id = line.device_id
            UNION SELECT line.device_id FROM line JOIN live ON live.student_id = line.student_id
        ) AS taken)
"""
SCHOOLS = """
    SELECT s.office_id, s.code, s.commune_id, c.public_code, s.district_id, d.public_code, s.province_id, p.public_code,
        s.enrolment
    FROM schools_school s JOIN schools_administrativeunit c ON c.id = s.commune_id
    LEFT JOIN schools_administrativeunit d ON d.id = s.district_id
    JOIN schools_administrativeunit p ON p.id = s.province_id
    WHERE s.province_id IN (SELECT province_id FROM schools_school WHERE office_id = ANY(%s))
"""
ALLOCATED = """
    SELECT d.code AS device, a.public_area AS area FROM allocation_allocation a
    JOIN donations_device d ON d.id = a.device_id WHERE a.run_id = %s
"""


def stale_rows(run: AllocationRun) -> dict[str, int]:
    """How many lines of the proposal no longer hold: devices not in stock, students not eligible, already served."""
    with connection.cursor() as cursor:
        cursor.execute(STALE, {"run": run.pk})
        return dict(zip(("devices", "students", "taken"), cursor.fetchone(), strict=True))


def public_areas(lines: Columns) -> dict[int, str]:
    """The public destination of each school that the lines of a proposal serve."""
    schools, counts = np.unique(lines["school_id"], return_counts=True)
    recipients = dict(zip(schools.tolist(), counts.tolist(), strict=True))
    with connection.cursor() as cursor:
        # With their neighbours, whose rolls count; other provinces have no say in the areas of these.
        cursor.execute(SCHOOLS, [list(recipients)])
        rows = cursor.fetchall()
    areas = choose_areas([((row[1], *row[3:8:2]), recipients.get(row[0], 0), row[8]) for row in rows])
    return {row[0]: area for row, area in zip(rows, areas, strict=True) if row[0] in recipients}


def area_of(lines: Columns, areas: Mapping[int, str]) -> Words:
    """The public destination of each line, by its school's."""
    schools = np.array(sorted(areas))
    words = [areas[school] for school in schools.tolist()]
    return Words(words, np.searchsorted(schools, lines["school_id"]))


def tier_of(lines: Columns) -> Words:
    """The tier of each line as people read it: locality, group, place in the household."""
    key = (
        (lines["locality"].astype(np.int64) << 32) + (lines["group"].astype(np.int64) << 16) + lines["place"]
    )
    keys, number = np.unique(key, return_inverse=True)
    return Words([f"{key >> 32}.{key >> 16 & 0xFFFF}.{key & 0xFFFF}" for key in keys.tolist()], number)


def write_allocations(
    run: AllocationRun,
    *,
    lines: Columns,
    areas: Words,
    table: str = "allocation_allocation",
    first_id: int | None = None,
) -> int:
    """Add the allocations that the lines of a run's proposal say; returns how many.

    Into a `table` that this transaction has just made they go with ids from `first_id` on, as rows that everyone sees.
    """
    rows = len(lines["device_id"])
    given = {} if first_id is None else {"id": ("i8", np.arange(first_id, first_id + rows))}
    return write_columns(
        table,
        frozen=first_id is not None,
        **given,
        run_id=("i8", run.pk),
        device_id=("i8", lines["device_id"]),
        student_id=("i8", lines["student_id"]),
        tier=tier_of(lines),
        engine_pass=Words(PASSES, lines["via"]),
        public_area=areas,
        end_reason=Words([""], np.zeros(rows, dtype=np.int8)),
    )


def record_allocations(run: AllocationRun, *, on: dt.date) -> int:
    """One ledger entry per allocation of a run, queued without leaving the database."""
    return record_select(
        event="device.allocated",
        on=on,
        columns=["device", "area"],
        constants={"run": run.code},
        select=ALLOCATED,
        params=[run.pk],
    )


def record_national(run: AllocationRun, *, lines: Columns, areas: Words, on: dt.date) -> int:
    """The same for hundreds of thousands: of the devices only what was recorded since the freeze is looked up."""
    assert run.log_size is not None
    steps = steps_of(run, lines["device_id"])
    return record_columns(
        event="device.allocated",
        on=on,
        devices=steps["device_code"],
        steps=steps["step"],
        areas=areas.words,
        area_of=areas.number,
        constants={"run": run.code},
        seen=Seen("accepted", run.log_size),
    )


# --- the public draw file ------------------------------------------------------------------------------

HOW = {NOBODY: "no", FREE: "draw"}  # any other pass is an earmark
TOP = "*VN"


def draw_rows(inputs: Inputs, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """Per applicant: one-time code, cell, how served. A cell is (tier, province) and has at least ten members;
    smaller ones are merged into their province's, then the nation's, so a line says no more than a table of counts."""
    names = inputs.places.province_codes
    cells = [
        f"{locality}.{group}.{place}-{names[province]}"
        for province, locality, group, place in zip(
            inputs.students.province.tolist(),
            outcome.locality.tolist(),
            outcome.group.tolist(),
            outcome.place.tolist(),
            strict=True,
        )
    ]
    shown = merged_cells(Counter(cells))
    for code, cell, served in zip(inputs.students.code, cells, outcome.served.tolist(), strict=True):
        yield code, shown[cell], HOW.get(served, "earmark")


def draw_counts(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[int]]:
    """Per cell of the draw file: [applicants, of them served]."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (cell, how), count in sorted(Counter(map(itemgetter(1, 2), rows)).items()):
        counts[cell][0] += count
        counts[cell][1] += count * (how != HOW[NOBODY])
    return dict(counts)


def merged_cells(counts: Counter[str]) -> dict[str, str]:
    """The name under which each cell is shown: itself, or `*province`, or `*VN`.

    What is too few for a cell stays in its province, with the smallest cell there: left to the nation's, a province's
    applicants less its own cells would say how many it is.
    """
    sizes, into = Counter(counts), dict[str, str]()

    def pool(cells: list[str], name: str) -> None:
        for cell in sorted(cells, key=lambda cell: (sizes[cell], cell)):
            if sizes[cell] < CELL_MINIMUM or 0 < sizes[name] < CELL_MINIMUM:
                into[cell] = name
                sizes[name] += sizes.pop(cell)

    provinces = defaultdict(list)
    for cell in counts:
        provinces["*" + cell.split("-", 1)[1]].append(cell)
    for name, cells in provinces.items():
        pool(cells, name)
    pool(list(sizes), TOP)

    def shown(cell: str) -> str:
        return shown(into[cell]) if cell in into else cell

    return {cell: shown(cell) for cell in counts}

"""From an approved proposal to allocations: checked again, given their public areas, written and told the ledger."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

import numpy as np
from django.db import connection

from allocation.engine import FREE, NOBODY, Outcome
from allocation.inputs import Inputs
from allocation.models import AllocationRun
from common.columns import read_columns
from ledger.bulk import column_test, record_select
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
RECIPIENTS = """
    SELECT school_id, count(*) FROM allocation_proposed WHERE run_id = %s GROUP BY school_id
"""
SCHOOLS = """
    SELECT s.office_id, s.code, s.commune_id, c.public_code, s.district_id, d.public_code, s.province_id, p.public_code,
        s.enrolment
    FROM schools_school s JOIN schools_administrativeunit c ON c.id = s.commune_id
    LEFT JOIN schools_administrativeunit d ON d.id = s.district_id
    JOIN schools_administrativeunit p ON p.id = s.province_id
    WHERE s.province_id IN (SELECT province_id FROM schools_school WHERE office_id = ANY(%s))
"""
# The check is the ledger's own, made once per school instead of once per device.
AREA_TABLE = f"""
    CREATE TEMP TABLE allocation_area (
        school_id bigint PRIMARY KEY, public_area varchar(24) NOT NULL CHECK ({column_test("public_area", "place")})
    ) ON COMMIT DROP
"""
INSERT = """
    INSERT INTO {table} (run_id, device_id, student_id, tier, engine_pass, public_area, end_reason)
    SELECT p.run_id, p.device_id, p.student_id, p.locality || '.' || p."group" || '.' || p.place,
        (ARRAY['school', 'district', 'province', 'free'])[p.via + 1], area.public_area, ''
    FROM allocation_proposed p JOIN allocation_area area ON area.school_id = p.school_id
    WHERE p.run_id = %s
"""
ALLOCATED = """
    SELECT d.code AS device, area.public_area AS area FROM allocation_proposed p
    JOIN allocation_area area ON area.school_id = p.school_id
    JOIN donations_device d ON d.id = p.device_id WHERE p.run_id = %s
"""
ALLOCATED_AS_SEEN = """
    (SELECT o.code, o.step, p.school_id FROM allocation_proposed p
     JOIN allocation_offer o ON o.run_id = p.run_id AND o.device_id = p.device_id WHERE p.run_id = %s) AS rows
"""


def stale_rows(run: AllocationRun) -> dict[str, int]:
    """How many lines of the proposal no longer hold: devices not in stock, students not eligible, already served."""
    with connection.cursor() as cursor:
        cursor.execute(STALE, {"run": run.pk})
        return dict(zip(("devices", "students", "taken"), cursor.fetchone(), strict=True))


def public_areas(run: AllocationRun) -> dict[int, str]:
    """The public destination of each school that a run serves."""
    with connection.cursor() as cursor:
        cursor.execute(RECIPIENTS, [run.pk])
        recipients = dict(cursor.fetchall())
        # With their neighbours, whose rolls count; other provinces have no say in the areas of these.
        cursor.execute(SCHOOLS, [list(recipients)])
        schools = cursor.fetchall()
    areas = choose_areas([((row[1], *row[3:8:2]), recipients.get(row[0], 0), row[8]) for row in schools])
    return {row[0]: area for row, area in zip(schools, areas, strict=True) if row[0] in recipients}


def write_areas(areas: dict[int, str]) -> None:
    """Make the schools' public destinations known to the rest of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.allocation_area")
        cursor.execute(AREA_TABLE)
        with cursor.copy("COPY allocation_area FROM STDIN") as copy:
            for row in areas.items():
                copy.write_row(row)


def insert_live(run: AllocationRun) -> int:
    """Add the allocations of a run to the table as it stands."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT.format(table="allocation_allocation"), [run.pk])
        return cursor.rowcount


def record_allocations(run: AllocationRun, *, on: dt.date) -> int:
    """One ledger entry per allocation, queued without leaving the database. After `write_areas`."""
    return record_select(
        event="device.allocated",
        on=on,
        columns=["device", "area"],
        constants={"run": run.code},
        select=ALLOCATED,
        params=[run.pk],
    )


def record_national(run: AllocationRun, *, areas: Mapping[int, str], on: dt.date) -> int:
    """The same for hundreds of thousands: of the devices only what was recorded since the freeze is looked up."""
    assert run.log_size is not None
    rows = read_columns(ALLOCATED_AS_SEEN, [run.pk], code="S12", step="i4", school_id="i8")
    schools = np.array(sorted(areas))
    return record_columns(
        event="device.allocated",
        on=on,
        devices=rows["code"],
        steps=rows["step"],
        areas=[areas[school] for school in schools.tolist()],
        area_of=np.searchsorted(schools, rows["school_id"]),
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

"""What the engine is given for a run: whole columns, read from the database, and kept beside the rows at the freeze.

The rows that a run is frozen with (`Applicant`, `Offer`) are what pages and auditors read. The engine wants them
all at once, as columns, and reading millions of rows costs more than deciding over them: so the freeze, which reads
them for its root anyway, keeps the columns too (`FrozenColumn`, docs/adr/0030), until the run is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray

from allocation import engine
from allocation.engine import Devices, Students
from allocation.models import AllocationRun, FrozenColumn
from common.columns import read_columns

Columns = dict[str, NDArray[Any]]  # by name, one value per row
APPLICANTS = {
    "student_id": "i8", "code": "S16", "school_id": "i8", "group_number": "i2", "is_priority": "?",
    "household": "i8", "held": "i2", "grade": "i2",
}  # fmt: skip
OFFERS = {"device_id": "i8", "level": "i2", "area": "i8", "position": "i4", "is_laptop": "?"}
FROZEN_APPLICANTS = """
    (SELECT student_id, code, school_id, "group" AS group_number, is_priority, household, held, grade
     FROM allocation_applicant WHERE run_id = %s) AS rows
"""
# What the commit wants of each device offered: as the ledger has it (`Offer`).
STEPS = {"offered_id": "i8", "device_code": "S12", "step": "i4"}
FROZEN_STEPS = """
    (SELECT device_id AS offered_id, code AS device_code, step FROM allocation_offer WHERE run_id = %s ORDER BY 1) AS rows
"""
# A line of the proposal, in the order of the devices (`Proposed`).
LINES = {
    "device_id": "i8", "student_id": "i8", "school_id": "i8", "locality": "i2", "group": "i2", "place": "i2", "via": "i2",
}  # fmt: skip
PROPOSED_LINES = """
    (SELECT device_id, student_id, school_id, locality, "group", place, via FROM allocation_proposed
     WHERE run_id = %s ORDER BY device_id) AS rows
"""
LINE = "line."  # before the name of a kept column of a line: applicants and offers have some of the same
FROZEN_OFFERS = """
    (SELECT device_id, level, area, position, is_laptop FROM allocation_offer WHERE run_id = %s) AS rows
"""


@dataclass(frozen=True)
class Places:
    """Numbers of schools and their areas in the byte order of their codes, as the engine wants them."""

    school_ids: np.ndarray  # ascending
    school: np.ndarray  # number of each school, parallel to school_ids
    district: np.ndarray
    province: np.ndarray
    province_ids: list[int]  # by number
    province_codes: list[str]
    area_numbers: dict[int, dict[int, int]]  # level → id of the area → its number

    @classmethod
    def read(cls, province_id: int | None) -> Places:
        """Those of one province, or all."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT s.office_id, s.code, s.district_id, d.public_code, s.province_id, p.public_code "
                "FROM schools_school s JOIN schools_administrativeunit p ON p.id = s.province_id "
                "LEFT JOIN schools_administrativeunit d ON d.id = s.district_id "
                "WHERE %(province)s::bigint IS NULL OR s.province_id = %(province)s ORDER BY s.office_id",
                {"province": province_id},
            )
            rows = cursor.fetchall()
        ids, codes, districts, district_codes, provinces, province_codes = (
            [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(6)]
        )

        def numbers(keys: Sequence[int | None], names: Sequence[str | None]) -> dict[int, int]:
            by_code = sorted({(name, key) for key, name in zip(keys, names, strict=True) if key is not None})
            return {key: number for number, (_, key) in enumerate(by_code)}

        school, district, province = (
            numbers(ids, codes),
            numbers(districts, district_codes),
            numbers(provinces, province_codes),
        )
        name_of = dict(zip(provinces, province_codes, strict=True))
        return cls(
            school_ids=np.array(ids, dtype=np.int64),
            school=np.array([school[key] for key in ids], dtype=np.int32),
            district=np.array([district.get(key, engine.NOBODY) for key in districts], dtype=np.int32),
            province=np.array([province[key] for key in provinces], dtype=np.int32),
            province_ids=list(province),
            province_codes=[name_of[key] for key in province],
            area_numbers={engine.SCHOOL: school, engine.DISTRICT: district, engine.PROVINCE: province},
        )

    def columns(self, school_id: np.ndarray) -> dict[str, np.ndarray]:
        at = np.searchsorted(self.school_ids, school_id)
        return {"school": self.school[at], "district": self.district[at], "province": self.province[at]}


@dataclass(frozen=True)
class Inputs:
    """What the engine is given for a run, with the keys of its rows."""

    students: Students
    student_ids: np.ndarray
    school_ids: np.ndarray
    devices: Devices
    device_ids: np.ndarray
    area_ids: np.ndarray  # School or AdministrativeUnit that each device is earmarked to, -1 if free
    places: Places


def inputs_of(*, applicants: Columns, offers: Columns, province_id: int | None) -> Inputs:
    """The engine's inputs from the columns `APPLICANTS` and `OFFERS` of a run over a province, or the nation."""
    places = Places.read(province_id)
    students = Students(
        code=texts(applicants["code"]),
        **places.columns(applicants["school_id"]),
        group=applicants["group_number"].astype(np.int8),
        priority_locality=applicants["is_priority"],
        household=applicants["household"],
        household_devices=applicants["held"],
        grade=applicants["grade"],
    )
    area = np.full(len(offers["area"]), engine.NOBODY, dtype=np.int32)
    for level, numbers in places.area_numbers.items():
        of_level = np.flatnonzero(offers["level"] == level)
        area[of_level] = [numbers.get(key, engine.NOBODY) for key in offers["area"][of_level].tolist()]
    return Inputs(
        students=students,
        student_ids=applicants["student_id"],
        school_ids=applicants["school_id"],
        devices=Devices(
            level=offers["level"],
            area=area,
            order=offers["position"].astype(np.int64),
            is_laptop=offers["is_laptop"],
        ),
        device_ids=offers["device_id"],
        area_ids=offers["area"],
        places=places,
    )


def texts(codes: np.ndarray) -> list[str]:
    """ASCII codes of one length as strings, cut from a single one: twice as fast as numpy's own."""
    size, text = codes.dtype.itemsize, codes.tobytes().decode()
    return [text[begin : begin + size] for begin in range(0, len(text), size)]


def frozen_rows(run: AllocationRun) -> tuple[Columns, Columns]:
    """The columns of the applicants and offers that a run was frozen with, from their rows."""
    applicants = read_columns(FROZEN_APPLICANTS, [run.pk], **APPLICANTS)
    return applicants, read_columns(FROZEN_OFFERS, [run.pk], **OFFERS)


def keep_columns(run: AllocationRun, columns: Columns, kinds: Mapping[str, str], prefix: str = "") -> None:
    """Keep columns of a run as they are in memory, under their names after `prefix`."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:  # binds on the server: a value goes as it is
        for name, kind in kinds.items():
            data = np.ascontiguousarray(
                columns[name].astype(np.dtype(kind).newbyteorder("<"), copy=False)
            ).data
            cursor.execute(
                "INSERT INTO allocation_frozencolumn (run_id, name, data) VALUES (%s, %s, %b)",
                [run.pk, prefix + name, data.cast("B")],
            )


def forget_columns(run: AllocationRun) -> None:
    """The run is over: its rows remain, and whoever looks again reads them."""
    FrozenColumn.objects.filter(run=run).delete()


def kept_columns(run: AllocationRun, kinds: Mapping[str, str], prefix: str = "") -> Columns | None:
    """What `keep_columns` kept; None if it is not there."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection, row_factory=psycopg.rows.tuple_row) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        cursor.execute(
            "SELECT name, data FROM allocation_frozencolumn WHERE run_id = %s AND name = ANY(%s)",
            [run.pk, [prefix + name for name in kinds]],
        )
        kept = dict(cursor.fetchall())
    if len(kept) < len(kinds):
        return None
    return {
        name: np.frombuffer(kept[prefix + name], dtype=np.dtype(kind).newbyteorder("<")).astype(
            kind, copy=False
        )
        for name, kind in kinds.items()
    }


def keep_frozen(run: AllocationRun, applicants: Columns, offers: Columns) -> None:
    """Keep the columns of what a run was frozen with, and where each device stands in the ledger."""
    keep_columns(run, applicants, APPLICANTS)
    keep_columns(run, offers, OFFERS)
    keep_columns(run, read_columns(FROZEN_STEPS, [run.pk], **STEPS), STEPS)


def frozen_inputs(run: AllocationRun) -> Inputs:
    """What a run was frozen with: its kept columns, or its rows once it is over."""
    applicants, offers = kept_columns(run, APPLICANTS), kept_columns(run, OFFERS)
    if applicants is None or offers is None:
        applicants, offers = frozen_rows(run)
    return inputs_of(applicants=applicants, offers=offers, province_id=run.province_id)


def proposed_lines(run: AllocationRun) -> Columns:
    """The lines of a run's proposal, `LINES`, in the order of the devices: kept, or from their rows."""
    kept = kept_columns(run, LINES, LINE)
    return read_columns(PROPOSED_LINES, [run.pk], **LINES) if kept is None else kept


def steps_of(run: AllocationRun, device_ids: NDArray[np.int64]) -> Columns:
    """The codes of those devices, which a run was offered, and their steps in the ledger at the freeze: `STEPS`.
    Raises ValueError if one was not offered."""
    steps = kept_columns(run, STEPS)
    if steps is None:
        steps = read_columns(FROZEN_STEPS, [run.pk], **STEPS)
    at = np.searchsorted(steps["offered_id"], device_ids)
    found = {name: values[np.minimum(at, len(values) - 1)] for name, values in steps.items()}
    if not np.array_equal(found["offered_id"], device_ids):
        raise ValueError(f"run {run.code}: a proposed device was never offered")
    return found

"""The inputs of a run as SQL: who is eligible and what is in stock on a day, and their fixing at the freeze."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import connection

from allocation import engine, rules
from allocation.engine import FREE, GROUPS
from allocation.inputs import APPLICANTS, OFFERS, Inputs, inputs_of
from common.columns import read_columns
from ledger.bulk import with_steps

ENGINE = Path(engine.__file__)
MANY_ROWS = 100_000

# Of each unit the period in force on the day; a record that it is no longer in force lifts a smaller place.
IN_FORCE = """
    in_force AS (
        SELECT DISTINCT ON (unit_id) unit_id, is_in_force AND is_teaching_online AS is_first
        FROM schools_directiveperiod WHERE starts_on <= %(day)s AND (ends_on IS NULL OR ends_on >= %(day)s)
        ORDER BY unit_id, starts_on DESC, id DESC
    ),
    place AS (
        SELECT s.office_id, coalesce(c.is_first, d.is_first, p.is_first, false) AS is_first,
            CASE WHEN s.level IN ('college', 'university') THEN 13 ELSE 0 END AS grade
        FROM schools_school s
        LEFT JOIN in_force c ON c.unit_id = s.commune_id
        LEFT JOIN in_force d ON d.unit_id = s.district_id
        LEFT JOIN in_force p ON p.unit_id = s.province_id
        WHERE %(province)s::bigint IS NULL OR s.province_id = %(province)s
    )
"""
# Plan I.1a: approved, in a group, without a live device and not recorded as having one. What a household holds
# counts all its members, also those who are no longer eligible.
ELIGIBLE = f"""
    WITH {IN_FORCE},
    able AS (
        SELECT s.id, s.school_id, s."group", s.household_key, place.is_first, coalesce(s.grade, place.grade) AS grade
        FROM schools_student s JOIN place ON place.office_id = s.school_id
        WHERE s.state = 'approved' AND NOT s.has_device AND s."group" = ANY(%(groups)s)
          AND NOT EXISTS (SELECT 1 FROM allocation_allocation a WHERE a.student_id = s.id AND a.ended_at IS NULL)
    )
    SELECT able.id, able.school_id, array_position(%(all_groups)s, able."group"::text) - 1 AS "group",
        able.is_first,
        CASE WHEN able.household_key = '' THEN -1
             ELSE min(able.id) OVER (PARTITION BY able.household_key) END AS household,
        coalesce(held.devices, 0) AS held, able.grade
    FROM able LEFT JOIN {{held}}
"""
# A province's households are looked up one by one, but for who asks, who has none; the nation's cost less counted at once.
HELD_BY_ONE = """
    LATERAL (
        SELECT count(*) AS devices FROM schools_student s
        JOIN allocation_allocation a ON a.student_id = s.id AND a.ended_at IS NULL
        WHERE s.household_key = able.household_key AND s.household_key <> '' AND s.id <> able.id
    ) AS held ON true
"""
HELD_BY_ALL = """
    (
        SELECT s.household_key, count(*) AS devices FROM schools_student s
        JOIN allocation_allocation a ON a.student_id = s.id AND a.ended_at IS NULL
        WHERE s.household_key <> '' GROUP BY s.household_key
    ) AS held ON held.household_key = able.household_key
"""
# Asked of each device in stock, whose it is would cost a pass over the nation's for a province's few.
OF_PROVINCE = """
    d.earmark_unit_id = ANY(ARRAY(SELECT id FROM schools_administrativeunit WHERE province_id = %(province)s))
    OR d.earmark_school_id = ANY(ARRAY(SELECT office_id FROM schools_school WHERE province_id = %(province)s))
"""
IN_STOCK = """
    SELECT d.id, d.code AS device,
        CASE WHEN d.earmark_school_id IS NOT NULL THEN 0 WHEN u.level = 'district' THEN 1
             WHEN u.level = 'province' THEN 2 ELSE 3 END AS level,
        coalesce(d.earmark_school_id, d.earmark_unit_id, -1) AS area,
        row_number() OVER (ORDER BY l.code COLLATE "C", d.code COLLATE "C") AS position,
        l.device_kind = 'laptop' AS is_laptop
    FROM donations_device d JOIN donations_lot l ON l.id = d.lot_id
    LEFT JOIN schools_administrativeunit u ON u.id = d.earmark_unit_id
    WHERE d.state = 'accepted' AND ({whose})
      AND NOT EXISTS (SELECT 1 FROM allocation_allocation a WHERE a.device_id = d.id AND a.ended_at IS NULL)
"""
# A device promised to a place that no longer exists, or that no pass serves, must be looked at by a person first.
LOST_EARMARK = """
    SELECT d.code, coalesce(u.full_name, o.name) AS place, coalesce(u.successor_id, o.successor_id) IS NOT NULL
    FROM donations_device d
    LEFT JOIN schools_administrativeunit u ON u.id = d.earmark_unit_id
    LEFT JOIN schools_office o ON o.id = d.earmark_school_id
    WHERE d.state = 'accepted' AND (
        d.earmark_unit_id = ANY(ARRAY(
            SELECT id FROM schools_administrativeunit WHERE (valid_to <= %(day)s OR level = 'commune')
                AND (%(province)s::bigint IS NULL OR province_id = %(province)s)))
        OR d.earmark_school_id = ANY(ARRAY(
            SELECT id FROM schools_office JOIN schools_school s ON s.office_id = id WHERE valid_to <= %(day)s
                AND (%(province)s::bigint IS NULL OR s.province_id = %(province)s))))
      AND NOT EXISTS (SELECT 1 FROM allocation_allocation a WHERE a.device_id = d.id AND a.ended_at IS NULL)
    ORDER BY d.code LIMIT 6
"""
FREEZE_STUDENTS = """
    INSERT INTO allocation_applicant (run_id, student_id, code, school_id, "group", is_priority, household, held, grade)
    SELECT %(run)s, e.id, substr(encode(sha256(%(secret)s::bytea || int8send(e.id)), 'hex'), 1, 16), e.school_id,
        e."group", e.is_first, e.household, e.held, e.grade
    FROM ({eligible}) AS e
"""
# Whether an earlier run was frozen with exactly the students who are eligible now, each as it is now.
SAME_STUDENTS = """
    SELECT count(*) = count(was.student_id) AND count(*) = %(applicants)s FROM ({eligible}) AS e
    LEFT JOIN allocation_applicant was ON was.run_id = %(earlier)s AND was.student_id = e.id
        AND (was.school_id, was."group", was.is_priority, was.household, was.held)
            = (e.school_id, e."group", e.is_first, e.household, e.held)
"""
FREEZE_SAME_STUDENTS = """
    INSERT INTO allocation_applicant (run_id, student_id, code, school_id, "group", is_priority, household, held, grade)
    SELECT %(run)s, e.id, was.code, e.school_id, e."group", e.is_first, e.household, e.held, e.grade
    FROM ({eligible}) AS e JOIN allocation_applicant was ON was.run_id = %(earlier)s AND was.student_id = e.id
"""
STOCK_TABLE = "CREATE TEMP TABLE allocation_stock ON COMMIT DROP AS {stock}"
# With where each device stands in the ledger, so that the commit looks only at what was recorded since.
FREEZE_DEVICES = """
    INSERT INTO allocation_offer (run_id, device_id, code, level, area, position, step, is_laptop)
    SELECT %(run)s, id, device, level, area, position, step, is_laptop FROM ({stock}) AS stock ORDER BY position
"""
OFFERED_STOCK = f"""
    SELECT * FROM allocation_stock WHERE level <> {FREE} OR position NOT IN (
        SELECT position FROM allocation_stock WHERE level = {FREE} ORDER BY position DESC LIMIT %(reserve)s
    )
"""
# What the ledger does not hold as in stock.
NOT_IN_STOCK = """
    SELECT code AS device FROM allocation_offer WHERE run_id = %s AND step IS NULL ORDER BY code
"""


def current_inputs(*, day: dt.date, province_id: int | None, rules: Mapping[str, Any]) -> Inputs:
    """What a run by the policy `rules` frozen on `day` would get; nothing is fixed, the codes serve for this once."""
    params = parameters(day=day, province_id=province_id, groups=rules["groups"])
    applicants = read_columns(
        "(SELECT id AS student_id, lpad(to_hex(id), 16, '0') AS code, school_id, \"group\" AS group_number, "
        f"is_first AS is_priority, household, held, grade FROM ({eligible(province_id)}) AS e) AS rows",
        params,
        **APPLICANTS,
    )
    offers = read_columns(
        f"(SELECT id AS device_id, level, area, position, is_laptop FROM ({in_stock(province_id)}) AS s) AS rows",
        params,
        **OFFERS,
    )
    return inputs_of(applicants=applicants, offers=offers, province_id=province_id)


def eligible(province_id: int | None) -> str:
    """The SELECT of who is eligible; its parameters are `parameters`."""
    return ELIGIBLE.format(held=HELD_BY_ONE if province_id else HELD_BY_ALL)


def in_stock(province_id: int | None) -> str:
    """The SELECT of the devices that a run may give; its parameter is `province`."""
    return IN_STOCK.format(whose=OF_PROVINCE if province_id else "true")


def parameters(*, day: dt.date, province_id: int | None, groups: Sequence[str]) -> dict:
    return {"day": day, "province": province_id, "groups": list(groups), "all_groups": list(GROUPS)}


def lost_earmarks(*, day: dt.date, province_id: int | None) -> list[tuple[str, str, bool]]:
    """Devices in stock whose earmark no run can serve: (code, place, whether the place has a successor)."""
    with connection.cursor() as cursor:
        cursor.execute(LOST_EARMARK, {"day": day, "province": province_id})
        return cursor.fetchall()


def count_free_stock(*, province_id: int | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM ({in_stock(province_id)}) AS s WHERE level = {FREE}",
            {"province": province_id},
        )
        return cursor.fetchone()[0]


def count_inputs(*, day: dt.date, province_id: int | None, groups: Sequence[str]) -> tuple[int, int]:
    """How many students and devices a freeze on `day` would find, the reserve included."""
    params = parameters(day=day, province_id=province_id, groups=groups)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT count(*) FROM ({eligible(province_id)}) AS e), "
            f"(SELECT count(*) FROM ({in_stock(province_id)}) AS s)",
            params,
        )
        return cursor.fetchone()


def has_same_students(
    *, earlier_id: int, applicants: int, day: dt.date, province_id: int | None, groups: Sequence[str]
) -> bool:
    """Whether exactly the `applicants` of an earlier run are eligible on `day`, unchanged."""
    params = parameters(day=day, province_id=province_id, groups=groups)
    with connection.cursor() as cursor:
        cursor.execute(
            SAME_STUDENTS.format(eligible=eligible(province_id)),
            params | {"earlier": earlier_id, "applicants": applicants},
        )
        return cursor.fetchone()[0]


def freeze_rows(
    *,
    run_id: int,
    day: dt.date,
    province_id: int | None,
    groups: Sequence[str],
    reserve: int,
    codes_of: int | None = None,
) -> tuple[int, int]:
    """Fix the inputs of a run; returns how many students and devices. Every student gets a fresh one-time code, or
    keeps that of the earlier run `codes_of` with the same students."""
    # A one-time code is 64 bits of a hash over 256 secret ones that nobody keeps: as random as any, and no system call each.
    secret = secrets.token_bytes(32)
    params = parameters(day=day, province_id=province_id, groups=groups)
    params |= {"run": run_id, "reserve": reserve, "secret": secret, "earlier": codes_of}
    with connection.cursor() as cursor:
        insert = FREEZE_SAME_STUDENTS if codes_of else FREEZE_STUDENTS
        cursor.execute(insert.format(eligible=eligible(province_id)), params)
        students = cursor.rowcount
        cursor.execute("DROP TABLE IF EXISTS pg_temp.allocation_stock")
        cursor.execute(STOCK_TABLE.format(stock=in_stock(province_id)), params)
        stock = with_steps(event="device.allocated", select=OFFERED_STOCK, expected=cursor.rowcount)
        cursor.execute(FREEZE_DEVICES.format(stock=stock), params)
        return students, cursor.rowcount


def analyze(*tables: str, rows: int) -> None:
    """Tell the planner at once of what was just written, if it is much."""
    if rows < MANY_ROWS:
        return
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ANALYZE {table}")


def frozen_root(inputs: Inputs) -> str:
    """The Merkle root over a run's applicants, in the order of their codes. Raises ValueError if two codes are equal."""
    students, names = inputs.students, inputs.places.province_codes
    if len(set(students.code)) != len(students.code):
        raise ValueError("two applicants drew the same code")
    order = engine.byte_order(students.code)
    return rules.merkle_root(
        rules.applicant_leaf(code, names[province], 1 if first else 2, GROUPS[group])
        for code, province, first, group in zip(
            map(students.code.__getitem__, order.tolist()),
            students.province[order].tolist(),
            students.priority_locality[order].tolist(),
            students.group[order].tolist(),
            strict=True,
        )
    ).hex()


def engine_digest() -> str:
    """SHA-256 of the engine's source, so that a run names the code that decided."""
    return engine.sha256(ENGINE.read_bytes()).hexdigest()

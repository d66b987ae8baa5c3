"""The rows of a list against all students of the nation: set-based, a handful of statements whatever the size.

A row finds its own student (same number or code, or same name, birth date and school) and becomes new,
changed or unchanged. A row that finds somebody else's student becomes a duplicate, and a person decides.
"""

import json
from typing import Any

from django.db import connection

from schools.models import StudentList

# Findings that come from here; they are taken off before every new comparison.
CODES = (
    "same_identity_in_system",
    "same_code_in_system",
    "likely_in_system",
    "same_student_twice",
)

_RESET = """
UPDATE schools_listrow r SET
    student_id = NULL, effect = 0,
    findings = nullif(coalesce((
        SELECT jsonb_agg(f ORDER BY n) FROM jsonb_array_elements(r.findings) WITH ORDINALITY AS x(f, n)
        WHERE f->>2 <> ALL(%(codes)s)), '[]'::jsonb), '[]'::jsonb),
    outcome = coalesce((
        SELECT max(CASE f->>1 WHEN 'error' THEN 4 WHEN 'duplicate' THEN 3 WHEN 'warning' THEN 2 ELSE 1 END)
        FROM jsonb_array_elements(r.findings) f WHERE f->>2 <> ALL(%(codes)s)), 0)
WHERE r.student_list_id = %(list)s AND (%(rows)s::bigint[] IS NULL OR r.id = ANY(%(rows)s))
    AND (r.student_id IS NOT NULL OR EXISTS (
    SELECT FROM jsonb_array_elements(r.findings) f WHERE f->>2 = ANY(%(codes)s)))
"""
_SOME_ROWS = "r.student_list_id = %(list)s AND (%(rows)s::bigint[] IS NULL OR r.id = ANY(%(rows)s))"
# rank: the surer the match, the smaller. A name alone never joins two different numbers or codes.
_PAIRS = f"""
CREATE TEMP TABLE list_pairs ON COMMIT DROP AS
    SELECT r.id AS row_id, r.school_code, s.*
    FROM schools_listrow r CROSS JOIN LATERAL (
        SELECT s.id AS student_id, s.school_id, 1 AS rank, s.search_key = r.search_key OR s.born_on = r.born_on AS is_like
        FROM schools_student s WHERE s.identity_index = r.identity_index OFFSET 0) s
    WHERE {_SOME_ROWS} AND r.outcome < 3 AND r.identity_index IS NOT NULL
    UNION ALL
    SELECT r.id, r.school_code, s.*
    FROM schools_listrow r CROSS JOIN LATERAL (
        SELECT s.id, s.school_id, 2, s.search_key = r.search_key OR s.born_on = r.born_on
        FROM schools_student s WHERE s.code = r.student_code AND s.code <> '' OFFSET 0) s
    WHERE {_SOME_ROWS} AND r.outcome < 3 AND r.student_code <> ''
    UNION ALL
    SELECT r.id, r.school_code, s.id, s.school_id, 3, true
    FROM schools_listrow r CROSS JOIN LATERAL (
        SELECT s.id, s.school_id FROM schools_student s
        WHERE s.search_key = r.search_key AND s.born_on = r.born_on
          AND NOT (s.identity_index IS NOT NULL AND r.identity_index IS NOT NULL
                   AND s.identity_index <> r.identity_index)
          AND NOT (s.code <> '' AND r.student_code <> '' AND s.code <> r.student_code) OFFSET 0) s
    WHERE {_SOME_ROWS} AND r.outcome < 3
      AND (SELECT theirs.province_id FROM schools_school theirs WHERE theirs.office_id = s.school_id)
        = (SELECT ours.province_id FROM schools_school ours WHERE ours.code = r.school_code)
"""
_FOUND = """
CREATE TEMP TABLE list_found ON COMMIT DROP AS
SELECT found.row_id, found.student_id, min(found.rank) AS rank,
    bool_or(o.path LIKE %(path)s || '%%') AS is_ours,
    bool_or(sc.code = found.school_code) AS is_same_school,
    bool_or(found.is_like) AS is_like
FROM list_pairs found
JOIN schools_office o ON o.id = found.school_id
JOIN schools_school sc ON sc.office_id = found.school_id
GROUP BY found.row_id, found.student_id
"""
# One student per row: the surest; the rest is for a person, unless it is only a likeness of another name-sake.
_BEST = """
CREATE TEMP TABLE list_best ON COMMIT DROP AS
SELECT DISTINCT ON (f.row_id) f.*, count(*) FILTER (WHERE f.rank < 3) OVER (PARTITION BY f.row_id) AS exact_count,
    row_number() OVER (PARTITION BY f.student_id ORDER BY r.number) AS turn, r.number,
    d.decision
FROM list_found f
JOIN schools_listrow r ON r.id = f.row_id
LEFT JOIN schools_duplicatecase d ON d.row_id = f.row_id AND d.student_id = f.student_id
WHERE d.decision IS DISTINCT FROM 'different'
ORDER BY f.row_id, f.rank, f.is_same_school DESC, f.is_ours DESC, f.student_id
"""
_IS_OWN = """(b.exact_count < 2 AND b.turn = 1 AND b.is_like AND b.is_ours AND (b.rank < 3 OR b.is_same_school)
    OR coalesce(b.decision, '') = 'move')"""
_MATCH = f"""
UPDATE schools_listrow r SET student_id = s.id, effect = CASE WHEN
    s.school_id = sc.office_id AND s.full_name = r.full_name AND s.born_on = r.born_on AND s."group" = r."group"
    AND s.class_name = coalesce(nullif(r.class_name, ''), s.class_name)
    AND s.code = coalesce(nullif(r.student_code, ''), s.code)
    AND s.sex = coalesce(nullif(r.sex, ''), s.sex)
    AND s.household_key = coalesce(nullif(r.household_key, ''), s.household_key)
    AND s.has_device = (r.has_device OR s.has_device)
    AND s.identity_index IS NOT DISTINCT FROM coalesce(r.identity_index, s.identity_index)
    AND s.state IN ('listed', 'approved') -- who had left and is listed again comes back
    THEN 2 ELSE 1 END
FROM list_best b
JOIN schools_student s ON s.id = b.student_id, schools_school sc
WHERE r.id = b.row_id AND sc.code = r.school_code AND {_IS_OWN}
"""
_FLAG = f"""
UPDATE schools_listrow r SET
    outcome = greatest(r.outcome, 3),
    student_id = b.student_id,
    findings = coalesce(r.findings, '[]'::jsonb) || jsonb_build_array(jsonb_build_array(
        CASE b.rank WHEN 1 THEN 'identity' WHEN 2 THEN 'student_code' ELSE 'full_name' END, 'duplicate',
        CASE WHEN b.turn > 1 AND b.is_ours THEN 'same_student_twice' WHEN b.rank = 1 THEN 'same_identity_in_system'
             WHEN b.rank = 2 THEN 'same_code_in_system' ELSE 'likely_in_system' END, '',
        CASE b.rank WHEN 1 THEN 'Số định danh này đã có ở ' WHEN 2 THEN 'Mã học sinh này đã có ở '
             ELSE 'Cùng họ tên, ngày sinh với một em đã có ở ' END
        || CASE WHEN b.is_ours THEN o.name ELSE 'một trường thuộc ' || p.full_name || ', ngoài đơn vị của thầy/cô' END
        || ': mở mục Nghi trùng để xem và quyết định.'))
FROM list_best b
JOIN schools_student s ON s.id = b.student_id
JOIN schools_office o ON o.id = s.school_id
JOIN schools_school sc ON sc.office_id = s.school_id
JOIN schools_administrativeunit p ON p.id = sc.province_id
WHERE r.id = b.row_id AND NOT {_IS_OWN}
"""
_CASES = f"""
INSERT INTO schools_duplicatecase (row_id, student_id, reason, is_disputed, decision, note)
SELECT b.row_id, b.student_id, CASE b.rank WHEN 1 THEN 'identity' WHEN 2 THEN 'code' ELSE 'likely' END,
    NOT b.is_ours, '', ''
FROM list_best b WHERE NOT {_IS_OWN}
ON CONFLICT (row_id, student_id) DO NOTHING
"""
_STALE = """
DELETE FROM schools_duplicatecase d USING schools_listrow r
WHERE d.row_id = r.id AND r.student_list_id = %(list)s AND d.decision = '' AND r.outcome <> 3
"""


def match_rows(
    student_list: StudentList, rows: list[int] | None = None, *, is_first_time: bool = False
) -> None:
    """Compare the list's good rows with every student; call inside a transaction, as often as needed.

    Args:
        is_first_time: whether the rows have just been copied in, so that there is nothing to take back.
        rows: ids of the only rows to compare, for a mended cell; rows that have the same students join them.
    """
    values: dict[str, Any] = {
        "list": student_list.pk, "path": student_list.office.path, "codes": list(CODES), "rows": rows,
    }  # fmt: skip
    with connection.cursor() as cursor:
        if not is_first_time:
            cursor.execute(_RESET, values)
        _pair(cursor, values)
        if rows is not None:
            cursor.execute(
                "SELECT r.id FROM schools_listrow r WHERE r.student_list_id = %(list)s AND r.id <> ALL(%(rows)s)"
                " AND r.student_id IN (SELECT student_id FROM list_pairs)",
                values,
            )
            if joining := [pk for (pk,) in cursor.fetchall()]:
                values = values | {"rows": [*rows, *joining]}
                cursor.execute(_RESET, values)
                _pair(cursor, values)
        cursor.execute("SELECT EXISTS (SELECT FROM list_pairs)")
        if cursor.fetchone()[0]:
            cursor.execute("ANALYZE list_pairs")
            cursor.execute(_FOUND, values)
            cursor.execute("ANALYZE list_found")
            cursor.execute(_BEST)
            cursor.execute(_MATCH)
            cursor.execute(_FLAG)
            cursor.execute(_CASES)
        cursor.execute(_STALE, values)


def _pair(cursor, values: dict[str, Any]) -> None:
    cursor.execute("DROP TABLE IF EXISTS list_pairs, list_found, list_best")
    # Rows just copied have no statistics. The laterals are one look-up by index for each row, whatever
    # the planner believes: so the cost follows the list, not the nation.
    cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL jit = off")
    cursor.execute(_PAIRS, values)
    cursor.execute("SET LOCAL enable_seqscan = on")


def counts(student_list: StudentList) -> dict:
    """Outcomes, effects and what is not ready, counted from the rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT outcome, effect, {COMMITTABLE} AS ready, count(*) FROM schools_listrow r
            WHERE student_list_id = %(list)s GROUP BY 1, 2, 3""",
            committable_values(student_list),
        )
        rows = cursor.fetchall()
    outcomes = dict.fromkeys(range(5), 0)
    effects = dict.fromkeys(range(3), 0)
    ready = 0
    for outcome, effect, is_ready, count in rows:
        outcomes[outcome] += count
        if is_ready:
            effects[effect] += count
            ready += count
    total = sum(outcomes.values())
    return {
        "total": total,
        "outcomes": outcomes,
        "effects": effects,
        "ready": ready,
        "left_out": total - ready,
    }


# Which rows a commit takes: fine, corrected, warnings that the office stands by, duplicates that a person decided.
# Who told two rows apart stands by that already.
COMMITTABLE = """(r.outcome < 2
    OR r.outcome = 2 AND NOT EXISTS (SELECT FROM jsonb_array_elements(r.findings) f
        WHERE f->>1 = 'warning' AND f->>2 <> 'told_apart' AND NOT (%(acknowledged)s::jsonb ? (f->>2))))"""


def committable_values(student_list: StudentList) -> dict:
    return {"list": student_list.pk, "acknowledged": json.dumps(student_list.acknowledged)}

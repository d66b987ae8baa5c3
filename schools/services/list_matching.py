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
# One student per row: what a person decided, else the surest; who was told apart is none any more, unless a number
# or code has come to say otherwise. Each student goes to one row.
_BEST = """
CREATE TEMP TABLE list_best ON COMMIT DROP AS
SELECT chosen.*, row_number() OVER (PARTITION BY chosen.student_id
    ORDER BY chosen.decision = 'move' DESC, chosen.decision = 'keep', chosen.number) AS turn
FROM (
    SELECT DISTINCT ON (f.row_id) f.*, r.number, coalesce(d.decision, '') AS decision,
        count(*) FILTER (WHERE f.rank < 3) OVER w AS exact_count,
        -- Whom the name alone can't tell apart, those included that a person has told apart: who decides does it for all.
        count(*) FILTER (WHERE f.is_ours AND f.is_same_school) OVER w AS namesake_count,
        count(*) FILTER (WHERE d.decision IS NULL OR d.decision = '') OVER w AS open_count
    FROM list_found f
    JOIN schools_listrow r ON r.id = f.row_id
    LEFT JOIN schools_duplicatecase d ON d.row_id = f.row_id AND d.student_id = f.student_id
    WINDOW w AS (PARTITION BY f.row_id)
    ORDER BY f.row_id, coalesce(d.decision, '') IN ('keep', 'move') DESC,
        coalesce(d.decision, '') = 'different' AND f.rank = 3,
        f.rank, f.is_same_school DESC, f.is_ours DESC, f.student_id
) chosen
WHERE NOT (chosen.decision = 'different' AND chosen.rank = 3)
"""
_IS_OWN = """(b.exact_count < 2 AND b.turn = 1 AND b.is_like AND b.is_ours AND b.decision <> 'keep'
        AND (b.rank < 3 OR b.is_same_school AND b.namesake_count = 1)
    OR b.decision = 'move' AND b.turn = 1)"""
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
        || CASE WHEN b.decision = 'keep'
                 THEN ': đã quyết định là một em và giữ bản ghi đã có, hàng này không ghi.'
             WHEN b.decision = 'move' THEN ': một hàng ở trên đã được quyết định là em này, hàng này không ghi.'
             ELSE CASE WHEN b.open_count > 1 THEN ' và ' || b.open_count - 1 || ' em khác' ELSE '' END
                 || ': mở mục Nghi trùng để xem và quyết định.' END))
FROM list_best b
JOIN schools_student s ON s.id = b.student_id
JOIN schools_office o ON o.id = s.school_id
JOIN schools_school sc ON sc.office_id = s.school_id
JOIN schools_administrativeunit p ON p.id = sc.province_id
WHERE r.id = b.row_id AND NOT {_IS_OWN}
"""
# A number or code that came later is another question than the likeness that a person decided.
_CASES = f"""
INSERT INTO schools_duplicatecase AS d (row_id, student_id, reason, is_disputed, decision, note)
SELECT b.row_id, b.student_id, CASE b.rank WHEN 1 THEN 'identity' WHEN 2 THEN 'code' ELSE 'likely' END,
    NOT b.is_ours, '', ''
FROM list_best b WHERE NOT {_IS_OWN}
ON CONFLICT (row_id, student_id) DO UPDATE SET
    reason = excluded.reason, is_disputed = excluded.is_disputed, decision = '', decided_at = NULL, decided_by_id = NULL
WHERE d.decision = '' AND (d.reason, d.is_disputed) IS DISTINCT FROM (excluded.reason, excluded.is_disputed)
    OR d.decision = 'different' AND excluded.reason <> 'likely'
"""
_STALE = f"""
DELETE FROM schools_duplicatecase d USING schools_listrow r
WHERE d.row_id = r.id AND {_SOME_ROWS} AND d.decision = '' AND NOT EXISTS (
    SELECT FROM list_best b WHERE b.row_id = d.row_id AND b.student_id = d.student_id AND NOT {_IS_OWN})
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
        cursor.execute("ANALYZE list_pairs")
        cursor.execute(_FOUND, values)
        cursor.execute("ANALYZE list_found")
        cursor.execute(_BEST)
        cursor.execute("SELECT EXISTS (SELECT FROM list_best)")
        if cursor.fetchone()[0]:
            cursor.execute(_MATCH)
            cursor.execute(_FLAG)
            cursor.execute(_CASES)
        if not is_first_time:
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

"""What the public figures are and how each is counted: one table of definitions, one set-based computation.

Everything about devices, pledges and money is counted from the entries of the public log alone, so that an outsider who
replays the log gets the same numbers; the need, the points and the data plans come from their own tables and say so.
Below the nation a figure is shown through `dashboards.protection` and `dashboards.snapshot` only.
"""

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext_lazy as _

from ledger.custody import ALLOCATED, WITH_STUDENT

NATION = "VN"
# Reached a child: with the student now, or lost there after a real handover.
REACHED = (*WITH_STUDENT, "lost", "stolen")


@dataclass(frozen=True)
class Definition:
    """One public figure. `source`: where it is counted from; `by_province`: also counted per province."""

    name: str
    label: str
    unit: str
    how: str
    source: str
    by_province: bool = False


LOG, NEED, POINTS, PLANS = (
    _("Sổ cái công khai"),
    _("Danh sách nhu cầu"),
    _("Báo cáo phủ sóng"),
    _("Gói dữ liệu"),
)
DEVICE, STUDENT, POINT, DONG, DAY = _("máy"), _("học sinh"), _("điểm"), _("đồng"), _("ngày")
DEFINITIONS = {
    definition.name: definition
    for definition in (
        Definition("pledged", _("Cam kết"), DEVICE, _("Tổng số máy trong các cam kết còn hiệu lực. Cam kết của thành viên nằm trong cam kết chung không cộng lần thứ hai."), LOG),
        Definition("received", _("Đã nhận"), DEVICE, _("Máy đã vào kho và có mã thiết bị."), LOG),
        Definition("purchasing", _("Đang mua sắm"), DEVICE, _("Máy đã đặt mua bằng tiền ủng hộ, nhà cung cấp chưa giao."), LOG),
        Definition("accepted", _("Đạt kiểm định"), DEVICE, _("Máy đã qua kiểm định và đạt tiêu chí."), LOG),
        Definition("allocated", _("Đã phân bổ"), DEVICE, _("Máy đang có quyết định phân bổ cho một học sinh, kể cả đã bàn giao."), LOG, True),
        Definition("in_province", _("Về tỉnh"), DEVICE, _("Máy đã phân bổ và đã đến cơ quan giáo dục hoặc trường ở địa phương, kể cả đã bàn giao."), LOG, True),
        Definition("handed_over", _("Đã bàn giao"), DEVICE, _("Máy đã trao tận tay học sinh; máy đã trả lại hoặc đã đổi không còn tính."), LOG, True),
        Definition("in_use", _("Đang sử dụng"), DEVICE, _("Máy đã bàn giao và gia đình đã xác nhận đang dùng."), LOG, True),
        Definition("broken", _("Hỏng, mất"), DEVICE, _("Máy đã bàn giao nay hỏng, mất hoặc bị lấy cắp."), LOG),
        Definition("refused", _("Không đạt"), DEVICE, _("Máy được ủng hộ nhưng không đạt kiểm định."), LOG),
        Definition("need", _("Nhu cầu"), STUDENT, _("Học sinh, sinh viên thuộc ba nhóm đối tượng, chưa có máy, đã được duyệt trong danh sách."), NEED, True),
        Definition("listed", _("Đang chờ duyệt"), STUDENT, _("Học sinh có trong danh sách đã ghi vào hệ thống nhưng chưa được duyệt."), NEED, True),
        Definition("provinces_reporting", _("Địa phương có số công khai"), _("tỉnh, thành phố"), _("Tỉnh, thành phố có số nhu cầu đang hiện; nơi ghi “ẩn” không tính vào đây."), NEED),
        Definition("urgent_points", _("Điểm khẩn cấp"), POINT, _("Điểm chưa có Internet di động ở địa phương thực hiện Chỉ thị 16, hạn 30/09/2021."), POINTS),
        Definition("urgent_points_covered", _("Điểm khẩn cấp đã có sóng"), POINT, _("Trong đó đã có sóng, có số đo kèm theo."), POINTS),
        Definition("points", _("Điểm toàn quốc"), POINT, _("Mọi điểm chưa có Internet di động, gồm cả điểm khẩn cấp."), POINTS, True),
        Definition("points_covered", _("Điểm toàn quốc đã có sóng"), POINT, _("Trong đó đã có sóng, có số đo kèm theo."), POINTS, True),
        Definition("data_plans", _("Gói dữ liệu"), _("gói"), _("Gói 4 GB mỗi ngày trong 3 tháng, bắt đầu khi học sinh nhận máy."), PLANS),
        Definition("money_received", _("Tiền đã nhận"), DONG, _("Tiền ủng hộ đã vào tài khoản, theo chứng từ."), LOG),
        Definition("money_spent", _("Tiền đã đặt mua"), DONG, _("Giá trị các đơn mua máy bằng tiền ủng hộ."), LOG),
        Definition("days_to_accept", _("Từ nhận đến đạt kiểm định"), DAY, _("Số ngày ở giữa (trung vị) của các máy đã đạt."), LOG),
        Definition("days_to_allocate", _("Từ đạt kiểm định đến phân bổ"), DAY, _("Số ngày ở giữa (trung vị) của các máy đã phân bổ."), LOG),
        Definition("days_to_arrive", _("Từ phân bổ đến khi về địa phương"), DAY, _("Số ngày ở giữa (trung vị) của các máy đã về."), LOG),
        Definition("days_to_hand_over", _("Từ khi về địa phương đến tay học sinh"), DAY, _("Số ngày ở giữa (trung vị); ngày bàn giao công bố là thứ Hai của tuần."), LOG),
    )
}  # fmt: skip
# Also stored, with the code of a donor as area: see `by_donor`.
DONOR_RECEIVED, DONOR_HANDED_OVER, CUMULATIVE = "donor_received", "donor_handed_over", "handed_over_by"

# One row per device: where it stands, the area of its allocation, its pledge, the day of each step.
DEVICES = """
    CREATE TEMPORARY TABLE figure_device ON COMMIT DROP AS
    SELECT dev,
           (array_agg(state ORDER BY n DESC))[1] AS state,
           (array_agg(doc->>'area' ORDER BY n DESC) FILTER (WHERE event = 'device.allocated'))[1] AS area,
           (array_agg(doc->>'pledge' ORDER BY n) FILTER (WHERE event = 'device.received'))[1] AS pledge,
           min(day) FILTER (WHERE event = 'device.received') AS received_on,
           max(day) FILTER (WHERE event = 'device.inspected' AND doc->>'outcome' = 'accepted') AS accepted_on,
           max(day) FILTER (WHERE event = 'device.allocated') AS allocated_on,
           max(day) FILTER (WHERE event = 'device.arrived') AS arrived_on,
           max(day) FILTER (WHERE event = 'device.handed_over') AS handed_over_on
    FROM (SELECT dev, n, state, event, body::jsonb AS doc, (body::jsonb->>'d')::date AS day
          FROM ledger_entry WHERE dev IS NOT NULL AND index < %(size)s) entry
    GROUP BY dev
"""
# A device's area is a province, a district, a commune or a school; each leads to one province.
PLACED = """
    CREATE TEMPORARY TABLE figure_place ON COMMIT DROP AS
    SELECT device.*, province.public_code AS province
    FROM figure_device device
    LEFT JOIN schools_administrativeunit unit ON unit.public_code = device.area
    LEFT JOIN schools_office office ON office.code = device.area
    LEFT JOIN schools_school school ON school.office_id = office.id
    LEFT JOIN schools_administrativeunit province
        ON province.id = coalesce(school.province_id, unit.province_id, CASE WHEN unit.level = 'province' THEN unit.id END)
"""
STATES = "SELECT province, state, count(*) FROM figure_place GROUP BY 1, 2"
EVER_ARRIVED = """
    SELECT province, count(*) FROM figure_place
    WHERE state = ANY(%(arrived)s) OR (arrived_on IS NOT NULL AND state = 'in_transit') GROUP BY 1
"""
DAYS = """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY accepted_on - received_on),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY greatest(allocated_on - accepted_on, 0))
               FILTER (WHERE allocated_on IS NOT NULL AND accepted_on IS NOT NULL),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY greatest(arrived_on - allocated_on, 0))
               FILTER (WHERE arrived_on IS NOT NULL AND allocated_on IS NOT NULL),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY greatest(handed_over_on - arrived_on, 0))
               FILTER (WHERE handed_over_on IS NOT NULL AND arrived_on IS NOT NULL)
    FROM figure_device
"""
SERIES = """
    SELECT handed_over_on, sum(count(*)) OVER (ORDER BY handed_over_on)::bigint FROM figure_device
    WHERE state = ANY(%(reached)s) AND handed_over_on IS NOT NULL GROUP BY 1 ORDER BY 1
"""
# Pledges: the latest number of each that still stands; a member's pledge is inside its umbrella's.
PLEDGED = """
    WITH step AS (
        SELECT subject, index, event, body::jsonb AS doc FROM ledger_entry
        WHERE event IN ('pledge.made', 'pledge.changed', 'pledge.cancelled') AND index < %(size)s
    ), pledge AS (
        SELECT subject,
               (array_agg((doc->>'qty')::bigint ORDER BY index DESC) FILTER (WHERE doc ? 'qty'))[1] AS quantity,
               bool_or(event = 'pledge.cancelled') AS is_cancelled,
               bool_or(doc ? 'umbrella') AS is_member
        FROM step GROUP BY subject
    )
    SELECT coalesce(sum(quantity), 0)::bigint FROM pledge WHERE NOT is_cancelled AND NOT is_member
"""
MONEY = """
    SELECT coalesce(sum((body::jsonb->>'amount_vnd')::bigint) FILTER (WHERE event = 'money.received'), 0)::bigint,
           coalesce(sum((body::jsonb->>'amount_vnd')::bigint) FILTER (WHERE event = 'purchase.ordered'), 0)::bigint,
           greatest(coalesce(sum((body::jsonb->>'qty')::bigint) FILTER (WHERE event = 'purchase.ordered'), 0)
             - coalesce(sum((body::jsonb->>'qty')::bigint) FILTER (WHERE event = 'purchase.delivered'), 0), 0)::bigint
    FROM ledger_entry
    WHERE event IN ('money.received', 'purchase.ordered', 'purchase.delivered') AND index < %(size)s
"""
NEED_BY_PROVINCE = """
    SELECT province.public_code, count(*) FILTER (WHERE student.state = 'approved'),
           count(*) FILTER (WHERE student.state = 'listed')
    FROM schools_student student
    JOIN schools_school school ON school.office_id = student.school_id
    JOIN schools_administrativeunit province ON province.id = school.province_id
    WHERE NOT student.has_device GROUP BY 1
"""
POINTS_BY_PROVINCE = """
    SELECT province.public_code, count(*), count(*) FILTER (WHERE point.state = 'covered'),
           count(*) FILTER (WHERE point.is_urgent), count(*) FILTER (WHERE point.is_urgent AND point.state = 'covered')
    FROM coverage_coveragepoint point
    JOIN schools_administrativeunit province ON province.id = point.province_id GROUP BY 1
"""
BY_DONOR = """
    SELECT donor.code, count(*), count(*) FILTER (WHERE device.state = ANY(%(reached)s))
    FROM figure_device device
    JOIN donations_pledge pledge ON pledge.code = device.pledge
    JOIN donations_donor donor ON donor.id = pledge.donor_id GROUP BY 1
"""


def log_size() -> int:
    """How many entries the public log holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(index) + 1, 0) FROM ledger_entry")
        return cursor.fetchone()[0]


def compute(*, size: int) -> tuple[dict[tuple[str, str], int], list[tuple[dt.date, int]]]:
    """All figures from the first `size` entries of the log and from the tables of need, points and plans.

    Returns ({(name, area): value}, [(day, devices handed over by then)]). Runs inside the caller's transaction: its
    temporary tables end with it.
    """
    values: dict[tuple[str, str], int] = defaultdict(int)
    for name in DEFINITIONS:
        if not name.startswith("days_"):
            values[name, NATION] = 0
    arrived = ("arrived", *REACHED)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.figure_device, pg_temp.figure_place")
        cursor.execute(DEVICES, {"size": size})
        cursor.execute(PLACED)
        cursor.execute(STATES)
        for province, state, count in cursor.fetchall():
            for name in _names_of(state):
                values[name, NATION] += count
                if province and DEFINITIONS[name].by_province:
                    values[name, province] += count
        cursor.execute(EVER_ARRIVED, {"arrived": list(arrived)})
        for province, count in cursor.fetchall():
            values["in_province", NATION] += count
            if province:
                values["in_province", province] += count
        cursor.execute(DAYS)
        names = ("days_to_accept", "days_to_allocate", "days_to_arrive", "days_to_hand_over")
        for name, days in zip(names, cursor.fetchone(), strict=True):
            if days is not None:
                values[name, NATION] = days
        cursor.execute(SERIES, {"reached": list(REACHED)})
        series = cursor.fetchall()
        cursor.execute(PLEDGED, {"size": size})
        values["pledged", NATION] = cursor.fetchone()[0]
        cursor.execute(MONEY, {"size": size})
        money = cursor.fetchone()
        for name, value in zip(("money_received", "money_spent", "purchasing"), money, strict=True):
            values[name, NATION] = value
        cursor.execute(NEED_BY_PROVINCE)
        for province, need, listed in cursor.fetchall():
            for name, value in (("need", need), ("listed", listed)):
                values[name, province] = value
                values[name, NATION] += value
        cursor.execute(POINTS_BY_PROVINCE)
        for province, points, covered, urgent, urgent_covered in cursor.fetchall():
            values["points", province], values["points_covered", province] = points, covered
            values["points", NATION] += points
            values["points_covered", NATION] += covered
            values["urgent_points", NATION] += urgent
            values["urgent_points_covered", NATION] += urgent_covered
        cursor.execute("SELECT count(*) FROM coverage_dataplan WHERE cancelled_on IS NULL")
        values["data_plans", NATION] = cursor.fetchone()[0]
        cursor.execute(BY_DONOR, {"reached": list(REACHED)})
        for donor, received, handed_over in cursor.fetchall():
            values[DONOR_RECEIVED, donor], values[DONOR_HANDED_OVER, donor] = received, handed_over
    return dict(values), series


def _names_of(state: str) -> list[str]:
    """The figures that a device in this state counts for (`in_province` is counted apart)."""
    names = ["received"]
    if state in (*ALLOCATED, *REACHED, "accepted", "transfer", "missing_free"):
        names.append("accepted")
    if state in (*ALLOCATED, *REACHED):
        names.append("allocated")
    if state in REACHED:
        names.append("handed_over")
    if state == "in_use":
        names.append("in_use")
    if state in ("broken", "lost", "stolen"):
        names.append("broken")
    if state == "refused":
        names.append("refused")
    return names


def digest(shown: Mapping[tuple[str, str], int]) -> str:
    """SHA-256 over the canonical list of [name, area, value] of what the public sees.

    Of a hidden figure nothing goes in: whoever knows the rest could otherwise try its few values out.
    """
    rows = sorted([name, area, str(value)] for (name, area), value in shown.items())
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()

"""A nation to allocate over, built in SQL in a database of its own: for the benchmark of a run and for drills."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction

from accounts.models import User
from allocation.engine import GROUPS
from allocation.models import Phase
from donations.models import Donor, Lot, Pledge
from ledger.codes import ALPHABET, WEIGHTED
from ledger.sequencer import as_sequencer
from schools.models import AdministrativeUnit, Office, StaffRole

# The need of 56 of 63 provinces in 2021; the third number, "other difficult circumstances", stands in for a
# third group here only.
NEED = {"poor": 570_051, "near_poor": 467_314, "covid_orphan": 1_178_498}
SUPPLY = 1_000_000
SCHOOLS = 28_000
NOW = dt.datetime(2021, 9, 15, 9, 0, tzinfo=dt.timezone(dt.timedelta(hours=7)))


@contextmanager
def own_database(name: str = "bench_allocation", *, is_copy: bool = False) -> Iterator[None]:
    """A database for this benchmark only, empty and migrated or a copy of the present one; dropped afterwards."""
    was = settings.DATABASES["default"]["NAME"]
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"

    def use(database: str) -> None:
        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = database

    use(was)  # a template may have no other connection than the one that copies it
    with connection.cursor() as cursor:
        cursor.execute(drop)
        cursor.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {was}" if is_copy else ""))
    use(name)
    try:
        if not is_copy:
            call_command("migrate", verbosity=0)
        yield
    finally:
        use(was)
        with connection.cursor() as cursor:
            cursor.execute(drop)


def build_nation(scale: float) -> tuple[User, User, User, Phase]:
    """Schools, approved students and accepted devices with their ledger state, in SQL."""
    clerk, other, approver = (
        User.objects.create_user(f"{n}@example.vn", full_name=n) for n in ("a", "b", "c")
    )
    founded = dt.date(2021, 1, 1)
    programme = Office.objects.create(kind="programme", code="CT", name="CT", path="/CT/", valid_from=founded)
    StaffRole.objects.create(
        user=approver, office=programme, role="approver", granted_at=NOW, granted_by=approver
    )
    warehouse = Office.objects.create(
        kind="warehouse", code="KHO", name="Kho", path="/CT/KHO/", parent=programme, valid_from=founded
    )
    donor = Donor(kind="enterprise", name="A", created_at=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        donor.save()
        pledge = Pledge.objects.create(
            code="CK", donor=donor, kind="device", device_kind="tablet", quantity=1, office=programme, made_at=NOW,
            created_at=NOW, secret_hash=b"",
        )  # fmt: skip
        Lot.objects.bulk_create(
            Lot(
                code=f"LO{number:05d}", pledge=pledge, warehouse=warehouse, device_kind="tablet", received_at=NOW,
                received_by=clerk,
            )
            for number in range(4000)
        )  # fmt: skip
        lot = Lot.objects.order_by("pk").first().pk
        provinces = AdministrativeUnit.objects.bulk_create(
            AdministrativeUnit(
                level="province", code=f"{n:02d}", name=f"T{n}", full_name=f"Tỉnh {n}", valid_from=founded
            )
            for n in range(63)
        )
        districts = AdministrativeUnit.objects.bulk_create(
            AdministrativeUnit(
                level="district", code=f"{n:03d}", name=f"H{n}", full_name=f"Huyện {n}", parent=provinces[n % 63],
                province=provinces[n % 63], valid_from=founded,
            )
            for n in range(705)
        )  # fmt: skip
        communes = AdministrativeUnit.objects.bulk_create(
            AdministrativeUnit(
                level="commune", code=f"{n:05d}", name=f"X{n}", full_name=f"Xã {n}", parent=districts[n],
                province=provinces[n % 63], valid_from=founded,
            )
            for n in range(705)
        )  # fmt: skip
        cursor.execute("UPDATE schools_administrativeunit SET province_id = id WHERE level = 'province'")
        first = {"province": provinces[0].pk, "district": districts[0].pk, "commune": communes[0].pk}
        cursor.execute("SELECT max(id) FROM schools_office")
        office = cursor.fetchone()[0] + 1
        names = {**first, "office": office, "root": programme.pk, "lot": lot, "user": clerk.pk, "at": NOW}
        cursor.execute(BUILD_OFFICES, names)
        cursor.execute(BUILD_SCHOOLS, names)
        begins = 0
        for group, count in NEED.items():
            size = int(count * scale)
            cursor.execute(BUILD_STUDENTS, {**names, "group": group, "begins": begins, "size": size})
            begins += size
        cursor.execute(BUILD_DEVICES, {**names, "size": int(SUPPLY * scale)})
        cursor.execute("SET session_replication_role = DEFAULT")
        with transaction.atomic(), as_sequencer(cursor):
            # The role that alone may write the log does not read the devices.
            cursor.execute("SET LOCAL ROLE NONE; GRANT SELECT ON donations_device TO ledger_sequencer")
            cursor.execute("SET LOCAL ROLE ledger_sequencer")
            cursor.execute(BUILD_LEDGER)
        for table in (
            "schools_student",
            "schools_school",
            "donations_device",
            "ledger_entry",
            "donations_lot",
        ):
            cursor.execute(f"VACUUM ANALYZE {table}")
    phase = Phase.objects.create(
        code="GD1", name="Giai đoạn 1", clause="II.2a", starts_on=NOW.date(), ends_on=dt.date(2021, 12, 31),
        groups=list(GROUPS),
    )  # fmt: skip
    return clerk, other, approver, phase


BUILD_OFFICES = f"""
    INSERT INTO schools_office (id, closing_reason, kind, code, name, address, path, parent_id, unit_id, valid_from) OVERRIDING SYSTEM VALUE
    SELECT %(office)s + n, '', 'school', 'TR-' || n, 'Trường ' || n, '', '/CT/TR-' || n || '/', %(root)s,
        %(commune)s + n %% 705, '2021-01-01' FROM generate_series(0, {SCHOOLS - 1}) n
"""
BUILD_SCHOOLS = f"""
    INSERT INTO schools_school (office_id, code, level, commune_id, district_id, province_id, enrolment, teacher_count,
        teachers_without_computer)
    SELECT %(office)s + n, lpad(n::text, 8, '0'), 'primary', %(commune)s + n %% 705, %(district)s + n %% 705,
        %(province)s + n %% 705 %% 63, 600, 30, 0 FROM generate_series(0, {SCHOOLS - 1}) n
"""
BUILD_STUDENTS = f"""
    INSERT INTO schools_student (school_id, code, class_name, full_name, search_key, sort_key, born_on, sex, "group",
        household_key, has_device, state, approved_at, approved_by_id)
    SELECT %(office)s + (n * 7919 + n / 13) %% {SCHOOLS}, '', '5A', 'Em ' || n, 'em ' || n, 'em ' || n, '2012-05-01', '',
        %(group)s, 'h' || n / 2, false, 'approved', %(at)s, %(user)s
    FROM generate_series(%(begins)s::bigint, %(begins)s + %(size)s - 1) n
    ORDER BY (n * 7919 + n / 13) %% {SCHOOLS} %% 705 %% 63, n -- list after list, as the provinces send them
"""
# The check symbol (`ledger.codes.check_symbol`) of eleven hexadecimal digits of `h`.
CHECK_VALUE = " # ".join(
    f"(ARRAY{row[:16]})[1 + ('x' || substr(h, {place}, 1))::bit(4)::int]"
    for place, row in enumerate(WEIGHTED, start=1)
)
# One in twenty is earmarked: to a school, a district or a province.
BUILD_DEVICES = f"""
    INSERT INTO donations_device (code, lot_id, serial_number, serial_key, imei, state, is_child_protected, accepted_at,
        accepted_by_id, earmark_school_id, earmark_unit_id)
    SELECT upper(substr(h, 1, 11)) || substr('{ALPHABET}', 1 + ({CHECK_VALUE}), 1), %(lot)s + n / 250, 'SN' || n, 'SN0' || n, '', 'accepted', true,
        %(at)s, %(user)s, CASE WHEN n %% 60 = 0 THEN %(office)s + n %% {SCHOOLS} END,
        CASE WHEN n %% 60 = 1 THEN %(district)s + n %% 705 WHEN n %% 60 = 2 THEN %(province)s + n %% 63 END
    FROM generate_series(0, %(size)s - 1) n, LATERAL (SELECT md5('device' || n) AS h) hashed
"""
# Two sealed entries per device, as a real log has them by then: in the order of the devices' arrival, which is
# not the order of their codes.
BUILD_LEDGER = """
    INSERT INTO ledger_entry (index, eid, event, dev, n, state, subject, body, leaf_hash)
    SELECT e.n * devices.many + d.place, md5(e.n || d.code)::uuid, 'device.' || e.event, d.code, e.n, e.state, e.subject,
        made.body, sha256('\\x00'::bytea || convert_to(made.body, 'UTF8'))
    FROM (VALUES (0, 'received', 'received', 'CK-2021-000123', '"kind":"tablet","lot":"LO-00001","pledge":"CK-2021-000123","to":"KHO-TU"'),
                 (1, 'inspected', 'accepted', NULL, '"criteria":"TC-TABLET-1","outcome":"accepted"')) AS e (n, event, state, subject, words),
        (SELECT code, row_number() OVER (ORDER BY id) - 1 AS place FROM donations_device) AS d,
        (SELECT count(*) AS many FROM donations_device) AS devices,
        LATERAL (SELECT '{"d":"2021-09-15","dev":"' || d.code || '","eid":"' || md5(e.n || d.code) || '",' || e.words
            || ',"t":"device.' || e.event || '","v":1}' AS body) AS made
    ORDER BY 1
"""

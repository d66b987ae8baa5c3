"""How fast allocation is: the engine alone, `simulate` on files, and a national run in a database of its own."""

import csv
import datetime as dt
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from accounts.models import User
from allocation import committing, engine, services, swapping
from allocation.engine import FREE, GROUPS, NOBODY, Devices, Policy, Students
from allocation.models import Allocation, AllocationPolicy, AllocationRun
from bench import bench, peak_mb
from bench.nation import NEED, NOW, SCHOOLS, SUPPLY, build_nation, own_database
from schools.models import AdministrativeUnit

ROOT = Path(__file__).parents[1]
# By supply, who is served of each group when nothing else sets students apart: the rules page's real numbers.
SERVED = {
    1_000_000: (570_051, 429_949, 0),
    555_056: (555_056, 0, 0),
    1_037_365: (570_051, 467_314, 0),
    1_037_366: (570_051, 467_314, 1),
}
# 63 provinces, 705 districts: a district's province is its number mod 63, a school's district its number mod 705.


def national(scale: float) -> tuple[Students, Devices]:
    """Columns of the nation, one in twenty devices earmarked, in no order."""
    counts = [int(count * scale) for count in NEED.values()]
    total, supply = sum(counts), int(SUPPLY * scale)
    random = np.random.default_rng(3667)
    school = random.integers(0, SCHOOLS, total).astype(np.int32)
    level = np.full(supply, FREE, dtype=np.int8)
    earmarked = random.random(supply) < 0.05
    level[earmarked] = random.integers(0, 3, int(earmarked.sum()))
    area = np.full(supply, NOBODY, dtype=np.int32)
    for number, size in ((0, SCHOOLS), (1, 705), (2, 63)):
        area[level == number] = random.integers(0, size, int((level == number).sum()))
    group = np.repeat(np.arange(3, dtype=np.int8), counts)
    random.shuffle(group)
    students = Students(
        code=[f"{number:016x}" for number in random.permutation(total).tolist()],
        province=school % 705 % 63,
        district=school % 705,
        school=school,
        group=group,
        priority_locality=school % 10 < 3,
        household=random.integers(0, total, total),
        household_devices=np.zeros(total, dtype=np.int64),
    )
    return students, Devices(level=level, area=area, order=random.permutation(supply))


@bench("allocation.engine")
def engine_alone(quick: bool) -> Iterator[dict]:
    """The engine on 2,215,863 students and 1,000,000 devices, and its growth from half to twice that."""
    seconds = {}
    for scale in (0.05, 0.1) if quick else (0.5, 1, 2):
        students, devices = national(scale)
        start = time.perf_counter()
        outcome = engine.allocate(students=students, devices=devices, policy=Policy(), seed=bytes(32))
        seconds[scale] = time.perf_counter() - start
        floor = bare_hashing(students.code)
        yield {
            "name": f"allocation.engine ×{scale}",
            "seconds": seconds[scale],
            "floor": "the bare SHA-256 of the same codes",
            "floor_seconds": floor,
            "ratio": seconds[scale] / floor,
            "rows": len(students.code),
            "devices": len(devices.level),
            "allocated": len(outcome.device),
            "seconds_per_million_students": seconds[scale] * 1e6 / len(students.code),
            "peak_mb": peak_mb(),
        }
    one, *others = sorted(seconds)
    yield {
        "name": "allocation.engine growth",
        "seconds": seconds[others[-1]],
        "floor": f"linear growth from ×{one}",
        "floor_seconds": seconds[one] * others[-1] / one,
        "ratio": max(seconds[scale] / scale for scale in others) / (seconds[one] / one),
        "limit": 1.15,
        "rows": len(students.code),
        "peak_mb": peak_mb(),
    }
    if not quick:
        yield from real_numbers()


def real_numbers() -> Iterator[dict]:
    """The need that 56 provinces reported in 2021, served from the supplies of the rules page. Raises where it isn't."""
    students, _ = national(1)
    students = replace(
        students,
        priority_locality=np.zeros(len(students.code), dtype=bool),
        household=np.full(len(students.code), NOBODY),
    )
    floor = bare_hashing(students.code)
    for supply, expected in SERVED.items():
        nowhere = np.full(supply, NOBODY, dtype=np.int32)
        devices = Devices(level=np.full(supply, FREE, dtype=np.int8), area=nowhere, order=np.arange(supply))
        start = time.perf_counter()
        outcome = engine.allocate(students=students, devices=devices, policy=Policy(), seed=bytes(32))
        seconds = time.perf_counter() - start
        served = np.bincount(outcome.group[outcome.student], minlength=4)[1:].tolist()
        if tuple(served) != expected:
            raise RuntimeError(f"{supply} devices went to {served} of the three groups, not to {expected}")
        yield {
            "name": f"allocation.engine real numbers, {supply} devices: {' + '.join(map(str, served))}",
            "seconds": seconds,
            "floor": "the bare SHA-256 of the same codes",
            "floor_seconds": floor,
            "ratio": seconds / floor,
            "rows": len(students.code),
            "peak_mb": peak_mb(),
        }


def bare_hashing(codes: list[str]) -> float:
    start = time.perf_counter()
    for code in codes:
        engine.sha256(code.encode()).digest()
    return time.perf_counter() - start


# --- simulate on files -----------------------------------------------------------------------------------


def write_files(folder: Path, scale: float) -> None:
    """S.csv, D.csv and P.json of the nation."""
    students, devices = national(scale)
    with (folder / "S.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [
                "student",
                "province",
                "district",
                "school",
                "group",
                "priority_locality",
                "household",
                "household_devices",
            ]
        )
        writer.writerows(student_rows(students))
    names = {0: ("school", "T{:05d}"), 1: ("district", "{:03d}"), 2: ("province", "{:02d}")}
    with (folder / "D.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "earmark_level", "earmark_code", "lot"])
        for order, level, area in zip(
            devices.order.tolist(), devices.level.tolist(), devices.area.tolist(), strict=True
        ):
            name, code = names.get(level, ("", ""))
            writer.writerow([f"TB{order:08d}", name, code.format(area), f"L{order // 250:05d}"])
    (folder / "P.json").write_text(
        json.dumps({"locality_first": True, "margin": "proportional", "groups": list(GROUPS)})
    )


def student_rows(students: Students) -> Iterator[tuple]:
    for code, p, d, s, g, first, home in zip(
        students.code,
        students.province.tolist(),
        students.district.tolist(),
        students.school.tolist(),
        students.group.tolist(),
        students.priority_locality.tolist(),
        students.household.tolist(),
        strict=True,
    ):
        held = "1" if home % 40 == 0 else ""
        yield f"HS{code}", f"{p:02d}", f"{d:03d}", f"T{s:05d}", GROUPS[g], int(first), f"H{home:07d}", held


@bench("allocation.simulate")
def simulate_files(quick: bool) -> Iterator[dict]:
    """`manage.py simulate` as a process of its own, against bare reading and writing by the same csv library."""
    scale = 0.05 if quick else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, scale)
        command = [
            sys.executable, "-c", MEASURED, "manage.py", "simulate", f"--students={folder / 'S.csv'}",
            f"--devices={folder / 'D.csv'}", f"--policy={folder / 'P.json'}", f"--seed={'5e' * 32}",
            f"--output={folder / 'O.csv'}",
        ]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        summary, peak = done.stdout.strip().split("\n")
        floor = bare_files(folder)
        line = 12_345 if quick else 1_234_567
        refusal = timed(lambda: refuse_line(line, folder / "S.csv", command))
    yield {
        "name": "allocation.simulate",
        "seconds": seconds,
        "floor": "bare csv reading and writing of the same files",
        "floor_seconds": floor,
        "ratio": seconds / floor,
        "limit": 5,
        "rows": json.loads(summary)["students"],
        "peak_mb": int(peak) / 1024,
    }
    yield {
        "name": f"allocation.simulate refusing a wrong value in line {line}",
        "seconds": refusal,
        "floor": "bare csv reading and writing of the same files",
        "floor_seconds": floor,
        "ratio": refusal / floor,
        "rows": json.loads(summary)["students"],
    }


def refuse_line(line: int, path: Path, command: list[str]) -> None:
    """Spoil the group in that line and simulate. Raises unless it is refused by line and column."""
    rows = path.read_text().split("\n")
    values = rows[line - 1].split(",")
    values[4] = "rich"
    rows[line - 1] = ",".join(values)
    path.write_text("\n".join(rows))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 2 or f"line {line}, column group" not in done.stderr:
        raise RuntimeError(f"a wrong value in line {line} was answered by {done.returncode}: {done.stderr}")


# What getrusage calls the largest memory of a process counts its parent's from before the exec.
MEASURED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path("manage.py", run_name="__main__")
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def bare_files(folder: Path) -> float:
    with (folder / "O.csv").open(newline="") as file:
        output = list(csv.reader(file))
    start = time.perf_counter()
    for name in ("S.csv", "D.csv"):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            for _ in csv.reader(file):
                pass
    with (folder / "bare.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(output)
    return time.perf_counter() - start


# --- a run in the database ---------------------------------------------------------------------------------


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def floor_of(run: AllocationRun) -> float:
    """Seconds of the bare COPY of the run's rows into the same table with its live indexes and no foreign keys."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE allocation_floor (LIKE allocation_allocation INCLUDING ALL)")
        buffer = io.BytesIO()
        with cursor.copy(
            f"COPY (SELECT * FROM allocation_allocation WHERE run_id = {run.pk}) TO STDOUT"
        ) as copy:
            for block in copy:
                buffer.write(block)
        start = time.perf_counter()
        with transaction.atomic(), cursor.copy("COPY allocation_floor FROM STDIN") as copy:
            view = buffer.getbuffer()
            for at in range(0, len(view), 1 << 20):
                copy.write(view[at : at + (1 << 20)])
        seconds = time.perf_counter() - start
        cursor.execute("DROP TABLE allocation_floor")
    return seconds


def row_by_row(run: AllocationRun, rows: int = 2_000) -> float:
    """Seconds that an ORM loop needs for so many rows, extrapolated to the whole run."""
    found = list(Allocation.objects.filter(run=run)[:rows])

    def loop() -> None:
        for one in found:
            one.pk = None
            one.ended_at, one.ended_by, one.end_reason = NOW, run.opened_by, "revoked"
            one.save()

    with transaction.atomic():
        seconds = timed(loop)
        transaction.set_rollback(True)
    return seconds / max(1, len(found)) * run.summary["allocated"]


@bench("allocation.run")
def national_run(quick: bool) -> Iterator[dict]:
    """Freeze, propose and commit the nation in a database of its own, entries of the ledger included."""
    scale = 0.1 if quick else 1
    with own_database():
        clerk, other, approver, phase = build_nation(scale)
        policy = services.draft_policy(
            by=clerk,
            phase=phase,
            name="Thứ tự",
            groups=GROUPS,
            locality_first=True,
            margin="proportional",
            at=NOW,
        )
        policy = services.publish_policy(by=approver, policy=policy, at=NOW)
        later = NOW + dt.timedelta(days=1)
        run = services.open_run(by=clerk, policy=policy, randomness_source="x", draw_at=later, at=NOW)
        freeze = timed(lambda: services.freeze(by=clerk, run=run, at=NOW))
        services.enter_randomness(by=clerk, run=run, value="12345", at=later)
        services.confirm_randomness(by=other, run=run, value="12345", at=later)
        propose = timed(lambda: services.propose(by=clerk, run=run, at=later))
        run = services.approve(by=approver, run=run, at=later)
        bare_commit = commit_without_entries(run)
        with readers(run) as waits:
            commit = timed(lambda: services.commit(by=approver, run=run, at=later))
        run.refresh_from_db()
        floor = min(floor_of(run), floor_of(run))  # once warm, once not: the lesser is the floor
        loop = row_by_row(run)
        rows = run.summary["allocated"]
        common = {
            "floor": "bare COPY with live indexes, no foreign keys",
            "floor_seconds": floor,
            "rows": rows,
        }
        for name, seconds, limit in (
            ("allocation.run freeze", freeze, None),
            ("allocation.run proposal", propose, 0.8),
            ("allocation.run commit without entries", bare_commit, 0.8),
            ("allocation.run proposal, commit and entries", propose + commit, 2),
            ("allocation.run row by row (extrapolated)", loop, None),
        ):
            line = {
                "name": name,
                "seconds": seconds,
                **common,
                "ratio": seconds / floor,
                "peak_mb": peak_mb(),
            }
            yield line | ({"limit": limit} if limit else {})
        for page, wait in waits.items():
            # The promise is in seconds: the floor is one second, so that the ratio is them.
            yield {
                "name": f"allocation.run longest read of {page} during the commit", "seconds": wait, "floor": "1 s",
                "floor_seconds": 1, "ratio": wait, "limit": 2, "rows": rows, "peak_mb": peak_mb(),
            }  # fmt: skip
        small = small_run((clerk, other, approver), policy)
        yield {
            "name": "allocation.run 500 devices in one province, all steps", "seconds": small, "floor": "1 s",
            "floor_seconds": 1, "ratio": small, "limit": 1, "rows": 500, "peak_mb": peak_mb(),
        }  # fmt: skip


# Reads a public and a staff page again and again in a process of its own until told to stop; says how long the longest took.
READER = """
import json, logging, sys, threading, time
logging.disable(logging.CRITICAL)
import django; django.setup()
from django.conf import settings
settings.ALLOWED_HOSTS = ["*"]
from django.test import Client
from accounts.models import User
from tests.signing_in import pass_second_factor
code, device = sys.argv[1:]
staff, public = Client(), Client()
user = User.objects.get(email="c@example.vn")
staff.force_login(user)
pass_second_factor(staff.session, user)
pages = {
    "a public page": (public, f"/phan-bo/cong-khai/{code}/"),
    "a staff page": (staff, f"/phan-bo/thu-hoi/?may={device}"),
}
longest = dict.fromkeys(pages, 0)
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
rounds = 0
while not done.is_set() or not rounds:
    for name, (client, address) in pages.items():
        start = time.perf_counter()
        status = client.get(address).status_code
        if rounds:
            longest[name] = max(longest[name], time.perf_counter() - start)
        assert status == 200, (address, status)
    if not rounds:
        print("ready", flush=True)
    rounds += 1
    time.sleep(0.25)  # a reader, not a load: eight times as often as the limit
print(json.dumps(longest))
"""


@contextmanager
def readers(run: AllocationRun) -> Iterator[dict[str, float]]:
    """Someone who keeps reading a public and a staff page meanwhile; afterwards, the longest wait for each."""
    waits: dict[str, float] = {}
    device = run.offers.order_by("device_id").values_list("device__code", flat=True)[0]
    process = subprocess.Popen(
        [sys.executable, "-c", READER, run.code, device], cwd=ROOT, env=os.environ | {
            "DJANGO_SETTINGS_MODULE": "sms_program.settings",
            "DATABASE_URL": settings.DATABASE_URL.rsplit("/", 1)[0] + "/" + connection.settings_dict["NAME"],
        }, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("the reader of pages did not start")
    yield waits
    answer, _ = process.communicate()
    waits |= json.loads(answer)


ADD_DEVICES = """
    INSERT INTO donations_device (code, lot_id, serial_number, serial_key, imei, state, is_child_protected, accepted_at,
        accepted_by_id, earmark_unit_id)
    SELECT upper(substr(md5('later' || n), 1, 12)), (SELECT min(id) FROM donations_lot), 'SL' || n, 'SL0' || n, '', 'accepted',
        true, %(at)s, %(user)s, %(province)s FROM generate_series(1, 500) n
"""
ADD_ENTRIES = """
    INSERT INTO ledger_outbox (eid, event, day, dev, n, state, body, prev_at)
    SELECT gen_random_uuid(), 'device.inspected', '2021-09-15', code, 1, 'accepted', '{}', 1
    FROM donations_device WHERE serial_key LIKE 'SL0%'
"""


def small_run(officials: tuple[User, User, User], policy: AllocationPolicy) -> float:
    """Seconds of work from the freeze to the commit for 500 more devices of one province, after the nation's run."""
    clerk, other, approver = officials
    province = AdministrativeUnit.objects.filter(level="province").order_by("pk").first()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(ADD_DEVICES, {"at": NOW, "user": clerk.pk, "province": province.pk})
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute(ADD_ENTRIES)
        cursor.execute("ANALYZE donations_device; ANALYZE ledger_outbox; ANALYZE schools_student")
    later = NOW + dt.timedelta(days=1)
    run = services.open_run(
        by=clerk, policy=policy, randomness_source="x", draw_at=later, at=NOW, province=province
    )
    steps = [
        lambda: services.freeze(by=clerk, run=run, at=NOW),
        lambda: services.enter_randomness(by=clerk, run=run, value="12345", at=later),
        lambda: services.confirm_randomness(by=other, run=run, value="12345", at=later),
        lambda: services.propose(by=clerk, run=run, at=later),
        lambda: services.approve(by=approver, run=run, at=later),
        lambda: services.commit(by=approver, run=run, at=later),
    ]
    with tempfile.TemporaryDirectory() as folder, override_settings(LEDGER_DIR=Path(folder)):
        seconds = [timed(step) for step in steps]
    sys.stderr.write(f"  500 devices: {[round(one, 2) for one in seconds]}\n")
    if Allocation.objects.filter(run=run).count() != 500:
        raise RuntimeError("the small run did not allocate its 500 devices")
    return sum(seconds)


def commit_without_entries(run: AllocationRun) -> float:
    """Seconds of a commit that records nothing: the same steps, one after the other, then taken back."""

    def steps() -> None:
        services.commits.refuse_stale(run)
        lines = services.commits.approved_lines(run)
        areas = committing.area_of(lines, committing.public_areas(lines))
        swapping.load(
            lambda table, first_id: committing.write_allocations(
                run, lines=lines, areas=areas, table=table, first_id=first_id
            )
        )
        swapping.swap()

    with transaction.atomic():
        seconds = timed(steps)
        transaction.set_rollback(True)
    return seconds

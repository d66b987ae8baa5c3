"""`manage.py simulate`: exact bytes out, and every kind of wrong file refused with where and what.

None of these tests may touch a database: pytest-django refuses the connection.
"""

import csv
import json
import os
import random
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from allocation.files import DEVICE_COLUMNS, STUDENT_COLUMNS
from allocation.tables import BLOCK
from tests.rules import allocation_oracle as oracle
from tests.rules.test_allocation_engine import LAW, SEED, scenario

STUDENTS = """student,province,district,school,group,priority_locality,household,household_devices
a,01,001,T1,poor,1,h1,0
b,01,001,T1,near_poor,0,h1,
c,02,,T2,covid_orphan,0,,
"""
DEVICES = """device,earmark_level,earmark_code,lot
m2,,,L1
m1,school,T1,L1
"""


class Case:
    """A folder with the three inputs; `run()` returns the summary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("s.csv", STUDENTS)
        self.write("d.csv", DEVICES)
        self.write("p.json", json.dumps(LAW))
        self.output = folder / "out.csv"

    def write(self, name: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(data)

    def arguments(self, **changed: str) -> list[str]:
        given = {
            "students": str(self.folder / "s.csv"),
            "devices": str(self.folder / "d.csv"),
            "policy": str(self.folder / "p.json"),
            "seed": SEED,
            "output": str(self.output),
        } | changed
        return [f"--{name}={value}" for name, value in given.items()]

    def run(self, **changed: str) -> dict:
        out = StringIO()
        call_command("simulate", *self.arguments(**changed), stdout=out, stderr=StringIO())
        return json.loads(out.getvalue())

    def refusal(self, **changed: str) -> str:
        self.output.write_text("trước")
        with pytest.raises(CommandError) as caught:
            self.run(**changed)
        assert caught.value.returncode == 2
        assert self.output.read_text() == "trước"
        assert {path.name for path in self.folder.iterdir()} == {"s.csv", "d.csv", "p.json", "out.csv"}
        return str(caught.value)


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path)


def as_csv(columns, rows) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("number", range(25))
def test_files_give_the_oracle_s_bytes(case, number):
    source = random.Random(number)
    students, devices, policy = scenario(source, 40, 30)
    case.write("s.csv", as_csv(STUDENT_COLUMNS, students))
    case.write("d.csv", as_csv(DEVICE_COLUMNS, devices))
    case.write("p.json", json.dumps(policy))
    expected, total = oracle.simulate(students, devices, policy, SEED)
    assert case.run() == total
    assert case.output.read_bytes() == expected.encode()


def test_small_example_by_hand(case):
    assert case.run() == {
        "students": 3,
        "eligible": 3,
        "devices": 2,
        "allocated": 2,
        "served": {"poor": 1, "near_poor": 1, "covid_orphan": 0},
        "unmet": {"poor": 0, "near_poor": 0, "covid_orphan": 1},
        "served_by_province": {"01": 2, "02": 0},
        "unmet_by_province": {"01": 0, "02": 1},
        "waterline": "2.2.2",
        "unallocated_devices": 0,
    }
    assert case.output.read_text() == "device,student,tier,pass\nm1,a,1.1.1,school\nm2,b,2.2.2,free\n"


def test_headers_only_are_fine(case):
    case.write("s.csv", STUDENTS.splitlines()[0] + "\n")
    case.write("d.csv", DEVICES.splitlines()[0])
    summary = case.run()
    assert summary["waterline"] is None
    assert summary["served"] == {"poor": 0, "near_poor": 0, "covid_orphan": 0}
    assert case.output.read_bytes() == b"device,student,tier,pass\n"


def test_what_spreadsheets_add_changes_nothing(case):
    case.run()
    plain = case.output.read_bytes()
    for text in (
        "\ufeff" + STUDENTS,
        STUDENTS.replace("\n", "\r\n"),
        STUDENTS.replace("\n", "\n\n"),
        STUDENTS.replace("a,01", '"a","01"'),
        STUDENTS.rstrip("\n"),
    ):
        case.write("s.csv", text)
        case.run()
        assert case.output.read_bytes() == plain


def test_columns_in_another_order(case):
    case.run()
    plain = case.output.read_bytes()
    rows = list(csv.DictReader(StringIO(STUDENTS)))
    case.write("s.csv", as_csv(STUDENT_COLUMNS[::-1], rows))
    case.run()
    assert case.output.read_bytes() == plain


def test_ids_that_need_quotes(case):
    case.write(
        "s.csv",
        STUDENTS.splitlines()[0] + '\n"Ấ, ""1""",01,,"T\n1",poor,0,,\n',
    )
    case.write("d.csv", 'device,earmark_level,earmark_code,lot\n"m,1",school,"T\n1",\n')
    case.run()
    assert case.output.read_text() == 'device,student,tier,pass\n"m,1","Ấ, ""1""",2.1.1,school\n'


def test_a_household_with_more_devices_than_anyone_has(case):
    case.write(
        "s.csv", STUDENTS.replace("h1,0", "h1,999999999999999999").replace("h1,\n", "h1,999999999999999999\n")
    )
    case.run()
    assert case.output.read_text().splitlines()[1] == "m1,a,1.1.1000000000000000000,school"


def test_groups_the_policy_leaves_out_count_as_not_eligible(case):
    case.write("p.json", '{"locality_first": false, "margin": "draw", "groups": ["near_poor"]}')
    summary = case.run()
    assert (summary["students"], summary["eligible"]) == (3, 1)
    assert summary["served"] == {"near_poor": 1}
    assert summary["served_by_province"] == {"01": 1}
    # The poor child of the same household does not count: only eligible members are ahead of others.
    assert ",b,2.1.1,school\n" in case.output.read_text()


def test_an_earmark_nobody_has_stays(case):
    case.write("d.csv", DEVICES + "m3,district,999,L1\nm4,district,T1,L1\n")
    assert case.run()["unallocated_devices"] == 2


LONG = STUDENTS.splitlines()[0] + "\n" + "".join(f"x{n},01,,T,poor,0,,\n" for n in range(BLOCK + 500))


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (STUDENTS + "a,01,001,T1,poor,1,,\n", 5, "student"),
        (STUDENTS + ",01,001,T1,poor,1,,\n", 5, "student"),
        (STUDENTS + "d,,001,T1,poor,1,,\n", 5, "province"),
        (STUDENTS + "d,01,001,,poor,1,,\n", 5, "school"),
        (STUDENTS + "Tru\u031bờng,01,001,T1,poor,1,,\n", 5, "student"),
        (STUDENTS + "d,01,001,T1,poor,1,o\u0323,\n", 5, "household"),
        (STUDENTS + "d,01,001,T1,rich,1,,\n", 5, "group"),
        (STUDENTS + "d,01,001,T1,Poor,1,,\n", 5, "group"),
        (STUDENTS + "d,01,001,T1,,1,,\n", 5, "group"),
        (STUDENTS + "d,01,001,T1,poor,true,,\n", 5, "priority_locality"),
        (STUDENTS + "d,01,001,T1,poor,,,\n", 5, "priority_locality"),
        (STUDENTS + "d,01,001,T1,poor,1,h2,-1\n", 5, "household_devices"),
        (STUDENTS + "d,01,001,T1,poor,1,h2,1.0\n", 5, "household_devices"),
        (STUDENTS + "d,01,001,T1,poor,1,h2,٣\n", 5, "household_devices"),
        (STUDENTS + "d,01,001,T1,poor,1,h1,1\n", 5, "household_devices"),
        (STUDENTS + "d,01,001,T1,poor,1,,2\n", 5, "household_devices"),
        (STUDENTS + "d,01,002,T1,poor,1,,\n", 5, "district"),
        (STUDENTS + "d,01,,T1,poor,1,,\n", 5, "district"),
        (STUDENTS + "d,03,,T2,poor,1,,\n", 5, "province"),
        (STUDENTS + "d,02,001,T9,poor,1,,\n", 5, "province"),
        (STUDENTS + "d,01,001,T1,poor,1,\n", 5, "household_devices"),
        (STUDENTS + "d,01,001,T1,poor,1,,,\n", 5, "9"),
        (STUDENTS + 'd,01,001,T1,poor,1,"h\n', 5, None),
        (STUDENTS + '"d"x,01,001,T1,poor,1,,\n', 5, None),
        (STUDENTS.replace("household_devices", "held"), 1, "household_devices"),
        (STUDENTS.replace(",district,", ",school,"), 1, "district"),
        (STUDENTS.replace("household_devices", "household_devices,note"), 1, "note"),
        ("", 1, "student"),
        (STUDENTS.encode() + b"d,01,001,T\xff,poor,1,,\n", 5, "school"),
        (STUDENTS.encode("utf-16"), 1, "student"),
        # The first bad row is told, whatever kind of mistake comes after it.
        (STUDENTS + "a,01,001,T1,poor,1,,\nd,01,001,T1,rich,1,,\n", 5, "student"),
        (STUDENTS + "d,01,001,T1,rich,1,,\na,01,001,T1,poor,1,,\n", 5, "group"),
        (
            'student,province,district,school,group,priority_locality,household,household_devices\n\n"a\nb",01,,T,poor,0,,\nd,01,,T,poor,2,,\n',
            5,
            "priority_locality",
        ),
        (LONG + "y,01,,T,poor,0,,-3\n", BLOCK + 502, "household_devices"),
        (LONG + "x7,01,,T,poor,0,,\n", BLOCK + 502, "student"),
    ],
)
def test_bad_student_rows(case, text, line, column):
    case.write("s.csv", text)
    message = case.refusal()
    assert f"{case.folder / 's.csv'}, dòng {line}" in message
    assert f"line {line}" in message
    assert "expected" in message
    if column:
        assert f"cột {column}:" in message
        assert f"column {column}:" in message


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (DEVICES + "m1,,,\n", 4, "device"),
        (DEVICES + ",,,\n", 4, "device"),
        (DEVICES + "m3,province,,\n", 4, "earmark_code"),
        (DEVICES + "m3,,01,\n", 4, "earmark_code"),
        (DEVICES + "m3,commune,01,\n", 4, "earmark_level"),
        (DEVICES + "m3,free,,\n", 4, "earmark_level"),
        (DEVICES + "m3,province,e\u0301,\n", 4, "earmark_code"),
        (DEVICES + "m3,,\n", 4, "lot"),
        (DEVICES.replace("lot", "batch"), 1, "lot"),
    ],
)
def test_bad_device_rows(case, text, line, column):
    case.write("d.csv", text)
    message = case.refusal()
    assert f"{case.folder / 'd.csv'}, dòng {line}, cột {column}:" in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"groups": ["poor"], "reserve": 3}',
        '{"groups": ["poor"], "groups": ["poor"]}',
        '{"groups": ["poor", "poor"]}',
        '{"groups": ["other"]}',
        '{"groups": [["poor"]]}',
        '{"groups": "poor"}',
        '{"groups": ["poor"], "margin": "equal"}',
        '{"groups": ["poor"], "margin": []}',
        '{"groups": ["poor"], "locality_first": 1}',
        '{"groups": ["poor"], "locality_first": null}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_bad_policies(case, text):
    case.write("p.json", text)
    assert "p.json" in case.refusal()


@pytest.mark.parametrize("seed", ["", "ab", "g" * 64, "5e" * 31 + " 5", "5e" * 32 + "\n", "0x" + "5" * 62])
def test_bad_seeds(case, seed):
    assert "64" in case.refusal(seed=seed)


def test_upper_case_seed_is_the_same(case):
    case.run()
    plain = case.output.read_bytes()
    case.run(seed=SEED.upper())
    assert case.output.read_bytes() == plain


def test_missing_file_and_same_file(case):
    assert "không" in case.refusal(students=str(case.folder / "không có.csv"))
    assert "cùng một tệp" in case.refusal(output=str(case.folder / "s.csv"))


def test_output_that_cannot_be_written(case):
    with pytest.raises(CommandError, match="không ghi được"):
        case.run(output=str(case.folder / "không có" / "o.csv"))


def test_needs_no_database(case):
    """As a process of its own, with a database address that nobody answers."""
    environment = os.environ | {"DATABASE_URL": "postgresql://x:x@127.0.0.1:1/none"}
    done = subprocess.run(
        [sys.executable, "manage.py", "simulate", *case.arguments()],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert json.loads(done.stdout)["students"] == 3
    case.write("s.csv", STUDENTS + "d,01,001,T1,rich,1,,\n")
    done = subprocess.run(
        [sys.executable, "manage.py", "simulate", *case.arguments()],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "line 5" in done.stderr
    assert "Traceback" not in done.stderr

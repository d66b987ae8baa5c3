"""Two readers of the same files: what the quick one reads is what the careful one reads, or it reads nothing."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation import plain
from allocation.plain import read_plain
from allocation.tables import BadFile, Table, any_code, given_code

RULES = {"id": given_code, "code": any_code, "other": any_code}
# Around the words of eight bytes in which values are compared, and across the scripts.
CODES = st.text("aAbz09 .-_;ăĐ漢😀", max_size=20)


def rows_of(table: Table) -> list[tuple[str, ...]]:
    columns = [table[name] for name in RULES]
    return list(zip(*([column.values[n] for n in column.number.tolist()] for column in columns), strict=True))


def read(path: Path) -> Table:
    return Table(str(path), RULES, lambda table: iter(()), lambda file, rows: None)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(CODES.filter(bool), CODES, CODES), max_size=30, unique_by=lambda row: row[0]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    mark=st.booleans(),
)
def test_both_readers_read_the_same(tmp_path_factory, rows, line_end, last, mark):
    path = tmp_path_factory.getbasetemp() / "plain.csv"
    lines = [",".join(row) for row in [tuple(RULES), *rows]]
    path.write_bytes(("\ufeff" * mark + line_end.join(lines) + line_end * last).encode())
    columns = read_plain(path, tuple(RULES))
    assert columns is not None
    try:
        quick = rows_of(read(path))
    except BadFile:  # not NFC, say: the careful reader decides
        return
    assert quick == rows
    size, plain.PLAIN_BYTES = plain.PLAIN_BYTES, -1
    try:
        assert read_plain(path, tuple(RULES)) is None
        assert rows_of(read(path)) == rows
    finally:
        plain.PLAIN_BYTES = size


@pytest.mark.parametrize(
    "data",
    [
        b'id,code,other\n"a",b,c\n',
        b"id,code,other\na,b\n",
        b"id,code,other\na,b,c,d\n",
        b"id,code,other\na,b,c,d,e\nf\n",  # as many commas and lines as two right rows have
        b"id,code,other\na,b,c\n\nd,e,f\n",
        b"id,code,other\na,b,c\rd,e,f\n",
        b"id,code,other\na,b\0,c\n",
        b"id,code,other\na,b,\xff\n",
        b"id,code,other\na,b,c\na,d,e\n",
        b"id,code\na,b\n",
        b"id,code,other,other\na,b,c,d\n",
        b"id,code,more\na,b,c\n",
        b"\nid,code,other\na,b,c\n",
        b"id,code,other\na,b," + b"c" * 200_000 + b"\n",
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_the_other(tmp_path, data):
    path = tmp_path / "odd.csv"
    path.write_bytes(data)
    assert read_plain(path, tuple(RULES)) is None


def test_columns_are_numbered_in_the_order_of_bytes(tmp_path):
    path, source = tmp_path / "many.csv", random.Random(5)
    letters = "09AZaz-đẤ漢"
    wanted = ["".join(source.choices(letters, k=source.randint(0, 11))) for _ in range(50_000)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RULES)
        writer.writerows((str(n), code, code[:1]) for n, code in enumerate(wanted))
    columns = read_plain(path, tuple(RULES))
    assert columns is not None
    assert len(columns["code"].values) > plain.MANY
    for name, values in (("code", wanted), ("other", [code[:1] for code in wanted])):
        column = columns[name]
        assert list(column.values) == sorted(set(values), key=str.encode)
        assert np.array(column.values, dtype=object)[column.number].tolist() == values

"""Columns on their way into and out of PostgreSQL: every value as it was, whatever the lengths of the texts around it."""

import numpy as np
import pytest
from django.db import DatabaseError, connection, transaction

from common import columns
from common.columns import Words, read_columns, write_columns

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = "columns_of_a_test"


@pytest.fixture(autouse=True)
def table():
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE {TABLE} (id int8, "group" int2, yes bool, word text, other text)')
        yield cursor
        cursor.execute(f"DROP TABLE {TABLE}")


def test_texts_of_any_length_keep_their_rows(table, monkeypatch):
    monkeypatch.setattr(columns, "CHUNK_ROWS", 64)
    size = 1_000
    words = ["", "Sở", "Hà Nội — Thủ đô", "x" * 300]
    others = ["ngắn", "dài hơn"]
    random = np.random.default_rng(3667)
    which, other = random.integers(0, len(words), size), random.integers(0, len(others), size)
    written = write_columns(
        TABLE,
        id=("i8", np.arange(size)),
        group=("i2", 7),
        yes=("?", which > 1),
        word=Words(words, which),
        other=Words(others, other),
    )
    assert written == size
    table.execute(f'SELECT id, "group", yes, word, other FROM {TABLE} ORDER BY id')
    assert table.fetchall() == [
        (row, 7, bool(number > 1), words[number], others[beside])
        for row, (number, beside) in enumerate(zip(which.tolist(), other.tolist(), strict=True))
    ]
    read = read_columns(f"(SELECT * FROM {TABLE} ORDER BY id) AS rows", [], id="i8", group="i2", yes="?")
    assert read["id"].tolist() == list(range(size))
    assert set(read["group"].tolist()) == {7}
    assert read["yes"].tolist() == (which > 1).tolist()


def test_no_rows_are_no_rows(table):
    nothing = np.zeros(0, dtype=np.int64)
    assert write_columns(TABLE, id=("i8", nothing), word=Words([], nothing)) == 0


def test_rows_that_everyone_sees_go_only_into_a_table_made_in_the_same_transaction(table):
    one = np.array([1])
    with pytest.raises(DatabaseError, match="FREEZE"):
        write_columns(TABLE, frozen=True, id=("i8", one))
    with transaction.atomic():
        table.execute(f"CREATE TABLE {TABLE}_new (LIKE {TABLE})")
        assert write_columns(f"{TABLE}_new", frozen=True, id=("i8", one), word=Words(["một"], one - 1)) == 1
    table.execute(f"SELECT id, word FROM {TABLE}_new")
    assert table.fetchall() == [(1, "một")]
    table.execute(f"DROP TABLE {TABLE}_new")

"""What PostgreSQL's planner must be told where its statistics can't know it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# From here a loop over the rows costs more than reading the tables once.
MANY = 10_000


@contextmanager
def planned_for_many(rows: int) -> Iterator[None]:
    """Within the caller's transaction, plan statements over so many rows without nested loops; few are left alone.

    Right after a bulk load the statistics still say "empty", and after one that failed its dead rows lie in the way:
    a loop over a million rows is quadratic then, and takes hours instead of seconds.
    """
    if rows < MANY:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop = on")

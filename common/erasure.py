"""Erasure of children's data (Law 91/2025/QH15): the mark that is left, who is erased, and taking names out of texts.

One implementation for a family's request and for the end of retention: the children stand in a temporary table, each
app erases what it holds about them in a service of its own, `delivery.services.erasure` calls them.
"""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pgtrigger
from django.db import connection
from psycopg import sql

# What stands where something was erased. A day that can't be empty becomes the first of a year that nobody was born in.
ERASED = "(đã xoá)"
ERASED_DAY = dt.date(1900, 1, 1)


@contextlib.contextmanager
def erasing(select: str, params: Sequence) -> Iterator[int]:
    """Put the ids that `select` yields into the table `erasure_child (id)` for this block; yields how many.

    Inside a transaction. Every app's erasure joins that table, so that one child and two million take the same
    statements.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE erasure_child (id bigint PRIMARY KEY) ON COMMIT DROP")
        cursor.execute(f"INSERT INTO erasure_child {select}", params)
        count = cursor.rowcount
        cursor.execute("ANALYZE erasure_child")
        yield count
        cursor.execute("DROP TABLE erasure_child")


@dataclass(frozen=True)
class Traces:
    """What a person could be recognised by in a free text: names, codes, numbers. Never logged, never stored."""

    words: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """PostgreSQL's regular expression that finds any of them, whole, also in capitals.

        Capitals are spelled out and the ends looked at by the neighbouring character only: a database in the C locale
        knows no letter beyond ASCII.
        """
        forms = dict.fromkeys(form for word in self.words for form in (word, word.upper(), word.lower()))
        return "(?<![[:alnum:]])(" + "|".join(map(re.escape, forms)) + ")(?![[:alnum:]])"

    def take_out(
        self, table: str, columns: Sequence[str], *, json: Sequence[str] = (), whole: bool = False
    ) -> int:
        """Overwrite every occurrence in these columns of a table by the mark, in any case; how many rows changed.

        Set-based, one pass over the table. `json`: columns of type jsonb among `columns`. `whole`: the text around an
        occurrence goes too.
        """
        if not self.words:
            return 0
        sets, finds = [], []
        pattern = f"^.*{self.pattern}.*$" if whole else self.pattern
        for name in columns:
            column = sql.Identifier(name)
            text = sql.SQL("{}::text").format(column) if name in json else column
            changed = sql.SQL("regexp_replace({}, %s, %s, 'gi')").format(text)
            if name in json:
                changed = sql.SQL("({})::jsonb").format(changed)
            sets.append(sql.SQL("{} = {}").format(column, changed))
            finds.append(sql.SQL("{} ~* %s").format(text))
        query = sql.SQL("UPDATE {} SET {} WHERE {}").format(
            sql.Identifier(table), sql.SQL(", ").join(sets), sql.SQL(" OR ").join(finds)
        )
        with connection.cursor() as cursor:
            # In order, not by name: inside `images_of` a parameter is put in front.
            count = len(columns)
            cursor.execute(query, [pattern, ERASED] * count + [pattern] * count)
            return cursor.rowcount


def images_of(model):
    """A block in which the images of a model's changes (its audit trail) may be scrubbed; inside a transaction.

    Statements in it take their parameters in order (`%s`): the block puts one of its own in front.
    """
    return pgtrigger.ignore(f"{model._meta.app_label}.{model.__name__}Event:append_only")

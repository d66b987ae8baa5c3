"""Comparing the database with the published log."""

from django.conf import settings
from django.db import connection

from ledger.audit import LogError, verify_log
from ledger.disk import Disk
from ledger.publisher import read_table
from ledger.tiles import WIDTH, read_entries


def verify_database(size: int) -> dict:
    """Compare every published entry with the table; {"entries", "waiting", "ahead"}. Raises LogError."""
    disk, at = Disk(settings.LEDGER_DIR), 0
    theirs = (data for bundle in read_entries(disk.fetch, size) for data in bundle)
    for bodies, _ in read_table(0, size):
        for body in bodies:
            if next(theirs, None) != body:
                raise LogError(f"entry {at} of the table is not the published one (bundle {at // WIDTH})")
            at += 1
    if at != size:
        raise LogError(f"the table has {at} of the {size} published entries")
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM ledger_outbox)")
        entries, waiting = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM ledger_outbox o JOIN ledger_entry e ON e.eid = o.eid")
        if doubled := cursor.fetchone()[0]:
            raise LogError(f"{doubled} entries are in the log and still in the outbox")
    return {"entries": entries, "waiting": waiting, "ahead": entries - size}


__all__ = ["LogError", "verify_database", "verify_log"]

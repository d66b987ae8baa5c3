"""A backup comes back elsewhere, older than the published log: nothing is signed until it has caught up."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from common import pg
from drills import drill
from tests.live import Platform

COUNTED = ["schools_office", "donations_pledge", "donations_device", "ledger_entry"]


def _database(name: str) -> str:
    """An empty database on the drill's server."""
    server = os.environ["DATABASE_URL"].rsplit("/", 1)[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{server}/{name}"


def _counts(platform: Platform) -> dict[str, int]:
    return {
        table: platform.query(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))[0][0]
        for table in COUNTED
    }


def _client(name: str, *arguments: str) -> None:
    subprocess.run([str(pg.client(name)), *arguments], check=True, stdout=sys.stderr)


@drill("restore.elsewhere")
def restored_elsewhere() -> dict:
    """Dump, go on working and publishing, restore the dump elsewhere, catch up from the log's files, verify."""
    with tempfile.TemporaryDirectory(prefix="restore-") as name:
        folder = Path(name)
        first = Platform(_database("restore_from"), folder)
        first.manage("prepare")
        first.manage("demo", "--size", "small", "--until", "pledges")
        first.manage("ledger", "publish", "--now", "--inline-signer")
        saved = _counts(first)
        dump = folder / "backup.dump"
        _client("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={first.database_url}")

        # The work and the log go on after the backup.
        first.manage("demo", "--size", "small", "--until", "intake1")
        first.manage("ledger", "publish", "--now", "--inline-signer")
        first.manage("ledger", "verify")
        published = (folder / "ledger" / "checkpoint").read_text()

        # The same files (log, keys, the signer's memory), the older database.
        second = Platform(_database("restore_to"), folder)
        _client("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={second.database_url}", str(dump))
        restored = _counts(second)
        assert restored == saved, (restored, saved)
        second.manage("ledger", "publish", "--now", "--inline-signer", check=False)
        assert (folder / "ledger" / "checkpoint").read_text() == published, "một mốc khác đã được ký"
        second.manage("ledger", "catch-up")
        second.manage("ledger", "verify")
        caught_up = _counts(second)
        return {
            "entries_in_backup": saved["ledger_entry"],
            "entries_published": int(published.split("\n")[1]),
            "entries_after_catch_up": caught_up["ledger_entry"],
            "rows_restored": sum(restored.values()),
            "dump_mb": round(dump.stat().st_size / 1e6, 1),
        }

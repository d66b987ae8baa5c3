"""A log of its own for a test: folder, keys, signer, and an empty table afterwards."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from django.db import connection
from django.utils import timezone

from ledger.bulk import record_many
from ledger.codes import new_device_codes
from ledger.disk import Disk
from ledger.notes import SigningKey, VerifierKey
from ledger.publisher import Published, seal_and_publish, write_public_files
from ledger.signer import Signer

DAY = datetime.date(2021, 10, 5)
ORIGIN = "may-tinh-cho-em.example/so-cai"


@dataclass
class Log:
    """One published log under a test's folder."""

    folder: Path
    state: Path
    keys: list[SigningKey]

    @property
    def disk(self) -> Disk:
        return Disk(self.folder)

    @property
    def verifiers(self) -> list[VerifierKey]:
        return [key.verifier for key in self.keys]

    def signer(self) -> Signer:
        return Signer(keys=self.keys, folder=self.state, published=self.folder / "checkpoint")

    def turn(
        self, *, at_once: bool = True, today: datetime.date = DAY, disk: Disk | None = None
    ) -> Published | None:
        """One turn of the sequencer; the new checkpoint."""
        done = seal_and_publish(
            at=timezone.now(), today=today, signer=self.signer(), disk=disk or self.disk, at_once=at_once
        )
        assert done is not None
        return done[1]


def make_log(folder: Path) -> Log:
    log = Log(folder / "log", folder / "signer", [SigningKey(ORIGIN, bytes(range(32)))])
    write_public_files(log.folder, log.keys)
    return log


def receive(count: int, **fields) -> list[str]:
    """Record `count` received devices (in the caller's transaction); their codes."""
    codes = new_device_codes(count)
    fields = {"to": "KHO-TU", "kind": "tablet"} | fields
    record_many(event="device.received", on=DAY, rows=[{"device": code, **fields} for code in codes])
    return codes


def empty_tables() -> None:
    """What only a superuser with the triggers off can do; so that one test leaves nothing to the next."""
    with connection.cursor() as cursor:
        for table in ("ledger_entry", "ledger_checkpoint"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER a_never_changes")
            cursor.execute(f"TRUNCATE {table}")
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER a_never_changes")
        cursor.execute("TRUNCATE ledger_outbox, ledger_opening, ledger_closed_hold")

"""What the database, the signer and the witnesses refuse; what a crash and a restore can't break."""

import errno
import json
import random
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from common.pg import die_with_parent
from ledger.checks import verify_database
from ledger.disk import Disk
from ledger.log import LogError, verify_log
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.notes import COSIGNATURE, Note, SigningKey, TreeHead, VerifierKey, encode64
from ledger.publisher import PublishError, catch_up, publish, rebuild
from ledger.sequencer import log_size, seal
from ledger.services import record
from ledger.signer import Signer, SignerRefusedError, SignRequest
from ledger.tiles import Tiles, copy_log, leaf_hashes
from ledger.tree import consistency_proof, root_of
from ledger.witnesses import Witness
from tests.ledger_log import DAY, empty_tables, make_log, receive
from verifier.build import WITNESS

ROLES = ("ledger_app", "ledger_sequencer", None)
ENTRY = (
    "INSERT INTO ledger_entry (index, eid, event, state, body, leaf_hash) VALUES"
    " (%s, gen_random_uuid(), 'x', '', 'x', sha256('\\x00'::bytea || 'x'::bytea))"
)
ATTACKS = {
    "update an entry": "UPDATE ledger_entry SET body = 'x'",
    "delete an entry": "DELETE FROM ledger_entry WHERE index = 0",
    "truncate the log": "TRUNCATE ledger_entry",
    "update a checkpoint": "UPDATE ledger_checkpoint SET size = 0",
    "delete a checkpoint": "DELETE FROM ledger_checkpoint",
    "truncate checkpoints": "TRUNCATE ledger_checkpoint",
    "change what waits": "UPDATE ledger_outbox SET body = 'x'",
    "a gap": ENTRY % 7,
    "an index twice": ENTRY % 0,
    "a negative index": ENTRY % -1,
    "a wrong hash": "INSERT INTO ledger_entry (index, eid, event, state, body, leaf_hash) VALUES"
    " (3, gen_random_uuid(), 'x', '', 'x', sha256('y'))",
    "a step twice": "INSERT INTO ledger_entry (index, eid, event, dev, n, state, body, leaf_hash)"
    " SELECT 3, gen_random_uuid(), event, dev, n, state, body, leaf_hash FROM ledger_entry WHERE index = 0",
    "insert or update": f"{ENTRY % 0} ON CONFLICT (index) DO UPDATE SET body = 'x'",
    "merge": "MERGE INTO ledger_entry e USING (SELECT 0 AS i) s ON e.index = s.i WHEN MATCHED THEN UPDATE SET body = 'x'",
    "merge away": "MERGE INTO ledger_entry e USING (SELECT 0 AS i) s ON e.index = s.i WHEN MATCHED THEN DELETE",
    "delete on the side": "WITH gone AS (DELETE FROM ledger_entry RETURNING 1) SELECT count(*) FROM gone",
    "truncate all at once": "TRUNCATE ledger_outbox, ledger_entry CASCADE",
    "a step of another's": "UPDATE ledger_entry SET dev = NULL, n = NULL WHERE index = 1",
    "as a replica": "SET LOCAL session_replication_role = replica; DELETE FROM ledger_entry",
}


@pytest.fixture
def log(tmp_path, db):
    return make_log(tmp_path)


@pytest.fixture
def free_log(tmp_path, transactional_db):
    """A log whose transactions are real; everything is gone afterwards."""
    yield make_log(tmp_path)
    empty_tables()


@transaction.atomic
def attack(statement: str, role: str | None) -> None:
    with connection.cursor() as cursor:
        if role:
            cursor.execute(f"SET LOCAL ROLE {role}")
        for part in statement.split("; "):
            cursor.execute(part)


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_the_log_is_guarded_against_every_role(log, role, capsys):
    receive(3)
    log.turn()
    record(event="pledge.cancelled", on=DAY, pledge="CK-1", reason="error")
    for what, statement in ATTACKS.items():
        with pytest.raises(DatabaseError):
            attack(statement, role)
        assert LedgerEntry.objects.count() == 3, what
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(ATTACKS)} attacks as {role or 'superuser, triggers on'}: none got through\n"
        )


def test_the_guards_read_no_more_of_a_long_log(log):
    """Recording and sealing ask its indexes, also in a session that recorded many: the cost is that of what is added."""
    receive(2_000)
    log.turn()
    read = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'ledger_entry'"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ledger_entry")
        cursor.execute(read)
        (before,) = cursor.fetchone()
        for _ in range(8):  # PostgreSQL may take another plan from the sixth time on
            receive(1)
            seal(today=DAY)
        cursor.execute(read)
        assert cursor.fetchone()[0] == before
    assert log_size() == 2_008


@pytest.mark.parametrize("role", [None, "ledger_app"], ids=str)
def test_only_the_sequencer_adds(log, role):
    with pytest.raises(DatabaseError):
        attack(ENTRY % 0, role)
    with pytest.raises(DatabaseError):
        attack("DELETE FROM ledger_outbox", role)
    attack(ENTRY % 0, "ledger_sequencer")


def forge(statement: str) -> None:
    """What a superuser who switches the triggers off can do."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
        cursor.execute(statement)
        for name in ("a_never_changes", "a_only_sequencer", "b_contiguous"):
            cursor.execute(f"ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER {name}")


def test_a_superuser_who_forges_is_caught_by_files_and_signer(log, settings):
    receive(5)
    log.turn()
    settings.LEDGER_DIR = log.folder
    forge(
        "UPDATE ledger_entry SET body = 'x', leaf_hash = sha256('\\x00'::bytea || 'x'::bytea) WHERE index = 2"
    )
    with pytest.raises(LogError, match="entry 2"):
        verify_database(5)
    # Files made from the forged table: the tree is another, and the signer knows.
    bodies = [body.encode() for body in LedgerEntry.objects.order_by("index").values_list("body", flat=True)]
    with pytest.raises(SignerRefusedError, match="lịch sử"):
        log.signer().sign(SignRequest(5, 5, root_of(leaf_hashes(bodies)), ()), at=timezone.now())
    with pytest.raises(PublishError, match="không phải những gì đã ký"):
        rebuild(disk=log.disk)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'in_use'",
        "dev = NULL, n = NULL, state = ''",
        "n = 5",
        "event = 'device.lost'",
        "eid = gen_random_uuid()",
    ],
)
def test_columns_that_pages_read_are_compared_with_the_body(log, settings, change):
    """The hash covers the body; what stands beside it is checked too."""
    settings.LEDGER_DIR = log.folder
    codes = receive(3)
    record(event="device.inspected", on=DAY, device=codes[0], outcome="accepted")
    record(event="device.inspected", on=DAY, device=codes[1], outcome="refused")
    undone = LedgerOutbox.objects.get(dev=codes[1], n=1)
    record(event="correction", on=DAY, device=codes[1], corrects=undone.eid.hex, reason="recorded_in_error")
    record(event="pledge.made", on=DAY, pledge="CK-1", kind="money", donor="agency")
    log.turn()
    size = LedgerEntry.objects.count()
    assert verify_database(size)["entries"] == size
    forge(f"UPDATE ledger_entry SET {change} WHERE dev = '{codes[0]}' AND n = 1")
    with pytest.raises(LogError, match="columns"):
        verify_database(size)


def test_the_signer_signs_one_history(tmp_path):
    key = SigningKey("so-cai.example", bytes(32))
    signer = Signer(keys=[key], folder=tmp_path / "signer")
    leaves = leaf_hashes([b"%d" % number for number in range(20)])
    now = timezone.now()
    signer.sign(SignRequest(0, 10, root_of(leaves[:10]), ()), at=now)
    refused = [
        SignRequest(10, 9, root_of(leaves[:9]), ()),
        SignRequest(10, 10, root_of([*leaves[:9], bytes(32)]), ()),
        SignRequest(10, 20, root_of(leaves), ()),
        SignRequest(0, 20, root_of(leaves), ()),
    ]
    for request in refused:
        with pytest.raises(SignerRefusedError):
            signer.sign(request, at=now)
    again = Signer(keys=[key], folder=tmp_path / "signer")
    assert again.size == 10


def test_work_on_a_restored_backup_that_the_log_rules_out_stops_the_catching_up(free_log):
    log = free_log
    with transaction.atomic():
        (code,) = receive(1)
    log.turn()
    with transaction.atomic():
        record(event="device.inspected", on=DAY, device=code, outcome="refused")
    size = log.turn().head.size
    forge("DELETE FROM ledger_entry WHERE index = 1")
    with transaction.atomic():
        record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    with pytest.raises(PublishError, match=rf"Có 1 mục.*{code}"):
        catch_up(disk=log.disk)
    assert LedgerEntry.objects.count() == size - 1, "nothing half done"
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_outbox")
    assert catch_up(disk=log.disk) == 1


class FaultyDisk(Disk):
    """A disk whose `fail_at`-th touch fails, as when it is full or pulled out."""

    def __init__(self, root: Path, fail_at: int):
        super().__init__(root)
        self.left = fail_at
        self.lock = threading.Lock()

    def _touch(self) -> None:
        with self.lock:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.ENOSPC, "no room")

    def write(self, path, data):
        self._touch()
        # What a crash leaves: half a file, aside.
        if self.left == 1:
            path.write_bytes(data[: len(data) // 2])
        super().write(path, data)

    def sync(self, path):
        self._touch()
        super().sync(path)

    def rename(self, aside, path):
        self._touch()
        super().rename(aside, path)


def test_a_fault_at_each_file_operation_leaves_a_log_that_verifies(log, capsys):
    receive(300)
    log.turn()
    faults = 0
    for fail_at in range(1, 200):
        receive(3)
        disk = FaultyDisk(log.folder, fail_at)
        try:
            log.turn(disk=disk)
        except OSError:
            faults += 1
        else:
            break
        assert verify_log(log.disk.fetch, log.verifiers)["size"] >= 300
    size = LedgerEntry.objects.count()
    log.turn()
    assert verify_log(log.disk.fetch, log.verifiers)["size"] == size
    with capsys.disabled():
        sys.stdout.write(
            f"\nfaults at {faults} file operations: the log verified after each, then caught up to {size}\n"
        )
    assert faults > 10


def test_twenty_restores_never_fork_the_log(free_log, settings, capsys):
    """Back to an earlier table, as a restored dump would: the published log wins, whatever was recorded since."""
    log, chance = free_log, random.Random(3667)
    settings.LEDGER_DIR = log.folder
    for turn in range(20):
        with transaction.atomic():
            receive(chance.randrange(5, 60))
        log.turn()
        size = LedgerEntry.objects.count()
        back = chance.randrange(1, size)
        forge(f"DELETE FROM ledger_entry WHERE index >= {back}")
        with pytest.raises(PublishError, match="catch-up"):
            publish(at=timezone.now(), signer=log.signer(), disk=log.disk, force=True)
        if turn % 2:
            # Work went on in the restored database before anyone noticed.
            with transaction.atomic():
                receive(2)
        assert catch_up(disk=log.disk) == size - back
        log.turn()
        assert verify_log(log.disk.fetch, log.verifiers)["size"] == LedgerEntry.objects.count()
        verify_database(LedgerEntry.objects.count())
    assert LedgerOutbox.objects.count() == 0
    with capsys.disabled():
        sys.stdout.write("\n20 restores to a random earlier point: 0 inconsistent checkpoints signed\n")


def test_a_table_that_went_its_own_way_after_a_restore_is_not_published(free_log):
    log = free_log
    with transaction.atomic():
        receive(30)
    log.turn()
    before = (log.folder / "checkpoint").read_bytes()
    forge("DELETE FROM ledger_entry WHERE index >= 10")
    with transaction.atomic():
        receive(40)
    with pytest.raises(PublishError, match="rẽ nhánh"):
        log.turn()
    assert (log.folder / "checkpoint").read_bytes() == before
    verify_log(log.disk.fetch, log.verifiers)


def checkpoint_of(key: SigningKey, leaves: list[bytes]) -> bytes:
    head = TreeHead(key.name, len(leaves), root_of(leaves))
    return (head.text + "\n" + key.signature_line(head.text)).encode()


def add_request(old: int, proof: list[bytes], note: bytes) -> bytes:
    return "\n".join([f"old {old}", *map(encode64, proof), "", ""]).encode() + note


def test_a_thousand_races_rollbacks_and_forks_at_a_witness(tmp_path, capsys):
    log_key = SigningKey("so-cai.example", bytes(32))
    witness = Witness(
        key=SigningKey("nhan-chung.example", bytes(range(32)), COSIGNATURE),
        folder=tmp_path,
        logs=[log_key.verifier],
    )
    leaves, fork = (leaf_hashes([b"%s%d" % (name, number) for number in range(400)]) for name in (b"a", b"b"))
    fork[:5] = leaves[:5]

    def node(branch):
        def read(level: int, index: int) -> bytes:
            return root_of(branch[index << level : (index + 1) << level])

        return read

    assert witness.add(add_request(0, [], checkpoint_of(log_key, leaves[:50])))[0] == 200
    chance, cosigned = random.Random(7), []

    def race(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(125):
            branch = own.choice((leaves, fork))
            size, old = own.randrange(6, 400), witness.known("so-cai.example")[0]
            old = own.choice((old, own.randrange(0, 400)))
            proof = consistency_proof(node(branch), old, size) if old <= size else []
            status, _, body = witness.add(add_request(old, proof, checkpoint_of(log_key, branch[:size])))
            if status == 200:
                cosigned.append((size, branch is leaves, body))

    threads = [threading.Thread(target=race, args=(chance.random(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cosigned
    assert all(true for _, true, _ in cosigned), "a fork was cosigned"
    sizes = [size for size, _, _ in cosigned]
    assert sizes == sorted(sizes), "rolled back"
    with capsys.disabled():
        sys.stdout.write(
            f"\n1,000 races, rollbacks and forks: {len(sizes)} true growths cosigned, 0 others\n"
        )
    assert witness.add(b"nonsense")[0] == 400
    other = SigningKey("khac.example", bytes(32))
    assert witness.add(add_request(0, [], checkpoint_of(other, leaves[:5])))[0] == 404
    imposter = SigningKey("so-cai.example", bytes(31) + b"x")
    assert witness.add(add_request(0, [], checkpoint_of(imposter, leaves[:5])))[0] == 403


def start_witness(folder: Path, number: int, vkey: str) -> tuple[subprocess.Popen, dict]:
    """A witness as a body would run it: the one file, a process of its own, its own key and memory."""
    process = subprocess.Popen(
        [sys.executable, "-I", str(WITNESS), "--name", f"nhan-chung-{number}.example", "--key-file",
         str(folder / f"key{number}"), "--state", str(folder / f"memory{number}"), "--log-key", vkey],
        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
    )  # fmt: skip
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def test_three_witnesses_in_processes_of_their_own_cosign_what_is_published(log, settings, tmp_path):
    started = [start_witness(tmp_path, number, str(log.verifiers[0])) for number in range(3)]
    settings.LEDGER_WITNESSES = [
        {"url": f"http://127.0.0.1:{said['port']}", "key": said["key"]} for _, said in started
    ]
    known = [VerifierKey.parse(said["key"]) for _, said in started]
    try:
        assert (tmp_path / "key0").stat().st_mode & 0o777 == 0o600
        receive(20)
        log.turn()
        assert len(verify_log(log.disk.fetch, log.verifiers, witnesses=known, needed=3)["witnesses"]) == 3
        # Killed and started again, it remembers; another stays away.
        started[1][0].kill()
        started[1][0].wait()
        started[2][0].kill()
        again, said = start_witness(tmp_path, 2, str(log.verifiers[0]))
        assert said["key"] == str(known[2])
        settings.LEDGER_WITNESSES[2]["url"] = f"http://127.0.0.1:{said['port']}"
        started.append((again, said))
        receive(300)
        log.turn()
        assert len(verify_log(log.disk.fetch, log.verifiers, witnesses=known, needed=2)["witnesses"]) == 2
        with pytest.raises(LogError, match="2 of the 3"):
            verify_log(log.disk.fetch, log.verifiers, witnesses=known, needed=3)
        at = f"http://127.0.0.1:{said['port']}"
        assert [
            ask_raw(at, path, body) for path, body in ((("/add-checkpoint"), b"x"), ("/elsewhere", b"x"))
        ] == [400, 404]
        assert ask_raw(at, "/add-checkpoint", b"x", {"Content-Length": "²"}) == 413, "a digit, and no number"
    finally:
        for process, _ in started:
            process.terminate()
            process.wait()
            process.stdout.close()


def ask_raw(url: str, path: str, body: bytes, headers: dict | None = None) -> int:
    asked = urllib.request.Request(url + path, data=body, headers=headers or {})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=10)
    refused.value.close()
    return refused.value.code


def test_a_witness_answers_as_the_protocol_says(tmp_path):
    """C2SP tlog-witness: each refusal with its status, and nothing cosigned with it."""
    log_key = SigningKey("so-cai.example", bytes(32))
    witness = Witness(
        key=SigningKey("nhan-chung.example", bytes(range(32)), COSIGNATURE),
        folder=tmp_path,
        logs=[log_key.verifier],
    )
    leaves = leaf_hashes([b"%d" % number for number in range(40)])

    def node(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    head = checkpoint_of(log_key, leaves[:10])
    assert witness.add(add_request(0, [bytes(32)], head))[0] == 422, "the proof from nothing is empty"
    status, _, body = witness.add(add_request(0, [], head))
    assert status == 200
    note = Note.parse(head + body.encode())
    assert note.signed_by(witness.key.verifier) > 1_700_000_000
    assert witness.add(add_request(0, [], head)) == (409, "text/x.tlog.size", "10\n")
    assert witness.add(add_request(10, [], head))[0] == 200, "the same head again"
    assert witness.add(add_request(10, [bytes(32)], head))[0] == 422
    assert witness.add(add_request(10, [], checkpoint_of(log_key, leaves[10:20])))[0] == 409, (
        "same size, another root"
    )
    assert witness.add(add_request(10, [], checkpoint_of(log_key, leaves[:9])))[0] == 400, (
        "smaller than the old size"
    )
    grown, proof = checkpoint_of(log_key, leaves), consistency_proof(node, 10, 40)
    assert witness.add(add_request(10, proof[:-1], grown))[0] == 422
    assert witness.add(add_request(10, [bytes(32)] * 64, grown))[0] == 400
    assert witness.add(add_request(10, proof, grown.replace(b"40", b"41")))[0] == 403
    assert witness.known("so-cai.example") == (10, root_of(leaves[:10]))
    assert witness.add(add_request(10, proof, grown))[0] == 200
    (memory,) = tmp_path.glob("*.json")
    memory.write_text("{")
    assert witness.add(add_request(40, [], grown))[0] == 500


def test_a_mirror_copied_while_the_log_grows_verifies_at_every_moment(log, tmp_path):
    mirror = Disk(tmp_path / "mirror")
    receive(250)
    log.turn()
    seen = []

    def put_all(files) -> None:
        mirror.put_all(files)
        receive(3)
        log.turn()
        if (mirror.root / "checkpoint").exists():
            seen.append(verify_log(mirror.fetch, log.verifiers)["size"])

    for _ in range(4):
        copy_log(log.disk.fetch, put_all)
    assert seen == sorted(seen)
    assert Tiles(mirror.fetch, seen[-1]).root() is not None

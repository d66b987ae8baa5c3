"""Keys of the log: made by a command, kept out of the database, replaced with an entry; and when the signer says no."""

import datetime
import json
import threading

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ledger.disk import Disk
from ledger.keys import read_key
from ledger.log import endorsed_keys, verify_log
from ledger.management.commands.ledger import inline_signer
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.notes import SigningKey, TreeHead
from ledger.publisher import public_keys, seal_and_publish
from ledger.signer import Mailbox, Signer, SignerRefusedError, SignRequest, serve
from ledger.tiles import leaf_hashes
from ledger.tree import root_of
from tests.ledger_fuzz import call
from tests.ledger_log import DAY, receive

pytestmark = pytest.mark.django_db


@pytest.fixture
def keys(settings, tmp_path):
    """A log of its own whose keys are files; `keys(names)` sets which of them sign."""
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = tmp_path / "log", tmp_path / "signer"
    for name in ("old", "new", "third"):
        call_command("ledger", "keys", "new", "--file", str(tmp_path / name))

    def use(*names: str) -> list[SigningKey]:
        settings.LEDGER_SIGNING_KEY = ",".join((tmp_path / name).read_text().strip() for name in names)
        return [SigningKey(settings.LEDGER_ORIGIN, read_key(tmp_path / name)) for name in names]

    return use


def turn() -> None:
    """One turn of the sequencer with a signer that has just started."""
    seal_and_publish(at=timezone.now(), today=DAY, signer=inline_signer(), at_once=True, force=True)


def test_keys_are_made_by_a_command_for_their_owner_alone(keys, tmp_path, capsys):
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "old").read_text()
    with pytest.raises(CommandError, match="không ghi đè"):
        call_command("ledger", "keys", "new", "--file", str(tmp_path / "old"))
    assert (tmp_path / "old").read_text() == before
    with pytest.raises(CommandError, match="không ghi được"):
        call_command("ledger", "keys", "new", "--file", str(tmp_path / "nowhere/key"))
    (key,) = keys("old")
    call_command("ledger", "keys", "show")
    assert capsys.readouterr().out.strip() == str(key.verifier)


def test_a_key_that_is_none_is_said_so(keys, settings):
    settings.LEDGER_SIGNING_KEY = "abc"
    with pytest.raises(CommandError, match="LEDGER_SIGNING_KEY"):
        call_command("ledger", "publish", "--now", "--inline-signer")


def test_a_key_is_replaced_with_an_entry_and_the_log_is_followed_over_it(keys, settings, tmp_path):
    (old,) = keys("old")
    receive(3)
    turn()
    with pytest.raises(CommandError, match="Chỉ có một khóa"):
        call_command("ledger", "keys", "rotated")
    # Not alone before the log names it.
    keys("new")
    with pytest.raises(SignerRefusedError, match="không có khóa nào"):
        inline_signer()
    _, new = keys("old", "new")
    turn()
    assert len(public_keys()) == 2
    keys("new")
    with pytest.raises(SignerRefusedError, match="chỉ bỏ khóa cũ"):
        inline_signer()
    keys("old", "new")
    call_command("ledger", "keys", "rotated")
    with pytest.raises(CommandError, match="đã được ghi rồi"):
        call_command("ledger", "keys", "rotated")
    turn()
    body = json.loads(LedgerEntry.objects.get(event="key.rotated").body)
    assert (body["old"], body["new"]) == (old.verifier.public.hex(), new.verifier.public.hex())
    keys("new")
    receive(2)
    turn()
    assert LedgerOutbox.objects.count() == 0
    # Who holds the first key follows; who holds a stranger's doesn't.
    disk = Disk(settings.LEDGER_DIR)
    assert endorsed_keys(disk.fetch, [old.verifier]) == [old.verifier, new.verifier]
    for key, code in ((old, 0), (new, 0), (SigningKey(old.name, bytes(32)), 1)):
        assert call("audit", str(settings.LEDGER_DIR), "--key", str(key.verifier))[0] == code
    call_command("ledger", "verify")
    # And over a second change.
    keys("new", "third")
    turn()
    call_command("ledger", "keys", "rotated")
    turn()
    (third,) = keys("third")
    turn()
    assert call("verify-log", str(settings.LEDGER_DIR), "--key", str(old.verifier))[0] == 0
    assert verify_log(disk.fetch, [third.verifier])["size"] == 7
    mirror = tmp_path / "mirror"
    call_command("ledger", "export", str(mirror))
    assert call("audit", str(mirror), "--key", str(old.verifier))[0] == 0


def ask(size: int, leaves: list[bytes]) -> SignRequest:
    return SignRequest(0, size, root_of(leaves[:size]), ())


def test_the_signer_refuses_a_memory_that_is_not_its_own(keys, settings, tmp_path):
    (old,) = keys("old")
    receive(1)
    turn()
    state = settings.LEDGER_SIGNER_DIR / "state.json"
    for wrong in ("", "{", "[]", '{"size": "x", "root": ""}', '{"size": 3}'):
        state.write_text(wrong)
        with pytest.raises(SignerRefusedError, match="không đọc được"):
            inline_signer()
    # Lost altogether: it goes on from what is published, and from nothing less.
    state.unlink()
    assert inline_signer().size == 1
    # What is published is of another key: not this log.
    other = SigningKey(old.name, bytes(32))
    with pytest.raises(SignerRefusedError, match="không do khóa của bộ ký này"):
        Signer(keys=[other], folder=tmp_path / "other", published=settings.LEDGER_DIR / "checkpoint")


def test_two_signers_with_one_memory_sign_one_history(tmp_path):
    key = SigningKey("so-cai.example", bytes(32))
    one, two = (Signer(keys=[key], folder=tmp_path / "signer") for _ in range(2))
    leaves, fork = (leaf_hashes([b"%s%d" % (name, number) for number in range(9)]) for name in (b"a", b"b"))
    one.sign(ask(9, leaves), at=timezone.now())
    for branch in (leaves, fork):
        with pytest.raises(SignerRefusedError, match="phải từ mục 9"):
            two.sign(ask(9, branch), at=timezone.now())


def test_the_signer_answers_by_its_own_clock_and_outlives_nonsense(tmp_path):
    key = SigningKey("so-cai.example", bytes(32))
    folder, stopped = tmp_path / "signer", threading.Event()
    signer = Signer(keys=[key], folder=folder)
    thread = threading.Thread(target=serve, args=(signer,), kwargs={"stop": stopped.is_set, "pause_s": 0.001})
    thread.start()
    try:
        for wrong in ("[]", "7", '"x"', "{", '{"id": 1}', '{"id": "a", "old": [], "size": 1}', "[" * 9000):
            (folder / "request.json").write_text(wrong)
        leaves = leaf_hashes([b"a", b"b"])
        long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
        note = Mailbox(folder).sign(ask(2, leaves), at=long_ago)
        signed = TreeHead.parse(note.split("\n\n")[0] + "\n").signed_at
        assert signed is not None
        assert abs(datetime.datetime.fromisoformat(signed) - timezone.now()) < datetime.timedelta(minutes=5)
        with pytest.raises(SignerRefusedError, match="đã ký 2 mục"):
            Mailbox(folder).sign(ask(1, leaves), at=timezone.now())
    finally:
        stopped.set()
        thread.join()

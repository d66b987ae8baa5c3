"""The stand-alone verifier as an outsider calls it, and every rule that its audit checks."""

import base64
import gzip
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ledger.audit import audit
from ledger.codes import new_device_code, new_device_codes
from ledger.draw import DrawError, check_margin, draw_file
from ledger.log import LogError, endorsed_keys, read_checkpoint, verify_log
from ledger.notes import COSIGNATURE, SigningKey
from ledger.receipts import ReceiptError, pack_family, read_family
from tests.ledger_fuzz import call, fuzz
from tests.ledger_story import (
    KEY,
    NEXT_KEY,
    RANDOMNESS,
    ROOT,
    RUN,
    SALT,
    SEED,
    SERVED,
    Files,
    Story,
    draw_rows,
    whole_story,
    write_files,
)
from verifier.build import BASE, PARTS, TARGET, WITNESS, build

WITNESSES = [
    SigningKey(f"nhan-chung-{number}.example", bytes([number]) * 32, COSIGNATURE) for number in (1, 2, 3)
]


@pytest.fixture(scope="module")
def story() -> Story:
    return whole_story()


@pytest.fixture
def log(story, tmp_path) -> Path:
    return write_files(tmp_path / "log", story.files())


@pytest.mark.parametrize("target", [TARGET, WITNESS], ids=lambda path: path.name)
def test_the_published_files_are_what_the_sources_make(target):
    assert target.read_text() == build(target), "run: python -m verifier.build"


def alone(*arguments: str, folder: Path, **env: str) -> subprocess.CompletedProcess:
    """The one file in a Python that sees nothing of the project."""
    return subprocess.run(
        [sys.executable, "-I", str(TARGET), *arguments],
        capture_output=True, text=True, cwd=folder, timeout=60, check=False, env=os.environ | env,
    )  # fmt: skip


def test_the_one_file_runs_alone_and_quotably(log, story):
    assert alone("verify-log", ".", folder=log).returncode == 0
    done = alone("audit", "log", folder=log.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Mọi quy tắc đều được giữ" in done.stdout
    assert "45 máy" in done.stdout
    # A terminal that knows no Vietnamese is no reason to fail.
    assert alone("audit", "log", folder=log.parent, PYTHONIOENCODING="ascii").returncode == 0
    damaged = log / "tile/0/001.p"
    next(damaged.iterdir()).write_bytes(b"")
    done = alone("verify-log", "log", folder=log.parent)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "tile/0/001.p/" in done.stderr


def old_fragment(device: str, eid: str, openings) -> str:
    """What a family's QR held until 12/2026."""
    opened = {field: {"salt": salt.hex(), "value": value} for field, value, salt in openings}
    return (
        base64.urlsafe_b64encode(json.dumps({"d": device, "e": eid, "o": opened}).encode())
        .decode()
        .rstrip("=")
    )


def test_a_family_s_qr_is_checked_against_a_mirror_in_its_new_and_its_old_form(log, story):
    body = next(body for body in map(json.loads, story.bodies) if body["t"] == "device.handed_over")
    device, eid, opening = body["dev"], body["eid"], ("recipient", "Giàng Thị Mỷ", SALT)
    qr = "https://may-tinh.example/so-cai/bien-nhan/#"
    for fragment in (
        pack_family(device, bytes.fromhex(eid), [opening]),
        old_fragment(device, eid, [opening]),
    ):
        assert read_family(fragment) == (device, eid, (("recipient", "Giàng Thị Mỷ", SALT.hex()),))
        code, out, _ = call("verify-receipt", qr + fragment, "--log", str(log))
        assert (code, "\n  người nhận: Giàng Thị Mỷ\n" in out) == (0, True)
        assert (
            "\n  recipient: Giàng"
            in call("verify-receipt", qr + fragment, "--log", str(log), "--lang", "en")[1]
        )
        assert call("verify-receipt", qr + fragment)[0] == 3, "no key and no log"
        assert call("verify-receipt", qr + fragment, "--key", str(KEY.verifier))[0] == 2, "no log"
    for wrong in (("recipient", "Giàng A Páo", SALT), ("school", "Giàng Thị Mỷ", SALT)):
        fragment = pack_family(device, bytes.fromhex(eid), [wrong])
        assert call("verify-receipt", qr + fragment, "--log", str(log))[0] == 1
    away = pack_family(device, bytes(16), [opening])
    code, _, error = call("verify-receipt", qr + away, "--log", str(log))
    assert (code, "not in the log" in error) == (1, True)


def test_a_damaged_qr_is_told_and_never_a_traceback(story):
    whole = pack_family(
        "7K3QF9XW2MDC", bytes(range(16)), [("recipient", "Giàng Thị Mỷ", SALT), ("school", "T", SALT)]
    )
    number = int(whole)
    cut = [str(number >> 8 * count) for count in range(1, (number.bit_length() + 7) // 8)]
    others = ["", "1", "9" * 5000, "e30", "bnVsbA", "khong-phai-bien-nhan", whole + "x", str(2 << 8 * 40)]
    for packed in [*cut, *others]:
        try:
            read = read_family(packed)
        except ReceiptError:
            continue
        assert len(read[2]) < 2, packed  # cut where a field ended: fewer openings, each of them whole


def test_installing_needs_no_network(tmp_path):
    """As `pip install ./verifier`: its own build backend makes the wheel, and the wheel's commands run."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(tmp_path / "site"),
         str(TARGET.parent)],
        check=True, timeout=120, capture_output=True,
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "site").glob("mtce_*.py")) == [
        "mtce_verify.py",
        "mtce_witness.py",
    ]
    done = subprocess.run(
        [str(tmp_path / "site/bin/mtce-verify"), "--help"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert done.returncode == 0
    assert "verify-receipt" in done.stdout


def test_exit_codes(log, story, tmp_path):
    key = str(KEY.verifier)
    (tmp_path / "junk").write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    receipt = story.receipt(10, story.files())
    (tmp_path / "r.tlog-proof").write_bytes(receipt)
    (tmp_path / "cut.tlog-proof").write_bytes(receipt[:300])
    with (tmp_path / "huge.tlog-proof").open("wb") as file:
        file.truncate(2**40)
    os.mkfifo(tmp_path / "pipe")
    write_files(
        tmp_path / "no-draw", {name: data for name, data in story.files().items() if "runs/" not in name}
    )
    (tmp_path / "a+b.vkey").write_text(f"{key}\n")
    stranger = str(SigningKey(KEY.name, bytes(32)).verifier)
    witness = str(WITNESSES[0].verifier)
    at = str(tmp_path)
    cases = [
        (0, "verify-log", str(log)),
        (0, "verify-log", str(log), "--key", key),
        (0, "verify-receipt", f"{at}/r.tlog-proof", "--key", key),
        (0, "verify-device", json.loads(story.bodies[10])["dev"].lower(), "--log", str(log)),
        (0, "verify-run", RUN, "--log", str(log)),
        (0, "audit", "--log", str(log)),
        (1, "verify-log", str(log), "--key", stranger),
        (1, "verify-receipt", f"{at}/r.tlog-proof", "--key", stranger),
        (1, "verify-receipt", f"{at}/junk", "--key", key),
        (1, "verify-receipt", f"{at}/cut.tlog-proof", "--key", key),
        (1, "verify-device", new_device_code(), "--log", str(log)),
        (1, "verify-run", "DPB-9", "--log", str(log)),
        (1, "verify-run", RUN, "--log", f"{at}/no-draw"),
        (1, "audit", f"{at}/no-draw"),
        (0, "verify-log", str(log), "--key", f"{at}/a+b.vkey"),
        (1, "verify-log", str(log), "--witness", witness, "--witnesses-needed", "1"),
        (1, "verify-receipt", f"{at}/r.tlog-proof", "--key", key, "--witness", witness, "--witnesses-needed", "1"),
        (2, "nonsense"),
        (2, "verify-log"),
        (2, "verify-device", "xyz", "--log", str(log)),
        (2, "verify-device", "--log", str(log)),
        (2, "verify-run", "../../etc/passwd", "--log", str(log)),
        (2, "verify-log", str(log), "--witness", witness, "--witness", witness, "--witnesses-needed", "2"),
        (2, "verify-log", str(log), "--witnesses-needed", "x"),
        (2, "verify-log", str(log), "--log", str(log)),
        (3, "verify-log", f"{at}/nowhere"),
        (3, "verify-log", f"{at}/empty"),
        (3, "verify-log", f"{at}/empty", "--key", key),
        (3, "verify-log", f"{at}/junk"),
        (3, "verify-log", "http://127.0.0.1:9/ledger"),
        (3, "verify-log", "http://a b/ledger"),
        (3, "verify-log", "https://[::1/ledger"),
        (3, "verify-log", str(log), "--key", f"{at}/junk"),
        (3, "verify-log", str(log), "--key", "abc"),
        (3, "verify-log", str(log), "--key", "a+b+c"),
        (3, "verify-log", str(log), "--key", witness),
        (3, "verify-log", str(log), "--witness", "abc"),
        (3, "verify-log", str(log), "--witness", key),
        (3, "verify-receipt", f"{at}/nowhere", "--key", key),
        (3, "verify-receipt", f"{at}/r.tlog-proof"),
        (3, "verify-receipt", f"{at}/empty", "--key", key),
        (3, "verify-receipt", f"{at}/huge.tlog-proof", "--key", key),
        (3, "verify-receipt", f"{at}/pipe", "--key", key),
    ]  # fmt: skip
    for expected, *arguments in cases:
        code, _, err = call(*arguments)
        assert code == expected, (arguments, err)
        assert "Traceback" not in err
        if code in (1, 3):
            assert err.count("\n") == 1, err


class Answers(http.server.BaseHTTPRequestHandler):
    """A web server that is no log, or a bad line to one."""

    says = b""

    def do_GET(self) -> None:
        self.wfile.write(self.says)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_what_a_wrong_address_answers_is_said_and_no_fault_of_the_log():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/ledger"
    try:
        for says, expected in (
            (b"HTTP/1.0 200 OK\r\nContent-Length: 900\r\n\nabc", "cut off"),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\n<html></html>", "key: expected"),
            (b"HTTP/1.0 404 No\r\nContent-Length: 0\r\n\n", "no log here"),
            (b"HTTP/1.0 500 No\r\nContent-Length: 0\r\n\n", "HTTP Error 500"),
            (b"HTTP/1.0 302 No\r\nLocation: file:///etc/passwd\r\n\n", "not allowed"),
            (b"\0nonsense\r\n", ""),
            (b"", ""),
        ):
            Answers.says = says
            code, out, err = call("verify-log", address)
            assert (code, out, err.count("\n")) == (3, "", 1), err
            assert expected in err
    finally:
        server.shutdown()
        server.server_close()


def test_a_log_behind_a_server_that_compresses_is_read(log):
    """tlog-tiles: a log may be served with gzip, asked or not; a bomb in it is no fault of the log."""

    class Compressing(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            path = log / self.path.removeprefix("/")
            data = gzip.compress(path.read_bytes() if self.path != "/vkey" or not bombs else bytes(2**26))
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    bombs: list[bool] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Compressing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        assert call("audit", address)[0] == 0
        bombs.append(True)
        code, _, err = call("audit", address)
        assert (code, "more than" in err) == (3, True), err
    finally:
        server.shutdown()
        server.server_close()


def test_the_table_for_a_port_counts_the_lines_that_there_are():
    table = (TARGET.parent / "README.md").read_text().partition("## To write your own")[2]
    rows = re.findall(r"^\| [^|]*`verify-[^|]+ \| ([^|]+) \| ([0-9,]+)[^|]*\|$", table, re.M)
    parts = [re.findall(r"`(?:ledger/)?(\w+)\.py`", names) for names, _ in rows]
    assert {name for names in parts for name in names} == set(PARTS[TARGET][0])
    for names, (_, said) in zip(parts, rows, strict=True):
        lines = sum(len((BASE / "ledger" / f"{name}.py").read_text().splitlines()) for name in names)
        assert int(said.replace(",", "")) == lines, names


def test_a_module_that_the_file_lacks_is_missed_when_it_is_made(monkeypatch):
    modules, start = PARTS[TARGET]
    for wrong in ([name for name in modules if name != "canon"], modules[::-1]):
        monkeypatch.setitem(PARTS, TARGET, (wrong, start))
        with pytest.raises(ValueError, match="doesn't stand before it"):
            build(TARGET)


def test_every_report_is_json_too(log, story):
    code, out, _ = call("audit", str(log), "--json")
    report = json.loads(out)
    assert (code, report["problem_count"], report["devices"]) == (0, 0, 45)
    assert report["runs"][RUN]["draw_checked"]
    margin = json.loads(call("verify-run", RUN, "--log", str(log), "--json")[1])["margin"]
    assert margin == {
        "tier": "1.2.1", "split": "proportional", "provinces": {"VN2021-15": [20, 3], "VN2021-46": [20, 2]}
    }  # fmt: skip


def test_each_byte_of_a_log_of_300_entries_flipped_is_found(capsys):
    story = Story(bodies=[b"%d" % number for number in range(300)])
    files = Files({name: data for name, data in story.files().items() if name != "vkey"})
    total = 0
    for name, data in files.items():
        for at in range(len(data)):
            flipped = bytearray(data)
            flipped[at] ^= 1 << (at % 8)
            copy = Files(files | {name: bytes(flipped)})
            with pytest.raises(LogError):
                verify_log(copy.__getitem__, [KEY.verifier])
            total += 1
    with capsys.disabled():
        sys.stdout.write(
            f"\n{total} of {sum(map(len, files.values()))} bytes flipped, one at a time: all found\n"
        )


def test_random_damage_never_ends_in_a_traceback(tmp_path, capsys):
    seen = fuzz(tmp_path, count=1500)
    with capsys.disabled():
        sys.stdout.write(
            f"\n1,500 damaged files given to the verifier: exit codes {dict(sorted(seen.items()))}\n"
        )
    assert seen[1] > 500


def test_a_run_that_is_not_over_has_no_draw_to_check(tmp_path):
    story = whole_story()
    story.run(draw_rows(SERVED), code="X-1")
    log = write_files(tmp_path / "log", story.files())
    code, _, err = call("verify-run", "X-1", "--log", str(log))
    assert (code, "under way" in err) == (3, True)
    story.add("run.rejected", run="X-1", reason="seed_not_revealed")
    write_files(log, story.files())
    code, _, err = call("verify-run", "X-1", "--log", str(log))
    assert (code, "seed_not_revealed" in err) == (3, True)


def test_witnesses_are_counted_by_key(story):
    files = story.files()
    text = files["checkpoint"].decode().split("\n\n")[0] + "\n"
    lines = "".join(key.signature_line(text, at=1633392000) for key in WITNESSES[:2])
    cosigned = Files(files | {"checkpoint": files["checkpoint"] + lines.encode()})
    keys, known = [KEY.verifier], [key.verifier for key in WITNESSES]
    assert len(verify_log(cosigned.__getitem__, keys, witnesses=known, needed=2)["witnesses"]) == 2
    with pytest.raises(LogError, match="2 of the 3"):
        verify_log(cosigned.__getitem__, keys, witnesses=known, needed=3)
    with pytest.raises(LogError, match="1 of the 2"):
        audit(cosigned.__getitem__, keys, witnesses=[known[0], known[0]], needed=2)
    with pytest.raises(LogError, match="witness"):
        read_checkpoint(cosigned.__getitem__, known)
    # One key under two names is one witness, however often it signs: the cosignature says no name.
    twin = SigningKey("nhan-chung-9.example", WITNESSES[0].seed, COSIGNATURE)
    both = Files(
        files | {"checkpoint": cosigned["checkpoint"] + twin.signature_line(text, at=1633392000).encode()}
    )
    with pytest.raises(LogError, match="1 of the 2"):
        verify_log(both.__getitem__, keys, witnesses=[known[0], twin.verifier], needed=2)
    pair = ("--witness", str(known[0]), "--witness", str(twin.verifier), "--witnesses-needed", "2")
    assert call("verify-log", "/", "--key", str(KEY.verifier), *pair)[0] == 2


def test_a_log_is_followed_from_the_first_key_over_a_change(story, tmp_path):
    changed = whole_story()
    changed.add(
        "key.rotated",
        role="signer",
        key=KEY.name,
        old=KEY.verifier.public.hex(),
        new=NEXT_KEY.verifier.public.hex(),
    )
    index = len(changed.bodies) - 1
    both = changed.files(KEY, NEXT_KEY)
    path = f"keys/{NEXT_KEY.verifier.key_id.hex()}.tlog-proof"
    changed.beside[path] = changed.receipt(index, both)
    changed.add("pledge.made", pledge="CK-2")
    after = changed.files(NEXT_KEY)
    log = write_files(tmp_path / "log", after)
    assert call("audit", str(log), "--key", str(KEY.verifier))[0] == 0
    assert endorsed_keys(after.__getitem__, [KEY.verifier]) == [KEY.verifier, NEXT_KEY.verifier]
    # A receipt from before is good for ever with the key of its time.
    (tmp_path / "r").write_bytes(changed.receipt(index, both))
    assert call("verify-receipt", str(tmp_path / "r"), "--key", str(KEY.verifier))[0] == 0
    # Not without the receipt of the change, not on the new key's own word, not for another key.
    assert call("verify-log", str(log), "--key", str(SigningKey(KEY.name, bytes(32)).verifier))[0] == 1
    (log / path).write_bytes(changed.receipt(index, after))
    assert call("verify-log", str(log), "--key", str(KEY.verifier))[0] == 1
    (log / path).unlink()
    assert call("verify-log", str(log), "--key", str(KEY.verifier))[0] == 1


def problems(story: Story) -> list[str]:
    files = story.files()
    return audit(files.__getitem__, [KEY.verifier])["problems"]


def test_a_true_story_has_no_problem(story):
    assert problems(story) == []


DEVICE, OTHER = new_device_codes(2)
BREAKS = {
    "handover without allocation": (
        "not allowed",
        lambda s: (s.add("device.received", dev=DEVICE), s.add("device.handed_over", dev=DEVICE, run=RUN)),
    ),
    "a device's chain is cut": ("prev is 0", lambda s: (s.device(DEVICE), s.add("device.broken", dev=DEVICE, prev=0))),
    "handed over in another run": (
        "handed over in run X-1",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run=RUN),
            s.add("device.handed_over", dev=DEVICE, run="X-1"),
        ),
    ),
    "revoked in another run": (
        "revoked in run X-1",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run=RUN),
            s.add("device.allocation_revoked", dev=DEVICE, run="X-1"),
        ),
    ),
    "more devices than the run served": ("says 45 served, has 46", lambda s: s.device(DEVICE)),
    "allocated in a run that never was": (
        "1 devices allocated, never committed",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run="X-1"),
        ),
    ),
    "an event id twice": ("was used before", lambda s: (s.add("pledge.made", pledge="CK-8", eid="7" * 32), s.add("pledge.made", pledge="CK-9", eid="7" * 32))),
    "a pledge twice": ("made twice", lambda s: s.add("pledge.made", pledge="CK-1")),
    "a pledge from nowhere": ("was never made", lambda s: s.add("pledge.cancelled", pledge="CK-9")),
    "a run twice": ("committed twice", lambda s: s.commit(draw_rows(SERVED))),
    "a run out of order": ("before its time", lambda s: s.add("run.seeded", run="X-1", randomness="31", seed="3" * 64)),
    "randomness known before": (
        "was known at the freeze",
        lambda s: s.add("run.frozen", run="X-1", draw_on="2021-10-04"),
    ),
    "another seed for the same inputs": (
        "another seed",
        lambda s: s.run(draw_rows(SERVED), code="X-1", randomness="3939", seed=hashlib.sha256(b"mtce/seed/v1\0" + bytes.fromhex("ab" * 32) + b"99").hexdigest()),
    ),
    "a seed that doesn't follow": ("doesn't follow from the freeze", lambda s: s.run(draw_rows(SERVED), code="X-1", seed="0" * 64)),
    "a run goes on after its rejection": (
        "after it had ended",
        lambda s: (s.run(draw_rows(SERVED), code="X-1"), s.add("run.rejected", run="X-1"), s.commit(draw_rows(SERVED), code="X-1")),
    ),
    "a correction of nothing": ("which is not before it", lambda s: s.add("correction", corrects="9" * 32)),
    "an erasure of nothing": ("no such commitment", lambda s: s.add("commitment.erased", erases="9" * 32)),
    "the contact of what is no pledge": (
        "which has no such commitment",
        lambda s: s.add("commitment.erased", erases=s.add("point.covered", point="DT-9"), field="contact", reason="donor_request"),
    ),
    "figures of another log": ("don't follow from the entries", lambda s: s.add("figures.published", figures="2021-10-06", size=10)),
    "figures over more than there is": ("more than there were", lambda s: s.add("figures.published", figures="2021-10-06", size=9999)),
    "a key replaced by a stranger": (
        "doesn't have",
        lambda s: (
            s.add("key.rotated", role="signer", old="1" * 64, new="2" * 64),
            s.add("key.rotated", role="signer", old="1" * 64, new="3" * 64),
        ),
    ),
    "more devices with students than the run served": (
        "46 devices in students' hands",
        lambda s: (s.device(DEVICE), s.device(OTHER), s.add("device.broken", dev=DEVICE), s.add("device.replaced", dev=DEVICE)),
    ),
    "a revoked device replaced too": (
        "has 47 allocations, 46 of them live",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run=RUN),
            s.add("device.allocation_revoked", dev=DEVICE, run=RUN),
            s.add("device.recalled", dev=DEVICE),
            s.add("device.replaced", dev=DEVICE),
            s.device(OTHER),
        ),
    ),
    "an entry from the future": ("after the signature", lambda s: s.add("pledge.made", pledge="CK-3", day="2021-11-01")),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_the_audit_names_each_broken_rule(what):
    expected, change = BREAKS[what]
    story = whole_story()
    change(story)
    found = problems(story)
    assert any(expected in problem for problem in found), found


def test_a_pledge_s_contact_was_in_no_entry_and_its_erasure_may_be_said():
    story = whole_story()
    pledge = story.add("pledge.made", pledge="CK-8")
    story.add("commitment.erased", erases=pledge, field="contact", reason="donor_request")
    assert problems(story) == []
    story.add("commitment.erased", erases=pledge, field="donor", reason="donor_request")
    assert [problem for problem in problems(story) if "erases donor" in problem]


def test_a_student_whose_device_was_replaced_is_one_student():
    """In the run's sum; also in the weeks in which the old device's last steps wait for the batch of its handover."""
    story = whole_story()
    old = json.loads(story.bodies[story.last[json.loads(story.bodies[10])["dev"]]])["dev"]
    for event in ("device.broken", "device.replaced"):
        story.add(event, dev=old)
    story.device(DEVICE)
    assert problems(story) == []
    undone = json.loads(story.bodies[story.last[old]])["eid"]
    story.add("correction", corrects=undone, reason="recorded_in_error", dev=old)
    assert any("46 of them live" in problem for problem in problems(story))
    held, rows = Story(), draw_rows(SERVED)
    held.add("pledge.made", pledge="CK-1")
    held.run(rows)
    devices = new_device_codes(45)
    for number, code in enumerate([*devices, DEVICE]):
        held.add("device.received", dev=code)
        held.add("device.inspected", dev=code, outcome="accepted")
        held.add("device.allocated", dev=code, run=RUN, area="VN2021-15")
        if 1 < number < 45:  # of the first nothing more is public
            held.add("device.handed_over", dev=code, run=RUN)
    held.commit(rows)
    assert problems(held) == []


def test_a_student_whose_device_was_lost_on_its_way_is_one_student():
    story, rows = Story(), draw_rows(SERVED)
    story.add("pledge.made", pledge="CK-1")
    story.run(rows)
    lost, *others = new_device_codes(45)
    for code in (lost, *others, DEVICE):
        if code == DEVICE:
            story.add("device.missing", dev=lost)
            story.add("device.written_off", dev=lost, reason="lost")
        story.add("device.received", dev=code)
        story.add("device.inspected", dev=code, outcome="accepted")
        story.add("device.allocated", dev=code, run=RUN, area="VN2021-15")
    story.commit(rows)
    assert problems(story) == []
    # Taken back, the first allocation lives again; one that had ended before by a replacement does not.
    for steps, count in ((("device.written_off",), 46), (("device.replaced", "device.written_off"), 45)):
        again = whole_story()
        old = json.loads(again.bodies[10])["dev"]
        for event in ("device.broken", *steps):
            again.add(event, dev=old)
        again.device(DEVICE)
        undone = json.loads(again.bodies[again.last[old]])["eid"]
        again.add("correction", corrects=undone, reason="recorded_in_error", dev=old)
        assert any("46 of them live" in problem for problem in problems(again)) is (count == 46)


def test_one_run_is_held_to_the_rules_of_the_audit(tmp_path):
    """Randomness that was known, and parties that revealed something else, are no matter of the audit alone."""
    parties = {f"party{number}": hashlib.sha256(b"%d" % number).hexdigest() for number in (1, 2, 3)}
    for frozen, expected in (
        ({"draw_on": "2021-10-04"}, "was known at the freeze"),
        ({"draw_on": "2021-10-06"}, "seeded before the draw"),
        ({"source": "three_parties", **parties}, "a party revealed another value"),
        ({"supply": 44}, "45 served and 35 not, of 80 applicants and 44 devices"),
    ):
        story, rows = Story(), draw_rows(SERVED)
        given = {"run": RUN, "root": ROOT, "applicants": len(rows), "supply": 45, "draw_on": "2021-10-05"}
        story.add("run.frozen", **given | frozen)
        story.add("run.seeded", run=RUN, randomness=RANDOMNESS.hex(), seed=SEED.hex())
        story.add("run.approved", run=RUN, served=45, proposal="5" * 64)
        story.commit(rows)
        log = write_files(tmp_path / "log", story.files())
        code, _, err = call("verify-run", RUN, "--log", str(log))
        assert (code, expected in err) == (1, True), err


def test_a_run_whose_cells_are_all_merged_claims_no_order_of_the_draw(tmp_path):
    for served, expected in (
        ({"*VN2021-15": 20, "*VN2021-46": 5}, "không kiểm được"),
        ({"1.1.1-VN2021-15": 5, "*VN2021-46": 0}, "trong cả 1 ô"),
    ):
        story, rows = Story(), draw_rows(served)
        story.run(rows)
        story.commit(rows)
        log = write_files(tmp_path / "log", story.files())
        code, out, err = call("verify-run", RUN, "--log", str(log))
        assert (code, expected in out, err) == (0, True, ""), out
        assert ("theo đúng thứ tự bốc thăm" in out) == ("1.1.1-VN2021-15" in served)
        assert ("1 ô gộp" in out) == ("1.1.1-VN2021-15" in served)


def test_no_more_problems_are_listed_than_are_said(story, tmp_path):
    broken = whole_story()
    for number in range(30):
        broken.add("pledge.cancelled", pledge=f"CK-{900 + number}")
    log = write_files(tmp_path / "log", broken.files())
    code, out, _ = call("audit", str(log))
    assert (code, out.count("never made")) == (1, 20)
    assert "Có 30 chỗ trái quy tắc, đây là 20 chỗ đầu:" in out


def test_an_undo_takes_back_the_latest_entry_only():
    story = whole_story()
    device = json.loads(story.bodies[10])["dev"]
    old = json.loads(story.bodies[story.last[device]])["eid"]
    story.add("device.broken", dev=device)
    story.add("correction", corrects=old, reason="recorded_in_error", dev=device)
    assert any("isn't its latest" in problem for problem in problems(story))


def test_the_draws_are_part_of_the_audit(story):
    for change, expected in (
        (lambda beside: beside.pop(f"runs/{RUN}.csv"), "is missing"),
        (lambda beside: beside.__setitem__(f"runs/{RUN}.csv", b"x"), "not the file whose hash"),
        (lambda beside: beside.pop("figures/2021-10-05.json"), "figures/2021-10-05.json: missing"),
        (lambda beside: beside.__setitem__("figures/2021-10-05.json", b"{}"), "not the figures whose hash"),
    ):
        other = Story(list(story.bodies), dict(story.last), dict(story.beside))
        change(other.beside)
        assert any(expected in problem for problem in problems(other))


def test_a_rerun_on_the_same_inputs_keeps_its_seed():
    story, rows = Story(), draw_rows(SERVED)
    story.run(rows, code="X-1")
    story.add("run.rejected", run="X-1", day="2021-10-05")
    served = sum(row[2] != "no" for row in rows)
    again = {"run": "X-2", "root": ROOT, "applicants": len(rows), "supply": served, "draw_on": "2021-10-05"}
    story.add("run.frozen", day="2021-10-06", **again)
    story.add("run.seeded", day="2021-10-06", run="X-2", randomness=RANDOMNESS.hex(), seed=SEED.hex())
    assert problems(story) == []


def drawn(served: dict[str, int]) -> list[str]:
    """Problems of a run with these cells, its devices left out."""
    story, rows = Story(), draw_rows(served)
    story.run(rows)
    story.commit(rows)
    return [problem for problem in problems(story) if "allocations" not in problem]


def test_the_quotas_at_the_margin_and_the_order_of_tiers():
    assert drawn(SERVED) == []
    unfair = SERVED | {"1.2.1-VN2021-15": 5, "1.2.1-VN2021-46": 0}
    assert any("neither in proportion" in problem for problem in drawn(unfair))
    jumped = {"1.1.1-VN2021-15": 20, "1.1.1-VN2021-46": 10, "1.2.1-VN2021-15": 3, "1.2.1-VN2021-46": 0}
    assert any("later tier was served" in problem for problem in drawn(jumped))
    # Group before locality is an order that a policy may have, too.
    assert drawn({"1.1.1-VN2021-15": 20, "2.1.1-VN2021-15": 20, "1.2.1-VN2021-15": 7}) == []
    # With a small cell merged, a province's share is proved to within one device.
    assert drawn({"1.1.1-VN2021-15": 20, "1.2.1-VN2021-15": 4, "1.2.1-VN2021-46": 3, "*VN2021-10": 1}) == []
    assert drawn({"1.1.1-VN2021-15": 20, "1.2.1-VN2021-15": 9, "1.2.1-VN2021-46": 3, "*VN2021-10": 1}) != []
    assert check_margin({}) == {"orders": ["locality_first", "group_first"], "margin": None}


def test_a_draw_file_with_a_small_cell_is_refused():
    with pytest.raises(DrawError, match="fewer"):
        draw_file(draw_rows({"1.1.1-VN2021-15": 3}, size=9) + draw_rows({"1.2.1-VN2021-15": 3}, size=11)[9:])

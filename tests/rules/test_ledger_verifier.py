"""The stand-alone verifier as an outsider calls it."""

import base64
import gzip
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
from ledger.codes import new_device_code
from ledger.log import LogError, endorsed_keys, read_checkpoint, verify_log
from ledger.notes import COSIGNATURE, SigningKey
from ledger.receipts import ReceiptError, pack_family, read_family
from tests.ledger_fuzz import call, fuzz
from tests.ledger_story import (
    KEY,
    NEXT_KEY,
    RUN,
    SALT,
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
    assert done.stderr.startswith("KHÔNG ĐẠT (DOES NOT HOLD): sổ cái không đúng như đã ký – ")


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

"""Random damage to every kind of file that the verifier reads: an exit code and one line, never a traceback."""

import contextlib
import io
import json
import random
from collections import Counter
from pathlib import Path

from tests.ledger_story import KEY, RUN, whole_story, write_files
from verifier.cli import main

DOCUMENTED = (0, 1, 2, 3)


def call(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of one command of the verifier, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return code, out.getvalue(), err.getvalue()


def damaged(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """`data` with one random change."""
    how, at, wrong = chance.randrange(9), chance.randrange(len(data) + 1), bytearray(data)
    if how == 0 and data:
        wrong[at % len(data)] ^= 1 << chance.randrange(8)
    elif how == 1:
        del wrong[at : at + chance.choice((1, 2, 32, 1000))]
    elif how == 2:
        wrong[at:at] = chance.randbytes(chance.choice((1, 2, 32, 300)))
    elif how == 3:
        del wrong[at:]
    elif how == 4:
        end = min(len(data), at + chance.randrange(1, 200))
        wrong[at:at] = data[at:end]
    elif how == 5:
        wrong = bytearray(chance.choice(others))
    elif how == 6:
        wrong[at:at] = chance.choice(
            (
                b"\n",
                b"\n\n",
                b"\0",
                b"9" * 40,
                b"-1",
                "\u2028".encode(),
                b"[" * 5000,
                b'{"a":',
                "—".encode(),
                b"\xff\xfe",
            )
        )
    elif how == 7:
        lines = data.split(b"\n")
        chance.shuffle(lines)
        wrong = bytearray(b"\n".join(lines))
    else:
        wrong = bytearray(chance.randbytes(chance.choice((0, 1, 64, 8192))))
    return bytes(wrong)


def fuzz(folder: Path, *, count: int, seed: int = 3667) -> Counter:
    """Damage one file at a time, `count` times; exit codes with how often each came. Raises AssertionError."""
    chance, story = random.Random(seed), whole_story({"1.1.1-VN2021-15": 3})
    files = story.files()
    receipt = {"bien-nhan.tlog-proof": story.receipt(10, files, opened=False)}
    key = {"khoa": f"{KEY.verifier}\n".encode()}
    log = write_files(folder / "log", files)
    write_files(folder, receipt | key)
    device = json.loads(story.bodies[10])["dev"]
    commands = {
        "log": [
            ("verify-log", str(log)), ("verify-device", device, "--log", str(log)), ("verify-run", RUN, "--log", str(log)),
            ("audit", str(log)), ("verify-log", str(log), "--key", str(KEY.verifier)),
        ],
        "bien-nhan.tlog-proof": [("verify-receipt", str(folder / "bien-nhan.tlog-proof"), "--key", str(KEY.verifier))],
        "khoa": [
            ("verify-log", str(log), "--key", str(folder / "khoa")),
            ("verify-receipt", str(folder / "bien-nhan.tlog-proof"), "--key", str(folder / "khoa")),
        ],
    }  # fmt: skip
    said = {command: call(*command, "--json")[:2] for group in commands.values() for command in group}
    assert all(code == 0 for code, _ in said.values())
    places = {f"log/{name}": data for name, data in files.items()} | receipt | key
    names, contents, seen = list(places), list(places.values()), Counter()
    for _ in range(count):
        name = chance.choice(names)
        command = chance.choice(commands["log" if name.startswith("log/") else name])
        wrong = damaged(places[name], contents, chance)
        (folder / name).write_bytes(wrong)
        what = (name, command, wrong[:200])
        code, out, err = call(*command, "--json")
        (folder / name).write_bytes(places[name])
        assert code in DOCUMENTED, what
        assert "Traceback" not in err, what
        assert err.count("\n") == (code != 0), (what, err)
        if code == 0:
            assert (code, out) == said[command], (what, "another report than of the true log")
        seen[code] += 1
    return seen

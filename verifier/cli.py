"""Stand-alone verifier of the public ledger of the programme «Sóng và máy tính cho em».

Runs with Python 3.11 and the package `cryptography` alone; trusts nothing but the log's public key.

    verify-log DIR|URL        every byte of the log is what was signed
    verify-device CODE        the way of one device, from the checked log          (--log DIR|URL)
    verify-receipt FILE       a receipt (.tlog-proof), offline
    verify-run RUN            the draw of an allocation run, recomputed             (--log DIR|URL)
    audit                     every rule of the programme over the whole log        (--log DIR|URL)

Options: --key VKEY (or a file with one per line; default: `vkey` beside the log, which only shows that the log
agrees with itself), --witness VKEY (repeat), --witnesses-needed N, --json.
Exit codes: 0 holds; 1 does not hold; 2 wrong use; 3 the log, receipt or key can't be read.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ledger.audit import LogError, audit, device_entries, run_entries, verify_log
from ledger.canon import CanonError
from ledger.codes import normalise_code
from ledger.custody import LABEL, next_state
from ledger.disclosure import DisclosureError
from ledger.draw import DrawError, check_draw
from ledger.events import EventError
from ledger.notes import NoteError, VerifierKey, witnesses_of
from ledger.receipts import ReceiptError, check_receipt
from ledger.tiles import Fetch, TileError
from ledger.tree import ProofError

HOLDS, BROKEN, WRONG_USE, UNREADABLE = 0, 1, 2, 3
MAX_FILE = 32 * 2**20


class UnreadableError(Exception):
    """Something needed can't be read; the message says what."""


def opener(where: str) -> Fetch:
    """Reads files of the log under a folder or a web address."""
    if not where.startswith(("http://", "https://")):
        root = Path(where)
        if not root.is_dir():
            raise UnreadableError(f"{where}: no such folder")
        return lambda path: (root / path).read_bytes()
    base = where.rstrip("/") + "/"

    def fetch(path: str) -> bytes:
        try:
            with urllib.request.urlopen(urllib.parse.urljoin(base, path), timeout=30) as answer:
                return answer.read(MAX_FILE)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from error
            raise UnreadableError(f"{base}{path}: {error}") from error
        except (OSError, ValueError) as error:
            raise UnreadableError(f"{base}{path}: {error}") from error

    return fetch


def read_keys(given: str | None, fetch: Fetch | None) -> list[VerifierKey]:
    """Trusted keys: given as text or file, else the `vkey` file beside the log."""
    if given is None:
        if fetch is None:
            raise UnreadableError("--key is needed: the log's public key (or --log, for the key beside it)")
        try:
            text = fetch("vkey").decode()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise UnreadableError(f"vkey beside the log: {error}") from error
    else:
        path = Path(given)
        try:
            text = path.read_text() if "+" not in given and path.is_file() else given
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableError(f"{given}: {error}") from error
    try:
        keys = [VerifierKey.parse(line) for line in text.splitlines() if line.strip()]
    except NoteError as error:
        raise UnreadableError(f"key: {error}") from error
    if not keys:
        raise UnreadableError("key: empty")
    return keys


def do_verify_log(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    return verify_log(fetch, keys, witnesses=options.witnesses, needed=options.needed)


def do_verify_device(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    code = normalise_code(options.what)
    if code is None:
        raise UnreadableError(
            f"{options.what}: not a device code (12 letters and digits; check what was typed)"
        )
    entries, way = device_entries(fetch, keys, code), []
    for _, body in entries:
        way.append(next_state(way, body))
    if not entries:
        raise LogError(f"device {code} is not in the log")
    return {
        "device": code,
        "entries": [{"index": index, "date": body["d"], "event": body["t"]} for index, body in entries],
        "state": way[-1],
        "state_vi": LABEL[way[-1]],
    }


def do_verify_receipt(options, fetch: Fetch | None, keys: list[VerifierKey]) -> dict:
    try:
        path = Path(options.what)
        if path.stat().st_size > MAX_FILE:
            raise UnreadableError(f"{path}: too large to be a receipt")
        raw = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{options.what}: {error.strerror}") from error
    trouble: Exception = ReceiptError("no key")
    for key in keys:
        try:
            receipt, head, note = check_receipt(raw, key)
        except ReceiptError as error:
            trouble = error
            continue
        seen = witnesses_of(note, options.witnesses)
        if len(seen) < options.needed:
            raise LogError(f"receipt: {len(seen)} of the {options.needed} needed witnesses cosigned")
        return {
            "device": receipt.body.get("dev"),
            "event": receipt.body["t"],
            "date": receipt.body["d"],
            "index": receipt.index,
            "log_size": head.size,
            "signed_at": head.signed_at,
            "opened": {field: value for field, value, _ in receipt.openings},
        }
    raise trouble


def do_verify_run(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    steps = run_entries(fetch, keys, options.what)
    missing = [step for step in ("frozen", "seeded", "approved", "committed") if step not in steps]
    if missing:
        raise LogError(f"run {options.what}: no entry run.{missing[0]} in the log")
    name = f"runs/{options.what}.csv"
    try:
        data = fetch(name)
    except FileNotFoundError as error:
        raise UnreadableError(f"{name}: missing") from error
    return {"run": options.what} | check_draw(data, steps["frozen"], steps["seeded"], steps["committed"])


def do_audit(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    report = audit(fetch, keys)
    if report["problem_count"]:
        options.broken = True
    return report


def plain(command: str, report: dict) -> str:
    """The report in sentences that can be quoted."""
    if command == "verify-log":
        cosigned = f" {len(report['witnesses'])} witnesses cosigned." if report["witnesses"] else ""
        return (
            f"The log «{report['origin']}» holds: {report['size']} entries, each under the root signed at "
            f"{report['signed_at']}. Nothing was removed or rewritten.{cosigned}"
        )
    if command == "verify-device":
        lines = [
            f"  {entry['date']}  {entry['event']}  (entry {entry['index']})" for entry in report["entries"]
        ]
        return f"Device {report['device']} – {report['state_vi']}:\n" + "\n".join(lines)
    if command == "verify-receipt":
        opened = "".join(f"\n  {field}: {value}" for field, value in report["opened"].items())
        about = f"device {report['device']}" if report["device"] else report["event"]
        return (
            f"The receipt holds: {report['event']} of {about}, dated {report['date']}, is entry {report['index']} "
            f"of the {report['log_size']} that were signed at {report['signed_at']}.{opened}"
        )
    if command == "verify-run":
        return (
            f"Run {report['run']} holds: {report['served']} of {report['applicants']} applicants were served; the seed "
            f"follows from the freeze and the public draw, and in each of {report['ordered_cells']} cells the devices "
            "went in the order of the draw."
        )
    lines = [f"{report['size']} entries about {report['devices']} devices, signed at {report['signed_at']}."]
    lines += [f"  {count:>9}  {LABEL.get(state, state)}" for state, count in report["states"].items()]
    lines += [f"  run {name}: {run['allocated']} allocated" for name, run in report["runs"].items()]
    if report["problem_count"]:
        lines.append(f"{report['problem_count']} rules are broken:")
        lines += [f"  {problem}" for problem in report["problems"]]
    else:
        lines.append(
            "Every rule holds: one way per device, no handover without an allocation, no figure of its own."
        )
    return "\n".join(lines)


COMMANDS = {
    "verify-log": do_verify_log,
    "verify-device": do_verify_device,
    "verify-receipt": do_verify_receipt,
    "verify-run": do_verify_run,
    "audit": do_audit,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="mtce_verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("what", nargs="?", default=None, help="DIR|URL, CODE, FILE or RUN")
    parser.add_argument("--log", default=None, help="folder or address of the log")
    parser.add_argument("--key", default=None)
    parser.add_argument("--witness", action="append", default=[], dest="witness_keys")
    parser.add_argument("--witnesses-needed", type=int, default=0, dest="needed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    options.broken = False
    try:
        where = options.log or (options.what if options.command in ("verify-log", "audit") else None)
        if where is None and options.command != "verify-receipt":
            raise UnreadableError("--log is needed: the folder or address of the log")
        if options.what is None and options.command not in ("verify-log", "audit"):
            raise UnreadableError(f"{options.command}: what? (see --help)")
        fetch = opener(where) if where else None
        options.witnesses = [VerifierKey.parse(text) for text in options.witness_keys]
        report = COMMANDS[options.command](options, fetch, read_keys(options.key, fetch))
    except UnreadableError as error:
        print(f"CAN'T READ: {error}", file=sys.stderr)
        return UNREADABLE
    except (
        LogError,
        ReceiptError,
        ProofError,
        NoteError,
        DrawError,
        TileError,
        CanonError,
        EventError,
        DisclosureError,
    ) as error:
        print(f"DOES NOT HOLD: {error}", file=sys.stderr)
        return BROKEN
    except OSError as error:
        print(f"CAN'T READ: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return UNREADABLE
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        # A file so malformed that no reader above named the place: still one line and an exit code.
        print(f"DOES NOT HOLD: malformed data ({type(error).__name__}: {str(error)[:200]})", file=sys.stderr)
        return BROKEN
    try:
        print(
            json.dumps(report, ensure_ascii=False, indent=1)
            if options.json
            else plain(options.command, report)
        )
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN if options.broken else HOLDS


if __name__ == "__main__":
    sys.exit(main())

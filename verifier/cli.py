"""Stand-alone verifier of the public ledger of the programme «Sóng và máy tính cho em».

Runs with Python 3.11 and the package `cryptography` alone; trusts nothing but the log's public key.

    verify-log DIR|URL        every byte of the log is what was signed
    verify-device CODE        the way of one device, from the checked log          (--log DIR|URL)
    verify-receipt FILE       a receipt (.tlog-proof), offline                      (--key VKEY)
    verify-receipt 'QR-TEXT'  a family's receipt: what its QR opens, in a log       (--log DIR|URL)
    verify-run RUN            the draw of an allocation run, recomputed             (--log DIR|URL)
    audit DIR|URL             every rule of the programme over the whole log        (or --log DIR|URL)

Options: --key VKEY (or a file with one per line; default: `vkey` beside the log, which only shows that the log
agrees with itself), --witness VKEY (repeat), --witnesses-needed N, --lang vi|en, --json.
Exit codes: 0 holds; 1 does not hold (also: a part is missing, cut or malformed); 2 wrong use; 3 nothing to check could
be read (no such folder, file, address or checkpoint, no key or a malformed one, no answer).
"""

import argparse
import http.client
import json
import os
import stat
import sys
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

from ledger.audit import SHOWN, audit, device_entries
from ledger.canon import CanonError
from ledger.codes import normalise_code
from ledger.custody import EVENT_LABEL, LABEL
from ledger.disclosure import DisclosureError
from ledger.draw import DrawError, check_draw
from ledger.events import CODE, EventError
from ledger.log import (
    LogError,
    NoLogError,
    check_witnesses,
    endorsed_keys,
    read_checkpoint,
    verify_log,
)
from ledger.notes import COSIGNATURE, ED25519, NoteError, TreeHead, VerifierKey, distinct
from ledger.receipts import FIELD_LABEL, ReceiptError, check_openings, check_receipt, read_family
from ledger.runs import RUN_STEPS, run_entries
from ledger.tiles import Fetch, TileError
from ledger.tree import ProofError

HOLDS, BROKEN, WRONG_USE, UNREADABLE = 0, 1, 2, 3
# Nothing that is asked for is larger: a bundle of 256 entries, a receipt; a draw file has a line per applicant.
MAX_FILE, MAX_DRAW_FILE = 32 * 2**20, 1024 * 2**20
MAX_LINE = 400
VERDICT = {
    HOLDS: "ĐẠT (HOLDS)",
    BROKEN: "KHÔNG ĐẠT (DOES NOT HOLD)",
    WRONG_USE: "SAI CÁCH GỌI (WRONG USE)",
    UNREADABLE: "KHÔNG ĐỌC ĐƯỢC (CAN'T READ)",
}


class UnreadableError(Exception):
    """Something needed can't be read; the message says what."""


class UsageError(Exception):
    """The command was called in a way that means nothing; the message says how it is meant."""


def limit_of(path: str) -> int:
    return MAX_DRAW_FILE if path.startswith("runs/") else MAX_FILE


def read_file(path: Path, limit: int) -> bytes:
    """A regular file's bytes; raises OSError, or UnreadableError for what isn't a file or is too large."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise UnreadableError(f"{path}: a folder, expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError(f"{path}: not a regular file")
    if found.st_size > limit:
        raise UnreadableError(f"{path}: {found.st_size} bytes, at most {limit} are read")
    return path.read_bytes()


def exists(name: str) -> bool:
    """Whether a file has this name; a key or the text of a QR may be too long to be one."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def opener(where: str) -> Fetch:
    """Reads files of the log under a folder or a web address."""
    if not where.startswith(("http://", "https://")):
        root = Path(where)
        if not root.is_dir():
            raise UnreadableError(f"{where}: no such folder, and not an address that starts with http")
        return lambda path: read_file(root / path, limit_of(path))
    base = where.rstrip("/") + "/"

    def fetch(path: str) -> bytes:
        address, limit = base + urllib.parse.quote(path), limit_of(path)
        try:
            # tlog-tiles: a server may compress, asked or not.
            request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip, identity"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                data, missing = answer.read(limit + 1), answer.length
                if answer.headers.get("Content-Encoding", "").lower() == "gzip" and not missing:
                    data = zlib.decompressobj(wbits=31).decompress(data, limit + 1)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise FileNotFoundError(path) from error
            raise UnreadableError(f"{address}: {error}") from error
        except (OSError, ValueError, http.client.HTTPException, zlib.error) as error:
            raise UnreadableError(f"{address}: {error}") from error
        if len(data) > limit:
            raise UnreadableError(f"{address}: more than {limit} bytes")
        if missing:
            # A broken line is no fault of the log.
            raise UnreadableError(f"{address}: the answer was cut off, {missing} bytes are missing")
        return data

    return fetch


def read_keys(given: str | None, fetch: Fetch | None) -> list[VerifierKey]:
    """Trusted keys: given as text or file, else the `vkey` file beside the log."""
    if given is None:
        if fetch is None:
            raise UnreadableError("--key is needed: the log's public key (or --log, for the key beside it)")
        try:
            text = fetch("vkey").decode()
        except FileNotFoundError as error:
            raise UnreadableError(
                "vkey: missing beside the log; there is no log here, or give --key"
            ) from error
        except UnicodeDecodeError as error:
            raise UnreadableError("vkey beside the log: not UTF-8") from error
    else:
        text = given
        if "+" not in given or exists(given):
            try:
                text = read_file(Path(given), MAX_FILE).decode()
            except (OSError, ValueError) as error:
                raise UnreadableError(
                    f"--key {given}: neither a key nor a file with keys ({error})"
                ) from error
    try:
        keys = [VerifierKey.parse(line) for line in text.splitlines() if line.strip()]
    except NoteError as error:
        raise UnreadableError(str(error)) from error
    if not keys:
        raise UnreadableError("key: empty")
    if any(key.kind != ED25519 for key in keys):
        raise UnreadableError("key: the key of a witness, not of a log")
    # Only a key that was given is a reason to trust another; what lies beside the log proves nothing about itself.
    return endorsed_keys(fetch, keys) if fetch and given is not None else keys


def read_witnesses(given: list[str], needed: int) -> list[VerifierKey]:
    """The witnesses' keys; raises UnreadableError for a malformed one, UsageError for an impossible policy."""
    try:
        keys = distinct([VerifierKey.parse(text) for text in given])
    except NoteError as error:
        raise UnreadableError(f"--witness: {error}") from error
    if any(key.kind != COSIGNATURE for key in keys):
        raise UnreadableError("--witness: the key of a log, not of a witness")
    if not 0 <= needed <= len(keys):
        raise UsageError(f"--witnesses-needed {needed}: {len(keys)} different keys are given by --witness")
    return keys


def do_verify_log(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    return verify_log(fetch, keys, **options.policy)


def do_verify_device(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    code = normalise_code(options.what)
    if code is None:
        raise UsageError(f"{options.what}: not a device code (12 letters and digits; check what was typed)")
    way = device_entries(fetch, keys, code, **options.policy)
    if not way:
        raise LogError(
            f"device {code} is not in the log: mistyped, of another programme, or its receipt isn't published yet"
        )
    return {
        "device": code,
        "entries": [{"index": index, "date": body["d"], "event": body["t"]} for index, body, _ in way],
        "state": way[-1][2],
        "state_vi": LABEL[way[-1][2]],
    }


def verify_family(options, fetch: Fetch | None, keys: list[VerifierKey]) -> dict:
    """What a family's QR opens, in the checked log: nothing of it goes to whoever serves the log."""
    if fetch is None:
        raise UsageError("verify-receipt: the text of a QR is checked against a log, --log DIR|URL is needed")
    device, eid, openings = read_family(options.what.partition("#")[2])
    head, note = read_checkpoint(fetch, keys, **options.policy)
    for index, body, _ in device_entries(fetch, keys, device, **options.policy):
        if body["eid"] == eid:
            check_openings(body, openings)
            seen = check_witnesses(note, options.policy["witnesses"], options.policy["needed"], "checkpoint")
            return receipt_report(body, index, head, openings, seen)
    raise LogError(
        f"event {eid} of device {device} is not in the log, or not yet: handovers come out by the week"
    )


def receipt_report(body: dict, index: int, head: TreeHead, openings, witnesses: list[str]) -> dict:
    return {
        "origin": head.origin,
        "device": body.get("dev"),
        "event": body["t"],
        "date": body["d"],
        "index": index,
        "log_size": head.size,
        "signed_at": head.signed_at,
        "witnesses": witnesses,
        "entry": body,
        "opened": {field: value for field, value, _ in openings},
    }


def do_verify_receipt(options, fetch: Fetch | None, keys: list[VerifierKey]) -> dict:
    if "#" in options.what and not exists(options.what):
        return verify_family(options, fetch, keys)
    raw = read_file(Path(options.what), MAX_FILE)
    trouble: Exception = ReceiptError("no key")
    for key in keys:
        try:
            receipt, head, note = check_receipt(raw, key)
        except ReceiptError as error:
            trouble = error
            continue
        seen = check_witnesses(note, options.policy["witnesses"], options.policy["needed"], "receipt")
        return receipt_report(receipt.body, receipt.index, head, receipt.openings, seen)
    raise trouble


def do_verify_run(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    if not CODE.fullmatch(options.what) or "/" in options.what:
        raise UsageError(f"{options.what}: not the code of a run")
    steps = run_entries(fetch, keys, options.what, **options.policy)
    if not steps:
        raise LogError(f"run {options.what}: no entry in the log")
    if "rejected" in steps:
        why = steps["rejected"]["reason"]
        raise UnreadableError(f"run {options.what} was rejected ({why}): there is no draw to check")
    missing = [step for step in RUN_STEPS if step not in steps]
    if missing and missing == [*RUN_STEPS[len(steps) :]]:
        raise UnreadableError(f"run {options.what} is under way, run.{missing[0]} is still to come")
    if missing:
        raise LogError(f"run {options.what}: no entry run.{missing[0]} in the log")
    name = f"runs/{options.what}.csv"
    try:
        data = fetch(name)
    except FileNotFoundError as error:
        raise LogError(f"{name}: missing beside the log, which names its hash") from error
    return {"run": options.what} | check_draw(data, steps["frozen"], steps["seeded"], steps["committed"])


def do_audit(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    return audit(fetch, keys, **options.policy)


def plain(command: str, report: dict, *, vi: bool) -> str:
    """The report in sentences that can be quoted."""
    if command == "verify-log":
        return plain_log(report, vi)
    if command == "verify-device":
        return plain_device(report, vi)
    if command == "verify-receipt":
        return plain_receipt(report, vi)
    return plain_run(report, vi) if command == "verify-run" else plain_audit(report, vi)


def plain_log(report: dict, vi: bool) -> str:
    witnesses = ", ".join(report["witnesses"])
    if vi:
        seen = f" Nhân chứng độc lập đã ký: {witnesses}." if witnesses else ""
        return (
            f"Sổ cái «{report['origin']}» nguyên vẹn: {report['size']} mục, mục nào cũng nằm dưới gốc được ký lúc "
            f"{report['signed_at']}. Không mục nào bị xoá hay sửa.{seen}"
        )
    seen = f" Cosigned by the witnesses {witnesses}." if witnesses else ""
    return (
        f"The log «{report['origin']}» is whole: {report['size']} entries, each under the root signed at "
        f"{report['signed_at']}. Nothing was removed or rewritten.{seen}"
    )


def plain_device(report: dict, vi: bool) -> str:
    def name(event: str) -> str:
        return EVENT_LABEL.get(event, event) if vi else event

    where = "mục" if vi else "entry"
    lines = [
        f"  {entry['date']}  {name(entry['event'])}  ({where} {entry['index']})"
        for entry in report["entries"]
    ]
    state = (
        f"Máy {report['device']}: {report['state_vi']}"
        if vi
        else f"Device {report['device']}: {report['state']}"
    )
    return "\n".join([state, *lines])


def plain_receipt(report: dict, vi: bool) -> str:
    names = FIELD_LABEL if vi else {}
    opened = "".join(
        f"\n  {names.get(field, field)}: {one_line(value)}" for field, value in report["opened"].items()
    )
    event = report["event"]
    if vi:
        about = f"«{EVENT_LABEL.get(event, event)}»" + (
            f" của máy {report['device']}" if report["device"] else ""
        )
        return (
            f"Biên nhận đúng: việc {about}, ngày {report['date']}, là mục {report['index']} trong {report['log_size']} "
            f"mục của sổ cái «{report['origin']}», ký lúc {report['signed_at']}.{opened}"
        )
    about = f"{event} of device {report['device']}" if report["device"] else event
    return (
        f"The receipt is true: {about}, dated {report['date']}, is entry {report['index']} of the {report['log_size']} "
        f"of the log «{report['origin']}» that were signed at {report['signed_at']}.{opened}"
    )


SPLIT_VI = {
    "proportional": "theo tỷ lệ nhu cầu của các tỉnh",
    "proportional to within one device": "theo tỷ lệ nhu cầu của các tỉnh, sai khác không quá một máy",
    "by the draw alone": "hoàn toàn theo thứ tự bốc thăm",
}


def plain_run(report: dict, vi: bool) -> str:
    margin, shown = report["margin"], report["ordered_cells"]
    merged = len(report["cells"]) - shown
    if vi:
        ordered = (
            f"trong cả {shown} ô, máy được trao theo đúng thứ tự bốc thăm; không bậc nào được nhận trước một bậc ưu "
            "tiên hơn"
            if shown
            else "mọi ô đều nhỏ nên phải gộp, thứ tự bốc thăm không kiểm được từ tệp công khai"
        )
        if shown and merged:
            ordered += f" ({merged} ô gộp từ các ô dưới mười em chỉ kiểm được tổng số)"
        last = f" Ở bậc cuối ({margin['tier']}), máy được chia {SPLIT_VI[margin['split']]}." if margin else ""
        return (
            f"Đợt {report['run']} đúng: {report['served']} trong {report['applicants']} em được nhận máy; số bốc thăm "
            f"sinh ra từ dữ liệu đã chốt và số ngẫu nhiên công khai; {ordered}.{last}"
        )
    ordered = (
        f"in each of {shown} cells the devices went in the order of the draw; no tier was served before one that comes "
        "first"
        if shown
        else "every cell was small and is merged, so that the public file doesn't show the order of the draw"
    )
    if shown and merged:
        ordered += f" (of {merged} cells merged from ones under ten, only the totals)"
    last = f" In the last tier ({margin['tier']}) the devices were split {margin['split']}." if margin else ""
    return (
        f"Run {report['run']} is true: {report['served']} of {report['applicants']} applicants were served; the seed "
        f"follows from the freeze and the public randomness; {ordered}.{last}"
    )


def plain_audit(report: dict, vi: bool) -> str:
    runs, count = report["runs"], report["problem_count"]
    if vi:
        lines = [
            f"Sổ cái «{report['origin']}» có {report['size']} mục về {report['devices']} máy, ký lúc {report['signed_at']}."
        ]
        lines += [f"  {number:>9}  {LABEL.get(state, state)}" for state, number in report["states"].items()]
        lines += [
            f"  đợt {name}: {run['served']} trong {run['applicants']} em được nhận máy"
            + (", kết quả bốc thăm đã được tính lại" if run["draw_checked"] else "")
            for name, run in runs.items()
            if run["served"] is not None
        ]
        lines += [
            f"  đợt {name}: bị bác ({run['rejected']})"
            for name, run in runs.items()
            if run["rejected"] is not None
        ]
        lines.append(
            f"Có {count} chỗ trái quy tắc{f', đây là {SHOWN} chỗ đầu' if count > SHOWN else ''}:"
            if count
            else "Mọi quy tắc đều được giữ: mỗi máy chỉ có một đường đi và một nơi giữ, không máy nào được bàn giao mà "
            "không qua phân bổ, "
            "số bốc thăm và thứ tự của "
            f"{sum(run['draw_checked'] for run in runs.values())} đợt phân bổ đều đúng, số liệu công bố "
            f"({len(report['figures'])} kỳ) đều tính ra được từ sổ."
        )
    else:
        about = f"{report['size']} entries about {report['devices']} devices"
        lines = [f"The log «{report['origin']}» has {about}, signed at {report['signed_at']}."]
        lines += [f"  {number:>9}  {state}" for state, number in report["states"].items()]
        lines += [
            f"  run {name}: {run['served']} of {run['applicants']} applicants served"
            + (", the draw recomputed" if run["draw_checked"] else "")
            for name, run in runs.items()
            if run["served"] is not None
        ]
        lines += [
            f"  run {name}: rejected ({run['rejected']})"
            for name, run in runs.items()
            if run["rejected"] is not None
        ]
        lines.append(
            f"{count} rules are broken{f', the first {SHOWN}' if count > SHOWN else ''}:"
            if count
            else "Every rule holds: one way and one holder per device, no handover without an allocation, "
            f"{sum(run['draw_checked'] for run in runs.values())} draws in order, "
            f"{len(report['figures'])} releases of figures that follow from the entries."
        )
    return "\n".join(lines + [f"  {one_line(problem)}" for problem in report["problems"]])


# What kind of trouble it is, before the English words that name the place.
TROUBLE_VI: dict[type[BaseException], str] = {
    UsageError: "lệnh thiếu, thừa hoặc ghi sai một phần",
    UnreadableError: "không có hoặc không đọc được thứ cần kiểm tra",
    NoLogError: "ở đây không có sổ cái nào đã ký",
    LogError: "sổ cái không đúng như đã ký",
    ReceiptError: "biên nhận không đúng, hoặc bị sửa hay bị cắt",
    ProofError: "bằng chứng không dẫn đến gốc đã ký",
    NoteError: "chữ ký hoặc khoá không đúng",
    DrawError: "kết quả phân bổ không tính lại được như đã công bố",
    TileError: "tệp của sổ cái bị thiếu, bị cắt hoặc bị sửa",
    CanonError: "có mục không được ghi đúng dạng",
    EventError: "có mục trái quy tắc của sổ cái",
    DisclosureError: "có mục chứa điều không được công khai",
    OSError: "không đọc được tệp hoặc địa chỉ",
    KeyboardInterrupt: "đã dừng giữa chừng",
}


def said(error: BaseException, *, vi: bool) -> str:
    """One error as a person reads it: in Vietnamese what kind it is, and in English, as the log itself, what and where."""
    if isinstance(error, OSError):
        what = f"{error.filename or ''}: {error.strerror or error}"
    elif isinstance(error, KeyboardInterrupt):
        what = "interrupted"
    elif type(error) in TROUBLE_VI:
        what = str(error)
    else:
        # A file so malformed that no reader named the place: still one line and an exit code.
        what = f"malformed data ({type(error).__name__}: {error})"
    if not vi:
        return what
    kind = next((TROUBLE_VI[one] for one in type(error).__mro__ if one in TROUBLE_VI), "dữ liệu hỏng")
    return f"{kind} – {what}"


COMMANDS: dict[str, Callable[..., dict]] = {
    "verify-log": do_verify_log,
    "verify-device": do_verify_device,
    "verify-receipt": do_verify_receipt,
    "verify-run": do_verify_run,
    "audit": do_audit,
}


def one_line(text: object) -> str:
    """What is shown of a message that may quote foreign data: one line, no control characters, not endless."""
    shown = "".join(sign if sign.isprintable() else " " for sign in str(text))
    return shown if len(shown) <= MAX_LINE else f"{shown[:MAX_LINE]}…"


def judge(options) -> dict:
    """Carry the command out; the report, or one of the errors that `main` knows."""
    is_whole = options.command in ("verify-log", "audit")
    if is_whole and options.log and options.what:
        raise UsageError(f"{options.command}: the log twice, {options.log} and {options.what}")
    where = options.log or (options.what if is_whole else None)
    if where is None and options.command != "verify-receipt":
        raise UsageError(f"{options.command}: which log? A folder or an address is needed (see --help)")
    if options.what is None and not is_whole:
        raise UsageError(f"{options.command}: what? (see --help)")
    fetch = opener(where) if where else None
    witnesses = read_witnesses(options.witness_keys, options.needed)
    options.policy = {"witnesses": witnesses, "needed": options.needed}
    keys = read_keys(options.key, fetch)
    return COMMANDS[options.command](options, fetch, keys)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever the terminal can't show is escaped, never a reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="mtce_verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("what", nargs="?", default=None, help="DIR|URL, CODE, FILE or RUN")
    parser.add_argument("--log", default=None, help="folder or address of the log")
    parser.add_argument("--key", default=None)
    parser.add_argument("--witness", action="append", default=[], dest="witness_keys")
    parser.add_argument("--witnesses-needed", type=int, default=0, dest="needed")
    parser.add_argument("--lang", choices=["vi", "en"], default="vi")
    parser.add_argument("--json", action="store_true")
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:
        return WRONG_USE if end.code else HOLDS
    vi = options.lang == "vi"
    try:
        code, report, trouble, broken = HOLDS, judge(options), "", ""
        if count := report.get("problem_count"):
            rules = f"{count} chỗ trái quy tắc, chỗ đầu tiên" if vi else f"{count} rules are broken, first"
            code, broken = BROKEN, f"{rules}: {report['problems'][0]}"
    except UsageError as error:
        code, report, trouble = WRONG_USE, {}, said(error, vi=vi)
    except (UnreadableError, NoLogError, OSError, KeyboardInterrupt) as error:
        code, report, trouble = UNREADABLE, {}, said(error, vi=vi)
    except (LogError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        # The errors of the log's own parts are ValueErrors.
        code, report, trouble = BROKEN, {}, said(error, vi=vi)
    try:
        if trouble:
            print(f"{VERDICT[code]}: {one_line(trouble)}", file=sys.stderr)
        elif options.json:
            print(json.dumps(report, ensure_ascii=False, indent=1))
        else:
            print(f"{VERDICT[code]}: {plain(options.command, report, vi=vi)}")
        sys.stdout.flush()
        if code == BROKEN and not trouble:
            print(f"{VERDICT[code]}: {one_line(broken)}", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(main())

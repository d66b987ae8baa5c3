"""Witnesses: other bodies that sign, each time, that this log only ever grew (C2SP tlog-witness, both sides).

The client asks each configured witness for a cosignature; the server below is the whole of a witness: one
process, one key, one state file per log.
"""

import argparse
import http.client
import http.server
import json
import signal
import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ledger.disk import Disk
from ledger.keys import read_key, write_key
from ledger.notes import (
    COSIGNATURE,
    DECIMAL,
    MAX_NOTE_BYTES,
    Note,
    NoteError,
    SigningKey,
    TreeHead,
    VerifierKey,
    decode64,
    encode64,
)
from ledger.tiles import Tiles
from ledger.tree import EMPTY_ROOT, ProofError, check_consistency, consistency_proof

TIMEOUT_S = 5
MAX_REQUEST = MAX_NOTE_BYTES + 4 * 1024
MAX_PROOF = 63


def cosign(note: str, witnesses: list[dict], tiles: Tiles) -> str:
    """The checkpoint with a line of every configured witness that answered with a valid cosignature.

    `witnesses` are {"url": submission prefix, "key": vkey}. One that is away or refuses is left out: the
    verifier's k-of-n policy decides whether that is enough.
    """
    text = note.split("\n\n")[0] + "\n"

    def line_of(witness: dict) -> str | None:
        try:
            key, own = VerifierKey.parse(witness["key"]), Tiles(tiles.fetch, tiles.size)
            return ask(witness["url"], key, note, text, own)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None

    if not witnesses:
        return note
    # All at once: one that is slow costs the others nothing.
    with ThreadPoolExecutor(len(witnesses)) as pool:
        return note + "".join(line for line in pool.map(line_of, witnesses) if line)


def ask(url: str, key: VerifierKey, note: str, text: str, tiles: Tiles) -> str | None:
    """One witness's signature line over the checkpoint, or None; asks twice, for it tells the size it knows."""
    old = 0
    for _ in range(2):
        proof = consistency_proof(tiles.node, old, tiles.size) if old <= tiles.size else []
        lines = [f"old {old}", *map(encode64, proof), "", ""]
        status, body = _post(url, "\n".join(lines).encode() + note.encode())
        if status == 200:
            for line in body.decode().splitlines():
                name, key_id, signature = Note.parse_signature(line)
                if (name, key_id) == (key.name, key.key_id):
                    key.check(text, signature)
                    return f"{line}\n"
            return None
        known = body.decode(errors="replace").strip()
        if status != 409 or not DECIMAL.fullmatch(known) or int(known) == old:
            return None
        old = int(known)
    return None


def _post(url: str, data: bytes) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        link.request("POST", f"{parts.path.rstrip('/')}/add-checkpoint", body=data)
        answer = link.getresponse()
        return answer.status, answer.read(MAX_REQUEST)
    finally:
        link.close()


class Witness:
    """One witness's memory and judgement; `add` is atomic, and the new size is on the disk before the answer."""

    def __init__(self, *, key: SigningKey, folder: Path, logs: list[VerifierKey]):
        if key.kind != COSIGNATURE:
            raise NoteError("a witness's key is of the cosignature kind")
        self.key, self.disk, self.lock = key, Disk(folder), threading.Lock()
        self.logs: dict[str, list[VerifierKey]] = {}
        for log in logs:
            self.logs.setdefault(log.name, []).append(log)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _state_name(self, origin: str) -> str:
        return f"{urllib.parse.quote(origin, safe='')}.json"

    def known(self, origin: str) -> tuple[int, bytes]:
        """Size and root last cosigned for this log; the empty tree before the first."""
        try:
            kept = json.loads(self.disk.fetch(self._state_name(origin)))
        except FileNotFoundError:
            return 0, EMPTY_ROOT
        return int(kept["size"]), decode64(kept["root"], "state")

    def add(self, request: bytes, *, now: int | None = None) -> tuple[int, str, str]:
        """Answer one add-checkpoint request: (HTTP status, content type, body)."""
        try:
            old, proof, raw = read_request(request)
            note = Note.parse(raw)
            head = TreeHead.parse(note.text)
        except (NoteError, ValueError) as error:
            return 400, "text/plain", f"{error}\n"
        keys = self.logs.get(head.origin)
        if keys is None:
            return 404, "text/plain", "unknown log\n"
        if not any(_signed_by(note, key) for key in keys):
            return 403, "text/plain", "not signed by a known key of the log\n"
        if old > head.size:
            return 400, "text/plain", "old size is larger than the checkpoint's\n"
        # One at a time, in this process and in any other with the same memory; a memory that can't be read signs nothing.
        with self.lock, self.disk.lock():
            try:
                size, root = self.known(head.origin)
            except (ValueError, KeyError, TypeError):
                return 500, "text/plain", "this witness can't read its memory\n"
            if old != size or (size == head.size and root != head.root):
                return 409, "text/x.tlog.size", f"{size}\n"
            try:
                check_consistency(size, head.size, proof, root, head.root)
            except ProofError as error:
                return 422, "text/plain", f"{error}\n"
            state = json.dumps({"size": head.size, "root": encode64(head.root)})
            self.disk.put(self._state_name(head.origin), state.encode())
            return 200, "text/plain", self.key.signature_line(note.text, at=now or int(time.time()))


def _signed_by(note: Note, key: VerifierKey) -> bool:
    try:
        note.signed_by(key)
    except NoteError:
        return False
    return True


def read_request(data: bytes) -> tuple[int, list[bytes], bytes]:
    """(old size, proof, checkpoint) of an add-checkpoint request; raises ValueError or NoteError."""
    head, separator, checkpoint = data.partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    old = lines[0].removeprefix("old ")
    if not separator or not lines[0].startswith("old ") or not DECIMAL.fullmatch(old):
        raise ValueError("expected «old <size>», proof lines, an empty line and a checkpoint")
    proof = [decode64(line, "proof") for line in lines[1:]]
    if len(proof) > MAX_PROOF or any(len(step) != 32 for step in proof):
        raise ValueError("malformed proof")
    return int(old), proof, checkpoint


def witness_server(witness: Witness, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """An HTTP server (threads) of one witness; `server_address` tells its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = TIMEOUT_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint" or not DECIMAL.fullmatch(length) or int(length) > MAX_REQUEST:
                self.close_connection = True
                answer = (404 if self.path != "/add-checkpoint" else 413, "text/plain", "")
            else:
                answer = witness.add(self.rfile.read(int(length)))
            status, kind, body = answer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: what counts is in the state file."""

    return http.server.ThreadingHTTPServer((host, port), Handler)


def add_witness_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a witness, here and under `manage.py ledger witness`."""
    parser.add_argument("--name", required=True, help="tên của nhân chứng, ví dụ nhan-chung.example")
    parser.add_argument("--key-file", type=Path, required=True, help="tệp khóa; được tạo nếu chưa có")
    parser.add_argument("--state", type=Path, required=True, help="thư mục trí nhớ của nhân chứng")
    parser.add_argument("--log-key", action="append", required=True, help="khóa công khai của sổ cái (vkey)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: cổng nào cũng được, in ra khi chạy")


def run_witness(*, name: str, key_file: Path, state: Path, log_key: list[str], host: str, port: int) -> None:
    """Be a witness until SIGTERM or SIGINT; prints its port and public key first. Raises OSError or NoteError."""
    if not key_file.exists():
        write_key(key_file)
    key = SigningKey(name, read_key(key_file), COSIGNATURE)
    witness = Witness(key=key, folder=state, logs=[VerifierKey.parse(text) for text in log_key])
    server = witness_server(witness, host, port)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"port": server.server_address[1], "key": str(key.verifier)}) + "\n")
    sys.stdout.flush()
    stopped.wait()
    server.shutdown()
    server.server_close()


def witness_main(argv: list[str] | None = None) -> int:
    """The stand-alone witness: 0 when it was stopped, 3 when its key, memory or port can't be used."""
    parser = argparse.ArgumentParser(prog="mtce_witness", description=__doc__)
    add_witness_arguments(parser)
    try:
        run_witness(**vars(parser.parse_args(argv)))
    except (OSError, NoteError) as error:
        sys.stderr.write(f"mtce_witness: {error}\n")
        return 3
    return 0

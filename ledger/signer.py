"""The signer: a process of its own that holds the key and its own memory of what it last signed.

It signs a tree head only after it has checked a consistency proof from the last one, and never a smaller or
forked tree: whoever holds the database or the published files can't make it sign a second history.
The publisher asks through a mailbox of files (one request, one answer), which works across users and
containers without a port. The state is on the disk before the signature leaves.
"""

import datetime
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ledger.disk import Disk
from ledger.notes import Note, NoteError, SigningKey, TreeHead, decode64, encode64, open_checkpoint
from ledger.tree import EMPTY_ROOT, ProofError, check_consistency

STATE, REQUEST, ANSWER = "state.json", "request.json", "answer.json"


class SignerRefusedError(Exception):
    """The signer doesn't sign; the message says why, `size` is what it last signed."""

    def __init__(self, message: str, size: int = 0):
        super().__init__(message)
        self.size = size


@dataclass(frozen=True)
class SignRequest:
    """Sign `size` and `root`; `proof` shows that the tree of `old` entries is its prefix."""

    old: int
    size: int
    root: bytes
    proof: tuple[bytes, ...]


class Signer:
    """Signs tree heads of one log, in one history. `folder` holds its state; `keys` sign, the newest last."""

    def __init__(self, *, keys: list[SigningKey], folder: Path, published: Path | None = None):
        self.keys, self.disk = keys, Disk(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.size, self.root = self._remember(published)

    def _remember(self, published: Path | None) -> tuple[int, bytes]:
        """What was last signed: the state file, and what is published if that is further (a restored state)."""
        size, root = 0, EMPTY_ROOT
        try:
            kept = json.loads(self.disk.fetch(STATE))
            size, root = kept["size"], decode64(kept["root"], "state")
        except FileNotFoundError:
            pass
        if published is not None and published.exists():
            head = TreeHead.parse(Note.parse(published.read_bytes()).text)
            for key in self.keys:
                try:
                    open_checkpoint(published.read_bytes(), key.verifier)
                except NoteError:
                    continue
                if head.size > size:
                    size, root = head.size, head.root
                break
        return size, root

    def sign(self, request: SignRequest, *, at: datetime.datetime) -> str:
        """The signed checkpoint; raises SignerRefusedError, naming the size that the proof must start from."""
        if request.size < self.size:
            raise SignerRefusedError(
                f"the tree has {request.size} entries, {self.size} were signed already", self.size
            )
        if request.old != self.size:
            raise SignerRefusedError(f"the proof starts from {request.old}, expected {self.size}", self.size)
        try:
            check_consistency(self.size, request.size, request.proof, self.root, request.root)
        except ProofError as error:
            raise SignerRefusedError(f"not the history that was signed: {error}", self.size) from error
        moment = at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        head = TreeHead(self.keys[-1].name, request.size, request.root, (f"time {moment}",))
        self.disk.put(STATE, json.dumps({"size": head.size, "root": encode64(head.root)}).encode())
        self.size, self.root = head.size, head.root
        return head.text + "\n" + "".join(key.signature_line(head.text) for key in reversed(self.keys))


class Mailbox:
    """The publisher's side: puts a request into the signer's folder and waits for the answer."""

    def __init__(self, folder: Path, *, wait_s: float = 20):
        self.disk, self.wait_s = Disk(folder), wait_s

    def sign(self, request: SignRequest, *, at: datetime.datetime) -> str:
        """As `Signer.sign`, by the process; raises SignerRefusedError also when nobody answers."""
        name = secrets.token_hex(8)
        self.disk.put(
            REQUEST,
            json.dumps(
                {
                    "id": name,
                    "old": request.old,
                    "size": request.size,
                    "root": encode64(request.root),
                    "proof": [encode64(step) for step in request.proof],
                    "at": at.isoformat(),
                }
            ).encode(),
        )
        until = time.monotonic() + self.wait_s
        while time.monotonic() < until:
            answer = _read_json(self.disk.root / ANSWER)
            if answer is not None and answer.get("id") == name:
                if "note" in answer:
                    return answer["note"]
                raise SignerRefusedError(answer["error"], answer["size"])
            time.sleep(0.02)
        raise SignerRefusedError("the signer doesn't answer; is `manage.py ledger_signer` running?", -1)


def serve(signer: Signer, *, stop: Callable[[], bool], pause_s: float = 0.05) -> None:
    """Answer requests until `stop()`; a request that was answered before a kill is answered again, the same."""
    folder, last = signer.disk.root, None
    while not stop():
        request = _read_json(folder / REQUEST)
        if request is not None and request.get("id") != last:
            last = request.get("id")
            signer.disk.put(ANSWER, json.dumps(_answer(signer, request)).encode())
        time.sleep(pause_s)


def _answer(signer: Signer, request: dict) -> dict:
    try:
        note = signer.sign(
            SignRequest(
                int(request["old"]),
                int(request["size"]),
                decode64(request["root"], "root"),
                tuple(decode64(step, "proof") for step in request["proof"]),
            ),
            at=datetime.datetime.fromisoformat(request["at"]),
        )
    except SignerRefusedError as error:
        return {"id": request["id"], "error": str(error), "size": error.size}
    except (KeyError, TypeError, ValueError) as error:
        return {"id": request.get("id"), "error": f"malformed request: {error}", "size": signer.size}
    return {"id": request["id"], "note": note, "size": signer.size}


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None

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
from ledger.notes import NoteError, SigningKey, TreeHead, VerifierKey, decode64, encode64, open_checkpoint
from ledger.tree import EMPTY_ROOT, ProofError, check_consistency

STATE, REQUEST, ANSWER = "state.json", "request.json", "answer.json"


def rotation_path(new: VerifierKey) -> str:
    """Where the receipt of the `key.rotated` entry lies that makes `new` a key of the log."""
    return f"keys/{new.key_id.hex()}.tlog-proof"


class SignerRefusedError(Exception):
    """The signer doesn't sign; the message says why, `size` is what it last signed (-1: no size would help)."""

    def __init__(self, message: str, size: int = -1):
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
    """Signs tree heads of one log, in one history. `folder` holds its state; `keys` sign, the newest last.

    Raises SignerRefusedError at the start when the state can't be read, or when what was signed before carries none of
    these keys: then a key was replaced without an overlap, or this is the memory of another log.
    """

    def __init__(self, *, keys: list[SigningKey], folder: Path, published: Path | None = None):
        self.keys, self.disk, self.published = keys, Disk(folder), published
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.disk.lock():
            self.size, self.root = self._remember()

    def _must_overlap(self, known: list[str]) -> None:
        """Refuse keys that don't continue those of the last checkpoint: nobody could tell them from a stranger's."""
        ids = self._key_ids()
        if known and not set(known) & set(ids):
            raise SignerRefusedError(
                f"checkpoint gần nhất do khóa {', '.join(known)} ký, ở đây không có khóa nào trong số đó. Khi thay khóa, hãy"
                " ký bằng cả khóa cũ lẫn khóa mới cho đến khi sổ cái ghi tên khóa mới."
            )
        if set(known) - set(ids) and self.published is not None:
            endorsement = self.published.parent / rotation_path(self.keys[-1].verifier)
            if not endorsement.exists():
                raise SignerRefusedError(
                    f"chỉ bỏ khóa cũ khi sổ cái đã ghi tên khóa mới (chưa có {endorsement}): hãy ký bằng cả hai khóa,"
                    " chạy `manage.py ledger keys rotated` và chờ lần công bố sau."
                )

    def _remember(self) -> tuple[int, bytes]:
        """What was last signed: the state file, and what is published if that is further (a restored state)."""
        size, root, known = 0, EMPTY_ROOT, []
        try:
            kept = json.loads(self.disk.fetch(STATE))
            size, root, known = int(kept["size"]), decode64(kept["root"], "state"), kept.get("keys", [])
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SignerRefusedError(
                f"không đọc được {self.disk.root / STATE} ({error}). Hãy lấy lại tệp này từ bản sao, hoặc xóa nó để đi"
                " tiếp từ những gì đã công bố."
            ) from error
        self._must_overlap([str(name) for name in known])
        head = self._published_head()
        if head is not None and head.size > size:
            size, root = head.size, head.root
        return size, root

    def _published_head(self) -> TreeHead | None:
        """The tree head that lies on the disk; raises SignerRefusedError if it isn't this signer's."""
        try:
            raw = self.published.read_bytes() if self.published else None
        except FileNotFoundError:
            raw = None
        if raw is None:
            return None
        trouble = "no key"
        for key in self.keys:
            try:
                return open_checkpoint(raw, key.verifier)[0]
            except NoteError as error:
                trouble = str(error)
        raise SignerRefusedError(f"{self.published} không do khóa của bộ ký này ký: {trouble}")

    def _key_ids(self) -> list[str]:
        return [key.verifier.key_id.hex() for key in self.keys]

    def sign(self, request: SignRequest, *, at: datetime.datetime) -> str:
        """The signed checkpoint; raises SignerRefusedError, naming the size that the proof must start from.

        Checking and remembering are one step under a lock on the folder: two processes with the same memory can't
        sign two histories.
        """
        with self.disk.lock():
            self.size, self.root = self._remember()
            return self._sign(request, at)

    def _sign(self, request: SignRequest, at: datetime.datetime) -> str:
        if request.size < self.size:
            raise SignerRefusedError(f"cây có {request.size} mục, đã ký {self.size} mục", self.size)
        if request.old != self.size:
            raise SignerRefusedError(
                f"bằng chứng bắt đầu từ mục {request.old}, phải từ mục {self.size}", self.size
            )
        try:
            check_consistency(self.size, request.size, request.proof, self.root, request.root)
        except ProofError as error:
            raise SignerRefusedError(f"không phải lịch sử đã ký: {error}", self.size) from error
        moment = at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        head = TreeHead(self.keys[-1].name, request.size, request.root, (f"time {moment}",))
        state = {"size": head.size, "root": encode64(head.root), "keys": self._key_ids()}
        self.disk.put(STATE, json.dumps(state).encode())
        self.size, self.root = head.size, head.root
        return head.text + "\n" + "".join(key.signature_line(head.text) for key in reversed(self.keys))


class Mailbox:
    """The publisher's side: puts a request into the signer's folder and waits for the answer."""

    def __init__(self, folder: Path, *, wait_s: float = 20):
        self.disk, self.wait_s = Disk(folder), wait_s

    def sign(self, request: SignRequest, *, at: datetime.datetime) -> str:
        """As `Signer.sign`, by the process and its own clock (not `at`); raises SignerRefusedError also when nobody answers."""
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
        raise SignerRefusedError("bộ ký không trả lời; `manage.py ledger sign` có đang chạy không?", -1)


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
            # Its own clock: whoever asks can't have a checkpoint signed for another moment.
            at=datetime.datetime.now(datetime.UTC),
        )
    except SignerRefusedError as error:
        return {"id": request.get("id"), "error": str(error), "size": error.size}
    except (KeyError, TypeError, ValueError) as error:
        return {"id": request.get("id"), "error": f"malformed request: {error}", "size": signer.size}
    return {"id": request.get("id"), "note": note, "size": signer.size}


def _read_json(path: Path) -> dict | None:
    """The object in a file; None for a file that isn't there or holds anything else."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

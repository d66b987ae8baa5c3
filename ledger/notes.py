"""C2SP signed-note, tlog-checkpoint, tlog-cosignature: texts signed with Ed25519, and the keys' text form.

No Django here: the stand-alone verifier carries this very file.
"""

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.tree import HASH_BYTES

ED25519, COSIGNATURE = 1, 4
MARK = "— "
DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
KEY_NAME = re.compile(r"[^\s+]+")
# At least sixteen signatures, of other kinds too (signed-note): a post-quantum one is up to 5 kB, 7 in base64.
MAX_NOTE_BYTES = 256 * 1024


class NoteError(ValueError):
    """A note, checkpoint or key is malformed or isn't signed as it should be."""


def decode64(text: str, what: str) -> bytes:
    """Strict standard base64; the one text form per value is required, so no two texts mean the same."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{what}: not base64") from error
    if base64.b64encode(data).decode() != text:
        raise NoteError(f"{what}: not canonical base64")
    return data


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name; `kind` says whether it signs checkpoints or cosigns them as a witness."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read `name+hex id+base64`; raises NoteError."""
        name, _, rest = text.strip().partition("+")
        shown, _, encoded = rest.partition("+")
        data = decode64(encoded, "key")
        if not KEY_NAME.fullmatch(name) or len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise NoteError("key: expected name+id+base64 of an Ed25519 key")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != shown:
            raise NoteError("key: its id doesn't fit its name and bytes")
        return key

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind]) + self.public)}"

    def check(self, text: str, signature: bytes) -> int | None:
        """Raise NoteError unless `signature` is this key's over `text`; a cosignature's time in Unix seconds."""
        message, moment = text.encode(), None
        if self.kind == COSIGNATURE:
            if len(signature) != 72:
                raise NoteError(f"cosignature of {self.name}: wrong length")
            (moment,) = struct.unpack(">Q", signature[:8])
            message, signature = b"cosignature/v1\ntime %d\n" % moment + message, signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise NoteError(f"signature of {self.name} is wrong") from error
        return moment


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name; made of 32 seed bytes."""

    name: str
    seed: bytes
    kind: int = ED25519

    @property
    def verifier(self) -> VerifierKey:
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, self.kind, public.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def signature_line(self, text: str, *, at: int = 0) -> str:
        """The signature line over a note's text; `at` is the Unix time of a cosignature."""
        key, message, stamp = Ed25519PrivateKey.from_private_bytes(self.seed), text.encode(), b""
        if self.kind == COSIGNATURE:
            message, stamp = b"cosignature/v1\ntime %d\n" % at + message, struct.pack(">Q", at)
        return f"{MARK}{self.name} {encode64(self.verifier.key_id + stamp + key.sign(message))}\n"


@dataclass(frozen=True)
class Note:
    """A signed note: its text (ends with a newline) and signature lines as (name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a signed note; raises NoteError."""
        if len(raw) > MAX_NOTE_BYTES:
            raise NoteError("note: too long")
        try:
            content = raw.decode()
        except UnicodeDecodeError as error:
            raise NoteError("note: not UTF-8") from error
        text, separator, lines = content.rpartition("\n\n")
        if not separator or not lines.endswith("\n") or any(ord(c) < 32 and c != "\n" for c in content):
            raise NoteError("note: expected a text, an empty line and signature lines")
        return cls(text + "\n", tuple(cls.parse_signature(line) for line in lines[:-1].split("\n")))

    @staticmethod
    def parse_signature(line: str) -> tuple[str, bytes, bytes]:
        name, space, encoded = line.removeprefix(MARK).partition(" ")
        data = decode64(encoded, "signature")
        if not line.startswith(MARK) or not space or not KEY_NAME.fullmatch(name) or len(data) < 5:
            raise NoteError("note: malformed signature line")
        return name, data[:4], data[4:]

    def signed_by(self, key: VerifierKey) -> int | None:
        """Raise NoteError unless `key` signed; the time of a cosignature."""
        for name, key_id, signature in self.signatures:
            if name == key.name and key_id == key.key_id:
                return key.check(self.text, signature)
        raise NoteError(f"not signed by {key.name}+{key.key_id.hex()}")


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says: this log had `size` entries under `root`; `extra` lines carry the time of signing."""

    origin: str
    size: int
    root: bytes
    extra: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(
            f"{line}\n" for line in (self.origin, str(self.size), encode64(self.root), *self.extra)
        )

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """Read a checkpoint's text; raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or any(not line for line in lines[:-1]):
            raise NoteError("checkpoint: expected origin, size and root")
        if not DECIMAL.fullmatch(lines[1]):
            raise NoteError("checkpoint: size is not a number")
        root = decode64(lines[2], "checkpoint: root")
        if len(root) != HASH_BYTES:
            raise NoteError("checkpoint: root is not 32 bytes")
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:-1]))

    @property
    def signed_at(self) -> str | None:
        """Moment of signing (`time 2021-10-05T09:00:00Z` in the extra lines), as text."""
        return next((line.removeprefix("time ") for line in self.extra if line.startswith("time ")), None)


def open_checkpoint(raw: bytes, key: VerifierKey) -> tuple[TreeHead, Note]:
    """The tree head in a checkpoint that `key` signed; raises NoteError."""
    note = Note.parse(raw)
    head = TreeHead.parse(note.text)
    if key.kind != ED25519:
        raise NoteError(f"{key.name}: the key of a witness, not of a log")
    if head.origin != key.name:
        raise NoteError(f"checkpoint: of the log {head.origin}, expected {key.name}")
    note.signed_by(key)
    return head, note


def distinct(keys: list[VerifierKey]) -> list[VerifierKey]:
    """The keys of different bodies. A cosignature doesn't commit to its signer's name (tlog-cosignature), so one key under
    two names is one witness."""
    return list({key.public: key for key in reversed(keys)}.values())[::-1]


def witnesses_of(note: Note, keys: list[VerifierKey]) -> list[tuple[str, int]]:
    """(name, Unix time) of each trusted witness with a valid cosignature; a wrong one raises NoteError."""
    found = []
    for key in distinct(keys):
        if key.kind != COSIGNATURE:
            raise NoteError(f"{key.name}: not the key of a witness")
        if any((name, key_id) == (key.name, key.key_id) for name, key_id, _ in note.signatures):
            found.append((key.name, note.signed_by(key) or 0))
    return found

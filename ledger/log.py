"""A whole log from its files: that every byte is what was signed, by a key that one trusts.

No Django here: the stand-alone verifier carries this very file.
"""

from collections.abc import Iterator

from ledger.notes import ED25519, Note, NoteError, TreeHead, VerifierKey, open_checkpoint, witnesses_of
from ledger.receipts import ReceiptError, check_receipt, read_receipt
from ledger.tiles import Edge, Fetch, TileError, fetch_tile, leaf_hashes, read_entries
from ledger.tree import HASH_BYTES

# More changes of key than this are not followed.
MAX_CHANGES = 64


class LogError(Exception):
    """The log doesn't hold what it promises; the message says what and where."""


class NoLogError(LogError):
    """There is no log here: no checkpoint to start from."""


def endorsed_keys(fetch: Fetch, keys: list[VerifierKey]) -> list[VerifierKey]:
    """The trusted keys and those that followed them, each by a `key.rotated` entry under the older key's signature.

    The receipt of that entry lies beside the log as `keys/<id of the new key>.tlog-proof`; so whoever holds the first
    key can check a log that is signed by the fifth.
    """
    trusted = list(keys)
    try:
        beside = [VerifierKey.parse(line) for line in fetch("vkey").decode().splitlines() if line.strip()]
    except (FileNotFoundError, UnicodeDecodeError, NoteError):
        return trusted
    for new in beside:
        chain = _chain_to(fetch, new, trusted)
        trusted += [key for key in chain if key not in trusted]
    return trusted


def _chain_to(fetch: Fetch, new: VerifierKey, trusted: list[VerifierKey]) -> list[VerifierKey]:
    """The keys from a trusted one to `new`, each named under the signature of the one before; empty if there is none."""
    chain: list[VerifierKey] = []
    key = new
    while key not in trusted and key not in chain and len(chain) < MAX_CHANGES:
        try:
            raw = fetch(f"keys/{key.key_id.hex()}.tlog-proof")
            body = read_receipt(raw).body
            if body["t"] != "key.rotated" or (body["key"], body["new"]) != (key.name, key.public.hex()):
                return []
            old = VerifierKey(key.name, ED25519, bytes.fromhex(body["old"]))
            check_receipt(raw, old)
        except (FileNotFoundError, ReceiptError):
            return []
        chain.insert(0, key)
        key = old
    return chain if key in trusted else []


def read_checkpoint(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> tuple[TreeHead, Note]:
    """The signed tree head, by any of the trusted keys and `needed` of the `witnesses`; raises LogError."""
    try:
        raw = fetch("checkpoint")
    except FileNotFoundError:
        raise NoLogError("checkpoint: missing; there is no log here") from None
    trouble = "no key to check it with"
    for key in keys:
        try:
            head, note = open_checkpoint(raw, key)
        except NoteError as error:
            trouble = str(error)
            continue
        check_witnesses(note, witnesses or [], needed, "checkpoint")
        return head, note
    raise LogError(f"checkpoint: {trouble}")


def check_witnesses(note: Note, witnesses: list[VerifierKey], needed: int, where: str) -> list[str]:
    """Names of the trusted witnesses that cosigned; raises LogError when they are fewer than `needed`."""
    try:
        seen = witnesses_of(note, witnesses)
    except NoteError as error:
        raise LogError(f"{where}: {error}") from error
    if len(seen) < needed:
        raise LogError(f"{where}: {len(seen)} of the {needed} needed witnesses cosigned")
    return [name for name, _ in seen]


def verify_log(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> dict:
    """Recompute every hash of the log and compare with every tile and the signed root.

    Returns {"size", "root", "signed_at", "witnesses"}. Raises LogError naming the file. `needed` of the `witnesses`
    must have cosigned.
    """
    head, note = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    for _ in checked_entries(fetch, head):
        pass
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_at": head.signed_at,
        "witnesses": check_witnesses(note, witnesses or [], needed, "checkpoint"),
    }


def checked_entries(fetch: Fetch, head: TreeHead) -> Iterator[list[bytes]]:
    """Bundles of entries, each compared with the tiles; after the last one the root. Raises LogError."""
    edge = Edge(hashes_only=True)
    try:
        for bodies in read_entries(fetch, head.size):
            for path, data in edge.add(bodies, leaf_hashes(bodies)):
                if fetch(path) != data:
                    raise LogError(f"{path}: not the hashes of the entries")
            yield bodies
        for path, data in edge.partials():
            level = int(path.split("/")[1])
            number = edge.size >> 8 * (level + 1)
            if fetch_tile(fetch, level, number, len(data) // HASH_BYTES) != data:
                raise LogError(f"{path}: not the hashes of the entries")
    except TileError as error:
        raise LogError(str(error)) from error
    except FileNotFoundError as error:
        raise LogError(f"{error.filename or error}: missing") from None
    if edge.root() != head.root:
        raise LogError("the entries don't lead to the signed root")

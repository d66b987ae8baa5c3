"""Merkle tree of RFC 6962 (SHA-256): hashes, proofs and their verification, over any source of subtree hashes.

No Django here: the stand-alone verifier carries this very file.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
# A complete subtree: (level, index) is the hash of entries index·2^level … (index+1)·2^level - 1.
NodeReader = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof doesn't show what it should."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry), RFC 6962 section 2.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def next_level(hashes: bytes) -> bytes:
    """Parents of a concatenation of hashes, pairwise; an odd last hash is left out."""
    return b"".join(
        [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes) - 63, 64)]
    )


def perfect_root(hashes: bytes) -> bytes:
    """Root over 2^k concatenated hashes."""
    while len(hashes) > HASH_BYTES:
        hashes = next_level(hashes)
    return hashes


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes; for small trees and as the plain statement of the definition."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def range_hash(node: NodeReader, low: int, high: int) -> bytes:
    """Hash of entries low … high-1, where `low` is a multiple of the smallest power of two ≥ the length."""
    count = high - low
    if count == 0:
        return EMPTY_ROOT
    level = count.bit_length() - 1
    if count == 1 << level:
        return node(level, low >> level)
    return node_hash(node(level, low >> level), range_hash(node, low + (1 << level), high))


def inclusion_proof(node: NodeReader, index: int, size: int) -> list[bytes]:
    """Audit path of entry `index` in the tree of `size`, leaf's sibling first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    path, low, high = [], 0, size
    while high - low > 1:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if index < split:
            path.append(range_hash(node, split, high))
            high = split
        else:
            path.append(range_hash(node, low, split))
            low = split
    return path[::-1]


def consistency_proof(node: NodeReader, old: int, new: int) -> list[bytes]:
    """Proof that the tree of `old` entries is a prefix of the tree of `new` (RFC 6962 section 2.1.2)."""
    if not 0 <= old <= new:
        raise ProofError(f"{old} is not a size before {new}")
    if old in (0, new):
        return []
    path, low, high, whole = [], 0, new, True
    while old != high:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if old <= split:
            path.append(range_hash(node, split, high))
            high = split
        else:
            path.append(range_hash(node, low, split))
            low, whole = split, False
    if not whole:
        path.append(range_hash(node, low, high))
    return path[::-1]


def _check_steps(path: Sequence[bytes]) -> None:
    """Raise ProofError unless every step is a hash: of other lengths, two trees could have the same node."""
    if any(len(step) != HASH_BYTES for step in path):
        raise ProofError(f"a step of the proof is not {HASH_BYTES} bytes")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Root that the audit path leads to (RFC 9162 section 2.1.3.2); raises ProofError on a wrong length."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    _check_steps(path)
    at, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise ProofError("inclusion proof is too long")
        if at & 1 or at == last:
            root = node_hash(step, root)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            root = node_hash(root, step)
        at >>= 1
        last >>= 1
    if last:
        raise ProofError("inclusion proof is too short")
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless `path` shows `leaf` at `index` under `root`."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise ProofError("inclusion proof leads to another root")


def check_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofError unless `path` shows that the old tree is a prefix of the new one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new:
        raise ProofError("the new tree is smaller than the old one" if old > new else f"{old} is not a size")
    _check_steps(path)
    if old in (0, new):
        if path:
            raise ProofError("consistency proof is too long")
        if old == new and old_root != new_root:
            raise ProofError("trees of the same size differ")
        if old == 0 and old_root != EMPTY_ROOT:
            raise ProofError("not the root of the empty tree")
        return
    steps = list(path)
    if not steps:
        raise ProofError("consistency proof is empty")
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofError("consistency proof is too long")
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        at >>= 1
        last >>= 1
    if last or first != old_root or second != new_root:
        raise ProofError("consistency proof leads to other roots")

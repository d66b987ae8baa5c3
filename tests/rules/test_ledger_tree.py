"""The pure part of the log: RFC 6962's vectors, an independent implementation, tiles, notes and receipts."""

import base64
import hashlib
import random
import sys
from contextlib import nullcontext

import pymerkle
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.canon import CanonError, canonical, dumps, parse
from ledger.codes import ALPHABET, new_code, new_device_code, new_device_codes, normalise, normalise_code
from ledger.commitments import commitment, draw_seed, lot_number
from ledger.custody import TRANSITIONS
from ledger.draw import DrawError, check_draw, draw_file
from ledger.events import EVENTS, EventError, check_entry, encode
from ledger.notes import COSIGNATURE, Note, NoteError, SigningKey, TreeHead, VerifierKey, open_checkpoint
from ledger.receipts import ReceiptError, check_openings, check_receipt, make_receipt, read_receipt
from ledger.tiles import Edge, Tiles, leaf_hashes, open_edge, read_entries, tile_path
from ledger.tree import (
    EMPTY_ROOT,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    node_hash,
    root_of,
)
from ledger.witnesses import MAX_REQUEST, read_request

# The eight inputs and the roots of the reference implementation of RFC 6962.
INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grow(bodies: list[bytes], steps: random.Random) -> dict[str, bytes]:
    """Files of a log that took its entries in random portions."""
    files, edge, at = {}, Edge(), 0
    while at < len(bodies):
        many = steps.randint(1, max(1, len(bodies) // 3))
        part = bodies[at : at + many]
        files |= dict(edge.add(part, leaf_hashes(part)))
        files |= dict(edge.partials())
        at += len(part)
    return files


def test_the_reference_vectors():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for count, root in enumerate(ROOTS, 1):
        assert root_of(leaf_hashes(INPUTS[:count])).hex() == root


@pytest.mark.parametrize("size", [1, 2, 3, 7, 255, 256, 257, 300, 512, 700, 66_000])
def test_tiles_and_proofs_agree_with_an_independent_tree(size):
    chance = random.Random(size)
    bodies = [b"%d" % number for number in range(size)]
    files = grow(bodies, chance)
    tiles = Tiles(files.__getitem__, size)
    other = pymerkle.InmemoryTree(algorithm="sha256")
    if size <= 700:
        for body in bodies:
            other.append_entry(body)
        assert tiles.root() == other.get_root()
    leaves = leaf_hashes(bodies)
    root = root_of(leaves)
    assert tiles.root() == root == open_edge(files.__getitem__, size).root()
    assert [body for bundle in read_entries(files.__getitem__, size) for body in bundle] == bodies
    for index in {0, size - 1, *(chance.randrange(size) for _ in range(20))}:
        path = inclusion_proof(tiles.node, index, size)
        check_inclusion(leaves[index], index, size, path, root)
        if path:
            with pytest.raises(ProofError):
                check_inclusion(leaves[index], index, size, path[:-1], root)
    for old in {0, 1, size, *(chance.randrange(size + 1) for _ in range(20))}:
        path = consistency_proof(tiles.node, old, size)
        check_consistency(old, size, path, root_of(leaves[:old]), root)
        if 0 < old < size:
            with pytest.raises(ProofError):
                check_consistency(old, size, path, root_of([*leaves[: old - 1], bytes(32)]), root)


def test_tile_paths():
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path("entries", 273, 112) == "tile/entries/273.p/112"


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"))


# Drawing text is slow on a busy machine, and that says nothing about the bytes.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.text("abcdefgh_", min_size=1), TEXT | st.integers(-(2**53) + 1, 2**53 - 1)))
def test_canonical_bytes_are_those_of_rfc8785(value):
    assert dumps(value) == rfc8785.dumps(value)


def test_an_entry_has_at_most_4_kib():
    """Whether written or read; no field of any event may be so long by itself."""
    frame = len(dumps({"org": ""}))
    for length, fits in ((4096 - frame, True), (4097 - frame, False)):
        body = {"org": "x" * length}
        for use in (canonical, lambda made: parse(dumps(made))):
            with nullcontext() if fits else pytest.raises(CanonError, match="at most 4096"):
                use(body)


@pytest.mark.parametrize(
    "body",
    [{"a": 1.5}, {"a": True}, {"a": None}, {"a": "Tru\u031bờng"}, {"a": "x\ny"}, {"a": 2**53}, {"a": "x" * 5000}, {"a": [1]}],
)  # fmt: skip
def test_what_has_no_canonical_form(body):
    with pytest.raises(CanonError):
        canonical(body)


@pytest.mark.parametrize(
    "data", [b'{"a":1,"a":1}', b'{"a": 1}', b'{"b":1,"a":1}', b"[1]", b"{", b"\xff", b'{"a":1}\n']
)
def test_only_canonical_bytes_are_read(data):
    with pytest.raises(CanonError):
        parse(data)


def entry(kind: str, **more) -> dict:
    body = {"v": 1, "t": kind, "eid": "0" * 32, "d": "2021-10-05"} | EVENTS[kind].example | more
    if "dev" in EVENTS[kind].required:
        body["dev"] = GOOD
    if "by" in body:
        body["by"] = GOOD
    if kind == "correction":
        body["dev"] = GOOD
    return body


GOOD = new_device_code()


@pytest.mark.parametrize("kind", EVENTS)
def test_every_type_has_an_example_that_passes_and_a_closed_set_of_keys(kind):
    encode(entry(kind))
    with pytest.raises(EventError, match="not a key"):
        encode(entry(kind, note="một ghi chú"))
    for key in EVENTS[kind].required:
        body = entry(kind)
        del body[key]
        with pytest.raises(EventError):
            check_entry(body)
        with pytest.raises(EventError):
            check_entry(entry(kind) | {key: "Nguye\u0302\u0303n Va\u0306n A, lớp 5"})


def test_every_move_is_of_a_known_type_and_every_state_has_a_way_in():
    reached = {after for states in TRANSITIONS.values() for after in states.values()} | {""}
    for (kind, outcome), states in TRANSITIONS.items():
        assert kind in EVENTS
        assert not outcome or outcome in EVENTS[kind].required["outcome"]
        assert set(states) <= reached


def test_codes_find_wrong_symbols_and_swaps():
    for code in new_device_codes(50):
        assert normalise_code(f" {code[:4]}-{code[4:8]}-{code[8:]} ".lower()) == code
        for at in range(12):
            for symbol in ALPHABET:
                if symbol != code[at]:
                    assert normalise_code(code[:at] + symbol + code[at + 1 :]) is None
        for at in range(11):
            swapped = code[:at] + code[at + 1] + code[at] + code[at + 2 :]
            assert normalise_code(swapped) is None or swapped == code
    human = new_code("CK")
    assert normalise(human.lower()) == human


def signed_log(size: int) -> tuple[dict[str, bytes], SigningKey, bytes, list[bytes]]:
    key = SigningKey("so-cai.example", bytes(range(32)))
    salt = bytes(range(32))
    bodies = [
        encode(
            entry(
                "device.handed_over",
                eid=f"{number:032x}",
                c={"recipient": commitment("recipient", "An", salt).hex()},
            )
        )[0]
        for number in range(size)
    ]
    files = grow(bodies, random.Random(1))
    head = TreeHead(key.name, size, root_of(leaf_hashes(bodies)), ("time 2021-10-05T00:00:00Z",))
    checkpoint = (head.text + "\n" + key.signature_line(head.text)).encode()
    return files, key, checkpoint, bodies


def test_ten_thousand_mutated_receipts_are_refused(capsys):
    files, key, checkpoint, bodies = signed_log(300)
    path = inclusion_proof(Tiles(files.__getitem__, 300).node, 123, 300)
    text = make_receipt(bodies[123], 123, path, checkpoint, [("recipient", "An", bytes(range(32)))]).encode()
    receipt, head, _ = check_receipt(text, key.verifier)
    assert (receipt.index, head.size, receipt.openings[0][1]) == (123, 300, "An")
    chance, accepted = random.Random(3667), 0
    for _ in range(10_000):
        wrong = bytearray(text)
        how = chance.randrange(4)
        at = chance.randrange(len(wrong))
        if how == 0:
            wrong[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del wrong[at]
        elif how == 2:
            wrong.insert(at, chance.randrange(256))
        else:
            wrong = wrong[:at]
        if bytes(wrong) == text:
            continue
        try:
            check_receipt(bytes(wrong), key.verifier)
        except ReceiptError:
            continue
        accepted += 1
    with capsys.disabled():
        sys.stdout.write(f"\n10,000 mutated receipts: {accepted} accepted\n")
    assert accepted == 0


def receipt_of(extra: bytes) -> bytes:
    return b"c2sp.org/tlog-proof@v1\nextra " + base64.b64encode(extra) + b"\nindex 0\n\n"


@pytest.mark.parametrize(
    "extra",
    [
        b'{"entry":{"a":"\\ud800"}}',
        b'{"entry":{},"open":{"recipient":{"salt":"x","value":"\\ud800"}}}',
        b'{"entry":' + b"9" * 5000 + b"}",
        b'{"entry":' + b'{"a":' * 20_000,
        b"[" * 20_000,
    ],
    ids=[
        "half a character",
        "half a character in an opening",
        "endless number",
        "endless entry",
        "endless list",
    ],
)
def test_whatever_a_receipt_holds_it_is_refused_as_a_receipt(extra):
    with pytest.raises(ReceiptError):
        read_receipt(receipt_of(extra))


@pytest.mark.parametrize("salt", ["", "xyz", "00", "0" * 63 + "g", "0" * 66, 7, None])
def test_a_salt_that_is_none_opens_nothing(salt):
    body = {"c": {"recipient": commitment("recipient", "An", bytes(32)).hex()}}
    check_openings(body, [("recipient", "An", "00" * 32)])
    with pytest.raises(ReceiptError, match="recipient"):
        check_openings(body, [("recipient", "An", salt)])


def test_a_proof_is_of_hashes_and_says_what_is_wrong_with_it():
    """A step of another length would let two trees have the same node: the parts of one run together."""
    leaves = leaf_hashes([b"a", b"b", b"c"])
    root = root_of(leaves)
    right = node_hash(leaves[0], leaves[1])
    with pytest.raises(ProofError, match="32 bytes"):
        # SHA-256(1 ‖ x ‖ y) doesn't say where x ends: a "leaf" of the last byte of one and the first 31 of the other.
        check_inclusion(right[:31], 0, 2, [right[31:] + leaves[2]], root)
    for old, new, path, roots, expected in (
        (-1, 3, [], (EMPTY_ROOT, root), "not a size"),
        (4, 3, [], (root, root), "smaller"),
        (0, 3, [root], (EMPTY_ROOT, root), "too long"),
        (0, 3, [], (root, root), "not the root of the empty tree"),
        (3, 3, [root], (root, root), "too long"),
        (3, 3, [], (leaves[0], root), "same size differ"),
        (2, 3, [], (right, root), "is empty"),
        (2, 3, [leaves[2][:31]], (right, root), "32 bytes"),
        (2, 3, [leaves[1]], (right, root), "other roots"),
    ):
        with pytest.raises(ProofError, match=expected):
            check_consistency(old, new, path, *roots)
    check_consistency(2, 3, [leaves[2]], right, root)


def test_a_note_may_have_sixteen_signatures_of_any_kind():
    """signed-note: verifiers must accept at least sixteen, and a post-quantum one is nearly 5 kB."""
    key = SigningKey("so-cai.example", bytes(32))
    head = TreeHead(key.name, 0, EMPTY_ROOT)
    others = "".join(
        f"— nhan-chung-{number}.example {base64.b64encode(bytes(5000)).decode()}\n" for number in range(15)
    )
    note = f"{head.text}\n{others}{key.signature_line(head.text)}".encode()
    assert open_checkpoint(note, key.verifier)[0] == head
    assert read_request(b"old 0\n\n" + note)[2] == note
    assert len(note) < MAX_REQUEST


def test_notes_and_keys_are_read_strictly():
    key = SigningKey("so-cai.example", bytes(32))
    assert VerifierKey.parse(str(key.verifier)) == key.verifier
    head = TreeHead(key.name, 0, EMPTY_ROOT)
    note = (head.text + "\n" + key.signature_line(head.text)).encode()
    assert open_checkpoint(note, key.verifier)[0] == head
    witness = SigningKey("nhan-chung.example", bytes(range(32)), COSIGNATURE)
    cosigned = Note.parse(note + witness.signature_line(head.text, at=1633392000).encode())
    assert cosigned.signed_by(witness.verifier) == 1633392000
    for bad in (b"", note[:-1], note.replace(b"\n\n", b"\n"), note + b"x\n", b"\xff" + note):
        with pytest.raises(NoteError):
            open_checkpoint(bad, key.verifier)
    for bad in ("", "a+b+c", str(key.verifier)[:-2], str(key.verifier).replace("so-cai", "so-kai")):
        with pytest.raises(NoteError):
            VerifierKey.parse(bad)


def test_the_draw_of_a_run_is_proved_or_refused():
    root, randomness = "ab" * 32, b"12345"
    seed = draw_seed(bytes.fromhex(root), randomness)
    codes = sorted((f"A{number:03d}" for number in range(40)), key=lambda code: lot_number(seed, code))
    rows = [(code, "1.1-VN2021-15", "draw" if place < 15 else "no") for place, code in enumerate(codes)]

    def proved(rows):
        data = draw_file(rows)
        served = sum(row[2] != "no" for row in rows)
        hashed = hashlib.sha256(data).hexdigest()
        return check_draw(
            data, {"root": root, "applicants": 40, "supply": 15}, {"randomness": randomness.hex(), "seed": seed.hex()},
            {"served": served, "unserved": 40 - served, "draw_file": hashed},
        )  # fmt: skip

    assert proved(rows)["served"] == 15
    jumped = [
        (code, cell, {0: "no", 39: "draw"}.get(place, how)) for place, (code, cell, how) in enumerate(rows)
    ]
    with pytest.raises(DrawError, match="order"):
        proved(jumped)
    with pytest.raises(DrawError, match="fewer"):
        proved([(code, f"1.1-VN2021-{place % 10}", how) for place, (code, _, how) in enumerate(rows)])


def test_base64_has_one_form():
    key = SigningKey("a", bytes(32)).verifier
    twisted = str(key)[:-1] + chr(ord(str(key)[-1]) + 1)
    with pytest.raises(NoteError):
        VerifierKey.parse(twisted)
    assert base64.b64decode(str(key).rsplit("+", 1)[1])

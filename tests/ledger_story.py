"""A small log made by hand, without a database: every kind of entry in a legal order, its files, keys and receipts."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from ledger.codes import new_device_codes
from ledger.commitments import commitment, draw_seed, lot_number
from ledger.disclosure import Tally
from ledger.draw import draw_file
from ledger.events import EVENTS, encode
from ledger.notes import SigningKey, TreeHead
from ledger.receipts import make_receipt
from ledger.tiles import Edge, Tiles, leaf_hashes
from ledger.tree import inclusion_proof

RUN, SALT, RANDOMNESS = "DPB-2021-01", bytes(range(32)), b"12345"
ROOT = "ab" * 32
SEED = draw_seed(bytes.fromhex(ROOT), RANDOMNESS)
KEY = SigningKey("so-cai.example/log", bytes(range(32)))
NEXT_KEY = SigningKey("so-cai.example/log", bytes(range(1, 33)))


def draw_rows(served: dict[str, int], size: int = 20) -> list[tuple[str, str, str]]:
    """A draw file's rows: `size` applicants in each cell, the first of them by lot served."""
    rows = []
    for number, (cell, count) in enumerate(served.items()):
        codes = sorted(
            (f"A{number}{place:03d}" for place in range(size)), key=lambda code: lot_number(SEED, code)
        )
        rows += [(code, cell, "draw" if place < count else "no") for place, code in enumerate(codes)]
    return rows


class Files(dict):
    """Files by their path; one that isn't there is missing as on a disk."""

    def __missing__(self, path: str) -> bytes:
        raise FileNotFoundError(path)


@dataclass
class Story:
    """Entries in their order, and what lies beside the log."""

    bodies: list[bytes] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    beside: dict[str, bytes] = field(default_factory=dict)
    key: SigningKey = KEY

    def add(self, kind: str, *, day: str = "2021-10-05", prev: int | None = None, **fields) -> str:
        """Append an entry; its event id. `prev` follows from the device unless given."""
        eid = fields.pop("eid", hashlib.sha256(b"%d" % len(self.bodies)).hexdigest()[:32])
        body = {"v": 1, "t": kind, "eid": eid, "d": day}
        body |= {key: value for key, value in EVENTS[kind].example.items() if key in EVENTS[kind].required}
        body |= {key.removesuffix("_"): value for key, value in fields.items()}
        if "dev" in body:
            before = self.last.get(body["dev"]) if prev is None else prev
            if before is not None:
                body["prev"] = before
            self.last[body["dev"]] = len(self.bodies)
        self.bodies.append(encode(body)[0])
        return eid

    def run(
        self, rows: list[tuple[str, str, str]], *, code: str = RUN, supply: int | None = None, **seeded
    ) -> None:
        """A run from the freeze to its approval; `commit` ends it."""
        served = sum(row[2] != "no" for row in rows)
        self.add(
            "run.frozen", run=code, root=ROOT, applicants=len(rows), supply=served if supply is None else supply,
            draw_on="2021-10-05",
        )  # fmt: skip
        seed = {"randomness": RANDOMNESS.hex(), "seed": SEED.hex()} | seeded
        self.add("run.seeded", run=code, **seed)
        self.add("run.approved", run=code, served=served, proposal="5" * 64)

    def commit(self, rows: list[tuple[str, str, str]], *, code: str = RUN, data: bytes | None = None) -> None:
        data = draw_file(rows) if data is None else data
        self.beside[f"runs/{code}.csv"] = data
        served = sum(row[2] != "no" for row in rows)
        self.add(
            "run.committed", run=code, served=served, unserved=len(rows) - served, result="5" * 64,
            draw_file=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip

    def figures(self, name: str = "2021-10-05") -> None:
        tally = Tally()
        for body in self.bodies:
            tally.add(json.loads(body))
        self.beside[f"figures/{name}.json"] = json.dumps(
            tally.figures(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
        self.add("figures.published", figures=name, hash=tally.digest(), size=len(self.bodies))

    def device(self, code: str, *, run: str = RUN) -> str:
        """One device from the donor to the child; the event id of its handover."""
        self.add("device.received", dev=code, pledge="CK-1", to="KHO-TU")
        self.add("device.inspected", dev=code, outcome="accepted")
        self.add("device.allocated", dev=code, run=run, area="VN2021-15")
        self.add("device.dispatched", dev=code, from_="KHO-TU", to="S-15")
        self.add("device.arrived", dev=code, to="S-15")
        opened = commitment("recipient", "Giàng Thị Mỷ", SALT).hex()
        return self.add("device.handed_over", dev=code, run=run, day="2021-10-04", c={"recipient": opened})

    def files(self, *signers: SigningKey) -> Files:
        """Every file of the log, signed by the story's key (or by `signers`, the newest last)."""
        keys = signers or (self.key,)
        edge = Edge()
        files = dict(edge.add(self.bodies, leaf_hashes(self.bodies)))
        files |= dict(edge.partials())
        head = TreeHead(keys[-1].name, len(self.bodies), edge.root(), ("time 2021-10-06T00:00:00Z",))
        note = head.text + "\n" + "".join(key.signature_line(head.text) for key in reversed(keys))
        vkey = "".join(f"{key.verifier}\n" for key in reversed(keys))
        return Files(files | self.beside | {"checkpoint": note.encode(), "vkey": vkey.encode()})

    def receipt(self, index: int, files: dict[str, bytes], *, opened: bool = False) -> bytes:
        size = int(files["checkpoint"].split(b"\n")[1])
        tiles = Tiles(files.__getitem__, size)
        openings = [("recipient", "Giàng Thị Mỷ", SALT)] if opened else []
        path = inclusion_proof(tiles.node, index, size)
        return make_receipt(self.bodies[index], index, path, files["checkpoint"], openings).encode()


# Two provinces, two tiers; the second tier is the margin: 5 devices over two equal needs.
SERVED = {"1.1.1-VN2021-15": 20, "1.1.1-VN2021-46": 20, "1.2.1-VN2021-15": 3, "1.2.1-VN2021-46": 2}


def whole_story(served: dict[str, int] = SERVED) -> Story:
    """A log in which every rule holds, about as many devices as `served` has."""
    story, rows = Story(), draw_rows(served)
    story.add("pledge.made", pledge="CK-1")
    codes = new_device_codes(sum(served.values()))
    story.run(rows)
    for code in codes:
        handed = story.device(code)
    story.add("device.handover_confirmed", dev=codes[0], day="2021-10-04")
    story.add("commitment.erased", erases=handed, field="recipient")
    undone = story.add("device.broken", dev=codes[1])
    story.add("correction", corrects=undone, reason="recorded_in_error", dev=codes[1])
    story.commit(rows)
    story.figures()
    return story


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder

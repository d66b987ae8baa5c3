"""Checking a whole log from its files: that it is what was signed, and that what it tells obeys the rules.

`verify_log` is about bytes (every tile, bundle and the signature); `audit` is about the programme (one way per
device, no handover without an allocation, the draw of each run, the published figures).
No Django here: the stand-alone verifier carries this very file.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.canon import CanonError, parse
from ledger.commitments import draw_seed
from ledger.custody import NEW, IllegalMoveError, next_state
from ledger.disclosure import Tally
from ledger.events import EventError, check_entry
from ledger.notes import Note, NoteError, TreeHead, VerifierKey, open_checkpoint, witnesses_of
from ledger.tiles import Edge, Fetch, TileError, fetch_tile, leaf_hashes, read_entries
from ledger.tree import HASH_BYTES

SHOWN = 20


class LogError(Exception):
    """The log doesn't hold what it promises; the message says what and where."""


def read_checkpoint(fetch: Fetch, keys: list[VerifierKey]) -> tuple[TreeHead, Note]:
    """The signed tree head, by any of the trusted keys; raises LogError."""
    try:
        raw = fetch("checkpoint")
    except FileNotFoundError:
        raise LogError("checkpoint: missing") from None
    trouble = "no key to check it with"
    for key in keys:
        try:
            return open_checkpoint(raw, key)
        except NoteError as error:
            trouble = str(error)
    raise LogError(f"checkpoint: {trouble}")


def verify_log(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> dict:
    """Recompute every hash of the log and compare with every tile and the signed root.

    Returns {"size", "root", "signed_at", "witnesses"}. Raises LogError naming the file. `needed` of the `witnesses`
    must have cosigned.
    """
    head, note = read_checkpoint(fetch, keys)
    for _ in checked_entries(fetch, head):
        pass
    try:
        seen = witnesses_of(note, witnesses or [])
    except NoteError as error:
        raise LogError(f"checkpoint: {error}") from error
    if len(seen) < needed:
        raise LogError(f"checkpoint: {len(seen)} of the {needed} needed witnesses cosigned")
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_at": head.signed_at,
        "witnesses": [name for name, _ in seen],
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
            if fetch_tile(fetch, level, number, len(data) // HASH_BYTES)[: len(data)] != data:
                raise LogError(f"{path}: not the hashes of the entries")
    except TileError as error:
        raise LogError(str(error)) from error
    except FileNotFoundError as error:
        raise LogError(f"{error.filename or error}: missing") from None
    if edge.root() != head.root:
        raise LogError("the entries don't lead to the signed root")


@dataclass
class Run:
    """What the log says about one allocation run."""

    frozen: dict | None = None
    seeded: dict | None = None
    approved: dict | None = None
    committed: dict | None = None
    rejected: dict | None = None
    allocated: int = 0
    revoked: int = 0


@dataclass
class Audit:
    """All rules over a whole log, one entry at a time; `problems` are the broken ones, in order."""

    problems: list[str] = field(default_factory=list)
    events: Counter = field(default_factory=Counter)
    # Device → its states so far, the index of its last entry, the run it is allocated in.
    ways: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    run_of: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    commitments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    figures: dict[int, str] = field(default_factory=dict)
    size: int = 0

    def wrong(self, index: int, what: str) -> None:
        self.problems.append(f"entry {index}: {what}")

    def add(self, data: bytes) -> None:
        """Check the next entry."""
        index, self.size = self.size, self.size + 1
        try:
            body = parse(data)
            check_entry(body)
        except (CanonError, EventError) as error:
            self.wrong(index, str(error))
            return
        kind = body["t"]
        self.events[kind] += 1
        if body["eid"] in self.commitments:
            self.wrong(index, f"event id {body['eid']} was used before")
        self.commitments[body["eid"]] = tuple(body.get("c", ()))
        if "dev" in body:
            self._device(index, body)
        if kind.startswith("run."):
            self._run(index, body)
        elif kind == "correction" and body["corrects"] not in self.commitments:
            self.wrong(index, f"corrects {body['corrects']}, which is not before it")
        elif kind == "commitment.erased" and body["field"] not in self.commitments.get(body["erases"], ()):
            self.wrong(index, f"erases {body['field']} of {body['erases']}, which has no such commitment")
        elif kind == "figures.published":
            self._figures(index, body)
        self.tally.add(body)

    def _device(self, index: int, body: dict) -> None:
        device = body["dev"]
        if body.get("prev") != self.last.get(device):
            self.wrong(
                index, f"prev is {body.get('prev')}, the device's last entry is {self.last.get(device)}"
            )
        self.last[device] = index
        way = self.ways.setdefault(device, [])
        try:
            way.append(next_state(way, body))
        except IllegalMoveError as error:
            self.wrong(index, f"device {device}: {error}")
            way.append(way[-1] if way else NEW)
        if body["t"] == "device.allocated":
            self.run_of[device] = body["run"]
            self.runs.setdefault(body["run"], Run()).allocated += 1
        elif body["t"] == "device.allocation_revoked":
            self.runs.setdefault(body["run"], Run()).revoked += 1
        elif body["t"] == "device.handed_over" and self.run_of.get(device) != body["run"]:
            self.wrong(index, f"handed over in run {body['run']}, allocated in {self.run_of.get(device)}")

    def _run(self, index: int, body: dict) -> None:
        run, step = self.runs.setdefault(body["run"], Run()), body["t"].removeprefix("run.")
        needs = {
            "seeded": run.frozen,
            "approved": run.seeded,
            "committed": run.approved,
            "rejected": run.frozen,
        }
        if step in needs and needs[step] is None:
            self.wrong(index, f"run {body['run']}: {step} before its time")
        if getattr(run, step) is not None:
            self.wrong(index, f"run {body['run']}: {step} twice")
        setattr(run, step, body)
        if step == "frozen" and body["draw_on"] < body["d"]:
            self.wrong(
                index, f"run {body['run']}: the randomness of {body['draw_on']} was known at the freeze"
            )
        if step == "seeded" and run.frozen is not None:
            self._seed(index, body, run.frozen)

    def _seed(self, index: int, body: dict, frozen: dict) -> None:
        randomness = bytes.fromhex(body["randomness"])
        if draw_seed(bytes.fromhex(frozen["root"]), randomness).hex() != body["seed"]:
            self.wrong(
                index, f"run {body['run']}: the seed doesn't follow from the freeze and the randomness"
            )
        if self.seeds.setdefault(frozen["root"], body["seed"]) != body["seed"]:
            self.wrong(index, f"run {body['run']}: the same inputs were drawn again with another seed")
        if frozen["source"] == "three_parties":
            promised = [frozen.get(f"party{number}") for number in (1, 2, 3)]
            if [sha256(part).hexdigest() for part in randomness.split(b"\n")] != promised:
                self.wrong(index, f"run {body['run']}: a party revealed another value than it promised")

    def _figures(self, index: int, body: dict) -> None:
        expected = self.figures.pop(body["size"], None)
        if expected is None:
            self.wrong(index, f"figures over {body['size']} entries, more than there were")
        elif expected != body["hash"]:
            self.wrong(index, "the published figures don't follow from the entries")

    def mark_figures(self) -> None:
        """Note the figures over the entries so far; a later `figures.published` may claim them."""
        self.figures[self.size] = self.tally.digest()

    def finish(self) -> list[str]:
        """The rules about the whole; all problems."""
        for name, run in self.runs.items():
            if run.committed is None:
                if run.allocated:
                    self.problems.append(f"run {name}: {run.allocated} devices allocated, never committed")
                continue
            served = run.committed["served"]
            if run.allocated < served or run.allocated - run.revoked > served:
                self.problems.append(
                    f"run {name}: says {served} served, has {run.allocated} allocations and {run.revoked} revocations"
                )
        return self.problems


def audit(fetch: Fetch, keys: list[VerifierKey]) -> dict:
    """Check the files and every rule; {"size", "events", "devices", "runs", "problems", …}. Raises LogError."""
    head, _ = read_checkpoint(fetch, keys)
    claims = figure_sizes(fetch, head)
    state = Audit()
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            if state.size in claims:
                state.mark_figures()
            state.add(data)
    problems = state.finish()
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_at": head.signed_at,
        "events": dict(sorted(state.events.items())),
        "devices": len(state.ways),
        "states": dict(sorted(Counter(way[-1] for way in state.ways.values() if way).items())),
        "runs": {
            name: {
                "allocated": run.allocated,
                "revoked": run.revoked,
                "served": run.committed["served"] if run.committed else None,
                "seed_checked": run.seeded is not None and run.frozen is not None,
            }
            for name, run in sorted(state.runs.items())
        },
        "problem_count": len(problems),
        "problems": problems[:SHOWN],
    }


def run_entries(fetch: Fetch, keys: list[VerifierKey], run: str) -> dict[str, dict]:
    """The run's entries by their step (frozen, seeded, approved, committed, rejected), from the checked log."""
    head, _ = read_checkpoint(fetch, keys)
    found: dict[str, dict] = {}
    needle = f'"run":"{run}"'.encode()
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            if needle in data and b'"t":"run.' in data:
                body = parse(data)
                found.setdefault(body["t"].removeprefix("run."), body)
    return found


def figure_sizes(fetch: Fetch, head: TreeHead) -> set[int]:
    """Sizes over which the log claims figures; a first reading, so that the second needs no history in memory."""
    sizes: set[int] = set()
    try:
        for bodies in read_entries(fetch, head.size):
            for data in bodies:
                if b'"t":"figures.published"' in data:
                    sizes.add(parse(data).get("size", -1))
    except (TileError, CanonError) as error:
        raise LogError(str(error)) from error
    return sizes


def device_entries(fetch: Fetch, keys: list[VerifierKey], device: str) -> list[tuple[int, dict]]:
    """(index, entry) of one device in the whole checked log."""
    head, _ = read_checkpoint(fetch, keys)
    found, index, needle = [], 0, f'"dev":"{device}"'.encode()
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            if needle in data:
                body = parse(data)
                if body.get("dev") == device:
                    found.append((index, body))
            index += 1
    return found

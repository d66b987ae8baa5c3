"""Checking a whole log from its files: that it is what was signed, and that what it tells obeys the rules.

`verify_log` is about bytes (every tile, bundle and the signature); `audit` is about the programme (one way per
device, no handover without an allocation, the draw of each run, the published figures).
No Django here: the stand-alone verifier carries this very file.
"""

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.canon import CanonError, parse
from ledger.commitments import draw_seed
from ledger.custody import NEW, IllegalMoveError, is_undo, next_state
from ledger.disclosure import Tally
from ledger.draw import DrawError, check_draw
from ledger.events import EventError, check_entry
from ledger.notes import ED25519, Note, NoteError, TreeHead, VerifierKey, open_checkpoint, witnesses_of
from ledger.receipts import ReceiptError, check_receipt, read_receipt
from ledger.tiles import Edge, Fetch, TileError, fetch_tile, leaf_hashes, read_entries
from ledger.tree import HASH_BYTES

SHOWN = 20
# More changes of key than this are not followed.
MAX_CHANGES = 64
RUN_STEPS = ("frozen", "seeded", "approved", "committed")


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


@dataclass
class Claims:
    """What the log says about its own past, gathered in a first reading so that the second needs little memory."""

    figures: set[int] = field(default_factory=set)
    named: set[str] = field(default_factory=set)


def read_claims(fetch: Fetch, head: TreeHead) -> Claims:
    """Sizes over which figures are claimed, and the events that later entries correct or erase."""
    claims = Claims()
    try:
        for bodies in read_entries(fetch, head.size):
            for data in bodies:
                if b'"t":"figures.published"' in data:
                    claims.figures.add(parse(data).get("size", -1))
                elif b'"corrects":' in data or b'"erases":' in data:
                    body = parse(data)
                    claims.named.add(str(body.get("corrects") or body.get("erases")))
    except (TileError, CanonError) as error:
        raise LogError(str(error)) from error
    return claims


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
    early: int = 0


@dataclass
class Named:
    """An entry that a later one names: what it is, and which of its commitments can still be opened."""

    body: dict
    commits: set[str]


@dataclass
class Audit:
    """All rules over a whole log, one entry at a time; `problems` are the broken ones, in order."""

    claims: Claims = field(default_factory=Claims)
    problems: list[str] = field(default_factory=list)
    events: Counter = field(default_factory=Counter)
    # Device → its last two states, the index and event of its last entry, the run it is allocated in.
    ways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    run_of: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    named: dict[str, Named] = field(default_factory=dict)
    pledges: set[str] = field(default_factory=set)
    seeds: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    figures: dict[int, str] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)
    size: int = 0
    latest_day: str = ""

    def wrong(self, index: int, what: str) -> None:
        self.problems.append(f"entry {index}: {what}")

    def add(self, data: bytes) -> None:
        """Check the next entry."""
        if self.size in self.claims.figures:
            self.figures[self.size] = self.tally.digest()
        index, self.size = self.size, self.size + 1
        try:
            body = parse(data)
            check_entry(body)
        except (CanonError, EventError) as error:
            self.wrong(index, str(error))
            return
        kind, eid = body["t"], body["eid"]
        self.events[kind] += 1
        self.latest_day = max(self.latest_day, body["d"])
        if (mark := bytes.fromhex(eid)) in self.seen:
            self.wrong(index, f"event id {eid} was used before")
        self.seen.add(mark)
        if kind == "correction":
            self._correction(index, body)
        if "dev" in body:
            self._device(index, body)
        if eid in self.claims.named:
            self.named[eid] = Named(body, set(body.get("c", ())))
        if kind.startswith("run."):
            self._run(index, body)
        elif kind.startswith("pledge."):
            self._pledge(index, body)
        elif kind == "commitment.erased":
            self._erasure(index, body)
        elif kind == "figures.published":
            self._figures(index, body)
        elif kind == "key.rotated":
            self._rotation(index, body)
        self.tally.add(body)

    def _device(self, index: int, body: dict) -> None:
        device, kind = body["dev"], body["t"]
        if body.get("prev") != self.last.get(device):
            self.wrong(
                index, f"prev is {body.get('prev')}, the device's last entry is {self.last.get(device)}"
            )
        way = self.ways.get(device, ())
        try:
            state = next_state(list(way), body)
        except IllegalMoveError as error:
            self.wrong(index, f"device {device}: {error}")
            state = way[-1] if way else NEW
        self.ways[device] = (*way[-1:], state)
        self.last[device], self.latest[device] = index, body["eid"]
        if kind == "device.allocated":
            self.run_of[device] = body["run"]
            run = self.runs.setdefault(body["run"], Run())
            run.allocated += 1
            run.early += run.approved is None
        elif kind == "device.allocation_revoked":
            self.runs.setdefault(body["run"], Run()).revoked += 1
            if self.run_of.get(device) != body["run"]:
                self.wrong(
                    index, f"revoked in run {body['run']}, allocated in {self.run_of.get(device) or 'none'}"
                )
        elif kind == "device.handed_over" and self.run_of.get(device) != body["run"]:
            self.wrong(
                index, f"handed over in run {body['run']}, allocated in {self.run_of.get(device) or 'none'}"
            )

    def _correction(self, index: int, body: dict) -> None:
        found = self.named.get(body["corrects"])
        if found is None:
            self.wrong(index, f"corrects {body['corrects']}, which is not before it")
        elif found.body.get("dev") != body.get("dev"):
            self.wrong(index, f"corrects an entry about {found.body.get('dev') or 'no device'}")
        elif is_undo(body):
            if self.latest.get(body["dev"]) != body["corrects"]:
                self.wrong(index, f"takes back an entry of device {body['dev']} that isn't its latest")
            if found.body["t"] == "device.allocated":
                self.runs[found.body["run"]].revoked += 1
            elif found.body["t"] == "device.allocation_revoked":
                self.runs[found.body["run"]].revoked -= 1

    def _erasure(self, index: int, body: dict) -> None:
        found = self.named.get(body["erases"])
        if body["field"] == "contact" and found is not None and found.body["t"] == "pledge.made":
            return  # in no entry ever: the entry is what a restored backup is erased from again
        if found is None or body["field"] not in found.commits:
            self.wrong(index, f"erases {body['field']} of {body['erases']}, which has no such commitment")
        else:
            found.commits.discard(body["field"])

    def _pledge(self, index: int, body: dict) -> None:
        if body["t"] == "pledge.made":
            if body["pledge"] in self.pledges:
                self.wrong(index, f"pledge {body['pledge']} made twice")
            self.pledges.add(body["pledge"])
        elif body["pledge"] not in self.pledges:
            self.wrong(index, f"pledge {body['pledge']} was never made")

    def _rotation(self, index: int, body: dict) -> None:
        role = f"{body['role']} {body['key']}"
        if self.keys.setdefault(role, body["old"]) != body["old"]:
            self.wrong(index, f"the {role} replaces a key that it doesn't have")
        self.keys[role] = body["new"]

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
        if run.rejected is not None or (step == "rejected" and run.committed is not None):
            self.wrong(index, f"run {body['run']}: {step} after it had ended")
        setattr(run, step, body)
        # Inputs that were drawn before, in a run that was rejected, keep their seed: nobody chose it at this freeze.
        if step == "frozen" and body["draw_on"] < body["d"] and body["root"] not in self.seeds:
            self.wrong(
                index, f"run {body['run']}: the randomness of {body['draw_on']} was known at the freeze"
            )
        if step == "seeded" and run.frozen is not None:
            self._seed(index, body, run.frozen)
        if step == "committed" and run.approved is not None and run.frozen is not None:
            self._commit(index, body, run.frozen, run.approved)

    def _commit(self, index: int, body: dict, frozen: dict, approved: dict) -> None:
        if (body["served"], body["result"]) != (approved["served"], approved["proposal"]):
            self.wrong(index, f"run {body['run']}: what was committed is not what was approved")
        if body["served"] + body["unserved"] != frozen["applicants"] or body["served"] > frozen["supply"]:
            self.wrong(
                index,
                f"run {body['run']}: {body['served']} served and {body['unserved']} not, of {frozen['applicants']}"
                f" applicants and {frozen['supply']} devices",
            )

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
        elif body["d"] < frozen["draw_on"]:
            self.wrong(index, f"run {body['run']}: seeded before the draw of {frozen['draw_on']}")

    def _figures(self, index: int, body: dict) -> None:
        expected = self.figures.get(body["size"])
        if expected is None:
            self.wrong(index, f"figures over {body['size']} entries, more than there were")
        elif expected != body["hash"]:
            self.wrong(index, "the published figures don't follow from the entries")
        self.releases[body["figures"]] = body["hash"]

    def check_beside(self, fetch: Fetch) -> dict[str, dict]:
        """The draw of each committed run and the file of each release, from beside the log; the draws by run."""
        draws = {}
        for name, run in self.runs.items():
            if run.frozen is None or run.seeded is None or run.committed is None:
                continue
            try:
                draws[name] = check_draw(fetch(f"runs/{name}.csv"), run.frozen, run.seeded, run.committed)
            except FileNotFoundError:
                self.problems.append(f"run {name}: its draw file runs/{name}.csv is missing")
            except (DrawError, ValueError) as error:
                self.problems.append(f"run {name}: {error}")
        for name, digest in self.releases.items():
            try:
                if sha256(fetch(f"figures/{name}.json")).hexdigest() != digest:
                    self.problems.append(f"figures/{name}.json: not the figures whose hash was published")
            except FileNotFoundError:
                self.problems.append(f"figures/{name}.json: missing")
        return draws

    def finish(self, head: TreeHead) -> list[str]:
        """The rules about the whole; all problems."""
        for name, run in self.runs.items():
            if run.committed is None:
                if run.allocated:
                    self.problems.append(f"run {name}: {run.allocated} devices allocated, never committed")
                continue
            if run.early:
                self.problems.append(f"run {name}: {run.early} devices allocated before it was approved")
            served = run.committed["served"]
            if run.allocated < served or run.allocated - run.revoked > served:
                self.problems.append(
                    f"run {name}: says {served} served, has {run.allocated} allocations and {run.revoked} revocations"
                )
        # East of Greenwich it is tomorrow already.
        if head.signed_at and self.latest_day > day_after(head.signed_at):
            self.problems.append(
                f"an entry is dated {self.latest_day}, after the signature of {head.signed_at}"
            )
        return self.problems


def day_after(moment: str) -> str:
    """The day after a moment's date, as text; the moment itself when it isn't one."""
    try:
        return (datetime.date.fromisoformat(moment[:10]) + datetime.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return moment


def audit(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> dict:
    """Check the files and every rule; {"size", "events", "devices", "runs", "problems", …}. Raises LogError."""
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    state = Audit(claims=read_claims(fetch, head))
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            state.add(data)
    draws = state.check_beside(fetch)
    problems = state.finish(head)
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_at": head.signed_at,
        "events": dict(sorted(state.events.items())),
        "devices": len(state.ways),
        "states": dict(sorted(Counter(way[-1] for way in state.ways.values()).items())),
        "runs": {
            name: {
                "applicants": run.frozen["applicants"] if run.frozen else None,
                "allocated": run.allocated,
                "revoked": run.revoked,
                "served": run.committed["served"] if run.committed else None,
                "rejected": run.rejected["reason"] if run.rejected else None,
                "seed_checked": run.seeded is not None and run.frozen is not None,
                "draw_checked": name in draws,
            }
            for name, run in sorted(state.runs.items())
        },
        "figures": sorted(state.releases),
        "problem_count": len(problems),
        "problems": problems[:SHOWN],
    }


def run_entries(
    fetch: Fetch,
    keys: list[VerifierKey],
    run: str,
    *,
    witnesses: list[VerifierKey] | None = None,
    needed: int = 0,
) -> dict[str, dict]:
    """The run's entries by their step (frozen, seeded, approved, committed, rejected), from the checked log."""
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    found: dict[str, dict] = {}
    needle = f'"run":"{run}"'.encode()
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            if needle in data and b'"t":"run.' in data:
                body = parse(data)
                check_entry(body)
                if found.setdefault(body["t"].removeprefix("run."), body) is not body:
                    raise LogError(f"run {run}: {body['t']} twice in the log")
    return found


def device_entries(
    fetch: Fetch,
    keys: list[VerifierKey],
    device: str,
    *,
    witnesses: list[VerifierKey] | None = None,
    needed: int = 0,
) -> list[tuple[int, dict, str]]:
    """(index, entry, state after it) of one device in the whole checked log; raises LogError if its chain is broken."""
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    found: list[tuple[int, dict, str]] = []
    index, needle = 0, f'"dev":"{device}"'.encode()
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            if needle in data:
                body = parse(data)
                if body.get("dev") == device:
                    found.append((index, body, _step(index, body, found)))
            index += 1
    return found


def _step(index: int, body: dict, before: list[tuple[int, dict, str]]) -> str:
    """The device's state after this entry; raises LogError when the entry may not follow those before it."""
    last = before[-1][0] if before else None
    try:
        check_entry(body)
        state = next_state([state for _, _, state in before], body)
    except (EventError, IllegalMoveError) as error:
        raise LogError(f"entry {index}: {error}") from error
    if body.get("prev") != last:
        raise LogError(f"entry {index}: prev is {body.get('prev')}, the device's last entry is {last}")
    return state

"""Every rule of the programme over a whole log: one way per device, no handover without an allocation, the draw of each
run, the published figures.

That the log is what was signed is `ledger.log`; the rules of a run are `ledger.runs`.
No Django here: the stand-alone verifier carries this very file.
"""

import datetime
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.canon import CanonError, parse
from ledger.custody import NEW, IllegalMoveError, is_undo, next_state
from ledger.disclosure import Tally
from ledger.draw import DrawError, check_draw
from ledger.events import EventError, check_entry
from ledger.log import LogError, checked_entries, read_checkpoint
from ledger.notes import TreeHead, VerifierKey
from ledger.runs import Run
from ledger.tiles import Fetch, TileError, read_entries

SHOWN = 20
# What ends an allocation: it is revoked, the student gets another device, or this one is written off (lost on its way).
RELEASES = ("device.allocation_revoked", "device.replaced", "device.written_off")


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
    # Device → its last two states, the index and event of its last entry, the run it was last allocated in; `live` are
    # those whose allocation has not ended, `ended` the event that ended one.
    ways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    run_of: dict[str, str] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=lambda: defaultdict(Run))
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
            run = self.runs[body["run"]]
            run.allocated += 1
            run.early += "approved" not in run.steps
            self.live.add(device)
        elif kind in RELEASES and device in self.live:
            self.live.discard(device)
            self.ended[device] = body["eid"]
        if "run" in body and self.run_of.get(device) != body["run"]:
            allocated = self.run_of.get(device) or "none"
            what = kind.removeprefix("device.").replace("_", " ")
            self.wrong(index, f"{what} in run {body['run']}, allocated in {allocated}")

    def _correction(self, index: int, body: dict) -> None:
        found = self.named.get(body["corrects"])
        if found is None:
            self.wrong(index, f"corrects {body['corrects']}, which is not before it")
        elif found.body.get("dev") != body.get("dev"):
            self.wrong(index, f"corrects an entry about {found.body.get('dev') or 'no device'}")
        elif is_undo(body):
            if self.latest.get(body["dev"]) != body["corrects"]:
                self.wrong(index, f"takes back an entry of device {body['dev']} that isn't its latest")
            # What is taken back never was: an allocation, or the end of one.
            if found.body["t"] == "device.allocated":
                self.live.discard(body["dev"])
            elif self.ended.get(body["dev"]) == body["corrects"]:
                self.live.add(body["dev"])

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
        for what in self.runs[body["run"]].add(body, self.seeds):
            self.wrong(index, f"run {body['run']}: {what}")

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
            if not {"frozen", "seeded", "committed"} <= run.steps.keys():
                continue
            try:
                data = fetch(f"runs/{name}.csv")
                draws[name] = check_draw(
                    data, run.steps["frozen"], run.steps["seeded"], run.steps["committed"]
                )
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
        devices: dict[str, Counter] = defaultdict(Counter)
        live: Counter = Counter()
        for device, name in self.run_of.items():
            devices[name][self.ways[device][-1]] += 1
            live[name] += device in self.live
        for name, run in self.runs.items():
            self.problems += [f"run {name}: {what}" for what in run.whole(devices[name], live[name])]
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
        "runs": {name: run_report(run, name in draws) for name, run in sorted(state.runs.items())},
        "figures": sorted(state.releases),
        "problem_count": len(problems),
        "problems": problems[:SHOWN],
    }


def run_report(run: Run, is_drawn: bool) -> dict:
    """One run for the audit's report; `is_drawn` says that its draw file was checked. None where it isn't that far."""
    steps = run.steps
    return {
        "applicants": steps["frozen"]["applicants"] if "frozen" in steps else None,
        "allocated": run.allocated,
        "served": steps["committed"]["served"] if "committed" in steps else None,
        "rejected": steps["rejected"]["reason"] if "rejected" in steps else None,
        "seed_checked": {"frozen", "seeded"} <= steps.keys(),
        "draw_checked": is_drawn,
    }


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

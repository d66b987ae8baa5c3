"""The rules of an allocation run: what its entries must say of each other, from the freeze to the commit.

The audit holds every run to them, `verify-run` one; the draw file is checked by `ledger.draw`.
No Django here: the stand-alone verifier carries this very file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.canon import parse
from ledger.commitments import draw_seed
from ledger.custody import WITH_STUDENT
from ledger.events import check_entry
from ledger.log import LogError, checked_entries, read_checkpoint
from ledger.notes import VerifierKey
from ledger.tiles import Fetch

RUN_STEPS = ("frozen", "seeded", "approved", "committed")
# What must have come before a step.
STEP_BEFORE = {"seeded": "frozen", "approved": "seeded", "committed": "approved", "rejected": "frozen"}
# A device that stands here in public may have been handed over, confirmed or replaced since: that is held for its batch.
MAY_BE_FURTHER = ("allocated", "arrived", "handed_over")


@dataclass
class Run:
    """What the log says about one run: its entries by their step, and how many devices were allocated in it.

    `early` are allocations before the approval.
    """

    steps: dict[str, dict] = field(default_factory=dict)
    allocated: int = 0
    early: int = 0

    def add(self, body: Mapping, seeds: dict[str, str]) -> list[str]:
        """Take in the run's next entry; what is wrong with it. `seeds` are those of all runs, by their frozen root."""
        step, wrong = body["t"].removeprefix("run."), []
        if step in STEP_BEFORE and STEP_BEFORE[step] not in self.steps:
            wrong.append(f"{step} before its time")
        if step in self.steps:
            wrong.append(f"{step} twice")
        if "rejected" in self.steps or (step == "rejected" and "committed" in self.steps):
            wrong.append(f"{step} after it had ended")
        self.steps[step] = dict(body)
        frozen, approved = self.steps.get("frozen"), self.steps.get("approved")
        # Inputs that were drawn before, in a run that was rejected, keep their seed: nobody chose it at this freeze.
        if step == "frozen" and body["draw_on"] < body["d"] and body["root"] not in seeds:
            wrong.append(f"the randomness of {body['draw_on']} was known at the freeze")
        if step == "seeded" and frozen is not None:
            wrong += seed_problems(body, frozen, seeds)
        if step == "committed" and frozen is not None and approved is not None:
            wrong += commit_problems(body, frozen, approved)
        return wrong

    def whole(self, devices: Mapping[str, int], live: int) -> list[str]:
        """What is wrong once the whole log was read.

        `devices` counts those last allocated in this run by their state, `live` are those whose allocation was neither
        revoked nor ended by a replacement. At most as many students have a device as were served. More allocations than
        that live on only while a device was replaced whose own last steps are held for the batch of its handover.
        """
        committed = self.steps.get("committed")
        if committed is None:
            return [f"{self.allocated} devices allocated, never committed"] if self.allocated else []
        wrong = [f"{self.early} devices allocated before it was approved"] if self.early else []
        served = committed["served"]
        in_hands, held = (
            sum(devices.get(state, 0) for state in states) for states in (WITH_STUDENT, MAY_BE_FURTHER)
        )
        if self.allocated < served or live > served + held or in_hands > served:
            wrong.append(
                f"says {served} served, has {self.allocated} allocations, {live} of them live, and {in_hands} devices in "
                "students' hands"
            )
        return wrong


def seed_problems(body: Mapping, frozen: Mapping, seeds: dict[str, str]) -> list[str]:
    """What is wrong with a seed: it follows from the freeze and from randomness that nobody here could choose."""
    wrong, randomness = [], bytes.fromhex(body["randomness"])
    if draw_seed(bytes.fromhex(frozen["root"]), randomness).hex() != body["seed"]:
        wrong.append("the seed doesn't follow from the freeze and the randomness")
    if seeds.setdefault(frozen["root"], body["seed"]) != body["seed"]:
        wrong.append("the same inputs were drawn again with another seed")
    if frozen["source"] == "three_parties":
        promised = [frozen.get(f"party{number}") for number in (1, 2, 3)]
        if [sha256(part).hexdigest() for part in randomness.split(b"\n")] != promised:
            wrong.append("a party revealed another value than it promised")
    elif body["d"] < frozen["draw_on"]:
        wrong.append(f"seeded before the draw of {frozen['draw_on']}")
    return wrong


def commit_problems(body: Mapping, frozen: Mapping, approved: Mapping) -> list[str]:
    """What is wrong with a commit: it is what was approved, over the applicants and devices that were frozen."""
    wrong = []
    if (body["served"], body["result"]) != (approved["served"], approved["proposal"]):
        wrong.append("what was committed is not what was approved")
    if body["served"] + body["unserved"] != frozen["applicants"] or body["served"] > frozen["supply"]:
        wrong.append(
            f"{body['served']} served and {body['unserved']} not, of {frozen['applicants']} applicants and "
            f"{frozen['supply']} devices"
        )
    return wrong


def run_entries(
    fetch: Fetch,
    keys: list[VerifierKey],
    run: str,
    *,
    witnesses: list[VerifierKey] | None = None,
    needed: int = 0,
) -> dict[str, dict]:
    """The run's entries by their step (frozen, seeded, approved, committed, rejected), from the checked log.

    Raises LogError when the log doesn't hold or one of them breaks a rule.
    """
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    runs: dict[str, Run] = {run: Run()}
    seeds: dict[str, str] = {}
    for index, body in _of_runs(checked_entries(fetch, head)):
        wrong = runs.setdefault(body["run"], Run()).add(body, seeds)
        if wrong and body["run"] == run:
            raise LogError(f"entry {index}: run {run}: {wrong[0]}")
    return runs[run].steps


def _of_runs(bundles: Iterator[list[bytes]]) -> Iterator[tuple[int, dict]]:
    index = 0
    for bodies in bundles:
        for data in bodies:
            if b'"t":"run.' in data:
                body = parse(data)
                check_entry(body)
                yield index, body
            index += 1

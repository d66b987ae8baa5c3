"""Every rule that the audit of the stand-alone verifier checks, broken once; and what it must not call broken."""

import hashlib
import json

import pytest

from ledger.audit import audit
from ledger.codes import new_device_codes
from ledger.draw import DrawError, check_margin, draw_file
from tests.ledger_fuzz import call
from tests.ledger_story import (
    KEY,
    RANDOMNESS,
    ROOT,
    RUN,
    SEED,
    SERVED,
    Story,
    draw_rows,
    whole_story,
    write_files,
)


@pytest.fixture(scope="module")
def story() -> Story:
    return whole_story()


def problems(story: Story) -> list[str]:
    files = story.files()
    return audit(files.__getitem__, [KEY.verifier])["problems"]


def test_a_true_story_has_no_problem(story):
    assert problems(story) == []


DEVICE, OTHER = new_device_codes(2)
BREAKS = {
    "handover without allocation": (
        "not allowed",
        lambda s: (s.add("device.received", dev=DEVICE), s.add("device.handed_over", dev=DEVICE, run=RUN)),
    ),
    "a device's chain is cut": ("prev is 0", lambda s: (s.device(DEVICE), s.add("device.broken", dev=DEVICE, prev=0))),
    "handed over in another run": (
        "handed over in run X-1",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run=RUN),
            s.add("device.handed_over", dev=DEVICE, run="X-1"),
        ),
    ),
    "revoked in another run": (
        "revoked in run X-1",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run=RUN),
            s.add("device.allocation_revoked", dev=DEVICE, run="X-1"),
        ),
    ),
    "more devices than the run served": ("says 45 served, has 46", lambda s: s.device(DEVICE)),
    "allocated in a run that never was": (
        "1 devices allocated, never committed",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run="X-1"),
        ),
    ),
    "an event id twice": ("was used before", lambda s: (s.add("pledge.made", pledge="CK-8", eid="7" * 32), s.add("pledge.made", pledge="CK-9", eid="7" * 32))),
    "a pledge twice": ("made twice", lambda s: s.add("pledge.made", pledge="CK-1")),
    "a pledge from nowhere": ("was never made", lambda s: s.add("pledge.cancelled", pledge="CK-9")),
    "a run twice": ("committed twice", lambda s: s.commit(draw_rows(SERVED))),
    "a run out of order": ("before its time", lambda s: s.add("run.seeded", run="X-1", randomness="31", seed="3" * 64)),
    "randomness known before": (
        "was known at the freeze",
        lambda s: s.add("run.frozen", run="X-1", draw_on="2021-10-04"),
    ),
    "another seed for the same inputs": (
        "another seed",
        lambda s: s.run(draw_rows(SERVED), code="X-1", randomness="3939", seed=hashlib.sha256(b"mtce/seed/v1\0" + bytes.fromhex("ab" * 32) + b"99").hexdigest()),
    ),
    "a seed that doesn't follow": ("doesn't follow from the freeze", lambda s: s.run(draw_rows(SERVED), code="X-1", seed="0" * 64)),
    "a run goes on after its rejection": (
        "after it had ended",
        lambda s: (s.run(draw_rows(SERVED), code="X-1"), s.add("run.rejected", run="X-1"), s.commit(draw_rows(SERVED), code="X-1")),
    ),
    "a correction of nothing": ("which is not before it", lambda s: s.add("correction", corrects="9" * 32)),
    "an erasure of nothing": ("no such commitment", lambda s: s.add("commitment.erased", erases="9" * 32)),
    "the contact of what is no pledge": (
        "which has no such commitment",
        lambda s: s.add("commitment.erased", erases=s.add("point.covered", point="DT-9"), field="contact", reason="donor_request"),
    ),
    "figures of another log": ("don't follow from the entries", lambda s: s.add("figures.published", figures="2021-10-06", size=10)),
    "figures over more than there is": ("more than there were", lambda s: s.add("figures.published", figures="2021-10-06", size=9999)),
    "a key replaced by a stranger": (
        "doesn't have",
        lambda s: (
            s.add("key.rotated", role="signer", old="1" * 64, new="2" * 64),
            s.add("key.rotated", role="signer", old="1" * 64, new="3" * 64),
        ),
    ),
    "more devices with students than the run served": (
        "46 devices in students' hands",
        lambda s: (s.device(DEVICE), s.device(OTHER), s.add("device.broken", dev=DEVICE), s.add("device.replaced", dev=DEVICE)),
    ),
    "a revoked device replaced too": (
        "has 47 allocations, 46 of them live",
        lambda s: (
            s.add("device.received", dev=DEVICE),
            s.add("device.inspected", dev=DEVICE, outcome="accepted"),
            s.add("device.allocated", dev=DEVICE, run=RUN),
            s.add("device.allocation_revoked", dev=DEVICE, run=RUN),
            s.add("device.recalled", dev=DEVICE),
            s.add("device.replaced", dev=DEVICE),
            s.device(OTHER),
        ),
    ),
    "an entry from the future": ("after the signature", lambda s: s.add("pledge.made", pledge="CK-3", day="2021-11-01")),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_the_audit_names_each_broken_rule(what):
    expected, change = BREAKS[what]
    story = whole_story()
    change(story)
    found = problems(story)
    assert any(expected in problem for problem in found), found


def test_a_pledge_s_contact_was_in_no_entry_and_its_erasure_may_be_said():
    story = whole_story()
    pledge = story.add("pledge.made", pledge="CK-8")
    story.add("commitment.erased", erases=pledge, field="contact", reason="donor_request")
    assert problems(story) == []
    story.add("commitment.erased", erases=pledge, field="donor", reason="donor_request")
    assert [problem for problem in problems(story) if "erases donor" in problem]


def test_a_student_whose_device_was_replaced_is_one_student():
    """In the run's sum; also in the weeks in which the old device's last steps wait for the batch of its handover."""
    story = whole_story()
    old = json.loads(story.bodies[story.last[json.loads(story.bodies[10])["dev"]]])["dev"]
    for event in ("device.broken", "device.replaced"):
        story.add(event, dev=old)
    story.device(DEVICE)
    assert problems(story) == []
    undone = json.loads(story.bodies[story.last[old]])["eid"]
    story.add("correction", corrects=undone, reason="recorded_in_error", dev=old)
    assert any("46 of them live" in problem for problem in problems(story))
    held, rows = Story(), draw_rows(SERVED)
    held.add("pledge.made", pledge="CK-1")
    held.run(rows)
    devices = new_device_codes(45)
    for number, code in enumerate([*devices, DEVICE]):
        held.add("device.received", dev=code)
        held.add("device.inspected", dev=code, outcome="accepted")
        held.add("device.allocated", dev=code, run=RUN, area="VN2021-15")
        if 1 < number < 45:  # of the first nothing more is public
            held.add("device.handed_over", dev=code, run=RUN)
    held.commit(rows)
    assert problems(held) == []


def test_a_student_whose_device_was_lost_on_its_way_is_one_student():
    story, rows = Story(), draw_rows(SERVED)
    story.add("pledge.made", pledge="CK-1")
    story.run(rows)
    lost, *others = new_device_codes(45)
    for code in (lost, *others, DEVICE):
        if code == DEVICE:
            story.add("device.missing", dev=lost)
            story.add("device.written_off", dev=lost, reason="lost")
        story.add("device.received", dev=code)
        story.add("device.inspected", dev=code, outcome="accepted")
        story.add("device.allocated", dev=code, run=RUN, area="VN2021-15")
    story.commit(rows)
    assert problems(story) == []
    # Taken back, the first allocation lives again; one that had ended before by a replacement does not.
    for steps, count in ((("device.written_off",), 46), (("device.replaced", "device.written_off"), 45)):
        again = whole_story()
        old = json.loads(again.bodies[10])["dev"]
        for event in ("device.broken", *steps):
            again.add(event, dev=old)
        again.device(DEVICE)
        undone = json.loads(again.bodies[again.last[old]])["eid"]
        again.add("correction", corrects=undone, reason="recorded_in_error", dev=old)
        assert any("46 of them live" in problem for problem in problems(again)) is (count == 46)


def test_one_run_is_held_to_the_rules_of_the_audit(tmp_path):
    """Randomness that was known, and parties that revealed something else, are no matter of the audit alone."""
    parties = {f"party{number}": hashlib.sha256(b"%d" % number).hexdigest() for number in (1, 2, 3)}
    for frozen, expected in (
        ({"draw_on": "2021-10-04"}, "was known at the freeze"),
        ({"draw_on": "2021-10-06"}, "seeded before the draw"),
        ({"source": "three_parties", **parties}, "a party revealed another value"),
        ({"supply": 44}, "45 served and 35 not, of 80 applicants and 44 devices"),
    ):
        story, rows = Story(), draw_rows(SERVED)
        given = {"run": RUN, "root": ROOT, "applicants": len(rows), "supply": 45, "draw_on": "2021-10-05"}
        story.add("run.frozen", **given | frozen)
        story.add("run.seeded", run=RUN, randomness=RANDOMNESS.hex(), seed=SEED.hex())
        story.add("run.approved", run=RUN, served=45, proposal="5" * 64)
        story.commit(rows)
        log = write_files(tmp_path / "log", story.files())
        code, _, err = call("verify-run", RUN, "--log", str(log))
        assert (code, expected in err) == (1, True), err


def test_a_run_whose_cells_are_all_merged_claims_no_order_of_the_draw(tmp_path):
    for served, expected in (
        ({"*VN2021-15": 20, "*VN2021-46": 5}, "không kiểm được"),
        ({"1.1.1-VN2021-15": 5, "*VN2021-46": 0}, "trong cả 1 ô"),
    ):
        story, rows = Story(), draw_rows(served)
        story.run(rows)
        story.commit(rows)
        log = write_files(tmp_path / "log", story.files())
        code, out, err = call("verify-run", RUN, "--log", str(log))
        assert (code, expected in out, err) == (0, True, ""), out
        assert ("theo đúng thứ tự bốc thăm" in out) == ("1.1.1-VN2021-15" in served)
        assert ("1 ô gộp" in out) == ("1.1.1-VN2021-15" in served)


def test_no_more_problems_are_listed_than_are_said(story, tmp_path):
    broken = whole_story()
    for number in range(30):
        broken.add("pledge.cancelled", pledge=f"CK-{900 + number}")
    log = write_files(tmp_path / "log", broken.files())
    code, out, _ = call("audit", str(log))
    assert (code, out.count("never made")) == (1, 20)
    assert "Có 30 chỗ trái quy tắc, đây là 20 chỗ đầu:" in out


def test_an_undo_takes_back_the_latest_entry_only():
    story = whole_story()
    device = json.loads(story.bodies[10])["dev"]
    old = json.loads(story.bodies[story.last[device]])["eid"]
    story.add("device.broken", dev=device)
    story.add("correction", corrects=old, reason="recorded_in_error", dev=device)
    assert any("isn't its latest" in problem for problem in problems(story))


def test_the_draws_are_part_of_the_audit(story):
    for change, expected in (
        (lambda beside: beside.pop(f"runs/{RUN}.csv"), "is missing"),
        (lambda beside: beside.__setitem__(f"runs/{RUN}.csv", b"x"), "not the file whose hash"),
        (lambda beside: beside.pop("figures/2021-10-05.json"), "figures/2021-10-05.json: missing"),
        (lambda beside: beside.__setitem__("figures/2021-10-05.json", b"{}"), "not the figures whose hash"),
    ):
        other = Story(list(story.bodies), dict(story.last), dict(story.beside))
        change(other.beside)
        assert any(expected in problem for problem in problems(other))


def test_a_rerun_on_the_same_inputs_keeps_its_seed():
    story, rows = Story(), draw_rows(SERVED)
    story.run(rows, code="X-1")
    story.add("run.rejected", run="X-1", day="2021-10-05")
    served = sum(row[2] != "no" for row in rows)
    again = {"run": "X-2", "root": ROOT, "applicants": len(rows), "supply": served, "draw_on": "2021-10-05"}
    story.add("run.frozen", day="2021-10-06", **again)
    story.add("run.seeded", day="2021-10-06", run="X-2", randomness=RANDOMNESS.hex(), seed=SEED.hex())
    assert problems(story) == []


def drawn(served: dict[str, int]) -> list[str]:
    """Problems of a run with these cells, its devices left out."""
    story, rows = Story(), draw_rows(served)
    story.run(rows)
    story.commit(rows)
    return [problem for problem in problems(story) if "allocations" not in problem]


def test_the_quotas_at_the_margin_and_the_order_of_tiers():
    assert drawn(SERVED) == []
    unfair = SERVED | {"1.2.1-VN2021-15": 5, "1.2.1-VN2021-46": 0}
    assert any("neither in proportion" in problem for problem in drawn(unfair))
    jumped = {"1.1.1-VN2021-15": 20, "1.1.1-VN2021-46": 10, "1.2.1-VN2021-15": 3, "1.2.1-VN2021-46": 0}
    assert any("later tier was served" in problem for problem in drawn(jumped))
    # Group before locality is an order that a policy may have, too.
    assert drawn({"1.1.1-VN2021-15": 20, "2.1.1-VN2021-15": 20, "1.2.1-VN2021-15": 7}) == []
    # With a small cell merged, a province's share is proved to within one device.
    assert drawn({"1.1.1-VN2021-15": 20, "1.2.1-VN2021-15": 4, "1.2.1-VN2021-46": 3, "*VN2021-10": 1}) == []
    assert drawn({"1.1.1-VN2021-15": 20, "1.2.1-VN2021-15": 9, "1.2.1-VN2021-46": 3, "*VN2021-10": 1}) != []
    assert check_margin({}) == {"orders": ["locality_first", "group_first"], "margin": None}


def test_a_draw_file_with_a_small_cell_is_refused():
    with pytest.raises(DrawError, match="fewer"):
        draw_file(draw_rows({"1.1.1-VN2021-15": 3}, size=9) + draw_rows({"1.2.1-VN2021-15": 3}, size=11)[9:])

"""Policies by two people, tried alone or side by side; top-up runs and the reserve; who may see which province."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from allocation import comparing, rules, services
from allocation.models import Allocation, AllocationPolicy, AllocationRun, Comparison, Phase
from ledger.models import LedgerOutbox
from tests.allocation_world import AT, AllocationWorld

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = tmp_path
    return AllocationWorld()


def test_who_drafts_a_policy_does_not_publish_it(world):
    draft = services.draft_policy(
        by=world.clerk,
        phase=world.phase,
        name="Mới",
        groups=["poor"],
        locality_first=True,
        margin="draw",
        at=AT,
    )
    with pytest.raises(ValidationError, match="phải khác người soạn"):
        services.publish_policy(by=world.clerk, policy=draft, at=AT)
    with pytest.raises(IntegrityError, match="policy_publisher_is_another"), transaction.atomic():
        AllocationPolicy.objects.update(published_by=world.clerk, published_at=AT)
    services.publish_policy(by=world.approver, policy=draft, at=AT)
    with pytest.raises(ValidationError, match="đã công bố rồi"):
        services.publish_policy(by=world.approver, policy=draft, at=AT)


def tried(world, one, other=None, **more) -> Comparison:
    asked = comparing.ask_comparison(by=world.clerk, one=one, other=other, at=AT, **more)
    return comparing.compare(by=world.clerk, comparison=asked, at=AT)


def test_two_policies_side_by_side_say_who_gains_and_who_loses_and_change_nothing(world):
    world.students(6, group="poor")
    world.students(6, group="near_poor", household_key="h")
    world.stock(8)
    one, other = world.policy(), world.policy(groups=["near_poor"])
    before = LedgerOutbox.objects.count()
    result = tried(world, one, other).result
    assert (result["one"]["served"]["poor"], result["other"]["served"]) == (6, {"near_poor": 6})
    assert (result["gain"], result["lose"]) == (4, 6)
    assert result["cells"] == [
        {"province": "VN2021-15", "group": "poor", "gain": 0, "lose": 6},
        {"province": "VN2021-15", "group": "near_poor", "gain": 4, "lose": 0},
    ]
    assert rules.comparison_words(result["cells"], {"VN2021-15": "Tỉnh Yên Bái"}) == [
        "So với chính sách thứ nhất, chính sách thứ hai thêm máy cho 4 em, bớt của 6 em.",
        "Hộ nghèo: thêm 0 em, bớt 6 em (−6).",
        "Hộ cận nghèo: thêm 4 em, bớt 0 em (+4).",
        "Tỉnh bị bớt nhiều nhất: Tỉnh Yên Bái (−2 em).",
    ]
    assert not AllocationRun.objects.exists()
    assert LedgerOutbox.objects.count() == before


def test_a_trial_counts_what_a_run_would_give(world):
    """The numbers of a trial are those of the run that follows, the reserve held back in both."""
    world.students(10)
    world.students(10, group="near_poor")
    world.stock(12)
    world.stock(3, earmark_unit=world.province)
    policy = world.policy(reserve_percent=25)
    figures = tried(world, policy).result["one"]
    run = world.proposed(policy=policy)
    assert figures["reserve"] == run.reserve_count == 3
    for name in ("eligible", "devices", "allocated", "served", "unmet", "waterline", "by_pass", "cells"):
        assert figures[name] == run.summary[name], name


def test_policies_that_differ_in_the_reserve_alone_differ_in_the_trial(world):
    world.students(10)
    world.stock(10)
    result = tried(world, world.policy(), world.policy(reserve_percent=30)).result
    assert (result["gain"], result["lose"]) == (0, 3)


def test_no_difference_is_said(world):
    world.students(4)
    world.stock(4)
    result = tried(world, world.policy(), world.policy(margin="draw")).result
    assert rules.comparison_words(result["cells"], {})[0].startswith("Hai chính sách cho máy đúng cùng")


def test_a_top_up_run_gives_out_what_was_held_back(world):
    world.students(20)
    world.stock(20)
    policy = world.policy(reserve_percent=15)
    assert world.committed(policy=policy).summary["allocated"] == 17
    # A late list: two more, and those three who waited.
    world.students(2)
    top_up = world.committed(policy=policy, purpose="top_up")
    assert (top_up.reserve_count, top_up.applicant_count, top_up.summary["allocated"]) == (0, 5, 3)
    assert Allocation.objects.live().count() == 20


def test_phase_two_has_its_own_groups_and_counts_devices_of_phase_one(world):
    world.students(3)
    world.students(3, group="covid_orphan")
    world.stock(2)
    world.committed()
    phase = Phase.objects.create(
        code="GD2", name="Giai đoạn 2", clause="II.2b", starts_on=dt.date(2022, 1, 1),
        ends_on=dt.date(2023, 12, 31), groups=["poor", "near_poor"], locality_first=False,
    )  # fmt: skip
    draft = services.draft_policy(
        by=world.clerk, phase=phase, name="Phủ 100%", groups=["poor", "near_poor"], locality_first=False,
        margin="proportional", at=AT,
    )  # fmt: skip
    policy = services.publish_policy(by=world.approver, policy=draft, at=AT)
    world.stock(5)
    run = world.committed(policy=policy)
    # One poor child of phase 1 still waits; orphans are no group of phase 2; who has a device isn't asked again.
    assert (run.applicant_count, run.summary["allocated"], run.summary["unallocated_devices"]) == (1, 1, 4)


@pytest.mark.parametrize(
    ("source", "commitments", "said"),
    [
        ("three_parties", ["a" * 64, "a" * 64, "b" * 64], "cùng một cam kết"),
        ("three_parties", ["a" * 64, "b" * 64], "đúng ba cam kết"),
        ("public_draw", ["a" * 64], "hãy để trống"),
    ],
)
def test_commitments_that_do_not_fit_are_refused(world, source, commitments, said):
    with pytest.raises(ValidationError, match=said):
        world.opened(source=source, commitments=commitments)


def test_a_party_that_gives_no_number_or_another_one_is_named(world):
    world.students(2)
    world.stock(1)
    numbers = ["một", "hai", "ba"]
    run = world.opened(
        source="three_parties", commitments=[rules.commitment_of(number) for number in numbers]
    )
    services.freeze(by=world.clerk, run=run, at=AT)
    with pytest.raises(ValidationError, match="không đưa số ra"):
        services.enter_randomness(by=world.clerk, run=run, value="một\nhai", at=AT)
    with pytest.raises(ValidationError, match="Số của bên 2 không khớp"):
        services.enter_randomness(by=world.clerk, run=run, value="một\nkhác\nba", at=AT)
    ended = services.reject(by=world.clerk, run=run, reason="seed_not_revealed", at=AT)
    assert (ended.state, ended.seed) == ("rejected", "")

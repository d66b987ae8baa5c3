"""A run from its opening to its commit on the real database, and what is refused on the way."""

import datetime as dt
import json
from collections import Counter
from hashlib import sha256

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from allocation import committing, explaining, rules, services
from allocation.inputs import proposed_lines
from allocation.models import Allocation, AllocationRun, Applicant, Phase, Proposed
from ledger.disclosure import choose_areas
from ledger.models import LedgerOutbox
from ledger.services import record
from schools.models import AdministrativeUnit, DirectivePeriod, School, Student
from tests.allocation_world import AT, AllocationWorld
from tests.supply import FOUNDED, office

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = tmp_path
    return AllocationWorld()


def entries(event: str) -> list[dict]:
    rows = LedgerOutbox.objects.filter(event=event).order_by("id").values_list("body", flat=True)
    return [json.loads(body) for body in rows]


def test_a_run_goes_from_its_opening_to_allocations(world):
    world.students(30, group="poor")
    world.students(30, group="near_poor")
    world.stock(40)
    run = world.committed()
    assert run.state == "committed"
    assert Allocation.objects.live().count() == 40
    by_group = Student.objects.filter(allocations__run=run).values_list("group", flat=True)
    assert sorted(by_group) == ["near_poor"] * 10 + ["poor"] * 30
    assert run.summary["waterline"] == "2.2.1"
    # Forty of a roll of 200 at one school: its code may stand in public.
    assert set(Allocation.objects.values_list("public_area", flat=True)) == {"15000001"}
    assert len(entries("device.allocated")) == 40
    frozen, seeded = entries("run.frozen")[0], entries("run.seeded")[0]
    assert (frozen["root"], frozen["applicants"], frozen["supply"]) == (run.frozen_root, 60, 40)
    assert bytes.fromhex(seeded["randomness"]).decode() == "12345"
    assert entries("run.committed")[0]["unserved"] == 20


def test_few_recipients_are_shown_no_closer_than_hides_them(world):
    world.students(9)
    world.stock(9)
    world.committed()
    assert set(Allocation.objects.values_list("public_area", flat=True)) == {"VN"}


def another_school(world, code: str, province: AdministrativeUnit, *, enrolment: int) -> School:
    """In a commune of its own, without a district."""
    commune = AdministrativeUnit.objects.create(
        level="commune", code=code[:5], name=code, full_name=code, parent=province, province=province,
        valid_from=FOUNDED,
    )  # fmt: skip
    place = office("school", f"TR-{code}", parent=world.department, unit=commune)
    return School.objects.create(
        office=place, code=code, level="primary", commune=commune, province=province, enrolment=enrolment
    )


def test_the_areas_of_a_province_s_run_are_those_of_a_look_at_the_nation(world):
    """What is read of the schools, against all of them; a school of another province has pupils, but none in the run."""
    neighbour = another_school(world, "15000002", world.province, enrolment=30)
    elsewhere = another_school(world, "10000001", world.other_province, enrolment=500)
    world.students(12, school=world.school)
    world.students(3, school=neighbour)
    world.students(20, school=elsewhere)
    world.stock(15, earmark_unit=world.province)
    run = world.proposed()
    served = Counter(Proposed.objects.filter(run=run).values_list("school_id", flat=True))
    assert served == {world.school.pk: 12, neighbour.pk: 3}
    schools = School.objects.select_related("commune", "district", "province").order_by("pk")
    chains = [
        (s.code, s.commune.public_code, s.district and s.district.public_code, s.province.public_code)
        for s in schools
    ]
    whole = choose_areas(
        [(chain, served[s.pk], s.enrolment) for chain, s in zip(chains, schools, strict=True)]
    )
    assert committing.public_areas(proposed_lines(run)) == {
        s.pk: area for s, area in zip(schools, whole, strict=True) if s.pk in served
    }


def test_the_frozen_root_follows_from_the_applicants(world):
    world.students(13)
    world.stock(3)
    run = world.frozen()
    rows = Applicant.objects.filter(run=run).order_by("code")
    leaves = [rules.applicant_leaf(row.code, "VN2021-15", 2, "poor") for row in rows]
    assert rules.merkle_root(leaves).hex() == run.frozen_root


def test_steps_that_are_done_do_nothing_again(world):
    world.students(12)
    world.stock(5)
    run = world.committed()
    before = LedgerOutbox.objects.count()
    for _ in range(3):
        services.freeze(by=world.clerk, run=run, at=AT)
        services.propose(by=world.clerk, run=run, at=AT)
        services.commit(by=world.approver, run=run, at=AT)
    assert Allocation.objects.count() == 5
    assert LedgerOutbox.objects.count() == before


def test_a_second_run_serves_those_who_waited(world):
    world.students(12)
    world.stock(5)
    first = world.committed()
    world.stock(4)
    second = world.committed()
    assert second.applicant_count == 7
    served = Allocation.objects.filter(run=second).values_list("student_id", flat=True)
    assert not set(served) & set(Allocation.objects.filter(run=first).values_list("student_id", flat=True))


def test_locality_of_the_most_specific_unit_wins(world):
    world.students(4)
    DirectivePeriod.objects.create(unit=world.province, starts_on=AT.date(), source="QĐ 1")
    world.stock(1)
    run = world.frozen()
    assert Applicant.objects.filter(run=run, is_priority=True).count() == 4
    services.reject(by=world.clerk, run=run, reason="legal", at=AT)
    DirectivePeriod.objects.create(
        unit=world.school.commune, starts_on=AT.date(), source="QĐ 2", is_in_force=False
    )
    assert Applicant.objects.filter(run=world.frozen(), is_priority=True).count() == 0


@pytest.mark.parametrize(
    ("period", "is_first"),
    [
        ({}, True),
        ({"starts_on": AT.date() - 30 * DAY, "ends_on": AT.date()}, True),
        ({"is_teaching_online": False}, False),
        ({"starts_on": AT.date() - 30 * DAY, "ends_on": AT.date() - DAY}, False),
        ({"starts_on": AT.date() + DAY}, False),
    ],
)
def test_only_a_locality_that_is_under_the_directive_that_day_and_teaches_online_comes_first(
    world, period, is_first
):
    """Plan I.2a, II.2a: one device, and the near-poor child of the locality gets it before the poor child outside."""
    outside = another_school(world, "10000001", world.other_province, enrolment=500)
    world.students(1, school=outside)
    (inside,) = world.students(1, group="near_poor")
    world.stock(1)
    DirectivePeriod.objects.create(unit=world.province, source="QĐ 1", **{"starts_on": AT.date(), **period})
    run = world.proposed()
    assert (run.proposed.get().student_id == inside.pk) == is_first


def test_only_approved_pupils_of_the_groups_without_a_computer_are_in_a_run(world):
    """Plan I.1a, III.2c: whoever has one, left, is not approved yet or in no group of the phase is not eligible."""
    world.students(1, has_device=True)
    world.students(1, state="listed", approved_at=None, approved_by=None)
    world.students(1, state="left")
    world.students(1, state="out_of_group")
    world.students(1, group="covid_orphan")
    world.students(1)
    world.stock(1)
    world.committed()  # the last one has one of the programme's now
    (waiting,) = world.students(1)
    world.stock(9)
    run = world.frozen(policy=world.policy(groups=["poor", "near_poor"]))
    assert list(run.applicants.values_list("student_id", flat=True)) == [waiting.pk]


def test_a_household_s_devices_count_against_its_next_child(world):
    world.students(1, household_key="h")
    world.stock(1)
    world.committed()
    world.students(1, household_key="h")
    world.students(1)
    world.stock(1)
    run = world.committed()
    served = Allocation.objects.get(run=run)
    assert (served.tier, served.student.household_key) == ("2.1.1", "")


def test_earmarks_are_respected_and_the_idle_ones_named(world):
    world.students(3)
    world.stock(2, earmark_unit=world.other_province)
    world.stock(1, earmark_school=world.school)
    run = world.proposed()
    assert run.summary["by_pass"] == {"school": 1, "district": 0, "province": 0, "free": 0}
    assert run.summary["idle"] == [[2, world.other_province.pk, 2]]


def test_a_reserve_is_held_back(world):
    world.students(20)
    world.stock(20)
    run = world.frozen(policy=world.policy(reserve_percent=15))
    assert (run.supply_count, run.reserve_count) == (17, 3)


def test_a_province_runs_only_over_its_own_devices(world):
    world.students(10)
    world.stock(2)
    world.stock(1, earmark_unit=world.province)
    run = world.proposed(province=world.province)
    assert (run.supply_count, run.summary["allocated"]) == (1, 1)


def test_a_province_s_own_devices_have_a_waterline(world):
    """Of a run over one province there is no other: it says how far the devices went, and to whom they did not come."""
    world.students(3)
    world.students(4, group="near_poor")
    world.students(3, group="covid_orphan")
    world.stock(5, earmark_unit=world.province)
    run = world.proposed(province=world.province)
    assert run.summary["waterline"] is None
    assert run.summary["province_waterlines"] == {world.province.public_code: "2.2.1"}
    said = {}
    for applicant in run.applicants.all():
        standing = explaining.standing(run, applicant)
        if standing.via is None:
            said[standing.tier[1]] = " ".join(standing.said)
    assert "Máy dành riêng cho tỉnh hết ngay trong bậc của em: các em cùng bậc trong tỉnh" in said[2]
    assert "Máy dành riêng cho tỉnh hết ở bậc 2.2.1" in said[3]


def test_a_province_that_has_enough_has_no_waterline(world):
    world.students(10)
    world.stock(12, earmark_unit=world.province)
    assert world.proposed(province=world.province).summary["province_waterlines"] == {}


def test_a_province_with_fewer_than_ten_has_no_run_of_its_own(world):
    """The log would say how many they are (rule 4); the nation's run takes them."""
    world.students(9)
    world.stock(5, earmark_unit=world.province)
    run = world.opened(province=world.province)
    with pytest.raises(ValidationError, match="dưới 10 em"):
        services.freeze(by=world.clerk, run=run, at=AT)
    assert not LedgerOutbox.objects.filter(event="run.frozen").exists()


@pytest.mark.parametrize("missing", ["students", "devices"])
def test_nothing_to_give_or_nobody_to_give_to_is_refused(world, missing):
    if missing == "devices":
        world.students(2)
    else:
        world.stock(2)
    run = world.opened()
    with pytest.raises(ValidationError, match="không có gì để chốt"):
        services.freeze(by=world.clerk, run=run, at=AT)
    run.refresh_from_db()
    assert run.state == "opened"
    assert not Applicant.objects.exists()


def test_an_earmark_to_a_merged_unit_is_refused_by_name(world):
    world.students(2)
    code = world.stock(1, earmark_unit=world.other_province)[0]
    AdministrativeUnit.objects.filter(pk=world.other_province.pk).update(
        valid_to=AT.date(), successor=world.province
    )
    with pytest.raises(ValidationError, match=f"{code} dành cho"):
        services.freeze(by=world.clerk, run=world.opened(), at=AT)


def test_a_device_accepted_in_stock_and_recalled_in_the_ledger_is_refused_by_name(world):
    world.students(5)
    codes = sorted(world.stock(3))
    with transaction.atomic():
        record(event="device.recalled", on=AT.date(), device=codes[1], reason="malware")
    run = world.opened()
    with pytest.raises(ValidationError, match=f"{codes[1]}.*hu hồi"):
        services.freeze(by=world.clerk, run=run, at=AT)
    run.refresh_from_db()
    assert (run.state, run.applicants.count(), run.offers.count()) == ("opened", 0, 0)
    assert entries("run.frozen") == []


def test_an_overlapping_live_run_is_refused(world):
    world.opened(province=world.province)
    with pytest.raises(ValidationError, match="trùng phạm vi"):
        world.opened()
    world.opened(province=world.other_province)
    # And below Python, by the database itself.
    with pytest.raises(IntegrityError, match="run_one_live_per_place"), transaction.atomic():
        AllocationRun.objects.create(
            code="X",
            policy=world.policy(),
            randomness_source="x",
            draw_at=AT,
            opened_at=AT,
            opened_by=world.clerk,
        )


@pytest.mark.parametrize("groups", [["near_poor", "poor"], ["poor", "other"], ["poor", "poor"], []])
def test_groups_against_phase_or_law_are_refused(world, groups):
    with pytest.raises(ValidationError):
        services.draft_policy(
            by=world.clerk,
            phase=world.phase,
            name="Sai",
            groups=groups,
            locality_first=True,
            margin="draw",
            at=AT,
        )


def test_a_phase_without_a_group_refuses_it(world):
    phase = Phase.objects.create(
        code="GD2", name="Giai đoạn 2", clause="II.2b", starts_on=AT.date(), ends_on=AT.date() + HOUR * 48,
        groups=["poor", "near_poor"],
    )  # fmt: skip
    with pytest.raises(ValidationError, match="không có đối tượng"):
        services.draft_policy(
            by=world.clerk, phase=phase, name="Sai", groups=["poor", "covid_orphan"], locality_first=False,
            margin="draw", at=AT,
        )  # fmt: skip


def test_randomness_known_before_the_freeze_is_refused(world):
    world.students(2)
    world.stock(1)
    with pytest.raises(ValidationError, match="đã có rồi"):
        world.opened(draw_at=AT - HOUR)
    run = world.opened(draw_at=AT + HOUR)
    with pytest.raises(ValidationError, match="trước khi chốt"):
        services.freeze(by=world.clerk, run=run, at=AT + 2 * HOUR)
    services.freeze(by=world.clerk, run=run, at=AT)
    with pytest.raises(ValidationError, match="Chưa đến giờ"):
        services.enter_randomness(by=world.clerk, run=run, value="1", at=AT + HOUR / 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        AllocationRun.objects.filter(pk=run.pk).update(draw_at=AT - HOUR)


def test_randomness_takes_two_people_and_the_same_value(world):
    world.students(2)
    world.stock(1)
    run = world.frozen()
    later = AT + 2 * HOUR
    services.enter_randomness(by=world.clerk, run=run, value=" 12345 ", at=later)
    with pytest.raises(ValidationError, match="khác người nhập"):
        services.confirm_randomness(by=world.clerk, run=run, value="12345", at=later)
    with pytest.raises(ValidationError, match="không giống"):
        services.confirm_randomness(by=world.other_clerk, run=run, value="12346", at=later)
    run = services.confirm_randomness(by=world.other_clerk, run=run, value="12345", at=later)
    with pytest.raises(IntegrityError), transaction.atomic():
        AllocationRun.objects.filter(pk=run.pk).update(seed="0" * 64)


def test_three_parties_must_give_what_they_committed_to(world):
    world.students(2)
    world.stock(1)
    numbers = ["một 1", "hai 2", "ba 3"]
    run = world.opened(
        source="three_parties",
        commitments=[rules.commitment_of(number) for number in numbers],
    )
    services.freeze(by=world.clerk, run=run, at=AT)
    with pytest.raises(ValidationError, match="không khớp"):
        services.enter_randomness(by=world.clerk, run=run, value="\n".join(numbers[::-1]), at=AT)
    services.enter_randomness(by=world.clerk, run=run, value="\r\n".join(numbers), at=AT)
    services.confirm_randomness(by=world.other_clerk, run=run, value="\n".join(numbers), at=AT)
    assert bytes.fromhex(entries("run.seeded")[0]["randomness"]).decode() == "\n".join(numbers)


def test_who_prepared_cannot_approve(world):
    world.students(2)
    world.stock(1)
    run = world.proposed()
    with pytest.raises(ValidationError, match="phải khác"):
        services.approve(by=world.clerk, run=run, at=AT)
    with pytest.raises(IntegrityError, match="run_approver_is_another"), transaction.atomic():
        AllocationRun.objects.filter(pk=run.pk).update(approved_by=world.clerk, approved_at=AT)


def test_what_changed_since_the_freeze_stops_the_commit(world):
    world.students(2)
    world.stock(1)
    run = world.proposed()
    Student.objects.update(has_device=True)
    with pytest.raises(ValidationError, match="1 học sinh không còn đủ điều kiện"):
        services.approve(by=world.approver, run=run, at=AT)
    assert not Allocation.objects.exists()


def test_a_rejection_says_why_and_frees_the_place(world):
    world.students(2)
    world.stock(1)
    run = services.reject(
        by=world.approver, run=world.proposed(), reason="legal", at=AT, note="Theo công văn"
    )
    assert entries("run.rejected")[0]["reason"] == "legal"
    world.opened()
    with pytest.raises(ValidationError, match="đã kết thúc"):
        services.reject(by=world.approver, run=run, reason="legal", at=AT)


def test_another_ground_than_those_listed_is_explained(world):
    run = world.opened()
    for note in ("", "khác"):
        with pytest.raises(IntegrityError, match="run_reject_note_spelled_out"), transaction.atomic():
            services.reject(by=world.clerk, run=run, reason="other_ground", note=note, at=AT)
    services.reject(by=world.clerk, run=run, reason="other_ground", note="Mở nhầm phạm vi", at=AT)


def test_what_is_fixed_stays(world):
    world.students(2)
    world.stock(1)
    run = world.proposed()
    for change in (
        "UPDATE allocation_applicant SET household = 7",
        "DELETE FROM allocation_offer",
        "UPDATE allocation_proposed SET place = 2",
        f"UPDATE allocation_allocationrun SET state = 'committed' WHERE id = {run.pk}",
        f"UPDATE allocation_allocationrun SET frozen_root = 'x' WHERE id = {run.pk}",
        "UPDATE allocation_allocationpolicy SET rules = '{}'",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)
    assert Proposed.objects.count() == 1


def test_one_live_allocation_per_device_and_student(world):
    world.students(2)
    world.stock(2)
    run = world.committed()
    one, two = Allocation.objects.order_by("id")
    for taken in (
        {"device": one.device, "student": two.student},
        {"device": two.device, "student": one.student},
    ):
        with pytest.raises(IntegrityError, match="_once"), transaction.atomic():
            Allocation.objects.create(run=run, tier="1.1.1", engine_pass="free", public_area="VN", **taken)


def test_a_rejected_draw_is_kept_when_the_same_students_are_frozen_again(world):
    world.students(14, group="poor")
    world.students(9, group="near_poor")
    world.stock(5)
    first = world.proposed()
    pairs = set(Proposed.objects.filter(run=first).values_list("device_id", "student_id"))
    services.reject(
        by=world.clerk, run=first, reason="other_ground", note="Hai lãnh đạo chưa thống nhất", at=AT + HOUR
    )

    second = services.freeze(by=world.clerk, run=world.opened(), at=AT)
    assert (second.state, second.seed_kept_from) == ("seeded", first)
    assert (second.frozen_root, second.seed) == (first.frozen_root, first.seed)
    codes = [
        set(Applicant.objects.filter(run=run).values_list("student_id", "code")) for run in (first, second)
    ]
    assert codes[0] == codes[1]
    second = services.propose(by=world.clerk, run=second, at=AT)
    assert set(Proposed.objects.filter(run=second).values_list("device_id", "student_id")) == pairs
    # What the public sees: the rejection with its reason, then the same root, number and seed.
    assert [entry["reason"] for entry in entries("run.rejected")] == ["other_ground"]
    for event, keys in (("run.frozen", ["root", "draw_on"]), ("run.seeded", ["randomness", "seed"])):
        one, other = ([entry[key] for key in keys] for entry in entries(event))
        assert one == other


def test_a_draw_kept_through_two_rejections_keeps_its_own_moment(world):
    """The draw that was announced for a run which keeps another one decides nothing, and is named nowhere."""
    world.students(14)
    world.stock(5)
    services.reject(by=world.clerk, run=world.proposed(), reason="legal", at=AT)
    first = AllocationRun.objects.get()
    for days in (3, 5):
        run = world.opened(draw_at=AT + dt.timedelta(days=days))
        run = services.freeze(by=world.clerk, run=run, at=AT + dt.timedelta(days=days - 1))
        services.reject(by=world.clerk, run=run, reason="legal", at=AT + dt.timedelta(days=days))
    assert run.seed == first.seed
    assert run.randomness_at == first.draw_at
    frozen = entries("run.frozen")
    assert {entry["draw_on"] for entry in frozen} == {f"{first.draw_at:%Y-%m-%d}"}
    assert {entry["draw"] for entry in frozen} == {sha256(first.randomness_source.encode()).hexdigest()}


def test_more_devices_do_not_buy_another_draw(world):
    world.students(14)
    world.stock(5)
    first = world.proposed()
    services.reject(by=world.clerk, run=first, reason="supply_changed", at=AT)
    world.stock(3)
    second = services.freeze(by=world.clerk, run=world.opened(), at=AT)
    assert (second.supply_count, second.seed) == (8, first.seed)


@pytest.mark.parametrize("change", ["one more", "one changed", "not drawn yet"])
def test_other_students_are_drawn_anew(world, change):
    (one, *_) = world.students(14)
    world.stock(5)
    first = world.frozen() if change == "not drawn yet" else world.seeded()
    services.reject(by=world.clerk, run=first, reason="error_in_inputs", at=AT)
    if change == "one more":
        world.students(1)
    if change == "one changed":
        Student.objects.filter(pk=one.pk).update(group="near_poor")
    second = world.frozen()
    assert (second.state, second.seed_kept_from, second.seed) == ("frozen", None, "")
    assert second.frozen_root != first.frozen_root
    assert not Applicant.objects.filter(run=second, code__in=first.applicants.values("code")).exists()

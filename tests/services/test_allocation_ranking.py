"""The queue: everyone's place in a run, who is next, and that it agrees with what the engine decided."""

import pytest
from django.db import IntegrityError, connection, transaction

from allocation import explaining, services, taking_back
from allocation.models import Allocation, Applicant, Proposed, Ranking
from allocation.ranking import next_in_line
from schools.models import AdministrativeUnit, School, Student
from tests.allocation_world import AT, AllocationWorld
from tests.supply import office

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = tmp_path
    return AllocationWorld()


@pytest.fixture
def ranked(world):
    """A run of two provinces, three groups, a household of three and too few devices."""
    world.students(8)
    world.students(3, group="near_poor", household_key="h")
    world.students(6, group="covid_orphan")
    there = world.other_province
    commune = AdministrativeUnit.objects.create(
        level="commune", code="02650", name="Cam Đường", full_name="Phường Cam Đường", parent=there,
        province=there, valid_from=AT.date(),
    )  # fmt: skip
    school = School.objects.create(
        office=office("school", "TR-10000001", parent=world.programme, unit=commune), code="10000001",
        level="primary", commune=commune, province=there, enrolment=100,
    )  # fmt: skip
    world.students(5, group="near_poor", school=school)
    world.stock(11)
    run = world.proposed()
    services.rank(by=world.clerk, run=run)
    return run


def test_no_one_who_waits_outranks_by_tier_one_who_is_served(ranked):
    """No inversion on the page: what the explanation says of tiers is in order for all who were served by the draw."""
    served = set(Proposed.objects.filter(run=ranked).values_list("student_id", flat=True))
    rows = list(Ranking.objects.filter(run=ranked).order_by("position"))
    assert [row.position for row in rows] == list(range(1, 23))
    assert [row.tier for row in rows] == sorted(row.tier for row in rows)
    last = max(row.tier for row in rows if row.student_id in served)
    assert all(row.tier >= last for row in rows if row.student_id not in served)
    assert all((row.queue == 0) == (row.student_id in served) for row in rows)


def test_the_queue_counts_those_who_wait_in_the_run_and_in_the_province(ranked):
    waiting = list(Ranking.objects.filter(run=ranked, queue__gt=0).order_by("position"))
    assert [row.queue for row in waiting] == list(range(1, 12))
    homes = dict(Student.objects.values_list("pk", "school__province"))
    counted: dict[int, int] = {}
    for row in waiting:
        counted[homes[row.student_id]] = counted.get(homes[row.student_id], 0) + 1
        assert row.queue_in_province == counted[homes[row.student_id]]
    assert len(counted) == 2


def test_the_explanation_agrees_with_the_ranking(ranked):
    """Two ways to the same tier: recomputed for one applicant, and written for all by the engine."""
    rows = {row.student_id: row for row in Ranking.objects.filter(run=ranked)}
    for applicant in Applicant.objects.filter(run=ranked):
        standing = explaining.standing(ranked, applicant)
        row = rows[applicant.student_id]
        assert ".".join(map(str, standing.tier)) == row.tier
        text = " ".join(standing.said)
        assert (standing.via is None) == (row.queue > 0)
        assert (f"Trong hàng chờ của đợt, em đứng thứ {row.queue}" in text) == (row.queue > 0)
        assert ("suất thứ" in text) == (row.place > 1)


def test_an_answer_follows_what_became_of_it(ranked, world):
    """Taken back, passed on, served by another run: nobody reads of a device that is gone, or waits who has one."""
    services.approve(by=world.approver, run=ranked, at=AT)
    services.commit(by=world.approver, run=ranked, at=AT)
    gone = Allocation.objects.filter(run=ranked).order_by("pk")[0]
    waiting = [row.student_id for row in Ranking.objects.filter(run=ranked, queue__gt=0).order_by("queue")]
    revocation = taking_back.request_revocation(
        by=world.clerk,
        allocation=gone,
        reason="declined",
        notice="Gia đình từ chối nhận; hỏi Sở GD&ĐT.",
        at=AT,
    )
    taking_back.decide_revocation(by=world.approver, revocation=revocation, agree=True, at=AT)
    Allocation.objects.create(
        run=ranked, device=gone.device, student_id=waiting[0], tier="2.2.1", engine_pass="substitute",
        public_area="VN",
    )  # fmt: skip
    Student.objects.filter(pk=gone.student_id).update(has_device=True)
    world.stock(1)
    again = world.committed(policy=ranked.policy, purpose="top_up")
    (since,) = Allocation.objects.filter(run=again).values_list("student_id", flat=True)
    children = list(Student.objects.filter(pk__in=[gone.student_id, waiting[0], since, waiting[-1]]))
    said = dict(zip([child.pk for child in children], explaining.answers(ranked, children), strict=True))
    assert said == {
        gone.student_id: "Thôi nhận: thu hồi quyết định",
        waiting[0]: "Được chia máy, thay em không nhận nữa",
        since: f"Được chia máy ở đợt {again.code}",
        waiting[-1]: f"Chờ, thứ {len(waiting)} của đợt",
    }

    def told(student: int) -> str:
        return " ".join(explaining.standing(ranked, ranked.applicants.get(student=student)).said)

    assert "em đứng đầu hàng chờ ở nơi có máy đó" in told(waiting[0])
    assert f"đã được chia máy ở đợt {again.code}" in told(since)
    assert "Em vẫn ở trong danh sách chờ" in told(waiting[-1])
    ended = explaining.standing(ranked, ranked.applicants.get(student=gone.student_id)).since
    assert explaining.ended_words(ended).startswith("Thu hồi quyết định: gia đình từ chối nhận, ngày ")


def test_the_next_is_the_first_by_rank_in_the_area_who_still_may(ranked, world):
    area = world.province.public_code
    waiting = Ranking.objects.filter(run=ranked, queue_in_province__gt=0, student__school=world.school)
    first, second = waiting.order_by("position")[:2]
    services.approve(by=world.approver, run=ranked, at=AT)
    services.commit(by=world.approver, run=ranked, at=AT)

    def following(*leavers: int, area: str = area, count: int = 1) -> list[int]:
        found = next_in_line(run=ranked, area=area, leaver_ids=leavers, count=count)
        return [one.student_id for one in found]

    assert following() == [first.student_id]
    assert following(count=2) == [first.student_id, second.student_id]
    assert following(first.student_id) == [second.student_id]
    Student.objects.filter(pk=first.student_id).update(has_device=True)
    (found,) = next_in_line(run=ranked, area=area, leaver_ids=[], count=1)
    assert (found.student_id, found.tier) == (second.student_id, second.tier)
    assert following(area="VN2021-99") == []
    whole = Ranking.objects.filter(run=ranked, queue__gt=0).exclude(student=first.student_id)
    in_order = list(whole.order_by("position").values_list("student_id", flat=True))
    assert following(area="VN", count=len(in_order) + 5) == in_order


def test_it_is_written_once_and_stays(ranked, world):
    before = Ranking.objects.count()
    services.rank(by=world.clerk, run=ranked)
    assert Ranking.objects.count() == before
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE allocation_ranking SET position = 1")


def test_before_the_draw_there_is_no_ranking(world):
    world.students(2)
    world.stock(1)
    services.rank(by=world.clerk, run=world.frozen())
    assert not Ranking.objects.exists()

"""Pages of allocation: the whole ceremony by clicks of three officials, and who is kept out."""

import datetime as dt
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils.html import escape

from allocation import comparing, rules, services, taking_back
from allocation.models import Allocation, AllocationPolicy, AllocationRun, Comparison, Reduction, Revocation
from common.models import Job, Programme
from common.templatetags.vi import format_moment
from schools.models import AdministrativeUnit, School, Student
from tests.allocation_world import AT, AllocationWorld
from tests.supply import office, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = Path(tmp_path)
    return AllocationWorld()


def at_programme_time(moment: dt.datetime) -> None:
    """The programme's clock shows this day."""
    Programme.objects.update_or_create(pk=1, defaults={"today_on": moment.date(), "is_demonstration": True})


def run_url(name: str, run: AllocationRun) -> str:
    return reverse(f"allocation:{name}", args=[run.code])


def test_the_ceremony_by_three_officials(world, client, sign_in):
    world.students(15)
    world.students(15, group="near_poor")
    world.stock(20)
    at_programme_time(AT)
    policy = services.draft_policy(
        by=world.clerk, phase=world.phase, name="Thứ tự", groups=["poor", "near_poor"], locality_first=True,
        margin="proportional", at=AT,
    )  # fmt: skip
    sign_in(world.approver)
    assert client.get(reverse("allocation:policies")).status_code == 200
    client.post(reverse("allocation:policy_publish", args=[policy.pk]))
    policy.refresh_from_db()
    assert policy.published_by == world.approver

    sign_in(world.clerk)
    tomorrow = AT + dt.timedelta(days=1)
    answer = client.post(
        reverse("allocation:run_open"),
        {
            "policy": policy.pk, "purpose": "main", "source": "public_draw", "randomness_source": "Xổ số miền Bắc",
            "draw_at": f"{tomorrow:%Y-%m-%dT%H:%M}",
        },
    )  # fmt: skip
    run = AllocationRun.objects.get()
    assert answer.url == run_url("run", run)
    assert "Chốt dữ liệu" in client.get(run_url("run", run)).text
    client.post(run_url("run_freeze", run))
    # The worker's part.
    assert "Đang chờ" in client.get(run_url("run", run)).text
    assert client.get(run_url("run_progress", run)).status_code == 200
    services.freeze(by=world.clerk, run=run, at=AT)
    finish_jobs()

    refused = client.post(run_url("run_randomness", run), {"value": "9"})
    assert (refused.status_code, "Chưa đến giờ" in refused.text) == (422, True)
    at_programme_time(AT + dt.timedelta(days=2))
    client.post(run_url("run_randomness", run), {"value": "12345"})
    assert client.post(run_url("run_randomness", run), {"value": "12345"}).status_code == 404
    sign_in(world.other_clerk)
    client.post(run_url("run_randomness", run), {"value": "12345"})
    run.refresh_from_db()
    assert run.state == "seeded"
    # The worker's part fails; it is asked for once more by who prepares the run, and not twice at a time.
    Job.objects.filter(state=Job.State.QUEUED).update(state=Job.State.FAILED, message="Mất kết nối.")
    page = client.get(run_url("run", run)).text
    assert "Mất kết nối." in page
    assert "Lập lại phương án của đợt" in page
    assert client.post(run_url("run_step_again", run)).status_code == 302
    assert client.post(run_url("run_step_again", run)).status_code == 422
    services.propose(by=world.clerk, run=run, at=AT)
    finish_jobs()

    page = client.get(run_url("run", run)).text
    assert "2.2.1" in page
    assert "Nhóm hộ cận nghèo: còn 10 em chưa có máy." in page
    assert client.post(run_url("run_approve", run)).status_code == 404
    sign_in(world.approver)
    assert "Phê duyệt 20 phân bổ" in client.get(run_url("run", run)).text
    client.post(run_url("run_approve", run))
    services.commit(by=world.approver, run=run, at=AT)
    finish_jobs()
    assert Allocation.objects.live().count() == 20
    assert client.get(run_url("run", run)).status_code == 200
    assert "hộ cận nghèo" in b"".join(client.get(run_url("run_csv", run)).streaming_content).decode()

    client.logout()
    public = client.get(run_url("public_run", run)).text
    # A family that opens it with its slip asks one thing first.
    assert public.index("Em có được máy không?") < public.index("Quy tắc của đợt") < public.index("SHA-256")
    assert run.seed in public
    # What the tables say is what the lines of the file add up to.
    run.refresh_from_db()
    assert sum(size for size, _ in run.summary["draw"].values()) == 30
    assert "Theo đối tượng" in public
    assert "Em 1" not in public
    lines = b"".join(client.get(run_url("public_draw_file", run)).streaming_content).decode().splitlines()
    assert (len(lines), sum(line.endswith(",draw") for line in lines)) == (31, 20)


def finish_jobs() -> None:
    """What the worker does at the end of its tasks; here the services were called in its place."""
    Job.objects.filter(state=Job.State.QUEUED).update(state=Job.State.RUNNING)
    Job.objects.unfinished().update(state=Job.State.DONE)


@pytest.fixture
def proposed(world):
    world.students(3, class_name="5A")
    world.students(12, group="near_poor", class_name="5B")
    world.stock(5)
    return world.proposed()


def test_each_student_has_an_answer(world, proposed, client, sign_in):
    sign_in(world.clerk)
    page = client.get(run_url("applicants", proposed)).text
    assert "5B" in page
    assert "Có máy trong phương án" not in page  # nobody's place is written yet
    services.rank(by=world.clerk, run=proposed)
    page = client.get(run_url("applicants", proposed)).text
    assert (page.count("Có máy trong phương án"), page.count("Chờ, thứ")) == (5, 10)
    assert "Chờ, thứ 10 của đợt" in page
    served = proposed.proposed.first().student_id
    url = reverse("allocation:explanation", args=[proposed.code, served])
    assert "Vì sao em được nhận máy" in client.get(url).text
    waiting = proposed.applicants.exclude(student__in=proposed.proposed.values("student")).first()
    page = client.get(reverse("allocation:explanation", args=[proposed.code, waiting.student_id])).text
    assert "Vì sao em chưa được nhận máy" in page
    assert "bốc thăm" in page


def test_slips_of_a_class(world, proposed, client, sign_in):
    sign_in(world.clerk)
    assert "lớp 5A" in client.get(run_url("slip_classes", proposed)).text
    none = client.get(run_url("slip_classes", proposed), {"ten": "không có trường này"}).text
    assert "Không có lớp nào như vậy" in none
    url = f"{run_url('slips', proposed)}?truong={world.school.pk}&lop=5A"
    assert client.get(url).content.startswith(b"%PDF")
    assert client.get(f"{run_url('slips', proposed)}?truong=x&lop=5A").status_code == 404


def test_an_auditor_sees_no_names(world, proposed, client, sign_in):
    sign_in(person("kiem.toan", ("auditor", world.programme)))
    page = client.get(run_url("applicants", proposed)).text
    assert "Học sinh số" in page
    assert "Em 1" not in page
    assert page.count("Học sinh số") > 1
    searched = client.get(run_url("applicants", proposed), {"ten": "Em 1"}).text
    assert searched.count("Học sinh số") == page.count("Học sinh số"), "a search would tell who a number is"
    assert client.get(run_url("slip_classes", proposed)).status_code == 404


def test_a_province_cannot_run_over_the_nation(world, client, sign_in):
    sign_in(world.province_clerk)
    page = client.get(reverse("allocation:run_open")).text
    assert "Toàn quốc" not in page
    assert "Yên Bái" in page
    assert "Lào Cai" not in page
    national = world.opened()
    assert client.post(run_url("run_freeze", national)).status_code == 404


def test_another_province_s_run_does_not_exist_for_a_department(world, client, sign_in):
    other = world.opened(province=world.other_province)
    sign_in(world.province_clerk)
    assert client.get(run_url("run", other)).status_code == 404


@pytest.mark.parametrize("page", ["runs", "run_open", "policies", "policy_new", "trial_new", "revocations"])
def test_pages_open_for_the_programme_and_for_nobody_else(world, client, sign_in, page):
    url = reverse(f"allocation:{page}")
    assert client.get(url).status_code == 302
    sign_in(world.keeper)
    assert client.get(url).status_code == 404
    sign_in(world.clerk)
    assert client.get(url).status_code == 200


def test_a_policy_against_the_law_is_not_saved(world, client, sign_in):
    sign_in(world.clerk)
    given = {
        "phase": world.phase.pk,
        "name": "",
        "locality_first": "1",
        "margin": "draw",
        "reserve_percent": "80",
    }
    page = client.post(reverse("allocation:policy_new"), given)
    assert (page.status_code, "chỗ cần sửa" in page.text) == (422, True)
    assert not AllocationPolicy.objects.exists()
    good = given | {"name": "Mới", "groups": ["poor"], "reserve_percent": "5", "laptop_from_grade": ""}
    client.post(reverse("allocation:policy_new"), good)
    assert AllocationPolicy.objects.get().reserve_percent == 5
    assert "laptop_from_grade" not in AllocationPolicy.objects.get().rules
    assert (
        client.post(reverse("allocation:policy_new"), good | {"laptop_from_grade": "13"}).status_code == 422
    )
    client.post(reverse("allocation:policy_new"), good | {"laptop_from_grade": "10"})
    plain, prefers = AllocationPolicy.objects.order_by("version")
    assert prefers.rules == plain.rules | {"laptop_from_grade": 10}
    assert prefers.digest != plain.digest
    assert "máy xách tay ưu tiên từ lớp 10" in client.get(reverse("allocation:policies")).text


def test_comparing_two_policies(world, client, sign_in):
    world.students(4)
    world.stock(2)
    one, other = world.policy(), world.policy(groups=["near_poor"])
    sign_in(world.clerk)
    same = client.post(reverse("allocation:trial_new"), {"one": one.pk, "other": one.pk})
    assert "hai chính sách khác nhau" in same.text
    answer = client.post(reverse("allocation:trial_new"), {"one": one.pk, "other": other.pk})
    row = Comparison.objects.get()
    assert answer.url == reverse("allocation:comparison", args=[row.pk])
    assert "Đang chờ" in client.get(answer.url).text
    comparing.compare(by=world.clerk, comparison=row, at=AT)
    assert "Hộ nghèo" in client.get(answer.url).text


def test_taking_back_by_two_officials(world, client, sign_in):
    world.students(2)
    world.stock(1)
    run = world.committed()
    allocation = Allocation.objects.select_related("device").get()
    sign_in(world.clerk)
    found = client.get(reverse("allocation:revocations"), {"may": allocation.device.code}).text
    assert reverse("allocation:revocation_new", args=[allocation.pk]) in found
    url = reverse("allocation:revocation_new", args=[allocation.pk])
    assert "ít nhất 20" in client.post(url, {"reason": "moved_away", "notice": "ngắn"}).text
    client.post(url, {"reason": "moved_away", "notice": "Em đã chuyển trường; khiếu nại tại Sở GD&ĐT."})
    decide = reverse("allocation:revocation", args=[Revocation.objects.get().pk])
    assert "Quyết định" in client.get(decide).text
    assert client.post(decide, {"quyet-dinh": "dong-y"}).status_code == 404
    sign_in(world.approver)
    text = client.get(decide).text
    assert "Em đã chuyển trường" in text
    assert "Hồ sơ của em chưa đổi nên đợt sau vẫn xét em." in text
    assert "Việc tiếp theo: ghi «Chuyển trường» vào hồ sơ của em." in text
    Student.objects.filter(pk=allocation.student_id).update(has_device=True)
    assert "Hồ sơ của em chưa đổi" not in client.get(decide).text
    client.post(decide, {"quyet-dinh": "dong-y"})
    assert not Allocation.objects.live().exists()
    again = world.committed(policy=AllocationPolicy.objects.get(), purpose="top_up")
    assert Allocation.objects.live().get().device == allocation.device
    for page in (decide, f"{reverse('allocation:revocations')}?may={allocation.device.code}"):
        sign_in(world.clerk)
        text = client.get(page).text
        first, second = text.index(run_url("run", run)), text.index(run_url("run", again))
        assert first < text.index("Thu hồi quyết định, ") < second < text.index("Còn hiệu lực")
    assert f'href="{decide}"' in text


def test_public_pages_before_and_after(world, client):
    world.students(2)
    world.stock(1)
    run = world.opened()
    assert client.get(run_url("public_run", run)).status_code == 404
    services.freeze(by=world.clerk, run=run, at=AT)
    page = client.get(run_url("public_run", run)).text
    assert run.randomness_source in page
    assert client.get(reverse("allocation:public_runs")).status_code == 200
    assert client.get(run_url("public_draw_file", run)).status_code == 404


# --- whose province -----------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(world):
    """A committed run of the other province, with a revocation, a reduction and a trial there."""
    there = world.other_province
    committee = office("province_committee", "T-10", parent=world.programme, unit=there)
    department = office("province_department", "S-10", parent=committee, unit=there)
    commune = AdministrativeUnit.objects.create(
        level="commune", code="02650", name="Cam Đường", full_name="Phường Cam Đường", parent=there,
        province=there, valid_from=AT.date(),
    )  # fmt: skip
    school = School.objects.create(
        office=office("school", "TR-10000001", parent=department, unit=commune), code="10000001",
        level="primary", commune=commune, province=there, enrolment=100,
    )  # fmt: skip
    world.students(10, school=school)
    world.stock(2, earmark_unit=there)
    run = world.committed(province=there)
    one = Allocation.objects.filter(run=run).first()
    return {
        "run": run,
        "student": one.student_id,
        "allocation": one.pk,
        "revocation": taking_back.request_revocation(
            by=world.clerk,
            allocation=one,
            reason="moved_away",
            notice="Em đã chuyển đi; hỏi Sở GD&ĐT.",
            at=AT,
        ).pk,
        "reduction": taking_back.request_reduction(
            by=world.clerk,
            run=run,
            count=1,
            ground="Nhà tài trợ rút máy",
            notice="Máy bị rút; hỏi Sở GD&ĐT.",
            at=AT,
        ).pk,
        "trial": comparing.ask_comparison(by=world.clerk, one=run.policy, province=there, at=AT).pk,
    }


def foreign_addresses(elsewhere) -> list[str]:
    run, code = elsewhere["run"], elsewhere["run"].code
    return [
        *(
            run_url(name, run)
            for name in ("run", "run_progress", "run_csv", "applicants", "slip_classes", "reduction_new")
        ),
        reverse("allocation:explanation", args=[code, elsewhere["student"]]),
        reverse("allocation:revocation_new", args=[elsewhere["allocation"]]),
        reverse("allocation:revocation", args=[elsewhere["revocation"]]),
        reverse("allocation:reduction", args=[elsewhere["reduction"]]),
        reverse("allocation:comparison", args=[elsewhere["trial"]]),
    ]


def test_a_department_sees_and_does_nothing_in_another_province(world, elsewhere, client, sign_in):
    for role in ("clerk", "approver"):
        sign_in(person(f"so.{role}", (role, world.department)))
        for address in foreign_addresses(elsewhere):
            assert client.get(address).status_code == 404, address
        for name in ("run_freeze", "run_randomness", "run_approve", "run_step_again", "run_reject"):
            assert client.post(run_url(name, elsewhere["run"])).status_code == 404, name
        for name in ("revocation", "reduction"):
            address = reverse(f"allocation:{name}", args=[elsewhere[name]])
            assert client.post(address, {"quyet-dinh": "dong-y"}).status_code == 404
        assert elsewhere["run"].code not in client.get(reverse("allocation:runs")).text
    given = {"one": elsewhere["run"].policy_id, "province": world.other_province.pk}
    assert client.post(reverse("allocation:trial_new"), given).status_code == 422


def test_a_department_runs_over_its_own_devices(world, client, sign_in):
    world.students(3)
    world.stock(5)
    world.stock(2, earmark_unit=world.province)
    at_programme_time(AT)
    policy = world.policy()
    sign_in(world.province_clerk)
    page = client.get(reverse("allocation:runs")).text
    assert "Máy chung, trong kho" not in page
    tomorrow = AT + dt.timedelta(days=1)
    given = {
        "policy": policy.pk, "purpose": "main", "source": "public_draw", "randomness_source": "Xổ số Yên Bái",
        "draw_at": f"{tomorrow:%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    assert "Phạm vi" in client.post(reverse("allocation:run_open"), given).text
    client.post(reverse("allocation:run_open"), given | {"province": world.province.pk})
    run = AllocationRun.objects.get()
    page = client.get(run_url("run", run)).text
    assert "Chốt 3 em, 2 máy" in page
    assert client.post(run_url("run_freeze", run)).status_code == 302


def test_a_province_of_another_time_is_not_offered(world, client, sign_in):
    """Codes and names came again in 2025: two «Thành phố Hà Nội» in one list, of which one has no school."""
    at_programme_time(AT)
    later = AdministrativeUnit.objects.create(
        level="province", code="15", vintage="2025", name="Lào Cai", full_name="Tỉnh Lào Cai", slug="lao-cai-2025",
        valid_from=dt.date(2025, 7, 1),
    )  # fmt: skip
    sign_in(world.clerk)
    for page in ("run_open", "trial_new"):
        text = client.get(reverse(f"allocation:{page}")).text
        assert f'value="{world.province.pk}"' in text
        assert f'value="{later.pk}"' not in text


# --- states --------------------------------------------------------------------------------------------------


def test_a_run_that_missed_its_draw_cannot_be_frozen_and_says_what_to_do(world, client, sign_in):
    world.students(1)
    world.stock(1)
    run = world.opened()
    at_programme_time(AT + dt.timedelta(days=2))
    sign_in(world.clerk)
    page = client.get(run_url("run", run)).text
    assert "Quá hạn chốt" in page
    assert "Chốt 1 em" not in page


def test_a_party_that_does_not_reveal_voids_the_run_and_everyone_sees_why(world, client, sign_in):
    world.students(1)
    world.stock(1)
    numbers = ["một", "hai", "ba"]
    run = world.opened(
        source="three_parties", commitments=[rules.commitment_of(number) for number in numbers]
    )
    services.freeze(by=world.clerk, run=run, at=AT)
    at_programme_time(AT + dt.timedelta(days=4))
    sign_in(world.clerk)
    page = client.get(run_url("run", run)).text
    assert "Quá hạn 4 ngày" in page or "Quá hạn 3 ngày" in page  # by the hour of the day
    assert rules.commitment_of("hai") in page
    refused = client.post(run_url("run_randomness", run), {"value": "một\nkhông nhớ\nba"})
    assert (refused.status_code, "Số của bên 2 không khớp" in refused.text) == (422, True)
    client.post(run_url("run_reject", run), {"reason": "seed_not_revealed", "note": "Bên 2 không đưa số"})
    client.logout()
    public = client.get(run_url("public_run", run)).text
    assert "Không có số ngẫu nhiên như đã công bố" in public
    assert "chưa đưa số ra" in public
    assert "Bên 2 không đưa số" not in public


def test_a_kept_draw_is_told_with_its_own_source_and_moment(world, client, sign_in):
    at_programme_time(AT)
    world.students(12)
    world.stock(2)
    first = world.proposed()
    services.reject(by=world.clerk, run=first, reason="legal", at=AT)
    second = services.freeze(by=world.clerk, run=world.opened(draw_at=AT + dt.timedelta(days=9)), at=AT)
    public = client.get(run_url("public_run", second)).text
    for run, is_told in ((first, True), (second, False)):
        assert (format_moment(run.draw_at) in public) == is_told
    assert rules.source_digest(first.randomness_source) in public
    assert escape(second.policy.text) in public
    sign_in(world.clerk)
    page = client.get(run_url("run", second)).text
    assert f"Bốc thăm: giữ kết quả của đợt {first.code}" in page


def test_a_draw_to_come_is_announced_before_anything_is_frozen(world, client):
    at_programme_time(AT - dt.timedelta(days=1))
    run = world.opened()
    page = client.get(reverse("allocation:public_runs")).text
    assert run.randomness_source in page
    assert "chưa chốt danh sách" in page


def test_who_drafted_a_policy_is_not_offered_to_publish_it(world, client, sign_in):
    leader = person("lanh.dao.2", ("approver", world.programme))
    draft = services.draft_policy(
        by=leader, phase=world.phase, name="Mới", groups=["poor"], locality_first=True, margin="draw", at=AT
    )
    url = reverse("allocation:policy_publish", args=[draft.pk])
    sign_in(leader)
    assert url not in client.get(reverse("allocation:policies")).text
    assert client.post(url).status_code == 404
    sign_in(world.approver)
    assert draft.digest in client.get(url).text


def test_a_school_prints_slips_and_reads_reasons_of_its_own_only(world, elsewhere, proposed, client, sign_in):
    sign_in(person("truong", ("clerk", world.school.office)))
    page = client.get(reverse("allocation:runs")).text
    assert run_url("slip_classes", proposed) in page
    assert elsewhere["run"].code not in page
    assert client.get(run_url("run", proposed)).status_code == 404
    assert "lớp 5A" in client.get(run_url("slip_classes", proposed)).text
    for name in ("slip_classes", "applicants"):  # no way back to a page that a school may not open
        assert f'href="{run_url("run", proposed)}"' not in client.get(run_url(name, proposed)).text
    theirs = proposed.applicants.exclude(student__school=world.school).first()
    mine = proposed.applicants.filter(student__school=world.school).first()
    for applicant, status in ((mine, 200), (theirs, 404)):
        url = reverse("allocation:explanation", args=[proposed.code, applicant.student_id])
        assert client.get(url).status_code == status


def test_cutting_a_run_by_two_officials(world, client, sign_in):
    world.students(5)
    world.stock(5)
    run = world.committed()
    sign_in(world.clerk)
    url = run_url("reduction_new", run)
    typed = {"count": "2", "ground": "Nhà tài trợ rút máy", "notice": "Máy bị rút; hỏi Sở GD&ĐT."}
    too_many = client.post(url, typed | {"count": "9"})
    assert (too_many.status_code, "Chỉ còn 5 máy" in too_many.text) == (422, True)
    bare = client.post(url, typed | {"ground": "x"})
    assert (bare.status_code, "phải nói rõ (ít nhất 10 ký tự)" in bare.text) == (422, True)
    client.post(url, typed)
    reduction = reverse("allocation:reduction", args=[Reduction.objects.get().pk])
    assert "Cắt giảm 2 máy</button>" not in client.get(reduction).text
    assert client.post(reduction, {"quyet-dinh": "dong-y"}).status_code == 404
    sign_in(world.approver)
    page = client.get(reduction).text
    assert "Cắt giảm 2 máy</button>" in page
    assert "Em không nhận máy nữa" in page  # whom it meets, before it is decided
    client.post(reduction, {"quyet-dinh": "dong-y"})
    page = client.get(reduction).text
    assert "Máy đã đạt kiểm định ở lại Chương trình" in page
    met = f"{reverse('allocation:revocations')}?cat-giam={Reduction.objects.get().pk}"
    assert met in page
    assert client.get(met).text.count('data-label="Trường"') == 2
    assert client.get(f"{reverse('allocation:revocations')}?cat-giam=x").status_code == 404
    assert Allocation.objects.live().count() == 3
    page = client.get(run_url("run", run)).text
    assert "Đã phê duyệt và nay còn hiệu lực" in page
    assert "−2" in page


def test_a_single_policy_is_tried_and_shows_what_a_proposal_shows(world, client, sign_in):
    world.students(4)
    world.students(2, group="near_poor")
    world.stock(3)
    world.stock(1, earmark_unit=world.other_province)
    sign_in(world.clerk)
    answer = client.post(reverse("allocation:trial_new"), {"one": world.policy().pk})
    comparing.compare(by=world.clerk, comparison=Comparison.objects.get(), at=AT)
    page = client.get(answer.url).text
    assert "Nhóm hộ cận nghèo: cả 2 em chưa em nào có máy" in page
    assert "Dành riêng cho Tỉnh Lào Cai" in page
    assert "2.1.1" in page

"""Pages of allocation: the whole ceremony by clicks of three officials, and who is kept out."""

import datetime as dt
from pathlib import Path

import pytest
from django.urls import reverse

from allocation import services
from allocation.models import Allocation, AllocationPolicy, AllocationRun, Comparison, Revocation
from common.models import Job, Programme
from tests.allocation_world import AT, AllocationWorld
from tests.supply import person

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
        margin="proportional",
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
            "policy": policy.pk, "source": "public_draw", "randomness_source": "Xổ số miền Bắc",
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
    assert run.seed in public
    assert "Em 1" not in public
    lines = b"".join(client.get(run_url("public_draw_file", run)).streaming_content).decode().splitlines()
    assert (len(lines), sum(line.endswith(",draw") for line in lines)) == (31, 20)


def finish_jobs() -> None:
    """What the worker does at the end of its tasks; here the services were called in its place."""
    Job.objects.unfinished().update(state=Job.State.DONE)


@pytest.fixture
def proposed(world):
    world.students(3, class_name="5A")
    world.students(12, group="near_poor", class_name="5B")
    world.stock(5)
    return world.proposed()


def test_each_student_has_an_answer(world, proposed, client, sign_in):
    sign_in(world.clerk)
    assert "5B" in client.get(run_url("applicants", proposed)).text
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
    url = f"{run_url('slips', proposed)}?truong={world.school.pk}&lop=5A"
    assert client.get(url).content.startswith(b"%PDF")
    assert client.get(f"{run_url('slips', proposed)}?truong=x&lop=5A").status_code == 404


def test_an_auditor_sees_no_names(world, proposed, client, sign_in):
    sign_in(person("kiem.toan", ("auditor", world.programme)))
    page = client.get(run_url("applicants", proposed)).text
    assert "Học sinh số" in page
    assert "Em 1" not in page
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


@pytest.mark.parametrize(
    "page", ["runs", "run_open", "policies", "policy_new", "comparison_new", "revocations"]
)
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
    assert page.status_code == 200
    assert not AllocationPolicy.objects.exists()
    good = given | {"name": "Mới", "groups": ["poor"], "reserve_percent": "5"}
    client.post(reverse("allocation:policy_new"), good)
    assert AllocationPolicy.objects.get().reserve_percent == 5


def test_comparing_two_policies(world, client, sign_in):
    world.students(4)
    world.stock(2)
    one, other = world.policy(), world.policy(groups=["near_poor"])
    sign_in(world.clerk)
    same = client.post(reverse("allocation:comparison_new"), {"one": one.pk, "other": one.pk})
    assert "hai chính sách khác nhau" in same.text
    answer = client.post(reverse("allocation:comparison_new"), {"one": one.pk, "other": other.pk})
    row = Comparison.objects.get()
    assert answer.url == reverse("allocation:comparison", args=[row.pk])
    assert "Đang chờ" in client.get(answer.url).text
    services.compare(by=world.clerk, comparison=row, at=AT)
    assert "Hộ nghèo" in client.get(answer.url).text


def test_taking_back_by_two_officials(world, client, sign_in):
    world.students(2)
    world.stock(1)
    world.committed()
    allocation = Allocation.objects.select_related("device").get()
    sign_in(world.clerk)
    found = client.get(reverse("allocation:revocations"), {"may": allocation.device.code}).text
    assert reverse("allocation:revocation_new", args=[allocation.pk]) in found
    url = reverse("allocation:revocation_new", args=[allocation.pk])
    assert "ít nhất 20" in client.post(url, {"reason": "moved_away", "notice": "ngắn"}).text
    client.post(url, {"reason": "moved_away", "notice": "Em đã chuyển trường; khiếu nại tại Sở GD&ĐT."})
    decide = reverse("allocation:revocation_decide", args=[Revocation.objects.get().pk])
    assert client.get(decide).status_code == 404
    sign_in(world.approver)
    assert "Em đã chuyển trường" in client.get(decide).text
    client.post(decide, {"quyet-dinh": "dong-y"})
    assert not Allocation.objects.live().exists()


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

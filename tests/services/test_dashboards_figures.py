"""Figures are counted from the public log, stored per day, and revised only with a reason."""

import datetime as dt
import json
import zipfile

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from allocation.models import Allocation
from common.models import Programme
from coverage.models import CoveragePoint
from dashboards import audit, donors, figures, ministry, opendata, services, snapshot, statement, stuck, work
from dashboards.models import DailyFigure, FigureRelease, NeedRelease, PublicFigure
from dashboards.tasks import close_the_day
from delivery.models import Custody, Handover, HandoverRecord
from delivery.services import (
    hand_over,
    open_record,
    sign_record,
)
from ledger.audit import audit as audit_log
from ledger.sequencer import seal
from ledger.tasks import publish_weekly_figures
from schools.models import AdministrativeUnit, School, Student
from tests.delivery_world import AT, carry, make_devices, make_world
from tests.ledger_log import make_log

pytestmark = pytest.mark.django_db
TODAY = AT.date()


@pytest.fixture
def world(db):
    """Three schools with three allocated devices each; the first school has them in hand."""
    with transaction.atomic():
        world = make_world()
        carry(world)
    return world


def hand_over_class(world) -> int:
    """Hand the first school's devices over; returns how many."""
    by = world.people["school"]
    record = open_record(
        by=by, school=world.schools[0], class_name="7A", held_on=TODAY, at=AT, operator=world.operator
    )
    allocations = [a for a in world.allocations if a.student.school_id == world.schools[0].pk]
    rows = [{"device": a.device.code} for a in allocations]
    hand_over(by=by, record=record, rows=rows, at=AT)
    sign_record(by=by, record=record, at=AT)
    return len(rows)


def store(world) -> FigureRelease:
    seal(today=TODAY, at_once=True)
    return services.store_figures(by=world.people["programme"], at=AT)


def test_what_is_pledged_or_in_a_warehouse_is_not_a_result(world):
    store(world)
    shot = snapshot.latest()
    assert shot.nation("received") == 9
    assert shot.nation("allocated") == 9
    assert shot.nation("handed_over") == 0


def test_a_handover_moves_the_nations_figure_and_its_donors(world):
    handed = hand_over_class(world)
    release = store(world)
    shot = snapshot.latest()
    assert shot.nation("handed_over") == handed == 3
    assert release.ledger_size == figures.log_size()
    assert snapshot.counted(shot)["handed_over"] == {"VN": 3, world.province.public_code: 3}


def test_a_province_with_fewer_than_ten_is_few_on_every_public_surface(world):
    hand_over_class(world)
    store(world)
    row = next(row for row in snapshot.latest().provinces if row.unit == world.province)
    # Anybody counts the three in the log; the nine of the need nobody does.
    assert (row.handed_over, row.allocated, row.need, row.need_on) == ("<10", "<10", "ẩn", None)
    assert row.share is None
    published = next(row for row in opendata.province_rows() if row[0] == world.province.public_code)
    assert published[2:8] == (None,) * 6
    # The table that public pages read does not even have what was counted.
    hidden = PublicFigure.objects.filter(name__in=["handed_over", "need", "listed"]).exclude(area="VN")
    assert set(hidden.values_list("value", "shown_on")) == {(None, None)}


def more_in_need(world, count: int, school: int = 0) -> None:
    """Approve this many more students of a school."""
    known = Student.objects.count()
    Student.objects.bulk_create(
        Student(
            school=world.schools[school], full_name=f"Em {number}", search_key=f"em {number}", sort_key=f"em {number}",
            class_name="8B", born_on=dt.date(2008, 1, 1), group="poor",
            state="approved", approved_at=AT, approved_by=world.people["leader"],
        )
        for number in range(known, known + count)
    )  # fmt: skip


def test_a_number_stands_since_its_day_until_ten_have_come(world):
    first, second = world.province, a_province("95", "Bạc Liêu")
    move(world.schools[2], second)
    more_in_need(world, 31)
    more_in_need(world, 40, school=2)
    store(world)
    need = {row.unit: (row.need, row.need_on) for row in snapshot.latest().provinces}
    assert (need[first], need[second]) == ((37, TODAY), ("ẩn", None))
    assert snapshot.latest().reporting == 1
    more_in_need(world, 9)
    later = AT + dt.timedelta(days=1)
    services.store_figures(by=world.people["programme"], at=later)
    shown = PublicFigure.objects.get(on=later.date(), name="need", area=first.public_code)
    assert (shown.value, shown.shown_on) == (37, TODAY)
    more_in_need(world, 1)
    release = services.store_figures(by=world.people["programme"], at=later)
    shown = PublicFigure.objects.get(on=later.date(), name="need", area=first.public_code)
    assert (shown.value, shown.shown_on) == (47, later.date())
    assert list(NeedRelease.objects.order_by("pk").values_list("total", flat=True)) == [80, 89, 90]
    assert release.digest == services.store_figures(by=world.people["programme"], at=later).digest
    assert NeedRelease.objects.count() == 3


def a_province(code: str, name: str, **more) -> AdministrativeUnit:
    fields = {"valid_from": dt.date(2004, 1, 1), "slug": f"tinh-{code}", **more}
    return AdministrativeUnit.objects.create(level="province", code=code, name=name, full_name=name, **fields)


def move(school, unit: AdministrativeUnit) -> None:
    """The school lies in a commune of this province."""
    commune = AdministrativeUnit.objects.create(
        level="commune", code=f"9{school.code[-4:]}", vintage=unit.vintage, name="Xã Thử", full_name="Xã Thử",
        parent=unit, province=unit, valid_from=unit.valid_from,
    )  # fmt: skip
    School.objects.filter(pk=school.pk).update(commune=commune, district=None, province=unit)


def test_a_merged_province_does_not_give_away_its_hidden_part(world):
    second, third = a_province("95", "Bạc Liêu"), a_province("96", "Cà Mau")
    move(world.schools[2], second)
    more_in_need(world, 31)
    store(world)
    # 37 and 3: thirty can't be kept back.
    assert snapshot.latest().shown["need"][world.province.public_code] == "ẩn"
    more_in_need(world, 30)
    move(world.schools[1], third)
    more_in_need(world, 50, school=1)
    store(world)
    assert snapshot.latest().counts("need")[world.province.public_code] == 64
    merged = a_province(
        "79", "Thành phố Hồ Chí Minh mới", vintage="2025", slug="moi", valid_from=dt.date(2025, 7, 1)
    )
    AdministrativeUnit.objects.filter(pk__in=[world.province.pk, second.pk]).update(
        successor=merged, valid_to=merged.valid_from
    )
    for school in (world.schools[0], world.schools[2]):
        move(school, merged)
    later = AT + dt.timedelta(days=1)
    services.store_figures(by=world.people["programme"], at=later)
    shown = PublicFigure.objects.get(on=later.date(), name="need", area=merged.public_code)
    assert (shown.value, shown.shown_on) == (64, TODAY)  # not 67: that would tell the three of the other


def test_the_need_of_a_province_is_not_revised_by_hand(world):
    hand_over_class(world)
    store(world)
    with pytest.raises(ValidationError, match="sửa danh sách"):
        services.revise_figure(
            by=world.people["programme"], on=TODAY, name="need", area=world.province.public_code, value=1, note="x"
        )  # fmt: skip
    revised = services.revise_figure(
        by=world.people["programme"], on=TODAY, name="handed_over", area=world.province.public_code, value=4, note="x"
    )  # fmt: skip
    assert (revised.value, revised.shown, revised.shown_on) == (4, None, None)
    assert {(row.before, row.after) for row in snapshot.revisions()} == {("<10", "<10")}


def test_a_number_that_is_shown_has_its_day(world):
    with pytest.raises(IntegrityError), transaction.atomic():
        DailyFigure.objects.create(on=TODAY, name="received", value=8, shown=8)


def test_storing_twice_on_one_day_leaves_one_release_with_the_same_digest(world):
    first = store(world)
    second = store(world)
    assert (first.pk, first.digest) == (second.pk, second.digest)
    assert DailyFigure.objects.filter(name="received", area="VN").count() == 1


def test_figures_are_behind_until_they_are_counted_again(world):
    assert services.figures_are_behind()
    store(world)
    assert not services.figures_are_behind()
    hand_over_class(world)
    seal(today=TODAY, at_once=True)
    assert services.figures_are_behind()


def test_after_a_night_and_a_week_an_auditor_can_count_every_claim_of_figures_again(
    world, tmp_path, settings
):
    log = make_log(tmp_path)
    settings.LEDGER_DIR, settings.VAR_DIR = log.folder, tmp_path
    log.turn()
    for _ in range(2):
        close_the_day()
        publish_weekly_figures()
        log.turn()
    result = audit_log(log.disk.fetch, log.verifiers)
    assert result["events"]["figures.published"] == 1
    assert not [problem for problem in result["problems"] if "figures" in problem]


def test_a_revision_stands_beside_the_first_number_with_its_reason(world):
    store(world)
    by = world.people["programme"]
    services.revise_figure(by=by, on=TODAY, name="received", area="VN", value=8, note="Một máy ghi hai lần")
    shot = snapshot.latest()
    assert shot.nation("received") == 8
    assert shot.revised["received", "VN"] == "Một máy ghi hai lần"
    values = DailyFigure.objects.filter(name="received", area="VN").order_by("revision")
    assert list(values.values_list("value", flat=True)) == [9, 8]


def test_a_revision_without_a_reason_is_refused_by_service_and_database(world):
    store(world)
    with pytest.raises(ValidationError):
        services.revise_figure(
            by=world.people["programme"], on=TODAY, name="received", area="VN", value=8, note=""
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        DailyFigure.objects.create(on=TODAY, name="received", value=8, revision=1)


def test_a_figure_that_was_never_published_cannot_be_revised(world):
    with pytest.raises(ValidationError, match="không có số liệu"):
        services.revise_figure(
            by=world.people["programme"],
            on=dt.date(2021, 1, 1),
            name="received",
            area="VN",
            value=8,
            note="x",
        )


def test_the_dump_carries_every_set_in_every_format_with_its_sum(world, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    store(world)
    folder = opendata.write_dump(at=AT)
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{slug}.{kind}" for slug in opendata.DATASETS for kind in opendata.FORMATS} | {
        "manifest.json",
        "all.zip",
    }
    first = (folder / "manifest.json").read_text()
    assert opendata.write_dump(at=AT) == folder  # the same day again: replaced, and the same content
    assert (folder / "manifest.json").read_text() == first
    assert set(json.loads(first)["sha256"]) == names - {"manifest.json", "all.zip"}
    assert len(zipfile.ZipFile(folder / "all.zip").namelist()) == len(names) - 1
    assert json.loads((folder / "provinces.json").read_text())["rows"][0]["province"] == "VN2021-79"
    assert opendata.dumps() == [TODAY]
    assert opendata.dump_file(on="..", name="manifest.json") is None


def test_no_pupil_stands_in_any_open_data(world, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    hand_over_class(world)
    store(world)
    folder = opendata.write_dump(at=AT)
    text = "".join(path.read_text() for path in folder.glob("*.json")) + "".join(
        path.read_text() for path in folder.glob("*.csv")
    )
    for allocation in world.allocations:
        assert allocation.student.full_name not in text
        assert allocation.device.code not in text
    assert "Trường số" not in text


def test_what_lies_at_an_office_is_stuck_after_ten_days(world):
    today = TODAY + dt.timedelta(days=11)
    held = {row.office: row.count for row in stuck.waiting(today=today, kinds=("held",))}
    assert held == {school.office.name: 3 for school in world.schools}
    assert stuck.waiting(today=TODAY + dt.timedelta(days=10), kinds=("held",)) == []
    row = stuck.waiting_at(today=today, kind="held", office_code=world.schools[0].office.code)
    assert row.days == 11
    assert stuck.waiting(today=today, kinds=("held",), province="VN2021-01") == []


def test_late_points_stand_with_their_operator(world):
    CoveragePoint.objects.create(
        code="DLS-1",
        name="Bản Xa",
        commune=world.commune,
        province=world.province,
        operator=world.operator,
        deadline_on=TODAY - dt.timedelta(days=1),
    )
    (row,) = stuck.waiting(today=TODAY, kinds=("point",))
    assert (row.office, row.count, row.days) == ("Viettel", 1, 1)


def test_the_report_to_the_ministers_carries_the_same_figures(world):
    hand_over_class(world)
    store(world)
    Programme.objects.update_or_create(pk=1, defaults={"is_demonstration": True})
    report = ministry.report(today=TODAY, shot=snapshot.latest())
    assert ["Máy đã bàn giao cho học sinh", "3"] in report["headline"]
    assert report["is_demonstration"]
    assert report["provinces"][0][4] == "3"


def test_the_auditors_questions_find_nothing_where_all_is_well(world):
    hand_over_class(world)
    assert not any(audit.answer(question) for question in audit.QUESTIONS.values())


def test_a_pupil_with_two_devices_is_found(world):
    hand_over_class(world)
    first = Allocation.objects.filter(student__school=world.schools[0]).first()
    # No service does this: the first allocation ends without its device coming back, and a second is made.
    Allocation.objects.filter(pk=first.pk).update(
        ended_at=AT, ended_by=world.people["leader"], end_reason="revoked"
    )
    device = make_devices(world, 1)[0]
    Custody.objects.create(device=device, office=world.schools[0].office, from_at=AT)
    second = Allocation.objects.create(
        run=world.run,
        device=device,
        student=first.student,
        tier="1.1.1",
        engine_pass="free",
        public_area="VN2021-79",
    )
    Handover.objects.create(
        record=open_record_again(world),
        allocation=second,
        handed_over_at=AT,
        handed_over_by=world.people["school"],
        ledger_event="0" * 32,
    )
    twice = audit.QUESTIONS["nhan-hai-may"]
    ((kind, pupil, school, count, *_days),) = audit.answer(twice)
    assert (kind, pupil, count) == ("Một học sinh, nhiều máy", f"HS-{first.student_id}", 2)
    assert school == world.schools[0].office.name
    assert list(audit.stream(twice)) == audit.answer(twice)


def open_record_again(world) -> HandoverRecord:
    return HandoverRecord.objects.create(
        code="BB-THU",
        school=world.schools[0],
        class_name="7A",
        held_on=TODAY,
        created_at=AT,
        created_by=world.people["school"],
    )


def test_a_sample_is_the_same_for_the_same_seed_and_follows_its_mark(world):
    hand_over_class(world)
    rows = audit.sample(seed="XSMB 15/11/2021: 12345", size=2)
    assert rows == audit.sample(seed="XSMB 15/11/2021: 12345", size=2)
    assert len(rows) == 2
    marks = sorted(
        audit.sample_mark(seed="XSMB 15/11/2021: 12345", device_code=code)
        for code in world.codes(world.schools[0])
    )
    assert [row[5] for row in rows] == [mark[:12] for mark in marks[:2]]
    assert audit.sample(seed="khác", size=2, province="VN2021-01") == []


def test_work_lists_count_only_what_is_within_reach(world):
    def counts(name: str) -> dict[str, int]:
        return {item.text: item.count for item in work.items_for(world.people[name], today=TODAY)}

    assert counts("school")["Máy ở trường, chờ bàn giao cho học sinh"] == 3
    assert "Máy ở trường, chờ bàn giao cho học sinh" not in counts("department")
    assert counts("mic") == {}


def test_a_statement_without_money_is_empty_and_balanced(world):
    assert statement.lines() == []
    assert statement.totals().balance_vnd == 0


def test_only_donors_who_agreed_are_named(world):
    store(world)
    assert donors.delivered() == []


def test_a_release_of_a_day_to_come_is_passed_over(world):
    """Figures that were counted before the programme's date was set must not hide all later ones."""
    Programme.objects.update_or_create(pk=1, defaults={"is_demonstration": True, "today_on": TODAY})
    early = AT.replace(year=2026)
    services.store_figures(by=world.people["programme"], at=early)
    hand_over_class(world)
    store(world)
    assert snapshot.latest().release.on == TODAY
    assert snapshot.latest().nation("handed_over") == 3

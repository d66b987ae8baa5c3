"""Coverage: services with their constraints, the operator's queue and CSV round trip, public pages, platforms, schools."""

import csv
import datetime as dt
import io
import json

import openpyxl
import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from common.models import Programme
from coverage.models import (
    CoveragePoint,
    DataPlan,
    InfrastructureSupport,
    LearningPlatform,
    Operator,
    OperatorMember,
    PointReport,
    SchoolConnectivity,
    SimBatch,
)
from coverage.services import (
    add_points,
    ending_plans,
    report_point,
    report_points,
    review_platform,
    start_data_plan,
    survey_school,
)
from coverage.tasks import mail_ending_plans
from ledger.models import LedgerOutbox
from schools.models import DirectivePeriod, StaffRole
from tests.delivery_world import AT, make_students, make_world

pytestmark = pytest.mark.django_db
DAY = AT.date()
MEASURED = {"measured_on": DAY, "download_kbps": 8000, "signal_dbm": -95, "technology": "4G"}


@pytest.fixture
def world(db):
    Programme.objects.create(today_on=DAY, is_demonstration=True)
    with transaction.atomic():
        world = make_world(per_school=0)
    other = Operator.objects.create(code="VNPT", name="VNPT")
    add_points(
        by=world.people["mic"],
        rows=[
            {
                "code": f"DLS-{n:05}",
                "name": f"Bản {n}",
                "commune_id": world.commune.pk,
                "province_id": world.province.pk,
                "latitude": "10.8",
                "longitude": "106.7",
                "operator_id": (world.operator if n < 4 else other).pk,
                "is_urgent": n == 1,
                "deadline_on": dt.date(2021, 9, 30) if n == 1 else dt.date(2021, 12, 31),
            }
            for n in range(1, 6)
        ],
    )
    user = User.objects.create_user("viettel@example.vn", full_name="Người Viettel")
    OperatorMember.objects.create(user=user, operator=world.operator, granted_at=AT)
    world.people["operator"] = user
    return world


def point(number: int) -> CoveragePoint:
    return CoveragePoint.objects.get(code=f"DLS-{number:05}")


class TestServices:
    def test_covered_with_a_measurement_moves_figures_and_ledger(self, world):
        report_point(by=world.people["operator"], point=point(1), state="covered", at=AT, **MEASURED)
        assert (point(1).state, point(1).covered_on) == ("covered", DAY)
        body = json.loads(LedgerOutbox.objects.get(event="point.covered").body)
        assert (body["point"], body["operator"], body["unit"], body["urgency"]) == (
            "DLS-00001",
            "VIETTEL",
            "VN2021-79",
            "urgent",
        )

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"state": "covered"}, "measured_on"),
            ({"state": "covered"} | MEASURED | {"download_kbps": 300}, "download_kbps"),
            ({"state": "blocked"}, "blocker"),
            ({"state": "planned", "blocker": "island"}, "blocker"),
            ({"state": "open"}, "state"),
            ({"state": "building"}, "state"),
        ],
    )
    def test_a_report_that_makes_no_sense_changes_nothing(self, world, given, field):
        good = {"code": "DLS-00002", "state": "planned"}
        with pytest.raises(ValidationError) as refused:
            report_points(by=world.people["operator"], at=AT, rows=[good, {"code": "DLS-00001", **given}])
        assert (2, field) in {row[:2] for row in refused.value.params["rows"]}
        assert not PointReport.objects.exists()
        assert point(2).state == "open"

    def test_the_database_refuses_too(self, world):
        report_point(by=world.people["operator"], point=point(1), state="covered", at=AT, **MEASURED)
        for statement in (
            "UPDATE coverage_coveragepoint SET state = 'open', covered_on = NULL WHERE code = 'DLS-00001'",
            "UPDATE coverage_coveragepoint SET state = 'covered' WHERE code = 'DLS-00002'",
            "UPDATE coverage_coveragepoint SET state = 'blocked' WHERE code = 'DLS-00002'",
            "UPDATE coverage_coveragepoint SET latitude = 48 WHERE code = 'DLS-00002'",
            "UPDATE coverage_pointreport SET download_kbps = 1",
            "DELETE FROM coverage_pointreport",
            (
                "INSERT INTO coverage_pointreport (point_id, state, blocker, technology, evidence, evidence_sha256,"
                " reported_at, reported_by_id) SELECT point_id, 'covered', '', '', '', '', now(), reported_by_id"
                " FROM coverage_pointreport"
            ),
        ):
            with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)

    def test_one_plan_per_student(self, world):
        with transaction.atomic():
            (student,) = make_students(world, world.schools[0], 1)
        give = {"by": world.people["school"], "student": student, "operator": world.operator, "at": AT}
        start_data_plan(**give, device_code="A")
        with pytest.raises(ValidationError, match="Mỗi học sinh chỉ có một gói"):
            start_data_plan(**give, device_code="B")
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO coverage_dataplan (student_id, operator_id, device_code, sim_number, daily_mb,"
                " starts_on, ends_on, started_at, started_by_id) SELECT student_id, operator_id, 'B', '', 4096,"
                " starts_on, ends_on, now(), started_by_id FROM coverage_dataplan"
            )

    def test_a_platform_is_public_once_both_ministries_reviewed(self, world):
        platform = LearningPlatform.objects.create(
            name="Học", owner="A", url="https://a.example", grades="1–12", subjects="Toán", source="x"
        )
        review_platform(by=world.people["moet"], platform=platform, ministry="moet", at=AT)
        platform.refresh_from_db()
        assert not platform.is_published
        with pytest.raises(IntegrityError), transaction.atomic():
            LearningPlatform.objects.update(is_published=True)
        review_platform(by=world.people["mic"], platform=platform, ministry="mic", at=AT)
        platform.refresh_from_db()
        assert platform.is_published

    def test_a_known_connection_has_a_source(self, world):
        with pytest.raises(ValidationError, match="Cần ghi nguồn"):
            survey_school(
                by=world.people["department"],
                school=world.schools[0],
                state="connected",
                source="",
                surveyed_on=DAY,
            )
        assert not SchoolConnectivity.objects.exists()


class TestOperator:
    def test_own_points_only(self, world, sign_in):
        client = sign_in(world.people["operator"])
        text = client.get("/diem-song/").content.decode()
        assert "DLS-00001" in text
        assert "DLS-00004" not in text
        assert client.get("/diem-song/DLS-00004/").status_code == 404
        assert sign_in(world.people["school"]).get("/diem-song/").status_code == 404

    def test_reported_covered_with_evidence(self, world, sign_in):
        client = sign_in(world.people["operator"])
        url = "/diem-song/DLS-00001/"
        data = {"state": "covered", "measured_on": "2021-11-15", "download_kbps": "8000", "signal_dbm": "-95"}
        for wrong in ({"download_kbps": "10"}, {"evidence": SimpleUploadedFile("a.png", b"MZ")}):
            assert client.post(url, data | wrong).status_code == 422
        assert point(1).state == "open"
        client.post(url, data | {"evidence": SimpleUploadedFile("a.png", b"\x89PNG\r\n\x1a\n..")})
        assert point(1).state == "covered"
        assert len(PointReport.objects.get().evidence_sha256) == 64

    def test_who_watches_does_not_report(self, world, sign_in):
        client = sign_in(world.people["mic"])
        assert client.get("/diem-song/DLS-00004/").status_code == 200
        assert client.post("/diem-song/DLS-00004/", {"state": "planned"}).status_code == 404

    def _edit(self, client, **changes) -> SimpleUploadedFile:
        """The file as downloaded, with `changes` {code: {column: text}}, as Excel would send it back."""
        text = b"".join(client.get("/diem-song/tai-ve.csv").streaming_content).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        for row in rows:
            row.update(changes.get(row["ma_diem"].replace("-", "_"), {}))
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
        return SimpleUploadedFile("diem.csv", out.getvalue().encode("utf-8-sig"))

    def test_csv_round_trip(self, world, sign_in):
        client = sign_in(world.people["operator"])
        covered = {"trang_thai": "Đã có sóng", "ngay_do": "14/11/2021", "toc_do_kbps": "5.000"}
        file = self._edit(
            client,
            DLS_00001=covered,
            DLS_00002={"trang_thai": "đang vướng", "vuong_mac": "Đảo, vùng cách trở"},
        )
        shown = client.post("/diem-song/tai-len/", {"file": file}, follow=True).content.decode()
        assert "Đã ghi 2 điểm; 1 dòng không đổi được bỏ qua." in shown
        assert (point(1).covered_on, point(2).blocker) == (dt.date(2021, 11, 14), "island")

    def test_a_file_with_faults_records_nothing(self, world, sign_in):
        client = sign_in(world.people["operator"])
        file = self._edit(
            client,
            DLS_00001={"trang_thai": "Đã có sóng"},
            DLS_00002={"trang_thai": "xong rồi"},
            DLS_00003={"trang_thai": "Đã lên kế hoạch"},
        )
        page = client.post("/diem-song/tai-len/", {"file": file})
        assert page.status_code == 422
        assert {(fault.line, fault.column) for fault in page.context["faults"]} >= {(3, "trang_thai")}
        file = self._edit(
            client, DLS_00001={"trang_thai": "Đã có sóng"}, DLS_00003={"trang_thai": "Đã lên kế hoạch"}
        )
        page = client.post("/diem-song/tai-len/", {"file": file})
        assert {(f.line, f.column) for f in page.context["faults"]} == {(2, "ngay_do"), (2, "toc_do_kbps")}
        foreign = self._edit(client, DLS_00001={"ma_diem": "DLS-00005", "trang_thai": "Đã lên kế hoạch"})
        assert client.post("/diem-song/tai-len/", {"file": foreign}).status_code == 422
        assert not PointReport.objects.exists()

    @pytest.mark.parametrize(
        "content", [b"", b"PK\x03\x04\x00\x00", b"\xff\xfe\x00a", b"a,b\n1,2\n", b'ma_diem,trang_thai\n"DLS']
    )
    def test_what_is_no_such_file_is_refused(self, world, sign_in, content):
        client = sign_in(world.people["operator"])
        page = client.post("/diem-song/tai-len/", {"file": SimpleUploadedFile("x.csv", content)})
        assert page.status_code == 422

    def test_sims_are_registered_by_operators(self, world, sign_in):
        client = sign_in(world.people["operator"])
        data = {"province": world.province.pk, "quantity": "500", "delivered_on": "2021-11-10"}
        assert client.post("/diem-song/sim/", data | {"quantity": "0"}).status_code == 422
        client.post("/diem-song/sim/", data)
        assert SimBatch.objects.get().quantity == 500
        with transaction.atomic():
            (student,) = make_students(world, world.schools[0], 1)
        start_data_plan(
            by=world.people["school"], student=student, operator=world.operator, device_code="A", at=AT
        )
        assert "Đã dùng 1 trong 500 SIM." in client.get("/diem-song/sim/").content.decode()
        assert sign_in(world.people["mic"]).post("/diem-song/sim/", data).status_code == 404


class TestPublic:
    def test_late_points_stand_out(self, world, client):
        text = client.get("/phu-song/").content.decode()
        assert "0 / 5" in text
        assert "Quá hạn" in text
        page = client.get("/phu-song/?state=late")
        assert [p.code for p in page.context["page"]] == ["DLS-00001"]
        assert client.get("/phu-song/?operator=KHONG&province=khong").status_code == 200
        lines = b"".join(client.get("/phu-song/diem.csv?urgent=on").streaming_content).decode().splitlines()
        assert len(lines) == 2

    def test_figures_move_at_once(self, world, client):
        report_point(by=world.people["operator"], point=point(1), state="covered", at=AT, **MEASURED)
        page = client.get("/phu-song/")
        assert "1 / 5" in page.content.decode()
        left = [int(row[1]) for row in page.context["burn_down_rows"]]
        assert (left[0], left[-1]) == (5, 4)

    def test_platforms_only_when_published(self, world, client, sign_in):
        platform = LearningPlatform.objects.create(
            name="Học vui", owner="A", url="https://a.example", grades="1–12", subjects="Toán", source="x"
        )
        assert "Học vui" not in client.get("/nen-tang/").content.decode()
        url = f"/nen-tang/ra-soat/{platform.pk}/ra-soat/"
        for who in ("moet", "mic"):
            ministry = sign_in(world.people[who])
            assert ministry.get("/nen-tang/ra-soat/").status_code == 200
            ministry.post(url)
        assert "Học vui" in client.get("/nen-tang/").content.decode()
        assert sign_in(world.people["school"]).post(url).status_code == 404

    def test_support_by_locality_and_period(self, world, client):
        DirectivePeriod.objects.create(
            unit=world.province, starts_on=dt.date(2021, 7, 9), ends_on=dt.date(2021, 9, 30), source="x"
        )
        for start in (dt.date(2021, 9, 1), dt.date(2021, 10, 15)):
            InfrastructureSupport.objects.create(
                kind="tariff",
                operator=world.operator,
                unit=world.province,
                description="Miễn phí",
                starts_on=start,
            )
        page = client.get("/phu-song/ho-tro/")
        assert page.context["under_directive_count"] == 1

    def test_an_operator_records_support_for_a_locality(self, world, client, sign_in):
        """Plan II.3 (head), II.3c: by locality and period, then public at once."""
        person = User.objects.create_user("ho.tro@example.vn", full_name="Người hỗ trợ")
        OperatorMember.objects.create(user=person, operator=world.operator, granted_at=AT)
        inside = sign_in(person)
        typed = {
            "operator": world.operator.pk,
            "kind": "platform",
            "unit": world.province.pk,
            "description": "Miễn cước nền tảng dạy học",
            "starts_on": "2021-09-20",
            "ends_on": "2021-09-01",
        }
        refused = inside.post("/diem-song/ho-tro/", typed)
        assert refused.status_code == 422
        assert "Ngày kết thúc không được trước ngày bắt đầu" in refused.content.decode()
        assert inside.post("/diem-song/ho-tro/", typed | {"ends_on": "2021-12-31"}).status_code == 302
        other = Operator.objects.get(code="VNPT")
        assert inside.post("/diem-song/ho-tro/", typed | {"operator": other.pk}).status_code == 422
        client.logout()
        page = client.get("/phu-song/ho-tro/").content.decode()
        assert "Miễn cước nền tảng dạy học" in page
        assert "20/09/2021 – 31/12/2021" in page
        assert sign_in(world.people["school"]).get("/diem-song/ho-tro/").status_code == 404


class TestWatching:
    def test_schools_and_their_connection(self, world, sign_in):
        client = sign_in(world.people["department"])
        assert "Chưa rõ" in client.get("/phu-song/truong/").content.decode()
        url = f"/phu-song/truong/{world.schools[0].code}/"
        assert client.post(url, {"state": "connected"}).status_code == 422
        client.post(url, {"state": "connected", "source": "Khảo sát của Sở", "surveyed_on": "2021-11-10"})
        assert SchoolConnectivity.objects.get().state == "connected"
        ministry = sign_in(world.people["mic"])
        assert len(ministry.get("/phu-song/truong/?state=unknown").context["page"]) == 2
        survey_school(
            by=world.people["department"],
            school=world.schools[1],
            state="not_connected",
            source="x",
            surveyed_on=DAY,
        )
        file = ministry.get("/phu-song/truong.xlsx?state=not_connected").getvalue()
        _, *rows = openpyxl.load_workbook(io.BytesIO(file)).active.values
        assert [(row[0], row[4]) for row in rows] == [(world.schools[1].code, "Chưa kết nối")]
        assert ministry.get(url).status_code == 404

    def test_plans_that_end_soon(self, world, sign_in):
        with transaction.atomic():
            students = make_students(world, world.schools[0], 2)
        for student, days in zip(students, (85, 10), strict=True):
            start_data_plan(
                by=world.people["school"],
                student=student,
                operator=world.operator,
                device_code=f"M{days}",
                at=AT - dt.timedelta(days=days),
            )
        assert DataPlan.objects.live_on(DAY).count() == 2
        page = sign_in(world.people["school"]).get("/diem-song/goi-du-lieu/")
        assert [plan.student for plan in page.context["page"]] == [students[0]]
        assert (
            len(sign_in(world.people["school2"]).get("/diem-song/goi-du-lieu/?state=live").context["page"])
            == 0
        )
        assert sign_in(world.people["mic"]).get("/diem-song/goi-du-lieu/").status_code == 404

    def test_a_school_is_told_before_the_free_data_ends(self, world, mailoutbox):
        """Plan II.3b: one mail for each school and last day, with a number and no name."""
        with transaction.atomic():
            students = [
                *make_students(world, world.schools[0], 3),
                *make_students(world, world.schools[1], 1, start=3),
            ]
        for student, days in zip(students, (85, 85, 10, 85), strict=True):
            start_data_plan(
                by=world.people["school"],
                student=student,
                operator=world.operator,
                device_code=f"M{student.pk}",
                at=AT - dt.timedelta(days=days),
            )
        # The second school has nobody of its own any more: the Phòng above it looks after its families.
        StaffRole.objects.filter(office=world.schools[1].office).update(
            ended_at=AT, ended_by=world.people["programme"]
        )
        due = ending_plans(day=DAY)
        assert [(row[0], row[2]) for row in due] == [
            (world.schools[0].office_id, 2),
            (world.schools[1].office_id, 1),
        ]
        for office_id, ends_on, _count in [*due, *due]:
            mail_ending_plans(office_id=office_id, ends_on=ends_on.isoformat())
        assert [letter.to for letter in mailoutbox] == [
            [world.people["school"].email],
            [world.people["district"].email],
        ]
        assert "2 gói dữ liệu" in mailoutbox[0].subject
        assert "/diem-song/goi-du-lieu/" in mailoutbox[0].body
        assert not [s for s in students if s.full_name in mailoutbox[0].body]

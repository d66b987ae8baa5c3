"""The pages of lists: the whole way once, and one refusal per view."""

import datetime as dt
import io

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from common import clock
from common.models import Job
from schools.models import DuplicateCase, Office, Student, StudentList, SurveyFigure
from schools.services import list_reading, lists, need, students
from schools.tasks import send_need_reminders
from tests.lists_world import AT, make_world, student_row, table, workbook

pytestmark = pytest.mark.django_db(transaction=False)
State = StudentList.State


@pytest.fixture
def world(db):
    return make_world()


@pytest.fixture
def run_jobs(world):
    """Do the services of the jobs that wait, as the worker would; its own process is tested in the browser."""

    def run() -> None:
        for job in Job.objects.unfinished().order_by("created_at"):
            student_list = StudentList.objects.get(pk=job.subject_id)
            service = list_reading.read_list if job.kind.endswith("read_list") else lists.commit_list
            service(by=job.created_by, student_list=student_list, at=clock.now())
            Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
            Job.objects.filter(pk=job.pk).update(state=Job.State.DONE)

    return run


@pytest.fixture
def send(world, sign_in, run_jobs):
    """Upload rows through the page and read them; gives the list."""

    def send(rows, *, by="lap", office="S-79", content=None) -> StudentList:
        client = sign_in(world.people[by])
        file = SimpleUploadedFile("danh-sach.xlsx", content or workbook(table(rows)))
        answer = client.post(reverse("schools:upload_list"), {"office": office, "file": file})
        assert answer.status_code == 302, answer.content.decode()[-3000:]
        run_jobs()
        return StudentList.objects.latest("pk")

    return send


def test_what_decides_a_row_is_said_first_and_schools_are_asked_by_name(world, sign_in, send):
    student_list = send([student_row(1, identity="", household_code="", school_code="THCS Nguyễn Du")])
    page = sign_in(world.people["lap"]).get(reverse("schools:list", args=[student_list.pk]))
    (row,) = page.context["page_obj"]
    assert [said["is_grave"] for said in row.said] == sorted(
        (said["is_grave"] for said in row.said), reverse=True
    )
    assert row.said[0]["message"].startswith("Đơn vị không có trường nào tên là “THCS Nguyễn Du”")
    assert '<div class="muted"><strong>' in page.text


def test_the_whole_way_through_the_pages(world, sign_in, send, run_jobs):
    student_list = send([student_row(1), student_row(2, born_on="31/02/2010")])
    client = sign_in(world.people["lap"])
    url = reverse("schools:list", args=[student_list.pk])
    page = client.get(url).content.decode()
    assert "Kết quả đọc: 2 hàng" in page
    assert "31/02/2010" in page
    assert "079310000001" not in page
    row = reverse("schools:list_row", args=[student_list.pk, 3])
    assert "079310000002" not in client.get(row).content.decode()
    fields = {name: field.initial or "" for name, field in client.get(row).context["form"].fields.items()}
    client.post(row, fields | {"born_on": "28/02/2010"})
    assert set(student_list.rows.values_list("outcome", flat=True)) <= {0, 2}
    client.post(reverse("schools:acknowledge_list", args=[student_list.pk]), {"codes": ["identity_year"]})
    client.post(reverse("schools:commit_list", args=[student_list.pk]))
    run_jobs()
    assert Student.objects.count() == 2
    client.post(reverse("schools:submit_list", args=[student_list.pk]), {"is_attested": "on"})
    sign_in(world.people["lap2"]).post(reverse("schools:verify_list", args=[student_list.pk]))
    approver = sign_in(world.people["duyet"])
    assert "Phê duyệt danh sách 2 em" in approver.get(url).text
    approver.post(reverse("schools:approve_list", args=[student_list.pk]))
    student_list.refresh_from_db()
    assert student_list.state == State.APPROVED
    assert approver.get(reverse("schools:lists")).status_code == 200


def test_the_uploader_can_neither_verify_nor_approve(world, sign_in, send, run_jobs):
    student_list = send([student_row(1)])
    client = sign_in(world.people["lap"])
    client.post(reverse("schools:commit_list", args=[student_list.pk]))
    run_jobs()
    client.post(reverse("schools:submit_list", args=[student_list.pk]), {"is_attested": "on"})
    assert client.post(reverse("schools:verify_list", args=[student_list.pk])).status_code == 404
    assert client.post(reverse("schools:approve_list", args=[student_list.pk])).status_code == 404


@pytest.mark.parametrize("name", ["list", "list_progress", "marked_list"])
def test_a_list_of_another_province_does_not_exist(world, sign_in, send, name):
    student_list = send([student_row(1)])
    answer = sign_in(world.people["hanoi"]).get(reverse(f"schools:{name}", args=[student_list.pk]))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "name", ["read_list_again", "acknowledge_list", "confirm_conversion", "commit_list", "undo_list", "submit_list",
             "verify_list", "approve_list", "return_list"],
)  # fmt: skip
def test_no_act_on_a_list_of_another_province(world, sign_in, send, name):
    student_list = send([student_row(1)])
    for person in ("hanoi", "duyet_hanoi"):
        answer = sign_in(world.people[person]).post(reverse(f"schools:{name}", args=[student_list.pk]))
        assert answer.status_code == 404


def test_a_column_mapped_by_hand_is_read_and_remembered(world, sign_in, send, run_jobs):
    cells = table([student_row(1)])
    cells[0][3] = "Cháu nào"
    student_list = send([], content=workbook(cells))
    client = sign_in(world.people["lap"])
    url = reverse("schools:list", args=[student_list.pk])
    page = client.get(url).content.decode()
    assert student_list.refused_code == "missing_columns"
    assert "Tệp thiếu cột bắt buộc: “Họ và tên”" in page
    assert "Cột “Cháu nào” là" in page
    client.post(reverse("schools:read_list_again", args=[student_list.pk]), {"column_0": "full_name"})
    run_jobs()
    student_list.refresh_from_db()
    assert student_list.state == State.CHECKED
    # The next file of the office needs no help.
    assert send([], content=workbook(cells)).state == State.CHECKED


def test_headings_that_nobody_knows_can_all_be_mapped_by_hand(world, sign_in, send, run_jobs):
    cells = [
        ["Trường nào", "Cháu nào", "Đẻ hôm", "Nhà"],
        ["79000701", "Lê Thị Lan", "03/04/2010", "Hộ nghèo"],
    ]
    student_list = send([], content=workbook(cells))
    assert student_list.refused_code == "no_header"
    choices = {"column_0": "school_code", "column_1": "full_name", "column_2": "born_on", "column_3": "group"}
    sign_in(world.people["lap"]).post(reverse("schools:read_list_again", args=[student_list.pk]), choices)
    run_jobs()
    assert student_list.rows.get().full_name == "Lê Thị Lan"


def test_a_reading_that_was_stopped_can_be_taken_up_again(world, sign_in, run_jobs):
    client = sign_in(world.people["lap"])
    file = SimpleUploadedFile("danh-sach.xlsx", workbook(table([student_row(1)])))
    client.post(reverse("schools:upload_list"), {"office": "S-79", "file": file})
    student_list = StudentList.objects.get()
    assert (
        sign_in(world.people["hanoi"])
        .post(reverse("schools:cancel_list", args=[student_list.pk]))
        .status_code
        == 404
    )
    client = sign_in(world.people["lap"])
    client.post(reverse("schools:cancel_list", args=[student_list.pk]))
    assert Job.objects.get().state == Job.State.CANCELLED
    url = reverse("schools:list", args=[student_list.pk])
    assert "Tệp chưa được đọc" in client.get(url).content.decode()
    client.post(reverse("schools:read_list_again", args=[student_list.pk]))
    run_jobs()
    assert "Kết quả đọc: 1 hàng" in client.get(url).content.decode()


def test_undo_and_the_same_file_again(world, sign_in, send, run_jobs):
    student_list = send([student_row(1)])
    client = sign_in(world.people["lap"])
    client.post(reverse("schools:commit_list", args=[student_list.pk]))
    run_jobs()
    again = send([student_row(1)])
    answer = client.post(reverse("schools:commit_list", args=[again.pk]), follow=True)
    assert ("giống hệt" in answer.content.decode()) == (again.file_sha256 == student_list.file_sha256)
    assert "không có gì mới" in answer.content.decode()
    after = client.post(reverse("schools:undo_list", args=[student_list.pk]), follow=True)
    assert "Muốn ghi thì gửi lại tệp" in after.content.decode()
    assert not Student.objects.exists()


def test_template_and_marked_workbook_come_down_and_go_up_again(world, sign_in, send, run_jobs):
    student_list = send([student_row(1), student_row(2, group="Khó khăn")])
    client = sign_in(world.people["lap"])
    template = client.get(reverse("schools:list_template"), {"don-vi": "S-79"})
    assert template.content[:2] == b"PK"
    marked = client.get(reverse("schools:marked_list", args=[student_list.pk])).content
    again = send([], content=marked)
    assert (again.state, again.reading["rows_read"]) == (State.CHECKED, 1)
    refused = send([], content=template.content)
    assert refused.refused_code == "no_rows"


def test_a_dispute_shows_each_office_only_its_own_record(world, sign_in, send, run_jobs):
    first = send([student_row(1)])
    sign_in(world.people["lap"]).post(reverse("schools:commit_list", args=[first.pk]))
    run_jobs()
    send([student_row(1, school_code="01000301", class_name="9 chuyên Z")], by="hanoi", office="S-01")
    case = DuplicateCase.objects.get()
    url = reverse("schools:duplicate", args=[case.pk])
    ours = sign_in(world.people["lap"]).get(url).content.decode()
    assert "9 chuyên Z" not in ours
    theirs = sign_in(world.people["hanoi"]).get(url).content.decode()
    assert "Tân Định" not in theirs
    assert sign_in(world.people["hanoi"]).post(url, {"decision": "move"}).status_code == 404
    ministry = sign_in(world.people["bo"])
    assert "9 chuyên Z" in ministry.get(url).content.decode()
    ministry.post(url, {"decision": "keep", "note": "Học bạ"})
    case.refresh_from_db()
    assert case.decision == "keep"
    assert sign_in(world.people["lap"]).get(reverse("schools:duplicates")).status_code == 200


def test_a_student_moves_school_and_the_history_stays(world, sign_in, send, run_jobs):
    first = send([student_row(1)])
    client = sign_in(world.people["lap"])
    client.post(reverse("schools:commit_list", args=[first.pk]))
    run_jobs()
    student = Student.objects.get()
    url = reverse("schools:student", args=[student.pk])
    assert (
        client.get(reverse("schools:students"), {"q": "nguyen thi"}).context["page_obj"].object_list[0]
        == student
    )
    assert client.post(url, {"kind": "moved", "reason": "x", "to_school_code": ""}).status_code == 422
    client.post(url, {"kind": "moved", "reason": "Theo đơn", "to_school_code": "79000702"})
    student.refresh_from_db()
    assert student.school.code == "79000702"
    assert student.status_changes.get().from_school.code == "79000701"
    assert sign_in(world.people["hanoi"]).get(url).status_code == 404
    export = client.get(reverse("schools:export_students"))
    assert b"".join(export.streaming_content)[:2] == b"PK"
    export.close()


def test_need_survey_by_school_beside_figures_that_lists_replace(world, sign_in, send, run_jobs):
    client = sign_in(world.people["lap"])
    figure = {
        "group": "poor", "students_without_computer": "3347", "counted_on": "01/10/2021", "source": "Công văn 12",
        "office": "S-79", "level": "lower_secondary",
    }  # fmt: skip
    for _ in range(2):
        assert client.post(reverse("schools:survey"), figure).status_code == 302
    assert SurveyFigure.objects.get().students_without_computer == 3347
    # Typed by a school within: already in its Sở's figure.
    client.post(
        reverse("schools:survey"),
        figure | {"office": "79000701", "students_without_computer": "40"},
    )
    page = client.get(reverse("schools:need"))
    assert page.context["typed"] == 3347
    assert "nguồn: Công văn 12" in page.content.decode()
    assert "không cộng" in page.content.decode()
    assert client.post(reverse("schools:survey"), figure | {"source": ""}).status_code == 422
    student_list = send([student_row(1)])
    client.post(reverse("schools:commit_list", args=[student_list.pk]))
    run_jobs()
    Student.objects.update(state="approved", approved_at=clock.now(), approved_by=world.people["duyet"])
    page = client.get(reverse("schools:need"))
    assert (page.context["approved"], page.context["typed"]) == (1, 0)
    (row,) = page.context["schools"]
    assert (row[0], *row[4:]) == (
        "79000701",
        1,
        0,
        0,
        0,
        4,
    )
    book = client.get(reverse("schools:need"), {"dang": "xlsx"})
    sheets = openpyxl.load_workbook(io.BytesIO(b"".join(book.streaming_content)))
    book.close()
    assert sheets.sheetnames == ["Theo cấp học", "Theo trường", "Số khảo sát"]
    assert sheets["Theo trường"].max_row == 3, "schools without any pupil are in the file too"


def test_who_has_not_reported_is_reminded_on_their_pages_and_by_mail(world, sign_in, mailoutbox):
    clerk = sign_in(world.people["hanoi"])
    assert clerk.post(reverse("schools:remind_offices")).status_code in (302, 404)
    ministry = sign_in(world.people["bo"])
    assert ministry.get(reverse("schools:need")).context["silent_count"] == 2
    answer = ministry.post(reverse("schools:remind_offices"), follow=True)
    assert "Đã nhắc 2 đơn vị" in answer.content.decode()
    reminder = world.offices["S-01"].need_reminders.get()
    assert reminder.reminded_by == world.people["bo"]
    send_need_reminders(reminder_ids=[reminder.pk])
    send_need_reminders(reminder_ids=[reminder.pk])
    assert [mail.to for mail in mailoutbox] == [["hanoi@example.vn"]]
    assert (
        "Hôm nay các đơn vị này đã được nhắc"
        in ministry.post(reverse("schools:remind_offices"), follow=True).content.decode()
    )
    clerk = sign_in(world.people["hanoi"])
    assert "Được nhắc gửi danh sách" in clerk.get(reverse("schools:lists")).content.decode()
    figure = {"office": "S-01", "group": "poor", "level": "primary", "counted_on": "01/10/2021",
              "students_without_computer": "0", "source": "Rà soát"}  # fmt: skip
    clerk.post(reverse("schools:survey"), figure)
    assert "Được nhắc gửi danh sách" not in clerk.get(reverse("schools:lists")).content.decode()


def test_an_office_reminded_at_three_in_the_morning_is_not_reminded_again_that_day(world):
    silent = Office.objects.filter(pk=world.offices["S-01"].pk)
    night = dt.datetime(2021, 11, 15, 3, 0, tzinfo=AT.tzinfo).astimezone(dt.UTC)  # the 14th in UTC
    remind = {"by": world.people["bo"], "offices": silent}
    assert len(need.remind(at=night, **remind)) == 1
    assert need.remind(at=night + dt.timedelta(hours=20), **remind) == []
    assert len(need.remind(at=night + dt.timedelta(hours=21), **remind)) == 1


def test_namesakes_are_shown_side_by_side_one_after_another_until_all_are_judged(
    world, sign_in, send, run_jobs
):
    bare = {"student_code": "", "identity": "", "has_device": "Không"}
    rows = [student_row(1, **bare, class_name=f"6A{n}") for n in (1, 2, 3)]
    student_list = send(rows)
    client = sign_in(world.people["lap"])
    address = reverse("schools:list_row", args=[student_list.pk, 4])
    act = reverse("schools:tell_row_apart", args=[student_list.pk, 4])
    shown = client.get(address)
    assert shown.context["likeness"].key == "hang-2"
    assert ("Lớp", "6A3", "6A1", True) in shown.context["sides"]
    assert client.post(act, {"other": "hang-2", "note": ""}).status_code == 422
    said = {"other": "hang-2", "note": "Hai giấy khai sinh khác nhau"}
    after = client.post(act, said, follow=True)
    assert after.context["likeness"].key == "hang-3"
    assert "xem tiếp" in after.content.decode()
    stale = client.post(act, said)
    assert (stale.status_code, "đang đứng cạnh" in stale.content.decode()) == (422, True)
    assert 'name="other" value="hang-3"' in stale.content.decode()
    client.post(act, said | {"other": "hang-3"})
    client.post(reverse("schools:tell_row_apart", args=[student_list.pk, 3]), said)
    shown = client.get(address).content.decode()
    assert "đã xác nhận khác với hàng 2: Hai giấy khai sinh khác nhau" in shown
    assert "Đây là một em khác?" not in shown
    late = client.post(act, said)
    assert (late.status_code, "không còn giống em nào" in late.content.decode()) == (422, True)
    assert sign_in(world.people["hanoi"]).post(act, said).status_code == 404
    # All three are in; a fourth is judged beside each.
    client = sign_in(world.people["lap"])
    client.post(reverse("schools:acknowledge_list", args=[student_list.pk]), {"codes": ["identity_missing"]})
    client.post(reverse("schools:commit_list", args=[student_list.pk]))
    run_jobs()
    assert Student.objects.count() == 3
    again = send([student_row(1, **bare, class_name="7A")])
    page = client.get(reverse("schools:list_row", args=[again.pk, 2]))
    assert "So với em đã có trong hệ thống" in page.content.decode()
    beside = []
    case = DuplicateCase.objects.open().get()
    for _ in range(3):
        beside.append(case.student_id)
        page = client.post(
            reverse("schools:duplicate", args=[case.pk]),
            {"decision": "different", "note": "Khác cha mẹ"},
            follow=True,
        )
        case = page.context.get("case")
    assert case is None, "nobody is left, so the way leads back to the doubts"
    assert sorted(beside) == sorted(Student.objects.values_list("pk", flat=True))


def test_nothing_to_write_yet_has_no_button_but_says_what_to_do(world, sign_in, send):
    student_list = send([student_row(1, identity=""), student_row(2, identity="")])
    page = sign_in(world.people["lap"]).get(reverse("schools:list", args=[student_list.pk])).content.decode()
    assert "Chưa có hàng nào ghi được: chấp nhận các lưu ý ở trên, hoặc sửa" in page
    assert reverse("schools:commit_list", args=[student_list.pk]) not in page


def test_two_people_on_one_list_at_once_lose_nothing(world, sign_in, send, run_jobs):
    student_list = send([student_row(1), student_row(2, born_on="31/02/2010"), student_row(3, born_on="x")])
    first, second = sign_in(world.people["lap"]), sign_in(world.people["lap2"])
    addresses = [reverse("schools:list_row", args=[student_list.pk, number]) for number in (3, 4)]
    pages = [first.get(addresses[0]), second.get(addresses[1])]
    assert [page.status_code for page in pages] == [200, 200]
    first.post(addresses[0], _cells_with(pages[0], born_on="02/03/2010"))
    second.post(addresses[1], _cells_with(pages[1], born_on="04/03/2010"))
    assert set(student_list.rows.values_list("outcome", flat=True)) == {0}
    # One writes while the other still has the page open: what the other does then is refused in words.
    first.post(reverse("schools:commit_list", args=[student_list.pk]), {})
    run_jobs()
    late = second.post(addresses[1], _cells_with(pages[1], born_on="05/03/2010"))
    assert (late.status_code, "đã ghi vào hệ thống" in late.content.decode()) == (422, True)
    twice = second.post(reverse("schools:commit_list", args=[student_list.pk]), {}, follow=True)
    assert "không còn chờ ghi" in twice.content.decode()
    assert Student.objects.count() == 3


def _cells_with(page, **changed: str) -> dict[str, str]:
    form = page.context["form"]
    return {name: form[name].value() or "" for name in form.fields} | changed


def test_an_approved_list_is_looked_over_before_the_handover(world, sign_in, send, run_jobs):
    people = world.people
    student_list = send([student_row(number) for number in range(1, 6)])
    sign_in(people["lap"]).post(reverse("schools:commit_list", args=[student_list.pk]), {})
    run_jobs()
    page = reverse("schools:review_list", args=[student_list.pk])
    assert sign_in(people["lap"]).get(page).status_code == 404
    lists.submit_list(by=people["lap"], student_list=student_list, at=clock.now())
    lists.verify_list(by=people["lap2"], student_list=student_list, at=clock.now())
    lists.approve_list(by=people["duyet"], student_list=student_list, at=clock.now())
    found = list(Student.objects.order_by("code"))
    for student, kind, to_school in zip(
        found, ["left", "got_device", "moved"], [None, None, world.schools["79000702"]], strict=False
    ):
        students.change_status(
            by=people["lap"],
            student=student,
            kind=kind,
            reason="Giấy báo",
            at=clock.now(),
            to_school=to_school,
        )
    client = sign_in(people["lap"])
    shown = client.get(page)
    counts = {item["key"]: item["count"] for item in shown.context["counts"]}
    expected = {"left": 1, "out_of_group": 0, "moved": 1, "has_device": 1, "unchecked": 2, "confirmed": 0}
    assert counts == expected
    moved = client.get(page, {"tinh-trang": "moved"}).context["students"]
    assert [(student.pk, listed_at) for student, listed_at in moved] == [(found[2].pk, "79000701")]
    assert client.post(page, {"reason": ""}).status_code == 422
    client.post(page, {"reason": "Giáo viên chủ nhiệm đã rà soát"})
    counts = {item["key"]: item["count"] for item in client.get(page).context["counts"]}
    assert (counts["unchecked"], counts["confirmed"]) == (0, 2)
    kept = found[4].status_changes.get()
    assert (kept.kind, kept.reason) == ("still_here", "Giáo viên chủ nhiệm đã rà soát")
    assert sign_in(people["hanoi"]).get(page).status_code == 404

"""The way once through, from the donor's phone to the public proof, in a real browser on the real processes.

Donor, teacher and public at 390 px, officials at 1,280 px. Everyone acts for themselves; nothing is written behind
the pages' back but the programme's date, which moves on by a day for the draw.
"""

import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import xlsxwriter
from playwright.sync_api import expect

from sms_program.demo.lists import COLUMNS
from sms_program.demo.staff import DOMAIN
from sms_program.processes import BASE_DIR
from tests.browser.acting import follow, see_result
from tests.browser.conftest import DESK, PHONE
from tests.live import answer, wait_until

TABLETS = 20
PUPILS = 24


class Story:
    """The people of the way, each with a screen of their own, and what they found out on it."""

    def __init__(self, live, screens, signed_in_as, check_page):
        self.live, self.screens, self.signed_in_as, self.check = live, screens, signed_in_as, check_page
        self.pages = {}
        self.codes: dict[str, str] = {}

    def screen(self, who: str, viewport=DESK):
        """The page of a person; `who` is the local part of their address, or a name without sign-in."""
        if who not in self.pages:
            page = self.screens(viewport)
            if who not in {"donor", "company", "public"}:
                self.signed_in_as(page, f"{who}@{DOMAIN}")
            self.pages[who] = page
        return self.pages[who]

    def visit(self, page, address: str) -> None:
        """Open a page and look at it: axe, one heading, a title, no sideways scrolling."""
        page.goto(address)
        self.check(page)

    def go_on(self, page, button: str = "Tiếp tục") -> None:
        """Press the button that leads to the next page, and look at that page too."""
        follow(page.get_by_role("button", name=button))
        self.check(page)

    def send_pledge(self, page, begun: float) -> None:
        """Send the checked answers. The form tells people from scripts by the time since its first page was sent, in
        whole seconds."""
        page.wait_for_timeout(max(0, 4_100 - (time.monotonic() - begun) * 1000))
        follow(page.get_by_role("button", name="Gửi cam kết"))
        page.wait_for_url("**/rieng/**")
        self.check(page)

    def one(self, statement: str, *parameters):
        return self.live.query(statement, *parameters)[0][0]


@pytest.fixture
def live(platform):
    """An installation of the way's own: other stories' pupils and devices would change who is served."""
    installation = platform(PROCESS_NAME="way")
    installation.manage("prepare_queue")
    installation.manage("load_reference")
    installation.manage("collectstatic", "--noinput", "--verbosity", "0")
    installation.start("web", "worker", "beat", "signer")
    return installation


@pytest.fixture
def story(live, screens, signed_in_as, check_page):
    live.manage("demo", "--size", "small", "--until", "points")
    return Story(live, screens, signed_in_as, check_page)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_way_once_through(story, tmp_path):
    choose_places(story)
    pledge_tablets(story)
    pledge_money(story)
    confirm_the_pledge(story)
    take_in_and_inspect(story)
    send_the_list(story, tmp_path)
    run_the_allocation(story)
    carry_to_the_school(story)
    hand_over(story)
    cover_a_point(story)
    publish_and_verify(story, tmp_path)
    look_it_up(story)
    see_the_figures(story)


def choose_places(story):
    """A primary school with a Phòng above it, in a province of the small demonstration."""
    row = story.live.query(
        """SELECT s.code, o.name, p.code, parent.code FROM schools_school s
           JOIN schools_office o ON o.id = s.office_id JOIN schools_office parent ON parent.id = o.parent_id
           JOIN schools_administrativeunit p ON p.id = s.province_id
           WHERE parent.kind = 'district_office' ORDER BY s.code LIMIT 1"""
    )[0]
    story.school, story.school_name, story.province, story.district_office = row
    story.district = story.district_office.partition("-")[2]


def pledge_tablets(story):
    donor = story.screen("donor", PHONE)
    story.visit(donor, "/")
    follow(donor.get_by_role("link", name="Ủng hộ máy tính").first)
    donor.get_by_role("radio", name="Cá nhân").check()
    donor.get_by_label("Tên cá nhân hoặc tên đơn vị").fill("Trần Thị Hoa")
    donor.get_by_role("radio", name="Thiết bị").check()
    story.check(donor)
    story.go_on(donor)
    begun = time.monotonic()
    donor.get_by_role("radio", name="Máy tính bảng").check()
    donor.get_by_label("Số lượng").fill(str(TABLETS))
    story.go_on(donor)
    donor.get_by_role("radio", name="Nơi cần nhất").check()
    story.go_on(donor)
    donor.get_by_label("Người liên hệ").fill("Trần Thị Hoa")
    donor.get_by_label("Thư điện tử").fill("hoa@example.vn")
    story.go_on(donor)
    story.send_pledge(donor, begun)
    story.codes["pledge"] = re.search(r"/cam-ket/([^/]+)/", donor.url)[1]
    sent = "SELECT count(*) FROM common_sentmail WHERE delivered_on_clock_at IS NOT NULL"
    wait_until("thư xác nhận cam kết đi", lambda: story.one(sent))


def pledge_money(story):
    company = story.screen("company", PHONE)
    story.visit(company, "/ung-ho/")
    company.get_by_role("radio", name="Doanh nghiệp").check()
    company.get_by_label("Tên cá nhân hoặc tên đơn vị").fill("Công ty Ánh Dương")
    company.get_by_label("Mã số thuế").fill("0101248141")
    company.get_by_role("radio", name="Tiền").check()
    story.go_on(company)
    begun = time.monotonic()
    company.get_by_label("Số tiền").fill("25.000.000.000")
    story.go_on(company)
    company.get_by_role("radio", name="Nơi cần nhất").check()
    story.go_on(company)
    company.get_by_label("Người liên hệ").fill("Lê Văn Dương")
    company.get_by_label("Thư điện tử").fill("duong@example.vn")
    story.go_on(company)
    story.send_pledge(company, begun)
    assert "25 tỷ đồng" in company.locator("body").inner_text()


def confirm_the_pledge(story):
    clerk = story.screen("dieu-phoi")
    story.visit(clerk, "/viec-can-lam/")
    story.visit(clerk, f"/nguon-luc/cam-ket/{story.codes['pledge']}/")
    follow(clerk.get_by_role("link", name="Xác nhận với nhà tài trợ"))
    clerk.get_by_label("Kho", exact=False).first.select_option(label="Kho tiếp nhận trung ương")
    follow(clerk.locator("main form button.btn-primary"))
    assert (
        story.one("SELECT state FROM donations_pledge WHERE code = %s", story.codes["pledge"]) == "confirmed"
    )


def take_in_and_inspect(story):
    keeper = story.screen("thu-kho")
    story.visit(keeper, "/kho/")
    story.visit(keeper, f"/kho/cam-ket/{story.codes['pledge']}/nhan/")
    keeper.get_by_label("Mẫu máy").fill("Máy tính bảng 8 inch")
    follow(keeper.get_by_role("button", name="Mở lô"))
    serials = "\n".join(f"TAB8-{number:05d}" for number in range(TABLETS))
    keeper.get_by_label("Số sê-ri").first.fill(serials)
    follow(keeper.get_by_role("button", name="Ghi các máy này"))
    keeper.wait_for_url("**/kho/lo/*/")
    story.check(keeper)
    story.codes["lot"] = re.search(r"/kho/lo/([^/]+)/", keeper.url)[1]
    labels = keeper.request.get(f"/kho/lo/{story.codes['lot']}/tem.pdf")
    assert labels.status == 200
    assert labels.body().startswith(b"%PDF")

    inspector = story.screen("kiem-dinh")
    story.visit(inspector, f"/kho/lo/{story.codes['lot']}/kiem-dinh/")
    measured = {
        "Màn hình": "8",
        "RAM": "3",
        "lưu trữ": "32",
        "Android": "11",
        "pin": "5000",
        "Bảo hành": "12",
    }
    for label, value in measured.items():
        inspector.get_by_label(re.compile(label)).first.fill(value)
    inspector.get_by_label("Đã bật bảo vệ trẻ em").check()
    story.check(inspector)
    follow(inspector.get_by_role("button", name="Ghi kết quả kiểm định"))
    accepted = story.one("SELECT count(*) FROM donations_device WHERE state = 'accepted'")
    assert accepted == TABLETS


def send_the_list(story, folder: Path):
    path = folder / "danh-sach.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Danh sách")
        for column, name in enumerate(COLUMNS):
            sheet.write_string(0, column, name)
        for row in range(1, PUPILS + 3):
            bad = "31/02/2012" if row == PUPILS + 1 else "" if row == PUPILS + 2 else f"{row:02d}/05/2012"
            cells = [
                str(row),
                story.school,
                "3A" if row % 2 else "3B",
                f"15{row:08d}",
                f"Lò Thị Số {_word(row)}",
                bad,
            ]
            cells += ["Nữ", "", "Hộ nghèo" if row <= PUPILS // 2 else "Hộ cận nghèo", f"HO{row:04d}", "", ""]
            for column, value in enumerate(cells):
                sheet.write_string(row, column, value)
    clerk = story.screen(f"so-{story.province}")
    story.visit(clerk, "/danh-sach/")
    story.visit(clerk, "/danh-sach/gui/")
    clerk.locator("select[name=office]").select_option(f"S-{story.province}")
    clerk.locator("input[type=file]").set_input_files(path)
    story.check(clerk)
    follow(clerk.get_by_role("button", name="Tải lên và kiểm tra"))
    clerk.wait_for_url(re.compile(r"/danh-sach/\d+/"))
    story.list = int(re.search(r"/danh-sach/(\d+)/", clerk.url)[1])
    state = partial(story.one, "SELECT state FROM schools_studentlist WHERE id = %s", story.list)
    wait_until("tiến trình nền đọc xong danh sách", lambda: state() == "checked", timeout_s=60)
    see_result(clerk.get_by_role("heading", name="Kết quả đọc"))
    story.check(clerk)
    text = clerk.locator("main").inner_text()
    assert "31/02/2012" in text, "lỗi phải hiện theo hàng và cột"
    if clerk.locator("form[action$='/luu-y/']").count():
        for box in clerk.locator("form[action$='/luu-y/'] input[type=checkbox]").all():
            box.check()
        follow(clerk.locator("form[action$='/luu-y/'] button"))
    follow(clerk.locator("form[action$='/ghi/'] button").first)
    wait_until("danh sách được ghi", lambda: state() == "committed", timeout_s=60)
    story.visit(clerk, f"/danh-sach/{story.list}/")
    clerk.locator("form[action$='/trinh/'] input[type=checkbox]").check()
    follow(clerk.locator("form[action$='/trinh/'] button"))
    assert state() == "submitted"
    verifier = story.screen(f"so-{story.province}-tham-dinh")
    story.visit(verifier, f"/danh-sach/{story.list}/")
    follow(verifier.locator("form[action$='/tham-dinh/'] button"))
    assert state() == "verified"
    # Who uploaded may not approve: no such button for them.
    story.visit(clerk, f"/danh-sach/{story.list}/")
    assert clerk.locator("form[action$='/phe-duyet/']").count() == 0
    head = story.screen(f"so-{story.province}-lanh-dao")
    story.visit(head, f"/danh-sach/{story.list}/")
    follow(head.locator("form[action$='/phe-duyet/'] button"))
    assert state() == "approved"
    assert story.one("SELECT count(*) FROM schools_student WHERE state = 'approved'") == PUPILS


def _word(number: int) -> str:
    return (
        ["An", "Bình", "Chi", "Dung", "Giang", "Hà", "Khánh", "Lan", "Mai", "Nga", "Oanh", "Phương"][
            number % 12
        ]
        + " "
        + chr(64 + number)
    )


def run_the_allocation(story):
    clerk, second, head = (story.screen(who) for who in ("dieu-phoi", "dieu-phoi-2", "lanh-dao"))
    story.visit(clerk, "/phan-bo/mo-dot/")
    clerk.locator("select[name=policy]").select_option(index=1)
    clerk.locator("[name=randomness_source]").fill("Giải đặc biệt xổ số miền Bắc tối nay (kiểm thử)")
    today = story.one("SELECT today_on FROM common_programme")
    clerk.locator("[name=draw_at]").fill(
        f"{today:%Y-%m-%d}T23:59"
        if clerk.locator("[name=draw_at]").get_attribute("type") == "datetime-local"
        else f"{today:%d/%m/%Y} 23:59"
    )
    follow(clerk.get_by_role("button", name="Mở đợt"))
    clerk.wait_for_url("**/phan-bo/dot/*/")
    story.codes["run"] = re.search(r"/dot/([^/]+)/", clerk.url)[1]
    address = f"/phan-bo/dot/{story.codes['run']}/"
    state = partial(
        story.one, "SELECT state FROM allocation_allocationrun WHERE code = %s", story.codes["run"]
    )
    # The page shows a job's progress until its row says done, a moment after the run's does.
    jobs = partial(story.one, "SELECT count(*) FROM common_job WHERE state IN ('queued', 'running')")
    follow(clerk.locator("form[action$='/chot/'] button"))
    wait_until("dữ liệu được chốt", lambda: state() == "frozen" and not jobs(), timeout_s=60)
    # The evening of the draw: the demonstration's date moves on.
    story.live.query("UPDATE common_programme SET today_on = today_on + 1")
    story.visit(clerk, address)
    clerk.locator("form[action$='/boc-tham/'] [name=value]").first.fill("38012")
    follow(clerk.get_by_role("button", name="Nhập kết quả"))
    story.visit(second, address)
    second.locator("form[action$='/boc-tham/'] [name=value]").first.fill("38012")
    follow(second.get_by_role("button", name="Xác nhận kết quả"))
    wait_until("có phương án", lambda: state() == "proposed" and not jobs(), timeout_s=60)
    story.visit(head, address)
    assert "Máy chia đến đâu" in head.locator("main").inner_text()
    follow(head.get_by_role("button", name=re.compile("Phê duyệt")))
    wait_until("phân bổ được ghi", lambda: state() == "committed", timeout_s=60)
    assert story.one("SELECT count(*) FROM allocation_allocation WHERE ended_at IS NULL") == TABLETS
    # Poor households first: all twelve, then eight of the near-poor.
    served = story.live.query(
        """SELECT s."group", count(*) FROM allocation_allocation a JOIN schools_student s ON s.id = a.student_id
           GROUP BY 1 ORDER BY 1"""
    )
    assert dict(served) == {"poor": PUPILS // 2, "near_poor": TABLETS - PUPILS // 2}


def carry_to_the_school(story):
    hops = [
        ("dieu-phoi", "thu-kho", f"so-{story.province}"),
        (f"so-{story.province}", f"so-{story.province}", f"phong-{story.district}"),
        (f"phong-{story.district}", f"phong-{story.district}", f"truong-{story.school}"),
    ]
    for planner, sender, receiver in hops:
        page = story.screen(planner)
        story.visit(page, "/van-chuyen/")
        follow(page.get_by_role("button", name=re.compile(r"Soạn \d+ lô hàng")))
        code = story.one("SELECT code FROM delivery_shipment WHERE state = 'draft' ORDER BY id DESC LIMIT 1")
        page = story.screen(sender)
        story.visit(page, f"/van-chuyen/{code}/")
        follow(page.get_by_role("button", name=re.compile(r"^Gửi \d+ máy")))
        page = story.screen(receiver, PHONE if receiver.startswith("truong") else DESK)
        story.visit(page, f"/van-chuyen/{code}/nhan/")
        came = [
            row[0]
            for row in story.live.query(
                """SELECT d.code FROM delivery_shipmentitem i JOIN donations_device d ON d.id = i.device_id
                   JOIN delivery_shipment s ON s.id = i.shipment_id WHERE s.code = %s""",
                code,
            )
        ]
        page.get_by_label("Mã đã quét").fill("\n".join(came))
        follow(page.get_by_role("button", name="Đối chiếu với lô"))
        assert f"{TABLETS} trong {TABLETS} máy có mặt" in page.locator("main").inner_text()
        follow(page.get_by_role("button", name="Xác nhận đã nhận"))
        assert story.one("SELECT state FROM delivery_shipment WHERE code = %s", code) == "arrived"


def hand_over(story):
    teacher = story.screen(f"truong-{story.school}", PHONE)
    story.visit(teacher, f"/ban-giao/{story.school}/")
    teacher.locator("select[name=operator]").select_option(index=1)
    follow(teacher.get_by_role("button", name="Mở biên bản"))
    teacher.wait_for_url("**/bien-ban/*/")
    story.codes["record"] = re.search(r"/bien-ban/([^/]+)/", teacher.url)[1]
    story.check(teacher)
    teacher.get_by_role("button", name=f"Đánh dấu cả {TABLETS} em").click()
    absent = teacher.locator("input[name=may]").first
    absent.uncheck()
    assert teacher.get_by_role("button", name=f"Ghi bàn giao {TABLETS - 1} em đã đánh dấu").is_visible()
    absent.check()
    follow(teacher.get_by_role("button", name=f"Ghi bàn giao {TABLETS} em đã đánh dấu"))
    assert story.one("SELECT count(*) FROM delivery_handover") == TABLETS
    for document in ("bien-ban.pdf", "bien-nhan.pdf"):
        answered = teacher.request.get(f"/ban-giao/bien-ban/{story.codes['record']}/{document}")
        assert answered.status == 200
        assert answered.body().startswith(b"%PDF")
    story.visit(teacher, f"/ban-giao/bien-ban/{story.codes['record']}/")
    follow(teacher.get_by_role("button", name=re.compile("Khoá biên bản")))
    assert story.one("SELECT count(*) FROM delivery_handoverrecord WHERE signed_at IS NOT NULL") == 1
    assert story.one("SELECT count(*) FROM coverage_dataplan") == TABLETS


def cover_a_point(story):
    public = story.screen("public", PHONE)
    story.visit(public, "/phu-song/")
    before = _covered(public)
    operator = story.screen("viettel")
    story.visit(operator, "/diem-song/")
    code = story.one(
        """SELECT p.code FROM coverage_coveragepoint p JOIN coverage_operator o ON o.id = p.operator_id
           WHERE o.code = 'VIETTEL' AND p.state = 'open' ORDER BY p.code LIMIT 1"""
    )
    story.visit(operator, f"/diem-song/{code}/")
    operator.locator("select[name=state]").select_option("covered")
    day = story.one("SELECT today_on FROM common_programme")
    field = operator.locator("[name=measured_on]")
    field.fill(f"{day:%Y-%m-%d}" if field.get_attribute("type") == "date" else f"{day:%d/%m/%Y}")
    operator.locator("[name=download_kbps]").fill("12000")
    follow(operator.get_by_role("button", name="Ghi báo cáo"))
    assert story.one("SELECT state FROM coverage_coveragepoint WHERE code = %s", code) == "covered"
    story.check(operator)
    story.visit(public, "/phu-song/")
    assert _covered(public) == before + 1


def _covered(page) -> int:
    """Points covered of all, as the public page counts them: first the urgent ones, then the whole country's."""
    counts = re.findall(r"([\d.]+) / [\d.]+", page.locator("main").inner_text())
    return int(counts[1].replace(".", ""))


def publish_and_verify(story, folder: Path):
    story.live.manage("ledger", "publish", "--now")
    assert story.one("SELECT count(*) FROM ledger_outbox") == 0
    entered = story.live.query(
        """SELECT e.event, count(DISTINCT e.dev) FROM ledger_entry e JOIN donations_device d ON d.code = e.dev
           JOIN donations_lot l ON l.id = d.lot_id WHERE l.code = %s GROUP BY 1""",
        story.codes["lot"],
    )
    steps = (
        "received",
        "inspected",
        "allocated",
        "dispatched",
        "arrived",
        "handed_over",
        "handover_confirmed",
    )
    assert dict(entered) == {f"device.{step}": TABLETS for step in steps}
    others = {row[0] for row in story.live.query("SELECT DISTINCT event FROM ledger_entry WHERE dev IS NULL")}
    assert others >= {
        "pledge.made",
        "run.frozen",
        "run.seeded",
        "run.approved",
        "run.committed",
        "point.covered",
    }
    story.live.manage("ledger", "verify")
    status, _ = answer(f"{story.live.url}/ledger/vkey")
    assert status == 200
    mirror = folder / "mirror"
    story.live.manage("ledger", "export", str(mirror))
    verifier = [sys.executable, str(BASE_DIR / "verifier" / "mtce_verify.py")]
    for source in (str(mirror), f"{story.live.url}/ledger"):
        outcome = subprocess.run(
            [*verifier, "verify-log", source], capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    bundle = next(path for path in sorted((mirror / "tile" / "entries").rglob("*")) if path.is_file())
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    outcome = subprocess.run(
        [*verifier, "verify-log", str(mirror)], capture_output=True, text=True, check=False
    )
    assert outcome.returncode not in (0, None), "một bit bị đổi mà vẫn được nhận"
    assert "Traceback" not in outcome.stderr


def look_it_up(story):
    device = story.one(
        """SELECT d.code FROM delivery_handover h JOIN allocation_allocation a ON a.id = h.allocation_id
           JOIN donations_device d ON d.id = a.device_id ORDER BY d.code LIMIT 1"""
    )
    public = story.screen("public", PHONE)
    story.visit(public, "/tra-cuu/")
    public.locator("#ma").fill(device[:4].lower() + "-" + device[4:8] + "-" + device[8:])
    follow(public.get_by_role("button", name="Tra cứu"))
    public.wait_for_url(f"**/thiet-bi/{device}/")
    story.check(public)
    text = public.locator("main").inner_text()
    for step in ("Tiếp nhận", "Bàn giao"):
        assert step.lower() in text.lower()
    public.get_by_role("button", name="Tự kiểm tra").click()
    expect(public.locator("[data-check] [data-result]")).to_contain_text("Đúng")
    # No child: neither a name nor the school with its class.
    names = [row[0] for row in story.live.query("SELECT full_name FROM schools_student")]
    assert not [name for name in names if name in public.content()]
    story.visit(public, f"/cam-ket/{story.codes['pledge']}/")
    story.visit(public, "/so-cai/")
    story.visit(public, f"/phan-bo/cong-khai/{story.codes['run']}/")
    story.visit(public, f"/en/thiet-bi/{device}/")


def see_the_figures(story):
    public = story.screen("public", PHONE)

    def reached():
        public.goto("/")
        return public.locator(".hero-number").inner_text()

    wait_until("trang chủ đếm máy đã bàn giao", lambda: reached() == str(TABLETS), timeout_s=60)
    pledge, province = (
        story.codes["pledge"],
        story.one(
            "SELECT slug FROM schools_administrativeunit WHERE code = %s AND level = 'province' AND vintage = '2021'",
            story.province,
        ),
    )
    for address in (
        *(
            "/",
            "/sao-ke/",
            "/du-lieu-mo/",
            "/nha-tai-tro/",
            "/nen-tang/",
            "/phan-anh/",
            "/cach-tinh/",
            "/huong-dan/",
            "/gia-dinh/",
        ),
        *("/tin-tuc/", "/phu-song/ho-tro/", "/api/v1/", "/so-cai/tu-kiem-tra/", f"/tinh/{province}/"),
        *("/en/", "/en/ung-ho/", "/en/sao-ke/", "/en/du-lieu-mo/", "/en/so-cai/", f"/en/cam-ket/{pledge}/"),
    ):
        story.visit(public, address)
    ministry = story.screen("bo-giao-duc")
    for address in ("/dieu-hanh/", "/dieu-hanh/bao-cao/", "/dieu-hanh/dang-ket/", "/phu-song/truong/"):
        story.visit(ministry, address)
        if address == "/dieu-hanh/":
            assert "Kế hoạch và thực hiện" in ministry.locator("main").inner_text()

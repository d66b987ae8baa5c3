"""Allocation in a real browser: officials at a desk, a school and a family on a phone; axe on every page."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.acting import follow, see_result
from tests.browser.conftest import DESK, PHONE
from tests.live import wait_until

CLERK, LEADER, SCHOOL = "phan.bo@example.vn", "phan.bo.duyet@example.vn", "phan.bo.truong@example.vn"


@pytest.fixture(scope="module")
def made(live) -> dict:
    """Codes of runs in several states; see `tests/browser/allocation_world.py`."""
    said = live.python(
        "import json; from tests.browser.allocation_world import make; print('MADE', json.dumps(make()))"
    )
    return json.loads(said.partition("MADE ")[2].splitlines()[0])


def addresses(made: dict) -> dict[str, list[str]]:
    """What each person opens."""
    run = f"/phan-bo/dot/{made['committed']}/"
    return {
        CLERK: [
            "/phan-bo/", "/phan-bo/mo-dot/", "/phan-bo/chinh-sach/", "/phan-bo/chinh-sach/moi/", "/phan-bo/so-sanh/",
            "/phan-bo/thu-hoi/", f"/phan-bo/thu-hoi/?may={made['device']}", run, f"{run}hoc-sinh/",
            f"{run}hoc-sinh/{made['served']}/", f"{run}hoc-sinh/{made['waiting']}/", f"{run}phieu/",
            f"{run}cat-giam/", f"/phan-bo/dot/{made['parties']}/", f"/phan-bo/dot/{made['proposed']}/",
        ],
        LEADER: [f"/phan-bo/dot/{made['proposed']}/", f"/phan-bo/chinh-sach/{made['draft']}/cong-bo/"],
        SCHOOL: ["/phan-bo/", f"{run}hoc-sinh/", f"{run}phieu/", "/phan-bo/thu-hoi/"],
    }  # fmt: skip


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["390", "1280"])
def test_every_page_is_accessible(screens, signed_in_as, check_page, made, viewport):
    titles = set()
    for email, paths in addresses(made).items():
        page = signed_in_as(screens(viewport), email)
        for path in paths:
            page.goto(path)
            check_page(page)
            titles.add((path, page.title()))
    assert len({title for path, title in titles if "?" not in path}) == len(
        {path for path, _ in titles if "?" not in path}
    )
    page = screens(viewport)
    for code in (made["committed"], made["parties"]):
        page.goto(f"/phan-bo/cong-khai/{code}/")
        check_page(page)
    page.goto("/phan-bo/cong-khai/")
    expect(page.get_by_text("Sắp bốc thăm")).to_be_visible()
    check_page(page)


def test_a_family_recomputes_its_draw_and_sends_nothing(small_screen, made, live):
    sent: list[str] = []
    small_screen.on("request", lambda request: sent.append(request.url + (request.post_data or "")))
    small_screen.goto(f"/phan-bo/cong-khai/{made['committed']}/#{made['waiting_code']}")
    field = small_screen.get_by_label("Mã trên phiếu của gia đình")
    assert field.input_value().replace(" ", "") == made["waiting_code"]
    small_screen.keyboard.press("Tab")
    field.focus()
    small_screen.keyboard.press("Enter")
    answer = small_screen.locator("[data-result]")
    expect(answer).to_contain_text("Hạt giống tính lại đúng bằng hạt giống đã công bố.")
    expect(answer.locator("p").first).to_contain_text("chưa được nhận máy ở đợt này")
    # How many took part: pupils of another test of the shared installation may be among them.
    drawn = live.query(
        f"SELECT applicant_count FROM allocation_allocationrun WHERE code = '{made['committed']}'"
    )[0][0]
    expect(answer).to_contain_text(f"Đã tính lại {drawn} mã")
    assert not any(made["waiting_code"] in one.partition("#")[0] for one in sent)
    field.fill("xyz")
    small_screen.get_by_role("button", name="Xem kết quả").click()
    expect(answer).to_contain_text("Bạn đã gõ 3 ký tự")


def test_the_draw_is_readable_without_javascript(screens, made):
    page = screens(PHONE, java_script_enabled=False)
    page.goto(f"/phan-bo/cong-khai/{made['committed']}/")
    page.get_by_text("Tính lại không cần trang này").click()
    expect(page.get_by_text("verify-run").first).to_be_visible()
    lines = page.locator("pre code").first.inner_text()
    said: list[str] = []
    code = lines.replace("mã trên phiếu, viết liền", made["waiting_code"])
    exec(code, {"print": said.append})
    assert said[0] == page.locator("[data-seed]").inner_text()
    assert len(said[1]) == 64


def test_a_trial_by_the_worker_says_who_gains(screens, signed_in_as, check_page, made):
    page = signed_in_as(screens(DESK), CLERK)
    page.goto("/phan-bo/so-sanh/")
    page.get_by_label("Chính sách", exact=True).select_option(label="Thử trình duyệt (bản 2)")
    page.get_by_label("So với chính sách").select_option(value=str(made["draft"]))
    follow(page.get_by_role("button", name="Chạy thử"))
    see_result(page.get_by_role("heading", name="Ai thêm, ai bớt"))
    check_page(page)


def test_taking_back_by_two_and_the_school_gets_the_mail(screens, signed_in_as, check_page, made, live):
    page = signed_in_as(screens(DESK), CLERK)
    page.goto(f"/phan-bo/thu-hoi/?may={made['device']}")
    follow(page.get_by_role("link", name="Đề nghị thu hồi"))
    check_page(page)
    page.get_by_label("Lý do").select_option("moved_away")
    page.get_by_label("Thông báo cho nhà trường").fill("ngắn")
    page.watch.expected.add(page.url.removeprefix(live.url))
    follow(page.get_by_role("button", name="Gửi đề nghị"))
    expect(page.get_by_text("ít nhất 20 ký tự").first).to_be_visible()
    check_page(page)
    page.get_by_label("Thông báo cho nhà trường").fill(
        "Em đã chuyển trường từ ngày 01/10; khiếu nại tại Sở GD&ĐT."
    )
    follow(page.get_by_role("button", name="Gửi đề nghị"))
    expect(page.get_by_role("status").get_by_text("Đã gửi đề nghị")).to_be_visible()

    leader = signed_in_as(screens(DESK), LEADER)
    leader.goto("/phan-bo/thu-hoi/")
    follow(leader.get_by_role("link", name=made["device"]).first)
    check_page(leader)
    follow(leader.get_by_role("button", name="Thu hồi phân bổ máy"))
    expect(leader.get_by_text("Đã thu hồi phân bổ máy").first).to_be_visible()
    taken = "SELECT 1 FROM common_sentmail WHERE kind = 'allocation.revoked' AND delivered_on_clock_at IS NOT NULL"
    wait_until("thư báo nhà trường", lambda: live.query(taken), timeout_s=60)
    leader.goto(leader.url)
    expect(leader.get_by_text("Máy chủ thư đã nhận")).to_be_visible()
    letters = "".join(path.read_text("utf-8", "replace") for path in Path(live.folder, "mail").glob("*.log"))
    assert "phan.bo.truong@example.vn" in letters

    school: Page = signed_in_as(screens(PHONE, has_touch=True), SCHOOL)
    school.goto("/phan-bo/thu-hoi/")
    follow(school.get_by_role("link", name=made["device"]).first)
    expect(school.get_by_text("Em đã chuyển trường từ ngày 01/10")).to_be_visible()
    check_page(school)


def test_approving_by_keyboard_names_the_count(screens, signed_in_as, made, live):
    page = signed_in_as(screens(DESK), LEADER)
    page.goto(f"/phan-bo/dot/{made['proposed']}/")
    button = page.get_by_role("button", name=f"Phê duyệt {made['proposed_count']} phân bổ")
    see_result(button)  # the worker may still be at the run's step, as the page then says
    button.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    state = "SELECT state FROM allocation_allocationrun WHERE code = %s"
    wait_until("đợt ghi xong", lambda: live.query(state, made["proposed"]) == [("committed",)], timeout_s=60)
    page.goto(page.url)
    expect(page.get_by_text("Đã phân bổ").first).to_be_visible()

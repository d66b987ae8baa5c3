"""A class is handed over on a phone without signal and sent when signal is back, at 390 px, on the real processes."""

import datetime as dt
import os
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.acting import follow
from tests.browser.conftest import PHONE
from tests.live import Platform, cloned_database, wait_until

pytestmark = pytest.mark.timeout(300)
PUPILS = 10
SEED = f"""
from django.db import transaction
from tests.delivery_world import AT, make_world
from tests.services.test_delivery_handovers import bring_to_schools
from delivery.services import open_record
with transaction.atomic():
    world = make_world(per_school={PUPILS})
    bring_to_schools(world)
    record = open_record(by=world.people["school"], school=world.schools[0], class_name="7A", held_on=AT.date(), at=AT)
print("MADE", record.code)
"""
# What happens at the office while the phone is away.
MEANWHILE = """
from django.db import transaction
from accounts.models import User
from common.clock import now
from delivery.models import HandoverRecord
from delivery.services import hand_over
from schools.models import Student
Student.objects.filter(allocations__device__code={left!r}).update(state="left")
with transaction.atomic():
    hand_over(by=User.objects.get(email="truong.mot@example.vn"), record=HandoverRecord.objects.get(code={record!r}),
        rows=[{{"device": {given!r}}}], at=now())
"""
TEACHER = "truong.mot@example.vn"
SHOTS = os.environ.get("SCREENSHOTS", "")
KEPT = "async () => JSON.stringify(await phoneStore.all())"
WRITE_ONE_DOWN = """async () => {
    const { record, allocation } = (await phoneStore.all()).rows.find((row) => row.state === "waiting");
    await phoneStore.draft(record, allocation, { isTicked: true });
    await phoneStore.writeDown(record);
}"""
LEFT_BEHIND = """async () => [(await indexedDB.databases()).map((one) => one.name), await caches.keys(),
    (await navigator.serviceWorker.getRegistrations()).length]"""


@pytest.fixture(scope="module")
def live(clean_database_url, tmp_path_factory):
    """An installation of its own: one school with a class that waits; `record` is its open record."""
    name = f"{clean_database_url.rsplit('/', 1)[1]}_phone"
    with cloned_database(clean_database_url, name) as url:
        platform = Platform(url, tmp_path_factory.mktemp("phone"), PROCESS_NAME="phone")
        try:
            platform.manage("collectstatic", "--noinput", "--verbosity", "0")
            platform.record = platform.python(SEED).partition("MADE ")[2].split()[0]
            platform.start("web")
            yield platform
        finally:
            platform.kill()


def look(page, check_page, name: str) -> None:
    check_page(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"phone-{name}.png", full_page=True)


def counted(page, text: str) -> None:
    # The first try after the signal came back may be too early; the page tries again.
    expect(page.locator("[data-counts]")).to_contain_text(text, timeout=20_000)


def tick(page, *rows: int, guardian: str = "") -> list[str]:
    """Tick the waiting rows of these places, write them down; the codes of their devices."""
    table = page.locator("[data-waiting-rows] tr")
    codes = [table.nth(row).locator(".code").inner_text() for row in rows]
    for row in rows:
        table.nth(row).get_by_role("checkbox").check()
    if guardian:
        table.nth(rows[-1]).locator("[name=guardian]").fill(guardian)
    page.locator("[data-write]").click()
    for code in codes:  # shown once it is kept
        expect(page.locator("[data-unsent]")).to_contain_text(code)
    return codes


def recorded(live) -> tuple[int, int, int]:
    return live.query(
        """SELECT (SELECT count(*) FROM delivery_handover), (SELECT count(*) FROM delivery_phonehandover),
                  (SELECT count(*) FROM ledger_outbox WHERE event = 'device.handed_over')
                  + (SELECT count(*) FROM ledger_entry WHERE event = 'device.handed_over')"""
    )[0]


def test_a_class_is_handed_over_without_signal(live, screens, signed_in_as, check_page):
    page = signed_in_as(screens(PHONE, has_touch=True), TEACHER)
    context, record = page.context, f"/ban-giao/bien-ban/{live.record}/"
    address = f"/ban-giao/dien-thoai/#{live.record}"
    page.goto(record)
    follow(page.get_by_role("link", name="bàn giao trên điện thoại khi không có mạng"))
    page.locator("[data-ready]").wait_for()
    expect(page.locator("[data-waiting-rows] tr")).to_have_count(PUPILS)
    look(page, check_page, "1-luu")
    kept = page.evaluate(KEPT)
    assert "born_on" not in kept
    assert "2009" not in kept, "ngày sinh không được có trên điện thoại"

    # Without signal the page comes again, and so it does where the record's own page stood.
    context.set_offline(True)
    page.reload()
    expect(page.locator("[data-state]")).to_contain_text("không có mạng")
    page.goto(record)
    expect(page.locator("[data-waiting-rows] tr")).to_have_count(PUPILS)
    names = page.locator("[data-waiting-rows] th").all_inner_texts()[:3]
    tick(page, 0, 1, 2, guardian="Lò Thị Mẹ")
    counted(page, "Chưa gửi: 3")
    look(page, check_page, "2-chua-gui")
    page.locator("[data-take-back]").nth(1).click()
    counted(page, "Chưa gửi: 2")
    tick(page, [*page.locator("[data-waiting-rows] th").all_inner_texts()].index(names[1]))
    counted(page, "Chưa gửi: 3")
    page.close()

    page = context.new_page()
    page.goto(address)
    counted(page, "Chưa gửi: 3")
    assert recorded(live) == (0, 0, 0)
    bodies = []
    page.on("request", lambda request: bodies.append(request.post_data) if request.method == "POST" else None)
    context.set_offline(False)
    counted(page, "Đã gửi: 3")
    look(page, check_page, "3-da-gui")
    assert recorded(live) == (3, 3, 3)
    assert live.query("SELECT guardian_name FROM delivery_handover WHERE recipient = 'guardian'") == [
        ("Lò Thị Mẹ",)
    ]
    kept = page.evaluate(KEPT)
    assert not [name for name in [*names, "Lò Thị Mẹ"] if name in kept], (
        "gửi rồi thì tên không còn trên điện thoại"
    )

    # The same body sent again, as after an answer that got lost.
    again = page.evaluate(
        """async ([path, body]) => {
            const { token } = await (await fetch(path, { headers: { Accept: "application/json" } })).json();
            const answer = await fetch(path, { method: "POST", body, headers: { "X-CSRFToken": token,
                "Content-Type": "application/json" } });
            return (await answer.json()).answers.map((one) => one.outcome);
        }""",
        [f"{record}dien-thoai/", bodies[-1]],
    )
    assert again == ["recorded"] * 3
    assert recorded(live) == (3, 3, 3)

    changed_meanwhile(live, context, page, check_page)
    session_ended(live, context, page, signed_in_as)
    sent_though_closed(live, context, page)
    signed_out(context, signed_in_as(context.new_page(), TEACHER), address)


def test_what_stays_on_a_phone_too_long_leaves_it(live, screens, signed_in_as):
    """A list after a week, what waited for signal after thirty days; the phone's own clock moves."""
    page = signed_in_as(screens(PHONE, has_touch=True), TEACHER)
    page.goto(f"/ban-giao/dien-thoai/#{live.record}")
    page.locator("[data-ready]").wait_for()
    waiting = page.locator("[data-waiting-rows] tr")
    name = waiting.first.locator("th").inner_text()
    page.context.set_offline(True)
    (device,) = tick(page, 0)
    started = dt.datetime.now(dt.UTC)

    def after(days: int) -> None:
        page.clock.set_fixed_time(started + dt.timedelta(days=days))
        page.reload()  # nothing is under way: there is no network
        expect(page.locator("[data-state]")).to_contain_text("không có mạng")

    after(days=6)
    counted(page, "Chưa gửi: 1")
    expect(waiting.first).to_be_visible()
    expect(page.locator("[data-until]")).to_contain_text("hãy nối mạng trước ngày đó")
    after(days=8)
    counted(page, "Chưa gửi: 1")
    expect(waiting).to_have_count(0)
    expect(page.locator("[data-late]")).to_be_visible()
    assert name in page.evaluate(KEPT)
    after(days=31)
    expect(page.locator("[data-review-rows]")).to_contain_text(device)
    expect(page.locator("[data-review-rows]")).to_contain_text("quá 30 ngày")
    assert name not in page.evaluate(KEPT)


def changed_meanwhile(live, context, page, check_page):
    context.set_offline(True)
    left, given = tick(page, 0, 1)
    live.python(MEANWHILE.format(left=left, given=given, record=live.record))
    context.set_offline(False)
    counted(page, "Đã gửi: 4 · Cần xem lại: 1")
    expect(page.locator("[data-review-rows]")).to_contain_text("thôi học")
    expect(page.locator("[data-sent-rows]")).to_contain_text("đã ghi bàn giao")
    look(page, check_page, "4-xem-lai")
    follow(page.get_by_role("link", name="Mở biên bản để xem lại"))
    assert "cần xem lại: 1 máy" in page.locator("main").inner_text()
    look(page, check_page, "5-bien-ban")
    follow(page.get_by_role("button", name="Đã xem lại"))
    expect(page.locator("main")).not_to_contain_text("cần xem lại")
    assert recorded(live) == (4, 5, 4)


def session_ended(live, context, page, signed_in_as):
    page.goto(f"/ban-giao/dien-thoai/#{live.record}")
    page.locator("[data-ready]").wait_for()
    context.set_offline(True)
    tick(page, 0)
    context.clear_cookies()
    context.set_offline(False)
    expect(page.locator("[data-state]")).to_contain_text("Phiên đăng nhập đã hết")
    counted(page, "Chưa gửi: 1")
    assert f"%23{live.record}" in page.get_by_role("link", name="Đăng nhập để gửi").get_attribute("href")
    # Somebody else on the same phone neither sees it nor sends it.
    signed_in_as(page, "phong@example.vn")
    page.locator("[data-send]").click()
    expect(page.locator("[data-state]")).to_contain_text("tài khoản khác lưu")
    assert not page.locator("[data-unsent]").is_visible()
    signed_in_as(page, TEACHER)
    page.reload()
    counted(page, "Chưa gửi: 0")
    assert recorded(live)[0] == 5


def sent_though_closed(live, context, page):
    """The browser's own background sync: the tab is closed before signal is back."""
    context.set_offline(True)
    tick(page, 0)
    page.close()
    context.set_offline(False)
    page = context.new_page()
    page.goto("/")
    session = context.new_cdp_session(page)
    found = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda event: found.extend(event["registrations"]))
    session.send("ServiceWorker.enable")
    wait_until("trình duyệt kể về service worker", lambda: page.wait_for_timeout(50) or found)
    with suppress(Exception):
        session.send(
            "ServiceWorker.dispatchSyncEvent",
            {
                "origin": live.url,
                "registrationId": found[0]["registrationId"],
                "tag": "ban-giao",
                "lastChance": False,
            },
        )
    wait_until("điện thoại tự gửi", lambda: page.wait_for_timeout(50) or recorded(live)[0] == 6)
    page.close()


def signed_out(context, page, address):
    page.goto(address)
    page.locator("[data-ready]").wait_for()
    # Unsent on a page that doesn't send, the account's, with the way out. Written down there, for on its own page the
    # worker would send it as soon as there is signal.
    page.goto("/tai-khoan/")
    page.evaluate(WRITE_ONE_DOWN)
    page.reload()
    expect(page.locator("[data-phone-unsent]")).to_contain_text("1 lần bàn giao trên điện thoại này chưa gửi")
    page.get_by_role("button", name="Đăng xuất").click()
    expect(page.locator("[data-phone-unsent]")).to_contain_text("bấm Đăng xuất lần nữa")
    follow(page.get_by_role("button", name="Đăng xuất"))
    wait_until("điện thoại không còn giữ gì", lambda: page.evaluate(LEFT_BEHIND) == [[], [], 0])
    assert not [one for one in context.cookies() if "session" in one["name"]]

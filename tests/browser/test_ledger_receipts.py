"""A family opens its receipt in a real browser: the salt stays behind the #, in no request that leaves the browser."""

import base64
import hashlib
import itertools

import pytest

from ledger import trace
from ledger.canon import dumps
from ledger.draw import draw_file
from ledger.publisher import put_draw_file
from ledger.receipts import check_receipt
from ledger.services import openings_of, record
from tests.browser.acting import follow
from tests.browser.answering import OLD, answered
from tests.ledger_log import DAY, make_log, receive

NAME = "Giàng Thị Mỷ"
# What the Tab key comes to; of a group of radio buttons, the chosen one.
STOPS = "main :is(a[href], button, input:not([type=radio]:not(:checked)), summary, textarea, select)"


@pytest.fixture
def log(db, tmp_path, settings):
    made = make_log(tmp_path)
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = made.folder, made.state
    settings.PUBLIC_URL = "http://localhost"
    return made


@pytest.fixture
def device(log):
    (code,) = receive(1)
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="DPB-1", area="VN")
    eid = record(
        event="device.handed_over", on=DAY, device=code, run="DPB-1", hold="DPB-1/VN",
        commit={"recipient": NAME, "school": "TH Sao Mai", "date": DAY.isoformat()},
    )  # fmt: skip
    return code, eid


@pytest.fixture
def page(browser):
    """A phone's page whose every request the application itself answers, and is written down."""
    with answered(browser, viewport={"width": 390, "height": 844}, accept_downloads=True) as opened:
        yield opened


def result(page) -> str:
    page.wait_for_function(
        "!/Đang kiểm tra|Checking|^$/.test(document.querySelector('[data-result]').textContent.trim())"
    )
    return page.inner_text("[data-result]")


def test_a_family_opens_its_own_receipt_and_the_salt_never_leaves_the_browser(
    log, device, page, tmp_path, caplog
):
    _code, eid = device
    log.turn()
    address = trace.family_url(eid=eid)
    page.goto(address)
    assert "đúng là của gia đình bạn" in result(page)
    assert page.inner_text("[data-opened]").split("\n")[:2] == ["Người nhận", NAME], "the child comes first"
    with page.expect_download() as download:
        page.click("[data-keep]")
    kept = tmp_path / "kept.tlog-proof"
    download.value.save_as(kept)
    opened = check_receipt(kept.read_bytes(), log.verifiers[0])[0].openings
    assert {field: value for field, value, _ in opened} == {
        "recipient": NAME, "school": "TH Sao Mai", "date": DAY.isoformat(),
    }  # fmt: skip
    follow(page.get_by_role("link", name="English"))
    assert "is your family's" in result(page)
    assert page.inner_text("[data-opened]").split("\n")[:2] == ["Recipient", NAME]
    secrets = [bytes(one.salt).hex() for one in openings_of(eid=eid)] + [address.split("#")[1], NAME]
    assert len(page.requests_made) >= 4
    told = "\n".join(page.requests_made) + caplog.text
    assert [secret for secret in secrets if secret in told] == []


def test_a_receipt_printed_in_the_old_form_still_opens(log, device, page):
    log.turn()
    opened = {
        one.field: {"salt": bytes(one.salt).hex(), "value": one.value} for one in openings_of(eid=device[1])
    }
    packed = (
        base64.urlsafe_b64encode(dumps({"d": device[0], "e": device[1].hex, "o": opened}))
        .decode()
        .rstrip("=")
    )
    page.goto(f"{trace.family_url(eid=device[1]).split('#')[0]}#{packed}")
    assert "đúng là của gia đình bạn" in result(page)
    assert NAME in page.inner_text("[data-opened]")


def test_before_the_batch_is_out_the_receipt_says_so(log, device, page):
    log.turn(at_once=False, today=DAY)
    page.goto(trace.family_url(eid=device[1]))
    assert "chưa đến đợt công bố" in result(page)


def test_a_changed_receipt_is_told(log, device, page):
    log.turn()
    tampered = trace.family_address(
        device=device[0], eid=device[1],
        openings=[(one.field, "Người khác", bytes(one.salt)) for one in openings_of(eid=device[1])],
    )  # fmt: skip
    page.goto(tampered)
    assert "KHÔNG ĐÚNG" in result(page)


def test_a_code_that_was_not_read_whole_accuses_nobody(log, device, page):
    log.turn()
    address, _, packed = trace.family_url(eid=device[1]).partition("#")
    for read in ("khong-phai-bien-nhan", packed[: len(packed) // 2]):
        page.goto("about:blank")  # or the browser stays on the page and only its fragment changes
        page.goto(f"{address}#{read}")
        assert "Mã chưa đọc được đủ" in result(page)


def test_a_device_page_checks_itself_and_says_what_it_checked(log, device, page):
    log.turn()
    page.goto(f"http://localhost/thiet-bi/{device[0]}/")
    page.click("[data-run]")
    assert "kiểm tra chữ ký" in result(page)
    page.evaluate("() => { crypto.subtle.importKey = () => Promise.reject(new Error('no Ed25519')); }")
    page.click("[data-run]")
    page.wait_for_function("document.querySelector('[data-result]').textContent.includes('Đúng một phần')")


def public_pages(device: tuple[str, object], log) -> list[str]:
    record(
        event="pledge.made",
        on=DAY,
        pledge="CK-2021-0001",
        kind="devices",
        donor="agency",
        org="Công ty A",
        qty=5,
    )
    rows = [(f"A{number:03d}", "1.1.1-VN2021-15", "draw" if number < 5 else "no") for number in range(12)]
    put_draw_file(run="DPB-1", data=draw_file(rows))
    record(
        event="run.frozen", on=DAY, run="DPB-1", root="0" * 64, applicants=12, supply=5, policy="1" * 64,
        engine="2" * 64, source="public_draw", draw="XSMB", draw_on=DAY,
    )  # fmt: skip
    record(event="run.seeded", on=DAY, run="DPB-1", randomness="3132", seed="4" * 64)
    record(
        event="run.committed", on=DAY, run="DPB-1", served=5, unserved=7, result="3" * 64,
        draw_file=hashlib.sha256(draw_file(rows)).hexdigest(),
    )  # fmt: skip
    log.turn()
    paths = (
        f"/thiet-bi/{device[0]}/", "/so-cai/", "/so-cai/tu-kiem-tra/", "/so-cai/dinh-chinh/", "/so-cai/dot/DPB-1/",
        "/so-cai/cam-ket/CK-2021-0001/", "/tra-cuu/", "/tra-cuu/?ma=7K3QF9XW2MDX", "/so-cai/yeu-cau/",
    )  # fmt: skip
    return [*(f"http://localhost{path}" for path in paths), trace.family_url(eid=device[1])]


def test_without_javascript_every_page_says_all_and_offers_no_dead_button(log, device, browser):
    addresses = public_pages(device, log)
    with answered(browser, viewport={"width": 390, "height": 844}, java_script_enabled=False) as page:
        for address in addresses:
            page.goto(address)
            assert page.locator("h1").count() == 1, address
            assert page.locator("button:visible").evaluate_all("all => all.every((b) => b.form)"), address
            assert not page.get_by_text("Đang kiểm tra").is_visible(), address
        assert page.get_by_text("Trang này cần trình duyệt mới hơn, có JavaScript").is_visible()


def test_an_old_browser_is_offered_no_check_that_would_look_failed(log, device, browser):
    with answered(browser, viewport={"width": 390, "height": 844}) as page:
        page.add_init_script(OLD)
        for address in public_pages(device, log):
            page.goto(address)
            assert not page.locator("[data-run]:visible").count(), address
            assert not "".join(page.locator("[data-result]:visible").all_inner_texts()).strip(), address
        assert page.get_by_text("Trang này cần trình duyệt mới hơn, có JavaScript").is_visible()


def test_with_the_keyboard_alone_every_page_is_walked_and_every_check_is_made(log, device, browser):
    for address, width in zip(public_pages(device, log), itertools.cycle((390, 1280))):
        with answered(browser, viewport={"width": width, "height": 844}) as page:
            page.goto(address)
            page.wait_for_load_state("networkidle")
            wanted = page.locator(f"{STOPS}:visible").count()
            walk = page.evaluate_handle("() => new Set()")
            for _ in range(80):
                page.keyboard.press("Tab")
                told = page.evaluate(
                    """([seen, stops]) => {
                        const here = document.activeElement;
                        if (here === document.body) return "end";
                        const style = getComputedStyle(here);
                        if (here.matches(stops)) seen.add(here);
                        return style.outlineStyle === "none" && style.boxShadow === "none" ? here.outerHTML : "";
                    }""",
                    [walk, STOPS],
                )
                if told == "end":
                    break
                assert told == "", f"{address}: focus can't be seen on {told}"
                if page.evaluate("() => document.activeElement.matches('[data-run]')"):
                    page.keyboard.press("Enter")
                    page.wait_for_function("document.querySelector('[data-result]').textContent.trim()")
            reached = page.evaluate("(seen) => seen.size", walk)
            assert reached >= wanted, f"{address} at {width}: {reached} of {wanted} reached"

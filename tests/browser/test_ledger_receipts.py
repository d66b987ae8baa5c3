"""A family opens its receipt in a real browser: the salt stays behind the #, in no request that leaves the browser."""

import contextvars
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from ledger import trace
from ledger.receipts import check_receipt
from ledger.services import openings_of, record
from tests.ledger_log import DAY, make_log, receive

NAME = "Giàng Thị Mỷ"


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
        commit={"recipient": NAME, "school": "TH Sao Mai"},
    )  # fmt: skip
    return code, eid


@pytest.fixture
def page(browser):
    """A page whose every request the application itself answers, and is written down."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True)
    # The browser's callbacks run in a context of their own: the test's database connection lives in this one.
    opened, client, ours = context.new_page(), Client(), contextvars.copy_context()
    opened.requests_made = []

    def answer(route):
        request = route.request
        opened.requests_made.append(f"{request.method} {request.url} {request.headers} {request.post_data}")
        split = urlsplit(request.url)
        if split.path.startswith("/static/"):
            return route.fulfill(path=finders.find(split.path.removeprefix("/static/")))
        response = ours.run(client.get, split.path + (f"?{split.query}" if split.query else ""))
        body = b"".join(response.streaming_content) if response.streaming else response.content
        headers = dict(response.headers.items())
        # The pages are answered over http here; the browser need not go looking for https.
        headers.pop("Content-Security-Policy", None)
        return route.fulfill(status=response.status_code, headers=headers, body=body)

    context.route("**/*", answer)
    yield opened
    context.close()


def result(page) -> str:
    page.wait_for_function(
        "!/Đang kiểm tra|^$/.test(document.querySelector('[data-result]').textContent.trim())"
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
    assert NAME in page.inner_text("[data-opened]")
    with page.expect_download() as download:
        page.click("[data-keep]")
    kept = tmp_path / "kept.tlog-proof"
    download.value.save_as(kept)
    opened = check_receipt(kept.read_bytes(), log.verifiers[0])[0].openings
    assert {field: value for field, value, _ in opened} == {"recipient": NAME, "school": "TH Sao Mai"}
    secrets = [bytes(one.salt).hex() for one in openings_of(eid=eid)] + [address.split("#")[1], NAME]
    assert len(page.requests_made) >= 4
    told = "\n".join(page.requests_made) + caplog.text
    assert [secret for secret in secrets if secret in told] == []


def test_before_the_batch_is_out_the_receipt_says_so(log, device, page):
    log.turn(at_once=False, today=DAY)
    page.goto(trace.family_url(eid=device[1]))
    assert "chưa đến đợt công bố" in result(page)


def test_a_changed_receipt_is_told(log, device, page):
    log.turn()
    address = trace.family_url(eid=device[1])
    tampered = trace.family_address(
        device=device[0], eid=device[1],
        openings=[(one.field, "Người khác", bytes(one.salt)) for one in openings_of(eid=device[1])],
    )  # fmt: skip
    page.goto(tampered)
    assert "KHÔNG ĐÚNG" in result(page)
    page.goto(f"{address.split('#')[0]}#khong-phai-bien-nhan")
    page.reload()
    assert "KHÔNG ĐÚNG" in result(page)


def test_a_device_page_checks_itself_and_says_what_it_checked(log, device, page):
    log.turn()
    page.goto(f"http://localhost/thiet-bi/{device[0]}/")
    page.click("[data-run]")
    assert "kiểm tra chữ ký" in result(page)
    page.evaluate("() => { crypto.subtle.importKey = () => Promise.reject(new Error('no Ed25519')); }")
    page.click("[data-run]")
    page.wait_for_function("document.querySelector('[data-result]').textContent.includes('Đúng một phần')")

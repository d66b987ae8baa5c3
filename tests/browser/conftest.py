"""A real browser on the real processes.

`live` is the platform (web, worker, beat) on a database of its own with the reference data, made once by each runner;
`small_screen` and `wide_screen` are pages at 390 and 1280 px that fail the test for any JavaScript error, missing
resource or request to another host; `check_page` is axe and the page's own rules.
"""

import os
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from django.conf import settings
from playwright.sync_api import Page, sync_playwright

from tests.browser.setup import ARGUMENTS, executable
from tests.live import Platform, cloned_database
from tests.signing_in import OPEN

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
# What is wrong and nothing else: to carry all that is right out of the browser took up to a fifth of the time.
VIOLATIONS = """tags => axe.run({resultTypes: ["violations"], runOnly: {type: "tag", values: tags}})
    .then(({violations}) => ({violations}))"""
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="package")
def live(clean_database_url, tmp_path_factory):
    """The platform's processes with reference data; `live.url`, `live.query(sql)`, `live.manage(command)`."""
    name = f"{clean_database_url.rsplit('/', 1)[1]}_live"
    with cloned_database(clean_database_url, name) as url:
        platform = Platform(url, tmp_path_factory.mktemp("live"), PROCESS_NAME="live")
        try:
            platform.manage("prepare_queue")
            platform.manage("load_reference")
            platform.manage("collectstatic", "--noinput", "--verbosity", "0")
            platform.start("web", "worker", "beat", "signer")
            yield platform
        finally:
            platform.kill()


@pytest.fixture(scope="package")
def browser():
    """One Chromium per runner."""
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What went wrong in a page while a test used it."""

    def __init__(self, own_host: str):
        self.own_host = own_host
        self.problems: list[str] = []
        # Addresses a test expects to fail, such as a refused page it asks for on purpose.
        self.expected: set[str] = set()

    def attach(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(f"JavaScript: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("response", self._response)

    def _console(self, message) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(f"console: {message.text}")

    def _request(self, request) -> None:
        host = urlsplit(request.url).netloc
        if host and host != self.own_host and not request.url.startswith(("data:", "blob:")):
            self.problems.append(f"máy chủ khác: {request.url}")

    def _response(self, response) -> None:
        path = urlsplit(response.url).path
        if response.status >= 400 and path not in self.expected:
            self.problems.append(f"{response.status}: {path}")


@pytest.fixture
def screens(browser, live):
    """`screens(viewport, **context)` opens a page; the test fails afterwards for whatever its watch saw."""
    opened: list[tuple] = []

    def open_screen(viewport: dict, **context_options) -> Page:
        context = browser.new_context(
            viewport=viewport,
            base_url=live.url,
            locale="vi-VN",
            timezone_id="Asia/Ho_Chi_Minh",
            **context_options,
        )
        context.set_default_timeout(15_000)
        page = context.new_page()
        watch = Watch(urlsplit(live.url).netloc)
        watch.attach(page)
        page.watch = watch
        opened.append((context, watch))
        return page

    yield open_screen
    problems = [problem for _, watch in opened for problem in watch.problems]
    for context, _ in opened:
        context.close()
    assert not problems, "\n".join(problems)


@pytest.fixture
def small_screen(screens) -> Page:
    """A phone: 390 px."""
    return screens(PHONE, has_touch=True)


@pytest.fixture
def wide_screen(screens) -> Page:
    """A desk: 1280 px."""
    return screens(DESK)


@pytest.fixture
def signed_in_as(live):
    """`signed_in_as(page, "email")`: put a session that passed the second factor into the page's cookies."""

    def signed_in_as(page: Page, email: str) -> Page:
        key = live.python(OPEN.format(email=email)).split()[-1]
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live.url}])
        return page

    return signed_in_as


@pytest.fixture
def check_page():
    """`check_page(page)`: no WCAG 2.2 AA violation, one h1, a title, no sideways scrolling, no raw template."""

    def check_page(page: Page) -> None:
        # A click returns when the next page has begun to come, not when it is there.
        page.wait_for_load_state("load")
        page.evaluate(AXE_SCRIPT)
        found = AxeResults(page.evaluate(VIOLATIONS, WCAG))
        assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
        assert page.title().strip(), page.url
        assert page.locator("h1").count() == 1, f"{page.url}: cần đúng một h1"
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{page.url}: trang rộng hơn màn hình {overflow} px"
        text = page.locator("body").inner_text()
        assert "{{" not in text, f"{page.url}: mẫu chưa điền"
        assert "{%" not in text, f"{page.url}: mẫu chưa điền"

    return check_page

"""The national pages in a real browser: accessible, light, and whole without JavaScript."""

import gzip
from urllib.parse import urlsplit

import pytest

PUBLIC = ["/", "/en/", "/cach-tinh/", "/tin-tuc/", "/nha-tai-tro/", "/sao-ke/", "/du-lieu-mo/", "/api/v1/"]


@pytest.mark.parametrize("screen", ["small_screen", "wide_screen"])
def test_national_pages_are_accessible(request, check_page, screen):
    page = request.getfixturevalue(screen)
    for path in PUBLIC:
        page.goto(path)
        check_page(page)


def test_the_first_view_is_light(small_screen, live):
    sizes: dict[str, int] = {}

    def weigh(response):
        body = response.body()
        packed = response.headers.get("content-encoding") or response.url.endswith(".woff2")
        # The proxy in front packs the page itself; static files come packed already.
        sizes[urlsplit(response.url).path] = (
            int(response.headers.get("content-length", 0)) or len(body)
            if packed
            else len(gzip.compress(body))
        )

    small_screen.on("response", weigh)
    small_screen.goto("/", wait_until="networkidle")
    assert sum(sizes.values()) < 150_000, sizes


def test_everything_is_there_without_javascript(screens):
    page = screens({"width": 390, "height": 844}, java_script_enabled=False)
    page.goto("/")
    page.get_by_text("Mục lục", exact=True).first.click()
    assert page.get_by_role("link", name="Tra cứu", exact=True).first.is_visible()
    page.get_by_text("Xem bảng 63 tỉnh, thành phố").click()
    assert page.get_by_role("link", name="Cao Bằng").is_visible()


def test_a_phone_sees_tiles_and_a_desk_the_country(small_screen, wide_screen):
    small_screen.goto("/")
    assert small_screen.locator("svg.tile-map").is_visible()
    assert not small_screen.locator("svg.geo-map").is_visible()
    wide_screen.goto("/")
    assert wide_screen.locator("svg.geo-map").is_visible()
    assert not wide_screen.locator("svg.tile-map").is_visible()


def test_the_keyboard_reaches_the_content_first(wide_screen):
    wide_screen.goto("/")
    wide_screen.keyboard.press("Tab")
    assert wide_screen.evaluate("document.activeElement.textContent") == "Đến nội dung chính"
    wide_screen.keyboard.press("Enter")
    assert wide_screen.evaluate("document.activeElement.id") == "main"

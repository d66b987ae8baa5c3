"""Every public page without JavaScript, and in a browser too old for what some of the scripts need.

That every form works by an ordinary POST is shown in test_sent_twice, where no script runs either.
"""

import pytest
from django.test import Client

from allocation.models import AllocationRun
from tests.browser.answering import OLD, answered
from tests.browser.conftest import PHONE
from tests.pages.test_access_matrix import PAGES, fill
from tests.pages.test_sent_twice import FILES

# Things to press or follow that only a script could bring to life.
LIFELESS = (
    "button[type=button]:visible, [data-js]:visible, a[href='#']:visible, a[href^='javascript:']:visible,"
    " a:not([href]):visible, [onclick]:visible, [hx-get]:visible:not(a, form, [role=status])"
)


@pytest.fixture
def addresses(house):
    """Public addresses that answer with a page, in both languages; those of an object with one that is public."""
    public = {
        "thiet-bi/<str:code>/": {"code": house.world.allocations[0].device.code},
        "cam-ket/<str:code>/": {"code": house.world.lot.pledge.code},
        "tinh/<slug:slug>/": {"slug": house.world.province.slug},
        "phan-bo/cong-khai/<str:code>/": {"code": AllocationRun.objects.earliest("pk").code},
    }
    client, found = Client(), []
    for route, access in PAGES:
        if not access.is_public or route.startswith(("healthz", "metrics", "api/")) or route.endswith(FILES):
            continue
        path = fill(route, public.get(route))
        for address in (path, f"/en{path}"):
            response = client.get(address)
            body = response.getvalue() if response.streaming else response.content
            if response.status_code == 200 and b"<html" in body[:1000]:
                found.append(address)
    assert len(found) > 30, found
    return found


@pytest.mark.django_db
def test_every_public_page_is_whole_without_javascript(addresses, browser):
    wrong = []
    with answered(browser, viewport=PHONE, java_script_enabled=False) as page:
        for address in addresses:
            page.goto(f"http://localhost{address}")
            if not page.locator("main:visible h1:visible").count():
                wrong.append((address, "không có tiêu đề"))
            wrong += [(address, html[:200]) for html in _html(page.locator(LIFELESS))]
            forms = page.locator("form:visible")
            mute = forms.filter(has_not=page.locator("button:not([type=button]), input[type=submit]"))
            wrong += [(address, "biểu mẫu không gửi được", html[:200]) for html in _html(mute)]
    assert not wrong, "\n".join(map(str, wrong))


def _html(found) -> list[str]:
    return [one.evaluate("element => element.outerHTML") for one in found.all()]


@pytest.mark.django_db
def test_an_old_browser_is_offered_only_what_it_can_do(addresses, browser):
    wrong, checks = [], 0
    with answered(browser, viewport=PHONE) as page:
        page.add_init_script(OLD)
        page.on("pageerror", lambda error: wrong.append((page.url, str(error))))
        for address in addresses:
            page.goto(f"http://localhost{address}")
            checks += page.locator("[data-js=proof], [data-without=proof]").count()
            pressed = (
                "[data-js=proof]:visible, [data-js=clipboard]:visible, [data-without=proof]:not(:visible)"
            )
            wrong += [(address, html[:200]) for html in _html(page.locator(pressed))]
    assert not wrong, "\n".join(map(str, wrong))
    assert checks

"""axe on every page there is, each once, for whoever of the matrix's people may open it; pages find themselves."""

import pytest
from django.test import Client

from tests.browser.answering import answered
from tests.browser.conftest import PHONE
from tests.pages.test_access_matrix import PAGES, SHARED, fill
from tests.pages.test_sent_twice import FILES

# No pages; and the pages of runs, which test_allocation_pages opens in every state.
ELSEWHERE = ("healthz", "metrics", "api/", "phan-bo/")


def _pages(house) -> dict[Client, list[str]]:
    """Addresses that answer with a page, by the first person they answer."""
    people = [(None, Client()), *((house.people[post], client) for post, client in house.own.items())]
    found: dict[Client, list[str]] = {}
    for route, access in PAGES:
        if route.startswith(ELSEWHERE) or route.endswith(FILES):
            continue
        members = access.alternatives or (access,)
        known = next((one for one in house.objects if route.startswith(one)), None)
        path = fill(route, house.objects[known] if known and not route.startswith(tuple(SHARED)) else None)
        for person, client in people:
            if not access.is_public and not (person and any(member.test(person) for member in members)):
                continue
            response = client.get(path)
            body = response.getvalue() if response.streaming else response.content
            if (
                response.status_code == 200 and b"<html" in body[:1000]
            ):  # else a file, or a part of a page for htmx
                found.setdefault(client, []).append(path)
                break
    return found


@pytest.mark.long
@pytest.mark.django_db
def test_every_page_is_accessible(house, browser, check_page):
    wrong, count = [], 0
    for client, paths in _pages(house).items():
        with answered(browser, client, viewport=PHONE) as page:
            for path in paths:
                page.goto(f"http://localhost{path}")
                count += 1
                try:
                    check_page(page)
                except AssertionError as error:
                    wrong.append(str(error)[:1500])
    assert not wrong, "\n".join(wrong)
    assert count > 60

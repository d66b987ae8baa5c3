"""What a person does on a page that leads to another one: each waits until the next page is there.

A test that goes on while a form's answer is still on its way races with it: the browser then aborts one of the two
navigations (`net::ERR_ABORTED`), or the test reads the database before the server has written.
"""

from playwright.sync_api import Locator, expect


def follow(link_or_button: Locator) -> None:
    """Press what leads to another page (a link, a form's button) and wait until that page is there."""
    with link_or_button.page.expect_navigation():
        link_or_button.click()


def see_result(shown: Locator, *, timeout_s: float = 60) -> None:
    """Wait on a page that shows a job's progress, and open the result.

    `shown` is what only the finished page has. A quick worker is done before the page comes: then it is there at once,
    else the progress ends with the link "Xem kết quả", and asks the server no more.
    """
    link = shown.page.get_by_role("link", name="Xem kết quả")
    expect(shown.or_(link).first).to_be_visible(timeout=timeout_s * 1000)
    if link.is_visible():
        follow(link)
    expect(shown).to_be_visible()

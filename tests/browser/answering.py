"""A browser whose every request the application itself answers, in the test's own transaction: no server is started."""

import contextlib
import contextvars
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Page

# For `add_init_script`: what a browser of some years ago lacks.
OLD = "delete window.fetch; delete Crypto.prototype.subtle; delete Navigator.prototype.clipboard;"


@contextlib.contextmanager
def answered(browser, client: Client | None = None, **options) -> Iterator[Page]:
    """A page whose requests `client` (else nobody's) answers; they are written down in its `requests_made`."""
    context = browser.new_context(**options)
    # The browser's callbacks run in a context of their own: the test's database connection lives in this one.
    opened, client, ours = context.new_page(), client or Client(), contextvars.copy_context()
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

"""Head, menu and footer are made once and kept: never with another page's mark or another language's words."""

import re

import pytest
from django.template import engines
from django.test import Client, RequestFactory
from django.utils.translation import override

from common.templatetags.kept import KEPT_AT_MOST, KeptNode

pytestmark = pytest.mark.django_db


def menu(client: Client, path: str) -> list[tuple[str, str]]:
    """The marked items of the page's menu: (address, what the mark says)."""
    text = client.get(path).content.decode()
    head = text[text.index('<nav class="nav-row"') : text.index("</nav>")]
    return re.findall(r'<a href="([^"]*)" aria-current="([a-z]*)"', head)


def test_the_menu_marks_where_one_is_whatever_was_asked_before(client: Client):
    for _ in range(2):
        assert menu(client, "/so-cai/") == [("/so-cai/", "page")]
        assert menu(client, "/so-cai/dinh-chinh/") == [("/so-cai/", "true")]
        assert menu(client, "/tra-cuu/") == [("/tra-cuu/", "page")]
        assert menu(client, "/en/so-cai/") == [("/en/so-cai/", "page")]
        assert menu(client, "/huong-dan/") == []


def test_the_menu_speaks_the_language_of_the_page(client: Client):
    for _ in range(2):
        assert "Đến nội dung chính" in client.get("/so-cai/").content.decode()
        assert "Đến nội dung chính" not in client.get("/en/so-cai/").content.decode()


def test_a_part_is_kept_per_language_and_key_and_invented_addresses_do_not_fill_the_memory():
    made = engines["django"].from_string(
        "{% load kept i18n %}{% kept key %}{% get_current_language as l %}{{ l }} {{ key }} {{ n }}{% endkept %}"
    )
    request = RequestFactory().get("/")
    with override("vi"):
        assert [made.render({"key": "a", "n": n}, request) for n in (1, 2)] == ["vi a 1", "vi a 1"]
        assert made.render({"key": "b", "n": 2}, request) == "vi b 2"
    with override("en"):
        assert made.render({"key": "a", "n": 3}, request) == "en a 3"
    (node,) = made.template.nodelist.get_nodes_by_type(KeptNode)
    for number in range(3 * KEPT_AT_MOST):
        made.render({"key": number, "n": 0}, request)
    assert len(node.parts) <= KEPT_AT_MOST

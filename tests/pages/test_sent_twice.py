"""Every form of every page sent twice as it stands: one effect, the same answer, which is another page, so that a reload
repeats nothing. Forms find themselves in the pages; no JavaScript runs here: all of them work without it."""

import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import Resolver404, resolve

from common.models import SentForm
from common.once import TOKEN
from delivery.models import Grievance
from tests.pages.test_access_matrix import PAGES, SHARED, fill

# What no form of ours ever adds to for a person: who read, sessions, the memory of sent forms itself.
ASIDE = ("common_sentform", "accounts_session", "accounts_personaldataaccess")
EFFECTS = """
SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_user_tables
WHERE schemaname = 'public' AND relname <> ALL(%s)
"""
# They are no pages, and take long to make.
FILES = (".pdf", ".xlsx", ".csv", ".json", ".geojson", ".svg")
TYPED = {
    "number": "1", "date": "2021-11-15", "datetime-local": "2021-11-20T18:00", "email": "a@example.vn",
    "tel": "0912345678", "url": "https://example.vn/",
}  # fmt: skip


class Forms(HTMLParser):
    """The POST forms of a page, each with its address and its fields filled in."""

    def __init__(self, *, is_full: bool):
        super().__init__()
        self.is_full = is_full
        self.found: list[tuple[str, list[tuple[str, str]]]] = []
        self.fields: list[tuple[str, str]] | None = None
        self.select: list | None = None

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name, kind = given.get("name"), given.get("type", "text")
        if tag == "form":
            self.fields = [] if given.get("method", "").lower() == "post" else None
            if self.fields is not None:
                self.found.append((given.get("action", ""), self.fields))
        elif self.fields is None or "disabled" in given:
            return
        elif tag == "select":
            self.select = [name, []]
        elif tag == "option" and self.select:
            self.select[1].append(given.get("value", ""))
        elif not name:
            return
        elif tag == "textarea":
            self.fields.append((name, "Nội dung để thử"))
        elif tag == "button" and given.get("type", "submit") == "submit" and given.get("value"):
            self.fields.append((name, given["value"]))
        elif tag == "input" and kind not in ("file", "submit"):
            known = {field for field, _ in self.fields}
            if kind in ("radio", "checkbox"):
                if kind == "checkbox" or name not in known:
                    self.fields.append((name, given.get("value", "on")))
            else:
                # A field that people never see must stay empty: robots fill it in.
                may_be_empty = name == "website" or "required" not in given
                typed = "" if may_be_empty and not self.is_full else TYPED.get(kind, "10")
                self.fields.append((name, given.get("value") or ("" if name == "website" else typed)))

    def handle_endtag(self, tag):
        if tag == "form":
            self.fields = None
        elif tag == "select" and self.select and self.fields is not None:
            name, options = self.select
            self.fields.append((name, next((option for option in options if option), "")))
            self.select = None


def effects() -> int:
    with connection.cursor() as cursor:
        cursor.execute(EFFECTS, [list(ASIDE)])
        return cursor.fetchone()[0]


def body(fields) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for name, value in fields:
        made.setdefault(name, []).append(value)
    return made


def forms_of(client: Client, path: str, *, is_full: tuple[bool, ...] = (False,)):
    """Address and filled-in fields of each form of a page; what may stay empty does, unless `is_full`."""
    response = client.get(path)
    if response.status_code != 200 or not response.get("Content-Type", "").startswith("text/html"):
        if response.streaming:
            response.getvalue()
        return
    text = (response.getvalue() if response.streaming else response.content).decode()
    for filling in is_full:
        page = Forms(is_full=filling)
        page.feed(text)
        for action, fields in page.found:
            yield urljoin(path, action), fields


def send(client: Client, address: str, fields):
    """Status and where it leads."""
    response = client.post(address, body(fields))
    if response.streaming:
        response.getvalue()
    return response.status_code, response.get("Location", "")


@pytest.mark.long
@pytest.mark.django_db
def test_every_form_sent_twice_has_one_effect_and_leads_on(house):
    people = [(house.people[post], client) for post, client in house.own.items()]
    people.append((None, Client(raise_request_exception=False)))
    accepted, wrong, tried = set(), [], set()
    for route, access in PAGES:
        if route.startswith(("healthz", "metrics", "api/")) or route.endswith(FILES):
            continue
        members = access.alternatives or (access,)
        known = next((one for one in house.objects if route.startswith(one)), None)
        path = fill(route, house.objects[known] if known and not route.startswith(tuple(SHARED)) else None)
        for number, (person, client) in enumerate(people):
            # Who may not open a page finds no form there: the matrix shows that.
            if not access.is_public and not (person and any(member.test(person) for member in members)):
                continue
            for address, fields in forms_of(client, path, is_full=(False, True)):
                try:
                    name = resolve(address.partition("?")[0]).view_name
                except Resolver404:
                    continue
                if "tai-khoan/" in address:
                    continue
                what = (name, tuple(sorted({field for field, _ in fields})))
                now = (what, number, tuple(value for field, value in fields if field != TOKEN))
                if what in accepted or now in tried:
                    continue
                tried.add(now)
                with transaction.atomic():
                    before = effects()
                    first = send(client, address, fields)
                    between = effects()
                    second = send(client, address, fields)
                    done = effects() - between
                    transaction.set_rollback(True)
                # What was refused counts what it took back, too; what was accepted must not do anything again.
                if first[0] >= 500 or first != second or (first[0] == 302 and done):
                    wrong.append((name, first, second, done))
                # A reload repeats what was answered in place: whoever did something is led on to a page that tells.
                if first[0] == 200 and between > before:
                    wrong.append((name, "có tác dụng mà không chuyển trang", between - before))
                if first[0] == 302:
                    accepted.add(what)
    assert not wrong, "\n".join(map(str, wrong))
    assert len(accepted) >= 12, sorted(name for name, _ in accepted)


def _token(client: Client, path: str) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="(\w{64})"', client.get(path).content.decode())[1]


@pytest.mark.django_db(transaction=True)
def test_a_double_click_from_two_connections_makes_one_report():
    browser = Client(enforce_csrf_checks=True)
    _, fields = next(one for one in forms_of(browser, "/phan-anh/") if dict(one[1]).get("text"))
    cookies = browser.cookies

    def click(_):
        client = Client(enforce_csrf_checks=True)
        client.cookies = cookies
        try:
            return send(client, "/phan-anh/", fields)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        said = set(pool.map(click, range(6)))
    assert len(said) == 1, said
    assert said.pop()[0] == 302
    assert Grievance.objects.count() == 1


@pytest.mark.django_db
def test_a_new_page_is_a_new_act_and_a_refused_form_may_be_sent_again():
    client = Client()
    for _ in range(2):
        _, fields = next(one for one in forms_of(client, "/phan-anh/") if dict(one[1]).get("text"))
        assert send(client, "/phan-anh/", fields)[0] == 302
    assert Grievance.objects.count() == 2
    bare = [("csrfmiddlewaretoken", _token(client, "/phan-anh/"))]
    assert [send(client, "/phan-anh/", bare)[0] for _ in range(2)] == [422, 422]
    assert SentForm.objects.count() == 2
    assert not [row for row in SentForm.objects.all() if b"/phan-anh/" in bytes(row.location)], "niêm kín"

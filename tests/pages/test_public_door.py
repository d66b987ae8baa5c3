"""Everything that is answered to everyone as data passes the disclosure rules, whoever wrote the page."""

import csv
import io
import json

import openpyxl
import pytest
from django.test import Client

from dashboards.opendata import DATASETS, Dataset, Field
from ledger.disclosure import MASK, DisclosureError
from tests.pages import urls_door

pytestmark = pytest.mark.django_db


@pytest.fixture
def hurried(settings):
    settings.ROOT_URLCONF = "tests.pages.urls_door"
    return Client()


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("view", urls_door.REFUSED, ids=lambda view: view.__name__)
def test_a_new_public_page_cannot_answer_with_a_person(hurried, view, method):
    with pytest.raises(DisclosureError):
        getattr(hurried, method)(f"/{view.__name__}/")
    hurried.raise_request_exception = False
    answer = getattr(hurried, method)(f"/{view.__name__}/")
    assert answer.status_code == 500
    assert "Giàng" not in answer.content.decode()


def test_a_form_that_anyone_may_send_adds_to_private_tables_and_reads_none(hurried):
    assert hurried.post("/sent_form/").status_code == 200


def test_places_and_devices_may_be_named_and_staff_are_not_the_public(hurried, user):
    assert hurried.get("/things/").json()["name"] == "Trường TH Sao Mai"
    assert "Sao Mai" in b"".join(hurried.get("/table/").streaming_content).decode()
    hurried.force_login(user)
    assert hurried.get("/staff/").json() == {"full_name": "Giàng Thị Mỷ"}


def test_a_citizen_s_number_in_a_text_is_masked_on_pages_and_in_tables(hurried):
    page = hurried.get("/number_on_a_page/").content.decode()
    assert "001234567890" not in page
    assert f"CCCD {MASK}, máy" in page
    assert "/thiet-bi/012345678901/" in page
    table = b"".join(hurried.get("/number_in_csv/").streaming_content).decode()
    assert f"cccd {MASK}" in table
    assert "250000000000" in table


def test_only_staff_pages_read_the_rows_of_children(hurried, user):
    assert hurried.get("/table/").status_code == 200
    hurried.force_login(user)
    assert hurried.get("/staff_count/").content == b"<p>0</p>"


def test_a_new_set_of_open_data_cannot_have_a_column_about_persons():
    fields = tuple(Field(name, "string", "") for name in ("code", "full_name"))
    hurried = Dataset("new", "", "", fields, lambda: [("A", "Giàng Thị Mỷ")])
    with pytest.raises(DisclosureError, match="full_name"):
        list(hurried.objects())
    with pytest.raises(DisclosureError, match="full_name"):
        list(hurried.rows())


def test_a_citizen_s_number_in_somebody_s_text_is_masked_and_the_table_stays():
    texts = ("cccd 001234567890, UH CK-2021-000123", "0012345678901", "FT001234567890")
    fields = tuple(Field(name, "string", "") for name in ("ref", "text"))
    made = Dataset("new", "", "", fields, lambda: [(number, text) for number, text in enumerate(texts)])
    assert [row[1] for row in made.rows()] == [f"cccd {MASK}, UH CK-2021-000123", *texts[1:]]


@pytest.mark.parametrize("slug", DATASETS)
def test_every_set_of_open_data_comes_through_the_door(slug, monkeypatch, client):
    """In every form that it is given out in, with a number that somebody typed where it doesn't belong."""
    dataset = DATASETS[slug]
    texts = [field.name for field in dataset.fields if field.type == "string"]
    given = {"string": "cccd 001234567890", "integer": 7}
    row = tuple(given.get(field.type) for field in dataset.fields)
    monkeypatch.setitem(vars(dataset), "source", lambda **_asked: [row])
    answers = [
        json.loads(client.get(f"/du-lieu-mo/{slug}.json").getvalue()),
        client.get(f"/api/v1/{slug}/").json(),
    ]
    answers.append(
        {
            "rows": list(
                csv.DictReader(
                    io.StringIO(client.get(f"/du-lieu-mo/{slug}.csv").getvalue().decode("utf-8-sig"))
                )
            )
        }
    )
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"/du-lieu-mo/{slug}.xlsx").getvalue()))
    head, cells = book.active.values
    answers.append({"rows": [dict(zip(head, cells, strict=True))]})
    for answer in answers:
        assert [answer["rows"][0][name] for name in texts] == [f"cccd {MASK}"] * len(texts)

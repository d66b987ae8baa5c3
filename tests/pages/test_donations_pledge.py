"""The public pledge form and the pledge's page, through the client."""

import re
import unicodedata

import pytest
import time_machine
from celery import current_app
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from common.models import SentMail
from common.search_keys import SearchKey
from common.vietnamese import search_key
from donations import codes, services, tasks
from donations.documents import DOCUMENTS, contribution
from donations.models import Pledge, PledgeDraft
from schools.models import Office, School
from tests.supply import AT, DAY, World

pytestmark = pytest.mark.django_db
WHO = {"donor_kind": "individual", "name": "Trần Thị Hoa", "kind": "device"}
TABLETS = {"device_kind": "tablet", "quantity": "20", "condition": "new", "screen_inch": "8", "ram_gb": "3"}
CONTACT = {"contact_name": "Trần Thị Hoa", "contact_email": "hoa@example.vn", "contact_phone": "0912 345 678"}


@pytest.fixture
def world():
    made = World()
    made.criteria()
    return made


def fill(client, who=WHO, what=TABLETS, where=None, contact=CONTACT) -> str:
    """Go through the form up to the last step; return the draft's last address."""
    address = client.post("/ung-ho/", who)["Location"]
    for answers in (what, where or {"scope": "anywhere"}, contact):
        response = client.post(address, answers)
        assert response.status_code == 302, response.content.decode()
        address = response["Location"]
    return address


def send(client, address, **more):
    with time_machine.travel("2030-01-01", tick=True):
        return client.post(address, more)


def test_a_person_pledges_twenty_tablets(client, world, django_capture_on_commit_callbacks):
    with time_machine.travel("2029-12-31 23:59:30"):
        address = fill(client, where={"scope": "school", "province": world.province.pk, "place": "15000001"})
        page = client.get(address).content.decode()
    assert "20 máy tính bảng, mới" in page
    with django_capture_on_commit_callbacks(execute=False):
        response = send(client, address)
    pledge = Pledge.objects.get()
    assert (pledge.quantity, pledge.state, pledge.earmark_school_id) == (20, "made", world.school.pk)
    private = response["Location"]
    page = client.get(private).content.decode()
    assert pledge.code in page
    assert "Đã ghi nhận cam kết của bạn" in page
    # A second click makes no second pledge.
    assert send(client, address)["Location"].split("?")[0] == private.split("?")[0]
    assert Pledge.objects.count() == 1
    assert PledgeDraft.objects.get().answers == {}
    # The public page: neither name (no consent), nor contact, nor the school.
    public = client.get(f"/cam-ket/{pledge.code}/").content.decode()
    for secret in ("hoa@example.vn", "0912", "Hoa", world.school.office.name, private.split("/")[4]):
        assert secret not in public
    assert "Tỉnh Yên Bái" in public
    tasks.mail_pledge(pledge_id=pledge.pk)
    tasks.mail_pledge(pledge_id=pledge.pk)
    (letter,) = mail.outbox
    assert private.split("?")[0] in letter.body
    assert SentMail.objects.get().delivered_on_clock_at


def test_a_school_is_found_among_a_thousand_by_the_database(client, world):
    above = world.school.office.parent
    place = world.school
    near = {
        "level": "primary",
        "commune": place.commune,
        "district": place.district,
        "province": place.province,
    }
    names = [f"Trường TH Đồng Khởi {number}" for number in range(1000)] + [
        "Trường TH Đồng Khởi",
        "THCS Hoà\u200b Bình",
    ]
    offices = Office.objects.bulk_create(
        Office(
            kind="school",
            code=f"T{number:04}",
            name=name,
            parent=above,
            path=f"{above.path}T{number:04}/",
            valid_from=DAY,
        )
        for number, name in enumerate(names)
    )
    School.objects.bulk_create(
        School(office=office, code=f"1599{number:04}", **near) for number, office in enumerate(offices)
    )
    with connection.cursor() as cursor:
        # As autovacuum does by then: a planner that takes both tables for empty computes a million keys.
        cursor.execute("ANALYZE schools_office, schools_school")
    address = client.post("/ung-ho/", WHO)["Location"]
    where = client.post(address, TABLETS)["Location"]

    def ask(place: str):
        return client.post(where, {"scope": "school", "province": world.province.pk, "place": place})

    assert "Có nhiều nơi giống «dong khoi»" in (said := ask("dong khoi").content.decode())
    assert len(set(re.findall(r"\(1599\d{4}\)", said))) == 6
    assert "Không tìm thấy" in ask("Trưng Vương").content.decode()
    for place, office in (("truong th DONG KHOI", offices[1000]), ("hoa thcs bình", offices[1001])):
        with CaptureQueriesContext(connection) as asked:
            assert ask(place).status_code == 302
        assert PledgeDraft.objects.get().answers["noi-nhan"]["school"] == office.pk
        read = [query["sql"] for query in asked.captured_queries if "schools_school" in query["sql"]]
        assert len(read) == 2
        assert all("LIMIT" in sql for sql in read), read


def test_the_database_makes_the_same_search_key():
    # Every letter, mark and sign that Latin text may hold, alone between two letters.
    signs = [*range(1, 0x250), *range(0x300, 0x370), *range(0x1E00, 0x1F00), *range(0x2000, 0x2070), 0xFEFF]
    texts = [
        *(f"A{chr(sign)}b" for sign in signs),
        "Trường THCS  Nguyễn Đình Chiểu", "ĐẮK LẮK – đường Số 7", "Ưu\u200b ái\ufeff, Ỷ Ỵ ỹ", "Éa Súp (cơ sở 2)", "...",
        unicodedata.normalize("NFD", "Trường Tiểu học Hoà Bình"), "",
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {SearchKey.template % {'expressions': 't'}} FROM unnest(%s::text[]) WITH ORDINALITY u (t, n) ORDER BY n",
            [texts],
        )
        made = [key for (key,) in cursor.fetchall()]
    assert made == [search_key(text) for text in texts]


def test_limits_are_written_as_one_writes_numbers(client, world):
    address = client.post("/ung-ho/", WHO)["Location"]
    sent = TABLETS | {"quantity": "5000000", "ram_gb": "0.1", "storage_gb": "200000"}
    page = client.post(address, sent).content.decode()
    assert "Hãy nhập số không quá 1.000.000." in page
    assert "Hãy nhập số không quá 100.000." in page
    assert "Hãy nhập số từ 0,25 trở lên." in page
    page = client.post(f"/en{address}", sent).content.decode()
    assert "Please enter a number of at most 1,000,000." in page
    assert "Please enter a number of at least 0.25." in page


def test_a_company_pledges_money_and_sees_devices_at_the_dated_price(client, world):
    world.price()
    who = {"donor_kind": "enterprise", "name": "Công ty Ánh Dương", "tax_code": "0101248141", "kind": "money"}
    with time_machine.travel("2029-12-31 23:59:30"):
        address = fill(
            client,
            who=who,
            what={"amount_vnd": "25.000.000.000"},
            contact=CONTACT | {"is_named_in_public": "on"},
        )
        assert "10.000 máy" in client.get(address).content.decode()
    send(client, address)
    pledge = Pledge.objects.get()
    assert pledge.amount_vnd == 25_000_000_000
    world.price(10_900_000, valid_from=DAY)
    page = client.get(f"/cam-ket/{pledge.code}/").content.decode()
    assert "10.000 máy theo đơn giá 2.500.000 đ" in page
    # Named only once staff have confirmed that it is this company.
    assert "Ánh Dương" not in page
    services.confirm_pledge(by=world.clerk, pledge=pledge, at=AT)
    assert "Ánh Dương" in client.get(f"/cam-ket/{pledge.code}/").content.decode()


@pytest.mark.parametrize(
    ("who", "message"),
    [
        (WHO | {"name": ""}, "id_name_error"),
        ({"donor_kind": "enterprise", "name": "Công ty", "kind": "money"}, "cần ghi mã số thuế"),
        (
            {"donor_kind": "enterprise", "name": "Công ty", "kind": "money", "tax_code": "0101248142"},
            "không đúng",
        ),
    ],
)
def test_the_first_step_says_what_to_mend(client, world, who, message):
    response = client.post("/ung-ho/", who)
    assert response.status_code == 400
    assert message in response.content.decode()


def test_a_device_below_the_criteria_is_refused_with_the_reason(client, world):
    address = client.post("/ung-ho/", WHO)["Location"]
    response = client.post(address, TABLETS | {"screen_inch": "7", "ram_gb": "1"})
    text = response.content.decode()
    assert response.status_code == 400
    assert "Màn hình dưới mức tối thiểu" in text
    assert "ít nhất 8 inch" in text
    assert "Bộ nhớ RAM dưới mức tối thiểu" in text
    # What to mend comes first on a phone: the criteria above it stay folded.
    assert "<details" in text
    assert not re.search(r"<details[^>]* open", text)


def test_every_province_can_be_chosen_and_only_a_day_to_come(client, world):
    what = client.post("/ung-ho/", WHO)["Location"]
    with time_machine.travel("2029-12-31 08:00+07:00"):
        past = client.post(what, TABLETS | {"expected_on": "2029-12-30"})
        assert past.status_code == 400
        assert "Ngày này đã qua" in past.text
        where = client.post(what, TABLETS | {"expected_on": "2029-12-31"})["Location"]
    for address in (where, f"/en{where}"):
        page = client.get(address).text
        provinces = page.split('name="province"')[1].split("</select>")[0]
        assert f'<option value="{world.province.pk}">' in provinces, address


def test_back_after_a_mistake_shows_the_page(client, world):
    address = client.post("/ung-ho/", WHO)["Location"]
    wrong = client.post(address, {"quantity": "hai mươi"})
    assert wrong.status_code == 400
    # A browser that must not keep the answer to a form shows an error of its own in its place.
    assert wrong["Cache-Control"] == "private, no-cache"


def test_what_is_chosen_is_asked_to_be_chosen(client, world):
    page = client.post("/ung-ho/", {"name": "Hoa"}).text
    assert page.count("Bạn muốn ủng hộ: Hãy chọn một mục.") == 1
    assert "Please choose one." in client.post("/en/ung-ho/", {"name": "Hoa"}).text


def test_a_robot_is_refused_and_a_person_may_send_again(client, world):
    address = fill(client)
    assert "quá nhanh" in client.post(address).content.decode()
    assert client.post(address, {"website": "http://spam"}).status_code == 400
    assert not Pledge.objects.exists()
    assert send(client, address).status_code == 302
    assert Pledge.objects.exists()


def test_a_stranger_with_a_known_tax_code_cannot_change_that_donor(client, world):
    known = world.donor("Công ty cũ", named=False, tax_code="0101248141")
    who = {"donor_kind": "enterprise", "name": "Kẻ khác", "tax_code": "0101248141", "kind": "money"}
    with time_machine.travel("2029-12-31 23:59:30"):
        address = fill(
            client, who=who, what={"amount_vnd": "1000000"}, contact=CONTACT | {"is_named_in_public": "on"}
        )
    send(client, address)
    known.refresh_from_db()
    assert (known.name, known.is_named_in_public) == ("Công ty cũ", False)
    assert Pledge.objects.get().donor == known


def test_steps_in_order_and_unknown_drafts(client, world):
    address = client.post("/ung-ho/", WHO)["Location"]
    ahead = address.replace("ung-ho-gi", "kiem-tra")
    assert client.get(ahead)["Location"] == address
    assert client.get("/ung-ho/khong-co/ung-ho-gi/").status_code == 404


def test_the_private_link_changes_and_cancels_and_nobody_else_does(client, world):
    pledge, secret = services.make_pledge(
        by=None, donor=world.donor(), kind="device", device_kind="tablet", quantity=20, at=AT
    )
    change = reverse("donations:pledge_change", args=[pledge.code, secret])
    assert client.post(change, {"quantity": "15"}).status_code == 302
    pledge.refresh_from_db()
    assert pledge.quantity == 15
    assert client.post(change.replace(secret, "x" * 40), {"quantity": "1"}).status_code == 404
    cancel = reverse("donations:pledge_cancel", args=[pledge.code, secret])
    assert "không khôi phục được" in client.get(cancel).content.decode()
    assert client.post(cancel).status_code == 302
    assert client.post(cancel).status_code == 400
    assert "Đã rút cam kết" in client.get(f"/cam-ket/{pledge.code}/").content.decode()


def test_documents_come_when_something_arrived(client, world):
    pledge = world.pledge()
    secret = codes.pledge_secret(pledge.code)
    receipt = reverse("donations:pledge_document", args=[pledge.code, secret, "giay-xac-nhan"])
    assert client.get(receipt).status_code == 404
    world.devices(2, lot=world.lot(pledge))
    for kind in DOCUMENTS:
        response = client.get(reverse("donations:pledge_document", args=[pledge.code, secret, kind]))
        assert response.content.startswith(b"%PDF")
    unknown = reverse("donations:pledge_document", args=[pledge.code, secret, "giay-khac"])
    assert client.get(unknown).status_code == 404


def test_what_money_bought_is_not_counted_as_given_too(world):
    world.students(10)
    pledge = world.money(25_000_000)
    order = services.propose_order(by=world.clerk, agreement=world.price(), pledge=pledge, quantity=10, at=AT)
    services.approve_order(by=world.clerk, order=order, at=AT)
    lot = services.deliver_order(by=world.clerk, order=order, warehouse=world.warehouse, at=AT)
    world.devices(10, lot=lot)
    assert contribution(Pledge.objects.with_progress().get(pk=pledge.pk)) == (0, 10)
    given = world.pledge()
    world.devices(3, lot=world.lot(given), prefix="TANG")
    assert contribution(Pledge.objects.with_progress().get(pk=given.pk)) == (3, 0)


def test_the_page_shows_every_device_and_takes_a_code_as_typed(client, world):
    pledge = world.pledge()
    made = world.devices(3, lot=world.lot(pledge))
    page = client.get(f"/cam-ket/{pledge.code}/").content.decode()
    assert all(code in page for code in made)
    assert page.count("Đã tiếp nhận") == 1, "how many came, and nothing else under the same words"
    assert client.get(f"/cam-ket/{pledge.code.lower()}/")["Location"] == f"/cam-ket/{pledge.code}/"
    assert client.get("/cam-ket/CK-KHONGCO/").status_code == 404
    lines = b"".join(client.get(f"/cam-ket/{pledge.code}/may.csv").streaming_content).decode().splitlines()
    assert len(lines) == 4
    assert not re.search(r"SN0000", "".join(lines))


def test_forms_are_throttled_without_a_third_party(client, world, monkeypatch):
    monkeypatch.setattr("donations.views.public.FORMS_PER_HOUR", 2)
    assert [client.post("/ung-ho/", WHO).status_code for _ in range(3)] == [302, 302, 429]


def test_a_pledge_is_looked_up_in_a_wide_window_and_guessed_in_a_narrow_one(client, world, monkeypatch):
    monkeypatch.setattr("common.throttle.ASKED_IN_TEN_MINUTES", 5)
    monkeypatch.setattr("common.throttle.MISSED_A_MINUTE", 2)
    pledge, secret = services.make_pledge(
        by=None, donor=world.donor(), kind="device", device_kind="tablet", quantity=9, at=AT
    )
    private = f"/cam-ket/{pledge.code}/rieng/"
    guesses = [client.get(f"{private}{codes.new_secret()}/").status_code for _ in range(3)]
    assert guesses == [404, 404, 429], "a secret is guessed"
    assert [client.get(f"/cam-ket/{pledge.code}/").status_code for _ in range(2)] == [200, 200]
    refused = client.post(f"{private}{secret}/doi/", {"quantity": 7})
    assert refused.status_code == 429
    pledge.refresh_from_db()
    assert pledge.quantity == 9, "what is refused is not done"


def test_a_lost_mail_is_found_again_and_old_drafts_are_erased(client, world, monkeypatch):
    with time_machine.travel("2029-12-31 23:59:30"):
        address = fill(client)
    send(client, address)
    assert mail.outbox == []
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    with time_machine.travel("2030-01-01 01:00"):
        tasks.mail_unsent()
        tasks.mail_unsent()
    (letter,) = mail.outbox
    assert Pledge.objects.get().code in letter.body
    client.post("/ung-ho/", WHO)
    tasks.erase_old_drafts()
    assert PledgeDraft.objects.count() == 2
    with time_machine.travel("2035-01-01"):
        tasks.erase_old_drafts()
    assert not PledgeDraft.objects.exists()
    assert Pledge.objects.exists()


def test_a_lost_mail_about_a_pledge_that_staff_recorded_is_found_again(world, monkeypatch):
    with time_machine.travel("2029-12-31 23:59:30"):
        made = world.pledge(contact_email="a@example.vn")
        world.pledge(donor=made.donor)
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    with time_machine.travel("2030-01-01 00:03"):
        tasks.mail_unsent()
    assert mail.outbox == [], "the task that was handed over with the pledge still has its time"
    with time_machine.travel("2030-01-01 01:00"):
        tasks.mail_unsent()
        tasks.mail_unsent()
    (letter,) = mail.outbox
    assert letter.to == ["a@example.vn"]
    assert made.code in letter.body


def test_a_mail_server_that_is_away_leaves_a_trace_and_is_tried_again(world, settings):
    pledge, _ = services.make_pledge(
        by=None,
        donor=world.donor(),
        kind="device",
        device_kind="tablet",
        quantity=1,
        at=AT,
        contact_email="a@example.vn",
    )
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    with pytest.raises(OSError, match="refused"):
        tasks.mail_pledge.run(pledge_id=pledge.pk)
    trace = SentMail.objects.get()
    assert (trace.error, trace.attempts, trace.delivered_on_clock_at) == ("ConnectionRefusedError", 1, None)

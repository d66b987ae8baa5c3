"""The log's public pages: what they show, what they refuse, and that files are the log's bytes."""

import hashlib
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from ledger import trace
from ledger.audit import verify_log
from ledger.draw import draw_file
from ledger.models import LedgerEntry
from ledger.notes import SigningKey
from ledger.publisher import put_draw_file
from ledger.receipts import check_receipt
from ledger.services import openings_of, record
from tests.ledger_log import DAY, ORIGIN, make_log, receive


@pytest.fixture
def log(db, tmp_path, settings):
    made = make_log(tmp_path)
    settings.LEDGER_DIR = made.folder
    settings.LEDGER_SIGNER_DIR = made.state
    return made


@pytest.fixture
def handed(log) -> tuple[str, uuid.UUID]:
    """A published device on its whole way, and the event id of its handover."""
    (code,) = receive(1)
    record(event="unit.registered", on=DAY, unit="S-15", name="Sở GD&ĐT Yên Bái")
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="DPB-1", area="VN2021-15")
    record(event="device.dispatched", on=DAY, device=code, from_="KHO-TU", to="S-15")
    record(event="device.arrived", on=DAY, device=code, to="S-15")
    eid = record(
        event="device.handed_over", on=DAY, device=code, run="DPB-1", hold="DPB-1/VN2021-15",
        commit={"recipient": "Nguyễn Thị Sao", "school": "TH Sao Mai"},
    )  # fmt: skip
    log.turn()
    return code, eid


def test_a_device_page_tells_the_way_and_no_child(client: Client, handed):
    code, _ = handed
    page = client.get(f"/thiet-bi/{code}/")
    text = page.content.decode()
    assert page.status_code == 200
    assert "Sở GD&amp;ĐT Yên Bái đã nhận đủ" in text
    assert "Bàn giao tận tay một học sinh" in text
    assert "Nguyễn" not in text
    assert "Sao Mai" not in text
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert not page.cookies
    assert client.get(f"/en/thiet-bi/{code}/").status_code == 200


def test_unknown_codes_are_refused_kindly(client: Client, handed):
    assert client.get("/thiet-bi/7K3QF9XW2MD0/").status_code == 404
    page = client.get("/tra-cuu/", {"ma": "không có"})
    assert "Không có mã nào như vậy" in page.content.decode()
    spelled = "-".join(handed[0][at : at + 4] for at in (0, 4, 8)).lower()
    assert client.get("/tra-cuu/", {"ma": spelled})["Location"] == f"/thiet-bi/{handed[0]}/"


def test_a_recorded_device_that_is_not_out_yet_says_so(client: Client, log):
    (code,) = receive(1)
    page = client.get(f"/thiet-bi/{code}/")
    assert page.status_code == 200
    assert "sắp được công bố" in page.content.decode()


def test_files_are_served_as_the_log_and_nothing_else(client: Client, handed, log):
    (log.folder / "secret").write_text("x")

    def fetch(path: str) -> bytes:
        answer = client.get(f"/ledger/{path}")
        if answer.status_code == 404:
            raise FileNotFoundError(path)
        return answer.content

    assert verify_log(fetch, log.verifiers)["size"] == 7
    assert client.get("/ledger/checkpoint")["Cache-Control"] == "no-cache"
    assert "immutable" in client.get("/ledger/tile/0/000.p/7")["Cache-Control"]
    for path in (
        "secret",
        "../signer/state.json",
        "tile/0",
        "tile/0/000.p/0",
        "tile/64/000",
        ".checkpoint.part",
    ):
        assert client.get(f"/ledger/{path}").status_code == 404, path


def test_a_receipt_verifies_offline_and_opens_only_with_its_salt(client: Client, handed, log):
    code, eid = handed
    answer = client.get(reverse("ledger:receipt", args=[eid]))
    receipt, head, _ = check_receipt(answer.content, log.verifiers[0])
    assert (receipt.body["dev"], head.size) == (code, 7)
    assert not receipt.openings
    openings = [(one.field, one.value, bytes(one.salt)) for one in openings_of(eid=eid)]
    own = trace.receipt_of(trace.entry_of(eid), openings).encode()
    assert {field: value for field, value, _ in check_receipt(own, log.verifiers[0])[0].openings} == {
        "recipient": "Nguyễn Thị Sao",
        "school": "TH Sao Mai",
    }
    address = trace.family_url(eid=eid)
    assert "Nguy" not in address.split("#")[0]
    assert client.get(reverse("ledger:receipt", args=[uuid.uuid4()])).status_code == 404


def test_the_log_and_how_pages(client: Client, handed):
    text = client.get("/so-cai/").content.decode()
    assert "Đúng lời hứa" in text
    assert client.get("/so-cai/tu-kiem-tra/").status_code == 200
    assert b"verify-log" in client.get("/so-cai/tu-kiem-tra/mtce_verify.py").content
    assert client.get("/so-cai/bien-nhan/").status_code == 200
    assert client.get("/en/so-cai/").status_code == 200


def test_the_log_page_before_the_first_entry(client: Client, log):
    assert "chưa có mục nào" in client.get("/so-cai/").content.decode()


def test_a_run_page_has_its_draw(client: Client, log):
    data = draw_file(
        [(f"A{number:03d}", "1.1-VN2021-15", "draw" if number < 5 else "no") for number in range(12)]
    )
    put_draw_file(run="DPB-1", data=data)
    record(
        event="run.frozen", on=DAY, run="DPB-1", root="0" * 64, applicants=12, supply=5, policy="1" * 64,
        engine="2" * 64, source="public_draw", draw="XSMB", draw_on=DAY,
    )  # fmt: skip
    record(
        event="run.committed", on=DAY, run="DPB-1", served=5, unserved=7, result="3" * 64,
        draw_file=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    log.turn()
    page = client.get("/so-cai/dot/DPB-1/")
    assert page.status_code == 200
    assert "12 em" in page.content.decode()
    assert client.get("/so-cai/dot/DPB-9/").status_code == 404
    assert b"".join(client.get("/ledger/runs/DPB-1.csv").streaming_content) == data


def test_a_log_signed_by_another_key_is_not_shown(client: Client, handed, log):
    note = (log.folder / "checkpoint").read_text().split("\n\n")[0] + "\n"
    other = SigningKey(ORIGIN, bytes(32))
    (log.folder / "checkpoint").write_text(note + "\n" + other.signature_line(note))
    assert client.get(f"/thiet-bi/{handed[0]}/").status_code in (200, 404)
    assert "không công bố được" in client.get("/so-cai/").content.decode()
    assert LedgerEntry.objects.count() == 7

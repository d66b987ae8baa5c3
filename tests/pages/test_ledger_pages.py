"""The log's public pages: what they show, what they refuse, and that files are the log's bytes."""

import datetime as dt
import hashlib
import html
import json
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import time_machine
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from common import throttle
from ledger import trace, words
from ledger.codes import new_code, new_device_codes
from ledger.draw import draw_file
from ledger.events import EVENTS
from ledger.log import verify_log
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.notes import COSIGNATURE, SigningKey
from ledger.publisher import put_draw_file
from ledger.receipts import check_receipt
from ledger.sequencer import seal
from ledger.services import openings_of, record
from tests.ledger_log import DAY, ORIGIN, make_log, receive
from tests.ledger_story import whole_story, write_files


class QuietHandler(SimpleHTTPRequestHandler):
    """A static server that says nothing and remembers what it was asked for."""

    asked: ClassVar[list[str]] = []

    def log_message(self, *arguments):
        self.asked.append(self.requestline)


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


@pytest.mark.parametrize("name", EVENTS)
def test_every_kind_of_entry_is_said_in_words(name):
    said = words.sentence({"t": name, "d": "2021-10-05", **EVENTS[name].example}, {})
    assert name not in said
    assert "%(" not in said


def test_a_device_given_up_as_lost_is_called_lost(client: Client, log):
    lost, scrapped = receive(2)
    for code in (lost, scrapped):
        record(event="device.inspected", on=DAY, device=code, outcome="refused")
    record(event="device.written_off", on=DAY, device=lost, reason="lost")
    record(event="device.written_off", on=DAY, device=scrapped, reason="recycled")
    log.turn()
    page = client.get(f"/thiet-bi/{lost}/").text
    assert "✕ </span>Mất</span>" in page
    assert "Đã thanh lý" not in page
    assert "Đã thanh lý" in client.get(f"/thiet-bi/{scrapped}/").text


def test_unknown_codes_are_refused_kindly(client: Client, handed):
    assert client.get("/thiet-bi/7K3QF9XW2MD0/").status_code == 404
    spelled = "-".join(handed[0][at : at + 4] for at in (0, 4, 8)).lower()
    assert client.get("/tra-cuu/", {"ma": spelled})["Location"] == f"/thiet-bi/{handed[0]}/"


@pytest.mark.parametrize(
    "typed",
    [
        "{0}-{1}-{2}",
        "{0} {1} {2}",
        " {0}–{1}—{2} ",
        "{0}.{1}.{2}",
        "http://may.example/thiet-bi/{0}{1}{2}/",
        "lower",
        "O1",
    ],
)
def test_a_code_is_found_however_it_is_typed(client: Client, handed, typed):
    code = handed[0]
    groups = [code[at : at + 4] for at in (0, 4, 8)]
    typed = {"lower": code.lower(), "O1": code.replace("0", "O").replace("1", "l")}.get(
        typed
    ) or typed.format(*groups)
    answer = client.get("/tra-cuu/", {"ma": typed})
    assert (answer.status_code, answer["Location"]) == (302, f"/thiet-bi/{code}/")


def test_what_is_wrong_with_a_code_is_said_to_the_character(client: Client, handed):
    code = handed[0]

    def said(typed: str) -> str:
        page = client.get("/tra-cuu/", {"ma": typed})
        assert page.status_code == 404
        return page.content.decode()

    wrong = code[:3] + ("7" if code[3] != "7" else "8") + code[4:]
    assert "một ký tự gõ nhầm" in said(wrong)
    assert f"«{code[-1]}»" in said(wrong)
    assert "12 ký tự; bạn gõ 11" in said(code[:-1])
    assert "«Ữ»" in said("ữ" + code[1:])
    assert "CK-" in said("CK-7K3QF9XWA")
    assert "Sổ cái không có đợt" in said("DPB-2021-99")
    for person in ("Nguyễn Thị Hoa", "nguyen van an", "0912 345 678", "+84912345678"):
        assert "hãy hỏi nhà trường" in said(person), person
    other = new_device_codes(1)[0]
    page = client.get(f"/thiet-bi/{other}/")
    assert page.status_code == 404
    assert "viết đúng, nhưng sổ cái không có máy nào" in page.content.decode()
    assert (
        client.get("/tra-cuu/", {"ma": "<script>alert(1)</script>"}).content.decode().count("<script>alert")
        == 0
    )


def test_a_receipt_before_its_batch_is_out_says_so(client: Client, log):
    (code,) = receive(1)
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="DPB-1", area="VN2021-15")
    eid = record(event="device.handed_over", on=DAY, device=code, run="DPB-1", hold="DPB-1/VN2021-15")
    log.turn(at_once=False, today=DAY)
    early = client.get(f"/so-cai/bien-nhan/{eid.hex}.tlog-proof")
    assert early.status_code == 425
    assert "chưa đến đợt công bố" in early.content.decode()
    log.turn()
    assert check_receipt(client.get(f"/so-cai/bien-nhan/{eid.hex}.tlog-proof").content, log.verifiers[0])


def test_a_pledge_has_its_receipt_in_the_log(client: Client, log):
    code = new_code("CK")
    record(event="pledge.made", on=DAY, pledge=code, kind="devices", donor="enterprise", qty=20)
    eid = record(event="pledge.changed", on=DAY, pledge=code, reason="donor_request", qty=15)
    log.turn()
    page = client.get(f"/so-cai/cam-ket/{code}/")
    text = page.content.decode()
    assert "Ghi nhận cam kết ủng hộ: 20 máy" in text
    assert "Cam kết thay đổi: 15 máy" in text
    assert "<svg" in text
    address = f"/so-cai/bien-nhan/{eid.hex}.tlog-proof"
    assert address in text
    assert check_receipt(client.get(address).content, log.verifiers[0])[0].body["qty"] == 15
    assert client.get(f"/so-cai/cam-ket/{new_code('CK')}/").status_code == 404


def test_a_correction_and_an_erasure_stand_beside_what_they_are_about(client: Client, handed, log):
    code, eid = handed
    record(event="correction", on=DAY, device=code, corrects=eid.hex, reason="wrong_date")
    record(event="commitment.erased", on=DAY, erases=eid.hex, field="recipient", reason="family_request")
    log.turn()
    way = client.get(f"/thiet-bi/{code}/").content.decode()
    assert "Đã được đính chính ở mục 7: sai ngày" in way
    assert "Mục được đính chính: mục 6" in way
    assert "Gia đình đã yêu cầu xoá" in way
    page = client.get("/so-cai/dinh-chinh/").content.decode()
    assert "Xoá chìa mở thông tin «người nhận»" in page
    assert "mục 6: bàn giao" in page
    assert re.search(r'<th scope="row">Mục \d+</th>', page), "on a phone the head of the column isn't there"
    assert "không ai mở được nữa, kể cả chúng tôi" in page, "what «chìa mở» is"
    assert code not in page


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


def test_rule_5_the_api_says_of_a_device_what_the_log_says_and_no_sooner(client: Client, handed, log):
    code, _ = handed
    answer = client.get(f"/api/v1/devices/{code}/").json()
    log_entries = LedgerEntry.objects.filter(dev=code).order_by("n")
    assert [entry["body"] for entry in answer["entries"]] == [json.loads(entry.body) for entry in log_entries]
    record(event="device.handover_confirmed", on=DAY, device=code, hold="DPB-1/VN2021-15")
    with transaction.atomic():
        seal(at_once=True, today=DAY)
    assert client.get(f"/api/v1/devices/{code}/").json() == answer, "sequenced, not signed: not public"


def test_rule_6_a_device_is_found_by_its_code_only_slowly_and_by_no_search_engine(client: Client, handed):
    code, _ = handed
    for address in (f"/thiet-bi/{code}/", f"/api/v1/devices/{code}/"):
        assert client.get(address)["X-Robots-Tag"] == "noindex, nofollow"
    assert client.get("/tra-cuu/", {"ma": code[:8]}).status_code == 404
    assert client.get("/api/v1/devices/").status_code == 404
    assert client.get("/thiet-bi/").status_code == 404
    answers = [client.get("/tra-cuu/", {"ma": other}).status_code for other in new_device_codes(61)]
    assert answers[-1] == 429
    pledges = [client.get(f"/so-cai/cam-ket/{new_code('CK')}/").status_code for _ in range(31)]
    assert set(pledges) == {404}
    unknown = [client.get(f"/thiet-bi/{other}/").status_code for other in new_device_codes(61)]
    assert (unknown[0], unknown[-1]) == (404, 429)
    guess = client.get(f"/api/v1/devices/{new_device_codes(1)[0]}/")
    assert (guess.status_code, guess["Retry-After"]) == (429, "60")
    assert "Hãy chờ 1 phút" in guess.json()["detail"]


def test_rule_6_what_is_found_is_throttled_too_but_a_school_that_hands_out_500_devices_is_not(
    client: Client, handed, log, monkeypatch
):
    assert throttle.ASKED_IN_TEN_MINUTES >= 2 * 500, (
        "of each device the school and the family follow the label"
    )
    monkeypatch.setattr(throttle, "ASKED_IN_TEN_MINUTES", 6)
    code, _ = handed
    pledge = new_code("CK")
    record(event="pledge.made", on=DAY, pledge=pledge, kind="devices", donor="enterprise", qty=20)
    log.turn()
    found = [f"/thiet-bi/{code}/", f"/api/v1/devices/{code}/", f"/so-cai/cam-ket/{pledge}/"]
    assert [client.get(address).status_code for address in found * 2] == [200] * 6
    refused = [client.get(address) for address in found]
    assert [answer.status_code for answer in refused] == [429] * 3
    assert all("quá nhiều lượt tra cứu" in html.unescape(answer.content.decode()) for answer in refused[::2])
    assert "quá nhiều lượt tra cứu" in refused[1].json()["detail"]
    assert refused[0]["Retry-After"] == "600"
    assert client.get(found[0], REMOTE_ADDR="203.0.113.7").status_code == 200, "another address"


def test_a_device_is_shown_when_the_throttle_can_count_nothing(client: Client, handed, settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:9",
        }
    }
    assert client.get(f"/thiet-bi/{handed[0]}/").status_code == 200


def test_the_log_and_how_pages(client: Client, handed):
    text = client.get("/so-cai/").content.decode()
    assert "Đúng lời hứa" in text
    assert client.get("/so-cai/tu-kiem-tra/").status_code == 200
    assert b"verify-log" in client.get("/so-cai/tu-kiem-tra/mtce_verify.py").content
    assert client.get("/so-cai/bien-nhan/").status_code == 200
    assert client.get("/en/so-cai/").status_code == 200


def queue(count: int, *, recorded_at: dt.datetime) -> None:
    """Entries of old that wait in the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_outbox (eid, event, day, state, body, prev_at, recorded_at)"
            " SELECT gen_random_uuid(), 'pledge.made', %s, '', '{}', 0, %s FROM generate_series(1, %s)",
            [DAY, recorded_at, count],
        )


def test_the_log_page_reads_no_more_of_a_long_outbox_than_it_tells(client: Client, handed):
    queue(25_000, recorded_at=timezone.now())
    with CaptureQueriesContext(connection) as asked:
        page = client.get("/so-cai/").content.decode()
    assert "hơn 10.000" in page
    plans = []
    with connection.cursor() as cursor:
        for query in [query["sql"] for query in asked.captured_queries if "ledger_outbox" in query["sql"]]:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
            plans.append(json.dumps(cursor.fetchone()[0]))
    rows = [float(count) for plan in plans for count in re.findall(r'"Actual Rows": ([0-9.]+)', plan)]
    assert rows
    assert max(rows) <= 10_001, plans
    assert "more than 10,000" in client.get("/en/so-cai/").content.decode()


def test_the_log_is_late_when_something_due_waits_and_not_when_a_batch_does(client: Client, handed, log):
    (code,) = receive(1)
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="DPB-1", area="VN2021-15")
    record(event="device.handed_over", on=DAY, device=code, run="DPB-1", hold="DPB-1/VN2021-15")
    record(event="device.broken", on=DAY, device=code, reason="screen")
    with time_machine.travel(dt.timedelta(hours=2)):
        log.turn(at_once=False)
        assert LedgerOutbox.objects.count() == 2
        assert "Đúng lời hứa" in client.get("/so-cai/").content.decode(), (
            "what follows a handover waits with it"
        )
        queue(1, recorded_at=timezone.now())
    with time_machine.travel(dt.timedelta(hours=3)):
        assert "Đúng lời hứa" in client.get("/so-cai/").content.decode()
    with time_machine.travel(dt.timedelta(hours=4)):
        assert "Chậm hơn lời hứa" in client.get("/so-cai/").content.decode()


def test_every_command_of_the_page_works_as_it_stands(client: Client, handed, log, settings, tmp_path):
    """As a new user: copied from the page, with the code of a label and a saved receipt; served as plain files."""
    code, eid = handed
    (tmp_path / "ledger").symlink_to(log.folder)
    handler = partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings.PUBLIC_URL = f"http://127.0.0.1:{server.server_address[1]}"
        page = client.get("/so-cai/tu-kiem-tra/").content.decode()
        file = tmp_path / "so-cai" / "tu-kiem-tra" / "mtce_verify.py"
        file.parent.mkdir(parents=True)
        file.write_bytes(client.get("/so-cai/tu-kiem-tra/mtce_verify.py").content)
        (tmp_path / "bien-nhan.tlog-proof").write_bytes(
            client.get(reverse("ledger:receipt", args=[eid])).content
        )
        lines = html.unescape(page)
        commands = re.findall(r"<code>kiem-tra/bin/python (mtce_verify.py [^<]+)</code>", lines)
        assert commands == re.findall(r"<code>py (mtce_verify.py [^<]+)</code>", lines)
        # The download, then the file's hash.
        for line in re.findall(r"<code>((?:curl|kiem-tra/bin/python -c) [^<]+)</code>", lines):
            words = [word.replace("kiem-tra/bin/python", sys.executable) for word in shlex.split(line)]
            said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
        assert said.strip() in page
        # What the reader fills in: the code of a label, and what a phone reads from a receipt's QR.
        fragment = trace.family_url(eid=eid).partition("#")[2]
        filled = [line.replace("MÃ-TRÊN-TEM", code).replace("#…", f"#{fragment}") for line in commands]
        done = [
            subprocess.run(
                [sys.executable, *shlex.split(line)],
                cwd=tmp_path, capture_output=True, text=True, check=False,
            )
            for line in filled
        ]  # fmt: skip
        server.shutdown()
    # The log of this test has a device allocated by a run that never was: the audit must say so, and nothing else.
    assert [(line.split()[1], run.returncode) for line, run in zip(filled, done, strict=True)] == [
        ("verify-log", 0), ("verify-device", 0), ("verify-receipt", 0), ("verify-receipt", 0), ("audit", 1),
    ], done  # fmt: skip
    assert "Nguyễn Thị Sao" in done[3].stdout
    assert not any(fragment in request for request in QuietHandler.asked)
    assert hashlib.sha256((tmp_path / "mtce_verify.py").read_bytes()).hexdigest() in page


def test_the_command_for_a_run_works_as_it_stands(client: Client, settings, tmp_path):
    """A log with a committed run, the page's line beside it: whole, with the key in its quotes."""
    settings.LEDGER_DIR = write_files(tmp_path / "ledger", whole_story().files())
    handler = partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings.PUBLIC_URL = f"http://127.0.0.1:{server.server_address[1]}"
        page = html.unescape(client.get("/so-cai/tu-kiem-tra/").content.decode())
        (line,) = re.findall(r"<code>py mtce_verify.py (verify-run [^<]+)</code>", page)
        command = [sys.executable, "verifier/mtce_verify.py", *shlex.split(line)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        server.shutdown()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_witness_started_by_the_pages_line_cosigns(client: Client, log, settings, tmp_path):
    """As a body that wants to be a witness: the program's one file, the page's line (at any free port), then the
    page's option of whoever asks for its signature."""
    page = html.unescape(client.get("/so-cai/tu-kiem-tra/").content.decode())
    (line,) = re.findall(r"<code>kiem-tra/bin/python (mtce_witness.py [^<]+)</code>", page)
    (asking,) = re.findall(r"<code>(--witness [^<]+)</code>", page)
    folder = tmp_path / "nhan-chung"
    folder.mkdir()
    shutil.copy("verifier/mtce_witness.py", folder)
    command = [sys.executable, *shlex.split(line.replace("--port 8200", "--port 0"))]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as witness:
        try:
            said = json.loads(witness.stdout.readline())
            settings.LEDGER_WITNESSES = [{"url": f"http://127.0.0.1:{said['port']}", "key": said["key"]}]
            receive(3)
            log.turn()
        finally:
            witness.terminate()
    options = shlex.split(asking.replace("KHÓA-CỦA-NHÂN-CHỨNG", said["key"]))
    check = [
        sys.executable,
        "verifier/mtce_verify.py",
        "verify-log",
        str(log.folder),
        "--key",
        str(log.verifiers[0]),
    ]
    done = subprocess.run([*check, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "ten-cua-ban" in done.stdout
    other = SigningKey("ai-khac.example", bytes(range(32)), COSIGNATURE).verifier
    done = subprocess.run(
        [*check, "--witness", str(other), "--witnesses-needed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout


def test_the_lines_for_a_mirror_are_those_that_the_drill_tries(client: Client, log):
    """`make drill ARGS=ledger.rsync_mirror` runs those of docs/operations.md under a growing log; not every machine
    that runs the tests has rsync."""
    page = html.unescape(client.get("/so-cai/tu-kiem-tra/").content.decode())
    (lines,) = re.findall(r"<code>(mkdir -p dich &&[^<]+)</code>", page)
    there = Path("docs/operations.md").read_text()
    assert lines.replace("nguon/", "HOST:ledger/").replace("dich", "mirror") in there


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

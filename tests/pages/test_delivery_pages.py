"""Pages of delivery: one happy path and one refusal per view, and what each person may see."""

import datetime as dt
import html
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.urls import reverse

from accounts.models import PersonalDataAccess
from allocation.models import Allocation
from common.models import Programme
from delivery.models import DeviceReport, Grievance, HandoverRecord, Loss, LotRecall, Shipment
from delivery.services import (
    decide_loss,
    dispatch_shipments,
    hand_over,
    open_record,
    plan_shipments,
    receive_shipment,
    report_device,
    request_losses,
)
from ledger.codes import new_code, new_device_codes
from schools.models import Student
from tests.delivery_world import AT, HOPS, carry, make_devices, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    Programme.objects.create(today_on=AT.date() + dt.timedelta(days=1), is_demonstration=True)
    with transaction.atomic():
        return make_world()


@pytest.fixture
def arrived(world):
    carry(world)
    return world


@pytest.fixture
def record(arrived):
    return open_record(
        by=arrived.people["school"],
        school=arrived.schools[0],
        class_name="7A",
        held_on=AT.date(),
        at=AT,
        operator=arrived.operator,
    )


class TestShipments:
    def test_planned_sent_and_received_whole(self, world, sign_in):
        client = sign_in(world.people["keeper"])
        page = client.get("/van-chuyen/")
        assert "Kho trung ương → Sở GD&amp;ĐT Thành phố: 9 máy" in page.content.decode()
        shown = client.post("/van-chuyen/soan/", follow=True).content.decode()
        shipment = Shipment.objects.get()
        assert f"Lô hàng {shipment.code}" in shown
        client.post(f"/van-chuyen/{shipment.code}/gui/")
        client = sign_in(world.people["department"])
        shown = client.post(f"/van-chuyen/{shipment.code}/nhan-du/", follow=True).content.decode()
        assert "Đã nhận đủ 9 máy" in shown
        shipment.refresh_from_db()
        assert shipment.state == "arrived"

    def test_all_drafts_leave_at_once_but_those_with_a_device_that_may_not(self, world, sign_in):
        carry(world, HOPS[:2])
        client = sign_in(world.people["district"])
        client.post("/van-chuyen/soan/")
        drafts = list(Shipment.objects.filter(state="draft").order_by("pk"))
        assert len(drafts) > 1
        assert f"Gửi cả {len(drafts)} lô" in client.get("/van-chuyen/").content.decode()
        Student.objects.filter(allocations__device=drafts[0].items.first().device).update(state="left")
        said = client.post(
            "/van-chuyen/gui-het/", {"lo": [draft.code for draft in drafts]}, follow=True
        ).content.decode()
        assert f"Đã gửi {len(drafts) - 1} lô" in said
        assert f"1 lô còn máy chưa gửi được nên chưa gửi: {drafts[0].code}" in said
        assert list(Shipment.objects.filter(state="draft")) == drafts[:1]

    def test_scanned_with_one_missing(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        client = sign_in(world.people["department"])
        url = f"/van-chuyen/{shipment.code}/nhan/"
        codes = sorted(shipment.items.values_list("device__code", flat=True))
        scanned = "\n".join([*codes[1:], codes[1], "ABC", new_device_codes(1)[0]])
        page = client.post(url, {"scan": "1", "codes": scanned})
        text = page.content.decode()
        assert "8 trong 9 máy có mặt" in text
        for refusal in ("chỉ tính một lần", "không phải mã thiết bị", "không có trong Chương trình"):
            assert refusal in text
        assert page.context["form"].initial["missing"] == codes[0]
        refused = client.post(url, {"missing": "ABC"})
        assert refused.status_code == 422
        client.post(url, {"missing": codes[0], "damaged": codes[1], "fault": "screen"})
        assert dict(shipment.items.exclude(result="arrived").values_list("device__code", "result")) == {
            codes[0]: "missing",
            codes[1]: "damaged",
        }
        client.post(f"/van-chuyen/{shipment.code}/tim-thay/", {"device": codes[0]})
        assert shipment.items.get(device__code=codes[0]).result == "found"

    def test_missing_and_not_found_is_given_up_by_two_people(self, world, sign_in):
        with transaction.atomic():
            make_devices(world, 1)
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        code, other = sorted(shipment.items.values_list("device__code", flat=True))[:2]
        department = sign_in(world.people["department"])
        department.post(f"/van-chuyen/{shipment.code}/nhan/", {"missing": f"{code}\n{other}"})
        # The receiver sees that some are missing; to give them up is not theirs to ask.
        assert "đề nghị kết luận mất" not in department.get(f"/van-chuyen/{shipment.code}/").content.decode()
        assert department.get(f"/van-chuyen/{shipment.code}/mat/").status_code == 404
        keeper = sign_in(world.people["keeper"])
        work = keeper.get("/viec-can-lam/").content.decode()
        assert "Máy đơn vị gửi mà nơi nhận thiếu, chưa tìm thấy" in work
        assert "Máy ở đơn vị, chờ chuyển tiếp" not in work
        assert "Đơn vị còn phải tìm: 2 máy" in keeper.get("/van-chuyen/mat/").content.decode()
        form = f"/van-chuyen/{shipment.code}/mat/"
        wrong = keeper.post(form, {"reason": "in_transit"})
        assert wrong.status_code == 422
        assert "Chưa chọn máy nào" in wrong.content.decode()
        told = {"may": [code, other], "reason": "in_transit", "account": "Đã hỏi lái xe, tìm hai kho."}
        assert "Đã đề nghị kết luận mất 2 máy" in keeper.post(form, told, follow=True).content.decode()
        losses = {loss.item.device.code: f"/van-chuyen/mat/{loss.pk}/" for loss in Loss.objects.all()}
        assert keeper.post(losses[code], {"quyet-dinh": "dong-y"}).status_code == 404
        leader = sign_in(world.people["leader"])
        work = leader.get("/viec-can-lam/").content.decode()
        assert "Đề nghị kết luận mất máy chờ quyết định" in work
        assert "Một em đang chờ máy này" in leader.get(losses[code]).content.decode()
        done = leader.post(losses[code], {"quyet-dinh": "dong-y"}, follow=True).content.decode()
        assert "Em đang chờ được đổi máy" in done
        done = leader.post(losses[other], {"quyet-dinh": "dong-y"}, follow=True).content.decode()
        assert "em giữ nguyên suất" in done
        assert "Không ai giữ" in leader.get(f"/van-chuyen/may/?ma={code}").content.decode()
        keeper = sign_in(world.people["keeper"])
        assert [row.code for row, _ in keeper.get("/van-chuyen/tra-ve/").context["to_replace"]] == [other]

    def test_the_sender_does_not_receive(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        client = sign_in(world.people["keeper"])
        client.post(f"/van-chuyen/{shipment.code}/nhan-du/")
        assert client.get(f"/van-chuyen/{shipment.code}/nhan/").status_code == 302
        shipment.refresh_from_db()
        assert shipment.state == "dispatched"

    def test_what_is_wrong_while_receiving_is_said_and_stays(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        code = shipment.items.first().device.code
        wrong = "\n".join(f"KHONG-CO-{number}" for number in range(30))
        response = sign_in(world.people["department"]).post(
            f"/van-chuyen/{shipment.code}/nhan/", {"missing": wrong, "damaged": f"{code}\n\u202e" + "Đ" * 900}
        )
        assert response.status_code == 422
        page = response.content.decode()
        assert 'href="#id_missing"' in page
        assert "«KHONG-CO-9» không phải mã máy chờ nhận của lô này." in page
        assert "Và 20 dòng khác cũng sai." in page
        assert "Hãy chọn hư hại gì." in page
        assert "KHONG-CO-29" in page
        shipment.refresh_from_db()
        assert shipment.state == "dispatched"

    def test_another_school_finds_nothing(self, arrived, sign_in):
        shipment = Shipment.objects.get(to_office=arrived.schools[1].office)
        client = sign_in(arrived.people["school"])
        for path in ("", "phieu.pdf", "nhan/"):
            assert client.get(f"/van-chuyen/{shipment.code}/{path}").status_code == 404
        code = arrived.codes(arrived.schools[1])[0]
        assert "Không có máy mang mã này" in client.get(f"/van-chuyen/may/?ma={code}").content.decode()

    def test_a_pupil_who_left_holds_the_shipment_up_until_the_next_one_has_the_device(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        client, page = sign_in(world.people["keeper"]), f"/van-chuyen/{shipment.code}/"
        code = shipment.items.first().device.code
        Student.objects.filter(allocations__device__code=code).update(state="left")
        said = client.get(page).content.decode()
        assert "Chưa gửi được: học sinh đã thôi học" in said
        assert "Chuyển cho học sinh kế tiếp" in said
        assert "chưa gửi được" in client.post(page + "gui/", follow=True).content.decode()
        done = client.post(page + "ke-tiep/", {"device": code}, follow=True).content.decode()
        assert "không còn em nào chờ, trở lại kho" in done
        assert "Máy chưa gửi được" not in done
        # Several at once: two whose pupils left, one that was taken back.
        codes = list(shipment.items.order_by("device__code").values_list("device__code", flat=True))[:3]
        Student.objects.filter(allocations__device__code__in=codes[:2]).update(state="left")
        Allocation.objects.filter(device__code=codes[2]).update(
            ended_at=AT, ended_by=world.people["keeper"], end_reason="revoked"
        )
        said = client.get(page).content.decode()
        assert "Chuyển 2 máy cho học sinh kế tiếp, bỏ 1 máy ra khỏi lô" in said
        done = client.post(
            page + "ke-tiep/", {"device": codes[:2], "remove": codes[2]}, follow=True
        ).content.decode()
        assert "2 máy trong khu vực không còn em nào chờ" in done
        assert "1 máy khác đã bỏ ra khỏi lô" in done
        client.post(page + "gui/")
        shipment.refresh_from_db()
        assert (shipment.state, shipment.items.count()) == ("dispatched", 5)

    def test_drafts_lose_devices_and_are_cancelled(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        client = sign_in(world.people["keeper"])
        code = shipment.items.first().device.code
        client.post(f"/van-chuyen/{shipment.code}/bo-may/", {"device": code})
        assert shipment.items.count() == 8
        client.post(f"/van-chuyen/{shipment.code}/huy/")
        shipment.refresh_from_db()
        assert shipment.state == "cancelled"

    def test_packing_list_and_who_holds(self, arrived, sign_in):
        shipment = Shipment.objects.get(to_office=arrived.schools[0].office)
        client = sign_in(arrived.people["school"])
        pdf = client.get(f"/van-chuyen/{shipment.code}/phieu.pdf")
        assert pdf.content.startswith(b"%PDF-")
        code = arrived.codes(arrived.schools[0])[0]
        text = client.get(f"/van-chuyen/may/?ma={code}").content.decode()
        assert "Trường số 1 đang giữ" in text
        assert "gõ sai một ký tự" in client.get("/van-chuyen/may/?ma=ABC").content.decode()

    def test_stuck_shipments_stand_out(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        left = AT - dt.timedelta(days=20)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=left)
        client = sign_in(world.people["department"])
        assert shipment.code in client.get("/van-chuyen/?state=stuck").content.decode()
        assert "Lô này kẹt quá lâu" in client.get(f"/van-chuyen/{shipment.code}/").content.decode()

    def test_who_receives_reads_what_to_do_and_goes_on_to_the_class(self, world, sign_in):
        carry(world, HOPS[:-1])
        shipments = plan_shipments(by=world.people["district"], at=AT)
        dispatch_shipments(by=world.people["district"], shipments=shipments, at=AT - dt.timedelta(days=9))
        (shipment,) = [one for one in shipments if one.to_office == world.schools[0].office]
        client = sign_in(world.people["school"])
        page = client.get(f"/van-chuyen/{shipment.code}/").text
        assert "Máy đã đến thì thầy/cô xác nhận ở dưới" in page
        assert page.index("Nhận đủ") < page.index("<dt>Từ</dt>")
        page = client.post(f"/van-chuyen/{shipment.code}/nhan-du/", follow=True).text
        assert f'href="/ban-giao/{world.schools[0].code}/">Bàn giao cho học sinh' in page


class TestHandover:
    def test_the_demonstration_offers_a_teacher_on_its_public_page(self, arrived, client, settings):
        (engine,) = settings.TEMPLATES
        options = engine["OPTIONS"]
        processors = [*options["context_processors"], "sms_program.demo.sign_in.sign_in_help"]
        settings.TEMPLATES = [engine | {"OPTIONS": options | {"context_processors": processors}}]
        page = client.get("/tai-khoan/login/")
        assert f"truong-{arrived.schools[0].office.code}@minh-hoa.example" in page.text

    def test_a_class_from_opening_to_signature(self, arrived, sign_in):
        client = sign_in(arrived.people["school"])
        school = arrived.schools[0]
        assert client.get("/ban-giao/").headers["Location"] == reverse("delivery:school", args=[school.code])
        url = reverse("delivery:school", args=[school.code])
        data = {"class_name": "7A", "held_on": "2021-11-16", "operator": arrived.operator.pk}
        assert client.post(url, data | {"held_on": ""}).status_code == 422
        client.post(url, data)
        record = HandoverRecord.objects.get()
        url = reverse("delivery:record", args=[record.code])
        codes = arrived.codes(school)
        assert client.get(reverse("delivery:record_pdf", args=[record.code])).content.startswith(b"%PDF-")
        client.post(url, {"may": codes, f"giam-ho-{codes[0]}": "Trần Thị Mẹ"})
        assert record.handovers.count() == 3
        assert client.get(reverse("delivery:receipts_pdf", args=[record.code])).content.startswith(b"%PDF-")
        bad = SimpleUploadedFile("a.pdf", b"MZ not a pdf")
        client.post(reverse("delivery:sign", args=[record.code]), {"evidence": bad})
        record.refresh_from_db()
        assert record.signed_at is None
        good = SimpleUploadedFile("a.pdf", b"%PDF-1.7 signed")
        shown = client.post(reverse("delivery:sign", args=[record.code]), {"evidence": good}, follow=True)
        assert "đã ký và khoá lại" in shown.content.decode()
        record.refresh_from_db()
        assert len(record.evidence_sha256) == 64

    def test_nothing_ticked_says_so_and_keeps_what_was_typed(self, record, arrived, sign_in):
        client = sign_in(arrived.people["school"])
        code = arrived.codes(arrived.schools[0])[0]
        page = client.post(reverse("delivery:record", args=[record.code]), {f"giam-ho-{code}": "Trần Thị Mẹ"})
        assert page.status_code == 422
        assert "Chưa chọn học sinh nào" in page.content.decode()
        assert "Trần Thị Mẹ" in page.content.decode()

    def test_found_broken_before_it_is_given_the_pupil_gets_another(self, record, arrived, sign_in):
        client, school = sign_in(arrived.people["school"]), arrived.schools[0]
        code = arrived.codes(school)[0]
        page = client.get(reverse("delivery:record", args=[record.code])).text
        report = html.unescape(re.search(rf'href="([^"]*ma={code}[^"]*)"', page)[1])
        assert client.get(report).context["form"].initial["kind"] == "broken"
        data = {"device": code, "kind": "broken", "reason": "screen", "happened_on": "2021-11-16"}
        client.post(reverse("delivery:devices", args=[school.code]), data)
        assert DeviceReport.objects.get(device__code=code).kind == "damaged"
        shown = client.get(reverse("delivery:record", args=[record.code])).context
        assert code not in [row.device for row in shown["ready"]]
        assert [row.may_replace for row in shown["blocked"] if row.device == code] == [True]
        lost = client.post(
            reverse("delivery:devices", args=[school.code]), data | {"kind": "lost", "reason": "theft"}
        )
        assert lost.status_code == 422

    def test_a_record_that_is_not_signed_waits(self, record, arrived, sign_in):
        client = sign_in(arrived.people["school"])
        assert "Biên bản bàn giao chưa ký" not in client.get("/viec-can-lam/").text
        hand_over(
            by=arrived.people["school"],
            record=record,
            rows=[{"device": arrived.codes(arrived.schools[0])[0]}],
            at=AT,
        )
        assert "Biên bản bàn giao chưa ký" in client.get("/viec-can-lam/").text

    def test_reading_names_is_recorded(self, record, arrived, sign_in):
        client = sign_in(arrived.people["school"])
        client.get(reverse("delivery:record", args=[record.code]))
        access = PersonalDataAccess.objects.using("journal").latest("pk")
        assert (access.subject_id, access.row_count) == (str(record.pk), 3)

    @pytest.mark.parametrize("who", ["school2", "school3", "mic", "keeper"])
    def test_others_do_not_see_the_class(self, record, arrived, sign_in, who):
        client = sign_in(arrived.people[who])
        for name in ("record", "record_pdf", "receipts_pdf"):
            assert client.get(reverse(f"delivery:{name}", args=[record.code])).status_code == 404
        assert client.get(reverse("delivery:school", args=[arrived.schools[0].code])).status_code == 404
        assert client.get(reverse("delivery:devices", args=[arrived.schools[0].code])).status_code == 404

    def test_the_department_reads_but_does_not_hand_over(self, record, arrived, sign_in):
        client = sign_in(arrived.people["department"])
        code = arrived.codes(arrived.schools[0])[0]
        client.post(reverse("delivery:record", args=[record.code]), {"may": [code]})
        assert record.handovers.count() == 0
        assert client.get("/ban-giao/").status_code == 200


class TestAfterwards:
    @pytest.fixture
    def url(self, record, arrived):
        rows = [{"device": code} for code in arrived.codes(arrived.schools[0])]
        hand_over(by=arrived.people["school"], record=record, rows=rows, at=AT)
        return reverse("delivery:devices", args=[arrived.schools[0].code])

    def test_follow_up_and_a_broken_one(self, url, arrived, sign_in):
        client = sign_in(arrived.people["school"])
        codes = arrived.codes(arrived.schools[0])
        client.post(url, {"in_use": "1", "may": codes})
        assert DeviceReport.objects.filter(kind="in_use").count() == 3
        data = {"device": codes[0], "kind": "broken", "reason": "screen", "happened_on": "2021-11-16"}
        refused = client.post(url, data | {"reason": ""})
        assert refused.status_code == 422
        assert "phải chọn lý do" in refused.content.decode()
        client.post(url, data)
        assert DeviceReport.objects.filter(kind="broken", reason="screen").count() == 1

    def test_a_lot_is_recalled_after_a_second_look(self, url, arrived, sign_in):
        client = sign_in(arrived.people["leader"])
        data = {"lot": arrived.lot.code, "reason": "malware"}
        assert "Xác nhận ra lệnh thu hồi" in client.post("/van-chuyen/thu-hoi/", data).content.decode()
        assert not LotRecall.objects.exists()
        shown = client.post("/van-chuyen/thu-hoi/", data | {"confirmed": "1"}, follow=True).content.decode()
        assert "học sinh đang dùng" in shown
        recall = LotRecall.objects.get()
        refused = client.post(f"/van-chuyen/thu-hoi/{recall.pk}/", follow=True).content.decode()
        assert "Còn 9 máy của lô chưa xử lý xong" in refused
        assert sign_in(arrived.people["school"]).get("/van-chuyen/thu-hoi/").status_code == 404


class TestGrievances:
    data = {"kind": "device", "text": "Máy không lên nguồn."}

    def test_reported_followed_and_answered(self, world, client, sign_in):
        shown = client.post(
            "/phan-anh/", self.data | {"province": world.province.pk}, follow=True
        ).content.decode()
        grievance = Grievance.objects.get()
        assert grievance.code in shown
        assert (grievance.office, grievance.due_on) == (world.department, dt.date(2021, 11, 30))
        assert "Máy không lên nguồn" not in shown
        staff = sign_in(world.people["department"])
        url = f"/phan-anh/xu-ly/{grievance.code}/"
        assert grievance.code in staff.get("/phan-anh/xu-ly/").content.decode()
        staff.post(url, {"assign": "1"})
        assert staff.post(url, {"answer": " "}).status_code == 422
        staff.post(url, {"answer": "Trường sẽ đổi máy khác."})
        typed = client.get(f"/phan-anh/tra-cuu/?ma={grievance.code.lower()}", follow=True).content.decode()
        assert typed.index("Trường sẽ đổi máy khác.") < typed.index("Hạn trả lời"), (
            "what one came for is first"
        )

    def test_codes_of_reports_are_guessed_only_slowly(self, client):
        answers = [client.get(f"/phan-anh/{new_code('PA')}/") for _ in range(121)]
        assert {answer.status_code for answer in answers[:-1]} == {404}
        assert (answers[-1].status_code, answers[-1]["Retry-After"]) == (429, "600")
        assert "Hãy chờ 10 phút" in answers[-1].content.decode()

    def test_a_strangers_text_turns_nothing(self, world, client):
        sent = self.data | {"text": "Máy \u202egnohк\u202c không bật", "contact": "\u202d0912 345 678\u202c"}
        answer = client.post("/phan-anh/", sent | {"province": world.province.pk})
        assert (answer.status_code, answer.cookies) == (302, {})
        grievance = Grievance.objects.get()
        assert (grievance.text, grievance.contact) == ("Máy gnohк không bật", "0912 345 678")

    def test_sensitive_ones_are_read_at_the_centre_only(self, world, client, sign_in):
        client.post("/phan-anh/", self.data | {"kind": "misuse", "province": world.province.pk})
        grievance = Grievance.objects.get()
        assert grievance.is_sensitive
        assert grievance.office == world.programme
        url = f"/phan-anh/xu-ly/{grievance.code}/"
        for who in ("department", "programme"):
            assert sign_in(world.people[who]).get(url).status_code == 404
        assert sign_in(world.people["leader"]).get(url).status_code == 200

    def test_wrong_codes_and_machines_are_refused(self, world, client):
        page = client.post("/phan-anh/", self.data | {"device_code": "0123456789AX"})
        assert page.status_code == 422
        assert "Không có máy nào mang mã này" in page.content.decode()
        assert client.post("/phan-anh/", self.data | {"website": "http://spam.example"}).status_code == 422
        assert not Grievance.objects.exists()
        unknown = client.get("/phan-anh/PA-000000000/")
        assert unknown.status_code == 404
        assert "Không có phản ánh nào mang mã PA-000000000" in unknown.text
        assert 'value="PA-000000000"' in unknown.text
        assert client.get("/phan-anh/tra-cuu/?ma=abc").status_code == 422


class TestReturnsAndReplacement:
    @pytest.fixture
    def broken(self, record, arrived):
        """One pupil's device broke."""
        by, code = arrived.people["school"], arrived.codes(arrived.schools[0])[0]
        hand_over(by=by, record=record, rows=[{"device": code}], at=AT)
        report_device(
            by=by,
            office=arrived.schools[0].office,
            device_code=code,
            kind="broken",
            reason="screen",
            happened_on=AT.date(),
            at=AT,
        )
        return code

    def test_replaced_in_one_step_then_sent_back(self, broken, arrived, sign_in):
        with transaction.atomic():
            make_devices(arrived, 1)
        school = sign_in(arrived.people["school"])
        code = arrived.schools[0].code
        assert "Đổi máy khác" in school.get(f"/ban-giao/{code}/may/").content.decode()
        done = school.post(f"/ban-giao/{code}/may/doi/", {"device": broken}, follow=True)
        assert "Đã đổi máy" in done.content.decode()
        page = school.get("/van-chuyen/tra-ve/")
        assert [row.code for row, *_ in page.context["rows"]] == [broken]
        nothing = school.post("/van-chuyen/tra-ve/", {"to_office": "KHO-TW"})
        assert nothing.status_code == 422
        assert "Chưa chọn máy nào" in nothing.content.decode()
        back = school.post("/van-chuyen/tra-ve/", {"to_office": "KHO-TW", "may": [broken]}, follow=True)
        assert "Đã soạn lô" in back.content.decode()
        shipment = Shipment.objects.get(is_return=True)
        assert [item.device.code for item in shipment.items.all()] == [broken]
        assert school.get("/van-chuyen/tra-ve/").context["rows"] == []

    def test_an_office_replaces_what_came_damaged_to_it(self, world, sign_in):
        with transaction.atomic():
            make_devices(world, 1)
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        codes = sorted(shipment.items.values_list("device__code", flat=True))[:2]
        department = sign_in(world.people["department"])
        department.post(
            f"/van-chuyen/{shipment.code}/nhan/",
            {"missing": "", "damaged": "\n".join(codes), "fault": "screen"},
        )
        work = department.get("/viec-can-lam/").content.decode()
        assert "Máy hư hại hoặc mất, học sinh chờ đổi máy khác" in work
        assert (
            "Máy hư hại hoặc mất, học sinh còn chờ: 2 máy"
            in department.get("/van-chuyen/tra-ve/").content.decode()
        )
        done = department.post("/van-chuyen/tra-ve/", {"doi": codes}, follow=True)
        assert "Đã đổi 1 máy khác cho học sinh" in done.content.decode()
        assert "không còn máy nào chưa phân bổ" in done.content.decode()
        assert [row.code for row, *_ in done.context["rows"]] == codes[:1]

    def test_no_stock_says_so_and_changes_nothing(self, broken, arrived, sign_in):
        school = sign_in(arrived.people["school"])
        code = arrived.schools[0].code
        page = school.post(f"/ban-giao/{code}/may/doi/", {"device": broken}, follow=True)
        assert "không còn máy nào chưa phân bổ" in page.content.decode()
        assert DeviceReport.objects.latest("pk").kind == "broken"

    def test_a_lost_device_of_a_pupil_who_left_closes_the_place(self, world, sign_in):
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        item = shipment.items.filter(device__allocations__student__school=world.schools[0].pk).first()
        receive_shipment(
            by=world.people["department"],
            shipment=shipment,
            results={item.device.code: "missing"},
            at=AT,
            rest="arrived",
        )
        (loss,) = request_losses(
            by=world.people["keeper"],
            shipment=shipment,
            device_codes=[item.device.code],
            reason="in_transit",
            account="Hỏi lái xe và hai kho, không thấy.",
            at=AT,
        )
        decide_loss(by=world.people["leader"], loss=loss, agree=True, at=AT)
        Student.objects.filter(allocations__device=item.device).update(state="left")
        client = sign_in(world.people["school"])
        said = client.post(
            reverse("delivery:replace", args=[world.schools[0].code]),
            {"device": item.device.code},
            follow=True,
        )
        assert "suất này đã khép lại" in said.content.decode()
        assert Allocation.objects.get(device=item.device).end_reason == "lost"

    def test_others_neither_replace_nor_return(self, broken, arrived, sign_in):
        code = arrived.schools[0].code
        other = sign_in(arrived.people["school2"])
        assert other.post(f"/ban-giao/{code}/may/doi/", {"device": broken}).status_code == 404
        assert other.get(f"/van-chuyen/tra-ve/?noi={arrived.schools[0].office.code}").status_code == 404
        assert sign_in(arrived.people["leader"]).get("/van-chuyen/tra-ve/").status_code == 404

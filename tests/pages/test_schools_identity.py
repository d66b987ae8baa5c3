"""One way to see an identity number: a reason first, a line in the log, the number once; and auditors read the log."""

import pytest
from django.urls import reverse

from accounts.models import PersonalDataAccess
from common import crypto
from schools.models import Office, Student
from schools.services import identity
from tests.delivery_world import _office, _person, make_world

pytestmark = pytest.mark.django_db
NUMBER = "079309004321"
REASON = "Đối chiếu giấy khai sinh theo công văn 12"


@pytest.fixture
def student():
    student = make_world(per_school=1).allocations[0].student
    Student.objects.filter(pk=student.pk).update(
        identity_sealed=crypto.seal(NUMBER.encode()), identity_index=crypto.blind_index(NUMBER)
    )
    return student


def clerk(student):
    return student.school.office.staff_roles.first().user


def test_rule_8_a_number_is_masked_until_a_reason_is_recorded(student, sign_in):
    client = sign_in(clerk(student))
    page = client.get(reverse("schools:student", args=[student.pk])).content.decode()
    address = reverse("schools:student_identity", args=[student.pk])
    assert NUMBER not in page
    assert "••••" in page
    assert address in page
    assert NUMBER not in client.get(address).content.decode()
    assert not PersonalDataAccess.objects.using("journal").reveals().exists()
    shown = client.post(address, {"reason": REASON})
    assert NUMBER in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    row = PersonalDataAccess.objects.using("journal").reveals().get()
    assert (row.reason, row.subject_id, row.user_id_text) == (REASON, str(student.pk), str(clerk(student).pk))


@pytest.mark.parametrize("reason", ["", "   ", "xem", "aaaaaaaaaaaaaa"])
def test_no_reason_no_number(student, sign_in, reason):
    answer = sign_in(clerk(student)).post(
        reverse("schools:student_identity", args=[student.pk]), {"reason": reason}
    )
    assert answer.status_code == 422
    assert NUMBER not in answer.content.decode()


def test_who_is_out_of_reach_or_only_watches_sees_nothing(student, sign_in):
    address = reverse("schools:student_identity", args=[student.pk])
    far = _person(
        "xa", _office(Office.Kind.SCHOOL, "TR-XA", "Trường xa", Office.objects.get(code="P-760")), "clerk"
    )
    assert sign_in(far).post(address, {"reason": REASON}).status_code == 404
    watcher = _person(
        "kiem.toan", _office(Office.Kind.AUDIT, "KTNN", "Kiểm toán", Office.objects.get(code="CT")), "auditor"
    )
    assert sign_in(watcher).post(address, {"reason": REASON}).status_code == 404


def test_a_day_has_a_limit(student, sign_in, monkeypatch):
    monkeypatch.setattr(identity, "REVEALS_A_DAY", 2)
    client, address = sign_in(clerk(student)), reverse("schools:student_identity", args=[student.pk])
    pages = [client.post(address, {"reason": REASON}).content.decode() for _ in range(3)]
    assert [NUMBER in page for page in pages] == [True, True, False]
    assert "24 giờ" in pages[2]


def test_auditors_read_every_reveal_and_no_number(student, sign_in):
    for fields, reason in (("số định danh", REASON), ("họ tên, lớp", "bàn giao máy")):
        PersonalDataAccess.objects.create(
            user_id_text=str(clerk(student).pk), subject_type="schools.student", subject_id=str(student.pk),
            fields_read=fields, reason=reason,
        )  # fmt: skip
    watcher = _person(
        "kiem.toan", _office(Office.Kind.AUDIT, "KTNN", "Kiểm toán", Office.objects.get(code="CT")), "auditor"
    )
    page = sign_in(watcher).get(reverse("schools:readings"), {"chi": "so-dinh-danh"}).content.decode()
    assert REASON in page
    assert "bàn giao máy" not in page
    assert NUMBER not in page

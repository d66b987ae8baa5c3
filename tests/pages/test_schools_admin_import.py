"""Offices and schools by spreadsheet in the admin, as a system administrator does it: preview, confirm, export."""

import csv
import gettext
import io
import re
from pathlib import Path

import import_export
import openpyxl
import pytest
from django.apps import apps
from django.contrib.admin import site
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import translation
from import_export.admin import ExportMixin
from import_export.formats import base_formats
from tablib import Dataset

from schools.models import Office, School
from tests.lists_world import make_world
from tests.payloads import PAYLOADS

pytestmark = pytest.mark.django_db
OFFICES = """code,kind,name,parent,unit,address,valid_from
79000801,school,Trường THCS Võ Văn Tần,P-760,,,2021-09-01
P-760,district_office,Phòng GD&ĐT Quận 1,S-79,,,2000-01-01
"""
SCHOOLS = """code,office,level,commune,enrolment,teacher_count,teachers_without_computer
79000801,79000801,lower_secondary,VN2021-26734,640,41,7
79000701,79000701,lower_secondary,VN2021-26734,512,40,3
"""


@pytest.fixture
def world(db):
    return make_world()


@pytest.fixture
def admin(world, sign_in, user):
    user.is_staff = user.is_superuser = True
    user.save()
    return sign_in(user)


def test_hidden_turns_of_a_file_are_left_out(send):
    send("office", OFFICES.replace("Võ Văn Tần", "Võ \u202eVăn\u2069 Tần"))
    assert Office.objects.get(code="79000801").name == "Trường THCS Võ Văn Tần"


@pytest.fixture
def send(admin):
    """`send("office", text)`: the preview's page; `confirm=True` goes on to write."""

    def send(model: str, text: str, *, confirm: bool = True) -> str:
        url = reverse(f"admin:schools_{model}_import")
        kind = next(
            place for place, made in enumerate(base_formats.DEFAULT_FORMATS) if made is base_formats.CSV
        )
        answer = admin.post(
            url, {"import_file": SimpleUploadedFile("tep.csv", text.encode()), "format": kind}
        )
        assert answer.status_code == 200
        page = answer.content.decode()
        form = answer.context.get("confirm_form")
        if confirm and form is not None and not answer.context["result"].has_errors():
            done = admin.post(reverse(f"admin:schools_{model}_process_import"), form.initial, follow=True)
            assert done.status_code == 200
            page = done.content.decode()
        return page

    return send


def test_a_school_comes_in_as_office_and_school_and_the_same_file_again_changes_nothing(send, world):
    send("office", OFFICES)
    office = Office.objects.get(code="79000801")
    assert office.path == f"{world.offices['P-760'].path}79000801/"
    send("school", SCHOOLS)
    school = School.objects.get(code="79000801")
    assert (school.province.code, school.district.code, school.enrolment) == ("79", "760", 640)
    assert School.objects.get(code="79000701").teachers_without_computer == 3
    before = list(School.objects.order_by("pk").values())
    send("school", SCHOOLS)
    assert list(School.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("office", OFFICES.replace("P-760,,,2021", "P-999,,,2021")),
        ("office", OFFICES.replace("Phòng GD&ĐT Quận 1,S-79", "Phòng GD&ĐT Quận 1,S-01")),
        ("school", SCHOOLS.replace("79000801,79000801", "79000801,79000999")),
        ("school", SCHOOLS.replace("VN2021-26734,640", "VN2021-99999,640")),
        ("school", SCHOOLS.replace("512,40,3", "512,40,41")),
    ],
)
def test_one_wrong_row_writes_none(send, model, text):
    if model == "school":
        send("office", OFFICES)
    before = list(Office.objects.order_by("pk").values()), list(School.objects.order_by("pk").values())
    page = send(model, text)
    assert re.search("Không có|Chuyển cơ quan|nhiều nhất|không thể|không được|phải", page)
    assert (
        list(Office.objects.order_by("pk").values()),
        list(School.objects.order_by("pk").values()),
    ) == before


EXPORTING = sorted(
    model._meta.label_lower for model, known in site._registry.items() if isinstance(known, ExportMixin)
)


@pytest.mark.parametrize("label", EXPORTING)
def test_no_model_with_an_export_in_the_admin_gives_a_formula_back(label):
    assert "schools.office" in EXPORTING
    exporter = site._registry[apps.get_model(label)]
    for kind in exporter.get_export_formats():
        if kind().get_title() not in ("csv", "xlsx"):
            continue
        content = kind().export_data(Dataset(*[[payload] for payload in PAYLOADS], headers=["Tên"]))
        if kind().get_title() == "csv":
            text = content if isinstance(content, str) else content.decode()
            cells = [row[0] for row in csv.reader(io.StringIO(text, newline="")) if row]
        else:
            found = [row[0] for row in openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows()]
            assert all(cell.data_type != "f" for cell in found)
            cells = [str(cell.value) for cell in found]
        # XML knows one kind of line break.
        found_texts = [cell.replace("\r", "\n") for cell in cells if cell != "Tên"]
        assert found_texts == ["'" + payload.replace("\r", "\n") for payload in PAYLOADS]


def test_an_export_runs_no_formula(admin, world):
    Office.objects.filter(code="79000701").update(name='=HYPERLINK("http://x.example")')
    url = reverse("admin:schools_office_export")
    page = admin.get(url)
    fields = dict.fromkeys(re.findall(r'name="(officeresource_\w+)"', page.content.decode()), "on")
    for made in page.context["form"].fields["format"].choices:
        if made[1] not in ("csv", "xlsx"):
            continue
        answer = admin.post(url, fields | {"format": made[0], "resource": "0"})
        content = b"".join(answer) if answer.streaming else answer.content
        if made[1] == "csv":
            cells = [cell for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) for cell in row]
        else:
            cells = [
                cell for row in openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows() for cell in row
            ]
            assert all(cell.data_type != "f" for cell in cells)
            cells = [str(cell.value) for cell in cells]
        assert any("HYPERLINK" in cell for cell in cells), made
        assert not any(cell.startswith("=") for cell in cells)


def test_the_pages_of_import_and_export_speak_vietnamese_and_show_no_trace(admin, send):
    theirs = gettext.translation(
        "django", Path(import_export.__file__).parent / "locale", languages=["fr"]
    )._catalog
    said = {key for key in theirs if isinstance(key, str) and key}
    assert len(said) > 30
    with translation.override("vi"):
        assert [text for text in sorted(said) if translation.gettext(text) == text] == []
    page = admin.get(reverse("admin:schools_office_import")).content.decode()
    assert "Tệp cần nhập" in page
    assert "File to import" not in page
    assert "Xuất ra tệp" in admin.get(reverse("admin:schools_office_export")).content.decode()
    assert "chưa có gì được ghi" in send("office", OFFICES, confirm=False)
    wrong = send("office", OFFICES.replace("code,kind", "ma,kind"), confirm=False)
    assert "Hàng tiêu đề của tệp thiếu cột: code" in wrong
    assert "Traceback" not in wrong

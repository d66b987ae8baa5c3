"""Uploaded files that no row holds on to any more, wherever in the house they were uploaded."""

import datetime as dt
import uuid
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from common.stored_files import delete_orphans, file_fields
from common.tasks import delete_orphan_files
from coverage.models import CoveragePoint, PointReport
from coverage.services import add_points, report_point
from tests.delivery_world import AT, make_world

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n.."


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    disk = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = settings.STORAGES | {"default": disk}


def test_the_evidence_of_a_report_stays_and_that_of_one_that_was_rolled_back_goes(tmp_path):
    world = make_world(per_school=0)
    add_points(
        by=world.people["mic"],
        rows=[
            {
                "code": f"DLS-{number}", "name": f"Bản {number}", "commune_id": world.commune.pk,
                "province_id": world.province.pk, "latitude": "10.8", "longitude": "106.7",
                "operator_id": world.operator.pk, "is_urgent": False, "deadline_on": dt.date(2021, 12, 31),
            }
            for number in (1, 2)
        ],
    )  # fmt: skip

    def cover(number: int) -> None:
        report_point(
            by=world.people["mic"], point=CoveragePoint.objects.get(code=f"DLS-{number}"), state="covered", at=AT,
            measured_on=AT.date(), download_kbps=8000, evidence=SimpleUploadedFile(f"{number}.png", PNG),
        )  # fmt: skip

    cover(1)
    with transaction.atomic():
        cover(2)
        transaction.set_rollback(True)
    kept = Path(PointReport.objects.get().evidence.path)
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) == 2
    now = dt.datetime.now(dt.UTC)
    assert delete_orphans(at=now) == 0, "a transaction may still be writing its row"
    assert delete_orphans(at=now + dt.timedelta(days=2)) == 1
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {kept}


def test_every_folder_of_uploads_is_looked_after(tmp_path):
    folders = {Path(field.upload_to).parts[0] for field in file_fields()}
    assert folders >= {"lists", "handovers", "points"}
    for folder in folders:
        stray = tmp_path / folder / "2021" / f"{uuid.uuid4().hex}.sealed"
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"x")
    delete_orphan_files()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(folders), "none is a day old"
    assert delete_orphans(at=dt.datetime.now(dt.UTC) + dt.timedelta(days=2)) == len(folders)

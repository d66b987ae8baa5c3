"""The pages of staff and public at the size of the nation, and its first hop of shipments: how long each takes."""

import datetime as dt
import tempfile
import time

from django.conf import settings
from django.db import connection
from django.test import Client

from accounts.models import User
from bench.nation import NOW, build_nation, own_database
from delivery import services as delivery
from drills import drill
from drills.allocation import approved_run, committer
from schools.models import AdministrativeUnit, Office, StaffRole
from tests.signing_in import pass_second_factor

Kind, Role = Office.Kind, StaffRole.Role
SLOWEST = 6
# Who opens what; {run} is the committed run.
PAGES = {
    (Role.CLERK, Kind.PROGRAMME): [
        "/viec-can-lam/", "/phan-bo/", "/phan-bo/dot/{run}/", "/phan-bo/dot/{run}/phieu/", "/phan-bo/dot/{run}/hoc-sinh/",
        "/hoc-sinh/", "/hoc-sinh/?q=em+77123", "/nhu-cau/", "/nhu-cau/khao-sat/", "/danh-sach/", "/danh-sach/gui/",
        "/van-chuyen/", "/ban-giao/", "/nguon-luc/", "/dieu-hanh/dot/{run}/",
    ],
    (Role.VIEWER, Kind.MOET): ["/dieu-hanh/", "/dieu-hanh/dang-ket/", "/dieu-hanh/bao-cao/"],
    (Role.AUDITOR, Kind.AUDIT): ["/kiem-toan/", "/nhat-ky/", "/nhat-ky/?loai=schools.student", "/nhat-ky/doc-du-lieu/"],
    (Role.KEEPER, Kind.WAREHOUSE): ["/viec-can-lam/", "/kho/", "/van-chuyen/", "/van-chuyen/?xem-truoc=1"],
    (Role.CLERK, Kind.SCHOOL): ["/viec-can-lam/", "/danh-sach/", "/hoc-sinh/", "/van-chuyen/", "/ban-giao/", "/nhu-cau/"],
}  # fmt: skip
PUBLIC = ["/", "/so-cai/", "/phan-bo/cong-khai/", "/phan-bo/cong-khai/{run}/", "/sao-ke/", "/phu-song/"]


@drill("pages.nation")
def pages_of_a_nation(*, scale: float = 1.0) -> dict:
    """Every heavy page before anything is shipped and after each device has come to its school."""
    with own_database("drill_pages"), tempfile.TemporaryDirectory() as folder:
        clerk, other, approver, phase = build_nation(scale)
        run = approved_run(clerk, other, approver, phase)
        assert committer(run, folder).wait() == 0
        people = _people()
        before = _opened(people, run.code)
        timed: dict[str, float] = {}
        at = NOW + dt.timedelta(days=2)
        began = time.perf_counter()
        shipments = delivery.plan_shipments(by=clerk, at=at)
        timed["planned_s"] = time.perf_counter() - began
        began = time.perf_counter()
        devices = delivery.dispatch_shipments(by=clerk, shipments=shipments, at=at)
        timed["sent_s"] = time.perf_counter() - began
        began = time.perf_counter()
        arrived = delivery.receive_shipments(by=other, shipments=shipments, at=at + dt.timedelta(days=1))
        timed["received_s"] = time.perf_counter() - began
        assert devices == arrived == run.summary["allocated"]
        after = _opened(people, run.code)
        return {
            "students": run.applicant_count, "devices": devices, "shipments": len(shipments),
            **{name: round(seconds, 1) for name, seconds in timed.items()},
            "pages": len(before), "slowest": _slowest(before), "slowest_with_all_at_schools": _slowest(after),
        }  # fmt: skip


def _people() -> dict[tuple[str, str], User]:
    """One person per post of `PAGES`; offices that the nation of the benchmark lacks are founded."""
    with (
        connection.cursor() as cursor
    ):  # what the benchmark's nation lacks: numbers for new offices, addresses
        cursor.execute("UPDATE schools_administrativeunit SET slug = 'noi-' || code WHERE level = 'province'")
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('schools_office', 'id'), (SELECT max(id) FROM schools_office))"
        )
    programme = Office.objects.get(kind=Kind.PROGRAMME)
    Office.objects.bulk_create(
        Office(
            kind=Kind.PROVINCE_DEPARTMENT, code=f"S-{unit.code}", name=f"Sở {unit.name}", path=f"/CT/S-{unit.code}/",
            parent=programme, unit=unit, valid_from=NOW.date(),
        )
        for unit in AdministrativeUnit.objects.filter(level="province")
    )  # fmt: skip
    people = {}
    for role, kind in PAGES:
        office = Office.objects.filter(kind=kind).order_by("pk").first() or Office.objects.create(
            kind=kind, code=kind.upper(), name=kind, path=f"/CT/{kind.upper()}/", parent=programme,
            valid_from=NOW.date(),
        )  # fmt: skip
        user = User.objects.create_user(f"{role}.{kind}@example.vn", full_name=f"{role} {kind}")
        StaffRole.objects.create(user=user, office=office, role=role, granted_at=NOW, granted_by=user)
        people[role, kind] = user
    return people


def _opened(people: dict[tuple[str, str], User], run: str) -> dict[str, float]:
    """Seconds of each page, opened a second time: the first fills PostgreSQL's own memory."""
    client = Client(headers={"host": settings.ALLOWED_HOSTS[0].lstrip(".*") or "localhost"})
    seconds = {path: _open(client, path.format(run=run)) for path in PUBLIC}
    for post, user in people.items():
        client.force_login(user)
        pass_second_factor(client.session, user)
        for path in PAGES[post]:
            seconds[f"{post[1]} {path}"] = _open(client, path.format(run=run))
    return seconds


def _open(client: Client, path: str) -> float:
    for _ in range(2):
        began = time.perf_counter()
        response = client.get(path, follow=True)
        took = time.perf_counter() - began
        assert response.status_code == 200, (path, response.status_code)
    return took


def _slowest(seconds: dict[str, float]) -> dict[str, float]:
    return {page: round(took, 2) for page, took in sorted(seconds.items(), key=lambda row: -row[1])[:SLOWEST]}

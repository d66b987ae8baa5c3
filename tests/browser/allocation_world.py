"""Runs in every state on a running installation, made by the services as officials would; `make` returns their codes."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from allocation import services
from allocation.models import AllocationPolicy, AllocationRun, Phase
from allocation.rules import commitment_of
from donations import services as supply
from donations.models import DeviceCriteria
from donations.rules import Finding
from schools.models import AdministrativeUnit, Office, School, Student
from tests.supply import AT, FOUNDED, person

SOUND = {
    "screen_inch": 8.5, "ram_gb": 3, "storage_gb": 32, "android": 11, "battery_mah": 5100, "warranty_months": 12,
    "wifi": True, "cellular_4g": True, "front_camera": True, "microphone": True,
}  # fmt: skip
NUMBERS = ["số của Sở", "số của hội phụ huynh", "số của báo chí"]


def days_ago(days: float) -> dt.datetime:
    """Before a day of the programme, when the 63 provinces of 2021 were there."""
    return AT - dt.timedelta(days=days)


def make_school(province: str, code: str) -> School:
    department = Office.objects.get(code=f"S-{province}")
    commune = AdministrativeUnit.objects.filter(
        level="commune", vintage="2021", province__code=province
    ).order_by("code")[0]
    place = Office.objects.create(
        kind="school", code=f"TR-{code}", name=f"Trường thử {code}", parent=department,
        path=f"{department.path}TR-{code}/", unit=commune, valid_from=FOUNDED,
    )  # fmt: skip
    return School.objects.create(
        office=place, code=code, level="primary", commune=commune, district=commune.parent,
        province=commune.province, enrolment=400,
    )  # fmt: skip


def make_students(school: School, count: int, group: str, by) -> None:
    Student.objects.bulk_create(
        Student(
            school=school, full_name=f"Nguyễn Thử {n}", search_key=f"nguyen thu {n}", sort_key=f"{n:05}",
            born_on=dt.date(2012, 5, 1), class_name="5A", group=group, state="approved", approved_at=days_ago(9),
            approved_by=by,
        )
        for n in range(count)
    )  # fmt: skip


def make_stock(people: dict, warehouse: Office, count: int, prefix: str, **earmark) -> None:
    donor = supply.register_donor(
        by=people["clerk"],
        kind="enterprise",
        name=f"Công ty {prefix}",
        at=days_ago(9),
        is_named_in_public=True,
    )
    pledge, _ = supply.make_pledge(
        by=people["clerk"], donor=donor, kind="device", device_kind="tablet", quantity=count, at=days_ago(9),
        warehouse=warehouse, is_verified=True, **earmark,
    )  # fmt: skip
    lot = supply.receive_lot(
        by=people["keeper"], pledge=pledge, at=days_ago(8), warehouse=warehouse, device_kind="tablet"
    )
    codes = supply.receive_devices(
        by=people["keeper"], lot=lot, rows=[(f"{prefix}{n:05}", "") for n in range(count)], at=days_ago(8)
    )
    supply.inspect_devices(
        by=people["inspector"],
        findings=[Finding(code, SOUND) for code in codes],
        at=days_ago(8),
    )


def drawn(people: dict, policy: AllocationPolicy, **more) -> AllocationRun:
    """Opened, frozen, drawn and proposed in the days before now."""
    run = services.open_run(
        by=people["clerk"], policy=policy, randomness_source="Xổ số miền Bắc", draw_at=days_ago(4),
        at=days_ago(6), **more,
    )  # fmt: skip
    run = services.freeze(by=people["clerk"], run=run, at=days_ago(5))
    services.enter_randomness(by=people["clerk"], run=run, value="12345", at=days_ago(3))
    run = services.confirm_randomness(by=people["second"], run=run, value="12345", at=days_ago(3))
    return services.propose(by=people["clerk"], run=run, at=days_ago(3))


@transaction.atomic
def make() -> dict:
    programme = Office.objects.get(kind="programme")
    warehouse = Office.objects.filter(kind="warehouse").order_by("pk").first() or Office.objects.create(
        kind="warehouse", code="KHO-THU", name="Kho thử", parent=programme, path=f"{programme.path}KHO-THU/",
        valid_from=FOUNDED,
    )  # fmt: skip
    people = {
        "clerk": person("phan.bo", ("clerk", programme)),
        "second": person("phan.bo.hai", ("clerk", programme)),
        "leader": person("phan.bo.duyet", ("approver", programme)),
        "keeper": person("phan.bo.kho", ("keeper", warehouse)),
        "inspector": person("phan.bo.kiem", ("inspector", warehouse)),
    }
    # The programme's own criteria: the installation is shared with other tests.
    for row in DeviceCriteria.objects.filter(published_at=None):
        supply.publish_criteria(by=people["clerk"], criteria=row, at=days_ago(9))
    school, other = make_school("15", "15000901"), make_school("10", "10000901")
    person("phan.bo.truong", ("clerk", school.office))
    for place in (school, other):
        make_students(place, 15, "poor", people["clerk"])
        make_students(place, 15, "near_poor", people["clerk"])
    policy = services.draft_policy(
        by=people["clerk"], phase=Phase.objects.get(code="GD1"), name="Thử trình duyệt", groups=["poor", "near_poor"],
        locality_first=True, margin="proportional", at=days_ago(8),
    )  # fmt: skip
    policy = services.publish_policy(by=people["leader"], policy=policy, at=days_ago(8))
    services.draft_policy(
        by=people["clerk"], phase=Phase.objects.get(code="GD1"), name="Bản nháp thử", groups=["near_poor"],
        locality_first=True, margin="draw", at=days_ago(8),
    )  # fmt: skip
    make_stock(people, warehouse, 40, "BRA")
    committed = drawn(people, policy)
    services.rank(by=people["clerk"], run=committed)
    committed = services.approve(by=people["leader"], run=committed, at=days_ago(2))
    committed = services.commit(by=people["leader"], run=committed, at=days_ago(2))
    # A Sở's draw that three parties make, and one that waits for its approval with devices nobody may have.
    make_stock(people, warehouse, 3, "BRB", earmark_unit=school.province)
    make_stock(people, warehouse, 12, "BRC", earmark_unit=other.province)
    parties = services.open_run(
        by=people["clerk"], policy=policy, province=school.province, source="three_parties",
        randomness_source="Ba bên", commitments=[commitment_of(number) for number in NUMBERS],
        draw_at=timezone.now() + dt.timedelta(days=1), at=days_ago(1),
    )  # fmt: skip
    parties = services.freeze(by=people["clerk"], run=parties, at=days_ago(1))
    proposed = drawn(people, policy, province=other.province)
    waiting = committed.rankings.filter(queue=1).get()
    return {
        "committed": committed.code,
        "parties": parties.code,
        "proposed": proposed.code,
        "proposed_count": proposed.summary["allocated"],
        "served": committed.proposed.first().student_id,
        "waiting": waiting.student_id,
        "waiting_code": committed.applicants.get(student=waiting.student_id).code,
        "device": committed.allocations.filter(student__school=school).first().device.code,
        "draft": AllocationPolicy.objects.get(name="Bản nháp thử").pk,
        "school": school.pk,
    }

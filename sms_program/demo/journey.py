"""The devices' way in the demonstration: hop by hop to the schools, into pupils' hands, and what happens after.

Some of it stands still on purpose, as it did in reality: two provinces keep what they received, a few items go
missing, and the second wave is still on its way on the programme's day.
"""

import datetime as dt
import itertools
import random

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from accounts.models import User
from allocation.models import AllocationRun
from coverage.models import Operator
from delivery.models import DeviceReport, Handover, HandoverRecord, Shipment, ShipmentItem
from delivery.services import aftercare, grievances, handovers, hops, losses, replacement, returns, shipments
from donations.models import Device
from schools.models import AdministrativeUnit, Office, School
from sms_program.demo import staff
from sms_program.demo.plan import moment

# Provinces that hold on to what they received (the press wrote of money that lay idle there for months).
STUCK = {"67", "64"}
# Each looks through the stock of the nation: a large demonstration shows enough of them.
MOST_REPLACED = 200


def carry_first_wave(build) -> None:
    """Warehouse → Sở → Phòng → school, all received but for the provinces that stand still."""
    run = _run(1)
    _hop(build, run, leaves=dt.date(2021, 9, 20), arrives=dt.date(2021, 9, 25))
    _hop(build, run, leaves=dt.date(2021, 9, 29), arrives=dt.date(2021, 10, 2), skip=STUCK)
    _hop(build, run, leaves=dt.date(2021, 10, 5), arrives=dt.date(2021, 10, 8), skip=STUCK)


def carry_second_wave(build) -> None:
    """On the programme's day one province in five still waits, and the last hops are on their way."""
    run = _run(2)
    _hop(build, run, leaves=dt.date(2021, 10, 22), arrives=dt.date(2021, 10, 27), leave_open=0.2)
    _hop(build, run, leaves=dt.date(2021, 11, 1), arrives=dt.date(2021, 11, 4), skip=STUCK, leave_open=0.2)
    _hop(build, run, leaves=dt.date(2021, 11, 8), arrives=dt.date(2021, 11, 9), skip=STUCK, leave_open=0.3)


def _run(number: int) -> AllocationRun:
    return AllocationRun.objects.filter(state="committed").order_by("pk")[number - 1]


def _hop(
    build,
    run,
    *,
    leaves: dt.date,
    arrives: dt.date,
    skip: frozenset | set = frozenset(),
    leave_open: float = 0.0,
) -> None:
    """Plan, dispatch and receive one hop everywhere; a part stays on the road, one item in 300 is missing.

    Each sender and each receiver acts in a transaction of their own, as they do; begun again, it goes on. The day on
    which a hop is expected names it.
    """
    of_hop = Shipment.objects.filter(expected_on=arrives, is_return=False)
    if not of_hop.exists():
        hops.plan_shipments(by=build.person("dieu-phoi"), at=moment(leaves, 7), run=run, expected_on=arrives)
    stays = {f"S-{code}" for code in skip} | {f"P-{code}" for code in _districts(skip)}
    going = list(
        of_hop.exclude(from_office__code__in=stays)
        .select_related("from_office", "to_office")
        .order_by("from_office__code", "to_office__code")
    )
    people = _people({s.from_office.code for s in going} | {s.to_office.code for s in going})
    by_sender = itertools.groupby(going, key=lambda shipment: shipment.from_office.code)
    for number, (code, sent) in enumerate(by_sender):
        drafts = [shipment for shipment in sent if shipment.state == Shipment.State.DRAFT]
        if drafts:
            shipments.dispatch_shipments(
                by=people[code], shipments=drafts, at=moment(leaves, 8 + number % 9, number % 60)
            )
    arrived = set(of_hop.filter(state=Shipment.State.ARRIVED).values_list("pk", flat=True))
    for number, shipment in enumerate(going):
        build.tell(number, len(going))
        rng = build.rng(f"hop {arrives} {shipment.from_office.code} {shipment.to_office.code}")
        if shipment.pk in arrived or rng.random() < leave_open:
            continue
        at = moment(arrives + dt.timedelta(days=rng.randrange(3)), 8 + number % 9, number % 60)
        results: dict[str, str | tuple[str, str]] = {}
        for device in shipment.items.order_by("device__code").values_list("device__code", flat=True):
            chance = rng.random()
            if chance < 0.003:
                results[device] = "missing"
            elif chance < 0.006:
                results[device] = ("damaged", "screen")
        shipments.receive_shipment(
            by=people[shipment.to_office.code], shipment=shipment, results=results, at=at, rest="arrived"
        )


def _districts(provinces: set[str] | frozenset) -> list[str]:
    return list(
        AdministrativeUnit.objects.filter(
            vintage="2021", level="district", province__code__in=provinces
        ).values_list("code", flat=True)
    )


def _people(offices: set[str]) -> dict[str, User]:
    """Who sends and receives for each office."""
    address = {code: _address(code) for code in offices}
    users = {user.email: user for user in User.objects.filter(email__in=address.values())}
    return {code: users[email] for code, email in address.items()}


def _address(office: str) -> str:
    kind, _, code = office.partition("-")
    local = {"KHO": "thu-kho", "S": f"so-{code}", "P": f"phong-{code}"}.get(kind, f"truong-{office}")
    return f"{local}@{staff.DOMAIN}"


def hand_over_first_wave(build) -> None:
    """Nearly every school with devices has held its handover."""
    _hand_over(build, first=dt.date(2021, 10, 11), days=24, share=0.93)


def hand_over_second_wave(build) -> None:
    """A first part of the schools of the second wave."""
    _hand_over(build, first=dt.date(2021, 11, 12), days=3, share=0.45)


def _hand_over(build, *, first: dt.date, days: int, share: float) -> None:
    """A day at each school that has devices, a transaction of its own; begun again, it goes on with the schools left."""
    schools = list(
        School.objects.filter(office__custodies__to_at__isnull=True, office__custodies__isnull=False)
        .distinct()
        .select_related("office", "province")
        .order_by("code")
    )
    people = _people({school.office.code for school in schools})
    operators = list(
        Operator.objects.filter(is_mobile=True, code__in=["VIETTEL", "VNPT", "MOBIFONE"]).order_by("pk")
    )
    last = first + dt.timedelta(days=days)
    held = set(
        HandoverRecord.objects.filter(held_on__range=(first, last)).values_list("school_id", flat=True)
    )
    for number, school in enumerate(schools):
        build.tell(number, len(schools))
        rng = build.rng(f"handover {first} {school.code}")
        if school.pk in held or rng.random() > share:
            continue
        at = moment(first + dt.timedelta(days=rng.randrange(days)), 8 + number % 8, number % 60)
        with transaction.atomic():
            _hold_handover(rng, school, by=people[school.office.code], operator=rng.choice(operators), at=at)


def _hold_handover(
    rng: random.Random, school: School, *, by: User, operator: Operator, at: dt.datetime
) -> None:
    waiting = [row for row in handovers.waiting_rows(school) if row.is_here and not row.problem]
    # One in fifteen is ill on the day and gets theirs later.
    rows = [
        {"device": row.device}
        | (
            {"recipient": Handover.Recipient.GUARDIAN, "guardian_name": "Người giám hộ (minh họa)"}
            if rng.random() < 0.3
            else {}
        )
        for row in waiting
        if rng.random() > 1 / 15
    ]
    if not rows:
        return
    record = handovers.open_record(
        by=by, school=school, class_name="", held_on=timezone.localdate(at), at=at, operator=operator
    )
    handovers.hand_over(by=by, record=record, rows=rows, at=at)
    if rng.random() < 0.9:
        handovers.sign_record(by=by, record=record, at=at + dt.timedelta(hours=2))


def follow_up(build) -> None:
    """What schools reported after some weeks: mostly in use, a few broken, one in 500 lost."""
    rng = build.rng("follow up")
    records = list(
        HandoverRecord.objects.filter(signed_at__isnull=False, held_on__lt=dt.date(2021, 11, 5))
        .select_related("school__office")
        .order_by("pk")
    )
    people = _people({record.school.office.code for record in records})
    kind = DeviceReport.Kind
    for number, record in enumerate(records):
        build.tell(number, len(records))
        office = record.school.office
        day = dt.date(2021, 11, 8) + dt.timedelta(days=rng.randrange(6))
        rows = []
        for device in record.handovers.order_by("pk").values_list("allocation__device__code", flat=True):
            chance = rng.random()
            if chance < 0.86:
                rows.append({"device": device, "kind": kind.IN_USE, "happened_on": day})
            elif chance < 0.885:
                rows.append({"device": device, "kind": kind.BROKEN, "happened_on": day, "reason": "screen"})
            elif chance < 0.887:
                rows.append(
                    {"device": device, "kind": kind.LOST, "happened_on": day, "reason": "with_student"}
                )
        if rows:
            aftercare.report_devices(by=people[office.code], office=office, rows=rows, at=moment(day, 15))


def replace_and_return(build) -> None:
    """Half of the broken devices were replaced from stock, or the first of them; the first schools sent the old ones back."""
    rng = build.rng("replacements")
    latest = (
        DeviceReport.objects.since_inspection()
        .filter(device=OuterRef("pk"))
        .order_by("-pk")
        .values("kind")[:1]
    )
    broken = (
        Device.objects.annotate(condition=Subquery(latest))
        .filter(condition=DeviceReport.Kind.BROKEN, allocations__ended_at=None)
        .order_by("pk")
        .values_list("code", "allocations__student__school__code")
    )
    schools = {school.code: school for school in School.objects.filter(code__in=[row[1] for row in broken])}
    people = _people(set(schools))
    sent_back: list[School] = []
    chosen = itertools.islice((row for row in broken if rng.random() < 0.5), MOST_REPLACED)
    for number, (device, code) in enumerate(chosen):
        school, at = schools[code], moment(dt.date(2021, 11, 14), 8 + number % 8, number % 60)
        replacement.replace_device(by=people[code], office=school.office, device_code=device, at=at)
        if school not in sent_back and len(sent_back) < 4:
            sent_back.append(school)
    for number, school in enumerate(sent_back):
        shipment = returns.plan_return(
            by=people[school.code],
            from_office=school.office,
            to_office=build.office("KHO-TW"),
            device_codes=[row.code for row in returns.returnable(school.office)],
            at=moment(dt.date(2021, 11, 14), 17, number),
        )
        if number:
            shipments.dispatch(
                by=people[school.code], shipment=shipment, at=moment(dt.date(2021, 11, 14), 18, number)
            )


def give_up_lost(build) -> None:
    """Of the devices missing for weeks one is given up by two people; the next one waits for a decision."""
    kinds = [Office.Kind.PROVINCE_DEPARTMENT, Office.Kind.DISTRICT_OFFICE]
    missing = (
        ShipmentItem.objects.filter(
            result=ShipmentItem.Result.MISSING,
            shipment__from_office__kind__in=kinds,
            shipment__arrived_at__lt=moment(dt.date(2021, 11, 1)),
            device__allocations__ended_at=None,
        )
        .select_related("device", "shipment__from_office__unit__province")
        .order_by("shipment__code", "device__code")[:2]
    )
    people = _people({item.shipment.from_office.code for item in missing})
    for number, item in enumerate(missing):
        sender = item.shipment.from_office
        (loss,) = losses.request_losses(
            by=people[sender.code],
            shipment=item.shipment,
            device_codes=[item.device.code],
            reason="in_transit",
            account="Đã hỏi lái xe và người nhận, đối chiếu phiếu gửi với kho, tìm lại ở cả hai nơi: không thấy máy.",
            at=moment(dt.date(2021, 11, 9 + number), 10),
        )
        if number == 0:
            province = (sender.unit.province or sender.unit).code
            losses.decide_loss(
                by=build.person(f"so-{province}-lanh-dao"),
                loss=loss,
                agree=True,
                at=moment(dt.date(2021, 11, 14), 16),
            )


def open_grievances(build) -> None:
    """A few problems that families reported, with and without an answer."""
    texts = [
        ("device", "Máy sạc không vào pin từ tuần trước, gia đình chưa biết mang đi sửa ở đâu.", "38"),
        (
            "not_received",
            "Gia đình thuộc hộ cận nghèo, con học lớp 7, đã có tên trong danh sách mà chưa thấy máy.",
            "01",
        ),
        ("other", "Đề nghị hướng dẫn cách bật chế độ bảo vệ trẻ em trên máy.", "20"),
        ("misuse", "Nghe nói có máy của Chương trình được rao bán trên mạng.", "79"),
    ]
    for number, (kind, text, province) in enumerate(texts):
        grievance = grievances.open_grievance(
            by=None,
            kind=kind,
            text=text,
            at=moment(dt.date(2021, 11, 3) + dt.timedelta(days=number * 3), 20),
            province=AdministrativeUnit.objects.get(vintage="2021", code=province),
            is_sensitive=kind == "misuse",
        )
        if number == 2:
            grievances.answer_grievance(
                by=build.person("so-20"),
                grievance=grievance,
                answer="Hướng dẫn có ở mục Hướng dẫn cho trường học; thầy cô chủ nhiệm sẽ giúp gia đình bật tại lớp.",
                at=moment(dt.date(2021, 11, 11), 9),
            )

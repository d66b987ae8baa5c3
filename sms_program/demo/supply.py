"""Pledges, money, lots and inspections of the demonstration: the donors and dates of the press reports."""

import datetime as dt
import random
from collections.abc import Iterator

from django.utils import timezone

from common.vietnamese import search_key
from donations import services as donations
from donations.models import BudgetLine, DeviceCriteria, Pledge, PriceAgreement, PurchaseOrder
from donations.rules import Finding
from schools.models import AdministrativeUnit, Office
from sms_program.demo import people
from sms_program.demo.plan import DONORS, DemoDonor, Size, moment

# Which donors' devices arrive in which wave; what is left of a donor's share arrives in the third.
FIRST_WAVE = {
    "Ủy ban Quản lý vốn nhà nước tại doanh nghiệp và 19 tập đoàn, tổng công ty",
    "Tập đoàn VNPT",
} | {"Tổng công ty Viễn thông MobiFone"}
THIRD_WAVE = {"Tập đoàn Xăng dầu Việt Nam (Petrolimex)"}
PRICE_VND = 2_500_000
WAREHOUSE_OF_REGION = {"KHO-TW": range(45), "KHO-MT": range(45, 69), "KHO-MN": range(69, 100)}
TABLET = {
    "screen_inch": 8.0,
    "ram_gb": 3,
    "storage_gb": 32,
    "android": 11,
    "wifi": True,
    "cellular_4g": True,
    "front_camera": True,
    "microphone": True,
    "battery_mah": 5100,
    "warranty_months": 12,
}
USED_LAPTOP = {"ram_gb": 4, "is_64_bit": True, "webcam": True, "battery_minutes": 95}


def publish_criteria(build) -> None:
    """The two recommended sets of criteria, "đề xuất – chưa xác nhận", in force from the programme's first day."""
    by = build.person("lanh-dao")
    for criteria in DeviceCriteria.objects.filter(published_at=None).order_by("pk"):
        donations.publish_criteria(by=by, criteria=criteria, at=moment(dt.date(2021, 9, 12), 8))


def make_pledges(build) -> None:
    """The organisations of the press reports, and small donors with synthetic names."""
    by = build.person("dieu-phoi")
    store = build.office("KHO-TW")
    donations.agree_price(
        by=by,
        supplier="Nhà cung cấp máy tính bảng (minh họa)",
        device_kind="tablet",
        model_name="Máy tính bảng 8 inch",
        unit_price_vnd=PRICE_VND,
        valid_from=dt.date(2021, 9, 12),
        at=moment(dt.date(2021, 9, 12), 8, 30),
    )
    made: dict[str, Pledge] = {}
    for number, row in enumerate([*DONORS, *_others(build.size)]):
        at = moment(row.day, 9, number)
        donor = donations.register_donor(by=by, kind=row.kind, name=row.name, at=at, is_named_in_public=True)
        made[row.name], _ = donations.make_pledge(
            by=by,
            donor=donor,
            kind="device" if row.quantity else "money",
            at=at,
            device_kind="tablet" if row.quantity else "",
            quantity=row.quantity,
            amount_vnd=row.amount_vnd,
            funding_source="local_donation" if row.kind == "ministry" else "donation",
            earmark_unit=_province(row.province) if row.province else None,
            umbrella=made.get(row.umbrella),
            warehouse=_warehouse(row.province) if row.province else store,
            is_verified=True,
        )
    rng = build.rng("small donors")
    for number in range(max(4, build.size.devices // 120)):
        person = people.make_person(rng, province="01", grade=1)
        kind = rng.choice(["individual", "individual", "staff", "school"])
        name = (
            person.full_name
            if kind != "school"
            else f"Phụ huynh và học sinh Trường THCS Minh họa số {number + 1}"
        )
        at = moment(dt.date(2021, 9, 13) + dt.timedelta(days=rng.randrange(50)), 10, number % 60)
        donor = donations.register_donor(
            by=None, kind=kind, name=name, at=at, is_named_in_public=kind == "school"
        )
        pledge, _ = donations.make_pledge(
            by=None,
            donor=donor,
            kind="device",
            at=at,
            device_kind=rng.choice(["tablet", "laptop"]),
            quantity=rng.choice([1, 1, 2, 3, 5, 20]),
            is_used=False,
        )
        # Some still wait for a call: the queue of pledges to confirm is not empty.
        if number % 4:
            donations.confirm_pledge(by=by, pledge=pledge, at=at + dt.timedelta(days=1), warehouse=store)


def receive_money(build) -> None:
    """Money of the donors that gave money; two of them have bought nothing yet."""
    by, root = build.person("dieu-phoi"), build.office("CT")
    for number, row in enumerate(r for r in DONORS if r.amount_vnd):
        pledge = _pledge(row)
        donations.receive_money(
            by=by,
            pledge=pledge,
            office=root,
            amount_vnd=row.amount_vnd,
            document_number=f"UNC-2021-{number + 1:04d}",
            received_on=row.day + dt.timedelta(days=2),
            at=moment(row.day + dt.timedelta(days=2), 14),
        )


def first_intake(build) -> None:
    """Devices of the first wave arrive and are inspected before the first freeze."""
    rows = [row for row in DONORS if row.name in FIRST_WAVE]
    for row in [*rows, *_others(build.size)[:1]]:
        _intake(build, row, received=dt.date(2021, 9, 13), inspected=dt.date(2021, 9, 14))


def order_devices(build) -> None:
    """Orders from the money that arrived, for pupils that approved lists name (features row 10)."""
    proposer, approver = build.person("dieu-phoi"), build.person("lanh-dao")
    agreement = PriceAgreement.objects.order_by("pk").first()
    line = BudgetLine.objects.filter(clause="II.2a").first()
    for row in DONORS:
        if not (row.amount_vnd and row.share):
            continue
        late = row.name in THIRD_WAVE
        at = moment(dt.date(2021, 10, 20) if late else dt.date(2021, 9, 22), 9)
        order = donations.propose_order(
            by=proposer,
            agreement=agreement,
            pledge=_pledge(row),
            quantity=_share(build.size, row),
            at=at,
            budget_line=line,
        )
        donations.approve_order(by=approver, order=order, at=at + dt.timedelta(days=1))


def second_intake(build) -> None:
    """Orders delivered, and earmarked devices of the provinces, before the second freeze."""
    rows = [row for row in DONORS if row.share and row.name not in FIRST_WAVE | THIRD_WAVE]
    for row in [*rows, *_others(build.size)[1:]]:
        _intake(build, row, received=dt.date(2021, 10, 11), inspected=dt.date(2021, 10, 13))


def pay_and_pass_on(build) -> None:
    """What was delivered is paid a week later; a part of the money that bought nothing goes to two provinces."""
    by = build.person("dieu-phoi")
    delivered = PurchaseOrder.objects.filter(state="delivered").order_by("pk")
    for number, order in enumerate(delivered):
        day = timezone.localdate(order.delivered_at) + dt.timedelta(days=7)
        donations.pay_order(
            by=by,
            order=order,
            amount_vnd=order.amount_vnd,
            document_number=f"UNC-2021-{number + 101:04d}",
            transferred_on=day,
            at=moment(day, 15),
        )
    idle = next(row for row in DONORS if row.amount_vnd and not row.share)
    for number, (office, amount_vnd) in enumerate((("S-67", 3_200_000_000), ("S-64", 3_630_000_000))):
        donations.transfer_money(
            by=by,
            pledge=_pledge(idle),
            from_office=build.office("CT"),
            to_office=build.office(office),
            amount_vnd=amount_vnd,
            document_number=f"UNC-2021-{number + 201:04d}",
            transferred_on=dt.date(2021, 10, 1),
            at=moment(dt.date(2021, 10, 1), 10),
        )


def third_intake(build) -> None:
    """What arrives in November: a part waits for inspection, a part is in stock; and used laptops of small donors."""
    for row in DONORS:
        if row.name in THIRD_WAVE:
            _intake(
                build, row, received=dt.date(2021, 11, 8), inspected=dt.date(2021, 11, 10), uninspected=0.45
            )
    keeper, inspector = build.person("thu-kho"), build.person("kiem-dinh")
    rng = build.rng("used laptops")
    small = Pledge.objects.filter(
        kind="device", state="confirmed", donor__kind__in=["individual", "staff", "school"]
    ).order_by("pk")[: max(2, build.size.devices // 400)]
    for number, pledge in enumerate(small):
        at = moment(dt.date(2021, 11, 9), 9, number % 60)
        lot = donations.receive_lot(
            by=keeper,
            pledge=pledge,
            warehouse=build.office("KHO-TW"),
            device_kind=pledge.device_kind,
            at=at,
            model_name="Nhiều mẫu",
            is_used=pledge.device_kind == "laptop",
        )
        codes = donations.receive_devices(
            by=keeper, lot=lot, rows=_serials(rng, f"OLD{number:03d}", pledge.quantity), at=at
        )
        if number % 3 == 2:
            continue
        used = pledge.device_kind == "laptop"
        donations.inspect_devices(
            by=inspector,
            at=moment(dt.date(2021, 11, 11), 10, number % 60),
            findings=[
                Finding(
                    code,
                    (USED_LAPTOP | {"ram_gb": rng.choice([2, 4, 4, 8])}) if used else TABLET,
                    is_wiped=rng.random() < 0.8 if used else None,
                )
                for code in codes
            ],
        )


def _intake(
    build, row: DemoDonor, *, received: dt.date, inspected: dt.date, uninspected: float = 0.0
) -> None:
    """Receive a donor's share in lots of a few hundred, at the warehouse of the region, and inspect it."""
    keeper, inspector = build.person("thu-kho"), build.person("kiem-dinh")
    rng = build.rng(f"intake {row.name}")
    pledge, left, number = _pledge(row), _share(build.size, row), 0
    order = pledge.orders.filter(state="ordered").first()
    while left > 0:
        # An order is delivered as one lot; a pledge arrives in several.
        count = left if order else min(left, max(20, build.size.devices // 12))
        at = moment(received, 8 + number % 8, number % 60)
        warehouse = pledge.warehouse or build.office(["KHO-TW", "KHO-MT", "KHO-MN"][number % 3])
        if order:
            lot = donations.deliver_order(by=keeper, order=order, warehouse=warehouse, at=at)
        else:
            lot = donations.receive_lot(
                by=keeper,
                pledge=pledge,
                warehouse=warehouse,
                device_kind="tablet",
                at=at,
                model_name=row.model,
                declared_count=count,
            )
        prefix = f"{''.join(c for c in search_key(row.model).upper() if c.isalnum())[:4]}{pledge.pk:02d}{number:02d}"
        codes = donations.receive_devices(by=keeper, lot=lot, rows=_serials(rng, prefix, count), at=at)
        looked_at = codes[: round(len(codes) * (1 - uninspected))]
        if looked_at:
            donations.inspect_devices(
                by=inspector,
                findings=_findings(rng, looked_at),
                at=moment(inspected, 8 + number % 8, number % 60),
            )
        left -= count
        number += 1


def _findings(rng: random.Random, codes: list[str]) -> Iterator[Finding]:
    """One in forty needs repair, one in a hundred is refused."""
    for code in codes:
        lot = rng.random()
        if lot < 0.01:
            yield Finding(code, TABLET | {"ram_gb": 1})
        elif lot < 0.02:
            yield Finding(code, TABLET, faults=["charger_missing"])
        elif lot < 0.03:
            yield Finding(code, TABLET, is_child_protected=False)
        else:
            yield Finding(code, TABLET)


def _serials(rng: random.Random, prefix: str, count: int) -> list[tuple[str, str]]:
    return [(f"{prefix}{number:05d}{rng.randrange(1000):03d}", "") for number in range(count)]


def _pledge(row: DemoDonor) -> Pledge:
    return Pledge.objects.select_related("warehouse").get(donor__name=row.name)


def _share(size: Size, row: DemoDonor) -> int:
    """How many of the demonstration's devices come from a donor: never more than it pledged, in devices or money."""
    pledged = row.quantity or (row.amount_vnd or 0) // PRICE_VND
    return min(pledged, max(1, size.devices * row.share // 100))


def _others(size: Size) -> list[DemoDonor]:
    """Two invented donors, one per wave, for what a size beyond the published pledges takes; mostly nobody."""
    missing = size.devices - sum(_share(size, row) for row in DONORS if row.share)
    if missing < size.devices // 20:
        return []
    names = {
        "Các nhà tài trợ khác, đợt một (số liệu minh họa)": 12,
        "Các nhà tài trợ khác, đợt hai (số liệu minh họa)": 25,
    }
    return [
        DemoDonor(
            name, "agency", "", dt.date(2021, 9, day), quantity=missing // 2, share=100, model="Mẫu 8 inch"
        )
        for name, day in names.items()
    ]


def _province(code: str) -> AdministrativeUnit:
    return AdministrativeUnit.objects.get(vintage="2021", code=code)


def _warehouse(province: str) -> Office:
    code = next(name for name, codes in WAREHOUSE_OF_REGION.items() if int(province) in codes)
    return Office.objects.get(code=code)

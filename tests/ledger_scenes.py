"""A scene for every event of the public log: a world in which one service may record it, and the act itself."""

from collections.abc import Callable

from django.core.management import call_command
from django.db import connection, transaction

from allocation import committing, taking_back
from allocation import services as runs
from allocation.inputs import proposed_lines
from allocation.models import Allocation, AllocationRun
from coverage.models import CoveragePoint
from coverage.services import add_points, report_point
from delivery import services as delivery
from delivery.models import ShipmentItem
from donations import services as supply
from donations.models import DeviceCriteria
from donations.rules import Finding
from ledger import publisher
from ledger import services as ledger_services
from ledger.keys import write_key
from ledger.privacy import answer_request, carry_out_correction, erase_openings, file_request
from ledger.services import register_units
from schools.models import Student
from schools.services.offices import close_office
from tests.allocation_world import AllocationWorld
from tests.delivery_world import AT, make_devices, make_students, make_world
from tests.ledger_log import DAY, make_log, receive
from tests.supply import TABLET
from tests.supply import World as Supply

# The log about itself: no other table changes with these.
ALONE = {"figures.published", "key.rotated", "unit.registered", "unit.renamed", "unit.merged by its task",
         "device.allocated by the hundred thousand"}  # fmt: skip

# Name → (event, service that records it, what makes the world and gives the act).
SCENES: dict[str, tuple[str, str, Callable[..., Callable]]] = {}


def scene(event: str, service: str, note: str = ""):
    def add(build: Callable[..., Callable]) -> Callable[..., Callable]:
        SCENES[f"{event} {note}".strip()] = (event, service, build)
        return build

    return add


# --- pledges, money, purchase, what comes in -------------------------------------------------------------------------


@scene("pledge.made", "donations.services.pledges.make_pledge")
def _(**_):
    world = Supply()
    donor = world.donor()
    return lambda: world.pledge(donor=donor)


@scene("pledge.changed", "donations.services.pledges.change_pledge")
def _(**_):
    world = Supply()
    pledge = world.pledge()
    return lambda: supply.change_pledge(by=None, pledge=pledge, at=AT, reason="donor_request", quantity=15)


@scene("pledge.changed", "donations.services.pledges.attach_to_umbrella", "by joining another")
def _(**_):
    world = Supply()
    umbrella, member = world.pledge(quantity=100), world.pledge()
    return lambda: supply.attach_to_umbrella(by=world.clerk, pledge=member, umbrella=umbrella, at=AT)


@scene("pledge.cancelled", "donations.services.pledges.cancel_pledge")
def _(**_):
    world = Supply()
    pledge = world.pledge()
    return lambda: supply.cancel_pledge(by=None, pledge=pledge, at=AT)


@scene("money.received", "donations.services.money.receive_money")
def _(**_):
    world = Supply()
    pledge = world.money(received=False)
    return lambda: supply.receive_money(
        by=world.clerk, pledge=pledge, office=world.programme, amount_vnd=5, document_number="U1", received_on=DAY,
        at=AT,
    )  # fmt: skip


@scene("money.transferred", "donations.services.money._transfer")
def _(**_):
    world = Supply()
    pledge = world.money()
    return lambda: supply.transfer_money(
        by=world.clerk, pledge=pledge, from_office=world.programme, to_office=world.committee, amount_vnd=1,
        document_number="X", transferred_on=DAY, at=AT,
    )  # fmt: skip


def an_order(world: Supply):
    world.students(3)
    return supply.propose_order(
        by=world.clerk, agreement=world.price(), pledge=world.money(25_000_000), quantity=3, at=AT
    )


@scene("purchase.ordered", "donations.services.money.approve_order")
def _(**_):
    world = Supply()
    order = an_order(world)
    return lambda: supply.approve_order(by=world.clerk, order=order, at=AT)


@scene("purchase.delivered", "donations.services.money.deliver_order")
def _(**_):
    world = Supply()
    order = supply.approve_order(by=world.clerk, order=an_order(world), at=AT)
    return lambda: supply.deliver_order(by=world.clerk, order=order, warehouse=world.warehouse, at=AT)


@scene("device.received", "donations.services.devices.receive_devices")
def _(**_):
    world = Supply()
    lot = world.lot()
    return lambda: world.devices(3, lot=lot)


def inspected(world: Supply, *faults: str) -> list[str]:
    """Two devices that this was found on."""
    world.criteria()
    codes = world.devices(2)
    inspect_them(world, codes, *faults)
    return codes


def inspect_them(world: Supply, codes: list[str], *faults: str) -> None:
    measured = {"screen_inch": 8, "ram_gb": 2, "wifi": True}
    found = [Finding(code, measured, faults) for code in codes]
    supply.inspect_devices(by=world.inspector, findings=found, at=AT)


@scene("device.inspected", "donations.services.devices._record_inspections")
def _(**_):
    world = Supply()
    world.criteria()
    codes = world.devices(2)
    return lambda: inspect_them(world, codes, "battery_weak")


@scene("device.repaired", "donations.services.devices.repair_devices", "in the warehouse")
def _(**_):
    world = Supply()
    codes = inspected(world, "battery_weak")
    return lambda: supply.repair_devices(by=world.inspector, device_codes=codes, at=AT)


@scene("device.written_off", "donations.services.devices.write_off_devices", "in the warehouse")
def _(**_):
    world = Supply()
    codes = inspected(world, "no_power")
    return lambda: supply.write_off_devices(
        by=world.inspector, device_codes=codes, reason="beyond_repair", at=AT
    )


@scene("criteria.published", "donations.services.devices.publish_criteria")
def _(**_):
    world = Supply()
    draft = DeviceCriteria.objects.create(
        device_kind="tablet", version=1, is_used_device=False, limits=TABLET, legal_reference="đề xuất"
    )
    return lambda: supply.publish_criteria(by=world.clerk, criteria=draft, at=AT)


# --- a run --------------------------------------------------------------------------------------------------------------


def with_need(*, stock: int = 2) -> AllocationWorld:
    world = AllocationWorld()
    world.students(12)
    world.stock(stock)
    return world


@scene("policy.published", "allocation.services.policies.publish_policy")
def _(**_):
    world = AllocationWorld()
    draft = runs.draft_policy(
        by=world.clerk, phase=world.phase, name="Thứ tự ưu tiên", groups=["poor"], locality_first=True,
        margin="proportional", at=AT,
    )  # fmt: skip
    return lambda: runs.publish_policy(by=world.approver, policy=draft, at=AT)


@scene("run.frozen", "allocation.services.freezes.record_freeze")
def _(**_):
    world = with_need()
    run = world.opened()
    return lambda: runs.freeze(by=world.clerk, run=run, at=AT)


@scene("run.seeded", "allocation.services.lottery.record_seed")
def _(**_):
    world = with_need()
    run, later = world.frozen(), AT.replace(hour=12)
    runs.enter_randomness(by=world.clerk, run=run, value="12345", at=later)
    return lambda: runs.confirm_randomness(by=world.other_clerk, run=run, value="12345", at=later)


@scene("run.approved", "allocation.services.proposals.approve")
def _(**_):
    world = with_need()
    run = world.proposed()
    return lambda: runs.approve(by=world.approver, run=run, at=AT)


@scene("run.rejected", "allocation.services.runs.reject")
def _(**_):
    world = with_need()
    run = world.seeded()
    return lambda: runs.reject(by=world.clerk, run=run, reason="error_in_inputs", at=AT)


def approved(world: AllocationWorld) -> AllocationRun:
    return runs.approve(by=world.approver, run=world.proposed(), at=AT)


@scene("run.committed", "allocation.services.commits.publish")
@scene("device.allocated", "allocation.committing.record_allocations")
def _(**_):
    world = with_need()
    run = approved(world)
    return lambda: runs.commit(by=world.approver, run=run, at=AT)


@scene("device.allocated", "allocation.committing.record_national", "by the hundred thousand")
def _(**_):
    world = with_need()
    run = approved(world)

    # Their table is built beside, on another connection: tests/services/test_allocation_large_commit.py has the whole.
    def act():
        lines = proposed_lines(run)
        areas = committing.area_of(lines, committing.public_areas(lines))
        with transaction.atomic():
            committing.record_national(run, lines=lines, areas=areas, on=DAY)

    return act


@scene("device.allocation_revoked", "allocation.taking_back.decide_revocation")
def _(**_):
    world = with_need()
    world.committed()
    asked = taking_back.request_revocation(
        by=world.clerk, allocation=Allocation.objects.first(), reason="moved_away",
        notice="Em đã chuyển đi; khiếu nại tại Sở GD&ĐT.", at=AT,
    )  # fmt: skip
    return lambda: taking_back.decide_revocation(by=world.approver, revocation=asked, agree=True, at=AT)


@scene("device.allocation_revoked", "allocation.taking_back.decide_reduction", "when supply is cut")
def _(**_):
    world = with_need()
    asked = taking_back.request_reduction(
        by=world.clerk, run=world.committed(), count=1, ground="Nhà tài trợ rút máy",
        notice="Nguồn máy giảm; khiếu nại tại Sở GD&ĐT.", at=AT,
    )  # fmt: skip
    return lambda: taking_back.decide_reduction(by=world.approver, reduction=asked, agree=True, at=AT)


# --- on the way -----------------------------------------------------------------------------------------------------------


def drafted():
    """(world, shipment from the warehouse to the department, device codes)."""
    world = make_world(area="province")
    (shipment,) = delivery.plan_shipments(by=world.people["keeper"], at=AT, offices=[world.warehouse])
    return world, shipment, sorted(shipment.items.values_list("device__code", flat=True))


@scene("device.dispatched", "delivery.services.shipments._leave")
@scene("lot.dispatched", "delivery.services.shipments._record_lots")
def _(**_):
    world, shipment, _ = drafted()
    return lambda: delivery.dispatch(by=world.people["keeper"], shipment=shipment, at=AT)


def under_way():
    world, shipment, codes = drafted()
    delivery.dispatch(by=world.people["keeper"], shipment=shipment, at=AT)
    return world, shipment, codes


@scene("device.arrived", "delivery.services.shipments._record_arrivals")
@scene("device.missing", "delivery.services.shipments._record_arrivals")
@scene("device.damaged", "delivery.services.shipments._record_arrivals")
@scene("lot.arrived", "delivery.services.shipments._record_lots")
def _(**_):
    world, shipment, codes = under_way()
    results = {codes[0]: "missing", codes[1]: ("damaged", "screen")}
    return lambda: delivery.receive_shipment(
        by=world.people["department"], shipment=shipment, results=results, rest="arrived", at=AT
    )


@scene("device.found", "delivery.services.shipments.mark_found")
def _(**_):
    world, shipment, codes = under_way()
    delivery.receive_shipment(
        by=world.people["department"], shipment=shipment, results={codes[0]: "missing"}, rest="arrived", at=AT
    )
    item = ShipmentItem.objects.get(device__code=codes[0])
    return lambda: delivery.mark_found(by=world.people["department"], item=item, at=AT)


@scene("device.written_off", "delivery.services.losses.decide_loss", "when it never arrived")
def _(**_):
    world, shipment, codes = under_way()
    delivery.receive_shipment(
        by=world.people["department"], shipment=shipment, results={codes[0]: "missing"}, rest="arrived", at=AT
    )
    (loss,) = delivery.request_losses(
        by=world.people["keeper"], shipment=shipment, device_codes=codes[:1], reason="in_transit",
        account="Đã tìm ở bến xe và hỏi người chở, không thấy.", at=AT,
    )  # fmt: skip
    return lambda: delivery.decide_loss(by=world.people["leader"], loss=loss, agree=True, at=AT)


@scene("device.allocation_revoked", "delivery.services.substitution.move_to_next", "for the next student")
@scene("device.allocated", "delivery.services.substitution.move_to_next", "to the next student")
def _(**_):
    world = make_world(per_school=1, area="district")
    AllocationRun.objects.update(seed="ab" * 32)
    for number, school in enumerate(world.schools):
        (student,) = make_students(world, school, 1, start=50 + number)
        with connection.cursor() as cursor:
            cursor.execute(
                'INSERT INTO allocation_applicant (run_id, student_id, code, school_id, "group", is_priority,'
                " household, held) VALUES (%s, %s, %s, %s, 0, true, -1, 0)",
                [world.run.pk, student.pk, f"{number}" * 16, student.school_id],
            )
    (shipment,) = delivery.plan_shipments(by=world.people["keeper"], at=AT, offices=[world.warehouse])
    (code,) = world.codes(world.schools[0])
    Student.objects.filter(allocations__device__code=code).update(state="left")
    return lambda: delivery.substitute_before_dispatch(
        by=world.people["keeper"], shipment=shipment, device_codes=[code], at=AT
    )


# --- with the student --------------------------------------------------------------------------------------------------------


def at_school():
    """(world, code of a device that waits in the first school, an open handover record)."""
    world = make_world(per_school=1, area="district")
    for sender, receiver in [("keeper", "department"), ("department", "district"), ("district", "school")]:
        shipments = delivery.plan_shipments(by=world.people[sender], at=AT)
        delivery.dispatch_shipments(by=world.people[sender], shipments=shipments, at=AT)
        delivery.receive_shipments(by=world.people[receiver], shipments=shipments, at=AT)
    record = delivery.open_record(
        by=world.people["school"], school=world.schools[0], class_name="", held_on=AT.date(), at=AT,
        operator=world.operator,
    )  # fmt: skip
    return world, world.codes(world.schools[0])[0], record


@scene("device.handed_over", "delivery.services.handovers._record_handovers")
def _(**_):
    world, code, record = at_school()
    return lambda: delivery.hand_over(
        by=world.people["school"], record=record, rows=[{"device": code}], at=AT
    )


def handed_over():
    world, code, record = at_school()
    delivery.hand_over(by=world.people["school"], record=record, rows=[{"device": code}], at=AT)
    return world, code, record


@scene("device.handover_confirmed", "delivery.services.handovers.sign_record")
def _(**_):
    world, _, record = handed_over()
    return lambda: delivery.sign_record(by=world.people["school"], record=record, at=AT)


def told(world, code: str, kind: str, reason: str = "") -> None:
    delivery.report_device(
        by=world.people["school"], office=world.schools[0].office, device_code=code, kind=kind, reason=reason,
        happened_on=AT.date(), at=AT,
    )  # fmt: skip


def report_of(kind: str, reason: str = "", *, after: tuple[str, str] | None = None):
    def build(**_):
        world, code, _ = handed_over()
        if after:
            told(world, code, *after)
        return lambda: told(world, code, kind, reason)

    return build


REPORTER = "delivery.services.aftercare._record"
scene("device.broken", REPORTER)(report_of("broken", "screen"))
scene("device.repaired", REPORTER)(report_of("repaired", after=("broken", "screen")))
scene("device.lost", REPORTER)(report_of("lost", "with_student"))
scene("device.stolen", REPORTER)(report_of("stolen", "theft"))
scene("device.found", REPORTER, "again")(report_of("found", after=("lost", "with_student")))
scene("device.returned", REPORTER)(report_of("returned", "left_school"))
scene("device.written_off", REPORTER)(report_of("written_off", "lost", after=("lost", "with_student")))


@scene("device.replaced", "delivery.services.replacement._take_back")
@scene("device.allocated", "delivery.services.replacement.replace_device", "to replace another")
def _(**_):
    world, code, _ = handed_over()
    make_devices(world, 1)
    told(world, code, "broken", "screen")
    return lambda: delivery.replace_device(
        by=world.people["school"], office=world.schools[0].office, device_code=code, at=AT
    )


@scene("device.recalled", "delivery.services.aftercare.recall_lot")
@scene("lot.recalled", "delivery.services.aftercare.recall_lot")
def _(**_):
    world = make_world(per_school=1)
    return lambda: delivery.recall_lot(by=world.people["programme"], lot=world.lot, reason="malware", at=AT)


@scene("point.covered", "coverage.services._record_covered")
def _(**_):
    world = make_world(per_school=0)
    add_points(
        by=world.people["mic"],
        rows=[
            {
                "code": "DLS-00001", "name": "Bản 1", "commune_id": world.commune.pk,
                "province_id": world.province.pk, "latitude": "10.8", "longitude": "106.7",
                "operator_id": world.operator.pk, "is_urgent": True, "deadline_on": AT.date(),
            }
        ],
    )  # fmt: skip
    measured = {"measured_on": AT.date(), "download_kbps": 8000, "signal_dbm": -95, "technology": "4G"}
    point = CoveragePoint.objects.get()
    return lambda: report_point(by=world.people["mic"], point=point, state="covered", at=AT, **measured)


# --- units, and the log about itself -------------------------------------------------------------------------------------


@scene("unit.registered", "ledger.services.register_units")
def _(**_):
    return lambda: register_units(on=DAY, names={"VN2021-15": "Tỉnh Yên Bái"})


@scene("unit.renamed", "ledger.services.register_units")
def _(**_):
    register_units(on=DAY, names={"KHO": "Kho cũ"})
    return lambda: register_units(on=DAY, names={"KHO": "Kho mới"})


@scene("unit.merged", "ledger.services.register_units", "by its task")
def _(**_):
    return lambda: register_units(on=DAY, names={}, merged={"VN2021-15": "VN2025-15"})


@scene("unit.merged", "schools.services.offices.close_office")
def _(**_):
    world = make_world(per_school=0)
    one, other, _ = world.schools
    return lambda: close_office(
        by=world.people["programme"], office=one.office, successor=other.office, reason="QĐ 12/2021", at=AT
    )


def a_handover() -> tuple[str, str]:
    """(device, event id) of a handover that waits in the outbox."""
    (code,) = receive(1)
    record = ledger_services.record
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="R-1", area="VN")
    eid = record(
        event="device.handed_over",
        on=DAY,
        device=code,
        run="R-1",
        hold="R-1/VN",
        commit={"recipient": "Sùng A"},
    )
    return code, eid


@scene("correction", "ledger.privacy.carry_out_correction")
def _(**_):
    code, eid = a_handover()
    row = file_request(kind="correct", device=code, contact="0912", detail="chưa nhận máy", at=AT)
    answer_request(by="Cán bộ", request=row, answer="accepted", at=AT)
    return lambda: carry_out_correction(
        by="Cán bộ", request=row, at=AT, corrects=eid, reason="recorded_in_error"
    )


@scene("commitment.erased", "ledger.privacy.record_owed")
def _(*, tmp_path, **_):
    code, eid = a_handover()
    make_log(tmp_path / "erasing").turn()
    return lambda: erase_openings(
        handovers="SELECT %s AS device, %s::uuid AS eid", params=[code, eid], reason="family_request", on=DAY
    )


@scene("figures.published", "ledger.publisher.publish_figures")
def _(*, tmp_path, **_):
    log = make_log(tmp_path / "figures")
    receive(1)
    log.turn()
    return lambda: publisher.publish_figures(on=DAY, disk=log.disk)


@scene("key.rotated", "ledger.management.commands.ledger.Command.do_keys")
def _(*, tmp_path, settings, **_):
    for name in ("old", "new"):
        write_key(tmp_path / name)
    settings.LEDGER_SIGNING_KEY = ",".join((tmp_path / name).read_text().strip() for name in ("old", "new"))
    return lambda: call_command("ledger", "keys", "rotated")

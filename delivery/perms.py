"""Who may send, receive, hand over, and answer."""

from django.db.models import Q

from common.access import administrator
from coverage.models import CHILDREN_KINDS, READS_CHILDREN
from delivery.models import (
    DELIVERY_KINDS,
    FOLLOWS_DEVICES,
    HANDLES_GRIEVANCES,
    READS_SENSITIVE,
    SENSITIVE_KINDS,
    Grievance,
    Loss,
    Shipment,
)
from schools.models import Office, School, StaffRole
from schools.perms import staff
from schools.reach import held_roles, holds, reach

Role, Kind = StaffRole.Role, Office.Kind
MOVES_DEVICES = (Role.CLERK, Role.KEEPER)

follows_devices = staff(*FOLLOWS_DEVICES, kinds=DELIVERY_KINDS)
moves_devices = staff(*MOVES_DEVICES, kinds=DELIVERY_KINDS)
reads_children = staff(*READS_CHILDREN, kinds=CHILDREN_KINDS)
hands_over = staff(Role.CLERK, kinds=[Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE])
handles_grievances = staff(*HANDLES_GRIEVANCES, kinds=DELIVERY_KINDS)
# The programme answers families for the nation: requests about the public log (Law 91/2025/QH15).
answers_families = staff(Role.MANAGER, Role.CLERK, Role.APPROVER, kinds=[Kind.PROGRAMME]) | administrator
recalls = staff(Role.CLERK, Role.APPROVER, Role.MANAGER, kinds=[Kind.PROGRAMME, Kind.MOET])


def own_offices(user):
    """The offices whose devices a person sends: where they hold the role themselves, and the programme's warehouses."""
    roles = [held for held in held_roles(user) if held.role in MOVES_DEVICES and held.kind in DELIVERY_KINDS]
    condition = Q(pk__in=[held.office_id for held in roles])
    for held in roles:
        if held.kind in (Kind.PROGRAMME, Kind.PROVINCE_DEPARTMENT):
            condition |= Q(kind=Kind.WAREHOUSE, parent_id=held.office_id)
    return Office.objects.filter(condition).order_by("path")


def can_send(user, shipment: Shipment) -> bool:
    """Who acts for the sender: a clerk or keeper of that office or of one above it."""
    return holds(user, *MOVES_DEVICES, kinds=DELIVERY_KINDS, office=shipment.from_office)


def can_receive(user, shipment: Shipment) -> bool:
    """Who acts for the receiver, and neither sent it nor works in the sending office: two sides confirm."""
    if shipment.dispatched_by_id == user.pk:
        return False
    if any(held.office_id == shipment.from_office_id for held in held_roles(user)):
        return False
    return holds(user, *MOVES_DEVICES, kinds=DELIVERY_KINDS, office=shipment.to_office)


def can_decide_loss(user, loss: Loss) -> bool:
    """An official of the Sở above the sender or of the programme, and not who asked: two people."""
    may = holds(
        user,
        Role.APPROVER,
        kinds=[Kind.PROGRAMME, Kind.PROVINCE_DEPARTMENT],
        office=loss.item.shipment.from_office,
    )
    return may and loss.is_open and loss.requested_by_id != user.pk


def schools_of(user):
    """The schools whose pupils a person may see by name."""
    return School.objects.filter(
        reach(user, *READS_CHILDREN, kinds=CHILDREN_KINDS, through="office__")
    ).select_related("office", "province")


def can_hand_over(user, school: School) -> bool:
    """A clerk of the school, or of the Phòng above a school that has nobody."""
    return holds(
        user, Role.CLERK, kinds=[Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE], office=school.office
    )


def can_answer(user, grievance: Grievance) -> bool:
    """Who answers: a clerk, head or leader of the office that handles it; a sensitive one only at the centre."""
    roles = (Role.MANAGER, Role.CLERK, Role.APPROVER)
    if grievance.is_sensitive:
        return holds(user, *[r for r in READS_SENSITIVE if r != Role.AUDITOR], kinds=SENSITIVE_KINDS)
    return holds(user, *roles, kinds=DELIVERY_KINDS, office=grievance.office)

"""Who may, on the side of the supply: marks for pages and predicates on objects.

The programme office manages pledges and money of the nation, a province those of its own initiative; keepers receive,
inspectors inspect; above an amount another person approves.
"""

from common.access import Access
from donations.models import DonorMember, Lot, Pledge, PurchaseOrder
from donations.rules import TWO_PERSONS_FROM_VND
from schools.models import Office, StaffRole
from schools.perms import staff
from schools.reach import holds

Role, Kind = StaffRole.Role, Office.Kind

# Offices that mobilise resources: the programme, and the provinces for their own initiatives.
RESOURCE_KINDS = (Kind.PROGRAMME, Kind.PROVINCE_COMMITTEE, Kind.PROVINCE_DEPARTMENT)
WATCH_KINDS = (Kind.MOET, Kind.MIC, Kind.AUDIT)
WAREHOUSE_KINDS = (Kind.WAREHOUSE, Kind.PROGRAMME)
_RESOURCE_ROLES = (Role.CLERK, Role.APPROVER)
_WATCH_ROLES = (Role.CLERK, Role.APPROVER, Role.VIEWER, Role.AUDITOR)

# Pages of pledges and money: those who manage them, and those who watch.
resource_staff = staff(*_RESOURCE_ROLES, kinds=RESOURCE_KINDS) | staff(*_WATCH_ROLES, kinds=WATCH_KINDS)
resource_clerk = staff(Role.CLERK, kinds=RESOURCE_KINDS)
resource_decider = staff(*_RESOURCE_ROLES, kinds=RESOURCE_KINDS)
# Pages of the warehouse.
warehouse_staff = (
    staff(Role.KEEPER, Role.INSPECTOR, kinds=WAREHOUSE_KINDS)
    | staff(*_RESOURCE_ROLES, kinds=(Kind.PROGRAMME,))
    | staff(Role.AUDITOR, kinds=(Kind.AUDIT,))
)
keeper = staff(Role.KEEPER, kinds=WAREHOUSE_KINDS)
inspector = staff(Role.INSPECTOR, kinds=WAREHOUSE_KINDS)
# The ministry of education edits the recommended criteria (Plan III.1i); those who receive read them.
criteria_reader = warehouse_staff | staff(Role.CLERK, Role.APPROVER, Role.VIEWER, kinds=(Kind.MOET,))
criteria_editor = staff(Role.CLERK, Role.APPROVER, kinds=(Kind.MOET, Kind.PROGRAMME))


def _acts_for_a_donor(user) -> bool:
    return DonorMember.objects.filter(user=user, ended_at=None).exists()


# A donor's people sign in by a code sent to their address; a second factor is used where they set one up.
donor = Access("donor", _acts_for_a_donor, second_factor="if_enrolled")


def can_manage_pledge(user, pledge: Pledge) -> bool:
    """Confirm, change, cancel, record money: a clerk of the office that manages it, or of one above."""
    return holds(user, Role.CLERK, kinds=RESOURCE_KINDS, office=pledge.office)


def can_receive(user, warehouse: Office) -> bool:
    return holds(user, Role.KEEPER, kinds=WAREHOUSE_KINDS, office=warehouse)


def can_inspect(user, lot: Lot) -> bool:
    return holds(user, Role.INSPECTOR, kinds=WAREHOUSE_KINDS, office=lot.warehouse)


def can_approve_order(user, order: PurchaseOrder) -> bool:
    """An approver of the buying office; below the amount for two persons also the clerk who proposed."""
    if order.state != PurchaseOrder.State.PROPOSED:
        return False
    if holds(user, Role.APPROVER, kinds=RESOURCE_KINDS, office=order.office):
        return user.pk != order.proposed_by_id or order.amount_vnd < TWO_PERSONS_FROM_VND
    return order.amount_vnd < TWO_PERSONS_FROM_VND and holds(
        user, Role.CLERK, kinds=RESOURCE_KINDS, office=order.office
    )


def can_manage_order(user, order: PurchaseOrder) -> bool:
    return holds(user, Role.CLERK, kinds=RESOURCE_KINDS, office=order.office)


def can_edit_criteria(user) -> bool:
    return holds(user, Role.CLERK, Role.APPROVER, kinds=(Kind.MOET, Kind.PROGRAMME))

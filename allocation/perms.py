"""Who may do what with policies, runs and allocations. Nobody approves what they opened, entered or proposed."""

from django.db.models import QuerySet

from allocation.models import AllocationRun, Reduction, Revocation
from schools.models import AdministrativeUnit, Office, StaffRole
from schools.perms import staff
from schools.reach import holds, reach

Role, Kind = StaffRole.Role, Office.Kind
DECIDING = [Kind.PROGRAMME, Kind.PROVINCE_DEPARTMENT]

# Pages: reading is for everyone on the staff in scope; acting for the programme and, over its own province, a Sở.
reader = staff(
    Role.CLERK,
    Role.APPROVER,
    Role.AUDITOR,
    Role.VIEWER,
    Role.MANAGER,
    kinds=[Kind.PROGRAMME, Kind.MOET, Kind.PROVINCE_DEPARTMENT, Kind.AUDIT],
)
clerk = staff(Role.CLERK, kinds=DECIDING)
approver = staff(Role.APPROVER, kinds=DECIDING)
policy_clerk = staff(Role.CLERK, kinds=[Kind.PROGRAMME])
policy_approver = staff(Role.APPROVER, kinds=[Kind.PROGRAMME])
decider = staff(Role.CLERK, Role.APPROVER, kinds=DECIDING)

# What the office that a decision meets may read of it: its own students' places, slips and notices.
LISTING = [Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE]
reads_students = staff(
    Role.CLERK,
    Role.APPROVER,
    Role.MANAGER,
    Role.AUDITOR,
    kinds=[*DECIDING, Kind.MOET, Kind.AUDIT, *LISTING],
)
visitor = reader | reads_students
prints_slips = staff(Role.CLERK, Role.APPROVER, Role.MANAGER, kinds=[*DECIDING, Kind.MOET, *LISTING])


def sees_names(user) -> bool:
    """Names of children are for whoever works with their lists; an auditor or viewer sees numbers."""
    return holds(user, Role.CLERK, Role.APPROVER, Role.MANAGER)


def scopes_to_run(user) -> tuple[QuerySet[AdministrativeUnit], bool]:
    """The provinces over which this person may open a run, and whether the nation too."""
    return _scopes(user, kinds=DECIDING, roles=[Role.CLERK])


def scopes_to_try(user) -> tuple[QuerySet[AdministrativeUnit], bool]:
    """The provinces over which this person may try policies, and whether the nation too."""
    return _scopes(user, kinds=[*DECIDING, Kind.MOET, Kind.AUDIT], roles=[])


def _scopes(user, *, kinds: list[str], roles: list[str]) -> tuple[QuerySet[AdministrativeUnit], bool]:
    provinces = AdministrativeUnit.objects.provinces().order_by("code")
    national = [kind for kind in kinds if kind != Kind.PROVINCE_DEPARTMENT]
    if holds(user, *roles, kinds=national):
        return provinces, True
    own = Office.objects.filter(reach(user, *roles, kinds=[Kind.PROVINCE_DEPARTMENT]))
    return provinces.filter(pk__in=own.values("unit__province")), False


def department_of(run: AllocationRun) -> Office | None:
    """The Sở of a run over one province."""
    return Office.objects.filter(kind=Kind.PROVINCE_DEPARTMENT, unit=run.province_id).first()


def _holds_for(user, run: AllocationRun, role: str) -> bool:
    if holds(user, role, kinds=[Kind.PROGRAMME]):
        return True
    if run.province_id is None:
        return False
    department = department_of(run)
    return department is not None and holds(user, role, kinds=[Kind.PROVINCE_DEPARTMENT], office=department)


def can_prepare(user, run: AllocationRun) -> bool:
    """Open, freeze, enter randomness, propose."""
    return _holds_for(user, run, Role.CLERK)


def can_confirm_randomness(user, run: AllocationRun) -> bool:
    """Another official than the one who entered it; a clerk or an approver of the same office."""
    may = _holds_for(user, run, Role.CLERK) or _holds_for(user, run, Role.APPROVER)
    return may and user.pk != run.entered_by_id


def can_approve(user, run: AllocationRun) -> bool:
    prepared_by = {run.opened_by_id, run.frozen_by_id, run.proposed_by_id}
    return _holds_for(user, run, Role.APPROVER) and user.pk not in prepared_by


def can_reject(user, run: AllocationRun) -> bool:
    return run.is_live and (can_approve(user, run) or can_prepare(user, run))


def can_ask_reduction(user, run: AllocationRun) -> bool:
    """Who prepares a run asks that it be cut, once it is committed."""
    return run.state == AllocationRun.State.COMMITTED and _holds_for(user, run, Role.CLERK)


def can_decide_reduction(user, reduction: Reduction) -> bool:
    return (
        reduction.is_open
        and _holds_for(user, reduction.run, Role.APPROVER)
        and user.pk != reduction.requested_by_id
    )


def can_decide_revocation(user, revocation: Revocation) -> bool:
    allocation = revocation.allocation
    may = holds(user, Role.APPROVER, kinds=[Kind.PROGRAMME]) or holds(
        user, Role.APPROVER, kinds=[Kind.PROVINCE_DEPARTMENT], office=allocation.student.school.office
    )
    return may and revocation.is_open and user.pk != revocation.requested_by_id

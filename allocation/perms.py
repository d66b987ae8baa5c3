"""Who may do what with policies, runs and allocations. Nobody approves what they opened, entered or proposed."""

from allocation.models import AllocationRun, Revocation
from schools.models import Office, StaffRole
from schools.perms import staff
from schools.reach import holds

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


def can_decide_revocation(user, revocation: Revocation) -> bool:
    allocation = revocation.allocation
    may = holds(user, Role.APPROVER, kinds=[Kind.PROGRAMME]) or holds(
        user, Role.APPROVER, kinds=[Kind.PROVINCE_DEPARTMENT], office=allocation.student.school.office
    )
    return may and user.pk != revocation.requested_by_id

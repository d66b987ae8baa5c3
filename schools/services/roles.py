"""Who works where: invite, grant, end. The head of an office does it for the office and all below it."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import find_or_create_user
from schools.models import Office, StaffRole
from schools.rules import grantable_roles


@transaction.atomic
def grant_role(*, by: User, user: User, office: Office, role: str, at: dt.datetime) -> StaffRole:
    """Give a person a role in an office.

    Raises ValidationError when `by` names themselves, or the office is closed;
    IntegrityError (``staffrole_compatible``, ``staffrole_live_once``) when the roles don't go together.
    """
    if user.pk == by.pk and not by.is_staff:
        raise ValidationError(
            "Thầy/cô không tự cấp vai trò cho mình được. Hãy nhờ phụ trách cơ quan cấp trên."
        )
    if role not in grantable_roles(office.kind):
        raise ValidationError("Loại cơ quan này không có vai trò đó.")
    if office.valid_to is not None and office.valid_to <= timezone.localdate(at):
        raise ValidationError(f"{office} đã ngừng hoạt động. Hãy cấp vai trò ở cơ quan tiếp nhận công việc.")
    return StaffRole.objects.create(user=user, office=office, role=role, granted_at=at, granted_by=by)


@transaction.atomic
def invite(*, by: User, email: str, full_name: str, office: Office, role: str, at: dt.datetime) -> StaffRole:
    """Grant a role to whoever signs in with this address; the account is made if there is none yet.

    The caller sends the invitation after commit (`accounts.tasks.send_invitation`).
    """
    user = find_or_create_user(email=email, full_name=full_name)
    return grant_role(by=by, user=user, office=office, role=role, at=at)


@transaction.atomic
def end_role(*, by: User, role: StaffRole, at: dt.datetime) -> StaffRole:
    """End a live role; what the person did stays. Ending one that has ended already changes nothing."""
    role = StaffRole.objects.select_for_update().get(pk=role.pk)
    if role.ended_at is not None:
        return role
    if role.role == StaffRole.Role.MANAGER and role.user_id == by.pk and not _has_other_manager(role):
        raise ValidationError(
            "Thầy/cô là người phụ trách cuối cùng của cơ quan này. Hãy cấp vai trò phụ trách cho người khác trước."
        )
    role.ended_at, role.ended_by = at, by
    role.save(update_fields=["ended_at", "ended_by"])
    return role


def _has_other_manager(role: StaffRole) -> bool:
    return (
        StaffRole.objects.live()
        .filter(office_id=role.office_id, role=StaffRole.Role.MANAGER)
        .exclude(pk=role.pk)
        .exists()
    )

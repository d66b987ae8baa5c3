"""Who opens the pages that look over everything."""

from schools.models import Office, StaffRole
from schools.perms import staff

Role, Kind = StaffRole.Role, Office.Kind
auditing = staff(Role.AUDITOR) | staff(
    Role.CLERK, Role.APPROVER, Role.MANAGER, kinds=[Kind.PROGRAMME, Kind.MOET]
)

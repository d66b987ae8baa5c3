"""Who works for an operator, and who watches coverage."""

from common.access import Access
from coverage.models import CHILDREN_KINDS, READS_CHILDREN, Operator, OperatorMember
from schools.models import Office, StaffRole
from schools.perms import staff
from schools.reach import holds

Role, Kind = StaffRole.Role, Office.Kind
MINISTRIES = {"moet": Kind.MOET, "mic": Kind.MIC}


def operators_of(user):
    """Primary keys of the operators that a person works for now."""
    return OperatorMember.objects.filter(user_id=user.pk, ended_at__isnull=True).values("operator_id")


def supporting_operators(user):
    """The operators whose support a person records: their own, or any for the ministry and the programme's office."""
    if holds(user, Role.CLERK, kinds=[Kind.MIC, Kind.PROGRAMME]):
        return Operator.objects.order_by("name")
    return Operator.objects.filter(pk__in=operators_of(user)).order_by("name")


def _works_for_an_operator(user) -> bool:
    return operators_of(user).exists()


def operator() -> Access:
    """Mark a page for the people of a telecom operator, signed in with a second factor."""
    return Access("operator", _works_for_an_operator, second_factor="always")


works_on_points = operator() | staff(
    kinds=[
        Kind.MIC,
        Kind.MOET,
        Kind.PROGRAMME,
        Kind.AUDIT,
        Kind.PROVINCE_INFORMATION,
        Kind.PROVINCE_COMMITTEE,
    ]
)
operators_only = operator()
records_supports = operator() | staff(Role.CLERK, kinds=[Kind.MIC, Kind.PROGRAMME])
watches_plans = staff(*READS_CHILDREN, kinds=CHILDREN_KINDS)
reviews_platforms = staff(Role.CLERK, Role.APPROVER, kinds=[Kind.MOET, Kind.MIC])
watches_schools = staff(
    kinds=[
        Kind.MOET,
        Kind.MIC,
        Kind.PROGRAMME,
        Kind.AUDIT,
        Kind.PROVINCE_DEPARTMENT,
        Kind.PROVINCE_INFORMATION,
        Kind.DISTRICT_OFFICE,
    ]
)


def can_report(user, point) -> bool:
    """Only the operator that is responsible for a point reports on it."""
    return OperatorMember.objects.filter(
        user_id=user.pk, operator_id=point.operator_id, ended_at__isnull=True
    ).exists()


def ministry_of(user) -> str:
    """ "moet" or "mic": for which ministry a person reviews platforms; "" if for none."""
    for name, kind in MINISTRIES.items():
        if holds(user, Role.CLERK, Role.APPROVER, kinds=[kind]):
            return name
    return ""


def can_survey(user, school) -> bool:
    """Clerks of the school's own education offices enter what a survey found."""
    return holds(
        user, Role.CLERK, kinds=[Kind.PROVINCE_DEPARTMENT, Kind.DISTRICT_OFFICE], office=school.office
    )

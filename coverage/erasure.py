"""What coverage holds about one child, erased on the family's request: the number of the SIM."""

from django.db import connection, transaction

from common.erasure import images_of
from coverage.models import DataPlan


@transaction.atomic
def erase_data_plans(*, by, student_id: int) -> int:
    """Take the SIM numbers off a student's data plans and off the images of their changes; how many plans.

    The contract between family and operator goes on with the operator, who has the number from the family.
    """
    del by  # the audit trail names who
    count = DataPlan.objects.filter(student_id=student_id).exclude(sim_number="").update(sim_number="")
    with images_of(DataPlan), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE coverage_dataplanevent SET sim_number = '' WHERE student_id = %s AND sim_number <> ''",
            [student_id],
        )
    return count

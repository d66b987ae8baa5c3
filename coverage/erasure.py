"""What coverage holds about children, erased: the number of the SIM."""

from django.db import connection, transaction

from common.erasure import images_of
from coverage.models import DataPlan

NUMBERS = """
UPDATE {table} p SET sim_number = '' FROM erasure_child c WHERE p.student_id = c.id AND p.sim_number <> ''
"""


@transaction.atomic
def erase_data_plans(*, by) -> int:
    """Take the SIM numbers off the data plans of `common.erasure.erasing`, and off the images of their changes.

    The contract between family and operator goes on with the operator, who has the number from the family. Returns how
    many plans.
    """
    with connection.cursor() as cursor:
        cursor.execute(NUMBERS.format(table="coverage_dataplan"))
        count = cursor.rowcount
    with images_of(DataPlan), connection.cursor() as cursor:
        # In order: the block puts a parameter of its own in front.
        cursor.execute(NUMBERS.format(table="coverage_dataplanevent"), [])
    return count

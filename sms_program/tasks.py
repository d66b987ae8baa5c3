"""Tasks that need the whole house."""

from celery import shared_task

from common import clock
from ledger.services import register_units
from schools.models import AdministrativeUnit, Office


@shared_task
def register_names(**_ignored) -> None:
    """Give new and renamed units and offices their names in the public log, and say which units were merged by now.

    Nothing to do, nothing done. (An office that is merged says so when it is closed.)
    """
    today = clock.today()
    names = dict(AdministrativeUnit.objects.values_list("public_code", "full_name"))
    names |= dict(Office.objects.values_list("code", "name"))
    gone = AdministrativeUnit.objects.filter(successor__isnull=False, valid_to__lte=today)
    merged = dict(gone.values_list("public_code", "successor__public_code"))
    register_units(on=today, names=names, merged=merged)

"""Tasks that need the whole house."""

from celery import shared_task

from common import clock
from ledger.services import register_units
from schools.models import AdministrativeUnit, Office


@shared_task
def register_names(**_ignored) -> None:
    """Give new and renamed units and offices their names in the public log; nothing to do, nothing done."""
    names = dict(AdministrativeUnit.objects.values_list("public_code", "full_name"))
    names |= dict(Office.objects.values_list("code", "name"))
    register_units(on=clock.today(), names=names)

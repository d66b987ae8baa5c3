"""A device that came back and was lost between two warehouses leaves the programme without another inspection."""

from django.db import migrations

from common.transitions import hold_transitions
from donations.models import Device


class Migration(migrations.Migration):
    dependencies = [("donations", "0005_announced_serials")]
    operations = [hold_transitions("donations_device", "state", Device.TRANSITIONS)]

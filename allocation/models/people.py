"""Who did something, as a field."""

from django.conf import settings
from django.db import models


def person(verbose_name: str, *, required: bool = False):
    """A foreign key to whoever did something; empty until it is done unless `required`."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=not required,
        blank=not required,
        related_name="+",
        verbose_name=verbose_name,
    )

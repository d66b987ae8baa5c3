"""Uploaded files that no row refers to any more: a crash, or a transaction that was rolled back, left them."""

import datetime as dt
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from pghistory.models import Event

# A file that nothing refers to is older than any transaction that could be writing it.
ORPHAN_AFTER = dt.timedelta(days=1)


def file_fields() -> list[models.FileField]:
    """Every field of ours that holds an uploaded file; the images of the audit trail only remember names."""
    return [
        field
        for model in apps.get_models()
        if not issubclass(model, Event)
        for field in model._meta.get_fields()
        if isinstance(field, models.FileField)
    ]


def delete_orphans(*, at: dt.datetime) -> int:
    """Delete stored files that no row refers to any more; how many. Safe to run at any time."""
    root = Path(settings.MEDIA_ROOT)
    limit = (at - ORPHAN_AFTER).timestamp()
    fields = file_fields()
    old = {
        str(path.relative_to(root))
        for folder in {Path(field.upload_to).parts[0] for field in fields}
        for path in (root / folder).rglob("*")
        if path.is_file() and path.stat().st_mtime < limit
    }
    known: set[str] = set()
    for field in fields:
        rows = field.model._base_manager.filter(**{f"{field.name}__in": old})
        known |= set(rows.values_list(field.name, flat=True))
    for name in old - known:
        default_storage.delete(name)
    return len(old - known)

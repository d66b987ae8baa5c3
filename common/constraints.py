"""Constraints that many models share, written once."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Trim
from django.db.models.lookups import GreaterThanOrEqual

from common.erasure import ERASED

# A reason that somebody outside the office reads says something: "x" or "sai" does not.
REASON_LEAST = 10


def paired(model: str, verb: str) -> models.CheckConstraint:
    """Who and when always in pairs: ``<verb>_at`` and ``<verb>_by`` are both set or both empty.

    Args:
        model: lower-case model name, the prefix of the constraint's name.
        verb: the stem of the two fields, such as ``received``.
    """
    at, by = f"{verb}_at", f"{verb}_by"
    return models.CheckConstraint(
        name=f"{model}_{verb}_at_and_by_together",
        condition=Q(**{f"{at}__isnull": True, f"{by}__isnull": True})
        | Q(**{f"{at}__isnull": False, f"{by}__isnull": False}),
        violation_error_message="Phải ghi cả người thực hiện và thời điểm thực hiện.",
    )


def positive(model: str, field: str, message: str, *, zero: bool = False) -> models.CheckConstraint:
    """A number that is never negative, and not zero either unless ``zero``."""
    lookup = "gte" if zero else "gt"
    return models.CheckConstraint(
        name=f"{model}_{field}_positive",
        condition=Q(**{f"{field}__{lookup}": 0}),
        violation_error_message=message,
    )


def spelled_out(
    model: str, field: str, message: str, *, least: int = REASON_LEAST, when: Q | None = None
) -> models.CheckConstraint:
    """A reason or notice that is published or mailed has at least `least` characters, spaces around it aside.

    `when` says of which rows, all if it isn't given. An erased text stays as it is.
    """
    told = Q(GreaterThanOrEqual(Length(Trim(field)), least)) | Q(**{field: ERASED})
    return models.CheckConstraint(
        name=f"{model}_{field}_spelled_out",
        condition=told if when is None else ~when | told,
        violation_error_message=f"{message} (ít nhất {least} ký tự).",
    )

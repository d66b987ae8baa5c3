"""Policies: drafted by one official, put in force by another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from allocation import rules
from allocation.models import AllocationPolicy, Phase
from allocation.services.runs import day_of
from ledger.services import record


@transaction.atomic
def draft_policy(
    *,
    by,
    phase: Phase,
    name: str,
    groups: Sequence[str],
    locality_first: bool,
    margin: str,
    at: dt.datetime,
    reserve_percent: int = 0,
    laptop_from_grade: int | None = None,
) -> AllocationPolicy:
    """A new version of the phase's policy, not yet in force. Raises ValidationError for what the law forbids."""
    given = {"locality_first": locality_first, "margin": margin, "groups": list(groups)}
    if laptop_from_grade is not None:  # without it, a policy reads as it did before there was a preference
        given["laptop_from_grade"] = laptop_from_grade
    if problems := rules.policy_problems(given, phase.groups):
        raise ValidationError(problems)
    Phase.objects.select_for_update().get(pk=phase.pk)
    latest = phase.policies.aggregate(latest=Max("version"))["latest"] or 0
    return AllocationPolicy.objects.create(
        phase=phase,
        version=latest + 1,
        name=name,
        rules=given,
        reserve_percent=reserve_percent,
        drafted_at=at,
        drafted_by=by,
    )


@transaction.atomic
def publish_policy(*, by, policy: AllocationPolicy, at: dt.datetime) -> AllocationPolicy:
    """Put the policy in force: its hash stands in the ledger, and it never changes again.

    Raises ValidationError for whoever drafted it: what decides who comes first is seen by two people.
    """
    policy = AllocationPolicy.objects.select_for_update().select_related("phase").get(pk=policy.pk)
    if policy.published_at is not None:
        raise ValidationError("Chính sách này đã công bố rồi.")
    if policy.drafted_by_id == by.pk:
        raise ValidationError("Người công bố chính sách phải khác người soạn.")
    if problems := rules.policy_problems(policy.rules, policy.phase.groups):
        raise ValidationError(problems)
    record(event="policy.published", on=day_of(at), policy=policy.code, hash=policy.digest)
    policy.published_at, policy.published_by = at, by
    policy.save(update_fields=["published_at", "published_by"])
    return policy

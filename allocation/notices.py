"""Mail to the school when an allocation is taken back: the notice word for word, no child's name, once per address."""

from __future__ import annotations

from django.conf import settings
from django.db.models import CharField, Count, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from allocation.models import Reduction, Revocation
from common.mail import send_once
from common.models import SentMail
from schools.models import Office, StaffRole

REVOKED, REDUCED = "allocation.revoked", "allocation.reduced"
# Who answers for the school's lists and devices.
READERS = [StaffRole.Role.MANAGER, StaffRole.Role.CLERK]
# After so many refusals of one address a person must look; the page shows the notice as not sent.
ATTEMPTS = 30


def readers_of(office: Office) -> list[User]:
    """Who is told: the office's managers and clerks, or those of the nearest office above that has any."""
    codes = [code for code in office.path.split("/") if code]
    roles = (
        StaffRole.objects.live()
        .filter(office__code__in=codes, role__in=READERS, user__is_active=True)
        .order_by("-office__path", "user_id")
        .values_list("office__path", "user_id")
    )
    nearest = max((path for path, _ in roles), key=len, default=None)
    return list(User.objects.filter(pk__in=[user for path, user in roles if path == nearest]).order_by("pk"))


def send_revocation(revocation: Revocation) -> None:
    """Mail one revocation's notice. Raises as `send_once` does, after the other addresses were tried."""
    allocation = revocation.allocation
    school = allocation.student.school
    _send_to_school(
        school.office,
        kind=REVOKED,
        about=revocation,
        title=f"Thu hồi quyết định phân bổ máy {allocation.device.code}",
        context={
            "revocation": revocation,
            "allocation": allocation,
            "link": settings.PUBLIC_URL + reverse("allocation:revocation", args=[revocation.pk]),
        },
        template="allocation/mail_revocation.txt",
    )
    _note_told(revocation)


def send_reduction(reduction: Reduction) -> None:
    """Mail a reduction's notice to every school that it met."""
    by_school = list(
        reduction.revocations.values_list("allocation__student__school__office")
        .annotate(count=Count("pk"))
        .order_by("allocation__student__school__office")
    )
    offices = Office.objects.in_bulk([pk for pk, _ in by_school])
    for pk, count in by_school:
        _send_to_school(
            offices[pk],
            kind=f"{REDUCED}.{offices[pk].code}"[:60],
            about=reduction,
            title=f"Cắt giảm {count} máy đã phân bổ, đợt {reduction.run.code}",
            context={
                "reduction": reduction,
                "count": count,
                "school": offices[pk],
                "link": settings.PUBLIC_URL + reverse("allocation:revocations"),
            },
            template="allocation/mail_reduction.txt",
        )
    _note_told(reduction)


def _note_told(about: Revocation | Reduction) -> None:
    about.told_on_clock_at = timezone.now()
    about.save(update_fields=["told_on_clock_at"])


def _send_to_school(office: Office, *, kind: str, about, title: str, context: dict, template: str) -> None:
    """One mail per reader; an address that the server refuses doesn't keep the notice from the others."""
    failed: Exception | None = None
    for user in readers_of(office):
        try:
            send_once(
                kind=kind,
                about=about,
                to=user.email,
                title=title,
                text=render_to_string(template, context | {"user": user}),
            )
        except OSError as error:  # SMTPException is one of them
            failed = error
    if failed:
        raise failed


def log_of(about: Revocation | Reduction) -> QuerySet[SentMail]:
    """The delivery log of a notice: one row per address, without the address."""
    return SentMail.objects.filter(
        subject_type=about._meta.label_lower, subject_id=str(about.pk), kind__startswith="allocation."
    ).order_by("queued_at")


def unsent_revocations() -> list[int]:
    """Approved ones whose notice did not go out; those of a reduction are told with it."""
    return _unsent(Revocation.objects.filter(reduction=None))


def unsent_reductions() -> list[int]:
    return _unsent(Reduction.objects.all())


def _unsent(decided: QuerySet) -> list[int]:
    hopeless = SentMail.objects.filter(
        subject_type=decided.model._meta.label_lower,
        subject_id=Cast(OuterRef("pk"), CharField()),
        kind__startswith="allocation.",
        attempts__gte=ATTEMPTS,
        delivered_on_clock_at=None,
    )
    waiting = decided.filter(approved_at__isnull=False, told_on_clock_at=None)
    return list(waiting.exclude(Exists(hopeless)).order_by("-pk").values_list("pk", flat=True)[:1000])

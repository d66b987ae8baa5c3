"""Long work of lists, in worker processes."""

from smtplib import SMTPException

from celery import shared_task
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.template.loader import render_to_string
from django.urls import reverse

from common import clock, jobs
from common.audit import acting
from common.mail import send_once
from common.refusals import message_of
from schools.models import NeedReminder, StaffRole, StudentList
from schools.services import list_reading, lists


def _list(job: jobs.Claimed) -> StudentList | None:
    return StudentList.objects.filter(pk=job.subject_id).first()


@shared_task
def read_list(*, job_id: str, **_ignored) -> None:
    """Read and check an uploaded file."""
    with jobs.claim(job_id) as job:
        if job and (student_list := _list(job)):
            with acting(job.by, via="task schools.read_list"):
                list_reading.read_list(
                    by=job.by, student_list=student_list, at=clock.now(), progress=job.progress
                )


@shared_task
def commit_list(*, job_id: str, **_ignored) -> None:
    """Write the good rows of a checked list."""
    _commit(job_id, all_or_nothing=False)


@shared_task
def commit_whole_list(*, job_id: str, **_ignored) -> None:
    """Write a checked list if every row is good."""
    _commit(job_id, all_or_nothing=True)


def _commit(job_id: str, *, all_or_nothing: bool) -> None:
    with jobs.claim(job_id) as job:
        if job and (student_list := _list(job)):
            try:
                with acting(job.by, via="task schools.commit_list"):
                    lists.commit_list(
                        by=job.by, student_list=student_list, at=clock.now(), all_or_nothing=all_or_nothing,
                        progress=job.progress,
                    )  # fmt: skip
            except ValidationError as refusal:
                raise jobs.CannotContinue(" ".join(refusal.messages)) from refusal
            except IntegrityError as conflict:
                raise jobs.CannotContinue(message_of(conflict)) from conflict


@shared_task(autoretry_for=(OSError, SMTPException), retry_backoff=True, max_retries=8)
def send_invitation(*, role_id: int, **_ignored) -> None:
    """Tell a person which role they were given, and how to sign in."""
    role = StaffRole.objects.select_related("user", "office").filter(pk=role_id, ended_at=None).first()
    if role is None:
        return
    text = render_to_string(
        "schools/offices/mail_invitation.txt",
        {"role": role, "link": settings.PUBLIC_URL + reverse("account_login")},
    )
    send_once(
        kind="invitation",
        about=role,
        to=role.user.email,
        title=f"Thầy/cô được cấp vai trò ở {role.office}",
        text=text,
    )


@shared_task(autoretry_for=(OSError, SMTPException), retry_backoff=True, max_retries=8)
def send_need_reminders(*, reminder_ids: list[int], **_ignored) -> None:
    """Mail reminders to those who lead or write lists in the offices; again only to who did not get one."""
    reminders = NeedReminder.objects.filter(pk__in=reminder_ids).select_related("office").order_by("pk")
    for reminder in reminders:
        roles = StaffRole.objects.filter(
            office=reminder.office, role__in=["manager", "clerk"], ended_at=None, user__is_active=True
        ).select_related("user")
        for role in roles:
            text = render_to_string(
                "schools/need/mail_reminder.txt",
                {"reminder": reminder, "role": role, "link": settings.PUBLIC_URL + reverse("schools:need")},
            )
            send_once(
                kind="need_reminder",
                about=reminder,
                to=role.user.email,
                title=f"Nhắc gửi nhu cầu máy tính của {reminder.office}",
                text=text,
            )

"""What coverage does by the clock: schools are told before the free data of their students ends (Plan II.3b)."""

import datetime as dt

from celery import shared_task
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from common import clock
from common.mail import send_once
from common.templatetags.vi import format_date, format_number
from coverage import services
from schools.models import Office


@shared_task
def warn_before_plans_end(**_ignored) -> None:
    """Daily: hand over one mail for each school and last free day that comes within two weeks."""
    for office_id, ends_on, _count in services.ending_plans(day=clock.today()):
        mail_ending_plans.delay(office_id=office_id, ends_on=ends_on.isoformat())


@shared_task(
    autoretry_for=(OSError,), retry_backoff=30, retry_backoff_max=3600, retry_jitter=True, max_retries=8
)
def mail_ending_plans(*, office_id: int, ends_on: str, **_ignored) -> None:
    """Tell who looks after a school's students that their free data ends on a day; once for each person and day.

    The mail holds a number and a link, never a child's name: names are read after signing in.
    """
    day = dt.date.fromisoformat(ends_on)
    office = Office.objects.filter(pk=office_id).first()
    counts = {(row[0], row[1]): row[2] for row in services.ending_plans(day=clock.today(), office=office)}
    count = counts.get((office_id, day), 0)
    if not count:
        return
    for address in services.who_looks_after(office):
        send_once(
            kind=f"dataplan.ending.{ends_on}",
            about=office,
            to=address,
            title=f"{format_number(count)} gói dữ liệu của học sinh hết hạn ngày {format_date(day)}",
            text=render_to_string(
                "coverage/mail_ending_plans.txt",
                {
                    "office": office,
                    "count": count,
                    "ends_on": day,
                    "page": settings.PUBLIC_URL + reverse("coverage:plans"),
                },
            ),
        )

"""Mail that tasks send: once, however often and at whatever moment they are delivered."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core import mail
from django.db import IntegrityError, connection

from accounts.models import User
from common.mail import send_once
from common.models import SentMail


def send(about) -> SentMail:
    return send_once(kind="thu", about=about, to="Co.Lan@example.vn", title="Thử", text="Thử")


@pytest.mark.django_db(transaction=True)
def test_a_task_delivered_eight_times_at_once_sends_one_mail():
    user = User.objects.create_user("co.lan@example.vn", full_name="Cô Lan")
    together = Barrier(8)

    def deliver(_):
        together.wait(10)
        try:
            return send(user).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        traces = set(pool.map(deliver, range(8)))
    assert len(mail.outbox) == len(traces) == SentMail.objects.count() == 1
    assert SentMail.objects.get().attempts == 1


@pytest.mark.django_db
def test_the_database_holds_one_trace_for_each_address(user):
    trace = send(user)
    assert send(user) == trace
    trace.pk = None
    with pytest.raises(IntegrityError, match="sentmail_once"):
        trace.save()

"""An auditor recomputes a run from the database and compares it with the public log."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from allocation import services
from donations.models import Lot
from ledger.management.commands.ledger import inline_signer
from ledger.publisher import seal_and_publish
from schools.models import Student
from tests.allocation_world import AT, AllocationWorld

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(settings, tmp_path):
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = tmp_path / "log", tmp_path / "signer"
    world = AllocationWorld()
    world.students(30, group="poor")
    world.students(30, group="near_poor")
    world.stock(40)
    run = world.committed()
    seal_and_publish(at=timezone.now(), today=timezone.localdate(), signer=inline_signer(), at_once=True)
    return run


def test_everything_that_the_log_says_of_a_run_is_recomputed(run, capsys):
    call_command("recompute_run", run.code)
    out = capsys.readouterr().out
    assert out.count(": khớp\n") == 11
    assert "tất cả đều khớp" in out


def test_a_preferred_kind_changes_the_devices_and_nobody_else_receives(settings, tmp_path, capsys):
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = tmp_path / "log", tmp_path / "signer"
    world = AllocationWorld()
    world.students(6, grade=5)
    world.students(4, grade=11)
    world.students(9, grade=12, group="near_poor")
    tablets, laptops = world.stock(5), world.stock(7)
    Lot.objects.filter(devices__code__in=laptops).update(device_kind="laptop")
    plain = world.proposed(policy=world.policy())
    who = set(plain.proposed.values_list("student", "locality", "group", "place", "via"))
    assert plain.summary["laptops"] is None
    services.reject(by=world.approver, run=plain, reason="policy_changed", at=AT)
    run = services.propose(by=world.clerk, run=world.frozen(policy=world.policy(laptop_from_grade=10)), at=AT)
    services.commit(by=world.approver, run=services.approve(by=world.approver, run=run, at=AT), at=AT)
    run.refresh_from_db()
    assert (run.seed, run.seed_kept_from) == (plain.seed, plain)
    assert set(run.proposed.values_list("student", "locality", "group", "place", "via")) == who
    assert run.summary["laptops"] == {"from_grade": 10, "asked": 6, "given": 6}
    of_laptops = Student.objects.filter(allocations__device__code__in=laptops)
    assert sorted(of_laptops.values_list("grade", flat=True)) == [5, 11, 11, 11, 11, 12, 12]
    assert not Student.objects.filter(allocations__device__code__in=tablets, grade__gte=10).exists()
    seal_and_publish(at=timezone.now(), today=timezone.localdate(), signer=inline_signer(), at_once=True)
    call_command("recompute_run", run.code)
    assert "tất cả đều khớp" in capsys.readouterr().out


def test_a_changed_row_is_found(run):
    # A child moved to another group after the freeze, behind the platform's back.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            'UPDATE allocation_applicant SET "group" = 0 WHERE run_id = %s AND "group" = 1', [run.pk]
        )
        assert cursor.rowcount == 30
        cursor.execute("SET LOCAL session_replication_role = origin")
    with pytest.raises(CommandError, match="gốc dữ liệu đã chốt") as refused:
        call_command("recompute_run", run.code)
    assert refused.value.returncode == 1


def test_what_cannot_be_recomputed_is_said(run, settings, tmp_path):
    with pytest.raises(CommandError, match="Không có đợt") as refused:
        call_command("recompute_run", "DPB-0")
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match=r"Không có sổ cái ở .*nowhere") as refused:
        call_command("recompute_run", run.code, "--log", str(tmp_path / "nowhere"))
    assert refused.value.returncode == 2
    settings.LEDGER_DIR = tmp_path / "empty"
    with pytest.raises(CommandError, match="Chưa có sổ cái"):
        call_command("recompute_run", run.code)

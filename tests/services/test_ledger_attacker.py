"""Rule 9 on a running programme, every public address read; `make drill ARGS=ledger.attacker` does it with 10,000."""

import sys

import pytest

from ledger.audit import audit
from tests.attacker import attack
from tests.ledger_log import make_log


@pytest.mark.django_db
def test_rule_9_an_attacker_with_everything_public_links_no_child(tmp_path, settings, capsys):
    log = make_log(tmp_path)
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = log.folder, log.state
    settings.VAR_DIR = tmp_path
    found = attack(log, children=1_500, devices=300, weeks=3, sample=6, is_read_weekly=False)
    assert found.leaks == []
    assert found.devices == 300
    assert found.best_link <= 0.1
    assert found.right_guesses == []
    assert found.small_cells, "the programme must have something to hide"
    # The same weeks as an auditor reads them: real runs, held batches, claimed figures, and no rule broken.
    report = audit(log.disk.fetch, log.verifiers)
    assert (report["problems"], report["devices"]) == ([], 300)
    assert report["figures"]
    assert all(run["draw_checked"] for run in report["runs"].values())
    with capsys.disabled():
        sys.stdout.write(
            f"\nattacker: {found.children} children, {found.devices} devices, {len(found.addresses)} addresses,"
            f" {found.bytes_read} bytes; best link 1 in {round(1 / found.best_link)}, {found.small_cells} small cells over"
            f" the weeks, {found.guesses} guesses possible, none right\n"
        )

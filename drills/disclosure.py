"""What a whole programme lets out: 10,000 synthetic children, weekly releases, every public address read each week."""

import tempfile
from pathlib import Path

from django.test import override_settings
from django.test.utils import setup_test_environment, teardown_test_environment

from bench.nation import own_database
from drills import drill
from tests.attacker import attack
from tests.ledger_log import make_log

CHILDREN, DEVICES, WEEKS = 10_000, 2_000, 6


@drill("ledger.attacker")
def attacker() -> dict:
    """No child linked to a device with more than 1 in 10, no guess between releases right, no trace of any child."""
    with own_database("drill_attacker"), tempfile.TemporaryDirectory() as folder:
        log = make_log(Path(folder))
        places = {"LEDGER_DIR": log.folder, "LEDGER_SIGNER_DIR": log.state, "VAR_DIR": Path(folder)}
        setup_test_environment()
        try:
            with override_settings(**places):
                found = attack(log, children=CHILDREN, devices=DEVICES, weeks=WEEKS)
        finally:
            teardown_test_environment()
    assert found.leaks == [], found.leaks[:5]
    assert found.best_link <= 0.1, found.best_link
    assert found.right_guesses == [], found.right_guesses[:5]
    assert found.devices == DEVICES
    return {
        "children": found.children,
        "devices": found.devices,
        "addresses": len(found.addresses),
        "bytes": found.bytes_read,
        "best_link_one_in": round(1 / found.best_link),
        "small_cells": found.small_cells,
        "guesses": found.guesses,
        "right": len(found.right_guesses),
    }

"""What a whole programme lets out: every public address read each week, and every row of small lines tried."""

import tempfile
from pathlib import Path

from django.test import override_settings
from django.test.utils import setup_test_environment, teardown_test_environment

from bench.nation import own_database
from drills import drill
from tests.attacker import attack
from tests.ledger_log import make_log
from tests.small_lines import Sweep

CHILDREN, DEVICES, WEEKS = 10_000, 2_000, 6
# (provinces, the totals of the releases in a row): every line there can be, counts never falling.
SWEEPS = [
    *[(2, (total, total + more)) for total in range(50, 100, 5) for more in (1, 5, 10, 14, 20, 40)],
    *[(3, (total, total + more)) for total in (45, 52, 60, 66) for more in (2, 6, 10, 14)],
    *[(2, (total, total + 5, total + more)) for total in (55, 62, 70) for more in (10, 14, 20)],
    (3, (50, 52, 54)),
    (4, (50, 52)),
]


@drill("disclosure.small_lines")
def small_lines() -> dict:
    """No hidden small count told to who knows the totals, this very code and that counts never fall; none guessed."""
    rows = small = guesses = 0
    fewest = 1_000
    for cells, totals in SWEEPS:
        found = Sweep(cells, totals).run()
        assert found.told == [], (cells, totals, found.told[:3])
        assert found.guessed == [], (cells, totals, found.guessed[:3])
        rows, small, guesses = rows + found.rows, small + found.small, guesses + found.guesses
        fewest = min(fewest, found.fewest)
    return {
        "sweeps": len(SWEEPS),
        "rows": rows,
        "small_counts": small,
        "told": 0,
        "values_left": fewest,
        "guesses": guesses,
        "right": 0,
    }


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

"""What is public: each rule, and an attacker who knows the whole roll and the whole log."""

import random
import sys
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.disclosure import (
    NATION,
    PERSONAL_KEYS,
    DisclosureError,
    PublicLine,
    Tally,
    check_public,
    choose_area,
    choose_areas,
    merge_small,
    public_place,
    release_line,
    ten_or_none,
)
from ledger.events import EVENTS
from tests.small_lines import Sweep


def test_rule_3_the_area_is_the_smallest_that_hides_its_recipients():
    chain = [("school", 9, 500), ("commune", 30, 55), ("district", 30, 60), ("province", 900, 9000)]
    assert choose_area(chain) == "district"
    assert choose_area([("school", 10, 20)]) == "school"
    assert choose_area([("school", 10, 19)]) == NATION


def test_rule_3_a_small_school_is_not_pointed_at_by_its_commune():
    large, small, far = ("A", "commune", "district"), ("B", "commune", "district"), ("C", "other", "district")
    areas = choose_areas([(large, 12, 400), (small, 1, 6), (far, 11, 30)])
    # Alone, the small school would be the one that "the nation" means: its commune takes the large one in.
    assert areas == ["commune", "commune", "C"]
    assert choose_areas([(large, 12, 400), (small, 1, 6), (far, 9, 30)]) == ["A", "district", "district"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(1, 500)), min_size=1, max_size=25)
)
def test_rule_3_no_area_and_not_the_nation_means_fewer_than_ten(rows):
    """Whatever the schools: an area has ten recipients at least, half of its schools' roll at most; so has the rest."""
    schools = [
        ((f"s{n}", f"c{n % 7}", f"d{n % 7 % 3}", f"p{n % 7 % 3 % 2}"), min(few if few else count, size), size)
        for n, (few, count, size) in enumerate(rows)
    ]
    areas = choose_areas(schools)
    taken, roll = Counter(), Counter()
    for area, (_, count, size) in zip(areas, schools, strict=True):
        taken[area] += count
        roll[area] += size
    for area, count in taken.items():
        if area != NATION and count:
            assert count >= 10
            assert 2 * count <= roll[area]
    assert taken[NATION] == 0 or taken[NATION] >= 10 or set(areas) == {NATION} or sum(taken.values()) < 10


def test_rule_3_no_place_below_the_area():
    chain = ["school", "commune", "district", "province"]
    assert public_place(chain, "district") == "district"
    assert public_place(chain, None) == "school"
    assert public_place(["office-of-province", "province"], "district") == "office-of-province"
    assert public_place(chain, NATION) == NATION


@pytest.mark.parametrize(
    "value",
    [
        {"student": "x"},
        {"a": [{"class_name": "5A"}]},
        ["001234567890"],
        {"group": "poor"},
        {"c": {"guardian": "Lê Thị Lan"}},
        {"guardian": "ab" * 32},
    ],
)
def test_rule_1_personal_keys_and_numbers_are_refused(value):
    with pytest.raises(DisclosureError):
        check_public(value)


def test_rule_2_no_entry_about_a_device_can_carry_a_group():
    """The set of keys per event is closed: none of a device's events has a place for a child's attribute."""
    for name, kind in EVENTS.items():
        keys = {*kind.required, *kind.optional}
        assert not keys & PERSONAL_KEYS or name.startswith("unit."), name
    assert not {"group", "tier", "cell"} & {
        key
        for name, kind in EVENTS.items()
        if name.startswith("device.")
        for key in (*kind.required, *kind.optional)
    }


def test_what_is_public_passes():
    check_public({"province": "VN2021-15", "count": 123, "devices": ["7K3QF9XW2MDC"]})
    check_public({"body": {"c": {"guardian": "ab" * 32}}})  # a commitment's hash, and what it is about


def line(stood: list[PublicLine], **counts: int) -> dict[str, int]:
    """Release a line: what the public sees of it, kept with what stood before."""
    shown = release_line(counts, stood)
    stood.append(PublicLine(sum(counts.values()), shown))
    return shown


def test_rule_4_a_number_is_shown_from_twenty_on_and_stays_until_it_has_moved_by_ten():
    stood: list[PublicLine] = []
    assert line(stood, a=19, b=100, c=0, d=40) == {"b": 100}
    assert line(stood, a=19, b=109, c=0, d=40) == {"b": 100}
    assert line(stood, a=19, b=110, c=0, d=40) == {"b": 110}
    # It falls: to 100 at once, below ten it is hidden again.
    assert line(stood, a=19, b=100, c=0, d=40) == {"b": 100}
    assert line(stood, a=60, b=9, c=0, d=40) == {}


def test_rule_4_thirty_of_the_total_are_in_no_number_and_who_would_break_that_waits():
    assert release_line({"a": 29, "b": 29}, []) == {}
    assert release_line({"a": 29, "b": 30}, []) == {"a": 29}
    assert release_line({"a": 500, "b": 400, "c": 300}, []) == {"a": 500, "b": 400}
    # Where counts fall, what was shown last is taken back first.
    stood = [PublicLine(130, {"a": 50, "b": 50})]
    assert release_line({"a": 50, "b": 50, "c": 3}, stood) == {"a": 50}


def test_rule_4_a_number_waits_while_a_plain_guess_about_the_past_would_come_out():
    stood: list[PublicLine] = []
    assert line(stood, a=5, b=100, c=50) == {"b": 100}
    # Only `a` has grown, by as much as the total: 21 less 16 would be what it was.
    assert line(stood, a=21, b=100, c=50) == {"b": 100}
    # `c` has grown as well: the guess that `a` alone did is refuted by its own number.
    assert line(stood, a=21, b=100, c=60) == {"a": 21, "b": 100}
    # `b` shown unchanged would leave the 3 of `a`.
    assert release_line({"a": 33, "b": 50}, [PublicLine(53, {})]) == {}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rule_4_whatever_counts_do_thirty_are_kept_back_and_no_shown_number_is_small(data):
    """Counts rise and fall, provinces come and go."""
    stood: list[PublicLine] = []
    for _ in range(data.draw(st.integers(1, 6))):
        cells = data.draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 90), min_size=1))
        before = stood[-1].shown if stood else {}
        shown = line(stood, **cells)
        assert shown.keys() <= cells.keys()
        assert not shown or sum(cells.values()) - sum(shown.values()) >= 30
        for cell, number in shown.items():
            assert number >= 10
            assert number == before.get(cell) or number == cells[cell]
            assert cell not in before or number == before[cell] or abs(number - before[cell]) >= 10


# Every row of lines with these totals; `make drill ARGS=disclosure` takes larger ones.
SWEEPS = [(2, (60, 75)), (2, (70, 90)), (3, (50, 53)), (2, (55, 60, 70)), (2, (62, 64, 66))]


@pytest.mark.parametrize(("cells", "totals"), SWEEPS)
def test_rule_4_releases_in_a_row_tell_no_small_count_to_who_knows_that_none_falls(cells, totals, capsys):
    found = Sweep(cells, totals).run()
    assert found.told == []
    assert found.guessed == []
    assert found.with_numbers
    with capsys.disabled():
        sys.stdout.write(
            f"\nrule 4: totals {totals} of {cells} cells: {found.rows} rows of releases, {found.small} hidden small"
            f" counts: none told, {found.fewest} values left at least; {found.guesses} plain guesses, none right\n"
        )


def test_rule_4_what_anybody_can_count_is_only_not_spread():
    assert [ten_or_none(count) for count in (0, 1, 9, 10, 5_000)] == [0, None, None, 10, 5_000]


def test_small_cells_merge_upward():
    assert merge_small({"a": 3, "b": 40, "c": 9}, {"a": "p", "c": "p"}) == {"b": 40, "p": 12}


def synthetic_roll(chance: random.Random, count: int) -> list[tuple[str, tuple[str, ...], str]]:
    """Children as an attacker knows them: (name, school's chain, group); schools from 3 to 400 pupils."""
    children, school = [], 0
    while len(children) < count:
        school += 1
        province, district = school % 5, school % 20
        chain = (
            f"TH-{school:04d}",
            f"VN2021-{10_000 + school // 3}",
            f"VN2021-{100 + district}",
            f"VN2021-{10 + province}",
        )
        for _ in range(chance.choice((3, 8, 25, 90, 400))):
            group = chance.choices(("poor", "near_poor", "covid_orphan"), (70, 28, 2))[0]
            children.append((f"Em {len(children)}", chain, group))
    return children[:count]


@pytest.mark.parametrize("seed", range(3))
def test_rule_9_an_attacker_with_roll_and_log_links_nobody(seed, capsys):
    """Rule 9: no child to a device, an entry or a group with more than 1 in 10, weekly releases included."""
    chance = random.Random(seed)
    children = synthetic_roll(chance, 10_000)
    served = [child for child in children if chance.random() < (0.3 if child[2] == "poor" else 0.1)]
    rolls, taken = Counter(child[1] for child in children), Counter(child[1] for child in served)
    chains = sorted(rolls)
    area_of = dict(
        zip(chains, choose_areas([(chain, taken[chain], rolls[chain]) for chain in chains]), strict=True)
    )

    # The log: a device and its area; handovers leave in batches of at least ten per area, or when the run closes.
    held = defaultdict(list)
    for child in served:
        held[area_of[child[1]]].append(child)
    tally, releases = Tally(), []
    for week in range(6):
        for area, waiting in held.items():
            ready = [child for child in waiting if chance.random() < 0.3] if week < 5 else list(waiting)
            if len(ready) >= 10 or week == 5:
                for child in ready:
                    waiting.remove(child)
                    device = f"D{child[0]}"
                    tally.add({"t": "device.allocated", "dev": device, "area": area})
                    tally.add({"t": "device.handed_over", "dev": device})
        releases.append(tally.figures()["handed_over_by_area"])

    # Linking a child to a device: even knowing who was served, a device of an area is any of its recipients'.
    worst = 0.0
    recipients = Counter(area_of[child[1]] for child in served)
    for area, count in recipients.items():
        if area != NATION:
            worst = max(worst, 1 / count)
    assert worst <= 0.1
    # Membership of an area's recipients says at most one half (rule 3).
    roll = Counter()
    for chain, size in rolls.items():
        roll[area_of[chain]] += size
    assert all(2 * count <= roll[area] for area, count in recipients.items() if area != NATION)
    # Between releases an area appears with at least ten, and grows by ten until the run closes.
    for before, after in pairwise(releases[:-1]):
        for area, count in after.items():
            grown = count - before.get(area, 0)
            assert area == NATION or grown == 0 or grown >= 10
    # No entry and no figure carries a group, a name or a school and class.
    check_public(releases)
    with capsys.disabled():
        sys.stdout.write(
            f"\nattacker with a roll of {len(children)} and {len(served)} devices: best link 1 in {round(1 / worst) if worst else '∞'}\n"
        )

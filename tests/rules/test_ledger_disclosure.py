"""What is public: each rule, and an attacker who knows the whole roll and the whole log."""

import random
import sys
from collections import Counter, defaultdict
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.disclosure import (
    FEW,
    NATION,
    PERSONAL_KEYS,
    DisclosureError,
    Release,
    Tally,
    check_public,
    choose_area,
    choose_areas,
    hide_after,
    merge_small,
    public_place,
    suppress,
    suppress_table,
)
from ledger.events import EVENTS


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


def consistent(published: dict, total: int) -> dict[str, set[int]]:
    """Every value that each hidden cell could have, found by trying them all."""
    hidden = [key for key, count in published.items() if isinstance(count, str)]
    rest = total - sum(count for count in published.values() if isinstance(count, int))
    choices = [range(1, 10) if published[key] == FEW else range(10, 61) for key in hidden]
    seen: dict[str, set[int]] = defaultdict(set)
    for values in product(*choices):
        if sum(values) == rest:
            for key, count in zip(hidden, values, strict=True):
                seen[key].add(count)
    return seen


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_rule_4_a_hidden_count_stays_open_whatever_the_total(counts):
    cells = {f"c{number}": count for number, count in enumerate(counts)}
    published = suppress(cells)
    few = [key for key, shown in published.items() if shown == FEW]
    assert few == [key for key, count in cells.items() if 0 < count < 10]
    # Where a line has small cells only, all near 1 or near 9, nothing is left to hide beside them.
    if any(isinstance(shown, int) and shown for shown in published.values()):
        for key in few:
            assert len(consistent(published, sum(counts))[key]) >= 3


def test_rule_4_a_table_hides_complements_in_rows_and_columns():
    rows = {
        "A": {"x": 3, "y": 50, "z": 60},
        "B": {"x": 40, "y": 70, "z": 80},
        "C": {"x": 90, "y": 95, "z": 99},
    }
    shown = suppress_table(rows)
    for name in rows:
        assert sum(isinstance(count, str) for count in shown[name].values()) != 1
    for column in "xyz":
        assert sum(isinstance(shown[name][column], str) for name in rows) != 1
    assert shown["A"]["x"] == FEW


def test_rule_4_releases_do_not_differ_to_a_small_number():
    first = {"A": 8, "B": 60, "C": 70}
    hidden = frozenset(key for key, shown in suppress(first).items() if isinstance(shown, str))
    later = suppress({"A": 12, "B": 61, "C": 70}, sticky=hidden)
    assert all(isinstance(later[key], str) for key in hidden)


def released(cells: dict, earlier: list[Release]) -> Release:
    return Release(cells, hide_after(cells, earlier))


def test_rule_4_a_hidden_cell_stays_hidden_while_nothing_else_moves():
    first = released({"A": 8, "B": 60, "C": 70}, [])
    assert first.hidden == {"A", "B"}
    # Everyone sees the total grow by 4: with A and B shown, A was 12 - 4.
    second = released({"A": 12, "B": 60, "C": 70}, [first])
    assert second.hidden >= {"A", "B"}
    # Both have moved far and neither guess stands: shown at last.
    third = released({"A": 40, "B": 95, "C": 70}, [first, second])
    assert third.hidden == frozenset()


def test_rule_4_a_cell_hidden_beside_a_small_one_is_not_shown_unchanged():
    first = released({"A": 8, "B": 60, "C": 70}, [])
    second = released({"A": 30, "B": 60, "C": 90}, [first])
    assert "B" in second.hidden
    assert "B" not in released({"A": 30, "B": 99, "C": 90}, [first, second]).hidden


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_rule_4_no_guess_about_an_earlier_release_comes_out_right(data):
    """The attacker guesses that a cell did not change, or that it alone did, and reads off its past."""
    cells = {f"c{number}": data.draw(st.integers(0, 80)) for number in range(data.draw(st.integers(4, 8)))}
    earlier: list[Release] = []
    for _ in range(data.draw(st.integers(2, 6))):
        now = released(cells, earlier)
        for before in earlier:
            unclear = before.hidden | now.hidden
            moved = sum(now.values[cell] - before.values[cell] for cell in unclear)
            beside = before.hidden - before.few
            shown = [cell for cell in beside if now.values[cell]]
            if before.few and shown and not beside & now.hidden:
                rest = sum(before.values[c] for c in before.hidden) - sum(now.values[c] for c in beside)
                assert not before.is_possible(rest)
                assert not before.is_possible(rest + moved)
            for cell in before.few - now.hidden:
                assert not now.values[cell] or not 1 <= now.values[cell] - moved <= 9
        earlier.append(now)
        cells = {
            cell: max(0, count + data.draw(st.sampled_from([0, 0, 0, 1, 4, 12, 40, -2])))
            for cell, count in cells.items()
        }


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

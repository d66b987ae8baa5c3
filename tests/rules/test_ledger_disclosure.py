"""What is public: each rule, and an attacker who knows the whole roll and the whole log."""

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
    as_shown,
    check_public,
    choose_area,
    choose_areas,
    hide_after,
    merge_small,
    public_place,
    suppress,
    suppress_split,
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


def splits(total: int, most: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every way to make up a total from counts of which each has its most."""
    if len(most) == 1:
        if total <= most[0]:
            yield (total,)
        return
    for first in range(max(0, total - sum(most[1:])), min(total, most[0]) + 1):
        for rest in splits(total - first, most[1:]):
            yield first, *rest


def line_shown(counts: Sequence[int]) -> tuple:
    return tuple(suppress(dict(zip("abcd", counts, strict=False))).values())


@pytest.mark.parametrize(("cells", "totals"), [(2, range(1, 60)), (3, range(1, 70)), (4, range(1, 40))])
def test_rule_4_the_total_and_this_code_leave_three_values_for_every_hidden_count(cells, totals):
    """The attacker runs this very code on every line there can be, and keeps those that look like the published one."""
    for total in totals:
        alike = defaultdict(list)
        for counts in splits(total, [total] * cells):
            alike[line_shown(counts)].append(counts)
        for published, possible in alike.items():
            for at, shown in enumerate(published):
                if isinstance(shown, str):
                    assert len({counts[at] for counts in possible}) >= min(3, total + 1), (total, published)
                else:
                    assert not 0 < shown < 10


def test_rule_4_a_line_of_small_counts_near_their_end_is_hidden_whole():
    assert line_shown((9, 9, 8, 9)) == line_shown((1, 1, 0, 1)) == ("ẩn",) * 4
    assert line_shown((5, 6, 0, 40)) == (FEW, FEW, 0, 40)
    assert suppress({"a": 60, "b": 9, "c": 60, "d": 10}) == {"a": 60, "b": FEW, "c": "ẩn", "d": 10}


def test_rule_4_counts_in_two_parts_stay_open_when_the_totals_of_both_ways_are_known(capsys):
    """Some thousands of small tables: the attacker knows every row's sum, both columns', and this code."""
    chance, seen, tried = random.Random(4), 0, 0
    for _ in range(1_000):
        rows = chance.choice((2, 2, 3, 3, 3, 4))
        most = chance.choice((12, 20, 30, 45) if rows < 4 else (12, 20, 26))
        sums = [chance.choice((chance.randint(0, most), chance.randint(0, 12))) for _ in range(rows)]
        served = chance.randint(0, sum(sums))
        alike = defaultdict(list)
        for first in splits(served, sums):
            table = {f"p{at}": (count, sums[at] - count) for at, count in enumerate(first)}
            alike[tuple(suppress_split(table).values())].append(first)
        for published, possible in alike.items():
            seen, tried = seen + 1, tried + len(possible)
            for at, (shown, _) in enumerate(published):
                small = [first for first in possible if 0 < first[at] < 10 or 0 < sums[at] - first[at] < 10]
                if small:
                    assert isinstance(shown, str)
                    # No more than the totals alone allow, where those allow fewer.
                    open_to = min(sums[at], served) - max(0, served - sum(sums) + sums[at]) + 1
                    known = {first[at] for first in possible}
                    assert len(known) >= min(3, open_to, sums[at] + 1), (sums, served, published)
    with capsys.disabled():
        sys.stdout.write(
            f"\nrule 4: {seen} published tables, {tried} that could lie behind them: none told apart\n"
        )


@pytest.mark.parametrize(("releases", "sequences", "sizes"), [(2, 40, (2, 2, 3)), (3, 6, (2,))])
def test_rule_4_releases_in_a_row_leave_three_values(releases, sequences, sizes):
    """The attacker tries every row of lines that look like the published ones, by the code that chose what to hide."""

    def shown(release: Release) -> tuple:
        return tuple(as_shown(release.values, release.hidden).values())

    def release(counts: Sequence[int], earlier: Sequence[Release]) -> Release:
        return released(dict(zip("abc", counts, strict=False)), list(earlier))

    chance = random.Random(7)
    for _ in range(sequences):
        line = [
            chance.choice((chance.randint(0, 9), chance.randint(0, 20))) for _ in range(chance.choice(sizes))
        ]
        lines, known = [], ()
        for _ in range(releases):
            lines.append(line)
            known += (release(line, known),)
            line = [count + chance.choice((0, 0, 1, 3, 12)) for count in line]
        possible: list[tuple[Release, ...]] = [()]
        for at, counts in enumerate(lines):
            seen = shown(known[at])
            guesses = [
                guess
                for guess in splits(sum(counts), [sum(counts)] * len(counts))
                if all(
                    isinstance(text, str) or text == count for text, count in zip(seen, guess, strict=True)
                )
            ]
            possible = [
                (*before, now)
                for before in possible
                for guess in guesses
                if shown(now := release(guess, before)) == seen
            ]
        for at, counts in enumerate(lines):
            for cell, count in zip("abc", counts, strict=False):
                if 0 < count < 10:
                    values = {row[at].values[cell] for row in possible}
                    assert len(values) >= min(3, sum(counts) + 1), [shown(release) for release in known]


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

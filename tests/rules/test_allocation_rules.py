"""Rules around a run: policies against the law, merged cells of the draw file, sentences that explain."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation import rules
from allocation.committing import merged_cells
from ledger.disclosure import choose_areas
from ledger.tree import leaf_hash, root_of

LAW = ["poor", "near_poor", "covid_orphan"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"groups": ["near_poor", "poor"]}, "trái Kế hoạch"),
        ({"groups": []}, "ít nhất một"),
        ({"groups": ["poor", "poor"]}, "một lần"),
        ({"groups": ["poor", "rich"]}, "không có đối tượng"),
        ({"margin": "equal"}, "phần máy cuối"),
        ({"locality_first": 1}, "xét trước"),
        ({"note": "x"}, "không hiểu"),
        ({"laptop_from_grade": 10}, None),
        ({"laptop_from_grade": 13}, "từ 1 đến 12"),
        ({"laptop_from_grade": True}, "từ 1 đến 12"),
        ({"laptop_from_grade": None}, "từ 1 đến 12"),
    ],
)
def test_policy_problems(changed, said):
    given = {"locality_first": True, "margin": "draw", "groups": LAW} | changed
    problems = rules.policy_problems(given, LAW)
    assert (problems == []) if said is None else any(said in problem for problem in problems)


def test_merkle_root_is_the_plain_definition():
    leaves = [b"%d" % number for number in range(130)]  # every shape of tree up to seven levels
    for count in range(len(leaves) + 1):
        hashes = [leaf_hash(leaf) for leaf in leaves[:count]]
        assert rules.merkle_root(leaves[:count]) == root_of(hashes), count


@given(
    st.dictionaries(
        st.builds(
            "{}-VN2021-{:02d}".format,
            st.sampled_from(["1.1.1", "1.2.1", "2.1.1", "2.3.4"]),
            st.integers(1, 4),
        ),
        st.integers(1, 30),
        min_size=1,
    )
)
def test_no_cell_of_the_draw_file_is_small(counts):
    shown = merged_cells(Counter(counts))
    assert set(shown) == set(counts)
    sizes = Counter()
    for cell, name in shown.items():
        sizes[name] += counts[cell]
        assert name == cell or name.startswith("*")
    if sum(counts.values()) >= 10:
        assert min(sizes.values()) >= 10


def test_reasons_name_the_waterline_and_what_would_change():
    said = " ".join(
        rules.reasons(tier=(2, 2, 1), groups=LAW, locality_first=True, via=None, waterline="2.1.1")
    )
    assert "2.1.1" in said
    assert "Chỉ thị 16" in said
    margin = rules.reasons(tier=(2, 1, 1), groups=LAW, locality_first=True, via=None, waterline="2.1.1")
    assert any("bốc thăm" in sentence for sentence in margin)


def reasons(**given) -> str:
    known = {"tier": (2, 1, 1), "groups": LAW, "locality_first": True, "via": None, "waterline": "2.1.1"}
    return " ".join(rules.reasons(**known | given))


def test_who_draws_together_follows_the_rule_of_the_margin():
    """Shares by province are drawn inside it: a better number elsewhere in the country proves nothing."""
    assert "các em cùng bậc trong tỉnh được chọn bằng bốc thăm" in reasons(margin="proportional")
    assert "các em cùng bậc được chọn bằng bốc thăm" in reasons(margin="draw")
    assert "các em cùng bậc trong tỉnh" in reasons(waterline=None, province_waterline="2.1.1")


def test_who_has_a_device_since_does_not_wait():
    said = reasons(elsewhere="DPB-2", queue=(3, 1))
    assert "ở đợt DPB-2" in said
    assert "hàng chờ của đợt, em đứng" not in said
    assert "Em vẫn ở trong danh sách chờ" not in said
    assert "em đứng đầu hàng chờ" in reasons(via="substitute")


def test_two_equal_places_in_the_queue_are_one():
    assert "em đứng thứ 3; riêng trong tỉnh, em đứng thứ 1." in reasons(queue=(3, 1))
    assert "riêng trong tỉnh" not in reasons(queue=(3, 3))


def test_provinces_that_tie_are_all_said():
    cells = [{"province": code, "group": "poor", "gain": 1, "lose": 0} for code in "ABCDE"]
    cells.append({"province": "F", "group": "poor", "gain": 0, "lose": 5})
    said = rules.comparison_words(cells, {})
    assert "Tỉnh được thêm nhiều nhất: A, B, C và 2 tỉnh khác (+1 em mỗi tỉnh)." in said
    assert "Tỉnh bị bớt nhiều nhất: F (−5 em)." in said


def test_a_group_that_only_one_policy_considers_is_said():
    assert rules.left_out_words(["poor"], ["poor"]) == []
    (said,) = rules.left_out_words(["poor", "covid_orphan"], ["poor"])
    assert said.startswith("Chính sách thứ hai không xét nhóm mồ côi do COVID-19")


def test_starvation_is_said_in_words():
    said = rules.starvation({"poor": 5, "covid_orphan": 0}, {"poor": 0, "covid_orphan": 1200})
    assert said == ["Nhóm mồ côi do COVID-19: cả 1.200 em chưa em nào có máy trong đợt này."]


@st.composite
def nations(draw):
    """Schools as `choose_areas` takes them; only those of the run's provinces have recipients."""
    run = draw(st.sets(st.integers(0, 3), min_size=1, max_size=2))
    schools = []
    for number in range(draw(st.integers(1, 14))):
        province, district, commune = draw(
            st.tuples(st.integers(0, 3), st.sampled_from([None, 0, 1]), st.integers(0, 1))
        )
        above = f"P{province}" if district is None else f"P{province}D{district}"
        chain = (f"T{number}", f"{above}C{commune}", None if district is None else above, f"P{province}")
        roll = draw(st.integers(0, 60))
        recipients = draw(st.integers(0, 25)) if province in run else 0
        schools.append((chain, recipients, roll))
    return schools


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nations())
def test_a_province_s_run_has_the_public_areas_of_a_look_at_the_nation(schools):
    """A run looks at the schools of the provinces it serves alone (`committing.public_areas`)."""
    served = {chain[3] for chain, recipients, _ in schools if recipients}
    looked_at = [school for school in schools if school[0][3] in served]
    whole, own = (
        {school[0][0]: area for school, area in zip(rows, choose_areas(rows), strict=True) if school[1]}
        for rows in (schools, looked_at)
    )
    assert own == whole

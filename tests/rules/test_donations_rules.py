"""Pure rules of the supply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donations import rules
from donations.rules import Finding, RowErrors, judge

TABLET = {"screen_inch_min": 8, "ram_gb_min": 2, "wifi": True, "warranty_months_min": 12}


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("0101248141", "0101248141"),
        (" 0100 684 378 ", "0100684378"),
        ("0100684378001", "0100684378-001"),
        ("0100684378-001", "0100684378-001"),
        ("0101248142", None),
        ("010124814", None),
        ("MST 0101248141", None),
        ("", None),
    ],
)
def test_tax_codes(typed, stored):
    assert rules.normalise_tax_code(typed) == stored


@given(st.integers(0, 999_999_999), st.integers(1, 9))
def test_a_wrong_last_digit_of_a_tax_code_is_found(base, shift):
    digits = f"{base:09}"
    valid = [d for d in "0123456789" if rules.normalise_tax_code(digits + d)]
    assert len(valid) <= 1
    if valid:
        assert rules.normalise_tax_code(digits + str((int(valid[0]) + shift) % 10)) is None


@pytest.mark.parametrize(
    ("amount", "price", "result"),
    [
        (25_000_000_000, 2_500_000, (10_000, 0)),
        (25_000_000_000, 10_900_000, (2_293, 6_300_000)),
        (0, 1, (0, 0)),
    ],
)
def test_money_into_devices(amount, price, result):
    assert rules.devices_for(amount, price) == result


@given(st.integers(0, 10**13), st.integers(1, 10**9))
def test_no_dong_is_lost(amount, price):
    count, rest = rules.devices_for(amount, price)
    assert count * price + rest == amount
    assert 0 <= rest < price


@pytest.mark.parametrize(
    ("finding", "is_used", "expected"),
    [
        (Finding("A", {"screen_inch": 8, "ram_gb": 2, "wifi": True}), False, ("accepted", [])),
        (Finding("A", {"screen_inch": 7.9}), False, ("refused", ["screen_inch_low"])),
        (Finding("A", {"wifi": False}), False, ("refused", ["wifi_absent"])),
        (Finding("A", {}, ("battery_weak",)), False, ("to_repair", ["battery_weak"])),
        (Finding("A", {}, is_child_protected=False), False, ("to_repair", ["no_child_protection"])),
        (Finding("A", {}), True, ("to_repair", ["not_wiped"])),
        (Finding("A", {}, is_wiped=True), True, ("accepted", [])),
        (
            Finding("A", {}, ("no_power", "no_power"), False),
            False,
            ("refused", ["no_power", "no_child_protection"]),
        ),
    ],
)
def test_the_outcome_of_an_inspection(finding, is_used, expected):
    assert judge(finding, limits=TABLET, is_used=is_used) == expected


def test_an_unknown_fault_is_an_error():
    with pytest.raises(ValueError, match="unknown"):
        judge(Finding("A", {}, ("made_up",)), limits=TABLET, is_used=False)


def test_every_reason_has_a_word_of_the_ledger():
    from_ledger = {reason.fault for reason in rules.REASONS.values()}
    assert from_ledger <= {
        "below_specification", "battery", "screen", "no_power", "not_wiped", "malware", "missing_part",
        "no_child_protection", "duplicate_serial", "other_fault",
    }  # fmt: skip
    assert rules.ledger_fault(["battery_weak", "no_power"]) == "no_power"


@pytest.mark.parametrize(("a", "b"), [("ab-12 3", "AB123"), ("ａｂ１", "ab1"), ("x.y/9", "XY9")])
def test_serials_that_are_the_same_machine(a, b):
    assert rules.serial_key(a) == rules.serial_key(b)


def test_all_errors_of_a_list_at_once():
    with pytest.raises(RowErrors) as refused:
        rules.check_serials(
            [("A1", ""), ("ABC", "490154203237518"), ("a-bc", "490154203237518"), ("X" * 41, "")]
        )
    assert [(e.row, e.column) for e in refused.value.errors] == [
        (1, "Số sê-ri"), (3, "Số sê-ri"), (3, "IMEI"), (4, "Số sê-ri"),
    ]  # fmt: skip


def test_imei_check_digit():
    assert rules.is_imei("490154203237518")
    assert not rules.is_imei("490154203237519")


def test_limits_in_words():
    assert rules.describe_limits({"screen_inch_min": 8.5, "wifi": True, "webcam": False}) == [
        ("Màn hình", "từ 8,5 inch"), ("Wi-Fi", "có"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("25.000.000.000", 25_000_000_000),
        (" 5000000 đ ", 5_000_000),
        ("1,250,000 VND", 1_250_000),
        ("600 000\u00a0đồng", 600_000),
        ("0", 0),
        ("25 tỷ", 25_000_000_000),
        ("2,5 Tỉ đồng", 2_500_000_000),
        ("1.500 triệu", 1_500_000_000),
        ("0,05 triệu", 50_000),
        ("1.5 tỷ", None),
        ("10.500,00", None),
        ("1.5", None),
        ("1.500.00", None),
        ("-1", None),
        ("１２０００", None),
        ("năm tỷ", None),
        ("", None),
    ],
)
def test_an_amount_is_read_as_people_write_it_or_not_at_all(text, amount):
    assert rules.read_vnd(text) == amount

"""Lists as .xls: what their records tell beside the values of the cells."""

import random
from pathlib import Path

import pytest

from schools.lists.intake import Refused
from schools.lists.old_workbook import look_through
from tests.lists_world import student_row, table
from tests.old_workbook import old_workbook
from tests.rules.test_schools_list_odd_files import codes, read, refusal

__all__ = ["read"]
C1 = Path(__file__).parents[1] / "files" / "C1-HocSinh.xls"


def cells(**changed) -> list[list[object]]:
    return table([student_row(1, **changed), student_row(2)])


def test_an_xls_made_here_is_read_like_an_xlsx(read):
    rows, told = read(old_workbook(cells()))
    assert (told["sheet"], told["ok"]) == ("Danh sách", 2)
    assert rows[0][5] == student_row(1)["full_name"]


@pytest.mark.parametrize(
    ("column", "kept", "place"),
    [("full_name", "Nguyễn Thị Lan", "D2"), ("born_on", 40271.0, "E2"), ("student_code", 7900000001.0, "C2")],
)
def test_a_formula_in_an_xls_is_an_error_that_names_its_cell(read, column, kept, place):
    _, told = read(old_workbook(cells(**{column: ("=", kept)})))
    assert (told["errors"], told["ok"]) == (1, 1)
    formula = next(finding for finding in told["findings"] if finding["code"] == "formula")
    assert formula["value"] == f"công thức ở ô {place}"
    assert "Paste Values" in formula["message"]


def test_a_formula_beside_the_table_of_an_xls_harms_nobody(read):
    found = [[*row, ("=", "x")] for row in cells()]
    found[0][-1] = "Ghi chú"
    assert read(old_workbook(found))[1]["ok"] == 2


def test_hidden_rows_and_sheets_of_an_xls(read):
    more = [("Cũ", cells(full_name="Lê Bản Cũ"), True)]
    rows, told = read(old_workbook(cells(), hidden_rows=[2], more=more))
    assert (told["sheet"], len(rows)) == ("Danh sách", 2), "the hidden sheet is none, the hidden row is read"
    assert refusal(read, old_workbook(cells(), more=[("Lớp 7", cells(), False)])).code == "several_sheets"
    assert look_through(old_workbook(cells(), hidden_rows=[2])).sheets[0].hidden_rows == 1


def test_the_fonts_of_an_xls_tell_an_old_encoding(read):
    # One odd word among many good ones: the font decides.
    rows, told = read(old_workbook(cells(full_name="TrÇn Lan"), fonts=(".VnTime",)))
    assert (rows[0][5], told["converted_from"]) == ("Trần Lan", "tcvn3")


def test_an_xls_with_a_password_says_so(read):
    refused = refusal(read, old_workbook(cells(), password=True))
    assert (refused.code, "mật khẩu" in refused.message) == ("password", True)


def test_a_broken_xls_is_refused_and_never_an_accident(read):
    whole = old_workbook(table([student_row(n) for n in range(100)]))
    assert refusal(read, whole[: len(whole) // 2]).code == "broken_file"
    content = C1.read_bytes()
    assert "dở dang" in refusal(read, content[: len(content) // 2]).message, "its directory was at the end"
    rng = random.Random(3667)
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(rng.randint(1, 20)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            look_through(bytes(broken[: rng.randint(600, len(broken))]))
        except ValueError:
            continue


def test_a_row_without_formulas_is_told_from_one_with(read):
    rows = table([student_row(n, class_name=("=", "6A") if n == 2 else "6A") for n in (1, 2, 3)])
    _, told = read(old_workbook(rows))
    assert (told["ok"], told["errors"]) == (2, 1)
    assert codes(told, 3) == {"formula"}


def test_a_circle_of_sectors_ends(read):
    content = bytearray(old_workbook(cells()))
    # The table's entry of the directory names the directory itself.
    content[512 + 4 : 512 + 8] = (1).to_bytes(4, "little")
    with pytest.raises(ValueError, match="circle"):
        look_through(bytes(content))
    with pytest.raises(Refused):
        read(bytes(content))

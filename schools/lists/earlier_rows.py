"""The children of a file's earlier rows, and what is said of a row that may be one of them.

One rule for a file that is read and for a row that is mended in the page.
"""

from collections.abc import Collection, Hashable

from schools.lists.findings import DUPLICATE, WARNING, Finding

# Codes of the findings that come from here.
CODES = (
    "same_identity_in_file",
    "same_code_in_file",
    "same_person_in_file",
    "same_name_in_file",
    "told_apart",
)
# What is known of a row beside name, birth date and school: nothing, a code, a number, or both.
_CODE, _NUMBER = 1, 2


class EarlierRows:
    """Remembers rows in the order of the file; each is compared with all before it, at a cost that doesn't grow."""

    def __init__(self) -> None:
        self._by_identity: dict[Hashable, int] = {}
        self._by_code: dict[str, int] = {}
        # The first row of a name, birth date and school, as row * 4 + what is known: most stay alone.
        self._first: dict[Hashable, int] = {}
        # Rows of namesakes, by what is known of them.
        self._namesakes: dict[Hashable, list[list[int]]] = {}

    def compare(
        self,
        number: int,
        person: Hashable | None,
        code: str,
        identity: Hashable | None,
        shown: str = "",
        apart: Collection[int] = (),
    ) -> list[Finding]:
        """Say of a row which earlier ones may be the same child, and remember it.

        Args:
            number: the row's; larger than those before.
            person: name, birth date and school in one; None when one is missing.
            identity: whatever stands for the identity number; ``shown`` is what may be shown of it.
            apart: earlier rows of which a person said that they are other children.
        """  # fmt: skip
        findings = []
        if identity and (first := self._by_identity.setdefault(identity, number)) != number:
            said = f"Trùng số định danh với hàng {first}."
            findings.append(Finding("identity", DUPLICATE, "same_identity_in_file", shown, said))
        if code and (first := self._by_code.setdefault(code, number)) != number:
            said = f"Trùng mã học sinh với hàng {first}."
            findings.append(Finding("student_code", DUPLICATE, "same_code_in_file", code, said))
        if person is None:
            return findings
        known = (_CODE if code else 0) + (_NUMBER if identity else 0)
        mine = number * 4 + known
        first = self._first.setdefault(person, mine)
        if first == mine:
            return findings
        above = self._namesakes.get(person)
        if above is None:
            above = self._namesakes[person] = [[], [], [], []]
            above[first % 4].append(first // 4)
        # The same number or code says it already.
        if not findings:
            findings = _among_namesakes(above, known, apart)
        above[known].append(number)
        return findings


def _among_namesakes(above: list[list[int]], known: int, apart: Collection[int]) -> list[Finding]:
    """What is said of a row below its namesakes: two codes, or two numbers, are two children; all else a person tells."""
    alike = [numbers for its, numbers in enumerate(above) if not its & known]
    told: list[int] = []
    if apart:
        told = sorted(number for numbers in alike for number in numbers if number in apart)
        alike = [[number for number in numbers if number not in apart] for numbers in alike]
    if any(alike):
        said = (
            f"Cùng họ tên, ngày sinh và trường với {_rows(alike)}: có thể là một em được ghi hai lần."
            " Nếu là hai em, ghi mã học sinh hoặc số định danh của cả hai, hoặc xác nhận ở trang sửa hàng này."
        )
        return [Finding("full_name", DUPLICATE, "same_person_in_file", "", said)]
    findings = []
    if told:
        said = (
            f"Cùng họ tên, ngày sinh và trường với {_rows([told])}: đã xác nhận là những em khác nhau."
            if len(told) > 1
            else f"Cùng họ tên, ngày sinh và trường với {_rows([told])}: đã xác nhận là hai em khác nhau."
        )
        findings.append(Finding("full_name", WARNING, "told_apart", "", said))
    if differing := [numbers for its, numbers in enumerate(above) if its & known and numbers]:
        said = f"Cùng họ tên và ngày sinh với {_rows(differing)} nhưng khác mã: kiểm tra có đúng là những em khác nhau không."
        findings.append(Finding("full_name", WARNING, "same_name_in_file", "", said))
    return findings


def _rows(rising: list[list[int]]) -> str:
    """ "hàng 2", "hàng 2 và 5", "hàng 2 và 3 hàng khác" of lists that each rise."""
    count = sum(map(len, rising))
    first = min(numbers[0] for numbers in rising if numbers)
    if count == 1:
        return f"hàng {first}"
    if count == 2:
        return f"hàng {first} và {max(numbers[-1] for numbers in rising if numbers)}"
    return f"hàng {first} và {count - 1} hàng khác"

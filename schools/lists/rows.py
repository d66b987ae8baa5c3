"""One row each: its cells checked together, its place among the rows before it, its one outcome."""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common.vietnamese import clean, name_keys, search_key
from schools.lists import cells
from schools.lists.cells import Cell, text_of
from schools.lists.columns import BIRTH, TITLES, Header, column_letters, header_key
from schools.lists.earlier_rows import EarlierRows
from schools.lists.findings import (
    CORRECTION,
    ERROR,
    GRAVITY,
    WARNING,
    Finding,
    mask,
    mask_identity,
)
from schools.lists.legacy_text import OldFont

# A checked row as it goes through the pipe; `finding_rows` are Finding tuples, `typed` what stood in
# the cells that have findings.
FIELDS = (
    "row", "outcome", "school_code", "class_name", "student_code", "full_name", "search_key", "sort_key",
    "born_on", "sex", "identity", "identity_typed", "group", "household_code", "commune", "has_device",
    "findings", "typed",
)  # fmt: skip
_FOOTERS = (
    "nguoi lap", "hieu truong", "thu truong", "noi nhan", "xac nhan cua", "ky ten", "danh sach co", "danh sach gom",
    "danh sach nay", "t m ", "kt hieu truong", "ghi chu", "can bo", "giao vien chu nhiem", "pho hieu truong",
    "truong phong", "giam doc", "ky ghi ro ho ten", "nguoi lap bieu",
)  # fmt: skip
_NO_NAME = re.compile(r"$|.*\d")
_TOTAL = re.compile(r"(?:tổng|cộng)\b", re.IGNORECASE)
# Without any of these a row says nothing about one child.
_IDENTIFYING = BIRTH | {
    "full_name", "family_name", "given_name", "born_day", "born_month", "student_code", "identity", "household_code",
}  # fmt: skip
_NAMES = frozenset(["full_name", "family_name", "given_name"])
# A line that names the part of the table below it; pupils are called Trương, not Trường THCS.
_SECTION = re.compile(
    r"(?:khoi|lop) (?:lop )?\d|(?:con |hoc sinh |doi tuong )?(?:thuoc )?ho (?:can )?ngheo\b|(?:hoc sinh )?mo coi\b"
    r"|truong (?:th|thcs|thpt|tieu hoc|trung hoc|pho thong|pt|ptdt\w*)\b"
)
# Where a column has several parts in a file: the part → ours, of which is spoken.
_SPOKEN_OF = {
    **dict.fromkeys(["born_day", "born_month", "born_year", "born_male", "born_female"], "born_on"),
    **dict.fromkeys(["tick_poor", "tick_near_poor", "tick_covid_orphan"], "group"),
    **dict.fromkeys(["tick_male", "tick_female"], "sex"),
    "household_head": "household_code",
}
_NO_TICK = frozenset(["khong", "0", "k", "ko", "chua", "n", "no"])


@dataclass
class Options:
    """What is known beside the file, all plain data.

    ``schools``: code → name of the schools that the office may list; ``other_schools``: codes elsewhere;
    ``school_code``, ``group``: chosen for the whole file; ``mapping``: header key → our key; ``sheet``.
    """

    today: dt.date
    schools: Mapping[str, str] = field(default_factory=dict)
    other_schools: frozenset[str] = frozenset()
    school_code: str = ""
    group: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    sheet: str = ""

    def dumps(self) -> str:
        return json.dumps(
            self.__dict__ | {"today": self.today.isoformat(), "other_schools": sorted(self.other_schools)}
        )

    @classmethod
    def loads(cls, text: str) -> "Options":
        data = json.loads(text)
        data |= {
            "today": dt.date.fromisoformat(data["today"]),
            "other_schools": frozenset(data["other_schools"]),
        }
        return cls(**data)


class _Known(dict):
    """What a check said of each cell that was met: equal cells are looked at once."""

    def __init__(self, check: Callable[[Cell], cells.Checked]):
        super().__init__()
        self._check = check

    def __missing__(self, cell: Cell) -> cells.Checked:
        said = self[cell] = self._check(cell)
        return said


class RowChecker:
    """Checks rows in the order of the file. Equal cells are looked at once."""

    def __init__(
        self,
        options: Options,
        header: Header,
        font: OldFont | None = None,
        *,
        date_1904: bool = False,
        formulas: frozenset[tuple[int, int]] = frozenset(),
    ):
        self.options = options
        self.header = header
        self.places = dict(header.places)
        self.font = font
        self.formulas = formulas
        self.formula_rows = frozenset(row for row, _ in formulas)
        self.name_continues = header.name_continues
        self._is_after_table = False
        self._tells_sex_by_column = "sex" not in self.places and not self.places.keys().isdisjoint(
            ["tick_female", "born_male", "born_female"]
        )
        self._short_codes = {code.lstrip("0"): code for code in options.schools}
        # A school may be named instead of its code, where only one of the office has that name.
        self._codes_by_name: dict[str, set[str]] = {}
        for code, name in options.schools.items():
            for key in _school_keys(name):
                self._codes_by_name.setdefault(key, set()).add(code)
        self._earlier = EarlierRows()
        today = options.today
        # What an identity number says of sex and birth year, beside a row's: those that agreed.
        self._agreeing: set[tuple[str, str, str]] = set()
        # Columns that the file has not; a school, a birth date and a group are looked for all the same.
        self._absent = {
            key: "0" if key == "has_device" else ""
            for key in (
                "class_name",
                "sex",
                "household_code",
                "household_head",
                "commune",
                "has_device",
                "status",
            )
        }
        self._checks: list[tuple[str, int | None, _Known]] = [
            (key, self.places.get(key), _Known(check))
            for key, check in (
                ("school_code", self._school),
                ("class_name", lambda cell: cells.class_name(cell, font)),
                ("born_on", lambda cell: cells.birth_date(cell, today, date_1904=date_1904)),
                ("sex", lambda cell: cells.sex(cell, font)),
                ("group", lambda cell: cells.group(cell, font)),
                ("household_code", cells.household_code),
                ("household_head", lambda cell: cells.household_head(cell, font)),
                ("commune", lambda cell: cells.short_text("commune", cell, cells.COMMUNE_MAX, font)),
                ("has_device", lambda cell: cells.has_device(cell, font)),
                ("status", lambda cell: cells.status(cell, font)),
            )
            if key in self.places or key not in self._absent
        ]

    def _school(self, cell: Cell) -> tuple[str, list[Finding]]:
        own = self.options.school_code
        value, findings, _ = cells._code_text("school_code", cell)
        if any(finding.kind == ERROR for finding in findings):
            return "", findings
        if not value:
            if own:
                return own, []
            return "", [Finding("school_code", ERROR, "school_missing", "", "Thiếu mã trường.")]
        if value in self.options.schools:
            return value, findings
        named = self._named_schools(cell)
        if len(named) > 1:
            said = f"Đơn vị có {len(named)} trường tên “{mask(value)[:40]}”: ghi mã trường."
            return "", [Finding("school_code", ERROR, "school_name_unclear", mask(text_of(cell))[:60], said)]
        if named:
            code = min(named)
            said = f"Đã hiểu là trường có mã {code}."
            return code, [Finding("school_code", CORRECTION, "school_named", mask(text_of(cell))[:60], said)]
        padded = self._short_codes.get(value.lstrip("0"))
        if padded and value.isdigit():
            said = f"Đã thêm lại số 0 ở đầu mã trường: {padded}."
            return padded, [Finding("school_code", CORRECTION, "leading_zero", value, said)]
        if value in self.options.other_schools:
            said = f"Trường {mask(value)} không thuộc đơn vị của thầy/cô."
            return "", [Finding("school_code", ERROR, "school_of_other_office", mask(value), said)]
        called = "mang mã" if value.isdigit() else "tên là"
        said = (
            f"Đơn vị không có trường nào {called} “{mask(text_of(cell))[:40]}”: "
            "xem tên và mã ở mẫu Excel của đơn vị."
        )
        return "", [Finding("school_code", ERROR, "school_unknown", mask(value)[:60], said)]

    def _named_schools(self, cell: Cell) -> set[str]:
        """The codes of schools written as "79000701 - Trường THCS Tân Định", or by a name alone."""
        text = self._readable(cell)
        first = re.split(r"[\s\-–(:,]", text, maxsplit=1)[0]
        if first in self.options.schools:
            return {first}
        return next(
            (codes for key in _school_keys(text)[:2] if (codes := self._codes_by_name.get(key))), set()
        )

    def skip_reason(self, row: Sequence[Cell]) -> str | None:
        """Why a row is no pupil: blank, title, header, numbers, example, total or footer; None for a pupil.

        Whoever has a name that is no such word is a pupil, whatever is missing: the row is read.
        """
        filled = {
            key: self._readable(row[place])
            for key, place in self.places.items()
            if place < len(row) and row[place] is not None and text_of(row[place]).strip()
        }
        texts = [self._readable(cell) for cell in row if isinstance(cell, str) and cell.strip()]
        name = filled.get("full_name", filled.get("family_name", filled.get("given_name", "")))
        is_born = not BIRTH.isdisjoint(filled)
        if not filled.keys() & _IDENTIFYING:
            # A school, class or group dragged down beyond the last pupil names nobody.
            return _outside(texts)
        if name.lower().startswith("ví dụ") and not name[5:6].isalpha():
            return "example"
        if name and header_key(name) == self._name_header():
            return "header"
        if len(filled) >= 3 and _are_column_numbers([text.strip("()[]") for text in filled.values()]):
            return "numbers"
        if filled.keys() <= _NAMES and _SECTION.match(search_key(name)):
            return "title"
        if is_born or filled.keys() & {"student_code", "identity"}:
            return None
        if _TOTAL.match(name) or (_NO_NAME.match(name) and any(map(_TOTAL.match, texts[:3]))):
            return "total"
        says_end = search_key(texts[0]).startswith(_FOOTERS) or any(map(_is_signing_date, texts))
        if search_key(name).startswith(_FOOTERS) or _is_signing_date(name) or (says_end and not name):
            self._is_after_table = True
            return "footer"
        # Below "Người lập biểu" stand the names of those who sign.
        return "footer" if self._is_after_table and len(filled) <= 2 else None

    def _readable(self, cell: Cell) -> str:
        text = text_of(cell)
        return (self.font.convert(text) if self.font else None) or clean(text)

    def _name_header(self) -> str:
        theirs = self.header.theirs
        return header_key(theirs.get("full_name") or theirs.get("family_name") or "")

    def check(self, number: int, row: Sequence[Cell]) -> list:
        """Return the checked row (`FIELDS`). Raises nothing: what is wrong becomes a finding.

        A clean cell costs one look-up; only what needs a word makes a `Finding`.
        """
        findings: list[Finding] = []
        typed: dict[str, str] = {}
        wide = len(row)
        values = self._absent.copy()
        for key, place, known in self._checks:
            if place is not None:
                cell: Cell = row[place] if place < wide else None
            elif key == "group":
                cell = self._group_cell(row)
            elif key == "born_on":
                cell = self._born_cell(row)
            else:
                cell = None
            values[key], said = known[cell]
            if said:
                findings += said
                typed[key] = mask(text_of(cell))
        if self._tells_sex_by_column:
            values["sex"] = self._sex_by_column(row)
        name_cell = self._name_cell(row, wide)
        name, said = cells.person_name(name_cell, self.font)
        if said:
            findings += said
            typed["full_name"] = mask(text_of(name_cell))
        code = ""
        if (place := self.places.get("student_code")) is not None and place < wide:
            code, said = cells.student_code(row[place])
            if said:
                findings += said
                typed["student_code"] = mask(text_of(row[place]))
        place = self.places.get("identity")
        identity, identity_typed, said = cells.identity(
            row[place] if place is not None and place < wide else None
        )
        findings += said
        born = values["born_on"]
        if identity:
            seen = identity[3:6], values["sex"], born[:4]
            if seen not in self._agreeing:
                if said := cells.identity_agrees(identity, values["sex"], born, identity_typed):
                    findings += said
                else:
                    self._agreeing.add(seen)
        # One household is one key per commune and household code, or head.
        household = values["household_code"] or values["household_head"]
        if (
            not household
            and values["group"] in ("poor", "near_poor")
            and not any(finding.column == "household_code" for finding in findings)
        ):
            message = "Chưa có mã hộ: không biết các em cùng một hộ, thứ tự trong hộ tính là em thứ nhất."
            findings.append(Finding("household_code", WARNING, "household_missing", "", message))
        if number in self.formula_rows:
            self._refuse_formulas(number, findings)
        key, order = name_keys(name)
        person = (key, born, values["school_code"]) if key and born else None
        if said := self._earlier.compare(number, person, code, identity, mask_identity(identity)):
            findings += said
        gravest = max([GRAVITY[finding.kind] for finding in findings]) if findings else 0
        return [
            number, gravest, values["school_code"], values["class_name"], code, name, key, order,
            born, values["sex"], identity, identity_typed, values["group"],
            household, values["commune"], values["has_device"], findings or None, typed or None,
        ]  # fmt: skip

    def _group_cell(self, row: Sequence[Cell]) -> Cell:
        """The group from tick columns, or the one chosen for the whole file."""
        ticked = [
            group
            for group in ("poor", "near_poor", "covid_orphan")
            if (place := self.places.get(f"tick_{group}")) is not None
            and place < len(row)
            and _is_tick(row[place])
        ]
        if ticked:
            if ticked[0] == "covid_orphan" and "covid" not in search_key(
                self.header.theirs["tick_covid_orphan"]
            ):
                return "Mồ côi"
            # Who is in two groups is taken in the earlier one (Plan III.2c).
            return cells.GROUP_LABELS[ticked[0]]
        return cells.GROUP_LABELS.get(self.options.group)

    def _born_cell(self, row: Sequence[Cell]) -> Cell:
        """The birth date from columns for day, month and year, or from the column of the pupil's sex."""
        if self.places.keys() & {"born_male", "born_female"}:
            found = [
                cell for key in ("born_male", "born_female") if clean(text_of(cell := self._at(key, row)))
            ]
            return found[0] if len(found) == 1 else " / ".join(map(text_of, found))
        parts = [clean(text_of(self._at(key, row))) for key in ("born_day", "born_month", "born_year")]
        return "/".join(parts) if any(parts) else ""

    def _sex_by_column(self, row: Sequence[Cell]) -> str:
        """The sex that a mark, or the birth date, in the column of one tells."""
        kind = "tick" if "tick_female" in self.places else "born"
        is_in = [_is_tick(self._at(f"{kind}_{sex}", row)) for sex in ("male", "female")]
        return "" if is_in[0] == is_in[1] else "male" if is_in[0] else "female"

    def _at(self, key: str, row: Sequence[Cell]) -> Cell:
        place = self.places.get(key)
        return row[place] if place is not None and place < len(row) else None

    def _name_cell(self, row: Sequence[Cell], wide: int) -> Cell:
        place = self.places.get("full_name")
        if place is None:
            return " ".join(
                part
                for key in ("family_name", "given_name")
                if (at := self.places.get(key)) is not None
                and at < wide
                and (part := text_of(row[at]).strip())
            )
        if (at := self.places.get("given_name")) is not None and at < wide:
            return _joined(text_of(row[place] if place < wide else None), text_of(row[at]))
        if self.name_continues and place + 1 < wide:
            return " ".join(part for cell in row[place : place + 2] if (part := text_of(cell).strip()))
        return row[place] if place < wide else None

    def _refuse_formulas(self, number: int, findings: list[Finding]) -> None:
        for key, place in self.places.items():
            if (number, place) in self.formulas:
                column = key if key in TITLES else _SPOKEN_OF.get(key, "full_name")
                # What its value looks like is beside the point.
                findings[:] = [finding for finding in findings if finding.column != column]
                where = f"công thức ở ô {column_letters(place)}{number}"
                findings.append(Finding(column, ERROR, "formula", where, cells.NO_FORMULA))


def _joined(name: str, given: str) -> str:
    """ "Họ và tên" beside "Tên": the whole name, whether the first holds the given name already or not."""
    has_given = f" {search_key(name)}".endswith(f" {search_key(given)}")
    return name if has_given or not given.strip() else f"{name} {given}".strip()


def _is_tick(cell: Cell) -> bool:
    """Whether something stands in a cell to be ticked: "x", "✓", "có", but neither "-" nor "không"."""
    text = clean(text_of(cell)).strip("-–.…_ ")
    return bool(text) and search_key(text) not in _NO_TICK


def _is_signing_date(text: str) -> bool:
    words = search_key(text).split()
    return "ngay" in words and "thang" in words and "nam" in words and len(words) <= 12


def _are_column_numbers(texts: list[str]) -> bool:
    """Whether a row numbers its columns: 1 2 3 4, or A B 1 2."""
    numbers = [text for text in texts if text.isdigit() and len(text) < 3]
    letters = [text for text in texts if len(text) == 1 and text.isalpha()]
    return (
        len(numbers) >= 2 and len(numbers) + len(letters) == len(texts) == len(set(texts))
        and max(map(int, numbers)) <= 60
    )  # fmt: skip


def _school_keys(name: str) -> list[str]:
    """The ways to write one school's name, the whole first: "truong" and its level may be left out or written short."""
    key = search_key(name)
    for long, short in (("trung hoc co so", "thcs"), ("trung hoc pho thong", "thpt"), ("tieu hoc", "th")):
        key = key.replace(long, short)
    key = key.removeprefix("truong ")
    level, _, rest = key.partition(" ")
    return list(dict.fromkeys([key, rest if level in ("th", "thcs", "thpt") and rest else key]))


def _outside(texts: list[str]) -> str:
    """What a row without a pupil is: "total", "title" (or other text), "blank"."""
    if any(map(_TOTAL.match, texts)):
        return "total"
    return "title" if any(len(text) > 3 for text in texts) else "blank"

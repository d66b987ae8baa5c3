"""The columns of a student list: which of a sheet's headers is which of ours.

Headers are matched by normalised text, never by position. A header may stand in any of the first
twelve rows, may be merged and may take two rows.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common.vietnamese import clean, search_key

HEADER_ROWS = 12

# Key → heading of our template; the order is the template's.
TITLES: dict[str, str] = {
    "school_code": "Mã trường",
    "class_name": "Lớp",
    "student_code": "Mã học sinh",
    "full_name": "Họ và tên",
    "born_on": "Ngày sinh",
    "sex": "Giới tính",
    "identity": "Số định danh cá nhân",
    "group": "Đối tượng",
    "household_code": "Mã hộ",
    "commune": "Xã/phường",
    "has_device": "Đã có máy tính",
}
# Read but without a column in the template.
EXTRA_TITLES: dict[str, str] = {
    "status": "Trạng thái HS",
    "family_name": "Họ và tên đệm",
    "given_name": "Tên",
    "born_day": "Ngày sinh (ngày)",
    "born_month": "Ngày sinh (tháng)",
    "born_year": "Ngày sinh (năm)",
    "born_male": "Ngày sinh (nam)",
    "born_female": "Ngày sinh (nữ)",
    "tick_male": "Nam",
    "tick_female": "Nữ",
    "school_name": "Tên trường",
    "grade": "Khối",
    "tick_poor": "Hộ nghèo",
    "tick_near_poor": "Hộ cận nghèo",
    "tick_covid_orphan": "Mồ côi do COVID-19",
    "household_head": "Chủ hộ",
}
ALL_TITLES = TITLES | EXTRA_TITLES

# Every spelling by its search key (no diacritics, no punctuation, lower case).
_SPELLINGS: dict[str, str] = {
    "school_code": "ma truong|ma truong hoc|ma dinh danh truong|ma co so giao duc|ma don vi|ma csgd|ma truong bo",
    "class_name": "lop|ma lop|ten lop|lop hoc|hoc lop|hs lop|dang hoc lop"
    "|hoc sinh lop|lop dang hoc|dang hoc o lop",
    "student_code": "ma hoc sinh|ma hs|ma dinh danh hoc sinh|ma hoc sinh bo|ma hssv|ma sinh vien|ma sv"
    "|ma hoc sinh sinh vien|ma so hoc sinh|mahs|ma dinh danh bo gd dt|ma dinh danh bo gddt",
    "full_name": "ho va ten|ho ten|ho va ten hoc sinh|ho ten hoc sinh|ten hoc sinh|hoc sinh|ho va ten hs"
    "|ho ten hs|ho va ten hoc sinh sinh vien|ho ten sinh vien|ho va ten sinh vien|hoten|ho va ten hssv|hovaten"
    "|ho va ten nguoi hoc|ho va ten hs sv|ten hs|ho va ten tre|ho va ten con|ho ten tre",
    "born_on": "ngay sinh|ngay thang nam sinh|sinh ngay|ngay thang nam|ngay sinh hs|ns|nam sinh"
    "|ngay sinh hoc sinh|ngaysinh|ngay sinh dd mm yyyy|ntns|ngay nam sinh"
    "|ngay thang nam sinh hoc sinh|ngay thang nam sinh hs|sinh ngay thang nam|ngay thang sinh|sinh nam",
    "sex": "gioi tinh|gt|phai|nam nu|gioitinh|gioi",
    "identity": "so dinh danh ca nhan|so dinh danh|ma dinh danh ca nhan|so cccd|cccd|so cccd ma dinh danh"
    "|so can cuoc|so can cuoc cong dan|can cuoc cong dan|so dinh danh ca nhan cccd|cccd so dinh danh"
    "|cmnd cccd|so cmnd cccd|so ddcn|ma dinh danh|so cmnd|dinh danh ca nhan|so dinh danh ca nhan cua hoc sinh"
    "|so cccd ma dinh danh ca nhan|cccd ma dinh danh|ma so dinh danh ca nhan|ma so dinh danh|cccd ma dinh danh ca nhan"
    "|so cccd cmnd|so cmnd so cccd|so cccd hoac ma dinh danh|ma dinh danh ca nhan cccd|so dinh danh cccd",
    "group": "doi tuong|doi tuong uu tien|thuoc doi tuong|doi tuong chinh sach|dien|dien chinh sach"
    "|hoan canh|nhom doi tuong|thuoc dien|dien doi tuong|loai ho|doi tuong thu huong"
    "|doi tuong huong|doi tuong ho|thuoc ho|thuoc doi tuong chinh sach|thuoc dien chinh sach|gia dinh thuoc dien"
    "|ho gia dinh thuoc dien|dien uu tien|dien ho|hoan canh gia dinh|hoan canh hoc sinh|hoan canh kho khan"
    "|ho ngheo can ngheo|ho ngheo ho can ngheo|ngheo can ngheo|thuoc ho ngheo can ngheo|thuoc ho ngheo ho can ngheo"
    "|thuoc dien ho ngheo can ngheo|con ho ngheo can ngheo|doi tuong ho ngheo can ngheo|che do chinh sach",
    "household_code": "ma ho|ma so ho|ma ho ngheo|so ho|ma ho gia dinh|ma ho ngheo can ngheo|ma so ho ngheo"
    "|so so ho ngheo|ma so ho gia dinh",
    "commune": "xa phuong|xa|phuong|phuong xa|xa phuong thi tran|xa phuong tt|noi o xa phuong|dia chi xa phuong"
    "|xa phuong noi o|xa thi tran",
    "has_device": "da co may tinh|da co may|co may tinh|da co thiet bi|co thiet bi|da co may tinh chua"
    "|tinh trang may tinh|da co may tinh may tinh bang"
    "|da co may tinh co|co may tinh co|may tinh co|may tinh da co",
    "status": "trang thai hs|trang thai|trang thai hoc sinh|tinh trang hoc|trang thai hoc",
    "family_name": "ho va ten dem|ho dem|ho va chu lot|ho|ho lot|ho va dem|ho chu lot|ho va ten lot|ho ten dem",
    "given_name": "ten",
    "household_head": "chu ho|ten chu ho|ho ten chu ho|ho va ten chu ho|ho ten chu ho gia dinh",
    "born_day": "ngay sinh ngay",
    # "Nam" and "Năm" are one without diacritics: `_settle` tells them by what stands beside.
    "born_female": "ngay sinh nu|nam sinh nu|ngay thang nam sinh nu|sinh ngay nu|sinh nam nu|ngay thang nam nu",
    "tick_male": "gioi tinh nam|phai nam|gt nam|nam",
    "tick_female": "gioi tinh nu|phai nu|gt nu|nu",
    "school_name": "truong|ten truong|truong hoc|hoc truong|truong dang hoc|hoc tai truong|ten don vi|don vi|don vi truong"
    "|ten co so giao duc|co so giao duc|hoc sinh truong",
    "grade": "khoi|khoi lop",
    "born_month": "ngay sinh thang|ngay thang nam sinh thang",
    "born_year": "ngay sinh nam|ngay thang nam sinh nam|nam sinh nam|sinh ngay nam|sinh nam nam|ngay thang nam nam",
    "tick_poor": "ho ngheo|ngheo|hs ho ngheo|hoc sinh ho ngheo|con ho ngheo|thuoc ho ngheo|doi tuong ho ngheo|doi tuong ngheo",
    "tick_near_poor": "ho can ngheo|can ngheo|hs ho can ngheo|hoc sinh ho can ngheo|con ho can ngheo"
    "|thuoc ho can ngheo|doi tuong ho can ngheo|doi tuong can ngheo",
    "tick_covid_orphan": "mo coi do covid 19|mo coi do covid|mo coi covid|con co bo hoac me mat do covid 19"
    "|mo coi|doi tuong mo coi do covid 19|doi tuong mo coi|mo coi do dich covid 19|mo coi do dich covid|mo coi vi covid 19"
    "|mo coi covid 19|mo coi do covid19|co bo hoac me mat do covid 19|bo hoac me mat do covid 19"
    "|co cha hoac me mat do covid 19|cha hoac me mat do covid 19|bo me mat do covid 19|cha me mat do covid 19"
    "|co bo me mat do covid 19|co cha me mat do covid 19",
}
BY_SPELLING: dict[str, str] = {
    spelling: key for key, spellings in _SPELLINGS.items() for spelling in spellings.split("|")
}
BY_SPELLING |= {"ngay thang nam sinh ngay": "born_day"}
_LONGEST_HEADING = 300
_IN_BRACKETS = re.compile(r"[(\[（].*?[)\]）]")
# Where two columns claim to be one of these, only a person can say which is meant.
_NEVER_CHOSEN = frozenset(["full_name", "born_on", "group", "school_code", "identity", "student_code"])
# What only helps, where it is clear: the first of several is taken.
_ASIDE = frozenset(["school_name", "grade", "tick_male", "tick_female"])
# Whole names where they stand alone, given names beside a column of family names.
_WHOLE_OR_GIVEN = frozenset(["ten hoc sinh", "ten hs"])
_TICKS = ("tick_poor", "tick_near_poor", "tick_covid_orphan")
# With any of these a birth date is known.
BIRTH = frozenset(["born_on", "born_year", "born_male", "born_female"])


@dataclass
class Header:
    """Where a table begins and which column is which.

    ``row`` is counted from 1 as the person sees it; ``last_row`` is another one for a two-row header.
    ``places`` gives the index (from 0) of each of our columns, ``theirs`` the text found there.
    """

    row: int
    last_row: int
    places: dict[str, int]
    theirs: dict[str, str]
    unknown: list[str] = field(default_factory=list)
    repeated: dict[str, list[str]] = field(default_factory=dict)
    name_continues: bool = False

    @property
    def is_named(self) -> bool:
        """Whether it has the pupils' names."""
        return "full_name" in self.places or {"family_name", "given_name"} <= self.places.keys()

    @property
    def is_whole(self) -> bool:
        """Whether it has names and birth dates: that of a list of pupils."""
        return self.is_named and not BIRTH.isdisjoint(self.places)

    def name_stands_for_code(self, *, is_given: bool) -> None:
        """Take a school's name where no column has its code, unless one school is given for the whole file."""
        if "school_name" not in self.places:
            return
        place, text = self.places.pop("school_name"), self.theirs.pop("school_name")
        if "school_code" in self.places or is_given:
            self.unknown.append(text)
        else:
            self.places["school_code"], self.theirs["school_code"] = place, text


def header_key(text: str) -> str:
    """Normalise a header: no remark in brackets, diacritics, case, line breaks or punctuation."""
    text = clean(text)
    without = _IN_BRACKETS.sub(" ", text)
    return search_key(without if without.strip() else text)


def match(text: str, learnt: Mapping[str, str] = {}) -> str | None:
    """Return our key for a header's text, or None. ``learnt`` (header key → our key) comes first."""
    key = header_key(text)
    return learnt.get(key) or BY_SPELLING.get(key)


def column_letters(index: int) -> str:
    """Return the letters of a column counted from 0: 0 is A, 27 is AB."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _read_labels(labels: Sequence[Sequence[str]], learnt: Mapping[str, str]) -> dict[int, tuple[str, str]]:
    """Index → (our key, their text) for columns each with candidate texts, the most exact first."""
    found = {}
    for index, candidates in enumerate(labels):
        for text in candidates:
            key = match(text, learnt) if text else None
            if key:
                found[index] = (key, text)
                break
    return found


def _choose(found: dict[int, tuple[str, str]]) -> dict[int, tuple[str, str]]:
    """Of several columns for one optional key, the one that is called exactly as ours; the others are unknown."""
    chosen = {}
    for index, (key, text) in found.items():
        rivals = [
            other for other, (its_key, _) in found.items() if its_key == key and key not in _NEVER_CHOSEN
        ]
        exact = [other for other in rivals if header_key(found[other][1]) == header_key(ALL_TITLES[key])]
        if len(rivals) < 2 or len(exact) != 1 or exact[0] == index:
            chosen[index] = key, text
    return chosen


def _settle(found: dict[int, tuple[str, str]]) -> tuple[dict[str, int], dict[str, str], dict[str, list[str]]]:
    """One place per key; what stands twice is reported, not guessed."""
    places: dict[str, int] = {}
    theirs: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for index, (key, text) in found.items():
        if key in places and key in _ASIDE:
            continue
        if key in places:
            first = f"{theirs[key]} (cột {column_letters(places[key])})"
            repeated.setdefault(key, [first]).append(f"{text} (cột {column_letters(index)})")
            continue
        places[key], theirs[key] = index, text
    if (
        "family_name" in places
        and "given_name" not in places
        and header_key(theirs.get("full_name", "")) in _WHOLE_OR_GIVEN
    ):
        places["given_name"], theirs["given_name"] = places.pop("full_name"), theirs.pop("full_name")
    # "Tên" alone is the whole name when no column of family names stands beside it.
    if "given_name" in places and not {"family_name", "full_name"} & places.keys():
        places["full_name"], theirs["full_name"] = places.pop("given_name"), theirs.pop("given_name")
    # A column of family names alone is a badly named column of whole names.
    if "family_name" in places and "given_name" not in places:
        moved = places.pop("family_name"), theirs.pop("family_name")
        if "full_name" not in places:
            places["full_name"], theirs["full_name"] = moved
    # "Họ và tên" beside "Tên" often holds family and middle names only: both stay, `rows` puts them together.
    if "full_name" in places:
        places.pop("family_name", None)
        theirs.pop("family_name", None)
    if "group" in places:
        for key in _TICKS:
            places.pop(key, None)
            theirs.pop(key, None)
    if "grade" in places:
        # "Khối" says less than "Lớp".
        moved = places.pop("grade"), theirs.pop("grade")
        if "class_name" not in places:
            places["class_name"], theirs["class_name"] = moved
    _settle_births(places, theirs)
    return places, theirs, repeated


def _settle_births(places: dict[str, int], theirs: dict[str, str]) -> None:
    """One way to tell the birth date, and one to tell the sex."""

    def drop(*keys: str) -> None:
        for key in keys:
            places.pop(key, None)
            theirs.pop(key, None)

    if {"born_female", "born_year"} <= places.keys() and "born_month" not in places:
        # A birth date in the column of the sex: beside "Nữ" stands "Nam", not "Năm".
        places["born_male"], theirs["born_male"] = places.pop("born_year"), theirs.pop("born_year")
    if "born_on" in places and not {"born_month", "born_year"} <= places.keys():
        drop("born_day", "born_month", "born_year", "born_male", "born_female")
    elif {"born_day", "born_month", "born_year"} <= places.keys():
        drop("born_on", "born_male", "born_female")
    if "sex" in places or "tick_female" not in places:
        drop("tick_male")
    if "sex" in places:
        drop("tick_female")


def _score(places: Mapping[str, int]) -> int:
    named = "full_name" in places or {"family_name", "given_name"} <= places.keys()
    born = not BIRTH.isdisjoint(places)
    return (10 if named else 0) + (5 if born else 0) + len(places)


def find_header(
    rows: Sequence[Sequence[object]],
    merged: Sequence[tuple[tuple[int, int], tuple[int, int]]] = (),
    learnt: Mapping[str, str] = {},
    convert: Callable[[str], str] | None = None,
) -> Header | None:
    """Find the header in the first rows of a sheet, or None if no row has two columns that we know.

    It may lack what a list needs (`missing_required` says what): then a person maps the column by hand.

    ``rows`` are the sheet's first rows (cells as read), ``merged`` ranges as ((row, column), (row,
    column)) counted from 0, ``learnt`` the office's remembered mapping (header key → our key),
    ``convert`` turns old fonts' text into Unicode before matching.
    """
    texts = _heading_texts(rows, convert or clean)
    wide = max((len(row) for row in texts), default=0)
    texts = [row + [""] * (wide - len(row)) for row in texts]
    spread = [list(row) for row in texts]
    tall: dict[int, int] = {}
    for (top, left), (bottom, right) in merged:
        if top >= len(texts) or left >= wide:
            continue
        tall[top] = max(tall.get(top, top), bottom)
        for row in range(top, min(bottom, len(texts) - 1) + 1):
            for column in range(left, min(right, wide - 1) + 1):
                spread[row][column] = texts[top][left]

    best: tuple[int, Header] | None = None
    for row in range(len(texts)):
        for last in (row, row + 1):
            if last >= len(texts):
                continue
            if last == row:
                labels = [[text] for text in texts[row]]
            elif two := _two_row_labels(spread[row], spread[last], texts[last], row, last, tall):
                labels = two
            else:
                continue
            found = _choose(_read_labels(labels, learnt))
            places, theirs, repeated = _settle(found)
            if len(places) < 2:
                continue
            # A second row must bring columns that the first alone does not give.
            score = _score(places) * 10 - (1 if last > row else 0) - 5 * len(repeated)
            if best is None or score > best[0]:
                unknown = [
                    next(text for text in candidates if text)
                    for index, candidates in enumerate(labels)
                    if any(candidates) and index not in found
                ]
                best = score, Header(row + 1, last + 1, places, theirs, unknown, repeated)
    if best is None:
        return None
    header = best[1]
    name_at = header.places.get("full_name")
    if name_at is not None:
        for (top, left), (bottom, right) in merged:
            if top <= header.row - 1 <= bottom and left == name_at and right == left + 1:
                header.name_continues = name_at + 1 not in header.places.values()
    return header


def _heading_texts(rows: Sequence[Sequence[object]], convert: Callable[[str], str]) -> list[list[str]]:
    return [
        [convert(str(cell)[:_LONGEST_HEADING]) if cell not in (None, "") else "" for cell in row]
        for row in rows[:HEADER_ROWS]
    ]


def heading_texts(rows: Sequence[Sequence[object]]) -> list[str]:
    """The texts of the row that looks most like headings, although we know none of them: at least two."""
    candidates = [
        [text for text in row if text and not _numeric(text)] for row in _heading_texts(rows, clean)
    ]
    best = max(candidates, key=len, default=[])
    return list(dict.fromkeys(best)) if len(best) > 1 else []


def _two_row_labels(
    upper: list[str], lower: list[str], lower_own: list[str], row: int, last: int, tall: dict[int, int]
) -> list[list[str]] | None:
    """Candidate texts of a header of two rows, or None if the second is plainly no header."""
    if tall.get(row, row) < last and not any(text and not _numeric(text) for text in lower_own):
        return None
    if not any(match(f"{a} {b}") or match(b) for a, b in zip(upper, lower, strict=True) if b and a != b):
        return None
    parent = ""
    labels = []
    for above, below in zip(upper, lower, strict=True):
        parent = above or (parent if below else "")
        if below and below != above:
            labels.append([f"{parent} {below}", below] if parent else [below])
        else:
            labels.append([above])
    return labels


def _numeric(text: str) -> bool:
    return text.strip("()[]. ").isdigit()


def missing_required(places: Mapping[str, int], given: Mapping[str, object]) -> list[str]:
    """Return our keys that a list can't do without and that neither the sheet nor ``given`` has.

    ``given`` holds what was chosen for the whole file: ``group``, ``school_code``.
    """
    missing = []
    if "full_name" not in places and not {"family_name", "given_name"} <= places.keys():
        missing.append("full_name")
    if BIRTH.isdisjoint(places):
        missing.append("born_on")
    if "group" not in places and not given.get("group") and not any(tick in places for tick in _TICKS):
        missing.append("group")
    if "school_code" not in places and not given.get("school_code"):
        missing.append("school_code")
    return missing

"""Vietnamese text: one spelling, search without diacritics, and the order of names.

Pure functions over ``str``. Nothing here asks the database or the locale: PostgreSQL without ICU
sorts Vietnamese wrongly, so both keys are stored beside the name (columns with ``db_collation="C"``).
"""

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

# TCVN 6909 alphabet, with f j w z where foreign names need them.
_ALPHABET = "aăâbcdđeêfghijklmnoôơpqrstuưvwxyz"
_LETTER_KEY = {letter: chr(ord("A") + place) for place, letter in enumerate(_ALPHABET)}
# Tone order of Vietnamese dictionaries: ngang, huyền, hỏi, ngã, sắc, nặng.
_TONES = {"\u0300": "1", "\u0309": "2", "\u0303": "3", "\u0301": "4", "\u0323": "5"}
# Breve, circumflex and horn make another letter, not another tone.
_LETTER_MARKS = frozenset("\u0306\u0302\u031b")
# What turns the direction of writing: no Vietnamese text needs it, and it makes one read other than it is written.
_TURNS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_DIRECTION = re.compile(f"[{_TURNS}]")
# Characters that no reader sees: zero width, joiners, direction marks, BOM, soft hyphen. Ranges of a bracket, which
# PostgreSQL's regular expressions read as Python's do.
INVISIBLE = f"{_TURNS}\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff"
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_SPACES = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^a-z0-9]+")


def clean(text: str) -> str:
    """Return ``text`` in NFC, without invisible characters, with single ordinary spaces.

    >>> clean("  Tạ\\u200b   Khoa\\u00a0")
    'Tạ Khoa'
    """
    if text.isascii():
        return " ".join(text.split())
    return _SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))).strip()


def number_text(value: int | float | Decimal, decimals: int = 0, *, english: bool = False) -> str:
    """Return a number as one writes it, thousands by a dot; decimals that are all zero are left out.

    >>> number_text(1_000_000), number_text(35.5, 1), number_text(2.0, 1), number_text(1_234.5, 1, english=True)
    ('1.000.000', '35,5', '2', '1,234.5')
    """
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    text = f"{exact:,.{decimals}f}"
    if decimals:
        text = text.rstrip("0").rstrip(".")
    return text if english else text.translate(str.maketrans(",.", ".,"))


def without_turns(text: str) -> str:
    """Return ``text`` without the characters that turn the direction of writing; nothing else changes.

    >>> without_turns("gnp.\u202eảnh\u202c 👨\u200d👩\u200d👧")
    'gnp.ảnh 👨\u200d👩\u200d👧'
    """
    return text if text.isascii() else _DIRECTION.sub("", text)


@lru_cache(maxsize=65536)
def _plain_word(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.lower().replace("đ", "d"))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def search_key(text: str) -> str:
    """Return ``text`` for searching and matching: lower case, no diacritics, words by one space.

    Stored beside names (``name_search``); a query goes through the same function, so that
    "ta khoa" finds Tạ Khoa and "Hòa" finds Hoà.

    >>> search_key("Nguyễn Thị  Hồng-Hạnh")
    'nguyen thi hong hanh'
    """
    plain = " ".join([_plain_word(word) for word in clean(text).split(" ")])
    if plain.replace(" ", "").isalnum() and plain.isascii():
        return plain
    return _NOT_WORD.sub(" ", plain).strip()


@lru_cache(maxsize=65536)
def _word_key(word: str) -> str:
    """Letters of a syllable in the order of the alphabet, then its tone: "an" < "àn" < "anh"."""
    letters: list[str] = []
    tone = "0"
    for char in unicodedata.normalize("NFD", word.lower()):
        if char in _TONES:
            tone = _TONES[char]
        elif char in _LETTER_MARKS and letters:
            letters[-1] = unicodedata.normalize("NFC", letters[-1] + char)
        elif not unicodedata.combining(char):
            letters.append(char)
    key = "".join([_LETTER_KEY.get(letter) or _other_key(letter) for letter in letters])
    return key + tone


def _other_key(char: str) -> str:
    if char.isdigit():
        return ":" + str(unicodedata.digit(char, 0))
    return "" if char in "'.-" else "~"


def sort_key(name: str) -> str:
    """Return the ASCII key by which a person's name sorts in Vietnam: given, middle, family name.

    Bytes of the key compare like the names: last word first, then the words in the middle, then the
    family name; letters in the order of the Vietnamese alphabet, tones ngang, huyền, hỏi, ngã, sắc,
    nặng within a syllable. Store it in a column of collation "C".

    >>> names = ["Trần Ánh", "Lê Văn Ân", "Lê An", "Phạm Bảo Àn", "Đỗ Anh"]
    >>> sorted(names, key=sort_key)
    ['Lê An', 'Phạm Bảo Àn', 'Đỗ Anh', 'Trần Ánh', 'Lê Văn Ân']
    """
    words = [_word_key(word) for word in clean(name).split(" ") if word]
    if not words:
        return ""
    # ' ' between the three parts sorts before '!' between middle words: no middle name comes first.
    return f"{words[-1]} {'!'.join(words[1:-1])} {words[0] if len(words) > 1 else ''}"


def name_keys(name: str) -> tuple[str, str]:
    """Return (`search_key`, `sort_key`) of a name that `clean` has gone over already: for rows by the 100,000."""
    if not name:
        return "", ""
    words = name.split(" ")
    search = " ".join(map(_plain_word, words))
    if not (search.isascii() and search.replace(" ", "").isalnum()):
        search = _NOT_WORD.sub(" ", search).strip()
    keys = list(map(_word_key, words))
    return search, f"{keys[-1]} {'!'.join(keys[1:-1])} {keys[0] if len(keys) > 1 else ''}"


def text_sort_key(text: str) -> str:
    """Return the ASCII key by which other text (a school's or a place's name) sorts, word by word.

    >>> sorted(["Đà Nẵng", "Điện Biên", "Cần Thơ", "Cao Bằng"], key=text_sort_key)
    ['Cao Bằng', 'Cần Thơ', 'Đà Nẵng', 'Điện Biên']
    """
    return " ".join([_word_key(word) for word in clean(text).split(" ") if word])


@lru_cache(maxsize=65536)
def _title_word(word: str) -> str:
    return "-".join([part[:1].upper() + part[1:].lower() for part in word.split("-")])


def title_name(name: str) -> str:
    """Return a name with a capital at the beginning of each word, for names typed in ALL CAPS.

    >>> title_name("NGUYỄN THỊ HỒNG HẠNH")
    'Nguyễn Thị Hồng Hạnh'
    """
    return " ".join([_title_word(word) for word in name.split(" ")])

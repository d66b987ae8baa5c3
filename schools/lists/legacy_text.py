"""Text typed in the old fonts: TCVN3 (".VnTime") and VNI ("VNI-Times"), told apart and converted.

Such text is Latin-1 to the file and Vietnamese only through the font. Tables after TCVN 5712:1993
(VN3) and the published VNI-Windows layout.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from common.vietnamese import clean

_TCVN3 = dict(
    zip(
        "µ¶·¸¹¨»¼½¾Æ©ÇÈÉÊË®ÌÎÏÐÑªÒÓÔÕÖ×ØÜÝÞßáâãä«åæçèé¬êëìíîïñòóô\u00adõö÷øùúûüýþ¡¢£¤¥¦§",
        "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵĂÂÊÔƠƯĐ",
        strict=True,
    )
)
_TCVN3_TABLE = str.maketrans(_TCVN3)


def _vni_pairs() -> dict[str, str]:
    tones = {"ù": "\u0301", "ø": "\u0300", "û": "\u0309", "õ": "\u0303", "ï": "\u0323"}
    hat = {"á": "\u0301", "à": "\u0300", "å": "\u0309", "ã": "\u0303", "ä": "\u0323"}
    bowl = {"é": "\u0301", "è": "\u0300", "ú": "\u0309", "ü": "\u0303", "ë": "\u0323"}
    pairs = {"aâ": "â", "eâ": "ê", "oâ": "ô", "aê": "ă"}
    for base in "aeouy":
        pairs |= {base + mark: base + tone for mark, tone in tones.items()}
    for base in "aeo":
        pairs |= {base + mark: base + "\u0302" + tone for mark, tone in hat.items()}
    pairs |= {"a" + mark: "a\u0306" + tone for mark, tone in bowl.items()}
    for base, letter in (("ô", "ơ"), ("ö", "ư")):
        pairs |= {base + mark: letter + tone for mark, tone in tones.items()}
        pairs[base] = letter
    pairs |= {"ñ": "đ", "æ": "ỉ", "ó": "ĩ", "ò": "ị", "î": "ỵ", "í": "í", "ì": "ì"}
    pairs = {key: unicodedata.normalize("NFC", value) for key, value in pairs.items()}
    upper = {key.upper(): value.upper() for key, value in pairs.items()}
    # A capital with a small mark is common: "Aâu".
    mixed = {key[0].upper() + key[1]: value.upper() for key, value in pairs.items() if len(key) == 2}
    return pairs | mixed | upper


_VNI = _vni_pairs()
_VNI_PATTERN = re.compile("|".join(sorted(map(re.escape, _VNI), key=len, reverse=True)))

_ONSET = r"(?:ngh|ng|nh|ch|gh|gi|kh|ph|qu|th|tr|b|c|d|đ|g|h|k|l|m|n|p|r|s|t|v|x)?"
_RIME = (
    r"(?:a|ac|ach|ai|am|an|ang|anh|ao|ap|at|au|ay|ăc|ăm|ăn|ăng|ăp|ăt|âc|âm|ân|âng|âp|ât|âu|ây|e|ec|em|en|eng|eo"
    r"|ep|et|ê|êch|êm|ên|ênh|êp|êt|êu|i|ia|ich|iêc|iêm|iên|iêng|iêp|iêt|iêu|im|in|inh|ip|it|iu|o|oa|oac|oach|oai"
    r"|oam|oan|oang|oanh|oao|oap|oat|oay|oăc|oăm|oăn|oăng|oăt|oc|oe|oen|oeo|oet|oi|om|on|ong|ooc|oong|op|ot|ô|ôc"
    r"|ôi|ôm|ôn|ông|ôp|ôt|ơ|ơi|ơm|ơn|ơp|ơt|u|ua|uân|uâng|uât|uây|uc|uê|uêch|uênh|ui|um|un|ung|uơ|up|ut|uy|uya"
    r"|uych|uyên|uyêt|uyt|uynh|uyp|uyu|uôc|uôi|uôm|uôn|uông|uôt|ư|ưa|ưc|ưi|ưm|ưn|ưng|ươc|ươi|ươm|ươn|ương|ươp"
    r"|ươt|ươu|ưt|ưu|y|yêm|yên|yêng|yêt|yêu|uâ|uyn|yt|ynh|êng)"
)
_SYLLABLE = re.compile(_ONSET + _RIME)
_TONE_MARKS = re.compile("[\u0300\u0301\u0303\u0309\u0323]")
_WORDS = re.compile(r"[^\W\d_]+")
# Non-letters that stand inside words only in TCVN3 text.
_TCVN3_SIGNS = re.compile("[µ¶·¸¹¨»¼½¾©®ª×Þß«¬\u00ad÷¡¢£¤¥¦§]")


@lru_cache(maxsize=65536)
def is_syllable(word: str) -> bool:
    """Whether a word is a well-formed Vietnamese syllable (its tone on some vowel)."""
    decomposed = unicodedata.normalize("NFD", word.lower())
    if len(_TONE_MARKS.findall(decomposed)) > 1:
        return False
    return bool(_SYLLABLE.fullmatch(unicodedata.normalize("NFC", _TONE_MARKS.sub("", decomposed))))


def from_tcvn3(text: str) -> str:
    """Convert TCVN3 text: ``NguyÔn ThÞ Hång H¹nh`` is Nguyễn Thị Hồng Hạnh."""
    return clean(text.translate(_TCVN3_TABLE))


def from_vni(text: str) -> str:
    """Convert VNI text: ``Nguyeãn Thò Hoàng Haïnh`` is Nguyễn Thị Hồng Hạnh."""
    return clean(_VNI_PATTERN.sub(lambda found: _VNI[found[0]], text))


CONVERTERS = {"tcvn3": from_tcvn3, "vni": from_vni}


def _marked(text: str) -> list[str]:
    """The words of a text that have a character outside ASCII, split at spaces only."""
    return [word for word in text.split() if not word.isascii()]


def _good(words: Iterable[str]) -> int:
    return sum(all(is_syllable(part) for part in re.split(r"[-.,'()/]", word) if part) for word in words)


@lru_cache(maxsize=65536)
def needs_conversion(text: str, encoding: str) -> bool:
    """Whether this very cell is in the old encoding: a file may mix it with proper Unicode."""
    if text.isascii():
        return False
    converted = CONVERTERS[encoding](text)
    if converted == clean(text):
        return False
    before = _good(_marked(clean(text))) - len(_marked(clean(text)))
    after = _good(_marked(converted)) - len(_marked(converted))
    return after > before


def detect(texts: Iterable[str], fonts: Iterable[str] = ()) -> str | None:
    """Return "tcvn3", "vni" or None for a sample of a sheet's text cells.

    ``fonts`` are the fonts that the workbook names: a ``.Vn…`` or ``VNI-…`` font makes a few odd words
    enough; without one, more words must get better by conversion than are fine as they stand.
    """
    fonts = [font.lower() for font in fonts]
    sample = [text for text in texts if not text.isascii()]
    plain = [clean(text) for text in sample]
    total = sum(len(_marked(text)) for text in plain)
    if not total:
        return None
    as_is = _good(word for text in plain for word in _marked(text))
    best: tuple[int, str] | None = None
    for encoding, converter in CONVERTERS.items():
        hint = any(f.startswith(".vn") if encoding == "tcvn3" else f.startswith("vni") for f in fonts)
        moved = [(text, converter(text)) for text in sample if needs_conversion(text, encoding)]
        gain = sum(_good(_marked(after)) - _good(_marked(clean(before))) for before, after in moved)
        signs = sum(bool(_TCVN3_SIGNS.search(before)) for before, _ in moved) if encoding == "tcvn3" else 0
        if not moved or gain <= 0:
            continue
        if not hint and not signs and gain * 2 < total - as_is:
            continue
        if best is None or gain + signs > best[0]:
            best = gain + signs, encoding
    return best[1] if best else None

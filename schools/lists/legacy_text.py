"""Text typed in the old fonts: TCVN3 (".VnTime") and VNI ("VNI-Times"), told apart and converted.

Such text is Latin-1 to the file and Vietnamese only through the font. Tables after TCVN 5712:1993
(VN3) and the published VNI-Windows layout.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
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

# Words with marks that names, places and the lists' own terms are made of. Many old-font words are well-formed
# Unicode too ("Vò" is Vũ, "Dòng" is Dũng, "Phó" is Phú): which reading is usual decides.
_USUAL = frozenset(
    [
        "nguyễn",
        "trần",
        "lê",
        "phạm",
        "huỳnh",
        "hoàng",
        "võ",
        "vũ",
        "đặng",
        "bùi",
        "đỗ",
        "hồ",
        "ngô",
        "dương",
        "lý",
        "đinh",
        "trịnh",
        "đoàn",
        "lâm",
        "tô",
        "hà",
        "tạ",
        "tống",
        "cù",
        "lò",
        "vì",
        "lỗ",
        "mã",
        "kiều",
        "từ",
        "trương",
        "lưu",
        "đào",
        "thái",
        "châu",
        "triệu",
        "thạch",
        "đàm",
        "đồng",
        "cổ",
        "quách",
        "tăng",
        "tôn",
        "khổng",
        "doãn",
        "giáp",
        "âu",
        "lầu",
        "giàng",
        "vàng",
        "sùng",
        "hạng",
        "cứ",
        "quàng",
        "tòng",
        "hứa",
        "lục",
        "mùa",
        "nông",
        "chẩu",
        "nghiêm",
        "phí",
        "viên",
        "bạch",
        "phùng",
        "chử",
        "đậu",
        "cấn",
        "lã",
        "ngọ",
        "thân",
        "kỷ",
        "văn",
        "thị",
        "hữu",
        "đức",
        "thế",
        "đình",
        "xuân",
        "hồng",
        "ngọc",
        "diễm",
        "quỳnh",
        "như",
        "thảo",
        "thủy",
        "thuỷ",
        "thúy",
        "thuý",
        "hạnh",
        "hằng",
        "hương",
        "hường",
        "hiền",
        "hiếu",
        "hòa",
        "hoà",
        "hoài",
        "huyền",
        "huệ",
        "kiên",
        "kỳ",
        "khánh",
        "liên",
        "liễu",
        "lệ",
        "lợi",
        "lộc",
        "luân",
        "lương",
        "mỹ",
        "mẫn",
        "mạnh",
        "nghĩa",
        "nguyên",
        "nguyệt",
        "nhật",
        "nhã",
        "nhân",
        "nhàn",
        "phát",
        "phú",
        "phúc",
        "phước",
        "phương",
        "phượng",
        "quân",
        "quế",
        "quý",
        "quyên",
        "quyền",
        "sơn",
        "sáng",
        "tài",
        "tâm",
        "tân",
        "tấn",
        "tạo",
        "thắng",
        "thành",
        "thiện",
        "thịnh",
        "thọ",
        "thông",
        "thơ",
        "thư",
        "thương",
        "thường",
        "tiên",
        "tiến",
        "tín",
        "tình",
        "tính",
        "toàn",
        "toán",
        "trà",
        "trâm",
        "trân",
        "trí",
        "trình",
        "trọng",
        "trúc",
        "trường",
        "tú",
        "tuấn",
        "tuệ",
        "tùng",
        "tường",
        "tuyền",
        "tuyết",
        "tý",
        "tỵ",
        "uyên",
        "vân",
        "việt",
        "vĩ",
        "vượng",
        "vỹ",
        "yến",
        "ý",
        "ánh",
        "ái",
        "ân",
        "ước",
        "út",
        "đại",
        "đạt",
        "đăng",
        "điền",
        "điệp",
        "định",
        "độ",
        "dũng",
        "dụng",
        "duyên",
        "dưỡng",
        "diệp",
        "diệu",
        "diện",
        "bảo",
        "bích",
        "bình",
        "bằng",
        "bách",
        "bảng",
        "công",
        "cường",
        "chí",
        "chiến",
        "chính",
        "chương",
        "cảnh",
        "cẩm",
        "cúc",
        "giáo",
        "hải",
        "hậu",
        "hào",
        "hảo",
        "hùng",
        "huân",
        "hợp",
        "học",
        "hưng",
        "hội",
        "lĩnh",
        "lân",
        "lãm",
        "mạc",
        "mận",
        "mến",
        "mơ",
        "mười",
        "năm",
        "ngân",
        "nhị",
        "nữ",
        "phấn",
        "phụng",
        "rồng",
        "sỹ",
        "sĩ",
        "sự",
        "tần",
        "thạo",
        "thăng",
        "thêm",
        "thìn",
        "thoại",
        "thuận",
        "thức",
        "tố",
        "tới",
        "trạch",
        "vọng",
        "xuyến",
        "hộ",
        "nghèo",
        "cận",
        "mồ",
        "côi",
        "phường",
        "xã",
        "quận",
        "huyện",
        "tỉnh",
        "phố",
        "trấn",
        "không",
        "có",
        "chưa",
        "đã",
        "máy",
        "số",
        "lớp",
        "họ",
        "và",
        "tên",
        "ngày",
        "giới",
        "đối",
        "tượng",
        "sách",
        "người",
        "lập",
        "biểu",
        "tổng",
        "cộng",
        "hiệu",
        "trưởng",
    ]
)


def _marked(text: str) -> list[str]:
    """The words of a text that have a character outside ASCII, split at spaces only."""
    return [word for word in text.split() if not word.isascii()]


def _good(words: Iterable[str]) -> int:
    return sum(all(is_syllable(part) for part in re.split(r"[-.,'()/]", word) if part) for word in words)


def _likelihood(text: str) -> float:
    """How much a text looks like Vietnamese names and terms: malformed words count against it, usual ones for it."""
    words = [part.lower() for word in _marked(text) for part in re.split(r"[-.,'()/]", word) if part]
    return sum((is_syllable(word) - 1) * 2 + (word in _USUAL) for word in words if not word.isascii())


@lru_cache(maxsize=65536)
def needs_conversion(text: str, encoding: str, *, by_default: bool = False) -> bool:
    """Whether this very cell is in the old encoding: a file may mix it with proper Unicode.

    ``by_default`` decides where both readings are as likely: whether the rest of the file is in the encoding.
    """
    # Both encodings live within Latin-1, one byte a sign.
    if text.isascii() or any(char > "\u00ff" and char.isalnum() for char in text):
        return False
    converted, as_is = CONVERTERS[encoding](text), clean(text)
    if converted == as_is or any(unicodedata.combining(char) for char in text):
        return False
    gain = _likelihood(converted) - _likelihood(as_is)
    return gain > 0 or (gain == 0 and by_default)


def vietnamese_share(text: str) -> float:
    """How many of the words with marks are well-formed syllables, 0 to 1."""
    words = [word for word in re.split(r"[\s,;|\"]+", text) if not word.isascii()]
    return _good(words) / len(words) if words else 0


@dataclass(frozen=True)
class OldFont:
    """The old encoding of a table: "tcvn3" or "vni", and whether hardly any proper Unicode stands beside it."""

    encoding: str
    is_all_over: bool

    def convert(self, text: str) -> str | None:
        """The text in Unicode, or None where it is no old-font text."""
        if needs_conversion(text, self.encoding, by_default=self.is_all_over):
            return CONVERTERS[self.encoding](text)
        return None


def old_font(texts: list[str], fonts: Iterable[str] = ()) -> OldFont | None:
    """The old encoding of a sample of text cells, or None; ``fonts`` as in `detect`."""
    encoding = detect(texts, fonts)
    return OldFont(encoding, _is_all_over(texts, encoding)) if encoding else None


def _is_all_over(texts: Iterable[str], encoding: str) -> bool:
    old = proper = 0
    for text in texts:
        if needs_conversion(text, encoding):
            old += 1
        elif any(char >= "\u0100" for char in unicodedata.normalize("NFC", text)):
            proper += any(is_syllable(word) and not word.isascii() for word in _marked(clean(text)))
    return old > 0 and proper * 20 <= old


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

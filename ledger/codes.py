"""Device codes: random, with a check character, printed as a QR label, never reused.

A code is 11 random symbols of Crockford's base 32 (55 bits) and one check symbol over GF(32), which
finds every wrong symbol and every swap of two symbols. It is stored and put in addresses without
hyphens and read aloud in groups of four: 7K3Q-F9XW-2MDC.
"""

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_SYMBOLS = 11
LENGTH = RANDOM_SYMBOLS + 1
VALUE = {symbol: value for value, symbol in enumerate(ALPHABET)}
# What people read wrongly on a label; U is in no code.
LOOKALIKE = str.maketrans({"I": "1", "L": "1", "O": "0"} | dict.fromkeys("- \t\u00a0._–—‐‑−", ""))


def powers() -> tuple[list[int], dict[int, int]]:
    """Powers and logarithms of x in GF(32) = GF(2)[x] / (x^5 + x^2 + 1), where x is a generator."""
    exponent, value = [], 1
    for _ in range(31):
        exponent.append(value)
        value <<= 1
        if value & 32:
            value ^= 0b100101
    return exponent, {power: index for index, power in enumerate(exponent)}


EXP, LOG = powers()
# WEIGHTED[i][s]: value of symbol s times x^(i+1); distinct nonzero weights find swaps.
WEIGHTED = [[0] + [EXP[(LOG[v] + place + 1) % 31] for v in range(1, 32)] for place in range(RANDOM_SYMBOLS)]


def check_symbol(symbols: str) -> str:
    """Check symbol of at most 11 symbols."""
    total = 0
    for row, symbol in zip(WEIGHTED, symbols, strict=False):
        total ^= row[VALUE[symbol]]
    return ALPHABET[total]


def new_device_code() -> str:
    """A fresh device code of 55 random bits from the operating system."""
    return new_device_codes(1)[0]


def new_device_codes(count: int) -> list[str]:
    """`count` fresh device codes, all different."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        bits = int.from_bytes(secrets.token_bytes(7), "big")
        symbols = "".join([ALPHABET[(bits >> shift) & 31] for shift in range(0, 55, 5)])
        codes[symbols + check_symbol(symbols)] = None
    return list(codes)


def normalise_code(typed: str) -> str | None:
    """The code that a person typed or scanned, in stored form; None if it can't be one."""
    code = typed.strip().upper().translate(LOOKALIKE)
    if len(code) != LENGTH or any(symbol not in VALUE for symbol in code):
        return None
    return code if check_symbol(code[:-1]) == code[-1] else None


def is_device_code(code: str) -> bool:
    """Whether `code` is a device code in stored form."""
    return normalise_code(code) == code


def spell(code: str) -> str:
    """Groups of four, as printed on the label."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def new_code(prefix: str, *, symbols: int = 8) -> str:
    """A random human code such as `CK-7K3QF9XWM`: `symbols` random symbols (5 bits each) and a check symbol."""
    bits = int.from_bytes(secrets.token_bytes(7), "big")
    drawn = "".join(
        [ALPHABET[(bits >> shift) & 31] for shift in range(0, 5 * min(symbols, RANDOM_SYMBOLS), 5)]
    )
    return f"{prefix}-{drawn}{check_symbol(drawn)}"


def normalise(typed: str) -> str | None:
    """A human code as typed (any case, look-alikes, spaces), in stored form; None if it can't be one."""
    prefix, hyphen, rest = typed.strip().upper().rpartition("-")
    drawn = rest.translate(LOOKALIKE)
    if not hyphen or len(drawn) < 2 or len(drawn) > LENGTH or any(symbol not in VALUE for symbol in drawn):
        return None
    return f"{prefix}-{drawn}" if check_symbol(drawn[:-1]) == drawn[-1] else None

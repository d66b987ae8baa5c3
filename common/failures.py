"""What an error may say in a log: its kind and the lines of code it passed, never its text, which may quote a person."""

import traceback
from pathlib import Path

FRAMES = 12
_BASE = str(Path(__file__).resolve().parent.parent) + "/"


def described(error: BaseException) -> dict[str, object]:
    """The kinds of the error and of its causes, the outermost first, and where in the code the first one arose.

    >>> described(ValueError("em Nguyễn Văn A"))
    {'error': 'ValueError', 'where': []}
    """
    kinds, cause = [], error
    while cause is not None and len(kinds) < 5:
        kinds.append(type(cause).__qualname__)
        first, cause = cause, cause.__cause__ or cause.__context__
    frames = traceback.extract_tb(first.__traceback__)[-FRAMES:]
    lines = [f"{frame.filename.removeprefix(_BASE)}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": " < ".join(kinds), "where": lines}

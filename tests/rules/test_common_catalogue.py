"""The English catalogue is whole, and the compiled file (committed, since msgfmt isn't everywhere) is in step."""

import ast
import gettext
import re
from pathlib import Path

from django.conf import settings

FOLDER = Path(settings.BASE_DIR) / "locale" / "en" / "LC_MESSAGES"
PAIR = re.compile(r'^msgid (".*")\nmsgstr (".*")$', re.M)
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


def pairs() -> list[tuple[str, str]]:
    found = PAIR.findall((FOLDER / "django.po").read_text())
    return [(ast.literal_eval(vietnamese), ast.literal_eval(english)) for vietnamese, english in found][1:]


def test_every_text_has_its_english():
    texts = pairs()
    assert len(texts) > 400
    assert [vietnamese for vietnamese, english in texts if not english.strip()] == []


def test_the_compiled_catalogue_is_in_step():
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert [v for v, english in pairs() if compiled.gettext(v) != english] == []


def test_placeholders_are_kept():
    for vietnamese, english in pairs():
        assert sorted(PLACEHOLDER.findall(vietnamese)) == sorted(PLACEHOLDER.findall(english)), vietnamese

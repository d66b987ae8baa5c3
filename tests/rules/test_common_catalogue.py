"""The English catalogue is whole, and the compiled file (committed, since msgfmt isn't everywhere) is in step."""

import ast
import gettext
import re
from pathlib import Path

import django
import pytest
from django.conf import settings

from donations.models import Donor, Pledge
from donations.rules import AT_LEAST, CRITERIA, PRESENT, REASONS, SERIAL_FAULTS
from donations.ways import STAGES
from ledger.custody import LABEL

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


def asked_for() -> set[str]:
    """Every text that a template or a module asks to be translated."""
    texts: set[str] = set()
    root = Path(settings.BASE_DIR)
    for app in settings.PROJECT_APPS:
        for path in (root / app).rglob("*.py"):
            if "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                name = isinstance(node, ast.Call) and getattr(node.func, "id", "")
                if name in ("_", "gettext", "gettext_lazy", "_now") and isinstance(
                    node.args[0], ast.Constant
                ):
                    texts.add(node.args[0].value)
    for path in (root / "templates").rglob("*.html"):
        if path.is_relative_to(
            root / "templates/admin"
        ):  # a library's own page: its texts are English already
            continue
        source = path.read_text()
        texts |= set(re.findall(r'{%\s*translate "([^"]+)"', source))
        texts |= set(re.findall(r'\b_\("([^"]+)"\)', source))
    return texts


def test_every_text_that_is_asked_for_stands_in_the_catalogue():
    known = {vietnamese for vietnamese, _english in pairs()}
    assert asked_for() - known == set()


@pytest.mark.parametrize(
    "choices",
    [
        Donor.Kind,
        Pledge.Kind,
        Pledge.DeviceKind,
        Pledge.InfrastructureKind,
        Pledge.State,
        Pledge.FundingSource,
    ],
)
def test_choices_that_donors_see_have_their_english(choices):
    known = {vietnamese for vietnamese, _english in pairs()}
    assert set(choices.labels) <= known


def test_the_steps_of_a_device_have_their_english():
    known = {vietnamese for vietnamese, _english in pairs()}
    assert {text for state, text in LABEL.items() if state} <= known
    assert {label for _key, label, _states in STAGES} <= known


def test_what_is_wrong_with_announced_serials_has_its_english():
    known = {vietnamese for vietnamese, _english in pairs()}
    assert set(SERIAL_FAULTS.values()) <= known


def test_what_a_device_must_have_has_its_english():
    known = {vietnamese for vietnamese, _english in pairs()}
    assert {
        PRESENT,
        AT_LEAST,
        *(text for c in CRITERIA.values() for text in (c.label, c.unit) if text),
    } <= known


def test_vietnamese_in_place_of_djangos_is_compiled_and_still_asked_for_by_django():
    own = FOLDER.parents[1] / "vi" / "LC_MESSAGES"
    written = re.findall(
        r'^msgid (".+")\n(?:msgid_plural .*\n)?msgstr(?:\[0\])? (".*")$',
        (own / "django.po").read_text(),
        re.M,
    )
    pairs = [(ast.literal_eval(english), ast.literal_eval(vietnamese)) for english, vietnamese in written]
    assert len(pairs) > 20
    given = (
        (Path(django.__path__[0]) / "conf/locale/en/LC_MESSAGES/django.po").read_text().replace('"\n"', "")
    )
    compiled = gettext.translation("django", own.parents[1], languages=["vi"])
    assert [english for english, vietnamese in pairs if compiled.gettext(english) != vietnamese] == []
    # Some are of other libraries; the sentences of forms are still the ones that Django says.
    assert sum(f'"{english}"' in given for english, _vietnamese in pairs) > 20


def test_why_a_device_does_not_pass_has_its_english():
    known = {vietnamese for vietnamese, _english in pairs()}
    assert {reason.label for reason in REASONS.values()} <= known

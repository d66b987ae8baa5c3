"""What nobody types by hand: every page asked and sent with odd values of every name that any page reads."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from common.access import access_of
from tests.pages.test_access_matrix import LIBRARIES, PARAMETER, _ask, addresses, fill

pytestmark = [pytest.mark.django_db, pytest.mark.long]
READS = re.compile(
    r"""(?:GET|POST)\.get(?:list)?\(\s*"([\w-]+)"|"([\w-]+)"\s(?:not\s)?in\srequest\.(?:GET|POST)|^\ {4}(\w+)\s=\sforms\.""",
    re.M,
)
# No word, no number that fits, a digit that int() refuses, and what no keyboard types.
ODD = {"no word": "!!!", "no number": "9" * 25, "no digit": "²", "nul": "a\0b"}


def names() -> list[str]:
    """Every name that a view or a form of ours reads from an address or a sent form."""
    found = set()
    for app in settings.PROJECT_APPS:
        for path in (Path(settings.BASE_DIR) / app).rglob("*.py"):
            found |= {next(filter(None, groups)) for groups in READS.findall(path.read_text())}
    return sorted(found)


@pytest.mark.parametrize(
    ("verb", "what"), [*(("get", what) for what in ODD), ("post", "no number"), ("post", "nul")]
)
def test_odd_values_are_no_error_of_ours(house, verb, what):
    data = dict.fromkeys(names(), ODD[what])
    assert len(data) > 100
    broken = []
    for route, view in addresses():
        if route.startswith(LIBRARIES) or set(PARAMETER.sub("", route)) & set("^$(?\\"):
            continue
        access = access_of(view)
        members = access.alternatives or (access,)
        beginning = next((known for known in house.objects if route.startswith(known)), None)
        path = fill(route, house.objects[beginning] if beginning else None)
        for post, client in house.own.items():
            if any(member.test is None or member.test(house.people[post]) for member in members):
                status = _ask(client, verb, path, data).status_code
                if status >= 500:
                    broken.append((route, post, status))
                break
    assert not broken, "\n".join(map(str, broken))

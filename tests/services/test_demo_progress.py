"""How far the demonstration says it is."""

import re

import pytest

from sms_program.demo.build import Build
from sms_program.demo.plan import SIZES

pytestmark = pytest.mark.django_db


def test_the_share_that_is_told_never_falls():
    said: list[str] = []
    build = Build(size=SIZES["small"], seed=1, say=said.append)
    build._step, build._share = "vận chuyển", (50, 60)
    for number, of in ((9, 10), (0, 20), (20, 20)):
        build.tell(number, of, force=True)
    assert [int(re.search(r"(\d+)%", line)[1]) for line in said] == [59, 59, 60]

"""What the line of a drill says of it."""

import pytest

from drills import NotRunError
from drills.__main__ import run


def held() -> dict:
    return {"kills": 3}


def broken() -> dict:
    raise AssertionError


def without_its_tool() -> dict:
    raise NotRunError("cần rsync")


@pytest.mark.parametrize(
    ("drill", "said"),
    [
        (held, {"held": True, "kills": 3}),
        (broken, {"held": False}),
        (without_its_tool, {"held": None, "not_run": "cần rsync"}),
    ],
)
def test_a_drill_that_could_not_be_tried_does_not_say_that_it_held(drill, said):
    line = run("x", drill)
    assert line.pop("seconds") >= 0
    assert line == {"name": "x"} | said

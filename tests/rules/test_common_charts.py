"""Charts and maps are whole XML, say in words what they show, and never leave out the two archipelagos."""

import xml.etree.ElementTree as ET

import pytest

from common import charts

CODES = [province["code"] for province in charts._map()["provinces"]]
SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@pytest.mark.parametrize("draw", [charts.tile_map, charts.geographic_map])
def test_a_map_shows_63_provinces_and_both_archipelagos(draw):
    svg = draw(dict.fromkeys(CODES, 0.5), title="Bản đồ", href=lambda code: f"/tinh/{code}/")
    root = parse(svg)
    assert root.get("role") == "img"
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "Quần đảo Hoàng Sa" in titles
    assert "Quần đảo Trường Sa" in titles
    assert len([title for title in titles if title.endswith(": 50%")]) == 63
    assert "style=" not in svg


def test_a_map_without_figures_says_so():
    assert "Chưa địa phương nào có số liệu" in charts.tile_map({}, title="Bản đồ")


def test_a_map_names_the_highest_and_the_lowest():
    svg = charts.tile_map({"01": 0.9, "02": 0.125, "04": None}, title="Bản đồ")
    assert "2 trên 63 địa phương" in svg
    assert "Cao nhất: Hà Nội 90%" in svg
    assert "Thấp nhất: Hà Giang 12,5%" in svg


@pytest.mark.parametrize(
    ("share", "index"), [(0, 0), (0.1999, 0), (0.2, 1), (0.8, 4), (1.5, 4), (None, None)]
)
def test_classes_of_a_share(share, index):
    assert charts.share_class(share) == index


def test_99_9_percent_is_not_shown_as_all():
    assert ">99%<" in charts.tile_map({"01": 0.999}, title="x")


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '" onload="x', "a & b"])
def test_names_in_charts_are_text(hostile):
    svg = charts.bars([(hostile, 3)], title=hostile, ident="b")
    assert "<script>" not in svg
    assert parse(svg).find(f"{SVG}title").text == hostile


def test_empty_charts_are_still_whole():
    for svg in (
        charts.bars([], title="x", ident="b"),
        charts.funnel([], title="x"),
        charts.trend([], title="x", ident="t"),
        charts.trend([("01/10/2021", 0)], title="x", ident="t"),
    ):
        parse(svg)


def test_a_trend_says_every_point():
    svg = charts.trend([("01/10/2021", 10), ("08/10/2021", 1234)], title="x", ident="t", target=2000)
    assert "08/10/2021: 1.234" in svg

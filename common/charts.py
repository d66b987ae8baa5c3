"""Charts and maps as inline SVG: no script, prints, caches, and readable without colour.

Pure functions from data to SVG text. Each SVG is `role=img` with a title and a description; the same
numbers stand in a table beside it (`components/figure.html`). Nothing in it carries a style attribute.
A shape with `data-href` can be clicked where app.js runs; by keyboard one uses the table's links.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from common.templatetags.vi import format_number, format_percent

# Five classes of a share and their fills; ink that reads on each (at least 4.5:1).
CLASSES = ((0.2, "#eff3ff"), (0.4, "#bdd7e7"), (0.6, "#6baed6"), (0.8, "#3182bd"), (None, "#08519c"))
INK, INK_ON_DARK, LINE, BRAND = "#1b2733", "#ffffff", "#5b7083", "#0b5394"
NO_DATA = "#f3f4f6"


@cache
def _map() -> dict:
    """Shapes, tiles and insets of the 63 provinces of 2021; sources in the file."""
    return json.loads((Path(__file__).resolve().parent / "data" / "map63.json").read_text("utf-8"))


def share_class(share: float | None) -> int | None:
    """Class 0 to 4 of a share (0.2 wide each, the last open upward); None where there is no figure."""
    if share is None:
        return None
    for index, (below, _fill) in enumerate(CLASSES):
        if below is None or share < below:
            return index
    raise AssertionError("the last class is open")


def _ink(index: int | None) -> str:
    if index is None or index < 3:
        return INK
    return "#000" if index == 3 else INK_ON_DARK


def _svg(
    width: int, height: int, *, ident: str, title: str, desc: str, body: str, css: str = ""
) -> SafeString:
    return format_html(
        '<svg class="chart {}" role="img" aria-labelledby="{}-t {}-d" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>{}</svg>',
        css, ident, ident, width, height, width, height, ident, title, ident, desc, body,
    )  # fmt: skip


def _describe(values: Mapping[str, float | None]) -> str:
    """The map in one sentence: how many report, the highest and the lowest."""
    names = {p["code"]: p["name"] for p in _map()["provinces"]}
    known = sorted(
        (share, names[code]) for code, share in values.items() if share is not None and code in names
    )
    if not known:
        return _("Chưa địa phương nào có số liệu.")
    low, high = known[0], known[-1]
    return _("%(n)s trên 63 địa phương có số liệu. Cao nhất: %(high)s %(hp)s. Thấp nhất: %(low)s %(lp)s.") % {
        "n": len(known),
        "high": high[1],
        "hp": format_percent(high[0], 1),
        "low": low[1],
        "lp": format_percent(low[0], 1),
    }


def _whole_percent(share: float | None) -> str:
    """`35%` for a tile; floored, so that 100% means all."""
    return "–" if share is None else f"{min(int(share * 100 + 1e-9), 999)}%"


def legend() -> SafeString:
    """The five classes and "no figure", with the patterns that the geographic map uses."""
    texts = ["< 20%", "20–40%", "40–60%", "60–80%", "≥ 80%", _("không hiện số")]
    items = []
    for index, text in enumerate(texts):
        fill = f"url(#map-p{index})" if index < 5 else "url(#map-none)"
        items.append(
            format_html(
                '<rect x="{}" y="1" width="24" height="16" rx="3" fill="{}" stroke="{}"/>'
                '<text x="{}" y="14" font-size="13" fill="{}">{}</text>',
                index % 3 * 112 + 1, fill, LINE, index % 3 * 112 + 31, INK, text,
            )
            if index < 3
            else format_html(
                '<rect x="{}" y="27" width="24" height="16" rx="3" fill="{}" stroke="{}"/>'
                '<text x="{}" y="40" font-size="13" fill="{}">{}</text>',
                index % 3 * 112 + 1, fill, LINE, index % 3 * 112 + 31, INK, text,
            )
        )  # fmt: skip
    return format_html(
        '<svg class="chart legend" viewBox="0 0 350 46" width="350" height="46" aria-hidden="true" focusable="false">{}</svg>',
        mark_safe("".join(items)),
    )


def patterns() -> SafeString:
    """Definitions of the five fills, each with its own texture; once per page that shows a geographic map."""
    strokes = (
        "",
        '<circle cx="3" cy="3" r=".8" fill="#4a7fa8"/>',
        '<path d="M0 6L6 0" stroke="#2f6f9f" stroke-width=".8"/>',
        '<path d="M0 6L6 0M0 0L6 6" stroke="#0b4a7d" stroke-width=".7"/>',
        "",
    )
    body = "".join(
        f'<pattern id="map-p{index}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect width="6" height="6" fill="{fill}"/>{stroke}</pattern>'
        for index, ((_below, fill), stroke) in enumerate(zip(CLASSES, strokes, strict=True))
    )
    body += (
        '<pattern id="map-none" width="5" height="5" patternUnits="userSpaceOnUse"><rect width="5" height="5" '
        'fill="#fff"/><path d="M0 5V0" stroke="#94a3b8" stroke-width="1.2"/></pattern>'
    )
    return mark_safe(
        f'<svg width="0" height="0" class="position-absolute" aria-hidden="true" focusable="false"><defs>{body}</defs></svg>'
    )


def tile_map(
    values: Mapping[str, float | None],
    *,
    title: str,
    ident: str = "tiles",
    href: Callable[[str], str] | None = None,
) -> SafeString:
    """The 63 provinces as equal tiles with their letters and percent; Hoàng Sa and Trường Sa always.

    values: GSO code → share (0.35 for 35%), None or absent for no figure. href: address of a province.
    """
    data = _map()
    side, step = 44, 47
    body = []
    for province in data["provinces"]:
        share = values.get(province["code"])
        index = share_class(share)
        x, y = province["col"] * step + 1, province["row"] * step + 1
        body.append(
            format_html(
                '<g{}><title>{}: {}</title><rect x="{}" y="{}" width="{}" height="{}" rx="5" fill="{}" stroke="{}"/>'
                '<text x="{}" y="{}" font-size="12" font-weight="700" text-anchor="middle" fill="{}">{}</text>'
                '<text x="{}" y="{}" font-size="12" text-anchor="middle" fill="{}">{}</text></g>',
                format_html(' data-href="{}"', href(province["code"])) if href else "",
                province["name"], _whole_percent(share), x, y, side, side,
                "url(#map-none)" if index is None else CLASSES[index][1], LINE,
                x + side // 2, y + 19, _ink(index), province["label"],
                x + side // 2, y + 35, _ink(index), _whole_percent(share),
            )
        )  # fmt: skip
    for island in data["islands"]:
        x, y = island["col"] * step + 1, island["row"] * step + 1
        body.append(
            format_html(
                '<g><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="5" fill="{}" stroke="{}" '
                'stroke-dasharray="4 3"/><text x="{}" y="{}" font-size="12" font-weight="700" text-anchor="middle" '
                'fill="{}">{}</text></g>',
                island["name"], x, y, side, side, NO_DATA, LINE, x + side // 2, y + 26, INK, island["label"],
            )
        )  # fmt: skip
    return _svg(
        8 * step, 24 * step, ident=ident, title=title, desc=_describe(values),
        body=mark_safe("".join(body)), css="tile-map",
    )  # fmt: skip


def geographic_map(
    values: Mapping[str, float | None],
    *,
    title: str,
    ident: str = "map",
    href: Callable[[str], str] | None = None,
    highlight: str = "",
) -> SafeString:
    """The 63 provinces in their shapes, with the two archipelagos as insets; needs `patterns()` in the page.

    values, href as in `tile_map`. highlight: code of one province to outline.
    """
    data = _map()
    body = []
    for province in data["provinces"]:
        share = values.get(province["code"])
        index = share_class(share)
        marked = province["code"] == highlight
        body.append(
            format_html(
                '<path d="{}" fill="{}" stroke="{}" stroke-width="{}"{}><title>{}: {}</title></path>',
                province["path"],
                (NO_DATA if highlight else "url(#map-none)") if index is None else f"url(#map-p{index})",
                "#92400e" if marked else "#fff" if index is not None and index > 2 else LINE,
                "2.4" if marked else ".7",
                format_html(' data-href="{}"', href(province["code"])) if href else "",
                province["name"],
                _whole_percent(share),
            )
        )
    for island in data["islands"]:
        x, y = island["box"]
        dots = ((13, 12), (30, 9), (38, 19), (22, 21))
        body.append(
            format_html(
                '<g><title>{}</title><rect x="{}" y="{}" width="62" height="44" fill="none" stroke="{}" '
                'stroke-dasharray="3"/>{}<text x="{}" y="{}" font-size="8.5" text-anchor="middle" fill="{}">{}</text></g>',
                island["name"], x, y, LINE,
                format_html_join("", '<circle cx="{}" cy="{}" r="1.6" fill="{}"/>', ((x + dx, y + dy, LINE) for dx, dy in dots)),
                x + 31, y + 38, INK, island["name"].removeprefix("Quần đảo "),
            )
        )  # fmt: skip
    return _svg(
        data["width"], data["height"], ident=ident, title=title, desc=_describe(values),
        body=mark_safe("".join(body)), css="geo-map",
    )  # fmt: skip


def bars(
    items: Sequence[tuple[str, int | float | None]],
    *,
    title: str,
    ident: str,
    formatter: Callable[[int | float], str] = format_number,
    total: int | float | None = None,
) -> SafeString:
    """Horizontal bars, one under the other, each with its label above and its number written out.

    total: the length of a full bar; else the largest value. Fits a phone (360 units wide).
    """
    width, row = 360, 50
    largest = total or max((value or 0 for _label, value in items), default=0) or 1
    body = []
    for index, (label, value) in enumerate(items):
        y = index * row
        length = round((value or 0) / largest * width, 1)
        body.append(
            format_html(
                '<text x="0" y="{}" font-size="14" fill="{}">{}</text>'
                '<text x="{}" y="{}" font-size="14" font-weight="700" text-anchor="end" fill="{}">{}</text>'
                '<rect x="0" y="{}" width="{}" height="14" rx="3" fill="#dbe5ef"/>'
                '<rect x="0" y="{}" width="{}" height="14" rx="3" fill="{}"/>',
                y + 16, INK, label, width, y + 16, INK, "—" if value is None else formatter(value),
                y + 23, width, y + 23, min(length, width), BRAND,
            )
        )  # fmt: skip
    desc = "; ".join(f"{label}: {'—' if value is None else formatter(value)}" for label, value in items)
    return _svg(
        width, max(len(items) * row, 1), ident=ident, title=title, desc=desc, body=mark_safe("".join(body))
    )


def funnel(steps: Sequence[tuple[str, int, str]], *, title: str, ident: str = "funnel") -> SafeString:
    """Steps of the way from the pledge to the child: (label, devices, note such as the median days).

    The first step is a promise, not a result: its bar is an outline, and the scale of the others is the largest of
    them, so that what is lost on the way shows.
    """
    width, row, bar = 360, 72, 18
    largest = max((value for _label, value, _note in steps[1:]), default=0) or 1
    body = []
    for index, (label, value, note) in enumerate(steps):
        y = index * row
        body.append(
            format_html(
                '<text x="0" y="{}" font-size="15" fill="{}">{}</text>'
                '<text x="{}" y="{}" font-size="16" font-weight="700" text-anchor="end" fill="{}">{}</text>',
                y + 15, INK, label, width, y + 15, INK, format_number(value),
            )
        )  # fmt: skip
        if index == 0:
            body.append(
                format_html(
                    '<rect x="1" y="{}" width="{}" height="{}" rx="3" fill="#fff" stroke="{}" stroke-width="1.5" stroke-dasharray="5 4"/>',
                    y + 22, width - 2, bar, LINE,
                )
            )  # fmt: skip
        else:
            length = max(round(value / largest * width, 1), 2) if value else 0
            fill = "#166534" if index == len(steps) - 1 else BRAND
            body.append(
                format_html(
                    '<rect x="0" y="{}" width="{}" height="{}" rx="3" fill="#e6edf5"/>'
                    '<rect x="0" y="{}" width="{}" height="{}" rx="3" fill="{}"/>',
                    y + 22, width, bar, y + 22, length, bar, fill,
                )
            )  # fmt: skip
        if note:
            body.append(
                format_html('<text x="0" y="{}" font-size="13" fill="#475769">{}</text>', y + 55, note)
            )
    desc = "; ".join(f"{label}: {format_number(value)}" for label, value, _note in steps)
    return _svg(
        width, max(len(steps) * row, 1), ident=ident, title=title, desc=desc, body=mark_safe("".join(body))
    )


def trend(
    points: Sequence[tuple[str, int]],
    *,
    title: str,
    ident: str,
    target: int | None = None,
    target_label: str = "",
) -> SafeString:
    """A line over dated points (label, value), from zero; with the target as a dashed line."""
    width, height, pad, foot = 360, 190, 8, 24
    if not points:
        return _svg(width, height, ident=ident, title=title, desc=_("Chưa có số liệu."), body="")
    top = max([value for _label, value in points] + ([target] if target else [])) or 1
    plot = height - foot - 20
    step = (width - 2 * pad) / max(len(points) - 1, 1)

    def place(index: int, value: int) -> tuple[float, float]:
        return round(pad + index * step, 1), round(20 + plot - value / top * plot, 1)

    line = " ".join(f"{x},{y}" for x, y in (place(i, v) for i, (_label, v) in enumerate(points)))
    last_x, last_y = place(len(points) - 1, points[-1][1])
    body = [
        format_html('<path d="M0 {}H{}" stroke="{}"/>', 20 + plot, width, LINE),
        format_html('<polyline points="{}" fill="none" stroke="{}" stroke-width="3" stroke-linejoin="round"/>', line, BRAND),
        format_html('<circle cx="{}" cy="{}" r="4.5" fill="{}"/>', last_x, last_y, BRAND),
        format_html(
            '<text x="{}" y="{}" font-size="14" font-weight="700" text-anchor="end" fill="{}">{}</text>',
            width, max(last_y - 8, 13), INK, format_number(points[-1][1]),
        ),
        format_html('<text x="0" y="{}" font-size="12" fill="{}">{}</text>', height - 6, INK, points[0][0]),
        format_html('<text x="{}" y="{}" font-size="12" text-anchor="end" fill="{}">{}</text>', width, height - 6, INK, points[-1][0]),
    ]  # fmt: skip
    if target:
        _x, y = place(0, target)
        body.append(
            format_html(
                '<path d="M0 {0}H{1}" stroke="#92400e" stroke-dasharray="6 4" stroke-width="1.5"/>'
                '<text x="0" y="{2}" font-size="12" fill="#92400e">{3}</text>',
                y, width, y - 5, target_label or format_number(target),
            )
        )  # fmt: skip
    desc = "; ".join(f"{label}: {format_number(value)}" for label, value in points)
    return _svg(width, height, ident=ident, title=title, desc=desc, body=mark_safe("".join(body)))

"""Numbers, money and dates as Vietnamese readers write them, and the links of the base templates.

The filters show `1.234`, `2.500 tỷ đồng`, `10.900.000 đ`, `21/09/2021` whatever the active locale is, in
English pages with the same digits grouping that the English reader expects (`1,234`).
Never use them for ids, addresses or SVG numbers: `unlocalized` gives the bare digits.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from django import template
from django.conf import settings
from django.urls import NoReverseMatch, Resolver404, resolve, reverse, translate_url
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, override

from common.notices import current
from common.vietnamese import number_text

register = template.Library()

BILLION = 1_000_000_000
# As the programme's codes are written: CK-2021-000123, 7K3Q-F9XW-2MDC, TH-THCS has no digit and is a word.
CODE = re.compile(r"\b(?=[A-Z-]*\d)(?=[\d-]*[A-Z])[A-Z0-9]{2,}(?:-[A-Z0-9]+)+\b")


def _is_english() -> bool:
    return (get_language() or "vi").startswith("en")


def format_number(value: int | float | Decimal | None, decimals: int = 0) -> str:
    """A number with thousands separated: `1.234`, with decimals `35,5` (English: `1,234`, `35.5`).

    None gives `—`. Decimals that are all zero are left out.
    """
    if value is None or value == "":
        return "—"
    return number_text(value, decimals, english=_is_english())


def format_vnd(value: int | Decimal | None) -> str:
    """Đồng in full: `10.900.000 đ`."""
    return "—" if value is None or value == "" else f"{format_number(value)} đ"


def format_money(value: int | Decimal | None) -> str:
    """Đồng as one says it: round billions as `2.500 tỷ đồng` or `3,75 tỷ đồng`, everything else in full."""
    if value is None or value == "":
        return "—"
    if abs(value) >= BILLION and value % (BILLION // 100) == 0:
        billions = format_number(Decimal(value) / BILLION, 2)
        return gettext("%(n)s tỷ đồng") % {"n": billions}
    return format_vnd(value)


def format_date(value: date | datetime | None) -> str:
    """`21/09/2021`; a moment is first brought to Vietnam's time."""
    if not value:
        return "—"
    if isinstance(value, datetime):
        value = timezone.localtime(value).date() if timezone.is_aware(value) else value.date()
    return f"{value.day:02}/{value.month:02}/{value.year:04}"


def format_moment(value: datetime | None) -> str:
    """`17:00 ngày 05/10/2021` in Vietnam's time."""
    if not value:
        return "—"
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    if _is_english():
        return f"{local:%H:%M} on {format_date(local)}"
    return f"{local:%H:%M} ngày {format_date(local)}"


def format_percent(done: int | float | None, total: int | float | None) -> str:
    """`9,3%` of a total; `—` where there is no total. Less than all never rounds up to 100%."""
    if not total or done is None:
        return "—"
    share = Decimal(str(done)) * 100 / Decimal(str(total))
    if share < 100 and share > Decimal("99.9"):
        share = Decimal("99.9")
    return f"{format_number(share, 1)}%"


register.filter("vi_number", format_number)
register.filter("vi_vnd", format_vnd)
register.filter("vi_money", format_money)
register.filter("vi_date", format_date)
register.filter("vi_moment", format_moment)
register.filter("vi_percent_of", format_percent)


@register.filter
def real_moment(value: datetime) -> str:
    """A moment of the machine's own clock; a demonstration, whose other days are the programme's of 2021, says so."""
    when = format_moment(value)
    if not settings.DEMO:
        return when
    return gettext("%(when)s (giờ thật lúc chạy bản trình diễn)") % {"when": when}


@register.filter
def vi_iso(value: str) -> str:
    """A date as the public log writes it (`2021-09-21`) as `21/09/2021`."""
    return format_date(date.fromisoformat(value))


@register.filter
def vi_when(value: date | datetime | str | None) -> str:
    """A date as `21/09/2021`, a moment as `17:00 ngày 05/10/2021`, a text as it is."""
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, date):
        return format_date(value)
    return value or ""


@register.filter
def vi_cell(value: object) -> str:
    """A raw value of a report's row: dates and whole numbers as one writes them, other texts as they are."""
    if isinstance(value, int) and not isinstance(value, bool):
        return format_number(value)
    return vi_when(value) if isinstance(value, date) else ("—" if value is None else str(value))


@register.simple_tag
def table_heads(
    columns: Sequence[str], rows: Sequence[Sequence[object]], links: Mapping[str, str] | None
) -> list[dict]:
    """Columns of a table of raw values: name, whether it holds figures, and the address name that its values open."""
    first = rows[0] if rows else ()
    return [
        {
            "name": name,
            "is_figure": any(
                isinstance(value, int) and not isinstance(value, bool) for value in first[n : n + 1]
            ),
            "view": (links or {}).get(name, ""),
        }
        for n, name in enumerate(columns)
    ]


@register.filter
def under_heads(row: Sequence[object], heads: Sequence[dict]) -> list[dict]:
    """The values of a row, each with what `table_heads` says of its column; `href` where one opens its code."""
    return [
        head | {"value": value, "href": reverse(head["view"], args=[value]) if head["view"] and value else ""}
        for head, value in zip(heads, row, strict=True)
    ]


@register.filter
def vi_days(value: timedelta | int | None) -> str:
    """A span in whole days: `12 ngày`."""
    if value is None:
        return "—"
    days = value.days if isinstance(value, timedelta) else int(value)
    return gettext("%(n)s ngày") % {"n": format_number(days)}


@register.filter
def with_codes(title: object) -> SafeString:
    """A title whose codes are set as codes: on a phone they don't break at their hyphens."""
    return mark_safe(CODE.sub(r'<span class="code">\g<0></span>', conditional_escape(title)))


@register.filter
def unlocalized(value: object) -> str:
    """The bare digits, for ids, addresses, `value=` and SVG attributes."""
    return "" if value is None else str(value)


@register.filter
def error_count(form: object) -> int:
    """How many messages a bound form carries."""
    return sum(len(errors) for errors in form.errors.values())


@register.filter
def page_range(page: object) -> list[int | str]:
    """Page numbers to show, `…` where some are left out."""
    return list(page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1))


def localized_path(path: str) -> str:
    """The path in the active language: the English of `/so-cai/` is `/en/so-cai/` where that page exists."""
    if not _is_english():
        return path
    # The path is written as in Vietnamese, so it is looked up there.
    with override("vi"), contextlib.suppress(Resolver404):
        if resolve(path.partition("?")[0]).view_name in settings.ENGLISH_VIEWS:
            return translate_url(path, "en")
    return path


@register.inclusion_tag("components/notices.html")
def notices() -> dict:
    """What everyone is told now, in the page's language."""
    found = [
        {"text": notice["text_en"] or notice["text"] if _is_english() else notice["text"], "kind": kind}
        for notice in current()
        for kind in ["warning" if notice["is_warning"] else "info"]
    ]
    return {"notices": found}


@register.simple_tag
def home_path() -> str:
    return localized_path("/")


register.simple_tag(localized_path, name="local")


@register.simple_tag(takes_context=True)
def nav_link(context: dict, path: str, text: str) -> str:
    """One item of the main menu; the page where one is carries aria-current."""
    path = localized_path(path)
    request = context.get("request")
    here = request.path if request else ""
    is_current = here == path if path in ("/", "/en/") else here.startswith(path)
    current = format_html(' aria-current="{}"', "page" if here == path else "true") if is_current else ""
    return format_html('<li><a href="{}"{}>{}</a></li>', path, current, text)


@register.simple_tag
def foot_link(path: str, text: str) -> str:
    """One item of the footer's menu."""
    return format_html('<li class="col-6 col-sm-4"><a href="{}">{}</a></li>', localized_path(path), text)


@register.simple_tag(takes_context=True)
def switch_language(context: dict) -> dict | None:
    """The same page in the other language: dict(path, code, name), or None where the page has none."""
    request = context.get("request")
    if request is None or request.method != "GET":
        return None
    code, name = ("vi", "Tiếng Việt") if _is_english() else ("en", "English")
    here = request.get_full_path()
    match = request.resolver_match
    if match is None or match.view_name not in settings.ENGLISH_VIEWS:
        return None
    # The address was resolved already; building the other one is enough.
    query = f"?{request.META['QUERY_STRING']}" if request.META.get("QUERY_STRING") else ""
    try:
        with override(code):
            path = reverse(match.view_name, args=match.args, kwargs=match.kwargs) + query
    except NoReverseMatch:
        return None
    return None if path == here else {"path": path, "code": code, "name": name}

"""Documents as PDF, drawn by typst without any system library.

A template `<app>/typst/<name>.typ` gets its data as JSON and never as markup, so that a name like
`#import` prints as it is written. The letterhead and table styles are in `common/typst/letter.typ`:

    #import "letter.typ": *
    #let data = json("data.json")
    #show: letter.with(title: data.title)
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import typst
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse

HERE = Path(__file__).resolve().parent
FONTS = HERE / "fonts"


class TemplateMissing(LookupError):
    """The asked template doesn't lie in the app's `typst` folder."""


@cache
def _letterhead() -> bytes:
    return (HERE / "typst" / "letter.typ").read_bytes()


def _template_source(template: str) -> bytes:
    """Source of `app/name.typ`; kept in no cache in DEBUG so that a designer sees changes at once."""
    app, _, name = template.partition("/")
    path = Path(settings.BASE_DIR) / app / "typst" / name
    if not name.endswith(".typ") or ".." in template or not path.is_file():
        raise TemplateMissing(f"No PDF template {template!r}")
    return path.read_bytes()


def render_pdf(template: str, data: dict, *, at: datetime | None = None) -> bytes:
    """The PDF of a template.

    template: `app/name.typ`, in `<app>/typst/`. data: what JSON (with Django's dates and decimals) can
    carry. at: the moment written into the file's metadata; the same data at the same moment give the
    same bytes. Raises TemplateMissing, and typst.TypstError for a template that doesn't compile.
    About 20 ms a page; text is tagged for screen readers (PDF/UA structure).
    """
    moment = at or datetime(2021, 9, 21, tzinfo=UTC)
    return typst.compile(
        {
            "main.typ": _template_source(template),
            "letter.typ": _letterhead(),
            "data.json": json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False).encode(),
        },
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
        timestamp=int(moment.timestamp()),
        format="pdf",
    )


def pdf_response(filename: str, content: bytes, *, download: bool = False) -> HttpResponse:
    """The PDF in the browser, or as a file to keep; `filename` in plain ASCII letters."""
    response = HttpResponse(content, content_type="application/pdf")
    kind = "attachment" if download else "inline"
    response["Content-Disposition"] = f'{kind}; filename="{filename}"'
    return response

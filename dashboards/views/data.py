"""Donors, statement, open data, news feed and badge: what the press and other programmes take with them."""

import datetime as dt
import tempfile
from collections import Counter
from pathlib import Path

from django import forms
from django.contrib.syndication.views import Feed
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common import clock
from common.access import public
from common.exports import XLSX_TYPE, csv_response, write_xlsx
from common.templatetags.vi import format_number
from common.vietnamese import search_key
from dashboards import donors, opendata, snapshot, statement
from dashboards.models import Story
from ledger import disclosure

PAGE = 50


@public
def donor_list(request: HttpRequest) -> HttpResponse:
    """Who gave, by what was delivered."""
    shot = snapshot.latest()
    words, kind = request.GET.get("q", "").strip()[:80], request.GET.get("loai", "")
    found = [row for row in donors.delivered(shot) if search_key(words) in search_key(row.name)]
    kinds = Counter(row.kind for row in found)
    rows = [row for row in found if kind not in kinds or row.kind == kind]
    page = Paginator(rows, PAGE).get_page(request.GET.get("trang"))
    context = {"page": page, "shot": shot, "words": words, "kind": kind, "kinds": sorted(kinds.items())}
    return render(request, "dashboards/donors.html", context)


class StatementFilter(forms.Form):
    """What a reader of the statement looks for; everything may be left empty."""

    direction = forms.ChoiceField(
        label=gettext_lazy("Thu hay chi"),
        required=False,
        choices=[
            ("", gettext_lazy("Tất cả")),
            ("in", gettext_lazy("Tiền vào")),
            ("out", gettext_lazy("Tiền ra")),
            ("move", gettext_lazy("Chuyển nơi giữ")),
        ],
    )
    words = forms.CharField(
        label=gettext_lazy("Tên, mã cam kết hoặc chứng từ"), required=False, max_length=80
    )
    since = forms.DateField(
        label=gettext_lazy("Từ ngày"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    until = forms.DateField(
        label=gettext_lazy("Đến ngày"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class _Lines:
    """The statement as a paginator reads it: a count and slices."""

    ordered = True

    def __init__(self, wanted: dict, count: int):
        self.wanted, self.size = wanted, count

    def count(self) -> int:
        return self.size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> list[statement.Line]:
        return statement.lines(**self.wanted, limit=part.stop - part.start, offset=part.start)


@public
def statement_page(request: HttpRequest) -> HttpResponse:
    """Every inflow and outflow, filtered by address, with a permanent address per row."""
    form = StatementFilter(request.GET)
    form.use_required_attribute = False
    wanted = {key: value for key, value in form.cleaned_data.items() if value} if form.is_valid() else {}
    if "csv" in request.GET:
        columns = opendata.DATASETS["statement"].columns
        rows = (tuple(vars(line).values()) for line in statement.lines(**wanted))
        rows = disclosure.public_rows(columns, rows, "statement")
        return csv_response("sao-ke.csv", columns, rows)
    totals = statement.totals(**wanted)
    page = Paginator(_Lines(wanted, totals.count), PAGE).get_page(request.GET.get("trang"))
    whole = statement.totals() if wanted else totals
    context = {"form": form, "page": page, "totals": totals, "whole": whole, "is_filtered": bool(wanted)}
    return render(request, "dashboards/statement.html", context | {"shot": snapshot.latest()})


@public
def statement_line(request: HttpRequest, ref: str) -> HttpResponse:
    """One row of the statement and what stands behind it."""
    found = statement.lines(ref=ref, limit=1)
    if not found:
        raise Http404
    line = found[0]
    rows = [{"key": key, "value": value} for key, value in statement.documents_of(line)]
    return render(request, "dashboards/statement_line.html", {"line": line, "rows": rows})


@public
def open_data(request: HttpRequest) -> HttpResponse:
    """All open data with their fields, formats and dated files."""
    context = {
        "datasets": opendata.DATASETS.values(),
        "formats": opendata.FORMATS,
        "days": opendata.dumps(),
        "licence": opendata.LICENCE,
        "badge": request.build_absolute_uri(reverse("dashboards:badge")),
        "home": request.build_absolute_uri("/"),
    }
    return render(request, "dashboards/open_data.html", context)


@public
def dataset_file(request: HttpRequest, slug: str, kind: str) -> HttpResponse | FileResponse:
    """One set as CSV, XLSX or JSON, of this moment."""
    dataset = opendata.DATASETS.get(slug)
    if dataset is None or kind not in opendata.FORMATS:
        raise Http404
    if kind == "csv":
        return csv_response(f"{slug}.csv", dataset.columns, dataset.rows())
    now = clock.now()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{slug}.{kind}"
        if kind == "xlsx":
            write_xlsx(path, [(slug, dataset.columns, dataset.rows())], at=now)
        else:
            opendata.write_json(path, dataset, on=timezone.localdate(now))
        # The open file outlives its name; the response closes it.
        file = path.open("rb")
    response = FileResponse(
        file,
        filename=path.name,
        as_attachment=True,
        content_type=XLSX_TYPE if kind == "xlsx" else "application/json",
    )
    response["Access-Control-Allow-Origin"] = "*"
    return response


@public
def dump_file(request: HttpRequest, on: str, name: str) -> FileResponse:
    """A file of a day's dump, the same for ever."""
    path = opendata.dump_file(on=on, name=name)
    if path is None:
        raise Http404
    response = FileResponse(path.open("rb"), filename=f"{on}-{name}", as_attachment=True)
    response["Access-Control-Allow-Origin"] = "*"
    return response


@public
def badge(request: HttpRequest) -> HttpResponse:
    """A small picture with the latest figure, to be put on other pages: no script, no cookie."""
    shot = snapshot.latest()
    number = format_number(shot.nation("handed_over") or 0)
    text = _("máy tính đã đến tay học sinh")
    picture = format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 320 84" width="320" height="84">'
        '<title>{number} {text}</title><rect x=".5" y=".5" width="319" height="83" rx="10" fill="#fff" stroke="#0b5394"/>'
        '<rect x="14" y="18" width="48" height="48" rx="10" fill="#0b5394"/>'
        '<g fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"><rect x="23" y="39" width="30" height="16" rx="3"/>'
        '<path d="M20 60h36M31 33a9 9 0 0 1 14 0M27 28a15 15 0 0 1 22 0"/></g>'
        '<text x="76" y="40" font-family="Arial,sans-serif" font-size="26" font-weight="700" fill="#0b5394">{number}</text>'
        '<text x="76" y="61" font-family="Arial,sans-serif" font-size="13" fill="#1b2733">{text}</text></svg>',
        number=number,
        text=text,
    )
    response = HttpResponse(picture, content_type="image/svg+xml")
    response["Cache-Control"] = "public, max-age=600"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


class StoriesFeed(Feed):
    """News as RSS 2.0."""

    access = public
    title = "Sóng và máy tính cho em"
    link = "/tin-tuc/"
    description = "Tin tức của Chương trình"
    language = "vi"

    def items(self):
        return Story.objects.published_by(clock.today())[:20]

    def item_title(self, item: Story) -> str:
        return item.title

    def item_description(self, item: Story) -> str:
        return item.summary

    def item_link(self, item: Story) -> str:
        return reverse("dashboards:story", args=[item.slug])

    def item_pubdate(self, item: Story) -> dt.datetime:
        return dt.datetime.combine(item.published_on, dt.time(8), tzinfo=dt.timezone(dt.timedelta(hours=7)))

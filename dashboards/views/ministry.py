"""Pages of the ministries: where the plan stands, what is stuck, letters, the periodic report."""

import datetime as dt
import tempfile

from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from allocation.models import AllocationRun
from common import charts, clock
from common.exports import XLSX_TYPE, csv_response, write_xlsx
from common.pdf import pdf_response, render_pdf
from common.templatetags.vi import format_date, format_number
from dashboards import ministry, runs, snapshot, stuck
from schools.models import AdministrativeUnit, Office
from schools.perms import staff
from schools.reach import held_roles

Kind = Office.Kind
# On the first page; a phone shows each as a card.
SHOWN_STUCK = 8
PROVINCIAL = (Kind.PROVINCE_COMMITTEE, Kind.PROVINCE_DEPARTMENT, Kind.PROVINCE_INFORMATION)
steering = staff(kinds=[*ministry.NATIONAL_KINDS, *PROVINCIAL])
national = staff(kinds=list(ministry.NATIONAL_KINDS))


@steering
def dashboard(request: HttpRequest) -> HttpResponse:
    """The nation for the ministries and the programme; a province's people see their own province."""
    mine = ministry.provinces_of(request.user)
    if mine is not None:
        units = AdministrativeUnit.objects.filter(public_code__in=mine, level="province").order_by("code")
        if len(units) == 1:
            return province(request, units[0].slug)
        return render(request, "dashboards/ministry_choose.html", {"units": units})
    today = clock.today()
    shot = snapshot.latest()
    late, nation = stuck.waiting(today=today), ministry.children()
    series = [(format_date(on), done) for on, done in snapshot.cumulative()]
    context = {
        "shot": shot,
        "today": today,
        "targets": ministry.targets(shot=shot, today=today, nation=nation),
        "late": late[:SHOWN_STUCK],
        "late_count": len(late),
        "own": _own_office(request.user),
        "budgets": ministry.budget_lines(),
        "gaps": ministry.gaps(pupils=nation),
        "operators": ministry.operators(today=today),
        "provinces": ministry.province_rows(shot),
        "trend": charts.trend(series, title="Máy đã bàn giao, cộng dồn theo tuần công bố", ident="trend"),
        "series": [[on, format_number(done)] for on, done in series],
    }
    return render(request, "dashboards/ministry.html", context)


@steering
def province(request: HttpRequest, slug: str) -> HttpResponse:
    """One province: raw figures, what is stuck there, the gap to 100%."""
    unit = get_object_or_404(AdministrativeUnit.objects.provinces(), slug=slug)
    mine = ministry.provinces_of(request.user)
    if mine is not None and unit.public_code not in mine:
        raise Http404
    today = clock.today()
    shot = snapshot.latest()
    rows = ministry.province_rows(shot, only={unit.public_code})
    context = {
        "unit": unit,
        "shot": shot,
        "row": rows[0] if rows else None,
        "late": stuck.waiting(today=today, province=unit.public_code),
        "gaps": ministry.gaps(province=unit.public_code),
        "late_points": ministry.late_points(today=today, province=unit.public_code),
        "is_national": mine is None,
        "own": _own_office(request.user),
    }
    return render(request, "dashboards/ministry_province.html", context)


RUN_COLUMNS = ["Tỉnh, thành phố", "Nhu cầu", "Hạn mức", "Đang phân bổ", "Đã gửi", "Đã nhận", "Đã bàn giao"]


@steering
def run(request: HttpRequest, code: str) -> HttpResponse:
    """A committed run province by province: need, cap, allocated, sent, received; as CSV with `?csv=1`."""
    row = get_object_or_404(AllocationRun.objects.for_user(request.user), code=code, state="committed")
    mine = ministry.provinces_of(request.user)
    parts = runs.standing(row, only=mine)
    if "csv" in request.GET:
        cells = ([unit.full_name, *part.numbers] for unit, part in parts)
        return csv_response(f"dot-{row.code}.csv", RUN_COLUMNS, cells)
    shown = [(unit.full_name, part) for unit, part in parts]
    if len(shown) > 1:
        shown.insert(0, ("Tất cả", sum((part for _, part in parts), runs.Standing())))
    rows = [[name, *map(format_number, part.numbers)] for name, part in shown]
    return render(request, "dashboards/run.html", {"run": row, "columns": RUN_COLUMNS, "rows": rows})


@steering
def stuck_list(request: HttpRequest) -> HttpResponse:
    """All that is stuck, by kind; as CSV with `?csv=1`."""
    mine = ministry.provinces_of(request.user)
    kind = request.GET.get("viec", "")
    rows = stuck.waiting(today=clock.today(), kinds=(kind,) if kind in stuck.KINDS else ())
    if mine is not None:
        rows = [row for row in rows if row.province in mine]
    if "csv" in request.GET:
        columns = ["Việc", "Nơi cần làm", "Mã nơi", "Tỉnh", "Số lượng", "Đơn vị", "Từ ngày", "Số ngày"]
        cells = (
            [
                row.kind.label,
                row.office,
                row.office_code,
                row.province,
                row.count,
                row.kind.unit,
                row.since,
                row.days,
            ]
            for row in rows
        )
        return csv_response("dang-ket.csv", columns, cells)
    page = Paginator(rows, 20).get_page(request.GET.get("trang"))
    context = {"page": page, "kinds": stuck.KINDS.values(), "chosen": kind, "own": _own_office(request.user)}
    return render(request, "dashboards/stuck.html", context)


def _own_office(user) -> Office | None:
    """The national office that this person writes for."""
    held = [one.office_id for one in held_roles(user) if one.kind in ministry.NATIONAL_KINDS]
    return Office.objects.filter(pk__in=held).order_by("path").first()


def letter_texts(row: stuck.Waiting, *, sender: str, today: dt.date) -> dict:
    """The letter to the office where something waits: what, how many, since when, what is asked by when."""
    due = today + dt.timedelta(days=5)
    thanks = "Trân trọng cảm ơn."
    if row.kind.unit == "máy":
        thanks = f"Mỗi máy đến muộn một tuần là một em nhỏ học thiếu một tuần. {thanks}"
    return {
        "title": "CÔNG VĂN ĐÔN ĐỐC",
        "subtitle": f"V/v {row.kind.label.lower()}",
        "place_date": f"Hà Nội, ngày {today.day:02} tháng {today.month:02} năm {today.year}",
        "office": row.office,
        "paragraphs": [
            (
                "Thực hiện Kế hoạch số 3667/KH-BTTTT-BGDĐT ngày 21/9/2021 về triển khai Chương trình “Sóng và máy tính cho em”, "
                f"số liệu trên hệ thống đến ngày {format_date(today)} cho thấy:"
            ),
            (
                f"{row.kind.label}: {row.amount}, từ ngày {format_date(row.since)}, "
                f"đến nay đã {format_number(row.days)} ngày."
            ),
            (
                f"Đề nghị {row.office} {row.kind.request} trước ngày {format_date(due)}. Nếu có vướng mắc, xin nêu rõ vướng mắc gì, "
                f"ở đâu và cần cơ quan nào phối hợp, để {sender} cùng tháo gỡ."
            ),
            thanks,
        ],
        "signer": sender,
    }


@national
def letter(request: HttpRequest, kind: str, office: str) -> HttpResponse:
    """A letter to send, to read before it is printed."""
    row, texts = _letter_or_404(request.user, kind, office)
    return render(request, "dashboards/letter.html", {"row": row, "letter": texts})


@national
def letter_pdf(request: HttpRequest, kind: str, office: str) -> HttpResponse:
    """The letter to print and sign."""
    _row, texts = _letter_or_404(request.user, kind, office)
    content = render_pdf("dashboards/reminder.typ", texts, at=clock.now())
    return pdf_response(f"don-doc-{kind}-{office}.pdf", content)


def _letter_or_404(user, kind: str, office: str) -> tuple[stuck.Waiting, dict]:
    today, sender = clock.today(), _own_office(user)
    row = stuck.waiting_at(today=today, kind=kind, office_code=office) if kind in stuck.KINDS else None
    # Nobody writes to the own office.
    if row is None or sender is None or row.office_code == sender.code:
        raise Http404
    return row, letter_texts(row, sender=sender.name, today=today)


@national
def report(request: HttpRequest) -> HttpResponse:
    """The periodic report on screen, with its PDF and workbook."""
    data = ministry.report(today=clock.today(), shot=snapshot.latest())
    sections = [
        (title, columns, data[key], reverse("dashboards:report_xlsx"))
        for key, title, columns in REPORT_TABLES
    ]
    return render(request, "dashboards/report.html", {"data": data, "sections": sections})


REPORT_TABLES = (
    ("headline", "Kết quả chính", ["Nội dung", "Giá trị"]),
    (
        "targets",
        "Kế hoạch và thực hiện",
        ["Chỉ tiêu", "Kế hoạch", "Đã đạt", "Tỷ lệ", "Hạn", "Cần mỗi ngày", "Tình trạng"],
    ),
    ("stuck", "Đang kẹt", ["Việc", "Nơi cần làm", "Số lượng", "Từ ngày", "Số ngày"]),
    ("budgets", "Kinh phí", ["Nội dung", "Kế hoạch", "Đã cam kết chi", "Đã chi"]),
    ("gaps", "Khoảng cách đến 100%", ["Nội dung", "Tổng số", "Đã đạt", "Còn thiếu", "Tỷ lệ"]),
    (
        "operators",
        "Phủ sóng theo doanh nghiệp",
        ["Doanh nghiệp", "Số điểm", "Đã có sóng", "Quá hạn", "Đang vướng"],
    ),
    (
        "provinces",
        "Theo tỉnh, thành phố",
        ["Tỉnh, thành phố", "Nhu cầu", "Đã phân bổ", "Về tỉnh", "Đã bàn giao", "Đáp ứng"],
    ),
)


@national
def report_pdf(request: HttpRequest) -> HttpResponse:
    """The report to the ministers, ready to print and sign."""
    now = clock.now()
    data = ministry.report(today=clock.today(), shot=snapshot.latest())
    return pdf_response("bao-cao-tien-do.pdf", render_pdf("dashboards/report.typ", data, at=now))


@national
def report_xlsx(request: HttpRequest) -> FileResponse:
    """The report as a workbook, a sheet per section."""
    data = ministry.report(today=clock.today(), shot=snapshot.latest())
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    write_xlsx(target, [(title, columns, data[key]) for key, title, columns in REPORT_TABLES])
    target.seek(0)
    return FileResponse(target, as_attachment=True, filename="bao-cao-tien-do.xlsx", content_type=XLSX_TYPE)

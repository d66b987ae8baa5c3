"""Of one student in a run: why, why not yet; and the slips that every family gets at the freeze."""

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.services import record_reading
from allocation import explaining, perms, rules
from allocation.engine import GROUPS
from allocation.models import AllocationRun, Applicant, Ranking
from allocation.views.runs import run_of
from common import clock
from common.paging import LongPaginator
from common.pdf import pdf_response, render_pdf
from common.qr import qr_svg_bytes
from common.templatetags.vi import format_moment, format_number
from common.vietnamese import search_key
from schools.models import School, Student
from schools.reach import reach

# Each with some ten classes.
SCHOOLS_PER_PAGE = 10


def students_of(request: HttpRequest, run: AllocationRun) -> QuerySet[Student]:
    within = Student.objects.filter(reach(request.user, through="school__office__"))
    return within.filter(applications__run=run).select_related("school__office")


@perms.reads_students
@require_GET
def applicants(request: HttpRequest, code: str) -> HttpResponse:
    """Students of a run within reach, found by name; 25 a page."""
    run = run_of(request, code)
    if run.frozen_at is None:
        raise Http404
    found = students_of(request, run).order_by("school_id", "class_name", "sort_key", "pk")
    named = perms.sees_names(request.user)
    # Who is shown numbers instead of names doesn't learn by a search which number a name has.
    asked = request.GET.get("ten", "").strip() if named else ""
    if asked:
        found = found.filter(search_key__contains=search_key(asked))
    page = LongPaginator(found, 25).get_page(request.GET.get("trang"))
    if named:
        record_reading(
            by=request.user,
            subject_type="allocation.allocationrun",
            subject_id=run.pk,
            fields="họ tên, lớp, trường",
            reason="",
            row_count=len(page),
        )
    return render(
        request,
        "allocation/applicants.html",
        {
            "run": run,
            "page": page,
            "rows": zip(page, explaining.answers(run, list(page)), strict=True),
            "asked": asked,
            "named": named,
            "reads_runs": perms.reader.test(request.user),
        },
    )


@perms.reads_students
@require_GET
def explanation(request: HttpRequest, code: str, student: int) -> HttpResponse:
    run = run_of(request, code)
    child = get_object_or_404(students_of(request, run), pk=student)
    applicant = Applicant.objects.get(run=run, student=child)
    named = perms.sees_names(request.user)
    if named:
        record_reading(
            by=request.user, subject_type="schools.student", subject_id=child.pk, fields="họ tên, lớp", reason="",
            row_count=1,
        )  # fmt: skip
    standing = explaining.standing(run, applicant)
    rows = [
        {"key": "Học sinh", "value": child.full_name if named else f"Học sinh số {child.pk}"},
        {"key": "Trường", "value": str(child.school)},
        {"key": "Đối tượng", "value": rules.group_title(GROUPS[applicant.group])},
        {
            "key": "Địa phương Chỉ thị 16, học trực tuyến, ngày chốt",
            "value": "Có" if applicant.is_priority else "Không",
        },
        {"key": "Máy mà hộ đã nhận trước đợt", "value": str(applicant.held)},
        {"key": "Mã bốc thăm của em", "value": explaining.spell(applicant.code)},
    ]
    if standing.tier:
        rows.append(
            {"key": "Bậc (địa phương . đối tượng . thứ trong hộ)", "value": ".".join(map(str, standing.tier))}
        )
        rows.append({"key": "Số bốc thăm (nhỏ hơn thì trước)", "value": f"{standing.lot[:16]}…"})
    if standing.ranking:
        rows += ranking_rows(run, standing.ranking)
    return render(
        request,
        "allocation/explanation.html",
        {
            "run": run,
            "child": child,
            "standing": standing,
            "rows": rows,
            "ended": explaining.ended_words(standing.since),
        },
    )


def ranking_rows(run: AllocationRun, ranking: Ranking) -> list[dict[str, str]]:
    """Place among all the eligible and, for who waits, in the queue."""
    rows = [
        {
            "key": "Thứ tự trong mọi em đủ điều kiện của đợt",
            "value": f"{format_number(ranking.position)} trong {format_number(run.applicant_count)} em",
        }
    ]
    if ranking.queue:
        rows.append(
            {
                "key": "Thứ tự trong hàng chờ",
                "value": f"{format_number(ranking.queue)} của đợt, "
                f"{format_number(ranking.queue_in_province)} trong tỉnh, lúc lập phương án",
            }
        )
    return rows


@perms.prints_slips
@require_GET
def slip_classes(request: HttpRequest, code: str) -> HttpResponse:
    """The classes of a run within reach, each with its sheet of slips."""
    run = run_of(request, code)
    if run.frozen_at is None:
        raise Http404
    of_run = Student.objects.filter(school=OuterRef("pk"), applications__run=run)
    schools = School.objects.filter(reach(request.user, through="office__"), Exists(of_run))
    if run.province_id:  # else every pupil of the nation's other schools is looked up in vain
        schools = schools.filter(province=run.province_id)
    if asked := request.GET.get("ten", "").strip():
        schools = schools.filter(office__name__icontains=asked)
    schools = schools.select_related("office").order_by("office__name", "pk")
    page = LongPaginator(schools, SCHOOLS_PER_PAGE).get_page(request.GET.get("trang"))
    classes: dict[int, list[tuple[str, int]]] = {}
    counted = students_of(request, run).filter(school__in=list(page)).values_list("school_id", "class_name")
    for school, class_name, count in counted.annotate(n=Count("pk")).order_by("class_name"):
        classes.setdefault(school, []).append((class_name, count))
    rows = [(school, *line) for school in page for line in classes.get(school.pk, [])]
    return render(
        request,
        "allocation/slip_classes.html",
        {
            "run": run,
            "page": page,
            "rows": rows,
            "asked": asked,
            "reads_runs": perms.reader.test(request.user),
        },
    )


@perms.prints_slips
@require_GET
def slips(request: HttpRequest, code: str) -> HttpResponse:
    """PDF: one slip per family of a class, served or not, with the one-time code and how to check the draw."""
    run = run_of(request, code)
    children = list(
        students_of(request, run)
        .filter(school_id=whole(request.GET.get("truong")), class_name=request.GET.get("lop", ""))
        .order_by("sort_key", "pk")
    )
    if not children or run.frozen_at is None:
        raise Http404
    codes = dict(Applicant.objects.filter(run=run, student__in=children).values_list("student_id", "code"))
    record_reading(
        by=request.user, subject_type="allocation.allocationrun", subject_id=run.pk, fields="họ tên, lớp",
        reason="in phiếu bốc thăm", row_count=len(children),
    )  # fmt: skip
    address = settings.PUBLIC_URL + reverse("allocation:public_run", args=[run.code])
    pdf = render_pdf(
        "allocation/slips.typ",
        {
            "title": "Phiếu bốc thăm của gia đình",
            "run": run.code,
            "source": run.randomness_source,
            "draw_at": format_moment(run.randomness_at),
            "address": address.removeprefix("https://").removeprefix("http://"),
            "school": str(children[0].school),
            "class_name": children[0].class_name,
            "slips": [
                {
                    "name": child.full_name,
                    "code": explaining.spell(codes[child.pk]),
                    # After «#» nothing reaches a server: the code stays with the family.
                    "qr": qr_svg_bytes(f"{address}#{codes[child.pk]}", mask=0).decode(),
                }
                for child in children
            ],
        },
        at=clock.now(),
    )
    return pdf_response(f"phieu-boc-tham-{run.code}.pdf", pdf)


def whole(text: str | None) -> int:
    """The number of an address's query, or 404."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Http404
    return int(text)

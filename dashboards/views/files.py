"""Large tables that somebody asked for: how far they are, and the file."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.services import record_reading
from common import jobs, requested_files
from common.exports import XLSX_TYPE
from common.models import Job, RequestedFile
from coverage.perms import operator
from schools.perms import staff

asks = staff() | operator()


@asks
@require_http_methods(["GET", "POST"])
def requested(request: HttpRequest) -> HttpResponse:
    """The files somebody asked for; with POST (`loai`, `loc`) they ask for another."""
    if request.method == "POST":
        offered = requested_files.offers.get(request.POST.get("loai", ""))
        if offered is None or not offered.may(request.user):
            raise Http404
        try:
            made = requested_files.ask(
                by=request.user, kind=request.POST["loai"], filters=request.POST.get("loc", "")[:1000]
            )
        except ValidationError as refused:
            messages.error(request, refused.messages[0])
            return redirect("dashboards:requested_files")
        return redirect("dashboards:requested_file", pk=made.pk)
    mine = list(RequestedFile.objects.for_user(request.user).living().order_by("-created_at"))
    files = [_described(one) for one in mine if requested_files.is_for(request.user, one)]
    return render(
        request, "dashboards/requested_files.html", {"files": files, "days": requested_files.LASTS.days}
    )


def _described(one: RequestedFile) -> RequestedFile:
    one.title = requested_files.offers[one.kind].title
    one.job = Job.objects.for_subject(one).first()
    return one


def _mine(request: HttpRequest, pk) -> RequestedFile:
    found = get_object_or_404(RequestedFile.objects.for_user(request.user).living(), pk=pk)
    if not requested_files.is_for(request.user, found):
        raise Http404
    return found


@asks
@require_http_methods(["GET"])
def requested_file(request: HttpRequest, pk) -> HttpResponse:
    """How far one file is; the part that asks again every two seconds when htmx asks."""
    return _state_of(request, _mine(request, pk))


def _state_of(request: HttpRequest, found: RequestedFile) -> HttpResponse:
    found = _described(found)
    job = found.job
    has_ended = job and job.state in (Job.State.FAILED, Job.State.CANCELLED)
    context = {
        "file": found, "job": job, "days": requested_files.LASTS.days, "is_ready": found.row_count is not None,
        "error": (job.message or "Thầy/cô đã dừng việc này.") if has_ended else "",
    }  # fmt: skip
    page = "dashboards/requested_file.html"
    return render(request, f"{page}#progress" if request.htmx else page, context)


@asks
@never_cache
@require_http_methods(["GET"])
def download(request: HttpRequest, pk) -> HttpResponse:
    """The file, for who asked for it and still may; that children's data were read is on record before."""
    found = _mine(request, pk)
    offered = requested_files.offers[found.kind]
    if found.row_count is None or not default_storage.exists(found.file_name):
        messages.error(
            request, "Tệp chưa sẵn sàng hoặc không còn trên máy chủ. Nếu chờ đã lâu, hãy yêu cầu tệp mới."
        )
        return redirect("dashboards:requested_file", pk=pk)
    if offered.personal:
        record_reading(
            by=request.user, subject_type="common.requestedfile", subject_id=found.pk, fields=offered.personal,
            row_count=found.row_count,
        )  # fmt: skip
    name = f"{offered.stem}-{timezone.localdate(found.created_at):%Y%m%d}.xlsx"
    return FileResponse(
        default_storage.open(found.file_name), as_attachment=True, filename=name, content_type=XLSX_TYPE
    )


@asks
@require_http_methods(["POST"])
def stop(request: HttpRequest, pk) -> HttpResponse:
    """Stop writing it; it can be asked for again."""
    found = _mine(request, pk)
    for job in Job.objects.for_subject(found).unfinished():
        jobs.request_cancel(by=request.user, job=job)
    return _state_of(request, found) if request.htmx else redirect("dashboards:requested_file", pk=pk)


@asks
@require_http_methods(["POST"])
def drop(request: HttpRequest, pk) -> HttpResponse:
    """Delete a file that is no longer needed, before its time is over."""
    requested_files.drop(by=request.user, requested=_mine(request, pk))
    messages.success(request, "Đã xoá tệp khỏi máy chủ.")
    return redirect("dashboards:requested_files")

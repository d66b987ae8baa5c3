"""A donor announces the serials of pledged devices on the pledge's private page, typed or from a file."""

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from common import clock
from common.access import public
from common.refusals import refusals_on
from common.throttle import found_by_code, is_too_often
from donations import rules, serial_files, services
from donations.forms.warehouse import AnnounceForm
from donations.models import Pledge
from donations.views.public import by_secret, private_url

ERRORS_SHOWN = 200
# Each may start a process that opens a stranger's file.
FILES_PER_HOUR = 60


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@found_by_code
def announce(request: HttpRequest, code: str, secret: str) -> HttpResponse:
    """The list so far, as text to be changed; sent again it takes the place of the one before."""
    pledge = by_secret(request, code, secret)
    if pledge.kind != Pledge.Kind.DEVICE:
        raise Http404
    known = services.announced(pledge)
    text = "\n".join(", ".join(filter(None, (row.serial, row.imei))) for row in known)
    form = AnnounceForm(request.POST or None, request.FILES or None, initial={"serials": text})
    errors: list[rules.RowError] = []
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        if is_too_often(request, what="pledge.serials", limit=FILES_PER_HOUR, seconds=3600):
            form.add_error(None, _("Đã gửi quá nhiều lần trong một giờ. Xin gửi lại sau."))
        else:
            try:
                rows = (
                    serial_files.from_file(file)
                    if file
                    else serial_files.from_text(form.cleaned_data["serials"])
                )
                with refusals_on(form):
                    services.announce_serials(by=None, pledge=pledge, rows=rows, at=clock.now())
            except rules.RowErrors as refused:
                errors = refused.errors
                form.add_error(
                    None,
                    _("Chưa ghi máy nào; %(count)s chỗ cần sửa ở bảng dưới đây.") % {"count": len(errors)},
                )
            except ValidationError as refused:
                form.add_error("file" if file else None, _refusal(refused.messages[0]))
        if not form.errors:
            return redirect(f"{private_url(pledge, secret)}#so-se-ri")
    came = rules.compare_serials(known, services.received(pledge)) if known else None
    context = {
        "form": form,
        "pledge": pledge,
        "back": private_url(pledge, secret),
        "known_count": len(known),
        "arrived_count": came.matching if came else 0,
        "errors": [(row.row, _(row.column), _(row.text) % row.values) for row in errors[:ERRORS_SHOWN]],
        "error_count": len(errors),
    }
    return render(request, "donations/pledge_serials.html", context, status=400 if form.is_bound else 200)


def _refusal(said: str) -> str:
    """Why a file can't be taken, in the page's language; the rarest reasons have only a general sentence in English."""
    translated = _(said)
    if translated == said and get_language() == "en" and not said.isascii():
        return _("Không đọc được tệp: hãy mở bằng Excel, lưu thành .xlsx mới rồi gửi lại.")
    return translated

"""Handing over where there is no signal: the page a phone keeps, its worker, and what the two send when signal is back.

The page holds nobody's data: the list lives in the phone's own store, comes by `exchange` and leaves it again once sent.
"""

import hashlib
import json

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.views.decorators.http import require_POST, require_safe
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from accounts.services import record_reading
from common.access import public
from common.clock import now
from common.vietnamese import clean
from delivery import perms, services
from delivery.models import HandoverRecord
from delivery.views.handovers import record_of

# Everything the page needs without signal, and nothing else.
FILES = (
    "vendor/bootstrap/bootstrap.min.css",
    "css/fonts.css",
    "css/app.css",
    "css/staff.css",
    "js/phone_store.js",
    "js/phone.js",
    "img/logo.svg",
    "fonts/be-vietnam-pro-latin-400-normal.woff2",
    "fonts/be-vietnam-pro-latin-700-normal.woff2",
    "fonts/be-vietnam-pro-vietnamese-400-normal.woff2",
    "fonts/be-vietnam-pro-vietnamese-700-normal.woff2",
)
MOST_ROWS = 1000
YEAR_S = 366 * 24 * 3600


class WrittenRow(serializers.Serializer):
    """One handover as a phone sends it; see `services.Written`."""

    key = serializers.UUIDField()
    allocation = serializers.IntegerField(min_value=1, max_value=2**62)
    device = serializers.CharField(max_length=20)
    guardian_name = serializers.CharField(max_length=80, allow_blank=True)
    age_s = serializers.IntegerField(min_value=0, max_value=YEAR_S)

    def validate_guardian_name(self, value: str) -> str:
        return clean(value)


@perms.hands_over
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page that a phone keeps: the same for everyone, without a name in it."""
    return HttpResponse(_shell())


def _shell() -> str:
    return render_to_string("delivery/phone.html")


@public
@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """The service worker, below `/ban-giao/`, which is all it may touch; it changes when the page or a file does."""
    files = [static(name) for name in FILES]
    version = hashlib.sha256(json.dumps([_shell(), files]).encode()).hexdigest()[:16]
    settings = {"version": version, "page": reverse("delivery:phone"), "files": files}
    text = render_to_string(
        "delivery/phone_worker.js", {"settings": json.dumps(settings), "store": static("js/phone_store.js")}
    )
    return HttpResponse(text, content_type="text/javascript", headers={"Cache-Control": "no-cache"})


@perms.hands_over
def exchange(request: HttpRequest, code: str) -> HttpResponse:
    """JSON. GET: who waits, to be kept on the phone. POST: what was handed over meanwhile; the answer says each row's fate.

    Both carry what the next POST needs, since the phone may have been offline while its session ended.
    """
    record = record_of(request, code)
    if not perms.can_hand_over(request.user, record.school):
        raise Http404
    answers = []
    if request.method == "POST":
        try:
            rows = _rows(request)
        except (ValueError, ValidationError):
            detail = "Điện thoại gửi dữ liệu không đọc được. Hãy tải lại trang rồi gửi lại; chưa ghi gì."
            return JsonResponse({"detail": detail}, status=400)
        answers = services.receive_from_phone(by=request.user, record=record, rows=rows, at=now())
    return JsonResponse(
        _list(request, record)
        | {"answers": [{"key": str(a.key), "outcome": a.outcome, "text": a.text} for a in answers]},
        headers={"Cache-Control": "no-store"},
    )


def _rows(request: HttpRequest) -> list[services.Written]:
    """The rows of the body. Raises ValueError or ValidationError for any other shape."""
    if request.content_type != "application/json":  # the body of a form was read before it came here
        raise ValueError(request.content_type)
    body = json.loads(request.body)
    sent = body.get("rows") if isinstance(body, dict) else None
    if not isinstance(sent, list) or len(sent) > MOST_ROWS:
        raise ValueError("rows")
    shape = WrittenRow(data=sent, many=True)
    shape.is_valid(raise_exception=True)
    return [services.Written(**row) for row in shape.validated_data]


def _list(request: HttpRequest, record: HandoverRecord) -> dict:
    """What the phone keeps: name, class and device of who may receive one now; no date of birth, no number."""
    waiting = (
        [] if record.signed_at else services.waiting_rows(record.school, class_name=record.class_name or None)
    )
    ready = [row for row in waiting if not row.problem]
    record_reading(
        by=request.user,
        subject_type="delivery.handoverrecord",
        subject_id=record.pk,
        fields="họ tên, lớp",
        reason="lưu vào điện thoại để bàn giao nơi không có mạng",
        row_count=len(ready),
    )
    return {
        "token": get_token(request),
        # Whose list it is, so that another person on the same phone neither sees nor sends it.
        "owner": salted_hmac("delivery.phone", str(request.user.pk)).hexdigest()[:16],
        "record": {
            "code": record.code,
            "school": record.school.office.name,
            "class_name": record.class_name,
            "is_signed": bool(record.signed_at),
        },
        "rows": [
            {
                "allocation": row.allocation_id,
                "device": row.device,
                "name": row.full_name,
                "class_name": row.class_name,
            }
            for row in ready
        ],
    }


@perms.hands_over
@require_POST
def settle(request: HttpRequest, code: str) -> HttpResponse:
    """A handover that could not be recorded was looked at."""
    record = record_of(request, code)
    if not perms.can_hand_over(request.user, record.school):
        raise Http404
    key = serializers.UUIDField()
    try:
        asked = key.run_validation(request.POST.get("key", ""))
    except ValidationError:
        raise Http404 from None
    handover = get_object_or_404(record.phone_handovers, key=asked)
    services.settle_phone_handover(by=request.user, handover=handover, at=now())
    messages.success(request, "Đã ghi là xem lại xong.")
    return redirect("delivery:record", record.code)

"""Pages for what went wrong. They need no database and no session, for those may be what is away."""

import errno
import sys

import psycopg
import structlog
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from common.failures import described

log = structlog.get_logger("request")
LOST_DATABASE = (InterfaceError, OperationalError)
LOST_BROKER = (BrokerError, RedisConnectionError, RedisTimeoutError)
RETRY_AFTER_S = 15


def is_full_disk(error: BaseException | None) -> bool:
    """Whether a disk without room is behind an error: PostgreSQL's, or that of our own files."""
    while error is not None:
        if isinstance(error, psycopg.errors.DiskFull):
            return True
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_unsendable(error: BaseException) -> bool:
    """Whether the driver refused a value before it reached PostgreSQL: a text with a NUL, which no keyboard types."""
    raised = error.__cause__ if isinstance(error, DataError) else error
    return isinstance(raised, psycopg.DataError) and raised.sqlstate is None


def bad_request(request: HttpRequest, exception=None) -> HttpResponse:
    """400: what came is not a request of ours."""
    return _page(request, 400)


def permission_denied(request: HttpRequest, exception=None) -> HttpResponse:
    """403: signed in, but not for this."""
    return _page(request, 403)


def forged_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 of the CSRF check: mostly a form that stood open over night or a browser without cookies."""
    return _page(request, 403, name="csrf")


def not_found(request: HttpRequest, exception=None) -> HttpResponse:
    """404: no such page, or outside one's scope, which looks the same."""
    return _page(request, 404)


def too_often(request: HttpRequest, *, minutes: int) -> HttpResponse:
    """429: more look-ups from one address in a window of some minutes than a school or an office makes."""
    response = _page(request, 429, minutes=minutes)
    response["Retry-After"] = str(minutes * 60)
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our fault; or 503 when a service was lost before the view (session and roles are read in middleware)."""
    error = sys.exc_info()[1]
    if isinstance(error, (*LOST_DATABASE, *LOST_BROKER)) or is_full_disk(error):
        return service_lost(request, error)
    if error is not None:
        match = request.resolver_match
        log.error("request.failed", page=match.view_name if match else "none", **described(error))
    return _page(request, 500)


def service_lost(request: HttpRequest, error: BaseException) -> HttpResponse:
    """503: database, broker or room away; nothing was half done, the same request works when it is back."""
    kind = "full" if is_full_disk(error) else "broker" if isinstance(error, LOST_BROKER) else "database"
    log.error("service.lost", what=kind, **described(error))
    response = _page(request, 503, name=kind)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response


def closed(request: HttpRequest, *, what: str, why: str) -> HttpResponse:
    """503: a form that the programme closed for a while; nothing was written."""
    return _page(request, 503, name="closed", what=what, why=why)


def _page(request: HttpRequest, status: int, *, name: str = "", **context: str | int) -> HttpResponse:
    kind = name or str(status)
    if request.path.startswith("/api/") or "application/json" in request.headers.get("Accept", "").split(","):
        return JsonResponse({"detail": MESSAGES[kind].format(**context)}, status=status)
    page = render_to_string(
        "errors/page.html", {"kind": kind, "status": status, "again": request.method == "GET", **context}
    )
    return HttpResponse(page, status=status)


MESSAGES = {
    "400": "Máy chủ không hiểu yêu cầu này.",
    "403": "Tài khoản này không được làm việc đó.",
    "csrf": "Biểu mẫu đã hết hạn hoặc trình duyệt chặn cookie. Hãy tải lại trang và gửi lại.",
    "404": "Không có địa chỉ này.",
    "429": "Từ địa chỉ mạng này vừa có quá nhiều lượt tra cứu. Hãy chờ {minutes} phút rồi thử lại.",
    "500": "Lỗi của hệ thống. Việc vừa gửi chưa được ghi.",
    "database": "Cơ sở dữ liệu đang gián đoạn. Việc vừa gửi chưa được ghi; hãy thử lại sau ít phút.",
    "full": "Máy chủ đã hết chỗ lưu. Việc vừa gửi chưa được ghi; hãy thử lại sau ít phút.",
    "closed": "Chương trình đang tạm ngừng nhận. Việc vừa gửi chưa được ghi.",
    "broker": "Hàng đợi công việc đang gián đoạn. Hãy thử lại sau ít phút.",
}

"""How often one address may send a public form or look something up: counted in our own cache, no third party."""

import functools
import hashlib
import time
from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from common import errors

# A school behind one address hands out 500 devices and every family follows its label; a robot reads on and on.
ASKED_IN_TEN_MINUTES = 1_000
# Who tries codes meets mostly codes that nobody has; who follows a label meets none.
MISSED_A_MINUTE = 60


def client_address(request: HttpRequest) -> str:
    """The address of the client as the outermost of our own proxies saw it (`NUM_PROXIES`)."""
    forwarded = [
        part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()
    ]
    if settings.NUM_PROXIES and forwarded:
        return forwarded[-min(settings.NUM_PROXIES, len(forwarded))]
    return request.META.get("REMOTE_ADDR", "")


def is_too_often(request: HttpRequest, *, what: str, limit: int, seconds: int) -> bool:
    """Count this request and say whether the client went over `limit` in the running window of `seconds`.

    A whole school may share one address, so limits are generous. Only a hash of the address is kept.
    """
    address = hashlib.sha256(client_address(request).encode()).hexdigest()[:24]
    # Windows have fixed ends: a cache in files forgets, with each count, how long the counter was to be kept.
    key = f"throttle:{what}:{address}:{int(time.time()) // seconds}"
    cache.add(key, 0, seconds)
    try:
        count = cache.incr(key)
    except ValueError:  # expired in between
        return False
    cache.touch(key, seconds)
    return count > limit


def _misses_too_often(request: HttpRequest) -> bool:
    return _over(request, what="missed", limit=MISSED_A_MINUTE, seconds=60)


def _over(request: HttpRequest, **window) -> bool:
    """As `is_too_often`, but a cache that is away or has no room counts nothing: what is public stays readable."""
    try:
        return is_too_often(request, **window)
    except (*errors.LOST_BROKER, OSError):
        return False


def found_by_code(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Mark a public page that a full code opens: whoever asks or misses too often gets a 429."""

    @functools.wraps(view)
    def throttled(request: HttpRequest, *args, **kwargs) -> HttpResponseBase:
        # Counted before anything is looked up, and again when nothing was found (rule 6 of the ledger).
        if _over(request, what="asked", limit=ASKED_IN_TEN_MINUTES, seconds=600):
            return errors.too_often(request, minutes=10)
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            if _misses_too_often(request):
                return errors.too_often(request, minutes=1)
            raise
        if response.status_code == 404 and _misses_too_often(request):
            return errors.too_often(request, minutes=1)
        return response

    return throttled

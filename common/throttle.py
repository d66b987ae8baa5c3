"""How often one address may send a public form or look something up: counted in our own cache, no third party."""

import hashlib
import time

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest


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

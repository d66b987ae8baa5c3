"""What people are told above every page, and forms that are closed for a while (`Banner`, `Switch`).

Pages read the notices from the cache alone and so cost no query: the admin and the sweeper, once a minute, put them there.
"""

import datetime as dt
import functools
from collections.abc import Callable

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from redis.exceptions import RedisError

from common import errors
from common.models import Banner, Switch

CACHE_KEY = "notices"
# The sweeper renews them every minute; a worker that stopped leaves them for an hour.
CACHE_S = 3600


def publish(*, at: dt.datetime) -> int:
    """Put the banners of this moment where pages find them; returns how many there are."""
    live = Banner.objects.filter(shows_from__lte=at, shows_until__gt=at).order_by("-is_warning", "shows_from")
    notices = list(live.values("text", "text_en", "is_warning"))
    cache.set(CACHE_KEY, notices, CACHE_S)
    return len(notices)


def current() -> list[dict]:
    """The notices to show: dicts of `text`, `text_en`, `is_warning`. None while the cache is away."""
    try:
        return cache.get(CACHE_KEY) or []
    except (RedisError, OSError):
        return []


def closes_with(name: Switch.Name) -> Callable:
    """Mark a view whose form is closed while this switch is off: what is sent gets a page that says why (503)."""

    def mark(view):
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
            if request.method == "POST":
                closed = Switch.objects.filter(pk=name, is_on=False).first()
                if closed is not None:
                    return errors.closed(request, what=closed.get_name_display(), why=closed.why)
            return view(request, *args, **kwargs)

        return guarded

    return mark

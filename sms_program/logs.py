"""Logs as JSON lines, without personal data.

Nothing is logged that a person typed. Of an exception its kind and its way through the code are kept, not its text; what
slips in with a message of a library (an e-mail address, an identity number, PostgreSQL's DETAIL line with a row's values)
is taken out here, for every logger.
"""

import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from common.failures import described

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
# Identity numbers have 9 or 12 digits, telephone numbers 10 or 11.
_NUMBER = re.compile(r"(?<![\w-])\+?\d{9,12}(?![\w-])")
_DETAIL = re.compile(r"(DETAIL|CONTEXT):.*", re.IGNORECASE)
_FAILING_ROW = re.compile(r"\(.*\)=\(.*\)")


def without_personal_data(text: str) -> str:
    """Return `text` with addresses, long numbers and row values replaced by what they were."""
    text = _DETAIL.sub(r"\1: [bỏ]", text)
    text = _FAILING_ROW.sub("[giá trị]", text)
    text = _EMAIL.sub("[email]", text)
    return _NUMBER.sub("[số]", text)


def _describe_error(logger, method, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: an exception as its kind and the lines of code that it passed."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(described(error))
    return event


def _scrub(logger, method, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: scrub every text value of an event."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_personal_data(value)
    return event


def config(*, level: str, json: bool) -> dict:
    """The LOGGING setting: stdlib and structlog loggers through one formatter to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_error,
        _scrub,
    ]
    structlog.configure(
        processors=[
            *shared[:-2],
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last = structlog.processors.JSONRenderer(ensure_ascii=False) if json else structlog.dev.ConsoleRenderer()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *shared[-2:],
                    last,
                ],
                "foreign_pre_chain": shared[:-2],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # RequestRecord writes one line per request; Django's own names the path, which may hold a code.
            "django.request": {"level": "CRITICAL"},
            "django.server": {"level": "WARNING"},
            "celery": {"level": "WARNING"},
            # Its line quotes the error's text; `sms_program.celery` writes ours.
            "celery.app.trace": {"level": "CRITICAL"},
            "kombu": {"level": "WARNING"},
            "pgmq": {"level": "WARNING"},
        },
    }

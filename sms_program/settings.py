"""Settings from the environment; `.env.example` lists every variable with its default.

With nothing set this is a demonstration on one machine: the embedded PostgreSQL, its queue as broker, files under
`var/`. With `PRODUCTION=1` everything that guards children's data must be set, or nothing starts.
"""

import base64
import os
import secrets
from pathlib import Path

import environ
import pgtrigger
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from common import pg
from sms_program import logs

BASE_DIR = Path(__file__).resolve().parent.parent
NO = ("0", "false", "off", "no", "n")
EXPECTED = {bool: "1 hoặc 0", int: "một số nguyên", "json": "JSON đúng cú pháp"}


class _Environment(environ.Env):
    """Variables with types: one left empty is not set, and one that can't be read is named instead of guessed at."""

    def get_value(self, var, cast=None, default=environ.Env.NOTSET, parse_default=False):
        given = os.environ.get(var)
        if given == "" and default is not self.NOTSET:
            return default
        try:
            if cast is bool and given and given.lower() not in (*self.BOOLEAN_TRUE_STRINGS, *NO):
                raise ValueError
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        except ValueError:
            expected = EXPECTED.get(cast, EXPECTED["json"])
            raise ImproperlyConfigured(
                f"{var}={given} không đọc được: cần {expected}. Xem .env.example."
            ) from None


# `common.pg` has read `.env` by now.
env = _Environment()

# --- what kind of installation ------------------------------------------------------------------------------------

PRODUCTION = env.bool("PRODUCTION", default=False)
# The demonstration shows its sign-in codes and takes its date from the programme's row.
DEMO = env.bool("DEMO", default=False)
DEBUG = env.bool("DEBUG", default=False)
if PRODUCTION and (DEMO or DEBUG):
    raise ImproperlyConfigured("PRODUCTION=1 từ chối DEMO=1 và DEBUG=1: bản thật không được lộ mã đăng nhập.")

VAR_DIR = pg.VAR_DIR
# Uploaded lists and photos: never served by address, only through views that check who asks.
MEDIA_ROOT = VAR_DIR / "uploads"
# The public log as plain files.
LEDGER_DIR = Path(env.str("LEDGER_DIR", default=str(VAR_DIR / "ledger")))


def given(name: str) -> str:
    """A value from the environment, or from the file that `<name>_FILE` names (a mounted secret); empty if neither."""
    if file := env.str(f"{name}_FILE", default=""):
        return Path(file).read_text().strip()
    return env.str(name, default="")


def secret(name: str, *, length: int = 32) -> str:
    """A key from the environment, from the file `<name>_FILE` names, or (outside production) one made once.

    The made one is kept in `var/keys/<name>` (mode 0600), URL-safe base64 of `length` random bytes.
    Raises ImproperlyConfigured in production when it is missing.
    """
    if value := given(name):
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(f"Thiếu {name} (hoặc {name}_FILE). Xem docs/operations.md, phần Keys.")
    kept = VAR_DIR / "keys" / name
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = base64.urlsafe_b64encode(secrets.token_bytes(length)).decode()
    try:
        # Several processes may start at once: link() lets exactly one of them win.
        aside = kept.with_name(f"{name}.{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(made)
        os.link(aside, kept)
    except FileExistsError:
        pass
    finally:
        aside.unlink(missing_ok=True)
    return kept.read_text()


SECRET_KEY = secret("SECRET_KEY", length=48)
# Key ring of identity numbers: "1:<base64 of 32 bytes>,2:<…>", the last one encrypts; one bare key is key 1.
IDENTITY_KEYS = secret("IDENTITY_KEYS")
# Blind index of identity numbers: another key, so that the index alone opens nothing.
IDENTITY_INDEX_KEY = secret("IDENTITY_INDEX_KEY")
# Ed25519 seed of the log's checkpoints; only the signer process needs it.
LEDGER_SIGNING_KEY = (
    secret("LEDGER_SIGNING_KEY") if not PRODUCTION or env.bool("SIGNER", default=False) else ""
)
# The log's name in checkpoints (a key name of the signed-note format).
LEDGER_ORIGIN = env.str("LEDGER_ORIGIN", default="may-tinh-cho-em.example/so-cai")
# The signer's own folder: its state and the mailbox through which the publisher asks. Outside the database.
LEDGER_SIGNER_DIR = Path(env.str("LEDGER_SIGNER_DIR", default="") or VAR_DIR / "signer")
# Held handovers go out without waiting for their week or for ten (demonstration; policy.json says so).
LEDGER_AT_ONCE = env.bool("LEDGER_AT_ONCE", default=not PRODUCTION)
# Witnesses as JSON: [{"url": "https://…", "key": "<vkey>"}, …], and how many of them must have cosigned.
LEDGER_WITNESSES = env.json("LEDGER_WITNESSES", default=[])
LEDGER_WITNESSES_NEEDED = env.int("LEDGER_WITNESSES_NEEDED", default=0)

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# The address that printed codes, letters and QR labels point to.
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{env.int('PORT', default=8000)}").rstrip("/")

# --- applications -------------------------------------------------------------------------------------------------

PROJECT_APPS = [
    # From the top floor down, so that a page above may replace a template below.
    "dashboards",
    "delivery",
    "allocation",
    "donations",
    "coverage",
    "schools",
    "ledger",
    "accounts",
    "common",
]
INSTALLED_APPS = [
    # Only for its commands, which reach over all apps (reference data, the demonstration).
    "sms_program",
    *PROJECT_APPS,
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",  # for its command alone: the table is ours, accounts.sessions
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "pgtrigger",
    "pghistory",
    "import_export",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "template_partials",
    "csp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "common.middleware.RequestRecord",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "common.middleware.CompressedPages",
    "csp.middleware.CSPMiddleware",
    "common.middleware.LostServices",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "common.middleware.EnglishPages",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    # Every view declares who may open it; a view that says nothing is refused.
    "common.access.AccessGate",
    # Every public answer of data passes the disclosure rules of the ledger.
    "ledger.door.PublicDoor",
    "django_htmx.middleware.HtmxMiddleware",
    # No hidden character turns what somebody reads.
    "common.middleware.PlainText",
    # A form sent twice has one effect.
    "common.once.SentOnce",
    "common.audit.ActorMiddleware",
    # Innermost: sessions and messages, which save outside the view, may still write.
    "common.middleware.ReadsDoNotWrite",
]
ROOT_URLCONF = "sms_program.urls"
WSGI_APPLICATION = "sms_program.wsgi.application"
FORM_RENDERER = "common.form_renderer.ProgrammeRenderer"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboards.context.staff_nav",
                *(["sms_program.demo.sign_in.sign_in_help"] if DEMO else []),
            ],
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- database -----------------------------------------------------------------------------------------------------

# Before the embedded server's first start nothing answers there, and the commands that need no database still run.
DATABASE_URL = given("DATABASE_URL") or pg.default_url() or "postgresql://sms_program@127.0.0.1:1/none"
try:
    pg.check_address(DATABASE_URL)
except pg.PgError as error:
    raise ImproperlyConfigured(str(error)) from None
_database = environ.Env.db_url_config(DATABASE_URL) | {
    "ENGINE": "django.db.backends.postgresql",
    # Kept connections, checked at each request, so that the work goes on when the database is back.
    "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=60),
    "CONN_HEALTH_CHECKS": True,
    "TEST": {
        "NAME": env.str("TEST_DB_NAME", default="test_sms_program"),
        "TEMPLATE": env.str("TEST_DB_TEMPLATE", default="template0"),
    },
}
_database.setdefault("OPTIONS", {})
_database["OPTIONS"] |= {
    "connect_timeout": 5,
    "application_name": env.str("PROCESS_NAME", default="sms_program"),
}
DATABASES = {
    "default": _database,
    # A second connection to the same database for what must be kept although the request only reads or its
    # transaction is rolled back: who read personal data, how far a job is.
    "journal": _database | {"TEST": {"MIRROR": "default"}},
}

# --- broker, cache ------------------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
# One hour: nothing that runs longer than the time limit below exists, so nothing is delivered twice while it runs.
VISIBILITY_TIMEOUT_S = env.int("VISIBILITY_TIMEOUT_S", default=3600)
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://")):
    raise ImproperlyConfigured(
        "REDIS_URL phải có dạng redis://máy-chủ:6379/0. Bỏ trống thì dùng hàng đợi trong cơ sở dữ liệu."
    )
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        # kombu's own default looks for lost tasks every 100 s only.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "retry_on_timeout": True,
        "max_retries": 3,
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": env.str("CACHE_URL", default=REDIS_URL),
            "KEY_PREFIX": "sms",
        }
    }
else:
    # Only names the kind; where it is says conn_string.
    CELERY_BROKER_URL = "pgmq://localhost/"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "conn_string": DATABASE_URL,
        # The SQL comes by `manage.py prepare_queue`; the wheel's PostgreSQL has no such extension.
        "init_extension": False,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        # So long may an idle worker take to hear that it shall stop.
        "wait_time_seconds": 1,
        "poll_interval_ms": 100,
        "pool_size": 4,
        "pool_timeout": 5,
        "max_retries": 3,
    }
    # One machine, several processes: files are shared between them and cost no query.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": VAR_DIR / "cache",
            "OPTIONS": {"MAX_ENTRIES": 20_000},
        }
    }

# --- tasks --------------------------------------------------------------------------------------------------------

CELERY_TIMEZONE = "Asia/Ho_Chi_Minh"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# Progress and outcome live in our own rows; a result backend would be a second truth.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = VISIBILITY_TIMEOUT_S * 3 // 4
CELERY_TASK_TIME_LIMIT = VISIBILITY_TIMEOUT_S * 5 // 6
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_CONCURRENCY = env.int("WORKERS", default=2)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
# Nobody steers workers over the broker; without it no queue per host is left behind.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 5
# A page that hands over work must not hang when the broker is away; the sweeper finds the work again.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
CELERY_TASK_DEFAULT_QUEUE = "viec"
# What runs by the clock. Every task is safe to run twice and leaves quietly when there is nothing to do.
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat.db")
CELERY_BEAT_SCHEDULE = {
    "ledger.publish_weekly_figures": {
        "task": "ledger.tasks.publish_weekly_figures",
        "schedule": crontab(minute=15) if LEDGER_AT_ONCE else crontab(day_of_week=1, hour=6, minute=15),
    },
    "sms_program.register_names": {
        "task": "sms_program.tasks.register_names",
        "schedule": 60.0 if LEDGER_AT_ONCE else 1800.0,
        "options": {"expires": 60},
    },
    # The log: at once in a demonstration, hourly in production (the promise is "within the hour").
    "ledger.seal_and_publish_due": {
        "task": "ledger.tasks.seal_and_publish_due",
        "schedule": 3.0 if LEDGER_AT_ONCE else 1800.0,
        "options": {"expires": 60},
    },
    "delivery.close_finished_batches": {
        "task": "delivery.tasks.close_finished_batches",
        "schedule": crontab(hour=0, minute=5),
    },
    "common.prove_alive": {"task": "common.tasks.prove_alive", "schedule": 30.0, "options": {"expires": 60}},
    "common.sweep": {"task": "common.tasks.sweep", "schedule": 60.0, "options": {"expires": 120}},
    "common.clear_expired": {"task": "common.tasks.clear_expired", "schedule": crontab(hour=2, minute=40)},
    "common.erase_expired": {"task": "common.tasks.erase_expired", "schedule": crontab(hour=3, minute=30)},
    "donations.mail_unsent": {
        "task": "donations.tasks.mail_unsent",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "allocation.catch_up": {
        "task": "allocation.tasks.catch_up",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "donations.erase_old_drafts": {
        "task": "donations.tasks.erase_old_drafts",
        "schedule": crontab(hour=3, minute=10),
    },
    # Before school begins, so that a teacher can tell the class the same day.
    "coverage.warn_before_plans_end": {
        "task": "coverage.tasks.warn_before_plans_end",
        "schedule": crontab(hour=6, minute=30),
    },
    "common.delete_orphan_files": {
        "task": "common.tasks.delete_orphan_files",
        "schedule": crontab(hour=3, minute=30),
    },
    "dashboards.refresh_figures": {
        "task": "dashboards.tasks.refresh_figures",
        "schedule": 10.0 if LEDGER_AT_ONCE else 60.0,
        "options": {"expires": 60},
    },
    "dashboards.close_the_day": {
        "task": "dashboards.tasks.close_the_day",
        "schedule": crontab(hour=23, minute=45),
    },
}

# --- people -------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
# Where somebody whose page needs a second factor makes one.
SECOND_FACTOR_ENROL_URL = "mfa_activate_totp"
STAFF_HOME = "/viec-can-lam/"
LOGIN_REDIRECT_URL = STAFF_HOME
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
MFA_ADAPTER = "accounts.adapter.SecondFactorAdapter"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_USER_MODEL_EMAIL_FIELD = "email"
ACCOUNT_LOGIN_METHODS = {"email"}
# Nobody signs up alone; the library asks for a password at sign-in only when sign-up would too.
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Sóng và máy tính cho em"
MFA_TOTP_TOLERANCE = 1
MFA_ALLOW_UNVERIFIED_EMAIL = True

SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "common.errors.forged_form"

# Four slashes: environ takes one off, and a relative folder would follow whoever starts the process.
EMAIL_CONFIG = environ.Env.email_url_config(
    given("EMAIL_URL") or f"filemail:///{VAR_DIR.absolute() / 'mail'}"
)
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str(
    "DEFAULT_FROM_EMAIL", default="Sóng và máy tính cho em <khong-tra-loi@may-tinh-cho-em.example>"
)

# --- language -----------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "vi"
LANGUAGES = [("vi", _("Tiếng Việt")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
# The pages that exist in English; any other address under /en/ leads to the Vietnamese page.
ENGLISH_VIEWS = [
    *(
        f"dashboards:{name}"
        for name in (
            "home", "provinces_csv", "province", "how_counted", "donors", "statement", "statement_line",
            "open_data", "dataset", "dump_file", "badge",
        )
    ),
    *(
        f"donations:{name}"
        for name in (
            "pledge_begin", "pledge_step", "pledge", "pledge_csv", "pledge_private", "pledge_change",
            "pledge_cancel", "pledge_document", "pledge_serials",
        )
    ),
    *(
        f"ledger:{name}"
        for name in ("log", "how", "verifier", "family", "receipt", "run", "ask", "asked", "lookup", "device")
    ),
    "allocation:public_draw_file",
]  # fmt: skip
FORMAT_MODULE_PATH = ["sms_program.formats"]
TIME_ZONE = "Asia/Ho_Chi_Minh"
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = True

# --- files --------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
        # The proxy serves them as another user; what people upload stays ours alone (below).
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_MANIFEST_STRICT = False
# Larger forms than this are not ours; lists come as files and have their own limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000
DATA_UPLOAD_MAX_NUMBER_FILES = 20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

# --- web ----------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    # The proxy in front answers plain HTTP probes itself; inside, these two addresses are asked without TLS.
    SECURE_REDIRECT_EXEMPT = [r"^healthz/", r"^metrics$"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_SECURE = True
    CSRF_COOKIE_NAME = "__Host-csrftoken"
# How many proxies stand in front: throttles take the address that the outermost one of ours saw.
NUM_PROXIES = env.int("NUM_PROXIES", default=1 if PRODUCTION else 0)

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    # A view that says nothing is closed.
    "DEFAULT_PERMISSION_CLASSES": ["common.api.DeclaredAccess"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 100,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": env.str("API_ANONYMOUS_RATE", default="300/min")},
    "NUM_PROXIES": NUM_PROXIES,
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sóng và máy tính cho em",
    "DESCRIPTION": "Dữ liệu công khai của chương trình. Không có dữ liệu về một trẻ em nào.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
IMPORT_EXPORT_USE_TRANSACTIONS = True
# The audit trail: one trigger call per statement, nobody rewrites it, and only requests that may write name an actor.
PGHISTORY_LEVEL = pgtrigger.Statement
PGHISTORY_APPEND_ONLY = True
PGHISTORY_MIDDLEWARE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True

# --- watching -----------------------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = logs.config(level=LOG_LEVEL, json=env.bool("LOG_JSON", default=True))
# With it, /metrics answers only to `Authorization: Bearer <token>`; without it (never in production), to everyone.
METRICS_TOKEN = secret("METRICS_TOKEN") if PRODUCTION else env.str("METRICS_TOKEN", default="")
SILENCED_SYSTEM_CHECKS = [
    # E-mail is unique by a named constraint on lower(email), which the check can't see.
    "auth.W004",
]

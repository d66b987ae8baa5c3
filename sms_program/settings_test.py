"""Settings of the tests that run inside pytest; processes that tests start use the real ones."""

from sms_program.settings import *  # noqa: F403 - the same settings, a few exceptions below

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Tasks that a test wants to run, it calls; those handed over wait here unread.
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
for _alias in DATABASES.values():  # noqa: F405 - from the settings above
    _alias["ENGINE"] = "tests.engine"
# Nothing is collected for tests; WhiteNoise warns about a root that isn't there.
STATIC_ROOT = BASE_DIR / "static"  # noqa: F405 - from the settings above

"""Fixtures that every level shares."""

import gc

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.utils import translation

from tests.house import House, make_house
from tests.live import Platform, cloned_database
from tests.roomy import roomy
from tests.signing_in import pass_second_factor


def pytest_collection_modifyitems(items):
    """A database test may use both connections; one with processes needs the database made first, and no transaction.

    Those in a browser begin, so that its platform ends with the last of them (an idle one still looks for work all the
    time), and among all the long ones: a runner that ends with one would leave the other without work.
    """
    for item in items:
        marker = item.get_closest_marker("django_db")
        if marker is None and "test_database_url" in item.fixturenames:
            item.add_marker(pytest.mark.django_db(transaction=True, databases="__all__"), append=False)
        elif marker is not None and "databases" not in marker.kwargs:
            item.add_marker(pytest.mark.django_db(**marker.kwargs | {"databases": "__all__"}), append=False)
    items.sort(
        key=lambda item: ("tests/browser/" not in item.nodeid, item.get_closest_marker("long") is None)
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """All tests run in one roomy frame; what they leave for the collector to look through does not hold the modules."""
    gc.collect()
    gc.freeze()
    plugins = session.config.pluginmanager
    loop = plugins.subset_hook_caller("pytest_runtestloop", [plugins.get_plugin(__file__)])
    return roomy(lambda: loop(session=session))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database, with a copy of it that nobody uses, from which tests with processes copy theirs.

    A database in use can't be copied or dropped, and connections may stay open unseen: Playwright runs a loop in this
    thread, and Django keeps what was opened before it apart from what is opened after.
    """
    with django_db_blocker.unblock():
        connections.close_all()
        name = connections["default"].settings_dict["NAME"]
    server = settings.DATABASE_URL.rsplit("/", 1)[0]
    with cloned_database(f"{server}/{name}", f"{name}_clean"):
        yield
    with django_db_blocker.unblock():
        connections.close_all()
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


@pytest.fixture(autouse=True)
def _empty_cache():
    """Throttles, cached pages and the language of one test don't reach the next."""
    cache.clear()
    translation.deactivate()


@pytest.fixture
def user(db):
    """A person without any role."""
    return get_user_model().objects.create_user("nguoi.dung@example.vn", full_name="Nguyễn Thị Dùng")


@pytest.fixture
def sign_in(client: Client):
    """`sign_in(user)` gives the test client a session that passed the second factor; `second_factor=False` not."""

    def sign_in(user, *, second_factor: bool = True) -> Client:
        client.force_login(user)
        if second_factor:
            pass_second_factor(client.session, user)
        return client

    return sign_in


@pytest.fixture
def house(db) -> House:
    """A province with an object for each kind of page, its neighbour without, a client for every post in both."""
    return make_house()


@pytest.fixture(scope="session")
def test_database_url(django_db_setup, django_db_blocker) -> str:
    """URL of this runner's migrated test database."""
    with django_db_blocker.unblock():
        name = connections["default"].settings_dict["NAME"]
    return settings.DATABASE_URL.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture(scope="session")
def clean_database_url(test_database_url) -> str:
    """URL of the migrated database that nobody uses, to be copied."""
    return f"{test_database_url}_clean"


@pytest.fixture
def new_database(clean_database_url, request):
    """`new_database()` makes an empty migrated database of its own; dropped when the test ends."""
    made = []

    def new_database() -> str:
        name = f"{clean_database_url.rsplit('/', 1)[1]}_{abs(hash(request.node.nodeid)) % 10**8}_{len(made)}"
        clone = cloned_database(clean_database_url, name)
        made.append(clone)
        return clone.__enter__()

    yield new_database
    for clone in made:
        clone.__exit__(None, None, None)


@pytest.fixture
def platform(new_database, tmp_path):
    """`platform(**environment)`: an installation on its own empty database; its processes end with the test."""
    made = []

    def platform(**environment: str) -> Platform:
        installation = Platform(new_database(), tmp_path / f"var{len(made)}", **environment)
        installation.folder.mkdir()
        made.append(installation)
        return installation

    yield platform
    for installation in made:
        installation.kill()


@pytest.fixture
def raw_connection(test_database_url):
    """A psycopg connection below Django to this runner's test database, for attacks on constraints and triggers."""
    with psycopg.connect(test_database_url, autocommit=True) as connection:
        yield connection

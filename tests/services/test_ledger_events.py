"""Every event of the public log: which service records it, and that change and entry stand or fall together.

The services are found by reading the code, so that a new one without a scene here is missed. In a scene the entry is
refused by the database, for real, and the service must leave nothing behind; then the service is undone after it
recorded, and the entry must be gone with it.
"""

import ast
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.db import Error, connection, transaction

from ledger import bulk, bulk_columns
from ledger import services as ledger_services
from ledger.canon import parse
from ledger.events import EVENTS, check_entry
from ledger.models import LedgerOutbox
from tests.ledger_scenes import ALONE, SCENES

pytestmark = pytest.mark.django_db
BASE = Path(__file__).resolve().parent.parent.parent
APPS = ("accounts", "allocation", "common", "coverage", "dashboards", "delivery", "donations", "ledger", "schools",
        "sms_program")  # fmt: skip
RECORDERS = {"record", "record_many", "record_select", "record_columns", "prepare"}
# What records is itself made of these.
INSIDE = {"ledger.services.record", "ledger.bulk._prepared", "ledger.bulk_columns.Template.of"}
OBSERVED = {inspect.unwrap(function).__code__: function.__name__ for function in (
    ledger_services.record, ledger_services.prepare, bulk.record_many, bulk.record_select,
    bulk_columns.record_columns,
)}  # fmt: skip


def recording_functions() -> set[str]:
    """Every function of the apps that gives an event to the log, by its dotted name, from the source."""
    found: set[str] = set()
    for path in sorted(path for app in APPS for path in (BASE / app).rglob("*.py")):
        text = path.read_text()
        if "event=" not in text:
            continue
        tree = ast.parse(text)
        names = {name: name for name in RECORDERS}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ledger."):
                names |= {alias.asname or alias.name: alias.name for alias in node.names}
        module = ".".join(path.relative_to(BASE).with_suffix("").parts)

        def visit(node: ast.AST, inside: tuple[str, ...], names=names, module=module) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    visit(child, (*inside, child.name))
                    continue
                if isinstance(child, ast.Call):
                    called = child.func
                    name = (
                        names.get(called.id)
                        if isinstance(called, ast.Name)
                        else getattr(called, "attr", None)
                    )
                    if name in RECORDERS and any(keyword.arg == "event" for keyword in child.keywords):
                        found.add(".".join((module, *inside)))
                visit(child, inside)

        visit(tree, ())
    return found


def test_every_event_and_every_service_that_records_one_has_a_scene():
    assert {event for event, _, _ in SCENES.values()} == set(EVENTS)
    assert recording_functions() == {service for _, service, _ in SCENES.values()} | INSIDE


@pytest.fixture
def refused():
    """`refused(event)`: from now on the database takes no entry of this type; "" for taking all again."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION refuse_for_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.event = current_setting('test.refused', true) THEN
                    RAISE EXCEPTION 'no entry for the test';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER z_refuse BEFORE INSERT ON ledger_outbox FOR EACH ROW EXECUTE FUNCTION refuse_for_test();
            """
        )

    def refuse(event: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('test.refused', %s, false)", [event])

    yield refuse
    refuse("")


def everything() -> dict[str, str]:
    """A digest of every table, the log's too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall()]
        one = "SELECT '{0}', md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM \"{0}\" x"
        cursor.execute(" UNION ALL ".join(one.format(name) for name in tables))
        return dict(cursor.fetchall())


def callers_of(act: Callable) -> set[tuple[str, str]]:
    """(dotted name of the function that recorded, event) of all that `act` puts into the log."""
    seen = set()

    def watch(frame, what, _):
        if what == "call" and frame.f_code in OBSERVED and "event" in frame.f_locals:
            back = frame.f_back
            while back is not None and back.f_globals["__name__"] == "contextlib":
                back = back.f_back
            seen.add((f"{back.f_globals['__name__']}.{back.f_code.co_qualname}", frame.f_locals["event"]))

    sys.setprofile(watch)
    try:
        act()
    finally:
        sys.setprofile(None)
    return seen


class UndoneError(Exception):
    """The caller's own trouble, after the service did its work."""


@pytest.mark.parametrize("name", SCENES)
def test_the_change_and_its_entry_stand_or_fall_together(name, refused, tmp_path, settings):
    event, service, build = SCENES[name]
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = tmp_path / "log", tmp_path / "signer"
    with transaction.atomic():
        act = build(tmp_path=tmp_path, settings=settings)
    before = everything()
    # The entry is refused: nothing of the change is left.
    refused(event)
    with pytest.raises((Error, psycopg.Error), match="no entry for the test"):
        act()
    assert everything() == before
    # The change is undone: no entry is left, and until then both were there.
    refused("")
    known = set(LedgerOutbox.objects.values_list("eid", flat=True))

    def act_and_fall() -> None:
        with transaction.atomic():
            act()
            changed = {table for table, digest in everything().items() if digest != before[table]}
            bodies = (
                LedgerOutbox.objects.exclude(eid__in=known).filter(event=event).values_list("body", flat=True)
            )
            assert bodies
            for body in bodies:
                check_entry(parse(body.encode()))
            # The salt that is deleted is the change of an erasure; of all others it is a part of the entry.
            of_the_log = (
                {"ledger_outbox"} if event == "commitment.erased" else {"ledger_outbox", "ledger_opening"}
            )
            assert changed - of_the_log or name in ALONE
            raise UndoneError

    def undone() -> None:
        with pytest.raises(UndoneError):
            act_and_fall()

    assert (service, event) in callers_of(undone)
    assert everything() == before

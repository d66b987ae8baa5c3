"""The house checks itself: floors, names, pairs, who may open what, and what a clone must not contain."""

import ast
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pghistory.models
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands
from django.db import connection, models
from django.urls import URLPattern, URLResolver, get_resolver
from packaging.requirements import Requirement
from packaging.version import Version

from common.access import access_of

BASE = Path(settings.BASE_DIR)
PROJECT = [*settings.PROJECT_APPS, "sms_program"]
OUR_MODELS = [
    model
    for model in apps.get_models()
    # The trail's own tables are made by pghistory from the models beside them.
    if model._meta.app_label in settings.PROJECT_APPS and not issubclass(model, pghistory.models.Event)
]
VIETNAMESE = re.compile(
    r"[àáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ]", re.IGNORECASE
)


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository (committed, or new and not ignored) that match."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=BASE, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.splitlines() if (path := BASE / name).is_file()]


def sources() -> list[Path]:
    """Our Python, without migrations and tests."""
    files = tracked(*[f"{app}/*.py" for app in PROJECT])
    return [path for path in files if "migrations" not in path.parts]


def relative(path: Path) -> str:
    return str(path.relative_to(BASE))


# --- code -----------------------------------------------------------------------------------------------------


def test_no_app_imports_from_a_floor_above():
    outcome = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=BASE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:]


def test_no_import_of_ours_hides_in_a_function():
    hidden = []
    for path in sources():
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                names = []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                hidden += [
                    f"{relative(path)}:{node.lineno}" for name in names if name.split(".")[0] in PROJECT
                ]
    assert not hidden


def _is_atomic(function: ast.FunctionDef) -> bool:
    return any("atomic" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_services_that_change_something_take_keywords_only_and_say_first_who_acts():
    loose = []
    for path in sources():
        if path.name != "services.py" and "services" not in path.parent.parts:
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            keywords = [argument.arg for argument in node.args.kwonlyargs]
            positional = [*node.args.posonlyargs, *node.args.args]
            acts = _is_atomic(node) or "by" in [argument.arg for argument in positional]
            if (acts and positional) or ("by" in keywords and keywords[0] != "by"):
                loose.append(f"{relative(path)}: {node.name}")
    assert not loose


def test_rules_know_neither_django_nor_the_clock():
    impure = []
    for path in sources():
        if path.name != "rules.py" and "rules" not in Path(relative(path)).parent.parts:
            continue
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [module]
            impure += [
                f"{relative(path)}: {name}"
                for name in names
                if name.split(".")[0] in {"django", "time", "random"}
            ]
        impure += [f"{relative(path)}: {found}" for found in re.findall(r"\.(?:now|today|utcnow)\(\)", text)]
    assert not impure


def test_a_moment_becomes_a_day_in_vietnam():
    """`at.date()` is yesterday's there from midnight to seven, when the moment is kept in UTC: `timezone.localdate`."""
    elsewhere = [
        f"{relative(path)}: {found}"
        for path in sources()
        for found in re.findall(r"\b(?:at|now|moment|\w+_at)\.date\(\)", path.read_text())
    ]
    assert not elsewhere


def test_no_file_outgrew_its_noun():
    long = {relative(path): lines for path in sources() if (lines := path.read_text().count("\n")) > 650}
    assert not long


def test_no_drawer_for_everything():
    forbidden = {"utils", "helpers", "signals", "managers", "selectors", "mixins"}
    assert not [
        relative(path) for path in sources() if path.stem in forbidden or forbidden & set(path.parent.parts)
    ]


# --- models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label)
def test_constraints_have_a_name_and_a_vietnamese_message(model):
    default = models.CheckConstraint(condition=models.Q(pk=1), name="x").default_violation_error_message
    for constraint in model._meta.constraints:
        message = str(constraint.violation_error_message)
        assert message != str(default), constraint.name
        assert VIETNAMESE.search(message), f"{constraint.name}: {message}"
        assert re.fullmatch(r"[a-z][a-z0-9_]{2,62}", constraint.name), constraint.name


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label)
def test_who_and_when_come_in_pairs(model):
    names = {field.name for field in model._meta.concrete_fields}
    people = {name for name in names if name.endswith("_by") and model._meta.get_field(name).is_relation}
    for name in sorted(people):
        moment = name.removesuffix("_by") + "_at"
        assert moment in names, f"{model._meta.label}.{name} không có {moment}"


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label)
def test_the_database_holds_who_and_when_together(model):
    checks = [str(c.condition) for c in model._meta.constraints if isinstance(c, models.CheckConstraint)]
    loose = []
    for field in model._meta.concrete_fields:
        if not (field.name.endswith("_by") and field.is_relation and field.null):
            continue
        pair = (field.name, field.name.removesuffix("_by") + "_at")
        if not any(all(re.search(rf"\b{name}", check) for name in pair) for check in checks):
            loose.append(field.name)
    assert not loose


@pytest.mark.django_db
def test_the_database_holds_every_list_of_transitions():
    """The trigger lets through exactly the moves of the model's one list."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
            " WHERE tgname LIKE '%\\_moves'"
        )
        held = {table: definition for table, _, definition in cursor.fetchall()}
    with_moves = [model for model in OUR_MODELS if hasattr(model, "TRANSITIONS")]
    assert len(with_moves) >= 7
    for model in with_moves:
        definition = held.get(model._meta.db_table, "")
        moves = set(re.findall(r"'(\w+ > \w+)'", definition))
        assert moves == {f"{before!s} > {after!s}" for before, after in model.TRANSITIONS}, model._meta.label


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label)
def test_names_on_screens_are_vietnamese(model):
    own = [field for field in model._meta.local_fields if not field.primary_key and not field.auto_created]
    assert VIETNAMESE.search(str(model._meta.verbose_name)), model._meta.label
    english = {"password", "last_login", "is_superuser"}
    untranslated = [
        field.name
        for field in own
        if field.name not in english and str(field.verbose_name) == field.name.replace("_", " ")
    ]
    assert not untranslated


# --- pages ----------------------------------------------------------------------------------------------------


def views(resolver: URLResolver | None = None, prefix: str = ""):
    """Every (address pattern, view) of the house."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLPattern):
            yield prefix + str(entry.pattern), entry.callback
        else:
            yield from views(entry, prefix + str(entry.pattern))


def test_every_view_declares_who_may_open_it():
    assert not [address for address, view in views() if access_of(view) is None]


def test_no_template_is_unused():
    texts = [path.read_text() for path in [*sources(), *tracked("*.html", "*.txt")]]
    unused = []
    for path in tracked("templates/*.html", "*/templates/*.html"):
        name = str(path).split("/templates/", 1)[1]
        # Found by their names from the libraries themselves.
        if name.split("/")[0] in {
            "account",
            "mfa",
            "allauth",
            "admin",
            "rest_framework",
            "django",
            "drf_spectacular",
        }:
            continue
        if not any(name in text for text in texts):
            unused.append(name)
    assert not unused


# --- the clone ------------------------------------------------------------------------------------------------


def lock() -> dict[str, set[str]]:
    """Versions by package of requirements.lock."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([a-z0-9.\-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", (BASE / "requirements.lock").read_text(), re.M
    ):
        found.setdefault(name, set()).add(version)
    return found


def test_the_lock_fits_pyproject():
    project = tomllib.loads((BASE / "pyproject.toml").read_text())
    locked = lock()
    groups = project["dependency-groups"]
    for text in [*project["project"]["dependencies"], *itertools.chain(*groups.values())]:
        wanted = Requirement(text)
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        assert name in locked, f"{name} chưa có trong requirements.lock: make lock"
        assert all(wanted.specifier.contains(Version(version)) for version in locked[name]), text


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-production.lock"])
def test_every_locked_package_has_hashes_and_no_address(name):
    text = (BASE / name).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)
    assert "://" not in text
    assert "--index" not in text


def test_every_dependency_has_its_reason():
    lines = (BASE / "pyproject.toml").read_text().splitlines()
    start, end = lines.index("dependencies = ["), lines.index("[tool.ruff]")
    bare = [
        line.strip()
        for above, line in itertools.pairwise(lines[start:end])
        if line.startswith('  "') and not above.strip().startswith("#")
    ]
    assert not bare


def test_nothing_shadows_the_coverage_app():
    # coverage.py and pytest-cov would import our app `coverage` instead of themselves, or the other way round.
    assert not {"coverage", "pytest-cov"} & set(lock())
    for ignore in tracked("*.gitignore", "*.dockerignore"):
        assert not re.search(r"^/?coverage/?$", ignore.read_text(), re.M), relative(ignore)


def test_no_path_of_a_machine_and_no_registry_in_the_tree():
    # Put together here, so that this file itself holds none.
    machine = ["/".join(("", "work", "")), "/".join(("", "root", "")), "/".join(("", "home", ""))]
    registries = [
        ".".join(("pypi", "org")),
        ".".join(("files", "pythonhosted")),
        ".".join(("registry", "npmjs")),
    ]
    pattern = re.compile("|".join(re.escape(text) for text in [*machine, *registries]))
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if "vendor" in path.parts or len(text) > 2_000_000:
            continue
        found += [f"{relative(path)}: {match[0]}" for match in pattern.finditer(text)]
    assert not found


def test_the_commands_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z]+):", (BASE / "Makefile").read_text(), re.M))
    commands = set(get_commands())
    unknown = []
    for path in [BASE / "README.md", *tracked("docs/*.md")]:
        for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", path.read_text(), re.S):
            unknown += [
                f"{path.name}: make {name}"
                for name in re.findall(r"\bmake ([a-z]+)", block)
                if name not in targets
            ]
            unknown += [
                f"{path.name}: manage.py {name}"
                for name in re.findall(r"manage\.py ([a-z_]+)", block)
                if name not in commands
            ]
    assert not unknown


def test_what_the_documents_point_to_exists():
    """Files and folders, tests by name, benches and drills; what is made on the spot (`deploy/secrets/`) is ignored by git."""
    files = [relative(path) for path in tracked()]
    tops = {name.split("/")[0] for name in files}
    named = {
        kind: re.findall(
            rf'\b{kind}\("([\w.]+)"\)', "".join(path.read_text() for path in tracked(f"{folder}/*.py"))
        )
        for kind, folder in (("bench", "bench"), ("drill", "drills"))
    }
    lost = []
    for document in [BASE / "README.md", BASE / "ARCHITECTURE.md", *tracked("docs/*.md")]:
        text = document.read_text()
        for said in re.findall(r"`([\w./-]+(?:::\w+)*)`", text):
            name, *parts = said.split("::")
            if name.split("/")[0] not in tops or not {"/", "."} & set(name):
                continue
            known = any(file == name or file.startswith(name) for file in files)
            if not known:
                ignored = subprocess.run(["git", "check-ignore", "-q", name], cwd=BASE, check=False)
                known = ignored.returncode == 0
            if not known or (parts and not _has_test(BASE / name, parts)):
                lost.append(f"{document.name}: {said}")
        lost += [
            f"{document.name}: make {kind} ARGS={asked}"
            for kind, asked in re.findall(r"make (bench|drill) ARGS=([\w.]+)", text)
            if not any(name.startswith(asked) for name in named[kind])
        ]
    assert not lost


def _has_test(path: Path, parts: list[str]) -> bool:
    """Whether pytest would find it by this very name, its class included."""
    body = ast.parse(path.read_text()).body if path.is_file() else []
    for part in parts:
        named = [
            node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part
        ]
        if not named:
            return False
        body = named[0].body
    return True


def test_make_alone_describes_at_most_ten_targets():
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=BASE, capture_output=True, text=True, check=True
    ).stdout
    described = re.findall(r"^  make (\w+) +\S", shown, re.M)
    phony = re.search(r"^\.PHONY: (.*)$", (BASE / "Makefile").read_text(), re.M)
    assert phony is not None
    assert set(described) == set(phony[1].split())
    assert len(described) <= 10


def test_the_example_environment_is_complete():
    read = set()
    for path in [*sources(), *tracked("docker-compose.yml")]:
        read |= set(re.findall(r"\benv(?:\.\w+)?\(\s*\"([A-Z_]+)\"", path.read_text()))
        read |= set(re.findall(r"\b(?:secret|given)\(\"([A-Z_]+)\"", path.read_text()))
        read |= set(re.findall(r"os\.environ(?:\.get\(|\[|\.setdefault\()\s*\"([A-Z_]+)\"", path.read_text()))
    ours = read - {"DJANGO_SETTINGS_MODULE", "PATH", "PROMETHEUS_MULTIPROC_DIR", "PROCESS_NAME"}
    explained = set(re.findall(r"^#? ?([A-Z_]+)=", (BASE / ".env.example").read_text(), re.M))
    assert ours - explained == set()
    assert explained - ours - {f"{name}_FILE" for name in ours} == set()


def test_a_copy_of_the_example_environment_changes_nothing(tmp_path):
    """Every setting is the same with the file as without it."""
    show = (
        "import django, json, sys; from pathlib import Path; from common import pg; "
        "sys.argv[1:] and pg.read_environment(Path(sys.argv[1])); from django.conf import settings; "
        "django.setup(); print(json.dumps({name: repr(getattr(settings, name)) for name in dir(settings) if name.isupper()}))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DATABASE_URL") if name in os.environ}
    # Sets print in the order of their hashes.
    environment = kept | {
        "VAR_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "sms_program.settings",
        "PYTHONHASHSEED": "0",
    }
    seen = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", show, *arguments],
                cwd=BASE,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for arguments in ([], [str(BASE / ".env.example")])
    ]
    changed = {
        name: (seen[0][name], seen[1][name])
        for name in seen[0]
        # Objects that print their address in memory.
        if " at 0x" not in seen[0][name] and seen[0][name] != seen[1][name]
    }
    assert not changed

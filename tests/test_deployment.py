"""Production as files: what docker-compose.yml starts is what the tests and `make run` start, and is held tight."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from common.pg import PgError, check_address
from sms_program.processes import COMMANDS
from sms_program.settings import _Environment

BASE = Path(settings.BASE_DIR)
COMPOSE = yaml.safe_load((BASE / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = ["prepare", "web", "worker", "beat", "signer"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_container_runs_the_same_command_as_the_process(name):
    assert SERVICES[name]["command"] == ["python", *COMMANDS[name]]


def test_everything_the_platform_needs_is_a_service():
    assert set(SERVICES) == {"database", "redis", "proxy", *OURS}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_rights_they_do_not_need(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["environment"]["PRODUCTION"] == "1"
    assert "USER sms" in (BASE / "Dockerfile").read_text()


def test_secrets_are_files_and_only_the_signer_holds_the_key_of_the_log():
    for name in OURS:
        environment = SERVICES[name]["environment"]
        for variable, value in environment.items():
            if re.search(r"KEY|TOKEN|PASSWORD|DATABASE_URL|EMAIL_URL", variable):
                assert variable.endswith("_FILE"), variable
                assert value.startswith("/run/secrets/")
                assert value.rsplit("/", 1)[1] in SERVICES[name]["secrets"]
        assert set(SERVICES[name]["secrets"]) <= set(COMPOSE["secrets"])
        assert ("ledger_signing_key" in SERVICES[name]["secrets"]) == (name == "signer")


def test_what_is_mounted_is_declared_and_what_is_waited_for_exists():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in COMPOSE["volumes"], f"{name}: {volume}"
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} chờ {other}"


def test_the_proxy_asks_the_web_service_and_serves_the_volumes():
    nginx = (BASE / "deploy" / "nginx.conf").read_text()
    # A variable: a name in plain proxy_pass is looked up once, and an upgrade moves the service.
    assert "set $platform http://web:8000;" in nginx
    assert "proxy_pass $platform;" in nginx
    for path in ("/srv/static/", "root /srv;"):
        assert path in nginx
    assert nginx.count("{") == nginx.count("}")


def test_the_health_check_and_prometheus_are_answered_under_the_names_they_ask_for(settings, client):
    """They ask without TLS and not by the name that people type."""
    environment = SERVICES["web"]["environment"]
    settings.ALLOWED_HOSTS = re.sub(r"\$\{.*?\}", "vi-du.vn", environment["ALLOWED_HOSTS"]).split(",")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^healthz/", r"^metrics$"]
    settings.METRICS_TOKEN = "t"
    asked = re.search(r"http://(\S+?)(/\S+?)'", " ".join(SERVICES["web"]["healthcheck"]["test"]))
    assert client.get(asked[2], headers={"host": asked[1]}).status_code == 200
    assert client.get("/metrics", headers={"host": "web:8000"}).status_code == 403
    assert client.get(asked[2], headers={"host": "khac.vn"}).status_code == 400


def test_no_secret_is_copied_into_the_image():
    ignored = (BASE / ".dockerignore").read_text().split()
    for source in (secret["file"] for secret in COMPOSE["secrets"].values()):
        assert str(Path(source).parent) in ignored
    assert "deploy/certificates" in ignored


def production(**more: str) -> dict[str, str]:
    """An environment in which production starts, except for what a test takes away."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return (
        kept
        | {
            "DJANGO_SETTINGS_MODULE": "sms_program.settings",
            "PRODUCTION": "1",
            "SECRET_KEY": "x" * 64 + "abcdefgh",
            "IDENTITY_KEYS": "k",
            "IDENTITY_INDEX_KEY": "k",
            "METRICS_TOKEN": "t",
            "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c",
        }
        | more
    )


def check(environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("switch", ["DEMO", "DEBUG"])
def test_production_refuses_the_demonstration(switch):
    outcome = check(production(**{switch: "1"}))
    assert outcome.returncode != 0
    assert "từ chối DEMO=1" in outcome.stderr


def test_production_refuses_to_start_without_its_keys(tmp_path):
    environment = production()
    del environment["IDENTITY_KEYS"]
    outcome = check(environment)
    assert outcome.returncode != 0
    assert outcome.stderr.startswith("Không chạy được: Thiếu IDENTITY_KEYS")
    assert "Traceback" not in outcome.stderr
    (tmp_path / "keys").write_text("tu-tep\n")
    assert check(environment | {"IDENTITY_KEYS_FILE": str(tmp_path / "keys")}).returncode == 0


@pytest.mark.parametrize(
    ("kind", "value", "needed"),
    [
        ("bool", "maybe", "1 hoặc 0"),
        ("int", "hai", "một số nguyên"),
        ("json", "[", "JSON"),
        ("int", "1.5", "một số nguyên"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(monkeypatch, kind, value, needed):
    """Neither a traceback nor a silent no."""
    monkeypatch.setenv("BIEN", value)
    with pytest.raises(ImproperlyConfigured, match=f"BIEN=.*cần {needed}"):
        getattr(_Environment(), kind)("BIEN", default=None)
    monkeypatch.setenv("BIEN", "")
    assert getattr(_Environment(), kind)("BIEN", default=7) == 7


@pytest.mark.parametrize(
    "url", ["abc", "mysql://a:bi-mat@b/c", "postgresql://a:bi-mat@b:cổng/c", "postgresql://a:bi-mat@b"]
)
def test_an_address_of_no_database_is_refused_without_being_quoted(url):
    with pytest.raises(PgError) as refused:
        check_address(url)
    assert "DATABASE_URL" in str(refused.value)
    assert "bi-mat" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgres://a:b%2F@[::1]:5432/c?sslmode=require", "postgresql:///c", "postgresql://b/c"]
)
def test_addresses_of_databases_are_taken(url):
    check_address(url)


# --- what the image holds ---------------------------------------------------------------------------------------


def locked(name: str) -> dict[str, str]:
    """The blocks of a lock file (version, marker and hashes of a package) by package and version."""
    blocks = re.split(r"\n(?=[a-z0-9])", (BASE / name).read_text().strip())
    return {block.split(" ")[0]: block for block in blocks}


def packages(name: str) -> set[str]:
    return {canonicalize_name(block.split("==")[0]) for block in locked(name)}


def test_the_image_installs_a_part_of_what_was_tested():
    """Same versions, same hashes; only whole packages are left out."""
    assert locked("requirements-production.lock").items() < locked("requirements.lock").items()
    assert "-r requirements-production.lock" in (BASE / "Dockerfile").read_text()


def test_the_image_holds_no_tool_of_tests_and_no_embedded_server():
    groups = tomllib.loads((BASE / "pyproject.toml").read_text())["dependency-groups"]
    named = {canonicalize_name(Requirement(text).name) for group in groups.values() for text in group}
    # drf-spectacular needs it too.
    assert named & packages("requirements-production.lock") == {"pyyaml"}
    assert named <= packages("requirements.lock")
    ignored = (BASE / ".dockerignore").read_text().split()
    assert {"tests", "bench", "drills"} <= set(ignored)


def test_the_image_holds_everything_that_our_code_imports():
    names = set(settings.INSTALLED_APPS) | set(settings.MIDDLEWARE) | set(settings.AUTHENTICATION_BACKENDS)
    for path in BASE.glob("*/**/*.py"):
        if path.relative_to(BASE).parts[0] in {*settings.PROJECT_APPS, "sms_program", "verifier"}:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names.add(node.module or "")
    held, carriers = packages("requirements-production.lock"), packages_distributions()
    tops = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"sms_program", "verifier"}
    missing = {
        name: carriers.get(name)
        for name in tops - set(settings.PROJECT_APPS)
        if not {canonicalize_name(carrier) for carrier in carriers.get(name, [])} & held
    }
    assert not missing

"""Production from the text of docs/operations.md to a restored backup: the image built, its services run, no engine needed.

Needs root, buildah, nginx, openssl and setpriv (Debian: apt-get install buildah nginx-light), the network for the image's
packages, and the base image of the Dockerfile: in buildah's storage, or made here from Debian's packages (mmdebstrap) when
no registry answers.
"""

import contextlib
import json
import os
import pty
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from drills import NotRunError, drill
from sms_program.processes import BASE_DIR
from tests.live import wait_until

IMAGE = "song-may-tinh:local"
NAME, PASSWORD = "maytinhchoem.example.vn", "mat-khau-dai-cua-dien-tap"
REGISTER = "from sms_program.tasks import register_names; register_names()"
NEEDED = ("buildah", "nginx", "openssl", "setpriv", "unshare")
BASE = "FROM scratch\nADD base.tar /\nRUN ln -s /usr/bin/python3 /usr/local/bin/python\n"


def blocks(title: str) -> list[str]:
    """The commands under one heading of docs/operations.md."""
    text = (BASE_DIR / "docs" / "operations.md").read_text()
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## )", text, re.M | re.S)
    assert section, title
    return re.findall(r"^```\n(.*?)^```", section[1], re.M | re.S)


# --- outside: the image ---------------------------------------------------------------------------------------


def _buildah(*arguments: str) -> str:
    return subprocess.run(
        ["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _build(tag: str, folder: Path, *options: str) -> None:
    command = ["buildah", "bud", "--isolation", "chroot", "--pull-never", "-t", tag, *options, str(folder)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _base_image(folder: Path) -> None:
    """The image that the Dockerfile begins from; where no registry answers, Debian's own packages under its name."""
    short = re.search(r"^FROM (\S+)$", (BASE_DIR / "Dockerfile").read_text(), re.M)[1]
    name, suite = f"docker.io/library/{short}", short.rsplit("-", 1)[1]
    pull = ["buildah", "pull", "--policy", "missing", name]
    if subprocess.run(pull, stdout=sys.stderr, check=False).returncode != 0:
        extra = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["mmdebstrap", "--variant=minbase", extra, suite, folder / "base.tar"], check=True)
        (folder / "Base").write_text(BASE)
        _build(name, folder, "-f", str(folder / "Base"))


@contextlib.contextmanager
def _image(project: Path, folder: Path) -> Iterator[dict]:
    """Build the Dockerfile and unpack the image: where its files are, and its configuration."""
    _base_image(folder)
    # Certificates of this machine: some networks put their own in front of every registry.
    _build(IMAGE, project, "-v", "/etc/ssl/certs:/etc/ssl/certs:ro")
    made = _buildah("from", "--pull-never", IMAGE)
    try:
        config = json.loads(_buildah("inspect", "--type", "image", IMAGE))["OCIv1"]["config"]
        yield {"root": _buildah("mount", made), "config": config}
    finally:
        _buildah("rm", made)


@drill("production")
def production() -> dict:
    """Install, serve, upgrade, back up, restore: the commands as they stand in docs/operations.md."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in NEEDED):
        raise NotRunError(f"cần quyền root và {', '.join(NEEDED)}")
    with tempfile.TemporaryDirectory(prefix="production-", dir="/var/lib") as name:
        folder = Path(name)
        folder.chmod(0o711)
        project = folder / "song-may-tinh"
        subprocess.run(["git", "clone", "-q", BASE_DIR, project], check=True)
        started = time.monotonic()
        with _image(project, folder) as image:
            built_s = time.monotonic() - started
            shutil.rmtree(project)
            (folder / "image.json").write_text(json.dumps(image))
            inside = [sys.executable, "-m", "drills.production", str(folder)]
            apart = [
                "unshare",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation",
                "private",
            ]
            outcome = subprocess.run(
                [*apart, *inside], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True, check=False
            )
        assert outcome.returncode == 0, "xem ở trên"
        return {"build_s": round(built_s)} | json.loads(outcome.stdout)


# --- inside the namespaces ------------------------------------------------------------------------------------


def _name_server() -> None:
    """Docker's own name server, which deploy/nginx.conf asks: every name is here."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.11", 53))
    while True:
        asked, who = server.recvfrom(512)
        end = asked.index(b"\0", 12) + 5
        found = asked[end - 4 : end - 2] == b"\0\1"  # an IPv4 address
        head = asked[:2] + b"\x81\x80\0\1" + (b"\0\1" if found else b"\0\0") + b"\0\0\0\0"
        reply = b"\xc0\x0c\0\1\0\1\0\0\0\x0a\0\4\x7f\0\0\1" if found else b""
        server.sendto(head + asked[12:end] + reply, who)


class _Host:
    """The host of the installation: a shell in which `docker` is the stand-in."""

    def __init__(self, folder: Path):
        self.folder, self.project = folder, folder / "song-may-tinh"
        tools = folder / "bin"
        tools.mkdir()
        for name, line in {
            "docker": f'exec {sys.executable} -m drills._containers "$@"',
            "sudo": 'exec "$@"',
        }.items():
            (tools / name).write_text(f"#!/bin/sh\n{line}\n")
            (tools / name).chmod(0o755)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(BASE_DIR),
            "SMS_CONTAINERS": str(folder),
            "HOME": str(folder),
        }

    def shell(self, commands: str, *, cwd: Path | None = None) -> None:
        sys.stderr.write(commands)
        argv = ["bash", "-euo", "pipefail", "-c", commands]
        subprocess.run(
            argv,
            cwd=cwd or self.project,
            env=self.environment,
            stdout=sys.stderr,
            stdin=subprocess.DEVNULL,
            check=True,
        )

    def succeeds(self, command: str) -> bool:
        return subprocess.run(["sh", "-c", command], cwd=self.project, env=self.environment).returncode == 0

    def says(self, commands: str) -> str:
        """What commands in a container print."""
        return subprocess.check_output(
            ["bash", "-c", commands],
            cwd=self.project,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def typed(self, commands: str, answers: list[str]) -> None:
        """Commands that ask a person at a terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.project)
            os.execvpe("bash", ["bash", "-euc", commands], self.environment)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal is gone with who asked
            while part := os.read(terminal, 4096):
                sys.stderr.write(part.decode(errors="replace"))
                seen += part
                if answers and seen.endswith(b": "):
                    os.write(terminal, answers.pop(0).encode() + b"\n")
                    seen = b""
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert not answers, answers


def _get(address: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """An answer of the proxy or of the web service, redirects not followed."""

    class Stay(urllib.request.HTTPErrorProcessor):
        def http_response(self, request, response):
            return response

        https_response = http_response

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context))
    with opener.open(
        urllib.request.Request(address, headers={"Host": NAME} | headers), timeout=60
    ) as response:
        return response.status, dict(response.headers), response.read().decode(errors="replace")


def _serves(host: _Host) -> dict[str, object]:
    """What people, Prometheus and the health checks get."""
    assert _get("http://127.0.0.1/")[1]["Location"] == f"https://{NAME}/"
    status, headers, page = _get("https://127.0.0.1/")
    assert status == 200, page
    assert "max-age" in headers["Strict-Transport-Security"]
    style = re.search(r'href="(/static/[^"]+\.css)"', page)[1]
    status, headers, _ = _get(f"https://127.0.0.1{style}", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert "immutable" in headers["Cache-Control"]
    assert _get("https://127.0.0.1/metrics")[0] == 404
    token = (host.project / "deploy/secrets/metrics_token").read_text()
    inside = {"Host": "web:8000", "Authorization": f"Bearer {token}"}
    assert "sms_heartbeat_age_seconds" in _get("http://127.0.0.1:8000/metrics", **inside)[2]
    started = time.monotonic()
    # The worker's own health check, as compose asks it.
    wait_until("tác vụ khỏe", lambda: host.succeeds("docker compose health worker"), timeout_s=240, every_s=3)
    assert _get("https://127.0.0.1/healthz/ready")[0] == 200
    return {"worker_healthy_s": round(time.monotonic() - started)}


def _may_do_little(folder: Path) -> int:
    """Nothing of ours runs as root or could become it; returns how many processes were looked at."""
    seen = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            command = (status.parent / "cmdline").read_bytes()
            if not command.startswith(b"python\0") and b"nginx" not in command.split(b"\0")[0]:
                continue
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            assert fields["Uid"].split()[0] in {"10001", "101"}, command
            assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, command
            assert fields["NoNewPrivs"] == "1"
            seen += 1
    return seen


def _tables(host: _Host) -> str:
    """Numbers of rows and the state of the log, to compare before and after."""
    query = "SELECT (SELECT count(*) FROM schools_school), (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM accounts_user)"
    return host.says(
        f"docker compose exec -T database psql -At -U sms_program -d sms_program -c '{query}'"
    ).strip()


def main(folder: Path) -> dict:
    """All of it; raises where a promise broke."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")  # compose: sysctls of the proxy
    threading.Thread(target=_name_server, daemon=True).start()
    (folder / "hosts").write_text("127.0.0.1 localhost database redis web\n")
    (folder / "new").mkdir()
    host = _Host(folder)

    fetch, names, up = blocks("Install")
    host.shell(fetch.replace("<this repository>", str(BASE_DIR)), cwd=folder)
    certificates = host.project / "deploy" / "certificates"
    host.shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x -keyout privkey.pem -out fullchain.pem 2>/dev/null\n",
        cwd=certificates,
    )
    host.shell("sudo sh deploy/make-secrets.sh\n")
    (host.project / ".env").write_text(names)
    start, *after = up.splitlines(keepends=True)
    began = time.monotonic()
    host.shell(start)
    up_s = time.monotonic() - began
    host.typed("".join(after), ["quan-tri@example.vn", "Quản trị", PASSWORD, PASSWORD])
    figures = {"up_s": round(up_s)} | _serves(host)

    figures["unprivileged_processes"] = _may_do_little(folder)
    tried = "touch /x /app/x 2>/dev/null; touch /tmp/x /var/lib/sms/x && ls /x /app/x 2>/dev/null; rm /var/lib/sms/x; ls /run/secrets"
    held = host.says(f"docker compose run --rm web sh -c '{tried}'")
    assert "/x" not in held, held
    assert "ledger_signing_key" not in held
    assert "ledger_signing_key" in host.says("docker compose run --rm signer ls /run/secrets")

    # The signer, a process of its own, signs what the web service's commands hand it; the proxy serves it as a file.
    # Beat hands out both every half hour; the drill does not wait for it.
    host.shell(f"docker compose run --rm web python manage.py shell -v 0 -c '{REGISTER}'\n")
    host.shell("docker compose run --rm web python manage.py ledger publish\n")
    checkpoint = _get("https://127.0.0.1/ledger/checkpoint")[2]
    assert checkpoint.startswith(f"{NAME}/so-cai\n"), checkpoint
    figures["log_entries"] = int(checkpoint.split("\n")[1])

    for block in blocks("Upgrade"):
        host.shell(block.replace("git pull\n", ""))  # there is nothing newer
    before = _tables(host)
    dump, restore = blocks("Backup and restore")
    host.shell(dump)
    host.shell(restore)
    assert _tables(host) == before
    assert _get("https://127.0.0.1/")[0] == 200
    assert _get("https://127.0.0.1/ledger/checkpoint")[2] == checkpoint
    figures["restored"] = before
    host.shell("docker compose stop proxy web worker beat signer redis database\n")
    return figures


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))

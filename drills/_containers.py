"""A stand-in for `docker compose` where no engine is: reads docker-compose.yml and keeps what it says of each service.

Ours run on the image's own file tree, read-only where compose says so, as its user, without capabilities, with exactly
the environment, volumes and secrets named; database, Redis and proxy are programs of this machine with compose's commands
and files. Called as `docker` by the drill of production, as root, inside namespaces of its own (processes, mounts, network: so
ports are compose's own, and all ends with the drill). The state is a folder, SMS_CONTAINERS.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import yaml

from common import pg
from tests.live import redis_program, wait_until

PROXY_USER, REDIS_USER = 101, 999
# What Docker gives every container of its own, and then: no write outside volumes and /tmp.
IMAGE_SCRIPT = """
set -e
mount --bind {root} {new}
mount -t proc proc {new}/proc
mount -t tmpfs tmpfs {new}/dev
for name in null zero random urandom; do touch {new}/dev/$name; mount --bind /dev/$name {new}/dev/$name; done
mkdir {new}/dev/shm; mount -t tmpfs -o size=64m,mode=1777 shm {new}/dev/shm
mount -t tmpfs -o mode=1777 tmpfs {new}/tmp
mount -t tmpfs tmpfs {new}/run; mkdir {new}/run/secrets
mount --bind {state}/hosts {new}/etc/hosts
{binds}
mount -o remount,bind,ro {new}
exec chroot {new} setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \\
  env -i {environment} sh -c 'cd {workdir} && exec "$@"' - {command}
"""
# nginx's own folder holds what the image of compose has there: its types, the one file and the certificates.
PROXY_SCRIPT = """
set -e
mount -t tmpfs -o mode=755 tmpfs /srv; mkdir /srv/static /srv/ledger /srv/nginx
cp /etc/nginx/mime.types /srv/nginx/; mount --bind /srv/nginx /etc/nginx; mkdir /etc/nginx/conf.d /etc/nginx/certificates
touch /etc/nginx/conf.d/default.conf
mount -t tmpfs -o mode=1777 tmpfs /tmp
{binds}
cat > /etc/nginx/nginx.conf <<'END'
pid /tmp/nginx.pid;
daemon off;
error_log stderr;
events {{}}
http {{
  include mime.types;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  include conf.d/default.conf;
}}
END
exec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all nginx -e stderr
"""


class Compose:
    """The services of the compose file in `project`, with the image whose file tree is `root`."""

    def __init__(self, state: Path, project: Path):
        self.state, self.project = state, project
        image = json.loads((state / "image.json").read_text())
        self.root, self.config = image["root"], image["config"]
        given = dict(
            line.split("=", 1) for line in (project / ".env").read_text().split() if not line.startswith("#")
        )
        text = (project / "docker-compose.yml").read_text()
        # `${NAME:?why}`: without it nothing starts.
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: given[found[1]], text)
        # `${NAME:-what}`: unless it is given.
        text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1]) or found[2], text)
        self.read = yaml.safe_load(text)
        self.services = self.read["services"]

    def script(self, name: str, command: list[str]) -> str:
        """What starts `command` as a container of this service, for a shell in a mount namespace of its own."""
        service, new = self.services[name], self.state / "new"
        inside = new if service.get("build") else Path("/")
        binds = []
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            kept = self.project / source if source.startswith("./") else self.volume(source)
            binds.append(f"mount --bind {kept} {inside}{target}")
            binds += [f"mount -o remount,bind,ro {inside}{target}"] * ("ro" in mode)
        for secret in service.get("secrets", []):
            file = self.project / self.read["secrets"][secret]["file"]
            binds.append(f"touch {new}/run/secrets/{secret}; mount --bind {file} {new}/run/secrets/{secret}")
        filled = {"root": self.root, "new": new, "state": self.state, "binds": "\n".join(binds)}
        if not service.get("build"):
            return PROXY_SCRIPT.format(**filled, user=PROXY_USER)
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        environment = self.config["Env"] + [f"{key}={value}" for key, value in service["environment"].items()]
        return IMAGE_SCRIPT.format(
            **filled,
            environment=shlex.join(environment),
            command=shlex.join(command),
            workdir=self.config["WorkingDir"],
            # Docker looks the name up in the image.
            user=re.search(
                rf"^{self.config['User']}:x:(\d+)", Path(self.root, "etc/passwd").read_text(), re.M
            )[1],
        )

    def volume(self, name: str) -> Path:
        """The folder of a named volume; a new one belongs to the image's user, as the image's own folder does."""
        folder = self.state / "volumes" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, 10001, 10001)
        return folder

    def popen(self, name: str, command: list[str], **how) -> subprocess.Popen:
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", self.script(name, command)]
        return subprocess.Popen(argv, **how)

    def run(self, name: str, command: list[str]) -> int:
        """`docker compose run --rm`, and the health checks: a container for one command."""
        return self.popen(name, command or self.services[name]["command"]).wait()

    # --- what stays ---

    def pid(self, name: str) -> int | None:
        file = self.state / f"{name}.pid"
        pid = int(file.read_text()) if file.exists() else None
        return pid if pid and Path(f"/proc/{pid}/exe").exists() else None

    def up(self) -> int:
        """Start what does not run, in the order of `depends_on`."""
        for name in ("database", "redis"):
            if not self.pid(name):
                self.keep(name, getattr(self, name)())
        wait_until("PostgreSQL", lambda: self.client("pg_isready", "-q", "-h", "127.0.0.1") == 0)
        with psycopg.connect(self.admin(), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'sms_program'").fetchone():
                connection.execute("CREATE DATABASE sms_program")
        if code := self.run("prepare", []):
            return code
        for name in ("web", "worker", "beat", "signer"):
            if not self.pid(name):
                self.keep(name, self.popen(name, self.services[name]["command"], **self.output(name)))
        wait_until("web khỏe", lambda: self.health("web"), timeout_s=120, every_s=1)
        if not self.pid("proxy"):
            self.keep("proxy", self.popen("proxy", [], **self.output("proxy")))
        return 0

    def output(self, name: str) -> dict:
        log = (self.state / f"{name}.log").open("ab")
        return {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "start_new_session": True}

    def keep(self, name: str, process: subprocess.Popen) -> None:
        (self.state / f"{name}.pid").write_text(str(process.pid))

    def health(self, name: str) -> bool:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return self.popen(name, self.services[name]["healthcheck"]["test"][1:], **quiet).wait() == 0

    def stop(self, *names: str) -> int:
        for name in names:
            if pid := self.pid(name):
                # The postgres image asks for SIGINT, which does not wait for clients.
                os.kill(pid, signal.SIGINT if name == "database" else signal.SIGTERM)
        for name in names:
            grace = int(self.services[name].get("stop_grace_period", "10s").rstrip("s"))
            wait_until(f"{name} dừng", lambda name=name: not self.pid(name), timeout_s=grace)
        return 0

    # --- database and Redis: programs of this machine ---

    def password(self) -> str:
        return (self.project / "deploy/secrets/database_password").read_text()

    def admin(self) -> str:
        return f"postgresql://sms_program:{self.password()}@127.0.0.1:5432/postgres"

    def client(self, program: str, *arguments: str) -> int:
        """`docker compose exec database`: a client that is let in, on the caller's own input and output."""
        known = os.environ | {"PGPASSWORD": self.password(), "PGHOST": "127.0.0.1"}
        return subprocess.run([pg.client(program), *arguments], env=known, check=False).returncode

    def database(self) -> subprocess.Popen:
        user = pg.unprivileged_user()
        target = pg.Server(self.state / "pg", self.state / "pg.json", user)
        binaries, service = pg._binaries(target), self.services["database"]
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
        if not target.data.exists():
            target.home.mkdir()
            os.chown(target.home, user.pw_uid, user.pw_gid)
            # As the entry script of the postgres image does it.
            password = target.home / "password"
            password.write_text(self.password())
            asked = service["environment"]
            command = [
                str(binaries / "initdb"),
                "-D",
                str(target.data),
                "-U",
                asked["POSTGRES_USER"],
                "--pwfile",
            ]
            command += [str(password), "-A", "scram-sha-256", *shlex.split(asked["POSTGRES_INITDB_ARGS"])]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **who)
        argv = [str(binaries / "postgres"), "-D", str(target.data), *service["command"][1:]]
        argv += ["-c", "unix_socket_directories="]
        return subprocess.Popen(argv, **who, **self.output("database"))

    def redis(self) -> subprocess.Popen:
        # A copy, since that user may not enter the folder of the clone.
        program = shutil.copy(redis_program(), self.state / "redis-server")
        argv = [program, *self.services["redis"]["command"][1:], "--dir", "/tmp"]
        return subprocess.Popen(argv, user=REDIS_USER, group=REDIS_USER, **self.output("redis"))


def main() -> int:
    """`docker compose …`, as docs/operations.md writes it."""
    compose = Compose(Path(os.environ["SMS_CONTAINERS"]), Path.cwd())
    _compose, verb, *words = sys.argv[1:]
    while words and words[0] in {"-d", "-T", "--rm", "--build"}:
        words.pop(0)
    match [verb, *words]:
        case ["build"]:  # the drill did: there is no network in here
            return 0
        case ["up"]:
            return compose.up()
        case ["stop", *names]:
            return compose.stop(*names)
        case ["run", name, *command]:
            return compose.run(name, command)
        case ["exec", "database", program, *arguments]:
            return compose.client(program, *arguments)
        case ["health", name]:
            return 0 if compose.health(name) else 1
    raise SystemExit(f"docker {shlex.join(sys.argv[1:])}: unknown here")


if __name__ == "__main__":
    sys.exit(main())

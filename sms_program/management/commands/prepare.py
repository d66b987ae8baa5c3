"""`manage.py prepare`: what an installation needs before its processes start, at first and at every upgrade."""

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from common import broker
from common.command import PlainCommand


def waiting_migrations() -> int:
    """How many migrations this database has not had yet."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def static_digest() -> str:
    """Changes when a static file does."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = Path(storage.path(path)).stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class Command(PlainCommand):
    help = "Tạo bảng, hàng đợi, dữ liệu nền và tệp tĩnh. Chạy lại không hại gì: chỉ làm phần còn thiếu."

    def handle(self, *args, **options):
        if waiting := waiting_migrations():
            self.stderr.write(f"Cơ sở dữ liệu: đang tạo bảng ({waiting} bước)…")
            call_command("migrate", verbosity=0, interactive=False)
        broker.prepare()
        call_command("load_reference")
        stamp = settings.STATIC_ROOT / ".stamp"
        digest = static_digest()
        if not stamp.exists() or stamp.read_text() != digest:
            self.stderr.write("Tệp tĩnh: đang nén phông chữ, kiểu trang…")
            call_command("collectstatic", verbosity=0, interactive=False)
            stamp.write_text(digest)

"""`manage.py heartbeat worker --within 180`: exit code 0 when that process did real work lately (health checks)."""

import sys

from django.utils import timezone

from common.command import PlainCommand
from common.models import Heartbeat


class Command(PlainCommand):
    help = "Tiến trình có thật sự làm việc gần đây không (mã thoát 0: có)."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--within", type=int, default=180, help="số giây")

    def handle(self, *args, name: str, within: int, **options):
        beat = Heartbeat.objects.filter(name=name).values_list("beat_on_clock_at", flat=True).first()
        if beat is None:
            self.stderr.write(f"{name}: chưa có nhịp nào.")
            sys.exit(1)
        silent_s = (timezone.now() - beat).total_seconds()
        self.stderr.write(f"{name}: nhịp cuối {silent_s:.0f} giây trước.")
        sys.exit(0 if silent_s <= within else 1)

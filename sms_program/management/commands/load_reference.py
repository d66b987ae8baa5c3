"""Units, offices, Directive-16 periods, phases, budgets, criteria, operators and platforms from `reference/`."""

import time

from accounts.models import User
from common.audit import acting
from common.command import PlainCommand
from sms_program import reference


class Command(PlainCommand):
    help = "Nạp dữ liệu tham chiếu từ reference/ (chạy lại bao nhiêu lần cũng được)"

    def handle(self, *args, **options):
        started = time.perf_counter()
        with acting(User.objects.system(), via="command load_reference"):
            reference.load(report=self._report)
        self.stderr.write(f"Dữ liệu tham chiếu: xong sau {time.perf_counter() - started:.1f} giây")

    def _report(self, name: str, outcome, seconds: float) -> None:
        removed = f"bỏ {outcome.removed}, " if outcome.removed else ""
        self.stderr.write(
            f"  {name}: thêm {outcome.inserted}, sửa {outcome.changed}, {removed}giữ nguyên {outcome.same} "
            f"({seconds:.2f} s)"
        )

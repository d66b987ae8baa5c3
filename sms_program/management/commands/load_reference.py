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
        self.has_said = False
        with acting(User.objects.system(), via="command load_reference"):
            reference.load(report=self._report)
        news = "xong" if self.has_said else "đã đủ, không có gì mới"
        self.stderr.write(f"Dữ liệu nền: {news} ({time.perf_counter() - started:.1f} giây)")

    def _report(self, name: str, outcome, seconds: float) -> None:
        """One line for what changed; nothing of what is as it was, which at every later start is everything."""
        if not (outcome.inserted or outcome.changed or outcome.removed):
            return
        if not self.has_said:
            self.stderr.write("Dữ liệu nền: 63 tỉnh, 705 huyện, 10.599 xã, chỉ tiêu của Kế hoạch 3667…")
        self.has_said = True
        removed = f"bỏ {outcome.removed}, " if outcome.removed else ""
        self.stderr.write(
            f"  {name}: thêm {outcome.inserted}, sửa {outcome.changed}, {removed}giữ nguyên {outcome.same} "
            f"({seconds:.2f} s)"
        )

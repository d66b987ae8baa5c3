"""`manage.py erase_expired [--apply]`: what personal data are past their time, and erasing them."""

import time

from django.contrib.auth import get_user_model

from common import clock, retention
from common.audit import acting
from common.command import PlainCommand


class Command(PlainCommand):
    help = "Xoá dữ liệu cá nhân hết thời hạn lưu. Không có --apply thì chỉ đếm, không xoá gì."

    def add_arguments(self, parser):
        parser.add_argument("--apply", action="store_true", help="xoá thật, theo các thời hạn đang áp dụng")

    def handle(self, *args, **options):
        is_dry = not options["apply"]
        by = get_user_model().objects.system()
        started = time.perf_counter()
        with acting(by, via="command erase_expired"):
            outcomes = retention.apply_rules(by=by, at=clock.now(), is_dry=is_dry)
        for outcome in outcomes:
            rule = outcome.rule
            verb = "sẽ xoá" if is_dry else "đã xoá"
            off = "" if rule.is_active else " [chưa áp dụng]"
            self.stdout.write(
                f"{rule.code}{off}: {verb} {outcome.rows} bản ghi trước {outcome.before_on:%d/%m/%Y}. {rule.legal_basis}"
            )
        self.stderr.write(f"Xong sau {time.perf_counter() - started:.1f} giây.")
        if is_dry:
            self.stderr.write("Chưa xoá gì. Thêm --apply để xoá theo các thời hạn đang áp dụng.")

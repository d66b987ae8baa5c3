"""For auditors: recompute a run from its frozen inputs and compare every figure with the public log.

Exit codes: 0 everything agrees, 1 something differs, 2 wrong use (no such run, not committed, no log).
"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from allocation.models import AllocationRun
from allocation.recomputing import recompute
from common.command import PlainCommand
from ledger.disk import Disk
from ledger.log import LogError, NoLogError
from ledger.publisher import public_keys
from ledger.runs import run_entries


class Command(PlainCommand):
    help = "Cho kiểm toán: tính lại trọn một đợt phân bổ từ dữ liệu đã chốt và so từng con số với sổ cái công khai."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="mã đợt, ví dụ DPB-894SRM21P")
        parser.add_argument(
            "--log", type=Path, default=None, help="một bản sao của sổ cái (mặc định: sổ của máy chủ này)"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["log"] or settings.LEDGER_DIR
        run = AllocationRun.objects.select_related("policy").filter(code=options["run"]).first()
        if run is None:
            raise CommandError(f"Không có đợt phân bổ {options['run']}.", returncode=2)
        keys = public_keys()
        if not keys:
            raise CommandError(
                f"Chưa có sổ cái ở {settings.LEDGER_DIR}: bộ ký chưa chạy lần nào.", returncode=2
            )
        try:
            steps = run_entries(Disk(folder).fetch, keys, run.code)
        except NoLogError as error:
            raise CommandError(f"Không có sổ cái ở {folder}: {error}", returncode=2) from error
        except LogError as error:
            raise CommandError(f"KHÔNG ĐẠT: {error}", returncode=1) from error
        if missing := [step for step in ("frozen", "seeded", "committed") if step not in steps]:
            raise CommandError(
                f"Sổ cái chưa có mục run.{missing[0]} của đợt {run.code}: chỉ tính lại được đợt đã phân bổ và đã công bố.",
                returncode=2,
            )
        compared = recompute(run=run, steps=steps)
        if options["json"]:
            rows = [{"what": one.what, "ours": one.ours, "published": one.published} for one in compared]
            self.stdout.write(json.dumps({"run": run.code, "compared": rows}, ensure_ascii=False))
        else:
            for one in compared:
                verdict = "khớp" if one.agrees else f"KHÁC: tính ra {one.ours}, sổ cái ghi {one.published}"
                self.stdout.write(f"  {one.what}: {verdict}")
        if wrong := [one.what for one in compared if not one.agrees]:
            raise CommandError(f"KHÔNG ĐẠT: đợt {run.code} khác sổ cái ở: {', '.join(wrong)}.", returncode=1)
        if not options["json"]:
            self.stdout.write(f"Đợt {run.code}: tính lại từ dữ liệu đã chốt, tất cả đều khớp với sổ cái.")

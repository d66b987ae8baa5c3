"""Run the allocation engine on files. Reads and writes files only: no database is needed."""

import gc
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from allocation import engine, files
from common.command import PlainCommand


class Command(PlainCommand):
    help = (
        "Chạy thử phân bổ trên tệp CSV, không đụng đến cơ sở dữ liệu: "
        "ghi phương án ra --output, in tổng hợp (JSON) ra màn hình."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--students", required=True, metavar="S.csv", help=",".join(files.STUDENT_COLUMNS)
        )
        parser.add_argument("--devices", required=True, metavar="D.csv", help=",".join(files.DEVICE_COLUMNS))
        parser.add_argument(
            "--policy", required=True, metavar="P.json", help="locality_first, margin, groups"
        )
        parser.add_argument("--seed", required=True, metavar="HEX", help="64 chữ số thập lục phân")
        parser.add_argument("--output", required=True, metavar="OUT.csv", help=",".join(files.OUTPUT_COLUMNS))

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_overwriting(options)
        gc.disable()  # millions of short-lived rows and no cycles: looking for some costs a third of the time
        try:
            self.simulate(options)
        finally:
            gc.enable()

    def simulate(self, options: dict[str, Any]) -> None:
        try:
            seed = files.read_seed(options["seed"])
            policy = files.read_policy(options["policy"])
            students, province_codes, areas = files.read_students(options["students"], self.progress)
            devices = files.read_devices(options["devices"], areas, self.progress)
        except files.BadFile as error:
            raise CommandError(str(error), returncode=2) from error
        outcome = engine.allocate(students=students, devices=devices.devices, policy=policy, seed=seed)
        try:
            files.write_allocations(
                options["output"], student_ids=students.code, devices=devices, outcome=outcome
            )
        except OSError as error:
            raise CommandError(
                f"{options['output']}: không ghi được ({error.strerror}). Tệp cũ, nếu có, còn nguyên.\n"
                f"{options['output']}: cannot be written ({error.strerror}).",
                returncode=2,
            ) from error
        summary = engine.summary(
            students=students,
            devices=devices.devices,
            policy=policy,
            outcome=outcome,
            province_codes=province_codes,
        )
        self.stdout.write(json.dumps(summary))

    def progress(self, path: str, rows: int) -> None:
        if rows >= 500_000 and rows % 500_000 == 0:
            self.stderr.write(f"{path}: {rows:,} …")


def refuse_overwriting(options: dict[str, Any]) -> None:
    output = Path(options["output"])
    for name in ("students", "devices", "policy"):
        given = Path(options[name])
        if output.exists() and given.exists() and output.samefile(given):
            raise CommandError(
                f"--output và --{name} là cùng một tệp ({output}): hãy chọn tên khác cho kết quả.\n"
                f"--output and --{name} are the same file.",
                returncode=2,
            )

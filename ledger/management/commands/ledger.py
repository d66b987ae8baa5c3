"""`manage.py ledger …`: the log's signer, publishing by hand, checks, mirrors and keys.

Exit codes: 0 done or verified, 1 the log does not hold what it promises, 2 wrong use or missing files,
3 the signer refused or is away.
"""

import json
import signal
import threading
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from common import clock
from common.command import PlainCommand
from ledger import publisher
from ledger.checks import LogError, verify_database, verify_log
from ledger.disk import Disk
from ledger.keys import new_seed, write_key
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.notes import NoteError
from ledger.publisher import PublishError
from ledger.services import record
from ledger.signer import Signer, SignerRefusedError, rotation_path, serve
from ledger.tiles import TileError, copy_log
from ledger.witnesses import add_witness_arguments, run_witness


class Command(PlainCommand):
    help = "Sổ cái công khai: sign | publish | verify | export | catch-up | rebuild | keys | witness"

    def add_arguments(self, parser):
        commands = parser.add_subparsers(dest="do", required=True)
        sign = commands.add_parser("sign", help="Chạy tiến trình ký (giữ khóa và trí nhớ riêng)")
        sign.add_argument("--forever", action="store_true", help="Chạy đến khi bị dừng (mặc định)")
        publish = commands.add_parser("publish", help="Niêm phong và công bố ngay những gì đã đến hạn")
        publish.add_argument(
            "--now", action="store_true", help="Cả những đợt bàn giao đang chờ (không dùng ở bản thật)"
        )
        publish.add_argument(
            "--inline-signer", action="store_true", help="Ký trong tiến trình này (không dùng ở bản thật)"
        )
        verify = commands.add_parser("verify", help="Kiểm tra tệp sổ cái và đối chiếu với cơ sở dữ liệu")
        verify.add_argument("--files-only", action="store_true", help="Chỉ kiểm tra tệp")
        export = commands.add_parser("export", help="Chép nguyên sổ cái ra một thư mục, làm bản sao")
        export.add_argument("directory", type=Path)
        commands.add_parser(
            "catch-up", help="Sau khi khôi phục bản sao lưu: lấy lại các mục đã công bố từ tệp"
        )
        commands.add_parser("rebuild", help="Viết lại mọi tệp từ cơ sở dữ liệu (tệp bị mất hoặc hỏng)")
        keys = commands.add_parser("keys", help="Khóa ký")
        keys.add_argument("action", choices=["new", "show", "rotated"])
        keys.add_argument("--file", type=Path, help="Ghi khóa mới vào tệp này (0600) thay vì in ra")
        witness = commands.add_parser("witness", help="Chạy một nhân chứng độc lập")
        add_witness_arguments(witness)

    def handle(self, *args, **options):
        try:
            getattr(self, f"do_{options['do'].replace('-', '_')}")(options)
        except (PublishError, TileError) as error:
            raise CommandError(str(error), returncode=2) from error
        except LogError as error:
            raise CommandError(f"KHÔNG ĐẠT: {error}", returncode=1) from error
        except SignerRefusedError as error:
            raise CommandError(f"Bộ ký không ký: {error}", returncode=3) from error
        except NoteError as error:
            raise CommandError(f"Khóa sai: {error}", returncode=2) from error

    def do_sign(self, options):
        keys = publisher.signing_keys()
        if not keys:
            raise CommandError(
                "Thiếu LEDGER_SIGNING_KEY. Tạo bằng: manage.py ledger keys new --file …", returncode=2
            )
        signer = Signer(
            keys=keys, folder=settings.LEDGER_SIGNER_DIR, published=settings.LEDGER_DIR / publisher.CHECKPOINT
        )
        publisher.write_public_files(settings.LEDGER_DIR, keys)
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        self.stderr.write(f"Bộ ký sẵn sàng: {keys[-1].verifier}, đã ký đến mục {signer.size}")
        serve(signer, stop=stopped.is_set)

    def do_publish(self, options):
        if settings.PRODUCTION and (options["now"] or options["inline_signer"]):
            raise CommandError(
                "Bản thật công bố theo lịch đã hứa; --now và --inline-signer không dùng ở đây.", returncode=2
            )
        signer = inline_signer() if options["inline_signer"] else None
        done = publisher.seal_and_publish(
            at=timezone.now(),
            today=clock.today(),
            signer=signer,
            at_once=True if options["now"] else None,
            force=options["now"],
        )
        if done is None:
            self.stderr.write("Một tiến trình khác đang công bố; không cần làm gì.")
            return
        count, last = done
        self.stdout.write(f"Niêm phong {count} mục." + (f" Đã công bố {last.head.size} mục." if last else ""))

    def do_verify(self, options):
        keys = publisher.public_keys()
        if not keys:
            raise CommandError(
                f"Chưa có sổ cái ở {settings.LEDGER_DIR}: bộ ký chưa chạy lần nào.", returncode=2
            )
        disk = Disk(settings.LEDGER_DIR)
        report = verify_log(disk.fetch, keys)
        if not options["files_only"]:
            report["database"] = verify_database(report["size"])
        self.stdout.write(json.dumps(report, ensure_ascii=False))

    def do_export(self, options):
        disk, mirror = Disk(settings.LEDGER_DIR), Disk(options["directory"])

        def beside() -> list[str]:
            return [
                f"{folder}/{path.name}"
                for folder in ("keys", "runs", "figures")
                for path in sorted((disk.root / folder).glob("[!.]*"))
            ]

        try:
            count = copy_log(disk.fetch, mirror.put_all, beside=beside)
        except FileNotFoundError as error:
            raise CommandError("Chưa có gì được công bố để chép.", returncode=2) from error
        except OSError as error:
            raise CommandError(
                f"{options['directory']}: không chép được ({error.strerror}).", returncode=2
            ) from error
        self.stdout.write(f"Đã chép {count} tệp vào {options['directory']}.")

    def do_catch_up(self, options):
        with publisher.sequencer_lock(wait=True):
            added = publisher.catch_up()
        self.stdout.write(f"Đã lấy lại {added} mục từ các tệp đã công bố.")

    def do_rebuild(self, options):
        with publisher.sequencer_lock(wait=True):
            count = publisher.rebuild()
        self.stdout.write(f"Đã viết lại tệp của {count} mục.")

    def do_keys(self, options):
        if options["action"] == "new":
            if options["file"] is None:
                self.stdout.write(new_seed())
                return
            try:
                write_key(options["file"])
            except FileExistsError as error:
                raise CommandError(
                    f"{options['file']} đã có; không ghi đè một khóa.", returncode=2
                ) from error
            except OSError as error:
                raise CommandError(
                    f"{options['file']}: không ghi được ({error.strerror}).", returncode=2
                ) from error
            self.stderr.write(
                f"Khóa mới ở {options['file']}. Đặt LEDGER_SIGNING_KEY=<khóa cũ>,<khóa mới> rồi khởi động lại bộ ký."
            )
            return
        keys = publisher.signing_keys()
        if options["action"] == "show":
            for key in keys:
                self.stdout.write(str(key.verifier))
            return
        if len(keys) < 2:
            raise CommandError("Chỉ có một khóa: thêm khóa mới vào LEDGER_SIGNING_KEY trước.", returncode=2)
        old, new = keys[-2].verifier, keys[-1].verifier
        if rotation_is_recorded(new.public.hex()):
            raise CommandError("Việc thay sang khóa này đã được ghi rồi.", returncode=2)
        with transaction.atomic():
            record(
                event="key.rotated", on=clock.today(), role="signer", key=new.name,
                old=old.public.hex(), new=new.public.hex(),
            )  # fmt: skip
        self.stdout.write(
            f"Đã ghi việc thay khóa: {old.key_id.hex()} → {new.key_id.hex()}. Khi lần công bố sau đã xong và có tệp "
            f"{rotation_path(new)}, bỏ khóa cũ khỏi LEDGER_SIGNING_KEY và khởi động lại bộ ký."
        )

    def do_witness(self, options):
        known = ("name", "key_file", "state", "log_key", "host", "port")
        try:
            run_witness(**{key: options[key] for key in known})
        except OSError as error:
            raise CommandError(f"Nhân chứng không chạy được: {error}", returncode=2) from error


def rotation_is_recorded(new: str) -> bool:
    """Whether an entry, published or waiting, already names this public key (hex) as the new one."""
    return any(
        rows.filter(event="key.rotated", body__contains=f'"new":"{new}"').exists()
        for rows in (LedgerOutbox.objects, LedgerEntry.objects)
    )


def inline_signer() -> Signer:
    """The signer in this process, with the same state (development and tests)."""
    keys = publisher.signing_keys()
    publisher.write_public_files(settings.LEDGER_DIR, keys)
    return Signer(
        keys=keys, folder=settings.LEDGER_SIGNER_DIR, published=settings.LEDGER_DIR / publisher.CHECKPOINT
    )

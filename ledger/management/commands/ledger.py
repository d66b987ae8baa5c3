"""`manage.py ledger …`: the log's signer, publishing by hand, checks, mirrors and keys.

Exit codes: 0 done or verified, 1 the log does not hold what it promises, 2 wrong use or missing files,
3 the signer refused or is away.
"""

import base64
import json
import secrets
import signal
import threading
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from common import clock
from ledger import publisher
from ledger.checks import LogError, verify_database, verify_log
from ledger.disk import Disk
from ledger.notes import COSIGNATURE, SigningKey, VerifierKey
from ledger.publisher import PublishError
from ledger.services import record
from ledger.signer import Signer, SignerRefusedError, serve
from ledger.tiles import TileError, copy_log
from ledger.witnesses import Witness, witness_server


class Command(BaseCommand):
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
        witness.add_argument("--name", required=True)
        witness.add_argument("--key-file", type=Path, required=True, help="Tệp khóa; được tạo nếu chưa có")
        witness.add_argument("--state", type=Path, required=True)
        witness.add_argument(
            "--log-key", action="append", required=True, help="Khóa công khai của sổ cái (vkey)"
        )
        witness.add_argument("--port", type=int, default=0)
        witness.add_argument("--host", default="127.0.0.1")

    def handle(self, *args, **options):
        try:
            getattr(self, f"do_{options['do'].replace('-', '_')}")(options)
        except (PublishError, TileError) as error:
            raise CommandError(str(error), returncode=2) from error
        except LogError as error:
            raise CommandError(f"KHÔNG ĐẠT: {error}", returncode=1) from error
        except SignerRefusedError as error:
            raise CommandError(f"Bộ ký không ký: {error}", returncode=3) from error

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
        beside = [
            f"{folder}/{path.name}"
            for folder in ("runs", "figures")
            for path in sorted((disk.root / folder).glob("[!.]*"))
        ]
        mirror.put_all((name, disk.fetch(name)) for name in beside)
        count = len(beside) + copy_log(disk.fetch, mirror.put_all)
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
            seed = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            if options["file"] is None:
                self.stdout.write(seed)
                return
            write_key(options["file"], seed)
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
        with transaction.atomic():
            record(
                event="key.rotated", on=clock.today(), role="signer", key=new.name,
                old=old.public.hex(), new=new.public.hex(),
            )  # fmt: skip
        self.stdout.write(f"Đã ghi việc thay khóa: {old.key_id.hex()} → {new.key_id.hex()}.")

    def do_witness(self, options):
        path = options["key_file"]
        if not path.exists():
            write_key(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        key = SigningKey(options["name"], base64.urlsafe_b64decode(path.read_text().strip()), COSIGNATURE)
        witness = Witness(
            key=key, folder=options["state"], logs=[VerifierKey.parse(text) for text in options["log_key"]]
        )
        server = witness_server(witness, options["host"], options["port"])
        self.stdout.write(json.dumps({"port": server.server_address[1], "key": str(key.verifier)}))
        self.stdout.flush()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()
        server.shutdown()


def write_key(path: Path, seed: str) -> None:
    """Write a key that only its owner may read; refuses to overwrite one."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise CommandError(f"{path} đã có; không ghi đè một khóa.", returncode=2) from error
    path.write_text(seed)


def inline_signer() -> Signer:
    """The signer in this process, with the same state (development and tests)."""
    keys = publisher.signing_keys()
    publisher.write_public_files(settings.LEDGER_DIR, keys)
    return Signer(
        keys=keys, folder=settings.LEDGER_SIGNER_DIR, published=settings.LEDGER_DIR / publisher.CHECKPOINT
    )

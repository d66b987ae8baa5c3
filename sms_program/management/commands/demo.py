"""Fill in the demonstration programme, step by step; a run that was stopped goes on where it was."""

from django.conf import settings
from django.core.management.base import CommandError

from accounts.models import User
from common.audit import acting
from common.command import PlainCommand
from schools.models import Office
from sms_program.demo.build import Build
from sms_program.demo.plan import SEED, SIZES


class Command(PlainCommand):
    help = "Nạp chương trình minh họa qua đúng các dịch vụ và tệp mà người dùng dùng"

    def add_arguments(self, parser):
        parser.add_argument("--size", choices=SIZES, default="demo", help="quy mô số liệu minh họa")
        parser.add_argument(
            "--seed",
            type=int,
            default=SEED,
            help="cùng hạt giống thì cùng trường, học sinh, máy; mã và kết quả bốc thăm mỗi lần một khác",
        )
        parser.add_argument("--until", default="", help="dừng sau bước này (tên bước)")

    def handle(self, *args, **options):
        if settings.PRODUCTION:
            raise CommandError(
                "Bản thật không nạp số liệu minh họa. Hãy bỏ PRODUCTION=1 nếu đây là bản trình diễn."
            )
        if not Office.objects.filter(code="CT").exists():
            raise CommandError("Chưa có dữ liệu nền. Hãy chạy trước: python manage.py prepare")
        build = Build(size=SIZES[options["size"]], seed=options["seed"], say=self._say)
        try:
            with acting(User.objects.system(), via="command demo"):
                build.run(until=options["until"])
        except KeyboardInterrupt:
            raise CommandError(
                "Đã dừng; chạy lại lệnh này để làm tiếp từ bước đang dở.", returncode=130
            ) from None

    def _say(self, line: str) -> None:
        self.stderr.write(line)
        self.stderr.flush()

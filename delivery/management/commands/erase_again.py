"""`manage.py erase_again`: after a restore, erase anew what families had erased since the backup was taken."""

from accounts.models import User
from common import clock
from common.audit import acting
from common.command import PlainCommand
from delivery.services import erase_again


class Command(PlainCommand):
    help = "Sau khi khôi phục bản sao lưu: xoá lại thông tin của những gia đình mà sổ cái ghi là đã xoá."

    def handle(self, **options) -> None:
        by = User.objects.system()
        with acting(by, via="command erase_again"):
            count = erase_again(by=by, at=clock.now())
        self.stdout.write(f"Đã xoá lại thông tin của {count} em.")

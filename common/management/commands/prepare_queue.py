"""`manage.py prepare_queue`: the broker's tables in the database, when Redis is not the broker."""

from common import broker
from common.command import PlainCommand


class Command(PlainCommand):
    help = "Tạo hàng đợi công việc trong cơ sở dữ liệu (không cần khi dùng Redis). Chạy lại không hại gì."

    def handle(self, *args, **options):
        made = broker.prepare()
        self.stderr.write("Đã tạo hàng đợi." if made else "Hàng đợi đã sẵn sàng.")

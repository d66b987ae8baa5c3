"""News of the demonstration: what was published in 2021 and 2022, each with its source, and the first release of figures."""

import datetime as dt

from accounts.models import User
from dashboards import opendata, services
from sms_program.demo.plan import TODAY, moment

STORIES = [
    (
        "phat-dong-chuong-trinh",
        "Phát động chương trình “Sóng và máy tính cho em”",
        "Lễ phát động nối 63 tỉnh, thành phố; các cơ quan, doanh nghiệp và người dân cùng góp máy tính, góp sóng để học sinh khó khăn được học trực tuyến.",
        (
            "Chương trình hướng đến học sinh, sinh viên hộ nghèo, hộ cận nghèo và các em mất cha hoặc mẹ vì COVID-19 chưa có máy tính để học.\n\n"
            "Mọi máy được ủng hộ đều có một mã riêng. Ai có mã cũng tra cứu được máy đã đi đến đâu."
        ),
        "Báo chí, tháng 9 năm 2021",
        dt.date(2021, 9, 12),
    ),
    (
        "ke-hoach-3667",
        "Hai Bộ ban hành kế hoạch triển khai",
        "Kế hoạch 3667/KH-BTTTT-BGDĐT đặt mục tiêu 1.000.000 máy tính trong năm 2021 và phủ sóng 1.910 điểm chưa có Internet di động.",
        (
            "Trước ngày 30/9/2021 phủ sóng 283 điểm ở địa phương đang thực hiện Chỉ thị 16; hết năm 2021 phủ sóng toàn bộ 1.910 điểm.\n\n"
            "Giai đoạn 2022–2023: 100% học sinh, sinh viên hộ nghèo và cận nghèo có máy tính."
        ),
        "Kế hoạch 3667/KH-BTTTT-BGDĐT ngày 21/9/2021",
        dt.date(2021, 9, 21),
    ),
    (
        "dong-nai-ban-giao",
        "Đồng Nai bàn giao 5.656 máy cho học sinh",
        "Theo báo chí năm 2021: ngày 10/11 Đồng Nai trao 5.656 máy; hôm sau Long An trao 2.687 máy. Bản trình diễn này chỉ dựng lại một phần.",
        "Đây là số báo chí đã đưa của chương trình năm 2021; số liệu từng tỉnh trên trang này được dựng để trình diễn.",
        "Báo chí, tháng 11 năm 2021",
        dt.date(2021, 11, 11),
    ),
]


def publish_news(build) -> None:
    """Publish the stories through the same service as staff, then the day's figures and open-data files."""
    by = User.objects.system()
    for slug, title, summary, body, source, on in STORIES:
        services.publish_story(
            by=by, slug=slug, title=title, summary=summary, body=body, source=source, on=on
        )
    services.store_figures(by=by, at=moment(TODAY, 17))
    opendata.write_dump(at=moment(TODAY, 17))

"""Pieces of pages, drawn alone."""

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from common.models import SentMail


def test_a_table_puts_numbers_to_the_right_and_words_to_the_left():
    table = {
        "caption": "Dòng kinh phí",
        "columns": ["Dòng", "Nguồn", "Kế hoạch"],
        "rows": [["Máy tính", "Ủng hộ", "2.500 tỷ đồng"]],
    }
    text = render_to_string("components/data_table.html", table | {"worded": "Nguồn"})
    assert '<th scope="col">Nguồn</th><th scope="col" class="num">Kế hoạch</th>' in text
    assert '<td data-label="Nguồn">Ủng hộ</td><td class="num" data-label="Kế hoạch">' in text
    assert '<td class="num" data-label="Nguồn">' in render_to_string("components/data_table.html", table)


@pytest.mark.parametrize("is_real", [True, False])
def test_a_demonstration_of_2021_shows_no_date_of_the_real_clock(is_real):
    at = timezone.now()
    text = render_to_string(
        "allocation/mail_log.html",
        {"mails": [SentMail(delivered_on_clock_at=at)], "told": at, "is_real": is_real},
    )
    assert "Máy chủ thư đã nhận" in text
    assert (f"{at:%Y}" in text) is is_real

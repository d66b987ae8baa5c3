"""The demonstration from nothing to whole, in the order in which the programme itself went.

Every step can be repeated: what is there already is left alone, so a run that was killed goes on where it was.
"""

import contextlib
import datetime as dt
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction

from accounts.models import User
from common.models import Programme
from schools.models import Office
from sms_program.demo import journey, need, news, offices, runs, signal, staff, supply
from sms_program.demo.places import DemoSchool
from sms_program.demo.plan import FIRST_FREEZE, TODAY, Size, moment


@dataclass
class Build:
    """One filling. `say` gets a line of progress; the programme's row carries it to the pages."""

    size: Size
    seed: int
    say: Callable[[str], None]
    schools: list[DemoSchool] = field(default_factory=list)
    _step: str = ""
    _share: tuple[int, int] = (0, 1)
    _told_s: float = 0.0
    _percent: int = 0

    def run(self, *, until: str = "") -> None:
        """Run the steps in their order; `until` names the last one wanted.

        A step and the mark that it is done are one transaction (a step that commits on its way says so itself and
        can be repeated): a run that was killed begins again with the step that it was in.
        """
        programme, _ = Programme.objects.update_or_create(
            pk=1,
            defaults={"is_demonstration": True, "today_on": TODAY, "demonstration_seed": self.seed},
        )
        self.schools = offices.planned_schools(rng=self.rng("schools"), size=self.size)
        weights = sum(step.weight for step in STEPS)
        done = 0
        for number, step in enumerate(STEPS, start=1):
            low, done = done, done + step.weight
            if number > programme.demonstration_steps_done:
                self._step, self._share = step.title, (low * 100 // weights, done * 100 // weights)
                self._run_step(step, number)
            if step.name == until:
                return
        Programme.objects.filter(pk=1).update(demonstration_step="", demonstration_percent=100)

    def _run_step(self, step: "Step", number: int) -> None:
        self.tell(0, 1, force=True)
        started = time.monotonic()
        with transaction.atomic() if step.is_atomic else contextlib.nullcontext():
            step.fill(self)
            Programme.objects.filter(pk=1).update(demonstration_steps_done=number)
        self.say(f"{step.title}: xong sau {time.monotonic() - started:.1f} giây")

    def tell(self, done: int, total: int, *, force: bool = False) -> None:
        """Say how far the step is, at most once a second; on a connection of its own, to be seen at once."""
        if not force and time.monotonic() - self._told_s < 1 and done < total:
            return
        self._told_s = time.monotonic()
        low, high = self._share
        # A step of several rounds counts each from its beginning; what was told never falls.
        self._percent = percent = max(self._percent, min(99, low + (high - low) * done // max(1, total)))
        self.say(f"Số liệu minh họa {percent}%: {self._step} ({done}/{total})")
        Programme.objects.using("journal").filter(pk=1).update(
            demonstration_step=self._step[:120], demonstration_percent=percent
        )

    def rng(self, name: str) -> random.Random:
        """Randomness of one piece: the same for the same seed, whatever the other pieces draw."""
        return random.Random(f"{self.seed}/{name}")

    def person(self, address: str) -> User:
        """The person who plays a part."""
        return User.objects.get(email=f"{address}@{staff.DOMAIN}")

    def office(self, code: str) -> Office:
        return Office.objects.get(code=code)


@dataclass(frozen=True)
class Step:
    """One piece of the demonstration: `weight` is its part of the progress."""

    name: str
    title: str
    weight: int
    fill: Callable[[Build], None]
    is_atomic: bool = True


def _places(build: Build) -> None:
    offices.load_offices(schools=build.schools)


def _people(build: Build) -> None:
    offices.load_people(schools=build.schools, at=moment(FIRST_FREEZE - dt.timedelta(days=10)))


STEPS = [
    Step("places", "trường học và kho", 2, _places),
    Step("people", "người dùng và vai trò", 2, _people),
    Step("criteria", "tiêu chí kỹ thuật", 1, supply.publish_criteria),
    Step("policies", "chính sách ưu tiên", 1, runs.publish_policies),
    Step("points", "1.910 điểm chưa có sóng", 1, signal.load_points),
    Step("pledges", "cam kết của nhà tài trợ", 1, supply.make_pledges),
    Step("money", "tiền ủng hộ", 1, supply.receive_money),
    Step("sims", "SIM của các nhà mạng", 1, signal.stock_sims),
    Step("intake1", "tiếp nhận và kiểm định, đợt một", 2, supply.first_intake),
    Step("lists", "danh sách học sinh của 63 Sở", 60, need.send_lists, is_atomic=False),
    Step("run1", "đợt phân bổ thứ nhất", 5, runs.first_run, is_atomic=False),
    Step("orders", "đơn mua từ tiền ủng hộ", 1, supply.order_devices),
    Step("carry1", "vận chuyển đợt một", 8, journey.carry_first_wave, is_atomic=False),
    Step("handover1", "bàn giao đợt một", 12, journey.hand_over_first_wave, is_atomic=False),
    Step("intake2", "tiếp nhận và kiểm định, đợt hai", 3, supply.second_intake),
    Step("payments", "trả tiền đơn mua, chuyển tiền về tỉnh", 1, supply.pay_and_pass_on),
    Step("run2", "đợt phân bổ thứ hai", 5, runs.second_run, is_atomic=False),
    Step("carry2", "vận chuyển đợt hai", 6, journey.carry_second_wave, is_atomic=False),
    Step("handover2", "bàn giao đợt hai", 6, journey.hand_over_second_wave, is_atomic=False),
    Step("intake3", "tiếp nhận tháng 11", 2, supply.third_intake),
    Step("coverage", "báo cáo phủ sóng của doanh nghiệp viễn thông", 4, signal.report_points),
    Step("connectivity", "khảo sát kết nối Internet của trường", 3, signal.survey_schools),
    Step("after", "tình hình sử dụng máy", 5, journey.follow_up),
    Step("replacements", "đổi máy hỏng, gửi trả về kho", 1, journey.replace_and_return),
    Step("losses", "máy mất trên đường", 1, journey.give_up_lost),
    Step("platforms", "nền tảng học trực tuyến và hỗ trợ hạ tầng", 1, signal.open_platforms),
    Step("grievances", "phản ánh của người dân", 1, journey.open_grievances),
    Step("news", "tin tức và kỳ số liệu đầu tiên", 1, news.publish_news),
]

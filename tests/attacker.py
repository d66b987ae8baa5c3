"""Rule 9's attacker against a running programme: real runs, shipments, handovers and releases, every public address read.

The attacker holds the whole roll of children, the log's files, and every public page, file and API answer of every
week. `attack()` builds the programme, crawls it after each weekly release and returns what came out.
"""

import datetime as dt
import html
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from allocation.models import Allocation
from common import crypto
from common.access import access_of
from dashboards import opendata
from dashboards.models import DailyFigure
from dashboards.protection import NEED
from dashboards.services import store_figures
from delivery import services as delivery
from ledger.canon import parse
from ledger.disclosure import PublicLine
from ledger.publisher import publish_figures
from ledger.tiles import read_entries
from schools.models import AdministrativeUnit, School, Student
from tests.allocation_world import AT, AllocationWorld
from tests.ledger_log import Log
from tests.small_lines import plain_guesses
from tests.supply import FOUNDED, office, person

WEEK = dt.timedelta(days=7)
SIZES = (3, 8, 25, 90, 400)
# Every child is marked, so that a trace of any of them is found in any text: no random text holds these.
SURNAME, CLASS, CODE, YEAR = "Zàng", "7Zé", "ZQ.", 1987
MARKS = re.compile(
    rf"{SURNAME}|{SURNAME.upper()}|zang thi|{CLASS}|{re.escape(CODE)}\d|{YEAR}-\d\d-\d\d|\d\d/\d\d/{YEAR}"
)
LINK = re.compile(r"""(?:href|src|action|data-file|data-proof|data-key)=["'](/[^"'#]*)""")
NUMBERS = re.compile(r"(?<!\d)\d{12}(?!\d)")
PROVINCES, DISTRICTS = 5, 20


@dataclass
class Found:
    """What the attack read and what it could tell."""

    addresses: set[str] = field(default_factory=set)
    bytes_read: int = 0
    leaks: list[str] = field(default_factory=list)
    best_link: float = 0.0
    worst: tuple = ()
    devices: int = 0
    children: int = 0
    small_cells: int = 0
    guesses: int = 0
    right_guesses: list[str] = field(default_factory=list)


class Programme(AllocationWorld):
    """Five provinces of schools from 3 to 400 pupils, some of them eligible."""

    def __init__(self, children: int, seed: int):
        super().__init__()
        self.chance = random.Random(seed)
        self.numbers: set[str] = set()
        self.roll: Counter[int] = Counter()
        self.walker = person("phong", ("clerk", self.programme))
        self.places = [self._a_province(number) for number in range(PROVINCES)]
        made = number = 0
        while made < children:
            size = min(self.chance.choice(SIZES), children - made)
            self._a_school(number, size)
            made, number = made + size, number + 1
        # One province where few are in need: its count must stay hidden, also while it grows past ten.
        self.far = self._a_school(number, 0, self._a_province(PROVINCES)[0])
        self.grow(6)

    def _a_province(self, number: int) -> list[tuple]:
        code = f"{80 + number}"
        unit = self._province(code, f"Tỉnh Số {number}", f"tinh-so-{number}")
        committee = office("province_committee", f"T-{code}", parent=self.programme, unit=unit)
        department = office("province_department", f"S-{code}", parent=committee, unit=unit)
        found = []
        for at in range(DISTRICTS // PROVINCES):
            district = AdministrativeUnit.objects.create(
                level="district", code=f"{700 + number * 10 + at}", name=f"Huyện {number}.{at}",
                full_name=f"Huyện {number}.{at}", parent=unit, province=unit, valid_from=FOUNDED,
            )  # fmt: skip
            place = office("district_office", f"P-{district.code}", parent=department, unit=district)
            found.append((unit, district, place))
        return found

    def grow(self, count: int) -> None:
        """More children in need in the province of few."""
        self.roll[self.far.pk] += count
        self._children(self.far, [f"x.{self.roll[self.far.pk]}.{number}" for number in range(count)])

    def _a_school(self, number: int, size: int, place: tuple | None = None) -> School:
        unit, district, above = place or self.chance.choice(self.chance.choice(self.places))
        commune, _ = AdministrativeUnit.objects.get_or_create(
            level="commune", code=f"{30_000 + district.pk * 10 + number // 3 % 3}", parent=district, province=unit,
            valid_from=FOUNDED, defaults={"name": f"Xã {number}", "full_name": f"Xã {number}"},
        )  # fmt: skip
        place = office("school", f"TR-{85_000_000 + number}", parent=above, unit=commune)
        school = School.objects.create(
            office=place, code=f"{85_000_000 + number}", level="lower_secondary", commune=commune, district=district,
            province=unit, enrolment=size or 60,
        )  # fmt: skip
        self.roll[school.pk] = school.enrolment
        share = self.chance.choice((0.1, 0.4, 0.9))
        self._children(school, [f"{number}.{child}" for child in range(size) if self.chance.random() < share])
        return school

    def _children(self, school: School, names: list[str]) -> None:
        children = []
        for child, word in enumerate(names):
            number12 = f"0{80 + child % 10}3{len(self.numbers):08d}"
            self.numbers.add(number12)
            name = f"{SURNAME} Thị {word}"
            children.append(
                Student(
                    school=school, full_name=name, search_key=name.lower(), sort_key=name.lower(),
                    class_name=f"{CLASS}{child % 4}", code=f"{CODE}{len(self.numbers)}",
                    born_on=dt.date(YEAR, child % 12 + 1, child % 28 + 1),
                    group=self.chance.choices(("poor", "near_poor", "covid_orphan"), (70, 28, 2))[0],
                    identity_sealed=crypto.seal(number12.encode()), identity_index=crypto.blind_index(number12),
                    state="approved", approved_at=AT, approved_by=self.clerk,
                )
            )  # fmt: skip
        Student.objects.bulk_create(children)

    def bring(self) -> None:
        """Every allocated device to its school, hop by hop."""
        for turn in range(6):
            sender, receiver = (self.clerk, self.walker) if turn % 2 else (self.walker, self.clerk)
            shipments = delivery.plan_shipments(by=sender, at=AT)
            if not shipments:
                return
            delivery.dispatch_shipments(by=sender, shipments=shipments, at=AT)
            delivery.receive_shipments(by=receiver, shipments=shipments, at=AT)

    def hand_over(self, *, at: dt.datetime, share: float) -> int:
        """Some schools hand over what has come; how many devices."""
        count = 0
        for school in School.objects.filter(office__custodies__to_at__isnull=True).distinct():
            if self.chance.random() > share:
                continue
            rows = [row for row in delivery.waiting_rows(school) if row.is_here and not row.problem]
            if not rows:
                continue
            record = delivery.open_record(
                by=self.clerk, school=school, class_name="", held_on=at.date(), at=at
            )
            given = [
                {"device": row.device, "recipient": "guardian", "guardian_name": f"{SURNAME} A {row.device}"}
                for row in rows
            ]
            count += len(delivery.hand_over(by=self.clerk, record=record, rows=given, at=at))
            delivery.sign_record(by=self.clerk, record=record, at=at)
        return count


def public_routes(patterns=None, prefix: str = "/") -> Iterator[str]:
    """Every public address without a parameter."""
    for entry in patterns or get_resolver().url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from public_routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and "<" not in route and "^" not in route:
            access = access_of(entry.callback)
            if access is not None and access.is_public:
                yield route


def crawl(log: Log, world: Programme, found: Found, sample: int) -> None:
    """Read every public address that is linked, listed, or known from the log; report traces of children."""
    client = Client(raise_request_exception=True)
    entries = list(all_entries(log))
    devices = sorted({body["dev"] for body in entries if "dev" in body})
    waiting = list(public_routes())
    waiting += ["/robots.txt", "/sitemap.xml", f"/tra-cuu/?ma={SURNAME}", f"/nha-tai-tro/?q={SURNAME}"]
    waiting += [f"/ledger/{path.relative_to(log.folder)}" for path in log.folder.rglob("*") if path.is_file()]
    waiting += [f"/cam-ket/{body['pledge']}/" for body in entries if "pledge" in body]
    for code in world.chance.sample(devices, min(sample, len(devices))):
        waiting += [f"/thiet-bi/{code}/", f"/api/v1/devices/{code}/"]
    waiting += [f"/api/v1/{slug}/?limit=1000" for slug in opendata.DATASETS]
    waiting += [
        f"/tinh/{slug}/"
        for slug in AdministrativeUnit.objects.exclude(slug="").values_list("slug", flat=True)
    ]
    # A filter or page number is another address: a few of each page, not all their combinations.
    seen, devices_read, variants = set(), 0, Counter()
    while waiting:
        address = waiting.pop()
        if address in seen or address.startswith(("/static/", "/tai-khoan/")):
            continue
        if address.startswith(("/thiet-bi/", "/so-cai/bien-nhan/", "/en/thiet-bi/")):
            devices_read += 1
            if devices_read > 4 * sample:
                continue
        path = urlsplit(address).path
        if address != path:
            variants[path] += 1
            if variants[path] > 3:
                continue
        seen.add(address)
        cache.clear()
        response = client.get(address)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        assert response.status_code < 500, address
        found.bytes_read += len(body)
        text = body.decode(errors="replace")
        _look(address, text, world, found)
        if response.status_code in (301, 302) and response["Location"].startswith("/"):
            waiting.append(response["Location"])
        if response.get("Content-Type", "").startswith("text/html"):
            waiting += [html.unescape(link) for link in LINK.findall(text) if urlsplit(link).path]
    found.addresses |= seen


def _look(address: str, text: str, world: Programme, found: Found) -> None:
    # What the crawler itself typed comes back in the box that it typed it into.
    text = re.sub(r'value="[^"]*"', "", text) if "?" in address else text
    if hit := MARKS.search(text):
        found.leaks.append(f"{address}: {hit.group()}")
    found.leaks += [f"{address}: {number}" for number in set(NUMBERS.findall(text)) & world.numbers]


def all_entries(log: Log) -> Iterator[dict]:
    """The whole log as anyone downloads it."""
    size = int((log.folder / "checkpoint").read_text().split("\n")[1])
    for bundle in read_entries(log.disk.fetch, size):
        yield from map(parse, bundle)


def link(log: Log, world: Programme, found: Found) -> None:
    """For each device, all places that its entries name; then among how many recipients it could be any one's.

    The attacker even knows who got a device: a device's candidates are the recipients of its run in the schools that
    fit every place that its entries name, and whose own public area is that very one (it knows the rule too).
    """
    schools = School.objects.select_related("office", "commune", "district", "province")
    inside: dict[str, set[int]] = defaultdict(set)
    for school in schools:
        for code in (school.code, *school.office.path.strip("/").split("/"), school.commune.public_code, school.district.public_code,
                     school.province.public_code, "VN"):  # fmt: skip
            inside[code].add(school.pk)
    warehouses = {"KHO-TU", "KHO-2"}
    recipients: Counter = Counter(
        Allocation.objects.values_list("run__code", "public_area", "student__school_id")
    )
    fits: dict[str, set[int]] = {}
    area: dict[str, tuple[str, str]] = {}
    for body in all_entries(log):
        device = body.get("dev")
        if body["t"] == "device.allocated":
            area[device], fits[device] = (body["run"], body["area"]), set(inside[body["area"]])
        if device in fits:
            for key in ("from", "to", "at", "area"):
                if (place := body.get(key)) and place not in warehouses and place in inside:
                    fits[device] &= inside[place]
    rolls: dict[tuple, int] = {}
    for device, schools_left in fits.items():
        run, place = area[device]
        count = sum(recipients[run, place, school] for school in schools_left)
        assert count, (device, [body for body in all_entries(log) if body.get("dev") == device])
        if 1 / count > found.best_link:
            found.best_link, found.worst = 1 / count, (device, run, place, schools_left)
        rolls[run, place] = sum(
            world.roll[school] for school in inside[place] if recipients[run, place, school] or place == "VN"
        )
    for (run, place), size in rolls.items():
        if place != "VN":
            taken = sum(count for (of, where, _), count in recipients.items() if (of, where) == (run, place))
            assert 2 * taken <= sum(world.roll[school] for school in inside[place]), (place, taken, size)
    found.devices = len(fits)


def guess(found: Found) -> None:
    """From one release to another: guess that what was hidden of the need did not change since, or one alone did."""
    rows = DailyFigure.objects.filter(name=NEED).order_by("on", "area")
    truth: dict[dt.date, dict[str, int]] = defaultdict(dict)
    shown: dict[dt.date, dict[str, int]] = defaultdict(dict)
    for on, place, value, number in rows.values_list("on", "area", "value", "shown"):
        truth[on][place] = value
        if number is not None:
            shown[on][place] = number
    lines = {on: PublicLine(seen.pop("VN"), seen) for on, seen in shown.items()}
    for on, then in lines.items():
        few = {place for place, count in truth[on].items() if 0 < count < 10}
        assert not few & then.shown.keys(), (on, few)
        found.small_cells += len(few)
        for now in lines.values():
            for place, value in plain_guesses(then, now, [place for place in truth[on] if place != "VN"]):
                found.guesses += 1
                if place in few and value == truth[on][place]:
                    found.right_guesses.append(f"{place} {on}: {value}")


def attack(
    log: Log,
    *,
    children: int,
    devices: int,
    weeks: int = 6,
    sample: int = 40,
    seed: int = 1,
    is_read_weekly: bool = True,
) -> Found:
    """Build the programme, let it run for some weeks, read all that is public after each, and put it together."""
    found = Found(children=children)
    with transaction.atomic():
        world = Programme(children, seed)
        stock = devices
        while stock > 0:
            world.stock(min(stock, 500))
            stock -= 500
        world.committed()
        world.bring()
    for week in range(weeks):
        at = AT + week * WEEK
        with transaction.atomic():
            world.hand_over(at=at, share=1.0 if week == weeks - 1 else 0.3)
        # In the next week the batches of this one are due; a batch of fewer than ten waits on.
        today = (at + WEEK).date()
        log.turn(at_once=False, today=today)
        store_figures(by=world.clerk, at=at + WEEK)
        publish_figures(on=today, disk=log.disk)
        opendata.write_dump(at=at + WEEK)
        if week == weeks - 1 or is_read_weekly:
            crawl(log, world, found, sample)
        link(log, world, found)
        world.grow(3)
    guess(found)
    return found

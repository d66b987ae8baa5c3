"""A pledge's devices and how far each is, drawn from what the public log already shows."""

from dataclasses import dataclass

from django.core.cache import cache
from django.db import connection

from donations.models import Device, Pledge
from ledger.custody import LABEL, WITH_STUDENT
from ledger.models import LedgerEntry

COUNTS = """
    SELECT coalesce(latest.state, ''), count(*)
    FROM donations_device device
    JOIN donations_lot lot ON lot.id = device.lot_id
    JOIN donations_pledge pledge ON pledge.id = lot.pledge_id
    LEFT JOIN LATERAL (
        SELECT state FROM ledger_entry entry WHERE entry.dev = device.code ORDER BY n DESC LIMIT 1
    ) latest ON true
    WHERE pledge.id = %(pledge)s OR pledge.umbrella_id = %(pledge)s
    GROUP BY 1
"""
# A pledge of 100,000 devices takes a second to count; a small one is always fresh.
KEPT_S, KEPT_FROM = 60, 2_000
# Where a device is now; the words of the public funnel count every device that ever came so far.
STAGES = (
    ("received", "Ở kho, chưa kiểm định xong", ("", "received", "to_repair", "repaired", "returned")),
    ("accepted", "Đạt kiểm định, chờ phân bổ", ("accepted",)),
    ("allocated", "Đã phân bổ, chờ gửi đi", ("allocated",)),
    ("moving", "Đang vận chuyển, đã về địa phương", ("in_transit", "arrived", "transfer", "sent_back")),
    ("given", "Đã bàn giao cho học sinh", (*WITH_STUDENT,)),
    ("refused", "Không đạt, đã thay hoặc đã loại", ("refused", "written_off", "replaced", "recalled")),
    ("problem", "Đang xử lý vướng mắc", ("missing", "missing_free", "damaged", "lost", "stolen")),
)


@dataclass(frozen=True)
class Stage:
    """How many of a pledge's devices stand at one stage."""

    key: str
    label: str
    count: int


def stages_of(pledge: Pledge) -> list[Stage]:
    """Counts per stage, from published entries alone; a pledge with its progress. Large ones are kept for a minute."""

    def read() -> dict[str, int]:
        with connection.cursor() as cursor:
            cursor.execute(COUNTS, {"pledge": pledge.pk})
            return dict(cursor.fetchall())

    if pledge.received_count <= KEPT_FROM:
        counts = read()
    else:
        counts = cache.get_or_set(f"donations.stages:{pledge.pk}", read, KEPT_S)
    return [Stage(key, label, sum(counts.get(state, 0) for state in states)) for key, label, states in STAGES]


@dataclass(frozen=True)
class Way:
    """One device and where it stands in the public log; `eid` names its latest entry, "" before the first."""

    code: str
    model: str
    state: str
    label: str
    eid: str


def ways_of(devices) -> list[Way]:
    """The devices of one page with their latest published state: two queries, whatever the number."""
    rows = list(devices.values_list("code", "lot__model_name", "lot__device_kind"))
    latest = {
        dev: (state, eid)
        for dev, state, eid in LedgerEntry.objects.filter(dev__in=[code for code, *_ in rows])
        .order_by("dev", "-n")
        .distinct("dev")
        .values_list("dev", "state", "eid")
    }
    kinds = dict(Pledge.DeviceKind.choices)
    return [
        Way(
            code,
            model or kinds[kind],
            latest[code][0] if code in latest else "",
            LABEL[latest[code][0]] if code in latest else "Chờ ghi vào sổ cái công khai",
            latest[code][1].hex if code in latest else "",
        )
        for code, model, kind in rows
    ]


def has_receipt(pledge: Pledge) -> bool:
    """Whether the public log has an entry of the pledge itself, which its receipt proves."""
    return LedgerEntry.objects.filter(subject=pledge.code).exists()


def devices_of(pledge: Pledge):
    """Its devices, by the members' pledges too, in the order of their arrival."""
    return Device.objects.of_pledge(pledge).order_by("pk")

"""How fast the warehouse takes devices in, inspects them and prints their labels; everything is rolled back."""

import datetime as dt
import time
from collections.abc import Iterator

from django.db import connection, transaction

from accounts.models import User
from bench import bench, peak_mb
from donations import services
from donations.labels import labels_pdf
from donations.models import DeviceCriteria, Lot
from donations.rules import Finding
from schools.models import Office

AT = dt.datetime(2021, 10, 5, 9, 0, tzinfo=dt.UTC)


def an_empty_lot(by: User) -> Lot:
    """A confirmed pledge's lot in a warehouse of the bench's own."""
    root = Office.objects.filter(kind=Office.Kind.PROGRAMME).first() or Office.objects.create(
        kind=Office.Kind.PROGRAMME, code="CT", name="Chương trình", path="/CT/", valid_from=AT.date()
    )
    store = Office.objects.create(
        kind=Office.Kind.WAREHOUSE,
        code="KHO-BENCH",
        name="Kho đo",
        parent=root,
        path=f"{root.path}KHO-BENCH/",
        valid_from=AT.date(),
    )
    criteria = DeviceCriteria.objects.create(
        device_kind="tablet", version=999, limits={"screen_inch_min": 8}, legal_reference="đo tốc độ"
    )
    services.publish_criteria(by=by, criteria=criteria, at=AT)
    donor = services.register_donor(by=by, kind="enterprise", name="Đo", at=AT)
    pledge, _secret = services.make_pledge(
        by=by,
        donor=donor,
        kind="device",
        device_kind="tablet",
        quantity=1_000_000,
        at=AT,
        warehouse=store,
        is_verified=True,
    )
    return services.receive_lot(by=by, pledge=pledge, warehouse=store, device_kind="tablet", at=AT)


def bare_copy(rows: list[tuple[str, str]]) -> float:
    """Seconds to COPY the same rows three times (device, entry, opening) into a table without an index."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE bench_floor (a text, b text) ON COMMIT DROP")
        start = time.perf_counter()
        for _ in range(3):
            with cursor.copy("COPY bench_floor FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        return time.perf_counter() - start


@bench("donations.intake")
def intake(quick: bool) -> Iterator[dict]:
    """Receive and inspect a lot; print 200 labels."""
    count = 2_000 if quick else 20_000
    rows = [(f"BENCH-{number:07}", "") for number in range(count)]
    with transaction.atomic():
        by = User.objects.system()
        lot = an_empty_lot(by)
        floor = bare_copy(rows)
        start = time.perf_counter()
        codes = services.receive_devices(by=by, lot=lot, rows=rows, at=AT)
        seconds = time.perf_counter() - start
        yield _line("donations.receive_devices", seconds, floor, count)
        start = time.perf_counter()
        findings = [Finding(code, {"screen_inch": 8}) for code in codes]
        services.inspect_devices(by=by, findings=findings, at=AT)
        yield _line("donations.inspect_devices", time.perf_counter() - start, floor, count)
        start = time.perf_counter()
        labels_pdf([(code, "Tab 8") for code in codes[:200]], lot=lot.code, at=AT)
        yield _line("donations.labels", time.perf_counter() - start, floor, 200)
        transaction.set_rollback(True)


def _line(name: str, seconds: float, floor: float, rows: int) -> dict:
    return {
        "name": name,
        "seconds": seconds,
        "floor_seconds": floor,
        "ratio": seconds / floor,
        "rows": rows,
        "peak_mb": peak_mb(),
    }

"""The open data: each set once, with its fields described; files, pages, the API and the daily dump all come from here."""

import datetime as dt
import hashlib
import itertools
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from common.exports import write_csv, write_xlsx
from coverage.models import CoveragePoint, LearningPlatform
from dashboards import donors, snapshot, statement
from dashboards.figures import CUMULATIVE, DEFINITIONS, NATION
from dashboards.models import PublicFigure
from ledger import disclosure

FORMATS = ("csv", "xlsx", "json")
# Between the values that name the place of a row.
SEPARATOR = "~"
READ: dict[str, Callable[[str], object]] = {
    "date": dt.date.fromisoformat,
    "integer": lambda text: _small_number(text),
}
LICENCE = "CC BY 4.0"


@dataclass(frozen=True)
class Field:
    """One column: its name in files, its type as JSON Schema says it, and what it means."""

    name: str
    type: str
    description: str
    is_nullable: bool = False


@dataclass(frozen=True)
class Dataset:
    """One set of open data; `source` gives tuples in the order of `fields`.

    `key`: the columns that order a large set; its `source` takes `after` (their values in a row) and `limit`. A set
    without a key is a few rows, of which one is found by its number.
    """

    slug: str
    title: str
    description: str
    fields: tuple[Field, ...]
    source: Callable[..., Iterable[tuple]]
    key: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        return [field.name for field in self.fields]

    def rows(self) -> Iterator[tuple]:
        """The rows as everyone may have them: files, pages, the API and the dump read these."""
        return disclosure.public_rows(self.columns, self.source(), self.slug)

    def objects(self) -> Iterator[dict]:
        """The rows as JSON objects; dates as ISO 8601 text."""
        return (self._object(row) for row in self.rows())

    def _object(self, row: tuple) -> dict:
        return {
            name: value.isoformat() if isinstance(value, dt.date) else value
            for name, value in zip(self.columns, row, strict=True)
        }

    def page(self, *, after: str, limit: int) -> tuple[list[dict], str | None]:
        """At most so many rows after a place ("" is the beginning), and the place of the rest, None if there is none.

        Raises ValueError for a place that no page gave.
        """
        if self.key:
            source = self.source(after=self._place(after), limit=limit + 1)
            rows = list(disclosure.public_rows(self.columns, source, self.slug))
            places = [self.columns.index(name) for name in self.key]
            rest = (
                SEPARATOR.join(str(rows[limit - 1][place]) for place in places) if len(rows) > limit else None
            )
        else:
            start = _small_number(after or "0")
            rows = list(itertools.islice(self.rows(), start, start + limit + 1))
            rest = str(start + limit) if len(rows) > limit else None
        return [self._object(row) for row in rows[:limit]], rest

    def _place(self, after: str) -> tuple | None:
        if not after:
            return None
        types = {field.name: field.type for field in self.fields}
        values = after.split(SEPARATOR)
        return tuple(READ.get(types[name], str)(value) for name, value in zip(self.key, values, strict=True))


def _small_number(text: str) -> int:
    """A number that fits a column. Raises ValueError for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(text)
    return int(text)


def figures_rows() -> Iterator[tuple]:
    shot = snapshot.latest()
    for definition in DEFINITIONS.values():
        value = shot.nation(definition.name)
        if value is None or shot.release is None:
            continue
        yield (
            definition.name, str(definition.label), value, str(definition.unit), shot.release.on,
            str(definition.source), shot.revised.get((definition.name, NATION), ""),
        )  # fmt: skip


def province_rows() -> Iterator[tuple]:
    shot = snapshot.latest()
    on = shot.release.on if shot.release else None
    for row in shot.provinces:
        need, *counts = (
            None if isinstance(count, str) else count
            for count in (row.need, row.allocated, row.in_province, row.handed_over, row.in_use)
        )
        yield (
            row.unit.public_code, row.unit.name, need, row.need_on, *counts, row.points, row.points_covered, on, shot.is_demonstration,
        )  # fmt: skip


def history_rows(*, after: tuple | None = None, limit: int | None = None) -> Iterator[tuple]:
    rows = PublicFigure.objects.filter(area=NATION).exclude(name=CUMULATIVE)
    if after:
        on, name, revision = after
        rows = rows.filter(on__gte=on).filter(
            Q(on__gt=on) | Q(name__gt=name) | Q(name=name, revision__gt=revision)
        )
    rows = rows.order_by("on", "name", "revision")[:limit]
    yield from rows.values_list("on", "name", "value", "revision", "note").iterator(chunk_size=2_000)


def weekly_rows() -> Iterator[tuple]:
    yield from snapshot.cumulative()


def donor_rows() -> Iterator[tuple]:
    for row in donors.delivered():
        yield row.code, row.name, row.kind, row.pledged, row.amount_vnd, row.received, row.handed_over


def point_rows(*, after: tuple | None = None, limit: int | None = None) -> Iterator[tuple]:
    points = CoveragePoint.objects.filter(code__gt=after[0]) if after else CoveragePoint.objects.all()
    rows = points.order_by("code")[:limit].values_list(
        "code", "name", "commune__public_code", "province__public_code", "operator__name", "is_urgent",
        "deadline_on", "state", "blocker", "covered_on", "latitude", "longitude",
    )  # fmt: skip
    for *row, latitude, longitude in rows.iterator(chunk_size=2_000):
        yield (
            *row,
            None if latitude is None else float(latitude),
            None if longitude is None else float(longitude),
        )


def platform_rows() -> Iterator[tuple]:
    platforms = LearningPlatform.objects.filter(is_published=True).order_by("name")
    yield from platforms.values_list(
        "name", "owner", "url", "grades", "subjects", "is_free", "is_zero_rated", "checked_on"
    )


FEW = _("Trống: từ 1 đến 9.")
DATASETS = {
    dataset.slug: dataset
    for dataset in (
        Dataset("figures", _("Số liệu toàn quốc"), _("Kỳ số liệu mới nhất, mỗi con số một dòng."), (
            Field("name", "string", _("Tên ổn định của con số")),
            Field("label", "string", _("Tên tiếng Việt")),
            Field("value", "integer", _("Giá trị")),
            Field("unit", "string", _("Đơn vị")),
            Field("on", "date", _("Ngày của số liệu")),
            Field("source", "string", _("Nguồn")),
            Field("revision_note", "string", _("Lý do điều chỉnh, nếu có")),
        ), figures_rows),
        Dataset("provinces", _("Tiến độ theo tỉnh, thành phố"), _("Mỗi địa phương một dòng; số nhỏ được ẩn."), (
            Field("province", "string", _("Mã đơn vị hành chính, có năm của bộ mã")),
            Field("name", "string", _("Tên")),
            Field("need", "integer", _("Trống: đang ẩn. Số đã hiện đứng yên đến khi thực tế thay đổi từ 10 em."), True),
            Field("need_on", "date", _("Số nhu cầu này đứng từ ngày"), True),
            Field("allocated", "integer", FEW, True),
            Field("in_province", "integer", FEW, True),
            Field("handed_over", "integer", FEW, True),
            Field("in_use", "integer", FEW, True),
            Field("points", "integer", _("Điểm lõm sóng")),
            Field("points_covered", "integer", _("Điểm đã có sóng")),
            Field("on", "date", _("Ngày của số liệu"), True),
            Field("is_demonstration", "boolean", _("Số liệu minh họa (CSV: 1 đúng, 0 không)")),
        ), province_rows),
        Dataset("history", _("Số liệu từng ngày"), _("Số liệu toàn quốc đã lưu mỗi đêm, kể cả các lần điều chỉnh."), (
            Field("on", "date", _("Ngày")),
            Field("name", "string", _("Tên ổn định của con số")),
            Field("value", "integer", _("Giá trị")),
            Field("revision", "integer", _("Lần điều chỉnh, 0 là số đầu tiên")),
            Field("note", "string", _("Lý do điều chỉnh")),
        ), history_rows, key=("on", "name", "revision")),
        Dataset("weekly", _("Bàn giao theo tuần"), _("Số máy đã bàn giao tính đến mỗi tuần công bố."), (
            Field("on", "date", _("Thứ Hai của tuần")),
            Field("handed_over", "integer", _("Tổng số máy đã bàn giao đến tuần đó")),
        ), weekly_rows),
        Dataset("statement", _("Sao kê"), _("Mọi khoản thu và chi, mỗi khoản một dòng."), (
            Field("ref", "string", _("Mã của dòng, là địa chỉ cố định trên trang sao kê")),
            Field("on", "date", _("Ngày")),
            Field("direction", "string", _("in: thu; out: chi; move: chuyển từ nơi giữ này sang nơi khác, không đổi tổng")),
            Field("party", "string", _("Bên nộp hoặc bên nhận; để trống tên nếu nhà tài trợ không đồng ý nêu")),
            Field("amount_vnd", "integer", _("Số tiền (đồng)")),
            Field("pledge", "string", _("Mã cam kết")),
            Field("document", "string", _("Số chứng từ hoặc mã đơn mua")),
            Field("text", "string", _("Nội dung")),
        ), statement.open_rows, key=("on", "ref")),
        Dataset("donors", _("Nhà tài trợ"), _("Theo máy và tiền đã nhận thật; chỉ nhà tài trợ đồng ý nêu tên."), (
            Field("code", "string", _("Mã nhà tài trợ")),
            Field("name", "string", _("Tên")),
            Field("kind", "string", _("Loại")),
            Field("pledged", "integer", _("Máy đã cam kết")),
            Field("amount_vnd", "integer", _("Tiền đã nhận (đồng)")),
            Field("received", "integer", _("Máy đã nhận")),
            Field("handed_over", "integer", FEW, True),
        ), donor_rows),
        Dataset("points", _("Điểm lõm sóng"), _("Điểm chưa có Internet di động và trạng thái phủ sóng."), (
            Field("code", "string", _("Mã điểm")),
            Field("name", "string", _("Thôn, bản")),
            Field("commune", "string", _("Mã xã, phường")),
            Field("province", "string", _("Mã tỉnh, thành phố")),
            Field("operator", "string", _("Doanh nghiệp phụ trách")),
            Field("is_urgent", "boolean", _("Thuộc địa phương Chỉ thị 16 (CSV: 1 đúng, 0 không)")),
            Field("deadline_on", "date", _("Hạn phủ sóng")),
            Field("state", "string", _("open, planned, building, blocked, covered")),
            Field("blocker", "string", _("Vướng mắc")),
            Field("covered_on", "date", _("Ngày có sóng"), True),
            Field("latitude", "number", _("Vĩ độ (WGS 84)"), True),
            Field("longitude", "number", _("Kinh độ (WGS 84)"), True),
        ), point_rows, key=("code",)),
        Dataset("platforms", _("Nền tảng học trực tuyến"), _("Nền tảng do hai Bộ rà soát và công bố."), (
            Field("name", "string", _("Tên")),
            Field("owner", "string", _("Đơn vị chủ quản")),
            Field("url", "string", _("Địa chỉ")),
            Field("grades", "string", _("Khối lớp")),
            Field("subjects", "string", _("Môn học")),
            Field("is_free", "boolean", _("Miễn phí (CSV: 1 đúng, 0 không)")),
            Field("is_zero_rated", "boolean", _("Không tính cước dữ liệu (CSV: 1 đúng, 0 không)")),
            Field("checked_on", "date", _("Ngày rà soát"), True),
        ), platform_rows),
    )
}  # fmt: skip


def folder() -> Path:
    """Where the daily dumps lie: one folder per day, served as files."""
    return Path(settings.VAR_DIR) / "open-data"


def write_json(path: Path, dataset: Dataset, *, on: dt.date) -> None:
    """One JSON document: what the set is, its fields, its rows; written row by row."""
    head = {
        "dataset": dataset.slug,
        "title": str(dataset.title),
        "licence": LICENCE,
        "on": on.isoformat(),
        "fields": [
            {"name": f.name, "type": f.type, "description": str(f.description)} for f in dataset.fields
        ],
    }
    with path.open("w", encoding="utf-8") as target:
        target.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": [')
        for index, row in enumerate(dataset.objects()):
            target.write((",\n" if index else "\n") + json.dumps(row, ensure_ascii=False))
        target.write("\n]}\n")


def write_dump(*, at: dt.datetime) -> Path:
    """Write every set in every format, a manifest with SHA-256 sums, and one zip; returns the day's folder.

    The folder appears by rename when it is whole; a second run on the same day replaces it.
    """
    on = timezone.localdate(at)
    target = folder() / on.isoformat()
    making = folder() / f".{on.isoformat()}.new"
    _remove(making)
    making.mkdir(parents=True)
    with override("vi"):
        for dataset in DATASETS.values():
            with (making / f"{dataset.slug}.csv").open("w", encoding="utf-8", newline="") as file:
                write_csv(file, dataset.columns, dataset.rows())
            write_xlsx(
                making / f"{dataset.slug}.xlsx", [(dataset.slug, dataset.columns, dataset.rows())], at=at
            )
            write_json(making / f"{dataset.slug}.json", dataset, on=on)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(making.iterdir())}
    manifest = {"on": on.isoformat(), "licence": LICENCE, "sha256": sums}
    (making / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    with zipfile.ZipFile(making / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(making.iterdir()):
            if path.name != "all.zip":
                archive.write(path, path.name)
    _remove(target)
    making.rename(target)
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()


def dumps(*, limit: int = 30) -> list[dt.date]:
    """The days that have a dump, newest first."""
    if not folder().is_dir():
        return []
    names = sorted((path.name for path in folder().iterdir() if path.name[:1] != "."), reverse=True)
    return [dt.date.fromisoformat(name) for name in names[:limit]]


def dump_file(*, on: str, name: str) -> Path | None:
    """A file of a day's dump by its exact name, None when there is none."""
    allowed = {f"{slug}.{kind}" for slug in DATASETS for kind in FORMATS} | {"manifest.json", "all.zip"}
    path = folder() / on / name
    return path if name in allowed and path.is_file() else None

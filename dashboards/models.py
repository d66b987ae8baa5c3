"""What dashboards store for themselves: figures of a day, stories. Everything else is read from the apps below."""

import datetime as dt

from django.db import models
from django.db.models import Q

from common.audit import audited


class FigureRelease(models.Model):
    """One release of the figures: as of which moment, from how many entries of the log. One a day; while its day
    lasts it is drawn anew as entries come in, afterwards only a revision with a note changes a figure."""

    on = models.DateField("ngày", unique=True)
    as_of = models.DateTimeField("số liệu đến")
    ledger_size = models.BigIntegerField("số mục sổ cái")
    # SHA-256 of the canonical figures, so that a copy can be compared with what was shown.
    digest = models.CharField("dấu vết số liệu", max_length=64)
    computed_on_clock_at = models.DateTimeField("tính lúc", auto_now=True)

    class Meta:
        verbose_name = "kỳ số liệu"
        verbose_name_plural = "kỳ số liệu"
        constraints = [
            models.CheckConstraint(
                name="figurerelease_size_not_negative",
                condition=Q(ledger_size__gte=0),
                violation_error_message="Số mục sổ cái không thể âm.",
            ),
        ]

    def __str__(self):
        return f"Số liệu ngày {self.on:%d/%m/%Y}"


class DailyFigure(models.Model):
    """One figure on one day as counted, so that trends and revisions can be shown: for staff and services alone.

    A public page reads `PublicFigure`; `ledger.door` lets none read this table.
    """

    on = models.DateField("ngày")
    name = models.CharField("chỉ số", max_length=60)
    # The nation is VN, a province VN2021-79; a donor's or an operator's figure carries its code.
    area = models.CharField("địa bàn", max_length=24, default="VN")
    value = models.BigIntegerField("giá trị")
    revision = models.PositiveSmallIntegerField("lần điều chỉnh", default=0)
    note = models.CharField("ghi chú điều chỉnh", max_length=200, blank=True)
    # What the public sees of it, and since which day that stands; neither where it is hidden (`dashboards.protection`).
    shown = models.BigIntegerField("công khai", null=True, blank=True)
    shown_on = models.DateField("công khai từ ngày", null=True, blank=True)

    class Meta:
        verbose_name = "số liệu trong ngày"
        verbose_name_plural = "số liệu trong ngày"
        constraints = [
            models.UniqueConstraint(
                fields=["on", "name", "area", "revision"],
                name="dailyfigure_unique",
                violation_error_message="Số liệu này của ngày này đã có.",
            ),
            models.CheckConstraint(
                name="dailyfigure_revision_explained",
                condition=Q(revision=0) | ~Q(note=""),
                violation_error_message="Điều chỉnh số liệu phải ghi lý do.",
            ),
            models.CheckConstraint(
                name="dailyfigure_shown_since_a_day",
                condition=Q(shown__isnull=True, shown_on__isnull=True)
                | Q(shown__isnull=False, shown_on__isnull=False),
                violation_error_message="Số đã công khai phải ghi từ ngày nào.",
            ),
        ]
        indexes = [models.Index(fields=["name", "area", "on"], name="dailyfigure_series")]

    def __str__(self):
        return f"{self.name} {self.area} {self.on}"


class PublicFigure(models.Model):
    """A view of `DailyFigure` without what was counted: `value` is what is shown, NULL where it is hidden."""

    on = models.DateField("ngày")
    name = models.CharField("chỉ số", max_length=60)
    area = models.CharField("địa bàn", max_length=24)
    value = models.BigIntegerField("giá trị", null=True)
    shown_on = models.DateField("công khai từ ngày", null=True)
    revision = models.PositiveSmallIntegerField("lần điều chỉnh")
    note = models.CharField("ghi chú điều chỉnh", max_length=200)

    class Meta:
        verbose_name = "số liệu công khai"
        verbose_name_plural = "số liệu công khai"
        managed = False
        db_table = "dashboards_publicfigure"

    def __str__(self):
        return f"{self.name} {self.area} {self.on}"


class NeedRelease(models.Model):
    """What stood in public of the need, each time that it changed: never rewritten, for others have read it.

    `ledger.disclosure.release_line` asks all of them before a province's number is shown or changes.
    """

    on = models.DateField("ngày")
    total = models.BigIntegerField("cả nước")
    # Public code of a province -> [number, since which day].
    shown = models.JSONField("các tỉnh hiện số", default=dict)

    class Meta:
        verbose_name = "nhu cầu đã công khai"
        verbose_name_plural = "nhu cầu đã công khai"

    def __str__(self):
        return f"Nhu cầu công khai ngày {self.on:%d/%m/%Y}"


class StoryQuerySet(models.QuerySet):
    def published_by(self, day: dt.date):
        """Stories that the public may read on a day, newest first."""
        return self.filter(published_on__lte=day).order_by("-published_on", "slug")


@audited()
class Story(models.Model):
    """A news item about the programme that the press may cite (Plan III.1g, III.2e)."""

    slug = models.SlugField("địa chỉ", max_length=80, unique=True)
    title = models.CharField("tiêu đề", max_length=160)
    summary = models.CharField("tóm tắt", max_length=300)
    body = models.TextField("nội dung")
    source = models.CharField("nguồn", max_length=200, blank=True)
    published_on = models.DateField("ngày đăng", null=True, blank=True)

    objects = StoryQuerySet.as_manager()

    class Meta:
        verbose_name = "tin, bài"
        verbose_name_plural = "tin, bài"

    def __str__(self):
        return self.title

"""What dashboards store for themselves: figures of a day, stories. Everything else is read from the apps below."""

from django.db import models
from django.db.models import Q


class DailyFigure(models.Model):
    """One figure on one day, so that trends and revisions can be shown."""

    on = models.DateField("ngày")
    name = models.CharField("chỉ số", max_length=60)
    area = models.CharField("địa bàn", max_length=12, default="VN")
    value = models.BigIntegerField("giá trị")
    revision = models.PositiveSmallIntegerField("lần điều chỉnh", default=0)
    note = models.CharField("ghi chú điều chỉnh", max_length=200, blank=True)

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
        ]

    def __str__(self):
        return f"{self.name} {self.area} {self.on}"


class Story(models.Model):
    """A news item about the programme that the press may cite (Plan III.1g, III.2e)."""

    slug = models.SlugField("địa chỉ", max_length=80, unique=True)
    title = models.CharField("tiêu đề", max_length=160)
    summary = models.CharField("tóm tắt", max_length=300)
    body = models.TextField("nội dung")
    source = models.CharField("nguồn", max_length=200, blank=True)
    published_on = models.DateField("ngày đăng", null=True, blank=True)

    class Meta:
        verbose_name = "tin, bài"
        verbose_name_plural = "tin, bài"

    def __str__(self):
        return self.title

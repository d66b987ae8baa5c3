"""The need as offices report it where no list exists yet (Plan III.2a), and who was reminded."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.audit import audited
from common.constraints import paired
from schools.models.offices import Office, School
from schools.models.students import Student
from schools.reach import reach


class SurveyFigureQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, through="office__"))


@audited()
class SurveyFigure(models.Model):
    """How many students of a group and level have no computer, as an office typed it, with its source and date."""

    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="survey_figures", verbose_name="đơn vị báo cáo"
    )
    group = models.CharField("đối tượng", max_length=12, choices=Student.Group)
    level = models.CharField("cấp học", max_length=16, choices=School.Level)
    students_without_computer = models.PositiveIntegerField("số em chưa có máy")
    counted_on = models.DateField("số liệu đến ngày")
    source = models.CharField("nguồn số liệu", max_length=200)
    reported_at = models.DateTimeField("ghi lúc")
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người ghi"
    )

    objects = SurveyFigureQuerySet.as_manager()

    class Meta:
        verbose_name = "số liệu khảo sát nhu cầu"
        verbose_name_plural = "số liệu khảo sát nhu cầu"
        constraints = [
            paired("surveyfigure", "reported"),
            models.UniqueConstraint(
                fields=["office", "group", "level"],
                name="surveyfigure_once",
                violation_error_message="Đơn vị đã có số liệu của đối tượng và cấp học này: hãy sửa số đó.",
            ),
            models.CheckConstraint(
                name="surveyfigure_has_source",
                condition=~Q(source=""),
                violation_error_message="Hãy ghi nguồn số liệu, ví dụ số công văn.",
            ),
        ]

    def __str__(self):
        return f"{self.office}: {self.get_group_display()}, {self.get_level_display()}"


class NeedReminder(models.Model):
    """That an office which has reported neither list nor figure was reminded (append-only)."""

    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="need_reminders", verbose_name="đơn vị được nhắc"
    )
    reminded_at = models.DateTimeField("nhắc lúc")
    reminded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="người nhắc"
    )

    class Meta:
        verbose_name = "lời nhắc gửi danh sách"
        verbose_name_plural = "lời nhắc gửi danh sách"
        constraints = [paired("needreminder", "reminded")]

    def __str__(self):
        return f"Nhắc {self.office}"

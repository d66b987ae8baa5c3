"""Administrative units with their validity, and the Directive-16 periods of localities (Plan I.2a, II.2a)."""

import datetime as dt

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat

from common.audit import audited


class AdministrativeUnitQuerySet(models.QuerySet):
    def provinces(self):
        return self.filter(level=AdministrativeUnit.Level.PROVINCE)

    def valid_on(self, day: dt.date):
        """Units that exist on a day: GSO codes changed their meaning in 2025, so a code alone says nothing."""
        return self.filter(valid_from__lte=day).filter(Q(valid_to__isnull=True) | Q(valid_to__gt=day))


@audited()
class AdministrativeUnit(models.Model):
    """A province, district or commune of one vintage, known by code and vintage (``VN2021-15``)."""

    class Level(models.TextChoices):
        PROVINCE = "province", "Tỉnh, thành phố"
        DISTRICT = "district", "Quận, huyện"
        COMMUNE = "commune", "Xã, phường"

    level = models.CharField("cấp", max_length=10, choices=Level)
    code = models.CharField("mã GSO", max_length=5)
    vintage = models.CharField("năm của bộ mã", max_length=4, default="2021")
    public_code = models.GeneratedField(
        verbose_name="mã công khai",
        expression=Concat(Value("VN"), F("vintage"), Value("-"), F("code")),
        output_field=models.CharField(max_length=12),
        db_persist=True,
    )
    name = models.CharField("tên", max_length=80)
    full_name = models.CharField("tên đầy đủ", max_length=100)
    slug = models.SlugField("tên trong địa chỉ", max_length=80, blank=True)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children", verbose_name="thuộc"
    )
    # The province of any unit, and the unit itself for a province: saves two joins everywhere.
    province = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="units_within",
        verbose_name="tỉnh",
    )
    search_key = models.CharField("khoá tìm kiếm", max_length=120, blank=True)
    tile_label = models.CharField("nhãn trên bản đồ ô", max_length=2, blank=True)
    tile_row = models.PositiveSmallIntegerField("hàng trên bản đồ ô", null=True, blank=True)
    tile_column = models.PositiveSmallIntegerField("cột trên bản đồ ô", null=True, blank=True)
    citizen_prefix = models.CharField("đầu số định danh", max_length=3, blank=True)
    valid_from = models.DateField("có từ ngày")
    valid_to = models.DateField("đến trước ngày", null=True, blank=True)
    successor = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="predecessors",
        verbose_name="đơn vị kế tục",
    )

    objects = AdministrativeUnitQuerySet.as_manager()

    class Meta:
        verbose_name = "đơn vị hành chính"
        verbose_name_plural = "đơn vị hành chính"
        indexes = [
            models.Index(fields=["province", "level"], name="unit_province_level"),
            models.Index(fields=["search_key"], name="unit_search", opclasses=["varchar_pattern_ops"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["vintage", "code"],
                name="unit_code_unique_in_vintage",
                violation_error_message="Mã đơn vị hành chính này đã có trong bộ mã cùng năm.",
            ),
            models.UniqueConstraint(
                fields=["public_code"],
                name="unit_public_code_unique",
                violation_error_message="Mã công khai này đã có.",
            ),
            models.UniqueConstraint(
                fields=["slug"],
                condition=~Q(slug=""),
                name="unit_slug_unique",
                violation_error_message="Tên trong địa chỉ này đã có tỉnh dùng.",
            ),
            models.CheckConstraint(
                name="unit_only_province_without_parent",
                condition=Q(level="province", parent__isnull=True)
                | Q(~Q(level="province"), parent__isnull=False),
                violation_error_message="Chỉ tỉnh, thành phố trực thuộc trung ương mới không thuộc đơn vị nào.",
            ),
            models.CheckConstraint(
                name="unit_validity_in_order",
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                violation_error_message="Ngày hết hiệu lực phải sau ngày bắt đầu.",
            ),
        ]

    def __str__(self):
        return self.full_name


@audited()
class DirectivePeriod(models.Model):
    """That a locality was under Directive 16 from one day to another, and whether it taught online (Plan I.2a)."""

    unit = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        related_name="directive_periods",
        verbose_name="địa phương",
    )
    directive = models.CharField("chỉ thị", max_length=40, default="16/CT-TTg")
    # A record that a place is *not* under the directive lets a district be lifted inside a province.
    is_in_force = models.BooleanField("đang thực hiện", default=True)
    is_teaching_online = models.BooleanField("dạy học trực tuyến", default=True)
    starts_on = models.DateField("từ ngày")
    ends_on = models.DateField("đến hết ngày", null=True, blank=True)
    source = models.CharField("nguồn", max_length=300)
    # What `load_reference` brought it may take back; what an official wrote or corrected stays, and goes before the file.
    is_from_file = models.BooleanField("theo tệp tham chiếu", default=False, editable=False)

    class Meta:
        verbose_name = "thời gian thực hiện Chỉ thị 16"
        verbose_name_plural = "thời gian thực hiện Chỉ thị 16"
        constraints = [
            models.CheckConstraint(
                name="directive_period_in_order",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                violation_error_message="Ngày kết thúc không được trước ngày bắt đầu.",
            ),
            models.UniqueConstraint(
                fields=["unit", "directive", "starts_on"],
                name="directive_period_unique_start",
                violation_error_message="Địa phương này đã có một đợt bắt đầu cùng ngày.",
            ),
        ]

    def __str__(self):
        return f"{self.unit} từ {self.starts_on}"

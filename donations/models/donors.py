"""Donors and what they promise (Plan I.2b, III.1d, III.2d)."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from schools.models import AdministrativeUnit, School


class Donor(models.Model):
    """Whoever contributes: a ministry, an agency, an enterprise, a school, a person."""

    class Kind(models.TextChoices):
        MINISTRY = "ministry", "Bộ, ngành, địa phương"
        AGENCY = "agency", "Cơ quan, đơn vị nhà nước"
        ORGANISATION = "organisation", "Tổ chức xã hội"
        ENTERPRISE = "enterprise", "Doanh nghiệp"
        SCHOOL = "school", "Trường học"
        STAFF = "staff", "Cán bộ, giáo viên"
        INDIVIDUAL = "individual", "Cá nhân"

    kind = models.CharField("loại", max_length=14, choices=Kind)
    code = models.CharField("mã nhà tài trợ", max_length=16, unique=True)
    name = models.CharField("tên", max_length=160)
    search_key = models.CharField("khoá tìm kiếm", max_length=200, blank=True)
    tax_code = models.CharField("mã số thuế", max_length=14, blank=True)
    email = models.EmailField("thư điện tử", blank=True)
    phone = models.CharField("điện thoại", max_length=20, blank=True)
    # Consent to be named in public; without it pages say "Nhà tài trợ không nêu tên".
    is_named_in_public = models.BooleanField("đồng ý nêu tên", default=False)
    umbrella = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="members",
        verbose_name="thuộc tập thể tài trợ",
    )
    created_at = models.DateTimeField("ghi nhận lúc")

    class Meta:
        verbose_name = "nhà tài trợ"
        verbose_name_plural = "nhà tài trợ"
        constraints = [
            models.UniqueConstraint(
                fields=["tax_code"],
                condition=~Q(tax_code=""),
                name="donor_tax_code_unique",
                violation_error_message="Mã số thuế này đã có nhà tài trợ khác.",
            ),
        ]

    def __str__(self):
        return self.name


class DonorMember(models.Model):
    """A person who acts for a donor; the role of the donor side, held here and not in accounts."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="donor_members", verbose_name="người"
    )
    donor = models.ForeignKey(
        Donor, on_delete=models.PROTECT, related_name="people", verbose_name="nhà tài trợ"
    )
    granted_at = models.DateTimeField("cấp lúc")
    ended_at = models.DateTimeField("thu lúc", null=True, blank=True)

    class Meta:
        verbose_name = "người đại diện nhà tài trợ"
        verbose_name_plural = "người đại diện nhà tài trợ"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "donor"],
                condition=Q(ended_at__isnull=True),
                name="donormember_live_once",
                violation_error_message="Người này đang đại diện cho nhà tài trợ đó.",
            ),
        ]

    def __str__(self):
        return f"{self.user} – {self.donor}"


class Pledge(models.Model):
    """A promise of devices, money or infrastructure, with a public code and a permalink (Plan III.1đ)."""

    class Kind(models.TextChoices):
        DEVICE = "device", "Thiết bị"
        MONEY = "money", "Tiền"
        INFRASTRUCTURE = "infrastructure", "Hạ tầng, dịch vụ"

    class State(models.TextChoices):
        DRAFT = "draft", "Bản nháp"
        MADE = "made", "Đã ghi nhận"
        CONFIRMED = "confirmed", "Đã xác nhận"
        RECEIVING = "receiving", "Đang tiếp nhận"
        FULFILLED = "fulfilled", "Đã nhận đủ"
        CANCELLED = "cancelled", "Đã rút"

    TRANSITIONS = [
        (State.DRAFT, State.MADE),
        (State.MADE, State.CONFIRMED),
        (State.MADE, State.CANCELLED),
        (State.CONFIRMED, State.RECEIVING),
        (State.CONFIRMED, State.FULFILLED),
        (State.CONFIRMED, State.CANCELLED),
        (State.RECEIVING, State.FULFILLED),
    ]

    class DeviceKind(models.TextChoices):
        TABLET = "tablet", "Máy tính bảng"
        LAPTOP = "laptop", "Máy tính xách tay"
        DESKTOP = "desktop", "Máy tính để bàn"

    class FundingSource(models.TextChoices):
        DONATION = "donation", "Ủng hộ, tài trợ"
        CENTRAL_BUDGET = "central_budget", "Ngân sách trung ương"
        LOCAL_BUDGET = "local_budget", "Ngân sách địa phương"
        LOCAL_DONATION = "local_donation", "Huy động tại địa phương"
        TELECOM_FUND = "telecom_fund", "Quỹ Dịch vụ viễn thông công ích"

    code = models.CharField("mã cam kết", max_length=16, unique=True)
    donor = models.ForeignKey(
        Donor, on_delete=models.PROTECT, related_name="pledges", verbose_name="nhà tài trợ"
    )
    kind = models.CharField("hình thức", max_length=14, choices=Kind)
    device_kind = models.CharField("loại thiết bị", max_length=8, choices=DeviceKind, blank=True)
    quantity = models.PositiveIntegerField("số lượng máy", null=True, blank=True)
    amount_vnd = models.BigIntegerField("số tiền (đồng)", null=True, blank=True)
    description = models.CharField("mô tả", max_length=500, blank=True)
    funding_source = models.CharField(
        "nguồn", max_length=16, choices=FundingSource, default=FundingSource.DONATION
    )
    # Earmark: a province, a district, or a school; all empty is "nơi cần nhất".
    earmark_unit = models.ForeignKey(
        AdministrativeUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="dành cho địa phương",
    )
    earmark_school = models.ForeignKey(
        School,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="dành cho trường",
    )
    umbrella = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="member_pledges",
        verbose_name="nằm trong cam kết chung",
    )
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.DRAFT)
    # Opens the donor's own view of the page (contact, receipt); the page itself is public by code.
    secret_hash = models.BinaryField("dấu vết khoá riêng", max_length=32)
    created_at = models.DateTimeField("bắt đầu lúc")
    made_at = models.DateTimeField("gửi lúc", null=True, blank=True)

    class Meta:
        verbose_name = "cam kết ủng hộ"
        verbose_name_plural = "cam kết ủng hộ"
        constraints = [
            models.CheckConstraint(
                name="pledge_quantity_fits_kind",
                condition=Q(state="draft")
                | Q(kind="device", quantity__gt=0, amount_vnd__isnull=True) & ~Q(device_kind="")
                | Q(kind="money", amount_vnd__gt=0, quantity__isnull=True, device_kind="")
                | Q(kind="infrastructure", quantity__isnull=True) & ~Q(description=""),
                violation_error_message="Cam kết thiết bị cần loại và số lượng; cam kết tiền cần số tiền; "
                "cam kết hạ tầng cần mô tả.",
            ),
            models.CheckConstraint(
                name="pledge_one_earmark",
                condition=Q(earmark_unit__isnull=True) | Q(earmark_school__isnull=True),
                violation_error_message="Chỉ chọn một nơi nhận: địa phương hoặc trường.",
            ),
        ]

    def __str__(self):
        return self.code

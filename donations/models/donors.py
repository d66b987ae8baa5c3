"""Donors and what they promise (Plan I.2b, III.1d, III.2d)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from common.audit import audited
from common.constraints import paired
from donations.querysets import PledgeQuerySet
from schools.models import AdministrativeUnit, Office, School


@audited(exclude=("email", "phone"))
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


@audited()
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


class PledgeDraft(models.Model):
    """What a donor has typed so far in the public form; found by the secret in its address, erased after 30 days."""

    secret_hash = models.BinaryField("dấu vết khoá", max_length=32, unique=True)
    answers = models.JSONField("đã điền", default=dict)
    started_on_clock_at = models.DateTimeField("bắt đầu lúc", auto_now_add=True)
    changed_on_clock_at = models.DateTimeField("sửa lần cuối lúc", auto_now=True)
    # Set once sent: a second click on "Gửi cam kết" finds the pledge instead of making another.
    pledge = models.OneToOneField(
        "donations.Pledge",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="draft",
        verbose_name="đã gửi thành cam kết",
    )

    class Meta:
        verbose_name = "cam kết đang soạn"
        verbose_name_plural = "cam kết đang soạn"
        indexes = [models.Index(fields=["changed_on_clock_at"], name="pledgedraft_age")]

    def __str__(self):
        return f"Bản nháp {self.pk}"


@audited(exclude=("contact_name", "contact_email", "contact_phone", "secret_hash"))
class Pledge(models.Model):
    """A promise of devices, money or infrastructure, with a public code and a permalink (Plan III.1đ)."""

    class Kind(models.TextChoices):
        DEVICE = "device", "Thiết bị"
        MONEY = "money", "Tiền"
        INFRASTRUCTURE = "infrastructure", "Hạ tầng, dịch vụ"

    class State(models.TextChoices):
        MADE = "made", "Đã ghi nhận, chờ xác nhận"
        CONFIRMED = "confirmed", "Đã xác nhận"
        RECEIVING = "receiving", "Đang tiếp nhận"
        FULFILLED = "fulfilled", "Đã nhận đủ"
        CANCELLED = "cancelled", "Đã rút"

    TRANSITIONS = [
        (State.MADE, State.CONFIRMED),
        (State.MADE, State.CANCELLED),
        (State.CONFIRMED, State.RECEIVING),
        (State.CONFIRMED, State.FULFILLED),
        (State.CONFIRMED, State.CANCELLED),
        (State.RECEIVING, State.FULFILLED),
        # A donor who raises a pledge that was kept already.
        (State.FULFILLED, State.RECEIVING),
    ]

    class DeviceKind(models.TextChoices):
        TABLET = "tablet", "Máy tính bảng"
        LAPTOP = "laptop", "Máy tính xách tay"
        DESKTOP = "desktop", "Máy tính để bàn"

    class InfrastructureKind(models.TextChoices):
        """In-kind support (Plan II.3c, III.1c)."""

        TARIFF = "tariff", "Gói cước, dữ liệu di động"
        SERVER = "server", "Máy chủ, lưu trữ"
        HOSTING = "hosting", "Hạ tầng cho nền tảng học trực tuyến"
        LINE = "line", "Đường truyền"
        STATION = "station", "Trạm phát sóng"
        OTHER = "other", "Hỗ trợ khác"

    class ChangeReason(models.TextChoices):
        """The ledger's words for why a pledge changed; never free text."""

        DONOR_REQUEST = "donor_request", "Nhà tài trợ đề nghị"
        PARTIAL_DELIVERY = "partial_delivery", "Chỉ giao được một phần"
        PRICE_CHANGE = "price_change", "Giá thay đổi"
        MERGED = "merged", "Gộp với cam kết khác"
        ERROR = "error", "Ghi nhầm"

    # Earmarked for a place and managed there, shown beside the national programme (Plan I.2c, III.3d).
    LOCAL_SOURCES = ("local_budget", "local_donation")

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
    infrastructure_kind = models.CharField(
        "loại hỗ trợ hạ tầng", max_length=8, choices=InfrastructureKind, blank=True
    )
    starts_on = models.DateField("hỗ trợ từ ngày", null=True, blank=True)
    ends_on = models.DateField("hỗ trợ đến hết ngày", null=True, blank=True)
    is_used = models.BooleanField("máy đã qua sử dụng", default=False)
    # What the donor says of the devices, keys of donations.rules.CRITERIA; checked again at intake.
    specs = models.JSONField("cấu hình khai báo", default=dict, blank=True)
    # The dated price at which money was turned into devices; a later price never changes it.
    unit_price_vnd = models.BigIntegerField("đơn giá quy đổi (đồng)", null=True, blank=True)
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
    # Who manages it: the programme, or the province that runs the initiative.
    office = models.ForeignKey(
        Office, on_delete=models.PROTECT, related_name="pledges", verbose_name="nơi phụ trách"
    )
    warehouse = models.ForeignKey(
        Office,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="expected_pledges",
        verbose_name="kho sẽ tiếp nhận",
    )
    expected_on = models.DateField("dự kiến giao", null=True, blank=True)
    contact_name = models.CharField("người liên hệ", max_length=120, blank=True)
    contact_email = models.EmailField("thư điện tử liên hệ", blank=True)
    contact_phone = models.CharField("điện thoại liên hệ", max_length=20, blank=True)
    state = models.CharField("trạng thái", max_length=10, choices=State, default=State.MADE)
    # Opens the donor's own view of the page (contact, receipt); the page itself is public by code.
    secret_hash = models.BinaryField("dấu vết khoá riêng", max_length=32)
    created_at = models.DateTimeField("bắt đầu lúc")
    made_at = models.DateTimeField("gửi lúc")
    confirmed_at = models.DateTimeField("xác nhận lúc", null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="người xác nhận",
    )
    # A donor cancels by the private link, so there may be no user; the audit trail says who if there was one.
    cancelled_at = models.DateTimeField("rút lúc", null=True, blank=True)
    cancel_reason = models.CharField("lý do rút", max_length=16, choices=ChangeReason, blank=True)

    objects = PledgeQuerySet.as_manager()

    class Meta:
        verbose_name = "cam kết ủng hộ"
        verbose_name_plural = "cam kết ủng hộ"
        indexes = [
            models.Index(fields=["state", "-made_at"], name="pledge_state_made"),
            models.Index(fields=["umbrella"], name="pledge_umbrella", condition=Q(umbrella__isnull=False)),
        ]
        constraints = [
            paired("pledge", "confirmed"),
            models.CheckConstraint(
                name="pledge_quantity_fits_kind",
                condition=Q(kind="device", quantity__isnull=False, quantity__gt=0, amount_vnd__isnull=True)
                & ~Q(device_kind="")
                | Q(
                    kind="money",
                    amount_vnd__isnull=False,
                    amount_vnd__gt=0,
                    quantity__isnull=True,
                    device_kind="",
                )
                | Q(kind="infrastructure", quantity__isnull=True) & ~Q(description=""),
                violation_error_message="Cam kết thiết bị cần loại và số lượng; cam kết tiền cần số tiền; "
                "cam kết hạ tầng cần mô tả.",
            ),
            models.CheckConstraint(
                name="pledge_one_earmark",
                condition=Q(earmark_unit__isnull=True) | Q(earmark_school__isnull=True),
                violation_error_message="Chỉ chọn một nơi nhận: địa phương hoặc trường.",
            ),
            models.CheckConstraint(
                name="pledge_local_source_has_place",
                condition=~Q(funding_source__in=["local_budget", "local_donation"])
                | Q(earmark_unit__isnull=False)
                | Q(earmark_school__isnull=False),
                violation_error_message="Nguồn lực của địa phương phải ghi dành cho địa phương nào.",
            ),
            models.CheckConstraint(
                name="pledge_cancel_complete",
                condition=Q(~Q(state="cancelled"), cancelled_at__isnull=True, cancel_reason="")
                | Q(Q(state="cancelled", cancelled_at__isnull=False), ~Q(cancel_reason="")),
                violation_error_message="Cam kết đã rút phải có lý do và thời điểm.",
            ),
            models.CheckConstraint(
                name="pledge_confirmed_by_someone",
                condition=Q(state__in=["made", "cancelled"]) | Q(confirmed_at__isnull=False),
                violation_error_message="Cam kết phải được xác nhận trước khi tiếp nhận.",
            ),
            models.CheckConstraint(
                name="pledge_period_in_order",
                condition=Q(ends_on__isnull=True) | Q(starts_on__isnull=False, ends_on__gte=F("starts_on")),
                violation_error_message="Ngày kết thúc hỗ trợ không được trước ngày bắt đầu.",
            ),
            models.CheckConstraint(
                name="pledge_umbrella_is_another",
                condition=Q(umbrella__isnull=True) | ~Q(umbrella=F("id")),
                violation_error_message="Cam kết không thể nằm trong chính nó.",
            ),
        ]

    def __str__(self):
        return self.code

    @property
    def public_name(self) -> str:
        """The donor's name where it agreed to be named and staff have confirmed that it is them."""
        if self.donor.is_named_in_public and self.confirmed_at:
            return self.donor.name
        return (
            "Nhà tài trợ không nêu tên" if not self.donor.is_named_in_public else "Nhà tài trợ chờ xác nhận"
        )

    @property
    def earmark_province(self) -> AdministrativeUnit | None:
        """The province it is for; nothing finer is ever public (rule 3 of the ledger)."""
        if self.earmark_school_id:
            return self.earmark_school.province
        if self.earmark_unit_id:
            return self.earmark_unit.province or self.earmark_unit
        return None

    @property
    def earmark_text(self) -> str:
        """Where it is for, in full; for staff and the donor only."""
        if self.earmark_school_id:
            return f"{self.earmark_school} ({self.earmark_school.province})"
        return self.earmark_unit.full_name if self.earmark_unit_id else "Nơi cần nhất"

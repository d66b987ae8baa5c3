"""What to do now: for each role the counts that wait for this person, from all apps, with the place to do it."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, Subquery

from allocation.models import AllocationRun, Reduction, Revocation
from coverage.models import CoveragePoint
from delivery.models import (
    Custody,
    DeviceReport,
    Grievance,
    Handover,
    HandoverRecord,
    Loss,
    PhoneHandover,
    Shipment,
    ShipmentItem,
)
from delivery.rules import REPLACEABLE
from donations.models import Device, Pledge, PurchaseOrder
from schools.models import Office, StaffRole, StudentList
from schools.reach import held_roles, holds, reach

Role, Kind = StaffRole.Role, Office.Kind
LISTING = (Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT)
SENDING = (
    Kind.PROGRAMME,
    Kind.WAREHOUSE,
    Kind.PROVINCE_DEPARTMENT,
    Kind.DISTRICT_OFFICE,
    Kind.SCHOOL,
    Kind.UNIVERSITY,
)


@dataclass(frozen=True)
class Item:
    """One thing to do: shown with its count; `late` of them are overdue."""

    text: str
    href: str
    count: int
    note: str = ""
    late: int = 0

    @property
    def kind(self) -> str:
        return "danger" if self.late else "info"

    @property
    def status(self) -> str:
        return f"{self.count}, trong đó {self.late} quá hạn" if self.late else str(self.count)


def items_for(user, *, today: dt.date) -> list[Item]:
    """What waits for this person; only rows within reach are counted, and nothing that is zero is shown."""
    held = held_roles(user)
    roles = {one.role for one in held}
    kinds = {one.kind for one in held}
    found: list[Item] = []
    if Role.CLERK in roles and kinds & set(LISTING):
        found += _lists_to_prepare(user)
    if roles & {Role.CLERK, Role.APPROVER} and kinds & {*LISTING, Kind.MOET}:
        found += _lists_to_decide(user, today)
    if kinds & {Kind.PROGRAMME, Kind.WAREHOUSE}:
        found += _supply(user, roles, kinds)
    if Kind.PROGRAMME in kinds or Kind.PROVINCE_DEPARTMENT in kinds:
        found += _allocation(user, roles)
    if roles & {Role.CLERK, Role.KEEPER} and kinds & set(SENDING):
        found += _devices(user, today)
    if Role.APPROVER in roles and kinds & {Kind.PROGRAMME, Kind.PROVINCE_DEPARTMENT}:
        found += _losses(user)
    found += _grievances(user, today)
    found += _points(user, today)
    return [item for item in found if item.count]


def _lists_to_prepare(user) -> list[Item]:
    lists = StudentList.objects.filter(reach(user, Role.CLERK, kinds=LISTING, through="office__"))
    State = StudentList.State
    return [
        Item(
            "Danh sách đã kiểm tra, chờ ghi vào hệ thống",
            "/danh-sach/",
            lists.filter(state=State.CHECKED).count(),
        ),
        Item("Danh sách đã ghi, chờ trình", "/danh-sach/", lists.filter(state=State.COMMITTED).count()),
        Item("Danh sách bị trả lại để sửa", "/danh-sach/", lists.filter(state=State.RETURNED).count()),
    ]


def _lists_to_decide(user, today: dt.date) -> list[Item]:
    State = StudentList.State
    due = today - dt.timedelta(days=5)
    result = []
    for role, state, text in (
        (Role.CLERK, State.SUBMITTED, "Danh sách chờ thẩm định"),
        (Role.APPROVER, State.VERIFIED, "Danh sách chờ phê duyệt"),
    ):
        lists = StudentList.objects.filter(reach(user, role, through="office__"), state=state)
        lists = lists.exclude(uploaded_by=user)
        late = lists.filter(submitted_at__date__lt=due).count()
        result.append(Item(text, "/danh-sach/", lists.count(), late=late))
    return result


def _supply(user, roles: set[str], kinds: set[str]) -> list[Item]:
    result = []
    if Kind.PROGRAMME in kinds and roles & {Role.CLERK, Role.APPROVER}:
        waiting = Pledge.objects.filter(reach(user, through="office__"), state=Pledge.State.MADE).count()
        result.append(Item("Cam kết mới chờ xác nhận", "/nguon-luc/", waiting))
        proposed = PurchaseOrder.objects.filter(reach(user, through="office__"), state="proposed").count()
        if Role.APPROVER in roles:
            result.append(Item("Đơn mua chờ phê duyệt", "/nguon-luc/don-mua/", proposed))
    if Role.KEEPER in roles:
        coming = Pledge.objects.filter(
            reach(user, Role.KEEPER, through="warehouse__"),
            kind="device",
            state__in=["confirmed", "receiving"],
        ).count()
        result.append(Item("Cam kết thiết bị sắp về kho", "/kho/", coming))
    if Role.INSPECTOR in roles:
        waiting = Device.objects.to_inspect_by(user).count()
        result.append(Item("Máy chờ kiểm định", "/kho/", waiting))
    return result


def _allocation(user, roles: set[str]) -> list[Item]:
    runs = AllocationRun.objects.for_user(user)
    if not holds(user, Role.CLERK, Role.APPROVER, kinds=[Kind.PROGRAMME]):
        runs = runs.filter(
            province__isnull=False
        )  # a national run is the programme's to prepare and to decide
    State = AllocationRun.State
    result = []
    if Role.CLERK in roles:
        for state, text in (
            (State.OPENED, "Đợt phân bổ chờ chốt dữ liệu"),
            (State.FROZEN, "Đợt phân bổ chờ bốc thăm"),
        ):
            result.append(Item(text, "/phan-bo/", runs.filter(state=state).count()))
    if Role.APPROVER in roles:
        result.append(
            Item(
                "Phương án phân bổ chờ phê duyệt",
                "/phan-bo/",
                runs.filter(state=State.PROPOSED).exclude(opened_by=user).count(),
            )
        )
        cuts = Reduction.objects.filter(run__in=runs, approved_at=None, refused_at=None)
        result.append(
            Item(
                "Đề nghị cắt giảm phân bổ chờ quyết định",
                "/phan-bo/",
                cuts.exclude(requested_by=user).count(),
            )
        )
        open_ones = Revocation.objects.filter(approved_at=None, refused_at=None).exclude(requested_by=user)
        scoped = open_ones.filter(reach(user, Role.APPROVER, through="allocation__student__school__office__"))
        result.append(Item("Đề nghị thu hồi phân bổ chờ quyết định", "/phan-bo/thu-hoi/", scoped.count()))
    return result


def _devices(user, today: dt.date) -> list[Item]:
    acting = (Role.CLERK, Role.KEEPER)
    mine = [one.office_id for one in held_roles(user) if one.role in acting]
    under_way = Shipment.objects.filter(to_office__in=mine, state=Shipment.State.DISPATCHED)
    late = under_way.filter(
        Q(expected_on__lt=today) | Q(expected_on=None, dispatched_at__date__lt=today - dt.timedelta(days=7))
    ).count()
    drafts = Shipment.objects.filter(from_office__in=mine, state=Shipment.State.DRAFT).count()
    held = Custody.objects.filter(office__in=mine, to_at=None, device__allocations__ended_at=None)
    allocated = held.filter(device__allocations__isnull=False).distinct()
    schools = Office.objects.filter(pk__in=mine, kind__in=[Kind.SCHOOL, Kind.UNIVERSITY])
    records = HandoverRecord.objects.filter(school__office__in=schools, signed_at=None)
    unsigned = records.filter(Exists(Handover.objects.filter(record=OuterRef("pk"))))
    passed_on = allocated.exclude(office__in=schools)
    reports = DeviceReport.objects.since_inspection().filter(device=OuterRef("device")).order_by("-pk")
    passed_on = passed_on.annotate(condition=Subquery(reports.values("kind")[:1]))
    no_good = passed_on.filter(condition__in=REPLACEABLE)
    sound = passed_on.filter(Q(condition=None) | ~Q(condition__in=("missing", *REPLACEABLE)))
    asked = Loss.objects.filter(item=OuterRef("pk"), refused_at=None)
    missing = ShipmentItem.objects.filter(~Exists(asked), shipment__from_office__in=mine, result="missing")
    return [
        Item("Lô hàng đang đến, chờ nhận", "/van-chuyen/", under_way.count(), late=late),
        Item("Lô hàng đang soạn, chờ gửi", "/van-chuyen/", drafts),
        Item(
            "Máy ở trường, chờ bàn giao cho học sinh",
            "/ban-giao/",
            allocated.filter(office__in=schools).count(),
        ),
        Item(
            "Bàn giao gửi từ điện thoại, cần xem lại",
            "/ban-giao/",
            PhoneHandover.objects.to_look_at().filter(record__school__office__in=schools).count(),
        ),
        Item("Biên bản bàn giao chưa ký và khoá", "/ban-giao/", unsigned.count()),
        Item("Máy ở đơn vị, chờ chuyển tiếp", "/van-chuyen/", sound.count()),
        Item("Máy hư hại hoặc mất, học sinh chờ đổi máy khác", "/van-chuyen/tra-ve/", no_good.count()),
        Item("Máy đơn vị gửi mà nơi nhận thiếu, chưa tìm thấy", "/van-chuyen/mat/", missing.count()),
    ]


def _losses(user) -> list[Item]:
    losses = Loss.objects.open().exclude(requested_by=user)
    scoped = losses.filter(reach(user, Role.APPROVER, through="item__shipment__from_office__"))
    return [Item("Đề nghị kết luận mất máy chờ quyết định", "/van-chuyen/mat/", scoped.count())]


def _grievances(user, today: dt.date) -> list[Item]:
    waiting = Grievance.objects.for_user(user).exclude(state=Grievance.State.ANSWERED)
    return [
        Item(
            "Phản ánh chờ trả lời",
            "/phan-anh/xu-ly/",
            waiting.count(),
            late=waiting.filter(due_on__lt=today).count(),
        )
    ]


def _points(user, today: dt.date) -> list[Item]:
    memberships = user.operator_members.filter(ended_at=None).values("operator")
    points = CoveragePoint.objects.filter(operator__in=memberships).uncovered()
    return [
        Item(
            "Điểm chưa có sóng",
            "/diem-song/",
            points.count(),
            late=points.filter(deadline_on__lt=today).count(),
        )
    ]

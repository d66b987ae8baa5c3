"""A small world for tests of the supply: offices, people with roles, a place, criteria; nothing a test doesn't name."""

import datetime as dt
from zoneinfo import ZoneInfo

from accounts.models import User
from donations import services
from donations.models import DeviceCriteria, Donor, Pledge
from schools.models import AdministrativeUnit, Office, School, StaffRole, Student

AT = dt.datetime(2021, 11, 15, 9, 0, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
DAY = AT.date()
FOUNDED = dt.date(2021, 1, 1)
TABLET = {"screen_inch_min": 8, "ram_gb_min": 2, "wifi": True}
USED_LAPTOP = {"ram_gb_min": 4, "webcam": True, "data_wiped": True}


def office(kind: str, code: str, *, parent: Office | None = None, unit=None) -> Office:
    path = (parent.path if parent else "/") + code + "/"
    return Office.objects.create(
        kind=kind, code=code, name=f"{Office.Kind(kind).label} {code}", parent=parent, path=path, unit=unit,
        valid_from=FOUNDED,
    )  # fmt: skip


def person(name: str, *roles: tuple[str, Office]) -> User:
    user = User.objects.create_user(f"{name}@example.vn", full_name=name)
    for role, where in roles:
        StaffRole.objects.create(user=user, office=where, role=role, granted_at=AT, granted_by=user)
    return user


class World:
    """Programme, central warehouse and another, two provinces with a school each, and who works there."""

    def __init__(self):
        self.programme = office("programme", "CT")
        self.moet = office("moet", "BGD", parent=self.programme)
        self.warehouse = office("warehouse", "KHO-TU", parent=self.programme)
        self.other_warehouse = office("warehouse", "KHO-2", parent=self.programme)
        self.province = self._province("15", "Yên Bái", "yen-bai")
        self.other_province = self._province("10", "Lào Cai", "lao-cai")
        self.committee = office("province_committee", "T-15", parent=self.programme, unit=self.province)
        self.department = office("province_department", "S-15", parent=self.committee, unit=self.province)
        self.school = self._school()
        self.clerk = person("chuyen.vien", ("clerk", self.programme))
        self.approver = person("lanh.dao", ("approver", self.programme))
        self.keeper = person("thu.kho", ("keeper", self.warehouse))
        self.other_keeper = person("thu.kho.2", ("keeper", self.other_warehouse))
        self.inspector = person("kiem.dinh", ("inspector", self.warehouse))
        self.province_clerk = person("so", ("clerk", self.department))

    def _province(self, code, name, slug):
        unit = AdministrativeUnit.objects.create(
            level="province", code=code, name=name, full_name=f"Tỉnh {name}", slug=slug, valid_from=FOUNDED
        )
        AdministrativeUnit.objects.filter(pk=unit.pk).update(province=unit)
        unit.refresh_from_db()
        return unit

    def _school(self):
        district = AdministrativeUnit.objects.create(
            level="district", code="135", name="Mù Cang Chải", full_name="Huyện Mù Cang Chải",
            parent=self.province, province=self.province, valid_from=FOUNDED,
        )  # fmt: skip
        commune = AdministrativeUnit.objects.create(
            level="commune", code="04456", name="Púng Luông", full_name="Xã Púng Luông",
            parent=district, province=self.province, valid_from=FOUNDED,
        )  # fmt: skip
        place = office("school", "TR-15000001", parent=self.department, unit=commune)
        return School.objects.create(
            office=place, code="15000001", level="primary", commune=commune, district=district,
            province=self.province, enrolment=200,
        )  # fmt: skip

    def students(self, count: int) -> None:
        Student.objects.bulk_create(
            Student(
                school=self.school, full_name=f"Em {n}", search_key=f"em {n}", sort_key=f"{n:05}",
                born_on=dt.date(2012, 5, 1), group="poor", state="approved", approved_at=AT, approved_by=self.clerk,
            )
            for n in range(count)
        )  # fmt: skip

    def criteria(self, kind="tablet", *, limits=None, is_used=False, version=1) -> DeviceCriteria:
        row = DeviceCriteria.objects.create(
            device_kind=kind, version=version, is_used_device=is_used, limits=limits or TABLET,
            legal_reference="đề xuất – chưa xác nhận",
        )  # fmt: skip
        return services.publish_criteria(by=self.clerk, criteria=row, at=AT)

    def donor(self, name="Công ty Ánh Dương", *, kind="enterprise", named=True, tax_code="") -> Donor:
        return services.register_donor(
            by=self.clerk, kind=kind, name=name, at=AT, is_named_in_public=named, tax_code=tax_code
        )

    def pledge(self, *, quantity=20, donor=None, **more) -> Pledge:
        """A confirmed pledge of new tablets for the central warehouse."""
        made, _ = services.make_pledge(
            by=self.clerk, donor=donor or self.donor(), kind="device", device_kind="tablet", quantity=quantity,
            at=AT, warehouse=self.warehouse, is_verified=True, **more,
        )  # fmt: skip
        return made

    def money(self, amount=25_000_000_000, *, received=True, donor=None, **more) -> Pledge:
        """A confirmed money pledge, its money on the programme's account."""
        made, _ = services.make_pledge(
            by=self.clerk,
            donor=donor or self.donor(),
            kind="money",
            amount_vnd=amount,
            at=AT,
            is_verified=True,
            **more,
        )
        if received:
            services.receive_money(
                by=self.clerk, pledge=made, office=self.programme, amount_vnd=amount,
                document_number=f"UNC-{made.code}", received_on=DAY, at=AT,
            )  # fmt: skip
        return made

    def price(self, unit_price=2_500_000, **more):
        values = {"valid_from": dt.date(2021, 9, 1), **more}
        return services.agree_price(
            by=self.clerk, supplier="Nhà máy A", device_kind="tablet", model_name="Bảng 8 inch",
            unit_price_vnd=unit_price, at=AT, **values,
        )  # fmt: skip

    def lot(self, pledge=None, **more):
        values = {"warehouse": self.warehouse, "device_kind": "tablet", **more}
        return services.receive_lot(by=self.keeper, pledge=pledge or self.pledge(), at=AT, **values)

    def devices(self, count=3, *, lot=None, prefix="SN") -> list[str]:
        lot = lot or self.lot()
        rows = [(f"{prefix}{number:05}", "") for number in range(count)]
        return services.receive_devices(by=self.keeper, lot=lot, rows=rows, at=AT)

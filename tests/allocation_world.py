"""A world with need and stock for tests of runs: built on the supply's world, devices in the ledger like real ones."""

import datetime as dt

from allocation import services
from allocation.models import AllocationPolicy, AllocationRun, Phase
from donations import services as supply
from donations.rules import Finding
from schools.models import Student
from tests.supply import AT, World, person

__all__ = ["AT", "AllocationWorld"]


class AllocationWorld(World):
    """Adds a phase, a second clerk, and shortcuts to each step of a run."""

    def __init__(self):
        super().__init__()
        self.other_clerk = person("chuyen.vien.2", ("clerk", self.programme))
        self.phase = Phase.objects.create(
            code="GD1",
            name="Giai đoạn 1",
            clause="II.2a",
            starts_on=dt.date(2021, 9, 12),
            ends_on=dt.date(2021, 12, 31),
            groups=["poor", "near_poor", "covid_orphan"],
        )
        self.criteria()
        self._made = 0

    def students(self, count: int, *, group: str = "poor", household_key: str = "", **more) -> list[Student]:
        return Student.objects.bulk_create(
            Student(
                full_name=f"Em {n}",
                search_key=f"em {n}",
                sort_key=f"{n:05}",
                born_on=dt.date(2012, 5, 1),
                group=group,
                household_key=household_key,
                **{"school": self.school, "class_name": "5A"}
                | {"state": "approved", "approved_at": AT, "approved_by": self.clerk}
                | more,
            )
            for n in range(count)
        )

    def stock(self, count: int, **earmark) -> list[str]:
        """Accepted devices of one lot; returns their codes."""
        self._made += 1
        lot = self.lot(self.pledge(quantity=count, **earmark))
        codes = self.devices(count, lot=lot, prefix=f"W{self._made}X")
        supply.inspect_devices(
            by=self.inspector,
            findings=[Finding(code, {"screen_inch": 8, "ram_gb": 2, "wifi": True}) for code in codes],
            at=AT,
        )
        return codes

    def policy(self, *, groups=("poor", "near_poor", "covid_orphan"), **more) -> AllocationPolicy:
        draft = services.draft_policy(
            by=self.clerk,
            phase=self.phase,
            name="Thứ tự ưu tiên",
            groups=list(groups),
            **{"locality_first": True, "margin": "proportional", "at": AT, **more},
        )
        return services.publish_policy(by=self.approver, policy=draft, at=AT)

    def opened(self, *, policy=None, draw_at=None, **more) -> AllocationRun:
        return services.open_run(
            by=self.clerk,
            policy=policy or self.policy(),
            randomness_source="Xổ số kiến thiết miền Bắc, giải đặc biệt",
            draw_at=draw_at or AT + dt.timedelta(hours=1),
            at=AT,
            **more,
        )

    def frozen(self, **more) -> AllocationRun:
        return services.freeze(by=self.clerk, run=self.opened(**more), at=AT)

    def seeded(self, **more) -> AllocationRun:
        run, later = self.frozen(**more), AT + dt.timedelta(hours=2)
        services.enter_randomness(by=self.clerk, run=run, value="12345", at=later)
        return services.confirm_randomness(by=self.other_clerk, run=run, value="12345", at=later)

    def proposed(self, **more) -> AllocationRun:
        return services.propose(by=self.clerk, run=self.seeded(**more), at=AT)

    def committed(self, **more) -> AllocationRun:
        run = services.approve(by=self.approver, run=self.proposed(**more), at=AT)
        return services.commit(by=self.approver, run=run, at=AT)

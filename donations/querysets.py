"""Which rows: scope by office, and the derived numbers of pledges, lots, money and budget lines."""

import datetime as dt

from django.db import models
from django.db.models import BigIntegerField, Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from schools.reach import reach


def _sum(queryset, by: str, expression) -> Coalesce:
    """A correlated sum of its own, so that two sums in one query don't multiply each other."""
    total = (
        queryset.order_by()
        .values(by)
        .annotate(total=Sum(expression, output_field=BigIntegerField()))
        .values("total")
    )
    return Coalesce(Subquery(total, output_field=BigIntegerField()), 0)


def _count(queryset, by: str) -> Coalesce:
    return Coalesce(
        Subquery(
            queryset.order_by().values(by).annotate(n=Count("pk")).values("n"), output_field=BigIntegerField()
        ),
        0,
    )


class PledgeQuerySet(models.QuerySet):
    def for_user(self, user):
        """Pledges of the offices within reach, and those that a warehouse within reach expects."""
        managed = reach(user, through="office__")
        if not managed:  # the whole tree
            return self
        return self.filter(managed | reach(user, through="warehouse__"))

    def for_donors_of(self, user):
        """Pledges of the donors that the person acts for."""
        return self.filter(donor__people__user=user, donor__people__ended_at=None)

    def live(self):
        return self.exclude(state="cancelled")

    def counted(self):
        """What may be added up: top-level pledges; an umbrella's members are inside its own number."""
        return self.live().filter(umbrella=None)

    def with_progress(self):
        """Adds `received_count`, `accepted_count`, `refused_count` (devices) and `received_vnd`, `spent_vnd`.

        An umbrella's numbers include those of its members.
        """
        device = self.model._meta.apps.get_model("donations", "Device")
        receipt = self.model._meta.apps.get_model("donations", "MoneyReceipt")
        transfer = self.model._meta.apps.get_model("donations", "MoneyTransfer")
        # As a subquery of ids the two conditions use their two indexes; joined with OR they scan every pledge.
        outer = OuterRef(OuterRef("pk"))
        itself_and_members = (
            self.model.objects.filter(Q(pk=outer) | Q(umbrella=outer)).order_by().values("pk")
        )
        one = models.Value(1)
        devices = device.objects.filter(lot__pledge__in=itself_and_members).annotate(one=one)
        receipts = receipt.objects.filter(pledge__in=itself_and_members).annotate(one=one)
        paid = transfer.objects.filter(pledge__in=itself_and_members, order__isnull=False).annotate(one=one)
        return self.annotate(
            received_count=_count(devices, "one"),
            accepted_count=_count(devices.filter(state="accepted"), "one"),
            refused_count=_count(devices.filter(state="refused"), "one"),
            received_vnd=_sum(receipts, "one", "amount_vnd"),
            spent_vnd=_sum(paid, "one", "amount_vnd"),
        )


class LotQuerySet(models.QuerySet):
    def for_user(self, user):
        """Lots that warehouses within reach received, or of which a device came back to one of them."""
        received = reach(user, through="warehouse__")
        if not received:  # the whole tree
            return self
        device = self.model._meta.apps.get_model("donations", "Device")
        back = device.objects.filter(reach(user, through="returned_to__"), lot=OuterRef("pk"))
        return self.filter(received | models.Exists(back))

    def with_counts(self):
        """Adds the number of devices in each intake state: `device_count`, `waiting_count`, `accepted_count`, …"""
        device = self.model._meta.apps.get_model("donations", "Device")
        own = device.objects.filter(lot=OuterRef("pk"))
        states = {"waiting": "received", "repair": "to_repair", "accepted": "accepted", "refused": "refused"}
        return self.annotate(
            device_count=_count(own, "lot"),
            **{f"{name}_count": _count(own.filter(state=state), "lot") for name, state in states.items()},
        )

    def with_devices_in(self, state: str):
        """Lots that have a device in this intake state."""
        device = self.model._meta.apps.get_model("donations", "Device")
        return self.filter(models.Exists(device.objects.filter(lot=OuterRef("pk"), state=state)))


class DeviceQuerySet(models.QuerySet):
    def for_user(self, user):
        """Devices of the lots that warehouses within reach received, and those that came back to one of them."""
        received = reach(user, through="lot__warehouse__")
        if not received:  # the whole tree
            return self
        return self.filter(received | reach(user, through="returned_to__"))

    def to_inspect_by(self, user):
        """Devices that wait for inspection in a warehouse where the person inspects."""
        waiting = self.filter(state="received")
        here = reach(user, "inspector", through="lot__warehouse__")
        if not here:  # the whole tree
            return waiting
        return waiting.filter(
            (here & Q(returned_to=None)) | reach(user, "inspector", through="returned_to__")
        )

    def of_pledge(self, pledge):
        """Devices that a pledge brought, by itself or by its members."""
        return self.filter(Q(lot__pledge=pledge) | Q(lot__pledge__umbrella=pledge))

    def bought(self):
        """Devices that can be traced to the money that bought them (Plan III.1h)."""
        return self.filter(lot__order__isnull=False)


class CriteriaQuerySet(models.QuerySet):
    def published(self):
        return self.filter(published_at__isnull=False)

    def in_force(self, *, device_kind: str, is_used: bool):
        """The newest published criteria of a kind: of its own condition if there are any, else of the other; or None."""
        return (
            self.published()
            .filter(device_kind=device_kind)
            .annotate(fits=models.Case(models.When(is_used_device=is_used, then=1), default=0))
            .order_by("-fits", "-version")
            .first()
        )


class MoneyQuerySet(models.QuerySet):
    """Receipts and transfers."""

    def for_user(self, user):
        through = "office__" if self.model._meta.model_name == "moneyreceipt" else "from_office__"
        return self.filter(reach(user, through=through))


class PriceAgreementQuerySet(models.QuerySet):
    def valid_on(self, day: dt.date):
        return self.filter(valid_from__lte=day).filter(Q(valid_to__isnull=True) | Q(valid_to__gte=day))

    def for_conversion(self, day: dt.date, device_kind: str = "tablet"):
        """The agreement by which money of that day is turned into devices: the latest that was valid; or None."""
        return (
            self.valid_on(day)
            .filter(device_kind=device_kind)
            .order_by("-valid_from", "unit_price_vnd")
            .first()
        )


class OrderQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(reach(user, through="office__"))

    def with_money(self):
        """Adds `total_vnd` and `paid_vnd`."""
        transfer = self.model._meta.apps.get_model("donations", "MoneyTransfer")
        return self.annotate(
            total_vnd=F("unit_price_vnd") * F("quantity"),
            paid_vnd=_sum(transfer.objects.filter(order=OuterRef("pk")), "order", "amount_vnd"),
        )


class BudgetLineQuerySet(models.QuerySet):
    def with_use(self):
        """Adds `committed_vnd` (ordered, delivered or not) and `spent_vnd` (paid), derived and never stored."""
        order = self.model._meta.apps.get_model("donations", "PurchaseOrder")
        transfer = self.model._meta.apps.get_model("donations", "MoneyTransfer")
        live = order.objects.filter(budget_line=OuterRef("pk"), state__in=["ordered", "delivered"])
        return self.annotate(
            committed_vnd=_sum(live, "budget_line", F("unit_price_vnd") * F("quantity")),
            spent_vnd=_sum(
                transfer.objects.filter(order__budget_line=OuterRef("pk")), "order__budget_line", "amount_vnd"
            ),
        )

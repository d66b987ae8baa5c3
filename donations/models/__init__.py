"""The supply: donors and pledges, money and purchases, lots and devices up to acceptance."""

from donations.models.announced import AnnouncedSerial
from donations.models.devices import Device, DeviceCriteria, Inspection, Lot
from donations.models.donors import Donor, DonorMember, Pledge, PledgeDraft
from donations.models.money import BudgetLine, MoneyReceipt, MoneyTransfer, PriceAgreement, PurchaseOrder

__all__ = [
    "AnnouncedSerial",
    "BudgetLine",
    "Device",
    "DeviceCriteria",
    "Donor",
    "DonorMember",
    "Inspection",
    "Lot",
    "MoneyReceipt",
    "MoneyTransfer",
    "Pledge",
    "PledgeDraft",
    "PriceAgreement",
    "PurchaseOrder",
]

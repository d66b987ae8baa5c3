"""From office to office into a child's hands (Plan I.2d, III.2c): shipments, handovers, what happens after."""

from delivery.models.aftercare import DeviceReport, LotRecall
from delivery.models.grievances import (
    HANDLES_GRIEVANCES,
    READS_SENSITIVE,
    SENSITIVE_KINDS,
    Grievance,
)
from delivery.models.handovers import Handover, HandoverRecord, PhoneHandover
from delivery.models.losses import Loss
from delivery.models.shipments import (
    DELIVERY_KINDS,
    FOLLOWS_DEVICES,
    Custody,
    Fault,
    Shipment,
    ShipmentItem,
)

__all__ = [
    "DELIVERY_KINDS",
    "FOLLOWS_DEVICES",
    "HANDLES_GRIEVANCES",
    "READS_SENSITIVE",
    "SENSITIVE_KINDS",
    "Custody",
    "DeviceReport",
    "Fault",
    "Grievance",
    "Handover",
    "HandoverRecord",
    "Loss",
    "LotRecall",
    "PhoneHandover",
    "Shipment",
    "ShipmentItem",
]

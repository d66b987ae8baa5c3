"""What happens to devices on their way into a child's hands and after, split by noun."""

from delivery.services.aftercare import (
    close_recall,
    recall_lot,
    recalled_devices,
    report_device,
    report_devices,
)
from delivery.services.erasure import carry_out_erasure, erase_again, handovers_of
from delivery.services.fitness import Unfit, unfit_devices
from delivery.services.grievances import answer_grievance, assign_grievance, open_grievance
from delivery.services.handovers import (
    close_finished_batches,
    hand_over,
    open_record,
    sign_record,
    waiting_rows,
)
from delivery.services.hops import holds_many, next_hops, plan_shipments
from delivery.services.losses import decide_loss, request_losses
from delivery.services.phone import Answer, Written, receive_from_phone, settle_phone_handover
from delivery.services.replacement import replace_device
from delivery.services.returns import Returnable, plan_return, return_targets, returnable, to_replace
from delivery.services.shipments import (
    Holder,
    cancel_shipment,
    dispatch,
    dispatch_ready,
    dispatch_shipments,
    mark_found,
    receive_shipment,
    receive_shipments,
    remove_items,
    who_holds,
)
from delivery.services.substitution import substitute, substitute_before_dispatch

__all__ = [
    "Answer",
    "Holder",
    "Returnable",
    "Unfit",
    "Written",
    "answer_grievance",
    "assign_grievance",
    "cancel_shipment",
    "carry_out_erasure",
    "close_finished_batches",
    "close_recall",
    "decide_loss",
    "dispatch",
    "dispatch_ready",
    "dispatch_shipments",
    "erase_again",
    "hand_over",
    "handovers_of",
    "holds_many",
    "mark_found",
    "next_hops",
    "open_grievance",
    "open_record",
    "plan_return",
    "plan_shipments",
    "recall_lot",
    "recalled_devices",
    "receive_from_phone",
    "receive_shipment",
    "receive_shipments",
    "remove_items",
    "replace_device",
    "report_device",
    "report_devices",
    "request_losses",
    "return_targets",
    "returnable",
    "settle_phone_handover",
    "sign_record",
    "substitute",
    "substitute_before_dispatch",
    "to_replace",
    "unfit_devices",
    "waiting_rows",
    "who_holds",
]

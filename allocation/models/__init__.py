"""Who gets a device, decided by the law's order (Plan III.2c): phases, policies, runs, allocations."""

from allocation.models.allocations import Allocation, Reduction, Revocation
from allocation.models.policies import AllocationPolicy, Comparison, Phase
from allocation.models.runs import AllocationRun, Applicant, FrozenColumn, Offer, Proposed, Ranking

__all__ = [
    "Allocation",
    "AllocationPolicy",
    "AllocationRun",
    "Applicant",
    "Comparison",
    "FrozenColumn",
    "Offer",
    "Phase",
    "Proposed",
    "Ranking",
    "Reduction",
    "Revocation",
]

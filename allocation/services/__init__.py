"""A run from its opening to its commit, and policies, split by noun. Keyword-only, `by` first, atomic; `at` is given."""

from allocation.services.commits import commit, publish, request_commit, request_step_again, stopped_step
from allocation.services.freezes import freeze, request_freeze
from allocation.services.lottery import confirm_randomness, enter_randomness
from allocation.services.policies import draft_policy, publish_policy
from allocation.services.proposals import approve, propose
from allocation.services.rankings import RANKING_JOB, rank, request_ranking, unranked_runs
from allocation.services.runs import open_run, reject

__all__ = [
    "RANKING_JOB",
    "approve",
    "commit",
    "confirm_randomness",
    "draft_policy",
    "enter_randomness",
    "freeze",
    "open_run",
    "propose",
    "publish",
    "publish_policy",
    "rank",
    "reject",
    "request_commit",
    "request_freeze",
    "request_ranking",
    "request_step_again",
    "stopped_step",
    "unranked_runs",
]

"""Benchmarks: each prints one JSON line with its seconds, the floor measured in the same run, and their ratio.

python -m bench [name …] [--quick]
"""

import resource
from collections.abc import Callable, Iterator

# A benchmark yields its lines; `quick` asks for a small size.
Bench = Callable[[bool], Iterator[dict]]
BENCHES: dict[str, Bench] = {}


def bench(name: str) -> Callable[[Bench], Bench]:
    """Register a benchmark under `name`; `python -m bench ledger` runs all whose name starts so."""

    def register(function: Bench) -> Bench:
        BENCHES[name] = function
        return function

    return register


def peak_mb() -> float:
    """Largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""What several benchmarks share: a clock, and figures with as many digits as they are good for."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def median_seconds(job: Callable[[], object], runs: int) -> float:
    """Median wall time of `runs` calls after one that does not count."""
    job()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def rounded(value: Any) -> Any:
    """The same with six significant digits a number, which is more than any figure here is good for."""
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value

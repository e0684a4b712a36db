"""Publishes metrics of the emulated services to the emulated CloudWatch, one data point a minute, as AWS does.

Equal values of a minute become one data point with a count, so that a busy stage does not fill the memory.
"""

import threading
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from .clock import CLOCK
from .responses import service

BYTES, COUNT, MILLISECONDS, NO_UNIT = "Bytes", "Count", "Milliseconds", "None"

Values = Mapping[str, tuple[float, str]]  # a metric's name => its value and unit
Dimensions = dict[str, str]

_lock = threading.Lock()  # functions run in threads
_points: dict[tuple[Any, ...], dict[str, Any]] = {}  # of the current minute
_minute = [0.0]


def use_the_clock() -> None:
    """Let the emulated CloudWatch use the clock that tests can set. It removes old data points without a race."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    cloudwatch = service("cloudwatch")
    evict = cloudwatch._evict_old_metrics

    def evict_old_metrics() -> None:
        with _lock:
            evict()

    cloudwatch.time, cloudwatch._evict_old_metrics = CLOCK, evict_old_metrics


def record(namespace: str, values: Values, dimension_sets: Iterable[Dimensions]) -> None:
    """Record values now, once for each set of dimensions, in the current account and region."""
    # pylint: disable=protected-access  # ministack's own state is changed
    cloudwatch, responses = service("cloudwatch"), import_module("ministack.core.responses")
    minute = CLOCK.time() // 60 * 60
    scope = (responses.get_account_id(), responses.get_region(), namespace)
    with _lock:
        if minute != _minute[0]:
            _points.clear()
            _minute[0] = minute
        for dimensions in dimension_sets:
            dims_key = cloudwatch._dims_key(dimensions)
            for name, (value, unit) in values.items():
                point = _points.get((*scope, name, dims_key, value))
                if point is not None:
                    point["Count"] += 1.0
                    continue
                point = {
                    "Timestamp": minute, "Value": float(value), "Count": 1.0, "Unit": unit, "Dimensions": dimensions
                }  # fmt: skip
                _points[(*scope, name, dims_key, value)] = point
                cloudwatch._metric_bucket((namespace, name, dims_key)).append(point)

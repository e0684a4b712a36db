"""Keeps the copy and the comparison of tables below a part of the capacity that the API needs. Not shipped."""

import json
import math
import threading
import time
from typing import Any

SHARE = 0.25  # of a table's capacity
# What one partition of a table serves in a second. A copy may reach one partition only, so more is never used.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
PARTITION = {"Read": 3000, "Write": 1000}
UNIT_BYTES = {"Read": 4096, "Write": 1024}


class Pace:
    """Lets several threads consume at most a number of units a second, of one table's reads or writes."""

    def __init__(self, units_per_second: float) -> None:
        self.rate = units_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the units of all earlier calls are paid for, as time.monotonic() counts

    def call(self, operation: Any, expected: float, **members: Any) -> dict[str, Any]:
        """Call DynamoDB when it is this call's turn. If it consumes other units than expected, correct the pace."""
        with self._lock:
            start = max(time.monotonic(), self._free_at)
            self._free_at = start + expected / self.rate
        time.sleep(max(0.0, start - time.monotonic()))
        response = operation(ReturnConsumedCapacity="TOTAL", **members)
        with self._lock:
            self._free_at += (consumed(response) - expected) / self.rate
        return dict(response)


def pace_of(description: dict[str, Any], kind: str, units: float | None) -> float:
    """Return the units a second for a table's `Read` or `Write`: those that the caller sets, or a share of its cap.

    DynamoDB's DescribeTable says the cap: provisioned units, or the limit of an on-demand table, which may have none.
    """
    if units is not None:
        return units
    on_demand = description.get("OnDemandThroughput", {}).get(f"Max{kind}RequestUnits", -1)
    provisioned = description.get("ProvisionedThroughput", {}).get(f"{kind}CapacityUnits", 0)
    caps = [PARTITION[kind], *(cap for cap in (on_demand, provisioned) if cap > 0)]
    return SHARE * min(caps)


def consumed(response: dict[str, Any]) -> float:
    """Return the units that a call consumed, of the table and its indexes."""
    found = response["ConsumedCapacity"]
    return sum(float(each["CapacityUnits"]) for each in (found if isinstance(found, list) else [found]))


def units_of(item: dict[str, Any], kind: str) -> int:
    """Return about how many units it takes to read or write an item."""
    return math.ceil(len(json.dumps(item)) / UNIT_BYTES[kind])

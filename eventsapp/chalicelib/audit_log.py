"""Writes the audit log: a line for each request, for each event that is stored, and for each altered event.

On Lambda, each line is one JSON object. A line has ids, and never a payload, a token or a cursor.
"""

import logging
import os
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec

METRIC_NAMESPACE, ALTERED_METRIC = "event-api", "StoredEventAltered"

LEVELS = {"INFO": logging.INFO, "ERROR": logging.ERROR}
ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_request: ContextVar[dict[str, Any]] = ContextVar("request")  # the members of the current request's line


def start_request(request_id: str) -> None:
    """Start the line of a request."""
    _request.set({"level": "INFO", "message": "request", "request_id": request_id})


def add(**members: Any) -> None:
    """Add members to the line of the current request."""
    _request.get().update(members)


def end_request(status: int, milliseconds: float) -> None:
    """Write the line of the current request: its status, and how long the function took."""
    add(status=status, duration_ms=round(milliseconds, 2))
    _write(_request.get())


def stored(event_id: str, event_type: str) -> None:
    """Write the line of an event that the current request stored as a part of a batch."""
    request = _request.get()
    _write({
        "level": "INFO",
        "message": "event",
        **{name: request[name] for name in ("request_id", "tenant", "key_id")},
        "outcome": "stored",
        "event_id": event_id,
        "type": event_type,
    })  # fmt: skip


def altered(tenant: str, event_id: str) -> None:
    """Write the line of an altered event. CloudWatch counts it as a metric of the function.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    now = time.time()
    metrics = {
        "Namespace": METRIC_NAMESPACE,
        "Dimensions": [["function"]],
        "Metrics": [{"Name": ALTERED_METRIC, "Unit": "Count"}],
    }
    _write({
        "level": "ERROR",
        "message": f"the stored event {event_id} of the tenant {tenant} was altered outside of the API",
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        "tenant": tenant,
        "event_id": event_id,
        "function": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"),
        ALTERED_METRIC: 1,
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [metrics]},
    })  # fmt: skip


def _write(line: dict[str, Any]) -> None:
    """Write a line: on Lambda as JSON to stdout, elsewhere as a log record, which appears if its level does.

    Lambda passes JSON lines to CloudWatch Logs unchanged. The logging module would take more time than all the rest.
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
    """
    if ON_LAMBDA:
        sys.stdout.write(f"{_encode(line).decode()}\n")  # one call, so that no other output gets into the line
        sys.stdout.flush()
    else:
        log.log(LEVELS[line["level"]], line["message"], extra={"fields": line})

"""Metrics of log events: their number and bytes, metric filters, and the embedded metric format.

ministack publishes none of them. It stores the filters.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import functools
import json
from typing import Any

from .log_events import call_for_new_events
from .log_patterns import UnknownPattern, compile_pattern, parsed, value_at
from .metrics import BYTES, COUNT, NO_UNIT, record
from .responses import Response, error_response, operation_of, service

NAMESPACE = "AWS/Logs"
FILTER_OPERATIONS = ("PutMetricFilter", "FilterLogEvents")
cached_pattern = functools.lru_cache(maxsize=256)(compile_pattern)


def count_log_events() -> None:
    """Record the metrics of each new log event. Refuse patterns that the emulated AWS does not know."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    logs = service("cloudwatch_logs")
    handle_other = logs.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        if operation_of(headers) in FILTER_OPERATIONS:
            try:
                cached_pattern(json.loads(body).get("filterPattern") or "")
            except UnknownPattern as exc:
                message = f"The emulated AWS does not know {exc}: see terraform/emulator/log_patterns.py."
                return error_response("InvalidParameterException", message, 400)
        return await handle_other(method, path, headers, body, query)

    logs.handle_request = handle_request
    logs._compile_filter_pattern = lambda pattern: cached_pattern(pattern or "")
    call_for_new_events(record_events)


def record_events(group: str, events: list[dict[str, Any]]) -> None:
    """Record the metrics of a log group's new events."""
    # pylint: disable=protected-access  # ministack's own state is read
    for event in events:
        values = {"IncomingBytes": (len(event["message"].encode()), BYTES), "IncomingLogEvents": (1, COUNT)}
        record(NAMESPACE, values, [{"LogGroupName": group}])
    filters = [entry for entry in service("cloudwatch_logs")._metric_filters.values() if entry["logGroupName"] == group]
    for message in (event["message"] for event in events):
        for entry in filters:
            matches = cached_pattern(entry["filterPattern"])(message)
            for transformation in entry["metricTransformations"]:
                apply_transformation(transformation, message, matches)
        if '"_aws"' in message:
            record_embedded(parsed(message))


def apply_transformation(transformation: dict[str, Any], message: str, matches: bool) -> None:
    """Record the value of an event that matches a filter, or the filter's default value."""
    text = transformation["metricValue"] if matches else transformation.get("defaultValue")
    document = parsed(message) if matches else None
    if isinstance(text, str) and text.startswith("$."):
        text = value_at(document, text)
    try:
        value = float(text)  # type: ignore[arg-type]  # anything else is no number
    except (TypeError, ValueError):
        return
    dimensions = {name: str(value_at(document, path)) for name, path in transformation.get("dimensions", {}).items()}
    values = {transformation["metricName"]: (value, transformation.get("unit", NO_UNIT))}
    record(transformation["metricNamespace"], values, [dimensions])


def record_embedded(document: Any) -> None:
    """Record the metrics that a log event in the embedded metric format has."""
    for directive in document["_aws"]["CloudWatchMetrics"]:
        sets = [{name: str(document[name]) for name in names} for names in directive["Dimensions"]]
        for metric in directive["Metrics"]:
            values = document[metric["Name"]]
            for value in values if isinstance(values, list) else [values]:
                record(directive["Namespace"], {metric["Name"]: (value, metric.get("Unit", NO_UNIT))}, sets)

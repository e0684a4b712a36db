"""Log events of the emulated CloudWatch Logs: a way to write one, and a way to see each new one."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

from .responses import service

Listener = Callable[[str, list[dict[str, Any]]], None]  # gets a log group's name and its new events


def append(group: str, writer: str, message: str) -> None:
    """Write an event to a log group, as an AWS service does. Without the group, AWS drops the event, too."""
    # pylint: disable=protected-access  # ministack's own state is changed
    logs, now = service("cloudwatch_logs"), int(time.time() * 1000)
    if group not in logs._log_groups:
        return
    streams, name = logs._log_groups[group]["streams"], hashlib.md5(writer.encode()).hexdigest()
    if name not in streams:
        streams[name] = {
            "events": [], "uploadSequenceToken": "1", "creationTime": now, "firstEventTimestamp": None,
            "lastEventTimestamp": None, "lastIngestionTime": None,
        }  # fmt: skip
    events = [{"timestamp": now, "message": message, "ingestionTime": now}]
    logs._append_log_events(streams[name], events)
    logs._fanout_to_subscription_filters(group, name, events)


def call_for_new_events(listener: Listener) -> None:
    """Call a listener with all new events: of functions, of PutLogEvents, and of the access log."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    logs = service("cloudwatch_logs")
    fan_out = logs._fanout_to_subscription_filters  # ministack calls it with each new event

    def fan_out_to_all(group: str, stream: str, events: list[dict[str, Any]]) -> None:
        listener(group, events)
        fan_out(group, stream, events)

    logs._fanout_to_subscription_filters = fan_out_to_all

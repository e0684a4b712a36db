"""Reads a deployed dashboard and the data of its widgets, as CloudWatch does when somebody looks at it.

It knows only what terraform/dashboard.tf uses: one form of metric math, and one form of query of a log.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from emulator.stack import STAGE, Stack

RATE = re.compile(r"(\w+)/PERIOD\(\1\)")
QUERY = re.compile(
    r"SOURCE '(?P<group>\S+)' \| filter (?P<name>\w+) = '(?P<value>\w+)'"
    r" \| stats count\(\*\) as (?P<count>\w+) by (?P<by>\w+)"
    r" \| sort (?P=count) desc"
)

Values = dict[float, float]  # time in seconds => value


@dataclass
class Line:
    """A line of a chart."""

    label: str
    values: Values = field(default_factory=dict)


class Place(NamedTuple):
    """A place on the dashboard's grid."""

    x: int
    y: int
    width: int
    height: int


@dataclass
class Widget:
    """A widget of the dashboard with its data."""

    title: str
    place: Place
    start: float  # in seconds
    end: float
    lines: list[Line] = field(default_factory=list)
    caps: dict[str, float] = field(default_factory=dict)  # label => value
    rows: list[tuple[str, str]] = field(default_factory=list)  # alarm, state; or outcome, count


def read_dashboard(stack: Stack, start: float, end: float) -> list[Widget]:
    """Return the widgets of the deployed dashboard, with the data from `start` to `end`, in seconds."""
    response = stack.aws.client("cloudwatch").get_dashboard(DashboardName=f"event-api-{STAGE}")
    widgets = []
    for members in json.loads(response["DashboardBody"])["widgets"]:
        place = Place(*(members[name] for name in Place._fields))
        widget = Widget(members["properties"]["title"], place, start, end)
        READERS[members["type"]](stack, members["properties"], widget)
        widgets.append(widget)
    return widgets


def read_metrics(stack: Stack, properties: dict[str, Any], widget: Widget) -> None:
    """Add the lines of a chart. Hidden metrics are only read, for the expressions."""
    metrics, period, stat = (properties[name] for name in ("metrics", "period", "stat"))
    lines = [{"id": f"line{number}", **options} for number, (*_, options) in enumerate(metrics)]
    queries = [
        {"Id": line["id"], "MetricStat": {"Metric": metric(names), "Period": period, "Stat": line.get("stat", stat)}}
        for line, (*names, _) in zip(lines, metrics)
        if names
    ]
    results = stack.aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=widget.start, EndTime=widget.end
    )["MetricDataResults"]
    data = {
        result["Id"]: {time.timestamp(): value for time, value in zip(result["Timestamps"], result["Values"])}
        for result in results
    }
    for line in lines:
        if "expression" in line:  # ministack has no metric math
            rate = RATE.fullmatch(line["expression"])
            assert rate, f"{line['expression']} is no rate: teach it to tests/picture/dashboard.py"
            data[line["id"]] = {time: value / period for time, value in data[rate[1]].items()}
    widget.lines = [Line(line["label"], data[line["id"]]) for line in lines if line.get("visible", True)]
    widget.caps = {cap["label"]: cap["value"] for cap in properties.get("annotations", {}).get("horizontal", [])}


def metric(names: list[str]) -> dict[str, Any]:
    """Return a metric as GetMetricData names it. In a dashboard it is a list: namespace, name, dimensions."""
    namespace, name, *dimensions = names
    pairs = zip(dimensions[::2], dimensions[1::2])
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in pairs],
    }


def read_alarms(stack: Stack, properties: dict[str, Any], widget: Widget) -> None:
    """Add the state of each alarm."""
    names = [arn.split(":alarm:")[1] for arn in properties["alarms"]]
    response = stack.aws.client("cloudwatch").describe_alarms(
        AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    alarms = response["MetricAlarms"] + response["CompositeAlarms"]
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
    widget.rows = [(name, states[name]) for name in names]


def read_log(stack: Stack, properties: dict[str, Any], widget: Widget) -> None:
    """Add the counts of a query. ministack cannot run it, so the events are counted here."""
    query = QUERY.fullmatch(properties["query"])
    assert query, f"{properties['query']} is another query: teach it to tests/picture/dashboard.py"
    pages = stack.aws.client("logs").get_paginator("filter_log_events")
    pattern = f'{{ $.{query["name"]} = "{query["value"]}" }}'
    events = pages.paginate(logGroupName=query["group"], filterPattern=pattern).search("events[].message")
    counts = Counter(json.loads(message)[query["by"]] for message in events)
    widget.rows = [(query["by"], query["count"])] + [(value, str(count)) for value, count in counts.most_common()]


READERS = {"metric": read_metrics, "alarm": read_alarms, "log": read_log}

"""Evaluates the alarms of the emulated CloudWatch as AWS does. ministack ignores dimensions, periods and missing data.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
An alarm sees complete minutes only. AWS and `evaluate_each_minute` evaluate all alarms once a minute; a test sets the
clock, which evaluates them at once.
"""

import asyncio
import operator
from importlib import import_module
from typing import Any

from .clock import CLOCK
from .responses import Response, service

COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
# AWS reads more periods than an alarm evaluates. Its documentation shows five periods for an alarm of three.
MORE_PERIODS = 2
NOT_EMULATED = ("Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile", "EvaluationCriteria")


def evaluate_alarms() -> None:
    """Evaluate alarms in place of ministack, and refuse alarms with parts that this module does not know."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    cloudwatch = service("cloudwatch")
    put_alarm = cloudwatch._put_metric_alarm

    def put_metric_alarm(
        params: dict[str, Any], members: dict[str, Any], is_cbor: bool, is_json: bool = False
    ) -> Response:
        sent = members if is_cbor or is_json else {name.partition(".")[0]: value for name, value in params.items()}
        unknown = [name for name in NOT_EMULATED if sent.get(name)]
        if cloudwatch._p(sent, "ComparisonOperator") not in COMPARISONS:
            unknown.append("the ComparisonOperator")
        if unknown:
            message = f"The emulated AWS does not know {', '.join(unknown)} of an alarm."
            refusal: Response = cloudwatch._error("ValidationError", message, 400, use_json=is_json, use_cbor=is_cbor)
            return refusal
        response = put_alarm(params, members, is_cbor, is_json)
        alarm = cloudwatch._alarms.get(cloudwatch._p(sent, "AlarmName"))
        if alarm and alarm.get("ExtendedStatistic"):
            alarm["Statistic"] = None  # ministack sets both
        return response

    cloudwatch._put_metric_alarm, cloudwatch._evaluate_alarm = put_metric_alarm, evaluate
    CLOCK.after_set.append(evaluate_all)


async def evaluate_each_minute() -> None:
    """Evaluate all alarms some seconds after each minute, unless a test has stopped the clock."""
    while True:
        await asyncio.sleep(65 - CLOCK.time() % 60)
        if not CLOCK.is_stopped():
            evaluate_all()


def evaluate_all() -> None:
    """Evaluate all alarms of all accounts and regions now."""
    # pylint: disable=protected-access  # ministack's own state is read
    cloudwatch, responses = service("cloudwatch"), import_module("ministack.core.responses")
    for account, region, name in list(cloudwatch._alarms._data):
        with responses.request_scope(account, region):
            evaluate(cloudwatch._alarms[name])
    for listener in AFTER_EVALUATION:
        listener()


AFTER_EVALUATION: list[Any] = []


def evaluate(alarm: dict[str, Any]) -> None:
    """Set an alarm to the present state of its metric. A change runs the alarm's actions."""
    # pylint: disable=protected-access  # ministack's own functions are called
    cloudwatch = service("cloudwatch")
    needed = int(alarm["EvaluationPeriods"])
    values = period_values(alarm, needed + MORE_PERIODS)
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    breaching = [breaches(value, alarm["Threshold"]) for value in values if value is not None]
    old = alarm["StateValue"]
    to_alarm = int(alarm.get("DatapointsToAlarm") or needed)
    new = state(breaching[:needed], needed, to_alarm, alarm["TreatMissingData"], old)
    if new == old:
        return
    shown = [value for value in values if value is not None][:needed]
    reason = f"Of the last {needed} data points, {sum(breaching[:needed])} breach {alarm['Threshold']}: {shown}"
    alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=int(CLOCK.time()))
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def period_values(alarm: dict[str, Any], count: int) -> list[float | None]:
    """Return the statistic of the last complete periods, the newest first; None for a period without data."""
    # pylint: disable=protected-access  # ministack's own state is read
    cloudwatch = service("cloudwatch")
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    end, period = CLOCK.time() // 60 * 60, alarm["Period"]
    points: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for point in list(cloudwatch._metrics.get(key, [])):
        age = end - point["Timestamp"]
        if 0 < age <= period * count and alarm.get("Unit") in (None, point["Unit"]):
            points[int(-(-age // period)) - 1].append(point)
    statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    return [
        cloudwatch._stat_value(cloudwatch._calc_stats(those), statistic, those) if those else None for those in points
    ]


def state(breaching: list[bool], needed: int, to_alarm: int, treat_missing: str, old: str) -> str:
    """Return an alarm's state: `breaching` tells for each existing data point whether it breaches the threshold."""
    missing, bad = needed - len(breaching), sum(breaching)
    if treat_missing == "breaching":
        bad += missing
    if bad >= to_alarm:
        return "ALARM"
    if not missing or treat_missing in ("breaching", "notBreaching"):
        return "OK"
    if not breaching:
        return old if treat_missing == "ignore" else "INSUFFICIENT_DATA"
    if bad < min(to_alarm, len(breaching)):
        return "OK"
    return old if treat_missing == "ignore" else "ALARM"  # every data point that exists is bad

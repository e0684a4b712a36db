"""The emulated CloudWatch: filter patterns of logs, and the states of alarms, as AWS documents them."""

import json

import pytest

from emulator.alarms import state
from emulator.log_patterns import UnknownPattern, compile_pattern

LINE = json.dumps({"status": "401", "ms": 12.5, "outcome": "event-not-found", "a": {"b": None, "on": True}})


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.status = "401" }', True),
        ("{ $.status = 401 }", True),
        ('{ $.status = "40" }', False),
        ('{ $.status = "4*" }', True),
        ('{ $.status != "401" }', False),
        ('{ $.missing = "401" }', False),
        ('{ $.missing != "401" }', True),
        ("{ $.ms > 12 }", True),
        ("{ $.ms >= 12.5 && $.ms <= 12.5 }", True),
        ("{ $.ms < 12 }", False),
        ("{ $.ms = 12.5 }", True),
        ("{ $.status > 400 }", False),  # a text is no number
        ('{ $.status = "400" || $.status = "401" }', True),
        ('{ $.ms = 0 && $.ms = 0 || $.status = "401" }', True),
        ('{ $.ms = 0 && ($.ms = 0 || $.status = "401") }', False),
        ("{ $.a.b IS NULL }", True),
        ("{ $.a.on IS TRUE }", True),
        ("{ $.a.on IS FALSE }", False),
        ("{ $.a.c NOT EXISTS }", True),
        ("{ $.a.b NOT EXISTS }", False),
        ("", True),
        ('"event-not-found"', True),
        ("event not", True),
        ("event -not", False),
        ("?nothing ?event", True),
        ("?nothing ?neither", False),
        ("Event", False),
    ],
)
def test_pattern_matches(pattern: str, matches: bool) -> None:
    """A pattern selects the log events that AWS selects."""
    assert compile_pattern(pattern)(LINE) == matches
    if pattern.startswith("{"):
        assert not compile_pattern(pattern)("START RequestId: 401")


@pytest.mark.parametrize(
    "pattern",
    ["{ $.a }", "{ $.a = }", '{ $.a = "b"', '{ $.a = "b" } c', "{ $.a[0] = 1 }", "{ $.a > b }", '{ $.a < "1" }',
     "{ a = 1 }", "{ $.a IS BIG }", "{ }", "[a, b]", "%a%", "request-id"],
)  # fmt: skip
def test_unknown_pattern_is_refused(pattern: str) -> None:
    """A pattern with something that this module does not know never matches by chance."""
    with pytest.raises(UnknownPattern):
        compile_pattern(pattern)


X, O = True, False  # breaching and not breaching, as in AWS's tables; the newest first


@pytest.mark.parametrize(
    ("breaching", "needed", "to_alarm", "states"),
    [
        # missing data is: missing, ignore, breaching, notBreaching
        ([X, X, O], 3, 3, ("OK", "OK", "OK", "OK")),
        ([O], 3, 3, ("OK", "OK", "OK", "OK")),
        ([], 3, 3, ("INSUFFICIENT_DATA", "old", "ALARM", "OK")),
        ([X, X, X], 3, 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ([X], 3, 3, ("ALARM", "old", "ALARM", "OK")),
        ([X, O, X], 3, 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ([X, O], 3, 2, ("OK", "OK", "ALARM", "OK")),
        ([X, O], 5, 1, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ],
)
def test_alarm_state(breaching: list[bool], needed: int, to_alarm: int, states: tuple[str, ...]) -> None:
    """The state is as in the tables of AWS's documentation.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    kinds = ("missing", "ignore", "breaching", "notBreaching")
    assert tuple(state(breaching, needed, to_alarm, kind, "old") for kind in kinds) == states

"""Each alarm of the deployed stage: a cause raises it, its topic gets one message, and then it ends."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from callers import bearer, token_of
from chalicelib.token import READ
from deployed.alarms import Alarms
from deployed.faults import (
    alter_event,
    closed_gateway,
    crashing_function,
    throttled_function,
    unreachable_table,
    without_token,
)
from deployed.functions import AUTHORIZER, EVENTS, FUNCTION, TOKENS
from targets import Response, UrlApi, an_event, get, post

from emulator.stack import STAGE, Stack

AT = 3  # the limit in the settings of these tests: this many in one minute fire an alarm

Cause = Callable[[Stack, UrlApi], Any]


def three_reads(api: UrlApi, **headers: str) -> list[Response]:
    """Send enough requests to fire an alarm."""
    return [get(api, "unknown", **headers) for _ in range(AT)]


def lose_events(stack: Stack, api: UrlApi) -> None:
    """The function cannot use its table."""
    with unreachable_table(stack, FUNCTION):
        assert {response.json["type"] for response in three_reads(api)} == {"urn:event-api:problem:store-unavailable"}


def lose_tokens(stack: Stack, api: UrlApi) -> None:
    """The authorizer cannot use its table."""
    token = bearer(token_of(stack.token_admin(), READ))
    with unreachable_table(stack, AUTHORIZER):
        assert {response.status for response in three_reads(api, Authorization=token)} == {503}


def crash(stack: Stack, api: UrlApi) -> None:
    """The function raises an exception at its start."""
    with crashing_function(stack):
        assert {response.status for response in three_reads(api)} == {503}


def throttle(function: str) -> Cause:
    """Return a cause: too many calls of a function at once."""

    def cause(stack: Stack, api: UrlApi) -> None:
        token = bearer(token_of(stack.token_admin(), READ))
        headers = {"Authorization": token} if function == AUTHORIZER else {}
        with throttled_function(stack, function):
            assert {response.status for response in three_reads(api, **headers)} == {503}

    return cause


def send_no_token(stack: Stack, api: UrlApi) -> None:
    """Callers without a valid token."""
    del stack
    assert {response.status for response in three_reads(without_token(api))} == {401}


def exceed_the_throttle(stack: Stack, api: UrlApi) -> None:
    """More requests than the stage's throttle permits."""
    with closed_gateway(stack, api):
        assert {response.status for response in three_reads(api)} == {429}


def alter_an_event(stack: Stack, api: UrlApi) -> None:
    """Somebody changes a stored event, and a caller reads it."""
    event = an_event()
    assert post(api, event).status == 201
    alter_event(stack, event["id"])
    assert get(api, event["id"]).json["type"] == "urn:event-api:problem:stored-event-altered"


class Fault(NamedTuple):
    """A cause in the deployed stage, the alarms that it raises, and the one that sends a message."""

    cause: Cause
    alarms: set[str]
    sender: str


FAULTS = {
    "events table": Fault(lose_events, {"api-5xx", "store-unavailable", "failing"}, "store"),
    "tokens table": Fault(lose_tokens, {"api-5xx", "authorizer-failures"}, "failing"),
    "crash": Fault(crash, {"api-5xx", "api-handler-errors"}, "failing"),
    "busy function": Fault(throttle(FUNCTION), {"api-5xx", "api-handler-throttled"}, "failing"),
    "busy authorizer": Fault(
        throttle(AUTHORIZER), {"api-5xx", "authorizer-failures", "authorizer-throttled"}, "failing"
    ),
    "no token": Fault(send_no_token, {"unauthorized"}, "refused"),
    "flood": Fault(exceed_the_throttle, {"too-many-requests"}, "refused"),
    "altered event": Fault(alter_an_event, {"altered"}, "altered"),
}


class Metric(NamedTuple):
    """A metric that the emulated AWS never publishes with such values, and the alarm that sends a message."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    sender: str


OPERATIONS = {
    "events-put": (EVENTS, "PutItem"),
    "events-get": (EVENTS, "GetItem"),
    "events-batch-get": (EVENTS, "BatchGetItem"),
    "events-query": (EVENTS, "Query"),
    "tokens-get": (TOKENS, "GetItem"),
}
COUNTED = {
    f"{name}-{what}": Metric("AWS/DynamoDB", metric, {"TableName": table, "Operation": operation}, "store")
    for name, (table, operation) in OPERATIONS.items()
    for what, metric in (("throttled", "ThrottledRequests"), ("failed", "SystemErrors"))
}
SLOW = {
    f"{name}-slow": Metric("AWS/Lambda", "Duration", {"FunctionName": function}, "failing")
    for name, function in (("api-handler", FUNCTION), ("authorizer", AUTHORIZER))
}


def test_every_alarm_has_a_cause(alarms: Alarms) -> None:
    """No alarm of the stage is missing in this file. whole_life/ has the one that needs a firewall."""
    raised = set().union(*(fault.alarms for fault in FAULTS.values())) | COUNTED.keys() | SLOW.keys()
    assert alarms.states().keys() - alarms.groups() == raised - alarms.groups()
    senders = {fault.sender for fault in [*FAULTS.values(), *COUNTED.values(), *SLOW.values()]}
    assert alarms.groups() <= senders


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_raises_its_alarms(stack: Stack, url_api: UrlApi, alarms: Alarms, fault: Fault) -> None:
    """A fault raises its alarms, and no others. One cause sends one message."""
    get(url_api, "unknown")  # the gateway caches the token
    alarms.forget()
    fault.cause(stack, url_api)
    alarms.assert_one_message(fault.alarms, fault.sender)
    assert post(url_api, an_event()).status == 201


@pytest.mark.parametrize("name", COUNTED)
def test_count_raises_its_alarm(alarms: Alarms, name: str) -> None:
    """The alarm fires at the setting's count in one minute. It does not fire at one fewer."""
    namespace, metric, dimensions, sender = COUNTED[name]
    alarms.forget()
    alarms.put(namespace, metric, dimensions, *[1] * (AT - 1))
    alarms.pass_minutes(1)
    alarms.put(namespace, metric, dimensions, *[1] * AT)
    alarms.assert_one_message({name}, sender)


@pytest.mark.parametrize("name", SLOW)
def test_slow_function_raises_its_alarm(alarms: Alarms, name: str) -> None:
    """The alarm is raised when in three minutes more than one call in a hundred is slow; not in two minutes."""
    namespace, metric, dimensions, sender = SLOW[name]
    alarms.forget()
    for _ in range(3):
        alarms.put(namespace, metric, dimensions, *[5] * 100, 60_000)
        alarms.pass_minutes(1)
    assert alarms.not_ok() == set()
    for _ in range(2):
        alarms.put(namespace, metric, dimensions, *[5] * 97, *[60_000] * 3)
        alarms.pass_minutes(1)
    alarms.put(namespace, metric, dimensions, *[5] * 97, *[60_000] * 3)
    alarms.assert_one_message({name}, sender)
    assert STAGE in dimensions["FunctionName"]

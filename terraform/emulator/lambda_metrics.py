"""Publishes the metrics of the emulated Lambda (AWS/Lambda) with AWS's dimensions; ministack has only FunctionName.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
A duration is whole milliseconds, and includes the start of a process, which AWS does not count.
"""

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .metrics import COUNT, MILLISECONDS, Dimensions, record
from .responses import service

NAMESPACE = "AWS/Lambda"


@dataclass
class Invocation:
    """An invocation that API Gateway makes."""

    function: str  # the ARN of a function, version or alias
    request_id: str = "-"  # Lambda sets it when the invocation runs


INVOCATION: ContextVar[Invocation | None] = ContextVar("invocation", default=None)  # the newest of a request


def publish_invocations() -> None:
    """Record the metrics of each invocation, and tell API Gateway the invocation's request id."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    functions = service("lambda_svc")
    execute, dispatch = functions._execute_function, functions._execute_function_dispatch

    def execute_function(func: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        config = func.get("config") or func
        if functions._function_config_scope_mismatch(config):
            return execute(func, event)  # which calls this function again, in the function's account and region
        running = functions.executions_in_flight()[1].get(functions._inflight_key(config), 0) + 1
        started = time.monotonic()
        result = execute(func, event)
        milliseconds = round((time.monotonic() - started) * 1000)
        if result.get("throttle"):
            values = {"Throttles": (1, COUNT)}
        else:
            values = {
                "Invocations": (1, COUNT),
                "Errors": (int(bool(result.get("error"))), COUNT),
                "Throttles": (0, COUNT),
                "Duration": (milliseconds, MILLISECONDS),
                "ConcurrentExecutions": (running, COUNT),
            }
        record(NAMESPACE, values, dimension_sets(config))
        return result

    def execute_function_dispatch(
        func: dict[str, Any], config: dict[str, Any], event: dict[str, Any], request_id: str, started: float
    ) -> dict[str, Any]:
        invocation = INVOCATION.get()
        if invocation is not None:
            invocation.request_id = request_id
        return dispatch(func, config, event, request_id, started)

    functions._execute_function = execute_function
    functions._execute_function_dispatch = execute_function_dispatch
    functions._emit_lambda_metrics = lambda *arguments, **options: None  # it would count twice


def dimension_sets(config: dict[str, Any]) -> list[Dimensions]:
    """Return the sets of dimensions of an invocation: of the function, its alias, and the version that the alias chose.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """
    name = config["FunctionName"]
    invocation = INVOCATION.get()
    arn = invocation.function if invocation else config["FunctionArn"]
    qualifier = ":".join(arn.split(":")[7:])
    function = {"FunctionName": name}
    resource = {**function, "Resource": f"{name}:{qualifier}" if qualifier else name}
    if not qualifier or re.fullmatch(r"\$LATEST|\d+", qualifier):
        return [function, resource]
    return [function, resource, {**resource, "ExecutedVersion": config["Version"]}]

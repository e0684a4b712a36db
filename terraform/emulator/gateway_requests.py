"""Observes the requests of the emulated API Gateway: it publishes their metrics, and writes the stage's access log.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
ministack does neither. Here the request id of the gateway, of its errors and of the function's event is one, as in AWS.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .access_log import write_line
from .lambda_metrics import INVOCATION, Invocation
from .metrics import COUNT, MILLISECONDS, record
from .responses import Response, service

NAMESPACE = "AWS/ApiGateway"


@dataclass
class GatewayRequest:
    """What API Gateway knows about a request at its end."""

    details: dict[str, Any]  # ministack's: request id, stage, resource's path
    method: str
    headers: dict[str, Any]
    started: float = field(default_factory=time.monotonic)
    error: str | None = None  # the type of the gateway response, if the gateway itself made the response
    authorizer: dict[str, str] = field(default_factory=dict)
    invocation: Invocation | None = None  # of the function, not of the authorizer
    integration_status: int | None = None
    integration_milliseconds: int | None = None


_current: ContextVar[GatewayRequest] = ContextVar("gateway_request")


def observe_requests() -> None:
    """Observe each request to a stage, also those that the gateway refuses."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    gateway = service("apigateway_v1")
    handle, execute = gateway._handle_execute_in_scope, gateway._execute_in_scope
    authorize, evaluate = gateway._authorize_request_v1, gateway._evaluate_policy
    invoke, build_event = gateway._invoke_lambda_proxy_v1, gateway._build_lambda_event_v1

    async def handle_in_scope(api_id: str, stage_name: str, method: str, path: str, headers: Any, *rest: Any) -> Response:
        request = GatewayRequest({}, method, headers or {})
        _current.set(request)
        response = await handle(api_id, stage_name, method, path, headers, *rest)
        if request.details.get("stage"):
            milliseconds = round((time.monotonic() - request.started) * 1000)
            publish(request, gateway._rest_apis[api_id]["name"], response[0], milliseconds)
            write_line(request, response, milliseconds)
        return response

    async def execute_in_scope(details: dict[str, Any], *arguments: Any) -> Any:
        request = _current.get()
        request.details = details
        response = await execute(details, *arguments)
        if isinstance(response, gateway._GatewayError):
            request.error = response.response_type
        return response

    async def authorize_request(*arguments: Any) -> tuple[Any, dict[str, str] | None]:
        error, context = await authorize(*arguments)
        _current.get().authorizer.update(context or {})
        return error, context

    def evaluate_policy(policy: dict[str, Any], method_arn: str) -> Any:
        # ministack drops the authorizer's context of a request that the policy denies.
        contexts = [context for _, cached, context in gateway._authorizer_cache.values() if cached is policy]
        _current.get().authorizer.update(contexts[0] if contexts else {})
        return evaluate(policy, method_arn)

    async def invoke_lambda_proxy(*arguments: Any, **options: Any) -> Any:
        request, started = _current.get(), time.monotonic()
        INVOCATION.set(None)
        response = await invoke(*arguments, **options)
        request.integration_milliseconds = round((time.monotonic() - started) * 1000)
        request.invocation = INVOCATION.get()
        request.integration_status = response[0] if isinstance(response, tuple) else None
        return response

    def build_lambda_event(*arguments: Any, **options: Any) -> dict[str, Any]:
        event = build_event(*arguments, **options)
        request_id = _current.get().details["request_id"]
        event["requestContext"].update(requestId=request_id, extendedRequestId=request_id)
        return event

    gateway._handle_execute_in_scope, gateway._execute_in_scope = handle_in_scope, execute_in_scope
    gateway._authorize_request_v1, gateway._evaluate_policy = authorize_request, evaluate_policy
    gateway._invoke_lambda_proxy_v1, gateway._build_lambda_event_v1 = invoke_lambda_proxy, build_lambda_event


def publish(request: GatewayRequest, api_name: str, status: int, milliseconds: int) -> None:
    """Record a request's metrics: for the API, its stage and, with detailed metrics, for the method."""
    values = {
        "Count": (1, COUNT),
        "4XXError": (int(400 <= status < 500), COUNT),
        "5XXError": (int(status >= 500), COUNT),
        "Latency": (milliseconds, MILLISECONDS),
    }
    if request.integration_milliseconds is not None:
        values["IntegrationLatency"] = (request.integration_milliseconds, MILLISECONDS)
    api, stage = {"ApiName": api_name}, {"ApiName": api_name, "Stage": request.details["stage_name"]}
    sets = [api, stage]
    resource = request.details["resource_path"]
    if resource and has_detailed_metrics(request.details["stage"], resource, request.method):
        sets.append({**stage, "Method": request.method, "Resource": resource})
    record(NAMESPACE, values, sets)


def has_detailed_metrics(stage: dict[str, Any], resource: str, method: str) -> bool:
    """Tell whether a stage's settings ask for the metrics of a method."""
    settings = stage.get("methodSettings") or {}
    path = f"{resource.lstrip('/')}/{method}"
    entries = (settings.get(key) for key in (f"/{path}", path, "*/*"))
    return any((entry or {}).get("metricsEnabled") for entry in entries)

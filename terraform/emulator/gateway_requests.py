"""Observes the requests of the emulated API Gateway: it publishes their metrics, and writes the stage's access log.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
ministack does neither. As in AWS, the gateway's log, its errors and the function's event have the same request id.
"""

import time
from contextvars import ContextVar
from typing import Any

from .access_log import write_line
from .lambda_metrics import INVOCATION
from .metrics import COUNT, MILLISECONDS, record
from .responses import Response, service

NAMESPACE = "AWS/ApiGateway"
LATENCY = "integration.latency"

Variables = dict[str, Any]  # of $context, by name; the access log and the metrics are made from them

_details: ContextVar[dict[str, Any]] = ContextVar("details")  # ministack's, of the current request
_variables: ContextVar[Variables] = ContextVar("variables")  # of the current request


def observe_requests() -> None:
    """Observe each request to a stage, also those that the gateway refuses."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    gateway = service("apigateway_v1")
    handle, execute = gateway._handle_execute_in_scope, gateway._execute_in_scope
    authorize, evaluate = gateway._authorize_request_v1, gateway._evaluate_policy
    invoke, build_event = gateway._invoke_lambda_proxy_v1, gateway._build_lambda_event_v1

    async def handle_in_scope(api_id: str, stage_name: str, method: str, *arguments: Any) -> Response:
        started, variables = time.monotonic(), {"httpMethod": method, "stage": stage_name}
        _variables.set(variables)
        response: Response = await handle(api_id, stage_name, method, *arguments)
        stage = _details.get()["stage"]
        if stage:
            variables.update(status=response[0], responseLength=len(response[2]), responseLatency=since(started))
            variables.update(request_variables(_details.get()))
            publish(gateway._rest_apis[api_id]["name"], stage, variables)
            write_line(stage, variables)
        return response

    async def execute_in_scope(details: dict[str, Any], *arguments: Any) -> Any:
        _details.set(details)
        response = await execute(details, *arguments)
        if isinstance(response, gateway._GatewayError):
            _variables.get()["error.responseType"] = response.response_type
        return response

    async def authorize_request(*arguments: Any) -> tuple[Any, dict[str, str] | None]:
        INVOCATION.set(None)
        error, context = await authorize(*arguments)
        add_authorizer(context)
        add_invocation("authorizer")
        return error, context

    def evaluate_policy(policy: dict[str, Any], method_arn: str) -> Any:
        # ministack drops the authorizer's context of a request that the policy denies.
        for _, cached, context in gateway._authorizer_cache.values():
            if cached is policy:
                add_authorizer(context)
        return evaluate(policy, method_arn)

    async def invoke_lambda_proxy(*arguments: Any, **options: Any) -> Any:
        started, variables = time.monotonic(), _variables.get()
        INVOCATION.set(None)
        response = await invoke(*arguments, **options)
        variables[LATENCY] = since(started)
        add_invocation("integration")
        variables["integration.status"] = response[0] if isinstance(response, tuple) else None
        return response

    def build_lambda_event(*arguments: Any, **options: Any) -> dict[str, Any]:
        event: dict[str, Any] = build_event(*arguments, **options)
        request_id = _details.get()["request_id"]
        event["requestContext"].update(requestId=request_id, extendedRequestId=request_id)
        return event

    gateway._handle_execute_in_scope, gateway._execute_in_scope = handle_in_scope, execute_in_scope
    gateway._authorize_request_v1, gateway._evaluate_policy = authorize_request, evaluate_policy
    gateway._invoke_lambda_proxy_v1, gateway._build_lambda_event_v1 = invoke_lambda_proxy, build_lambda_event


def since(started: float) -> int:
    """Return the milliseconds since a time of the monotonic clock."""
    return round((time.monotonic() - started) * 1000)


def add_authorizer(context: dict[str, str] | None) -> None:
    """Add what the authorizer returned to the variables of the current request."""
    _variables.get().update({f"authorizer.{name}": value for name, value in (context or {}).items()})


def add_invocation(part: str) -> None:
    """Add the id of a function's invocation to the variables of the current request, if there was one."""
    invocation = INVOCATION.get()
    _variables.get()[f"{part}.requestId"] = invocation and invocation.request_id


def request_variables(details: dict[str, Any]) -> Variables:
    """Return the variables of a request that ministack knows."""
    headers, request_id, epoch = details["headers"], details["request_id"], time.time()
    return {
        "requestId": request_id,
        "extendedRequestId": request_id,
        "xrayTraceId": f"1-{int(epoch):08x}-{request_id.replace('-', '')[:24]}",
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(epoch)),
        "requestTimeEpoch": int(epoch * 1000),
        "identity.sourceIp": str(headers.get("x-forwarded-for", "127.0.0.1")).split(",", maxsplit=1)[0].strip(),
        "identity.userAgent": headers.get("user-agent"),
        "resourcePath": details["resource_path"],
    }


def publish(api_name: str, stage: dict[str, Any], variables: Variables) -> None:
    """Record a request's metrics: for the API, its stage and, with detailed metrics, for the method."""
    status, resource, method = variables["status"], variables["resourcePath"], variables["httpMethod"]
    values = {
        "Count": (1, COUNT),
        "4XXError": (int(400 <= status < 500), COUNT),
        "5XXError": (int(status >= 500), COUNT),
        "Latency": (variables["responseLatency"], MILLISECONDS),
    }
    if LATENCY in variables:
        values["IntegrationLatency"] = (variables[LATENCY], MILLISECONDS)
    of_stage = {"ApiName": api_name, "Stage": variables["stage"]}
    sets = [{"ApiName": api_name}, of_stage]
    if resource and has_detailed_metrics(stage, resource, method):
        sets.append({**of_stage, "Method": method, "Resource": resource})
    record(NAMESPACE, values, sets)


def has_detailed_metrics(stage: dict[str, Any], resource: str, method: str) -> bool:
    """Tell whether a stage's settings ask for the metrics of a method."""
    settings, path = stage.get("methodSettings") or {}, f"{resource.lstrip('/')}/{method}"
    entries = (settings.get(key) for key in (f"/{path}", path, "*/*"))
    return any((entry or {}).get("metricsEnabled") for entry in entries)

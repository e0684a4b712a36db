"""Writes the access log of an emulated stage: a line for each request, in the stage's format.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
Values are not escaped, as in AWS. A variable without a value is "-".
"""

import re
import time
from typing import TYPE_CHECKING, Any

from .log_events import append
from .responses import Response

if TYPE_CHECKING:
    from .gateway_requests import GatewayRequest

VARIABLE = re.compile(r"\$context\.((?:\w+\.)*\w+)")


def write_line(request: "GatewayRequest", response: Response, milliseconds: int) -> None:
    """Write the line of a request, if its stage has an access log."""
    settings = request.details["stage"].get("accessLogSettings") or {}
    if "destinationArn" not in settings or "format" not in settings:
        return
    values = variables(request, response, milliseconds)
    group = settings["destinationArn"].split(":log-group:")[1].removesuffix(":*")
    append(group, request.details["stage"]["stageName"], VARIABLE.sub(lambda name: text(values.get(name[1])), settings["format"]))


def text(value: Any) -> str:
    """Return a variable's value as the log shows it."""
    return "-" if value in (None, "") else str(value)


def variables(request: "GatewayRequest", response: Response, milliseconds: int) -> dict[str, Any]:
    """Return the values of the variables. The emulated gateway has no TLS, so that `tlsVersion` is missing."""
    status, _, body = response
    details, identity = request.details, request.headers.get("x-forwarded-for", "127.0.0.1")
    epoch, request_id = time.time(), details["request_id"]
    return {
        "requestId": request_id,
        "extendedRequestId": request_id,
        "xrayTraceId": f"1-{int(epoch):08x}-{request_id.replace('-', '')[:24]}",
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(epoch)),
        "requestTimeEpoch": int(epoch * 1000),
        "identity.sourceIp": str(identity).split(",", maxsplit=1)[0].strip(),
        "identity.userAgent": request.headers.get("user-agent"),
        "httpMethod": request.method,
        "resourcePath": details["resource_path"],
        "stage": details["stage_name"],
        "status": status,
        "responseLength": len(body),
        "responseLatency": milliseconds,
        "error.responseType": request.error,
        **{f"authorizer.{name}": value for name, value in request.authorizer.items()},
        "integration.requestId": request.invocation and request.invocation.request_id,
        "integration.status": request.integration_status,
        "integration.latency": request.integration_milliseconds,
    }

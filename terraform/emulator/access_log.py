"""Writes the access log of an emulated stage: a line for each request, in the stage's format.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
Values are not escaped, as in AWS. A variable without a value is "-": `tlsVersion` too, because there is no TLS here.
"""

import re
from typing import Any

from .log_events import append

VARIABLE = re.compile(r"\$context\.((?:\w+\.)*\w+)")


def write_line(stage: dict[str, Any], variables: dict[str, Any]) -> None:
    """Write the line of a request, if its stage has an access log."""
    settings = stage.get("accessLogSettings") or {}
    if "destinationArn" not in settings or "format" not in settings:
        return
    group = settings["destinationArn"].split(":log-group:")[1].removesuffix(":*")
    line = VARIABLE.sub(lambda variable: text(variables.get(variable[1])), settings["format"])
    append(group, stage["stageName"], line)


def text(value: Any) -> str:
    """Return a variable's value as the log shows it."""
    return "-" if value in (None, "") else str(value)

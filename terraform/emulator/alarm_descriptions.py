"""Corrects DescribeAlarms of the emulated CloudWatch for callers that read XML, such as Terraform's provider.

ministack leaves most members out of the XML, but not out of the JSON.
"""

import json
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from .monitoring import members_of
from .responses import Response, service


def describe_alarms_completely() -> None:
    """Respond with all members of an alarm."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    cloudwatch = service("cloudwatch")
    describe = cloudwatch._describe_alarms

    def describe_alarms(
        params: dict[str, Any], members: dict[str, Any], is_cbor: bool, is_json: bool = False
    ) -> Response:
        if is_cbor or is_json:
            response: Response = describe(params, members, is_cbor, is_json)
            return response
        status, headers, body = describe(params, members_of(b"", params), False, True)
        if status != 200:
            return status, headers, body
        result = f"<DescribeAlarmsResult>{xml_of(json.loads(body))}</DescribeAlarmsResult>"
        in_xml: Response = cloudwatch._xml(200, "DescribeAlarmsResponse", result)
        return in_xml

    cloudwatch._describe_alarms = describe_alarms


def xml_of(value: Any) -> str:
    """Return a JSON value as XML in the form of AWS's query protocol."""
    if isinstance(value, dict):
        return "".join(
            f"<{name}>{time_of(item) if name.endswith('Timestamp') else xml_of(item)}</{name}>"
            for name, item in value.items()
            if item is not None
        )
    if isinstance(value, list):
        return "".join(f"<member>{xml_of(item)}</member>" for item in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


def time_of(seconds: float) -> str:
    """Return a time, in seconds since 1970, as XML has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Corrects the emulated DescribeAlarms: in XML, which Terraform asks for, ministack leaves out most members."""

import json
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from .monitoring import members_of
from .responses import Response, service


def describe_alarms_in_full() -> None:
    """Describe alarms in XML with all the members that ministack has in JSON."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    cloudwatch = service("cloudwatch")
    describe = cloudwatch._describe_alarms

    def describe_alarms(
        params: dict[str, Any], members: dict[str, Any], is_cbor: bool, is_json: bool = False
    ) -> Response:
        response: Response = describe(params, members, is_cbor, is_json)
        if is_cbor or is_json or response[0] != 200:
            return response
        _, _, body = describe(params, members_of(b"", params), False, True)
        result = f"<DescribeAlarmsResult>{xml_of(json.loads(body))}</DescribeAlarmsResult>"
        return cloudwatch._xml(200, "DescribeAlarmsResponse", result)  # type: ignore[no-any-return]

    cloudwatch._describe_alarms = describe_alarms


def xml_of(value: Any, name: str = "") -> str:
    """Return a value of a JSON response as AWS's query protocol writes it."""
    if isinstance(value, dict):
        members = ((member, content) for member, content in value.items() if content is not None)
        return "".join(f"<{member}>{xml_of(content, member)}</{member}>" for member, content in members)
    if isinstance(value, list):
        return "".join(f"<member>{xml_of(item)}</member>" for item in value)
    if isinstance(value, bool):
        return json.dumps(value)
    if name.endswith("Timestamp"):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return escape(str(value))

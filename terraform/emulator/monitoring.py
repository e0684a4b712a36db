"""Tells the emulated IAM which resource a call of CloudWatch or SNS needs a permission for, and its condition keys.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
"""

import json
from typing import Any

ALARM_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")


def call_resource(name: str, body: bytes, parameters: dict[str, Any], region_and_account: str) -> str | None:
    """Return the ARN that a call needs a permission for, if ministack does not find it."""
    members = members_of(body, parameters)
    if name == "sns":
        return members.get("ResourceArn")
    if "AlarmRule" in members:
        return "*"  # AWS: "You can't create a composite alarm if your permission has a narrower scope."
    dashboards = [members["DashboardName"]] if "DashboardName" in members else members.get("DashboardNames", [])
    if dashboards:
        account = region_and_account.partition(":")[2]
        return f"arn:aws:cloudwatch::{account}:dashboard/{dashboards[0]}"
    if "AlarmNames" in members:
        return f"arn:aws:cloudwatch:{region_and_account}:alarm:{members['AlarmNames'][0]}"
    return members.get("ResourceARN")


def alarm_context(body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the condition key of a call that sets an alarm: everything that the alarm may do."""
    members = members_of(body, parameters)
    actions = [action for kind in ALARM_ACTIONS for action in members.get(kind, [])]
    return {"cloudwatch:AlarmActions": actions} if actions else {}


def members_of(body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a call, which are in a JSON body or in the fields of a form."""
    if body.startswith(b"{"):
        return dict(json.loads(body))
    members: dict[str, Any] = {}
    for name, value in parameters.items():
        name, in_list, _ = name.partition(".member.")
        text = value[0] if isinstance(value, list) else value
        if in_list:
            members.setdefault(name, []).append(text)
        else:
            members[name] = text
    return members

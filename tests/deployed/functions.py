"""The functions of the deployed stage: their names, roles, tables and logs, read from the emulated AWS."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emulator.stack import STAGE, Stack

FUNCTION, AUTHORIZER = f"event-api-{STAGE}", f"event-api-{STAGE}-authorizer"
EVENTS, TOKENS = f"event-api-{STAGE}-events", f"event-api-{STAGE}-tokens"
EVENT_KEY, TOKEN_KEY = {"pk": {"S": "local/probe"}}, {"key_id": {"S": "0123456789abcdef"}}


def role_of(stack: Stack, function: str) -> str:
    """Return the ARN of a function's role."""
    return stack.aws.client("lambda").get_function_configuration(FunctionName=function)["Role"]


def set_protected(stack: Stack, stage: str, protected: bool) -> None:
    """Set a stage's setting `protected`. A person's next apply of both roots makes it effective."""
    tfvars = stack.root / "stages" / f"{stage}.tfvars"
    setting = f"protected = {json.dumps(protected)}"
    text, changes = re.subn(r"^[ \t]*protected[ \t]*=.*", setting, tfvars.read_text(), flags=re.M)
    assert changes == 1, f"{tfvars} has no setting `protected`"
    tfvars.write_text(text)


ANY_ACTION = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


@contextmanager
def administrator_policy(stack: Stack, role: str) -> Iterator[None]:
    """Attach a policy that allows every action to a role."""
    iam = stack.aws.client("iam")
    iam.put_role_policy(RoleName=role, PolicyName="any-action", PolicyDocument=ANY_ACTION)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="any-action")


def role_policy(stack: Stack, function: str = FUNCTION) -> dict[str, Any]:
    """Return the only policy of a function's role, as parameters of put_role_policy."""
    iam = stack.aws.client("iam")
    role = role_of(stack, function).rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return {"RoleName": role, "PolicyName": name, "PolicyDocument": document}


def log_streams(stack: Stack, function: str) -> set[str]:
    """Return the streams of a function's log."""
    pages = stack.aws.client("logs").get_paginator("describe_log_streams")
    pages = pages.paginate(logGroupName=f"/aws/lambda/{function}")
    return {stream["logStreamName"] for page in pages for stream in page["logStreams"]}


def operations(key: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return operations on a table and on its item with a key, with their parameters."""
    (name,) = key
    condition = {"KeyConditionExpression": f"{name} = :k", "ExpressionAttributeValues": {":k": key[name]}}
    return [
        ("get_item", {"Key": key}),
        ("put_item", {"Item": key}),
        ("update_item", {"Key": key}),
        ("delete_item", {"Key": key}),
        ("scan", {}),
        ("query", condition),
        ("describe_table", {}),
        ("delete_table", {}),
        ("update_table", {"DeletionProtectionEnabled": False}),
    ]

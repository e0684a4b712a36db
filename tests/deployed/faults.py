"""Breaks a part of the deployed stage, and repairs it at the end of a `with` block; other things that go wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deployed.functions import EVENTS, FUNCTION, role_policy
from targets import UrlApi

from emulator.stack import Stack

NO_DYNAMODB = {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}


@contextmanager
def unreachable_table(stack: Stack, function: str) -> Iterator[None]:
    """Remove a function's permissions on DynamoDB."""
    iam, policy = stack.aws.client("iam"), role_policy(stack, function)
    statements = [*policy["PolicyDocument"]["Statement"], NO_DYNAMODB]
    iam.put_role_policy(
        **{**policy, "PolicyDocument": json.dumps({**policy["PolicyDocument"], "Statement": statements})}
    )
    try:
        yield
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(policy["PolicyDocument"])})


@contextmanager
def newest_code(stack: Stack, function: str) -> Iterator[Any]:
    """Let API Gateway call a function's newest code; yield a client that can break it."""
    functions, alias = stack.aws.client("lambda"), {"FunctionName": function, "Name": "live"}
    version = functions.get_alias(**alias)["FunctionVersion"]
    functions.update_alias(**alias, FunctionVersion="$LATEST")
    try:
        yield functions
    finally:
        functions.update_alias(**alias, FunctionVersion=version)


@contextmanager
def crashing_function(stack: Stack) -> Iterator[None]:
    """Let each call of the API's function end with an exception: its handler takes one argument only."""
    with newest_code(stack, FUNCTION) as functions:
        handler = functions.get_function_configuration(FunctionName=FUNCTION)["Handler"]
        functions.update_function_configuration(FunctionName=FUNCTION, Handler="json.loads")
        try:
            yield
        finally:
            functions.update_function_configuration(FunctionName=FUNCTION, Handler=handler)


@contextmanager
def throttled_function(stack: Stack, function: str) -> Iterator[None]:
    """Let Lambda refuse each call of a function. ministack throttles no published version."""
    with newest_code(stack, function) as functions:
        functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        try:
            yield
        finally:
            functions.delete_function_concurrency(FunctionName=function)


@contextmanager
def closed_gateway(stack: Stack, api: UrlApi) -> Iterator[None]:
    """Let the stage's throttle permit no request."""
    gateway, (*_, api_id, stage) = stack.aws.client("apigateway"), api.path.split("/")
    settings = gateway.get_stage(restApiId=api_id, stageName=stage)["methodSettings"]["*/*"]
    limits = {"burstLimit": settings["throttlingBurstLimit"], "rateLimit": settings["throttlingRateLimit"]}

    def limit(values: dict[str, Any]) -> None:
        changes = [
            {"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(value)} for name, value in values.items()
        ]
        gateway.update_stage(restApiId=api_id, stageName=stage, patchOperations=changes)

    limit(dict.fromkeys(limits, 0))
    try:
        yield
    finally:
        limit(limits)


def without_token(api: UrlApi) -> UrlApi:
    """Return a client of the same API that sends no token."""
    return UrlApi(f"http://{api.host}{api.path}")


def alter_event(stack: Stack, event_id: str) -> None:
    """Change the payload of a stored event in the table, as an administrator who removes the table's policy."""
    table = stack.aws.client("dynamodb")
    arn = table.describe_table(TableName=EVENTS)["Table"]["TableArn"]
    rule = table.get_resource_policy(ResourceArn=arn)["Policy"]
    table.delete_resource_policy(ResourceArn=arn)
    try:
        table.update_item(
            TableName=EVENTS, Key={"pk": {"S": f"local/{event_id}"}},
            UpdateExpression="SET payload = :p", ExpressionAttributeValues={":p": {"S": "{}"}},
        )  # fmt: skip
    finally:
        table.put_resource_policy(ResourceArn=arn, Policy=rule)

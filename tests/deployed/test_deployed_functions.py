"""The deployed functions have the permissions that they need, and no others."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from callers import bearer, token_of
from chalicelib.index import BY_SUBJECT, BY_TIME, BY_TYPE, INDEXES
from chalicelib.token import READ
from deployed.faults import unreachable_table
from deployed.functions import (
    AUTHORIZER,
    EVENT_KEY,
    EVENTS,
    FUNCTION,
    TOKEN_KEY,
    TOKENS,
    log_streams,
    operations,
    role_policy,
)
from roots import listed
from targets import UrlApi, an_event, get, post
from token_admin import TokenAdmin

from emulator.stack import Stack


# A list that reads the index.
LISTS = {BY_TIME: "", BY_TYPE: "?type=test_event", BY_SUBJECT: "?subject=orders/1001"}


def index_query(index: str) -> dict[str, Any]:
    """Return the parameters of a query of an index."""
    return {
        "TableName": EVENTS,
        "IndexName": index,
        "KeyConditionExpression": f"{index} = :k",
        "ExpressionAttributeValues": {":k": {"S": "local/0"}},
    }


@pytest.mark.parametrize(
    ("function", "operation", "parameters"),
    [
        (FUNCTION, "put_item", {"TableName": EVENTS, "Item": EVENT_KEY}),
        (FUNCTION, "get_item", {"TableName": EVENTS, "Key": EVENT_KEY}),
        (FUNCTION, "batch_get_item", {"RequestItems": {EVENTS: {"Keys": [EVENT_KEY]}}}),
        *((FUNCTION, "query", index_query(index)) for index in INDEXES),
        (AUTHORIZER, "get_item", {"TableName": TOKENS, "Key": TOKEN_KEY}),
    ],
    ids=str,
)
def test_role_permits_the_needed_operations(
    probe: Callable[..., str], function: str, operation: str, parameters: dict[str, Any]
) -> None:
    """Each function's role has the operations that it needs."""
    assert probe(function, "dynamodb", operation, **parameters) == "done"


ALLOWED = {(FUNCTION, EVENTS, "get_item"), (FUNCTION, EVENTS, "put_item"), (AUTHORIZER, TOKENS, "get_item")}


@pytest.mark.parametrize(
    ("function", "table_name", "operation", "parameters"),
    [
        (function, table_name, operation, parameters)
        for function in (FUNCTION, AUTHORIZER)
        for table_name, key in ((EVENTS, EVENT_KEY), (TOKENS, TOKEN_KEY))
        for operation, parameters in operations(key)
        if (function, table_name, operation) not in ALLOWED
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_role_permits_no_other_operation(
    probe: Callable[..., str], function: str, table_name: str, operation: str, parameters: dict[str, Any]
) -> None:
    """No role can write or list tokens, use the other function's table, or do more with its own."""
    assert probe(function, "dynamodb", operation, TableName=table_name, **parameters) == "AccessDeniedException"


@pytest.mark.parametrize("function", [FUNCTION, AUTHORIZER])
@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("dynamodb", "get_item", {"TableName": "event-api-prod-events", "Key": EVENT_KEY}),
        ("dynamodb", "put_item", {"TableName": "event-api-prod-events", "Item": EVENT_KEY}),
        ("dynamodb", "get_item", {"TableName": "event-api-prod-tokens", "Key": TOKEN_KEY}),
        ("dynamodb", "batch_get_item", {"RequestItems": {"event-api-prod-events": {"Keys": [EVENT_KEY]}}}),
        ("dynamodb", "batch_get_item", {"RequestItems": {TOKENS: {"Keys": [TOKEN_KEY]}}}),
        ("dynamodb", "transact_get_items", {"TransactItems": [{"Get": {"TableName": "other", "Key": TOKEN_KEY}}]}),
        ("dynamodb", "list_tables", {}),
        ("logs", "create_log_group", {"logGroupName": "/aws/lambda/other"}),
        ("logs", "create_log_stream", {"logGroupName": f"/aws/apigateway/{FUNCTION}", "logStreamName": "a"}),
        ("s3", "list_buckets", {}),
        ("iam", "list_roles", {}),
        ("lambda", "list_functions", {}),
        ("kms", "list_keys", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_role_permits_nothing_else(
    probe: Callable[..., str], function: str, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    """A function's role has permissions on its table and its log only."""
    assert probe(function, service, operation, **parameters) in ("AccessDeniedException", "AccessDenied")


@pytest.mark.parametrize("index", INDEXES)
def test_authorizer_cannot_list_events(probe: Callable[..., str], index: str) -> None:
    """The authorizer's role has no permission on the indexes or on many events at once."""
    assert probe(AUTHORIZER, "dynamodb", "query", **index_query(index)) == "AccessDeniedException"
    keys = {EVENTS: {"Keys": [EVENT_KEY]}}
    assert probe(AUTHORIZER, "dynamodb", "batch_get_item", RequestItems=keys) == "AccessDeniedException"


def stores(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether an event can be stored."""
    del stack
    return post(url_api, an_event()).status == 201


def reads(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether an event that is stored can be read."""
    del stack
    event = an_event()
    assert post(url_api, event).status == 201
    return get(url_api, event["id"]).status == 200


def lists(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether events can be listed by time, by type and by subject."""
    del stack
    event = {**an_event(), "subject": "orders/1001"}
    assert post(url_api, event).status == 201
    statuses = {url_api.request("GET", f"/events{query}").status for query in LISTS.values()}
    assert statuses <= {200, 503}
    return statuses == {200}


def authenticates(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the authorizer accepts a token that the gateway has no cached policy of."""
    field = bearer(token_of(stack.token_admin(), READ))
    return get(url_api, "unknown", Authorization=field).status == 404


def logs(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the function writes its log."""
    before = log_streams(stack, FUNCTION)
    get(url_api, "log")
    return bool(log_streams(stack, FUNCTION) - before)


def logs_authorizer(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the authorizer writes its log."""
    before = log_streams(stack, AUTHORIZER)
    authenticates(stack, url_api)
    return bool(log_streams(stack, AUTHORIZER) - before)


def traces(stack: Stack, url_api: UrlApi, function: str = FUNCTION) -> bool:
    """Tell whether a function is traced, and may write traces: nothing here takes them."""
    del url_api
    configuration = stack.aws.client("lambda").get_function_configuration(FunctionName=function)
    wanted = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}  # what Lambda asks of a traced function's role
    statements = role_policy(stack, function)["PolicyDocument"]["Statement"]
    granted = {action for statement in statements for action in actions(statement)}
    return configuration["TracingConfig"]["Mode"] == "Active" and wanted <= granted


def actions(statement: dict[str, Any]) -> list[str]:
    """Return a statement's actions."""
    return listed(statement["Action"])


traces_authorizer = partial(traces, function=AUTHORIZER)
NEEDS: dict[tuple[str, str], Callable[[Stack, UrlApi], bool]] = {
    (FUNCTION, "dynamodb:GetItem"): reads,
    (FUNCTION, "dynamodb:PutItem"): stores,
    (FUNCTION, "dynamodb:BatchGetItem"): lists,
    (FUNCTION, "dynamodb:Query"): lists,
    (FUNCTION, "logs:CreateLogStream"): logs,
    (FUNCTION, "logs:PutLogEvents"): logs,
    (FUNCTION, "xray:PutTelemetryRecords"): traces,
    (FUNCTION, "xray:PutTraceSegments"): traces,
    (AUTHORIZER, "dynamodb:GetItem"): authenticates,
    (AUTHORIZER, "logs:CreateLogStream"): logs_authorizer,
    (AUTHORIZER, "logs:PutLogEvents"): logs_authorizer,
    (AUTHORIZER, "xray:PutTelemetryRecords"): traces_authorizer,
    (AUTHORIZER, "xray:PutTraceSegments"): traces_authorizer,
}


@pytest.mark.parametrize("function", [FUNCTION, AUTHORIZER])
def test_function_has_only_needed_permissions(stack: Stack, function: str) -> None:
    """A function's role has just the permissions that something needs, on named resources where AWS has them."""
    statements = role_policy(stack, function)["PolicyDocument"]["Statement"]
    granted = sorted(action for statement in statements for action in actions(statement))
    # whole_life/ shows that a stage with its own key needs kms:Decrypt.
    assert granted == sorted(["kms:Decrypt", *(action for owner, action in NEEDS if owner == function)])
    unnamed = [statement for statement in statements if statement["Resource"] in ("*", ["*"])]
    on_anything = [action for statement in unnamed for action in actions(statement)]
    assert [action for action in on_anything if not action.startswith("xray:")] == []  # X-Ray knows no resources


@pytest.mark.parametrize(
    ("function", "operation", "parameters"),
    [
        (FUNCTION, "get_item", {"TableName": EVENTS, "Key": EVENT_KEY}),
        (FUNCTION, "put_item", {"TableName": EVENTS, "Item": EVENT_KEY}),
        *((FUNCTION, "query", index_query(index)) for index in INDEXES),
        (AUTHORIZER, "get_item", {"TableName": TOKENS, "Key": TOKEN_KEY}),
    ],
    ids=str,
)
def test_another_function_with_the_role_cannot_use_the_tables(
    probe: Callable[..., str], function: str, operation: str, parameters: dict[str, Any]
) -> None:
    """A role's permissions on its table hold only inside the stage's own function."""
    assert probe(f"other-{function}", "dynamodb", operation, **parameters) == "AccessDeniedException"


@pytest.mark.parametrize(("function", "action"), NEEDS)
def test_removed_permission_breaks_something(stack: Stack, url_api: UrlApi, function: str, action: str) -> None:
    """Every permission is needed: what uses it works with it, and fails without it."""
    iam, policy, need = stack.aws.client("iam"), role_policy(stack, function), NEEDS[function, action]
    original = json.dumps(policy["PolicyDocument"])
    assert need(stack, url_api)
    for statement in policy["PolicyDocument"]["Statement"]:
        statement["Action"] = [other for other in actions(statement) if other != action]
    less = {**policy["PolicyDocument"], "Statement": [s for s in policy["PolicyDocument"]["Statement"] if s["Action"]]}
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(less)})
        assert not need(stack, url_api)
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": original})
    assert need(stack, url_api)


@pytest.mark.parametrize("index", INDEXES)
def test_each_index_needs_its_permission(stack: Stack, url_api: UrlApi, index: str) -> None:
    """Without the permission on one index, only the list that reads it is 503."""
    iam, policy = stack.aws.client("iam"), role_policy(stack)
    less = json.loads(json.dumps(policy["PolicyDocument"]))
    (statement,) = [statement for statement in less["Statement"] if actions(statement) == ["dynamodb:Query"]]
    statement["Resource"] = [arn for arn in statement["Resource"] if not arn.endswith(f"/{index}")]
    assert {arn.rpartition("/")[2] for arn in statement["Resource"]} == set(INDEXES) - {index}
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(less)})
        statuses = {name: url_api.request("GET", f"/events{query}").status for name, query in LISTS.items()}
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(policy["PolicyDocument"])})
    assert statuses == {name: 503 if name == index else 200 for name in LISTS}
    assert lists(stack, url_api)


def test_unreachable_token_table_is_503(stack: Stack, url_api: UrlApi, admin: TokenAdmin) -> None:
    """When the authorizer cannot read the token table, callers get a 503 with Retry-After."""
    with unreachable_table(stack, AUTHORIZER):
        response = get(url_api, "a", Authorization=bearer(token_of(admin, READ)))
    assert (response.status, response.json["type"]) == (503, "urn:event-api:problem:authorizer-unavailable")
    assert response.headers["retry-after"]


def test_gateway_needs_permission_to_invoke_the_authorizer(stack: Stack, url_api: UrlApi, admin: TokenAdmin) -> None:
    """The live alias permits the gateway to invoke it; without that permission callers get a 503."""
    functions = stack.aws.client("lambda")
    policy = json.loads(functions.get_policy(FunctionName=AUTHORIZER, Qualifier="live")["Policy"])
    (removed,) = policy["Statement"]
    source = removed["Condition"]["ArnLike"]["AWS:SourceArn"]
    assert source.endswith("/authorizers/*")
    functions.remove_permission(FunctionName=AUTHORIZER, Qualifier="live", StatementId=removed["Sid"])
    try:
        response = get(url_api, "a", Authorization=bearer(token_of(admin, READ)))
    finally:
        functions.add_permission(
            FunctionName=AUTHORIZER, Qualifier="live", StatementId=removed["Sid"], Action=removed["Action"],
            Principal="apigateway.amazonaws.com", SourceArn=source,
        )  # fmt: skip
    assert (response.status, response.json["type"]) == (503, "urn:event-api:problem:authorizer-unavailable")
    assert response.headers["retry-after"] and "permission" not in response.body.decode().lower()
    assert authenticates(stack, url_api)


def test_gateway_needs_permission_to_invoke_the_function(stack: Stack, url_api: UrlApi) -> None:
    """The live alias permits the gateway to invoke it; without that permission callers get an error, not the reason."""
    functions = stack.aws.client("lambda")
    policy = json.loads(functions.get_policy(FunctionName=FUNCTION, Qualifier="live")["Policy"])
    statements = {s["Condition"]["ArnLike"]["AWS:SourceArn"].rpartition("*/")[2]: s for s in policy["Statement"]}
    removed = statements["events"]
    functions.remove_permission(FunctionName=FUNCTION, Qualifier="live", StatementId=removed["Sid"])
    try:
        response = post(url_api, an_event())
    finally:
        functions.add_permission(
            FunctionName=FUNCTION, Qualifier="live", StatementId=removed["Sid"], Action=removed["Action"],
            Principal="apigateway.amazonaws.com", SourceArn=removed["Condition"]["ArnLike"]["AWS:SourceArn"],
        )  # fmt: skip
    assert (response.status, response.json["type"]) == (503, "urn:event-api:problem:service-unavailable")
    assert response.headers["content-type"] == "application/problem+json" and response.headers["retry-after"]
    assert "permission" not in response.body.decode().lower()
    assert post(url_api, an_event()).status == 201

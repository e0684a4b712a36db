"""The deployment, applied to the emulated AWS by Terraform as the deploy role; the tests follow its life in order."""

import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from callers import CALLERS, SPELLINGS, Caller, bearer, check, check_spelling, token_of
from chalicelib.token import READ, WRITE
from emulator.deploy import PROJECT, REGION, STAGE, Stack
from leaks import CANARY, leaks
from roots import listed, write_settings
from targets import UrlApi, an_event, get, post
from tokens import TokenTable

if shutil.which("terraform") is None:
    pytest.skip("Terraform is not on PATH: nothing is deployed to the emulated AWS", allow_module_level=True)

FUNCTION, AUTHORIZER = f"event-api-{STAGE}", f"event-api-{STAGE}-authorizer"
CACHE_SECONDS = 3
SETTINGS = {  # of the deployed stage, whatever a stage of the project is set to
    "stage": STAGE,
    "region": REGION,
    "retention_days": 7,
    "log_retention_days": 14,
    "deletion_protection": False,
    "throttle": {"read": {"rate": 50, "burst": 100}, "write": {"rate": 50, "burst": 100}},
    "concurrency": {"api_handler": -1, "authorizer": -1},
    "request_caps": {"events": {"read": 500, "write": 500}, "tokens": {"read": 500, "write": 10}},
    "token_cache_seconds": CACHE_SECONDS,
    "firewall": None,
    "customer_key": False,
}
DEPLOY_ROLE = f"event-api-deploy-{STAGE}"
ANY_ACTION = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})

PROBE = """
import os
import boto3
from botocore.exceptions import ClientError

def call(event, context):
    client = boto3.client(event["service"])
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except ClientError as exc:
        return exc.response["Error"]["Code"]
    return "done"
"""


@pytest.fixture(name="stack", scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The deployed stage."""
    stack = Stack(tmp_path_factory.mktemp("aws"))
    try:
        stack.aws.start()
        stack.copy_project()
        write_settings(stack.root / "stages" / f"{STAGE}.tfvars", SETTINGS)
        stack.deploy()
        yield stack
    finally:
        stack.aws.stop()


@pytest.fixture(name="probe", scope="module")
def _probe(stack: Stack) -> Callable[..., str]:
    """What makes one call under a function's role, from a function with that role: "done", or AWS's error."""
    functions = stack.aws.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("probe.py", PROBE)
    for function in (FUNCTION, AUTHORIZER):
        functions.create_function(
            FunctionName=f"probe-{function}", Runtime=f"python3.{sys.version_info[1]}", Role=role_of(stack, function),
            Handler="probe.call", Timeout=30, Code={"ZipFile": code.getvalue()},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName=f"probe-{function}", WaiterConfig={"Delay": 1})

    def call(function: str, service: str, operation: str, **parameters: Any) -> str:
        event = {"service": service, "operation": operation, "parameters": parameters}
        answer = functions.invoke(FunctionName=f"probe-{function}", Payload=json.dumps(event))
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return result

    return call


def role_of(stack: Stack, function: str) -> str:
    """Return the ARN of a function's role."""
    return stack.aws.client("lambda").get_function_configuration(FunctionName=function)["Role"]


def table_of(stack: Stack, variable: str = "TABLE_NAME") -> str:
    """Return a table's name, as the functions know it."""
    configuration = stack.aws.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    return configuration["Environment"]["Variables"][variable]


def role_policy(stack: Stack, function: str = FUNCTION) -> dict[str, Any]:
    """Return the one policy of a function's role, as IAM's calls name it."""
    iam = stack.aws.client("iam")
    role = role_of(stack, function).rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return {"RoleName": role, "PolicyName": name, "PolicyDocument": document}


def test_contract_holds(stack: Stack, url_api: UrlApi) -> None:
    """What the contract says of the API holds through API Gateway, Lambda and DynamoDB."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_contract.py"]
    url = f"http://{url_api.host}{url_api.path}"
    environment = {**os.environ, "EVENT_API_TOKEN": stack.token()}
    run = subprocess.run(
        [*command, "--url", url], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_contract_asks_for_a_token(bare_api: UrlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token the contract suite says what to give it."""
    monkeypatch.delenv("EVENT_API_TOKEN", raising=False)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_contract.py"]
    url = f"http://{bare_api.host}{bare_api.path}"
    run = subprocess.run([*command, "--url", url], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert f"Set EVENT_API_TOKEN to a token that {url} takes, with both scopes." in run.stdout + run.stderr


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_caller_gets_its_due(bare_api: UrlApi, table: TokenTable, caller: Caller, method: str) -> None:
    """Whoever calls the deployed API gets what the table says."""
    check(bare_api, table, caller, method)


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_the_path_lends_a_scope(bare_api: UrlApi, table: TokenTable, path: str) -> None:
    """Who may only read stores nothing, however the path is written."""
    check_spelling(bare_api, table, path)


@pytest.mark.parametrize("first", ["GET", "POST"])
def test_kept_policy_lends_no_rights(bare_api: UrlApi, table: TokenTable, first: str) -> None:
    """Within the cache's time each request is held against its own token's policy, whatever was asked first."""
    reader, writer, both = (bearer(token_of(table, *scopes)) for scopes in ((READ,), (WRITE,), (WRITE, READ)))
    event_id = post(bare_api, an_event(), Authorization=both).json["id"]

    def status(field: str, method: str) -> int:
        if method == "POST":
            return post(bare_api, an_event(), Authorization=field).status
        return get(bare_api, event_id, Authorization=field).status

    for method in (first, "POST", "GET", "POST", "GET"):
        assert [status(field, method) for field in (reader, writer, both)] == {
            "POST": [403, 201, 201], "GET": [200, 403, 200],
        }[method]  # fmt: skip


def test_revoked_token_ends_with_the_cache(bare_api: UrlApi, table: TokenTable) -> None:
    """A token that is revoked works while the gateway has it in its cache, and not after, however slow requests are."""
    text = token_of(table, READ)

    def request() -> tuple[float, int, float]:
        sent = time.monotonic()
        status = get(bare_api, "unknown", Authorization=bearer(text)).status
        return sent, status, time.monotonic()

    # The gateway caches the token at some moment between `earliest` and `latest`.
    earliest, status, latest = request()
    assert status == 404
    table.revoke(text.split("_")[1])
    responses = [request()]
    while responses[-1][0] <= latest + CACHE_SECONDS:
        time.sleep(0.1)
        responses.append(request())
    assert {status for _, status, received in responses if received < earliest + CACHE_SECONDS} <= {404}
    assert {status for sent, status, _ in responses if sent > latest + CACHE_SECONDS} == {401}
    assert {status for _, status, _ in responses} <= {404, 401}


def test_what_no_token_can_be_wakes_no_function(stack: Stack, bare_api: UrlApi) -> None:
    """The gateway itself refuses what has not the form of a token."""
    before = log_streams(stack, AUTHORIZER)
    for field in ("Bearer x", "Bearer evt_1_2", "Basic abc", "x" * 8000):
        assert get(bare_api, "a", Authorization=field).status == 401
    assert log_streams(stack, AUTHORIZER) == before


def test_import_of_an_unknown_extension_is_refused(stack: Stack) -> None:
    """The emulated import leaves nothing out in silence: what it does not know stops the apply."""
    gateway = stack.aws.client("apigateway")
    api = gateway.create_rest_api(name="other")["id"]
    document = {"swagger": "2.0", "info": {"title": "other"}, "paths": {}, "x-amazon-apigateway-new": {}}
    try:
        with pytest.raises(ClientError, match=r"\['new'\] of a Swagger document"):
            gateway.put_rest_api(restApiId=api, mode="overwrite", body=json.dumps(document))
    finally:
        gateway.delete_rest_api(restApiId=api)


def test_second_apply_changes_nothing(stack: Stack) -> None:
    """What is applied is what was written: nothing drifts, not even by the emulator's doing."""
    assert stack.plan() == ""


ITEM, TOKEN = {"pk": {"S": "local/probe"}}, {"key_id": {"S": "0123456789abcdef"}}
EVENTS, TOKENS = f"event-api-{STAGE}-events", f"event-api-{STAGE}-tokens"


@pytest.mark.parametrize(
    ("function", "operation", "parameters"),
    [
        (FUNCTION, "put_item", {"TableName": EVENTS, "Item": ITEM}),
        (FUNCTION, "get_item", {"TableName": EVENTS, "Key": ITEM}),
        (AUTHORIZER, "get_item", {"TableName": TOKENS, "Key": TOKEN}),
    ],
    ids=str,
)
def test_function_has_its_operations(
    probe: Callable[..., str], function: str, operation: str, parameters: dict[str, Any]
) -> None:
    """Each function's role has the operations that it needs."""
    assert probe(function, "dynamodb", operation, **parameters) == "done"


def operations(key: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what can be done to a table, and to an item of it."""
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


ALLOWED = {(FUNCTION, EVENTS, "get_item"), (FUNCTION, EVENTS, "put_item"), (AUTHORIZER, TOKENS, "get_item")}


@pytest.mark.parametrize(
    ("function", "table_name", "operation", "parameters"),
    [
        (function, table_name, operation, parameters)
        for function in (FUNCTION, AUTHORIZER)
        for table_name, key in ((EVENTS, ITEM), (TOKENS, TOKEN))
        for operation, parameters in operations(key)
        if (function, table_name, operation) not in ALLOWED
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_function_has_no_other_operation(
    probe: Callable[..., str], function: str, table_name: str, operation: str, parameters: dict[str, Any]
) -> None:
    """Neither role writes or lists tokens, nor reaches the other's table, nor does more to its own."""
    assert probe(function, "dynamodb", operation, TableName=table_name, **parameters) == "AccessDeniedException"


@pytest.mark.parametrize("function", [FUNCTION, AUTHORIZER])
@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("dynamodb", "get_item", {"TableName": "event-api-prod-events", "Key": ITEM}),
        ("dynamodb", "put_item", {"TableName": "event-api-prod-events", "Item": ITEM}),
        ("dynamodb", "get_item", {"TableName": "event-api-prod-tokens", "Key": TOKEN}),
        ("dynamodb", "batch_get_item", {"RequestItems": {EVENTS: {"Keys": [ITEM]}}}),
        ("dynamodb", "batch_get_item", {"RequestItems": {TOKENS: {"Keys": [TOKEN]}}}),
        ("dynamodb", "transact_get_items", {"TransactItems": [{"Get": {"TableName": "other", "Key": TOKEN}}]}),
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
def test_function_has_nothing_else(
    probe: Callable[..., str], function: str, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    """A function's role has nothing beside its table and its log."""
    assert probe(function, service, operation, **parameters) in ("AccessDeniedException", "AccessDenied")


def log_streams(stack: Stack, function: str) -> set[str]:
    """Return the streams of a function's log."""
    pages = stack.aws.client("logs").get_paginator("describe_log_streams")
    pages = pages.paginate(logGroupName=f"/aws/lambda/{function}")
    return {stream["logStreamName"] for page in pages for stream in page["logStreams"]}


def stores(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether an event can be stored."""
    del stack
    return post(url_api, an_event()).status == 201


def reads(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether an event that is stored can be read."""
    item = {name: {"S": "read"} for name in ("id", "type", "created_at", "digest", "write_id")}
    item |= {"pk": {"S": "local/read"}, "tenant": {"S": "local"}, "payload": {"S": "{}"}}
    stack.aws.client("dynamodb").put_item(TableName=table_of(stack), Item=item)
    return get(url_api, "read").status == 200


def lets_in(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether a token that the gateway has not met is known."""
    field = bearer(token_of(stack.token_table(), READ))
    return get(url_api, "unknown", Authorization=field).status == 404


def logs(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the function writes its log."""
    before = log_streams(stack, FUNCTION)
    get(url_api, "log")
    return bool(log_streams(stack, FUNCTION) - before)


def logs_callers(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the authorizer writes its log."""
    before = log_streams(stack, AUTHORIZER)
    lets_in(stack, url_api)
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


traces_callers = partial(traces, function=AUTHORIZER)
NEEDS: dict[tuple[str, str], Callable[[Stack, UrlApi], bool]] = {
    (FUNCTION, "dynamodb:GetItem"): reads,
    (FUNCTION, "dynamodb:PutItem"): stores,
    (FUNCTION, "logs:CreateLogStream"): logs,
    (FUNCTION, "logs:PutLogEvents"): logs,
    (FUNCTION, "xray:PutTelemetryRecords"): traces,
    (FUNCTION, "xray:PutTraceSegments"): traces,
    (AUTHORIZER, "dynamodb:GetItem"): lets_in,
    (AUTHORIZER, "logs:CreateLogStream"): logs_callers,
    (AUTHORIZER, "logs:PutLogEvents"): logs_callers,
    (AUTHORIZER, "xray:PutTelemetryRecords"): traces_callers,
    (AUTHORIZER, "xray:PutTraceSegments"): traces_callers,
}


@pytest.mark.parametrize("function", [FUNCTION, AUTHORIZER])
def test_function_has_only_needed_permissions(stack: Stack, function: str) -> None:
    """A function's role has just the permissions that something needs, on named resources where AWS has them."""
    statements = role_policy(stack, function)["PolicyDocument"]["Statement"]
    granted = sorted(action for statement in statements for action in actions(statement))
    assert granted == sorted(action for owner, action in NEEDS if owner == function)
    unnamed = [statement for statement in statements if statement["Resource"] in ("*", ["*"])]
    on_anything = [action for statement in unnamed for action in actions(statement)]
    assert [action for action in on_anything if not action.startswith("xray:")] == []  # X-Ray knows no resources


@pytest.mark.parametrize(("function", "action"), NEEDS)
def test_permission_taken_away_breaks_something(stack: Stack, url_api: UrlApi, function: str, action: str) -> None:
    """No permission is idle: what needs it works with it, and does not without."""
    iam, policy, need = stack.aws.client("iam"), role_policy(stack, function), NEEDS[function, action]
    whole = json.dumps(policy["PolicyDocument"])
    assert need(stack, url_api)
    for statement in policy["PolicyDocument"]["Statement"]:
        statement["Action"] = [other for other in actions(statement) if other != action]
    less = {**policy["PolicyDocument"], "Statement": [s for s in policy["PolicyDocument"]["Statement"] if s["Action"]]}
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(less)})
        assert not need(stack, url_api)
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": whole})
    assert need(stack, url_api)


def test_token_table_out_of_reach_is_503(stack: Stack, url_api: UrlApi, table: TokenTable) -> None:
    """When the authorizer cannot tell who calls, nobody is let in, and the caller is told to come back."""
    iam, policy = stack.aws.client("iam"), role_policy(stack, AUTHORIZER)
    nothing = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}}
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(nothing)})
        answer = get(url_api, "a", Authorization=bearer(token_of(table, READ)))
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(policy["PolicyDocument"])})
    assert (answer.status, answer.json["type"]) == (503, "urn:event-api:problem:authorizer-unavailable")
    assert answer.headers["retry-after"]


def test_gateway_asks_only_with_permission(stack: Stack, url_api: UrlApi, table: TokenTable) -> None:
    """The gateway asks the authorizer's live alias because the alias lets it, and lets nobody in when it does not."""
    functions = stack.aws.client("lambda")
    policy = json.loads(functions.get_policy(FunctionName=AUTHORIZER, Qualifier="live")["Policy"])
    (taken,) = policy["Statement"]
    source = taken["Condition"]["ArnLike"]["AWS:SourceArn"]
    assert source.endswith("/authorizers/*")
    functions.remove_permission(FunctionName=AUTHORIZER, Qualifier="live", StatementId=taken["Sid"])
    try:
        answer = get(url_api, "a", Authorization=bearer(token_of(table, READ)))
    finally:
        functions.add_permission(
            FunctionName=AUTHORIZER, Qualifier="live", StatementId=taken["Sid"], Action=taken["Action"],
            Principal="apigateway.amazonaws.com", SourceArn=source,
        )  # fmt: skip
    assert (answer.status, answer.json["type"]) == (503, "urn:event-api:problem:authorizer-unavailable")
    assert answer.headers["retry-after"] and "permission" not in answer.body.decode().lower()
    assert lets_in(stack, url_api)


def test_gateway_calls_only_with_permission(stack: Stack, url_api: UrlApi) -> None:
    """The gateway calls the live alias because the alias lets it, and says nothing of why when it does not."""
    functions = stack.aws.client("lambda")
    policy = json.loads(functions.get_policy(FunctionName=FUNCTION, Qualifier="live")["Policy"])
    statements = {s["Condition"]["ArnLike"]["AWS:SourceArn"].rpartition("*/")[2]: s for s in policy["Statement"]}
    taken = statements["events"]
    functions.remove_permission(FunctionName=FUNCTION, Qualifier="live", StatementId=taken["Sid"])
    try:
        answer = post(url_api, an_event())
    finally:
        functions.add_permission(
            FunctionName=FUNCTION, Qualifier="live", StatementId=taken["Sid"], Action=taken["Action"],
            Principal="apigateway.amazonaws.com", SourceArn=taken["Condition"]["ArnLike"]["AWS:SourceArn"],
        )  # fmt: skip
    assert (answer.status, answer.json["type"]) == (503, "urn:event-api:problem:service-unavailable")
    assert answer.headers["content-type"] == "application/problem+json" and answer.headers["retry-after"]
    assert "permission" not in answer.body.decode().lower()
    assert post(url_api, an_event()).status == 201


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": f"repo:example/other:environment:{STAGE}"},
        {"sub": f"repo:other/event-api:environment:{STAGE}"},
        {"sub": "repo:example/event-api:environment:prod"},
        {"sub": "repo:example/event-api:ref:refs/heads/main"},
        {"sub": f"repo:example/event-api:environment:{STAGE}:x"},
        {"aud": "https://github.com/example"},
        {"iss": "https://tokens.example.com"},
    ],
    ids=lambda claims: "".join(claims.values()),
)
def test_other_identity_gets_no_role(stack: Stack, claims: dict[str, str]) -> None:
    """Only a job of this repository and this stage's environment takes the deploy role."""
    with pytest.raises(ClientError) as refused:
        stack.deploy_role(**claims)
    assert refused.value.response["Error"]["Code"] in ("AccessDenied", "InvalidIdentityToken")


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("attach_role_policy", {"RoleName": DEPLOY_ROLE, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("put_role_policy", {"RoleName": DEPLOY_ROLE, "PolicyName": "more", "PolicyDocument": ANY_ACTION}),
        ("delete_role_permissions_boundary", {"RoleName": DEPLOY_ROLE}),
        ("update_assume_role_policy", {"RoleName": DEPLOY_ROLE, "PolicyDocument": ANY_ACTION}),
        ("create_policy_version", {"PolicyArn": DEPLOY_ROLE, "PolicyDocument": ANY_ACTION, "SetAsDefault": True}),
        ("create_policy_version", {"PolicyArn": f"event-api-function-boundary-{STAGE}", "PolicyDocument": ANY_ACTION}),
        ("create_policy_version", {"PolicyArn": f"event-api-deploy-boundary-{STAGE}", "PolicyDocument": ANY_ACTION}),
        ("delete_role_permissions_boundary", {"RoleName": f"{FUNCTION}-authorizer"}),
        ("delete_role_permissions_boundary", {"RoleName": f"{FUNCTION}-api_handler"}),
        ("attach_role_policy", {
            "RoleName": f"{FUNCTION}-api_handler", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess",
        }),
        ("create_role", {"RoleName": "event-api-own", "AssumeRolePolicyDocument": ANY_ACTION}),
        ("create_user", {"UserName": "own"}),
        ("create_access_key", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_deploy_role_cannot_widen_itself(stack: Stack, operation: str, parameters: dict[str, Any]) -> None:
    """The deploy role reaches no policy of its own, no boundary, and makes no one that has none."""
    account = stack.oidc_outputs["plan_role_arn"].split(":")[4]
    if "PolicyArn" in parameters and not parameters["PolicyArn"].startswith("arn:"):
        parameters = {**parameters, "PolicyArn": f"arn:aws:iam::{account}:policy/{parameters['PolicyArn']}"}
    with pytest.raises(ClientError) as refused:
        getattr(stack.aws.client("iam", stack.deploy_role()), operation)(**parameters)
    assert refused.value.response["Error"]["Code"] == "AccessDenied", refused.value


@pytest.mark.parametrize("function", [FUNCTION, AUTHORIZER])
def test_function_role_stays_within_its_boundary(stack: Stack, probe: Callable[..., str], function: str) -> None:
    """Whatever policy the deploy role writes for a function, the function can do no more than its boundary says."""
    policy = role_policy(stack, function)
    iam = stack.aws.client("iam", stack.deploy_role())
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": ANY_ACTION})
        for operation in ("scan", "delete_table"):
            for table_name in (EVENTS, TOKENS):
                assert probe(function, "dynamodb", operation, TableName=table_name) == "AccessDeniedException"
        other = {"TableName": EVENTS if function == AUTHORIZER else TOKENS}
        other["Key"] = ITEM if function == AUTHORIZER else TOKEN
        assert probe(function, "dynamodb", "get_item", **other) == "AccessDeniedException"
        assert probe(function, "iam", "list_roles") == "AccessDenied"
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(policy["PolicyDocument"])})


@pytest.mark.parametrize("operation", ["scan", "query", "get_item", "put_item", "delete_item", "update_item"])
@pytest.mark.parametrize(("table_name", "key"), [(EVENTS, ITEM), (TOKENS, TOKEN)])
def test_deploy_role_reads_and_writes_nothing_that_is_kept(
    stack: Stack, table_name: str, key: dict[str, Any], operation: str
) -> None:
    """Who deploys can neither read events nor make a token."""
    parameters = dict(operations(key))[operation]
    with pytest.raises(ClientError) as refused:
        getattr(stack.aws.client("dynamodb", stack.deploy_role()), operation)(TableName=table_name, **parameters)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_deploy_role_gives_no_role_the_others_boundary(stack: Stack) -> None:
    """The authorizer's role cannot be given the function's boundary, nor the other way round."""
    iam = stack.aws.client("iam", stack.deploy_role())
    boundaries = [
        stack.aws.client("iam").get_role(RoleName=f"{FUNCTION}-{name}")["Role"]["PermissionsBoundary"]
        for name in ("api_handler", "authorizer")
    ]
    for name, boundary in zip(("authorizer", "api_handler"), boundaries, strict=True):
        with pytest.raises(ClientError) as refused:
            iam.put_role_permissions_boundary(
                RoleName=f"{FUNCTION}-{name}", PermissionsBoundary=boundary["PermissionsBoundaryArn"]
            )
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def live_version(stack: Stack) -> int:
    """Return the version that the gateway calls."""
    return int(stack.aws.client("lambda").get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"])


def test_code_change_comes_as_a_new_version(stack: Stack, url_api: UrlApi) -> None:
    """A change of the code is published as a version, the alias moves to it, and events stay."""
    event, before = an_event(), live_version(stack)
    assert post(url_api, event).status == 201
    source = stack.project / "eventsapp" / "app.py"
    code = source.read_text()
    assert code.count('"Cache-Control": f"private,') == 1
    source.write_text(code.replace('"Cache-Control": f"private,', '"Cache-Control": f"private, no-transform,'))
    stack.package()
    stack.apply()
    assert live_version(stack) == before + 1
    answer = get(url_api, event["id"])
    assert answer.status == 200 and "no-transform" in answer.headers["cache-control"]
    assert stack.plan() == ""


def assert_limited_and_encrypted(stack: Stack) -> None:
    """Assert that the stage's own key is that of both tables, both functions and all logs, and calls are few."""
    aliases = stack.aws.client("kms").list_aliases()["Aliases"]
    (key,) = [alias["TargetKeyId"] for alias in aliases if alias["AliasName"] == f"alias/{FUNCTION}"]
    dynamodb, functions = stack.aws.client("dynamodb"), stack.aws.client("lambda")
    for name in (EVENTS, TOKENS):
        assert dynamodb.describe_table(TableName=name)["Table"]["SSEDescription"]["KMSMasterKeyArn"].endswith(key)
    for function in (FUNCTION, AUTHORIZER):
        configuration = functions.get_function(FunctionName=function)
        assert configuration["Configuration"]["KMSKeyArn"].endswith(key)
        assert configuration["Concurrency"]["ReservedConcurrentExecutions"] == 5
    groups = stack.aws.client("logs").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups if not group.get("kmsKeyId", "").endswith(key)] == []


def test_deployed_stage_can_be_given_a_key_a_firewall_and_limits(
    stack: Stack, bare_api: UrlApi, table: TokenTable
) -> None:
    """What prod has, a stage that runs can be given by the deploy role; callers see nothing of it."""
    more = {
        "customer_key": True,
        "firewall": {"requests_per_address": 15_000},
        "concurrency": {"api_handler": 5, "authorizer": 5},
    }
    write_settings(stack.root / "stages" / f"{STAGE}.tfvars", SETTINGS | more)
    stack.apply()
    assert stack.plan() == ""
    assert_limited_and_encrypted(stack)
    stage = f"arn:aws:apigateway:{REGION}::/restapis/{bare_api.path.split('/')[-2]}/stages/{STAGE}"
    assert stack.aws.client("wafv2").get_web_acl_for_resource(ResourceArn=stage)["WebACL"]["Name"] == FUNCTION
    for caller in CALLERS[-4:]:
        check(bare_api, table, caller, "GET")


def test_no_log_holds_a_token_a_secret_or_a_payload(stack: Stack, url_api: UrlApi) -> None:
    """All that the functions logged, with all that was sent before, holds nothing it should not.

    The emulated gateway writes no access log: terraform/tests hold its form to what no caller can fill.
    """
    assert CANARY in post(url_api, an_event()).body.decode()
    client = stack.aws.client("logs")
    texts = []
    for group in client.describe_log_groups()["logGroups"]:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        texts += [event["message"] for page in pages for event in page["events"]]
    assert len(texts) > 100
    assert leaks("\n".join(texts)) == []


def test_destroy_leaves_nothing(stack: Stack) -> None:
    """The deploy role destroys what it made, the administrator the rest, and no process of the emulated AWS stays."""
    stack.destroy()
    iam = stack.aws.client("iam")
    functions = [function["FunctionName"] for function in stack.aws.client("lambda").list_functions()["Functions"]]
    assert [name for name in functions if not name.startswith("probe-")] == []
    assert stack.aws.client("apigateway").get_rest_apis()["items"] == []
    assert stack.aws.client("dynamodb").list_tables()["TableNames"] == []
    assert stack.aws.client("logs").describe_log_groups()["logGroups"] == []
    assert not [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith(FUNCTION)]
    stack.destroy_oidc()
    assert stack.aws.client("s3").list_buckets()["Buckets"] == []
    assert iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    host = stack.aws.endpoint.removeprefix("http://")
    assert processes_in(stack.folder)
    stack.remove()
    assert not processes_in(stack.folder) and not stack.folder.exists()
    with pytest.raises(OSError):
        http.client.HTTPConnection(host, timeout=5).connect()


def processes_in(folder: Path) -> list[str]:
    """Return the command lines that name a folder: the emulated AWS and its functions."""
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in processes.splitlines() if str(folder) in line]

"""The deployment, applied to the emulated AWS by Terraform as the deploy role; the tests follow its life in order."""

import http.client
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.deploy import PROJECT, STAGE, Stack
from targets import UrlApi, an_event, get, post

if shutil.which("terraform") is None:
    pytest.skip("Terraform is not on PATH: nothing is deployed to the emulated AWS", allow_module_level=True)

FUNCTION = f"event-api-{STAGE}"
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
        stack.deploy()
        yield stack
    finally:
        stack.aws.stop()


@pytest.fixture(name="url_api", scope="module")
def _url_api(stack: Stack) -> UrlApi:
    """The deployed API."""
    return UrlApi(stack.api_url())


@pytest.fixture(name="probe", scope="module")
def _probe(stack: Stack) -> Callable[..., str]:
    """What makes one call under the function's role, from a function with that role: "done", or AWS's error."""
    functions = stack.aws.client("lambda")
    role = functions.get_function_configuration(FunctionName=FUNCTION)["Role"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("probe.py", PROBE)
    functions.create_function(
        FunctionName="probe", Runtime=f"python3.{sys.version_info[1]}", Role=role, Handler="probe.call", Timeout=30,
        Code={"ZipFile": code.getvalue()},
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName="probe", WaiterConfig={"Delay": 1})

    def call(service: str, operation: str, **parameters: Any) -> str:
        event = {"service": service, "operation": operation, "parameters": parameters}
        answer = functions.invoke(FunctionName="probe", Payload=json.dumps(event))
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return result

    return call


def table_of(stack: Stack) -> str:
    """Return the table's name, as the function knows it."""
    configuration = stack.aws.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    return configuration["Environment"]["Variables"]["TABLE_NAME"]


def role_policy(stack: Stack) -> dict[str, Any]:
    """Return the one policy of the function's role, as IAM's calls name it."""
    iam = stack.aws.client("iam")
    role = stack.aws.client("lambda").get_function_configuration(FunctionName=FUNCTION)["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return {"RoleName": role, "PolicyName": name, "PolicyDocument": document}


def test_contract_holds(url_api: UrlApi) -> None:
    """What the contract says of the API holds through API Gateway, Lambda and DynamoDB."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_contract.py"]
    url = f"http://{url_api.host}{url_api.path}"
    run = subprocess.run([*command, "--url", url], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


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


ITEM = {"id": {"S": "probe"}}


@pytest.mark.parametrize(
    ("operation", "parameters"), [("put_item", {"Item": ITEM}), ("get_item", {"Key": ITEM})], ids=str
)
def test_function_has_its_two_operations(
    stack: Stack, probe: Callable[..., str], operation: str, parameters: dict[str, Any]
) -> None:
    """The function's role has the two operations that the store needs."""
    assert probe("dynamodb", operation, TableName=table_of(stack), **parameters) == "done"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("scan", {}),
        ("query", {"KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "a"}}}),
        ("delete_item", {"Key": ITEM}),
        ("update_item", {"Key": ITEM}),
        ("describe_table", {}),
        ("delete_table", {}),
        ("update_table", {"DeletionProtectionEnabled": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_function_has_no_other_operation(
    stack: Stack, probe: Callable[..., str], operation: str, parameters: dict[str, Any]
) -> None:
    """The function's role has no other operation on its table."""
    assert probe("dynamodb", operation, TableName=table_of(stack), **parameters) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("dynamodb", "get_item", {"TableName": "event-api-prod-events", "Key": ITEM}),
        ("dynamodb", "put_item", {"TableName": "event-api-prod-events", "Item": ITEM}),
        ("dynamodb", "batch_get_item", {"RequestItems": {f"event-api-{STAGE}-events": {"Keys": [ITEM]}}}),
        ("dynamodb", "list_tables", {}),
        ("logs", "create_log_group", {"logGroupName": "/aws/lambda/other"}),
        ("logs", "create_log_stream", {"logGroupName": f"/aws/apigateway/{FUNCTION}", "logStreamName": "a"}),
        ("s3", "list_buckets", {}),
        ("iam", "list_roles", {}),
        ("lambda", "list_functions", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_function_has_nothing_else(
    probe: Callable[..., str], service: str, operation: str, parameters: dict[str, Any]
) -> None:
    """The function's role has nothing beside its table and its log."""
    assert probe(service, operation, **parameters) in ("AccessDeniedException", "AccessDenied")


def log_streams(stack: Stack) -> set[str]:
    """Return the streams of the function's log."""
    pages = stack.aws.client("logs").get_paginator("describe_log_streams")
    pages = pages.paginate(logGroupName=f"/aws/lambda/{FUNCTION}")
    return {stream["logStreamName"] for page in pages for stream in page["logStreams"]}


def stores(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether an event can be stored."""
    del stack
    return post(url_api, an_event()).status == 201


def reads(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether an event that is stored can be read."""
    item = {name: {"S": "read"} for name in ("id", "type", "created_at", "digest", "write_id")}
    item["payload"] = {"S": "{}"}
    stack.aws.client("dynamodb").put_item(TableName=table_of(stack), Item=item)
    return get(url_api, "read").status == 200


def logs(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the function writes its log."""
    before = log_streams(stack)
    get(url_api, "log")
    return bool(log_streams(stack) - before)


def traces(stack: Stack, url_api: UrlApi) -> bool:
    """Tell whether the function is traced, and may write traces: nothing here takes them."""
    del url_api
    function = stack.aws.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    wanted = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}  # what Lambda asks of a traced function's role
    statements = role_policy(stack)["PolicyDocument"]["Statement"]
    granted = {action for statement in statements for action in actions(statement)}
    return function["TracingConfig"]["Mode"] == "Active" and wanted <= granted


def actions(statement: dict[str, Any]) -> list[str]:
    """Return a statement's actions."""
    return [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]


NEEDS: dict[str, Callable[[Stack, UrlApi], bool]] = {
    "dynamodb:GetItem": reads,
    "dynamodb:PutItem": stores,
    "logs:CreateLogStream": logs,
    "logs:PutLogEvents": logs,
    "xray:PutTelemetryRecords": traces,
    "xray:PutTraceSegments": traces,
}


def test_function_has_only_needed_permissions(stack: Stack) -> None:
    """The function's role has just the permissions that something needs, on named resources where AWS has them."""
    statements = role_policy(stack)["PolicyDocument"]["Statement"]
    assert sorted(action for statement in statements for action in actions(statement)) == sorted(NEEDS)
    unnamed = [statement for statement in statements if statement["Resource"] in ("*", ["*"])]
    on_anything = [action for statement in unnamed for action in actions(statement)]
    assert [action for action in on_anything if not action.startswith("xray:")] == []  # X-Ray knows no resources


@pytest.mark.parametrize("action", NEEDS)
def test_permission_taken_away_breaks_something(stack: Stack, url_api: UrlApi, action: str) -> None:
    """No permission is idle: what needs it works with it, and does not without."""
    iam, policy = stack.aws.client("iam"), role_policy(stack)
    whole = json.dumps(policy["PolicyDocument"])
    assert NEEDS[action](stack, url_api)
    for statement in policy["PolicyDocument"]["Statement"]:
        statement["Action"] = [other for other in actions(statement) if other != action]
    less = {**policy["PolicyDocument"], "Statement": [s for s in policy["PolicyDocument"]["Statement"] if s["Action"]]}
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(less)})
        assert not NEEDS[action](stack, url_api)
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": whole})
    assert NEEDS[action](stack, url_api)


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
    assert answer.status == 500 and answer.headers["content-type"] == "application/problem+json"
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


def test_function_role_stays_within_its_boundary(stack: Stack, probe: Callable[..., str]) -> None:
    """Whatever policy the deploy role writes for the function, the function can do no more than its boundary says."""
    policy = role_policy(stack)
    iam = stack.aws.client("iam", stack.deploy_role())
    try:
        iam.put_role_policy(**{**policy, "PolicyDocument": ANY_ACTION})
        assert probe("dynamodb", "scan", TableName=table_of(stack)) == "AccessDeniedException"
        assert probe("iam", "list_roles") == "AccessDenied"
    finally:
        iam.put_role_policy(**{**policy, "PolicyDocument": json.dumps(policy["PolicyDocument"])})


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


def test_destroy_leaves_nothing(stack: Stack) -> None:
    """The deploy role destroys what it made, the administrator the rest, and no process of the emulated AWS stays."""
    stack.destroy()
    iam = stack.aws.client("iam")
    functions = [function["FunctionName"] for function in stack.aws.client("lambda").list_functions()["Functions"]]
    assert [name for name in functions if name != "probe"] == []
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
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]

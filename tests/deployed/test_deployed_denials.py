"""What a deployment cannot do to a protected stage, and what nobody can do to a stored event."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from deployed.functions import (
    ANY_ACTION,
    AUTHORIZER,
    EVENT_KEY,
    EVENTS,
    FUNCTION,
    TOKENS,
    administrator_policy,
    role_of,
)
from targets import UrlApi, an_event, get, post
from token_stage import region_of

from emulator.emulated_aws import ADMIN
from emulator.stack import STAGE, Stack

DEPLOY_ROLE = f"event-api-deploy-{STAGE}"
ACCOUNT = "123456789012"
LOGS = (f"/aws/lambda/{FUNCTION}", f"/aws/lambda/{AUTHORIZER}", f"/aws/apigateway/{FUNCTION}")
OURS = [{"TagKey": "project", "TagValue": "event-api"}, {"TagKey": "stage", "TagValue": STAGE}]
ROLES = [f"{FUNCTION}-api_handler", f"{FUNCTION}-authorizer", f"{FUNCTION}-codedeploy"]
FOREIGN = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::210987654321:root"}},
]})  # fmt: skip


@pytest.fixture(name="deployer", params=["its own policies", "an administrator's policy"], scope="module")
def _deployer(stack: Stack, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The deploy role's credentials, with its own policies or also with one that allows every action."""
    if request.param == "its own policies":
        yield stack.deploy_role()
        return
    with administrator_policy(stack, DEPLOY_ROLE):
        yield stack.deploy_role()


def refused(stack: Stack, credentials: dict[str, str] | None, service: str, operation: str, **call: Any) -> bool:
    """Tell whether IAM refuses a call. Raises any other error."""
    try:
        getattr(stack.aws.client(service, credentials), operation)(**call)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
            return True
        raise
    return False


def api_id(stack: Stack) -> str:
    """Return the id of the stage's API."""
    (found,) = (api["id"] for api in stack.aws.client("apigateway").get_rest_apis()["items"] if api["name"] == FUNCTION)
    return found


def table_arn(stack: Stack, name: str) -> str:
    """Return a table's ARN."""
    return f"arn:aws:dynamodb:{stack.region}:{ACCOUNT}:table/{name}"


TABLE_CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("delete_table", {}),
    ("update_table", {"DeletionProtectionEnabled": False}),
    ("update_continuous_backups", {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}}),
    ("update_time_to_live", {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "position"}}),
    ("update_time_to_live", {"TimeToLiveSpecification": {"Enabled": False, "AttributeName": "expires_at"}}),
]


@pytest.mark.parametrize("table", [EVENTS, TOKENS])
@pytest.mark.parametrize(("operation", "change"), TABLE_CHANGES, ids=str)
def test_deployment_cannot_change_a_table(
    stack: Stack, deployer: dict[str, str], table: str, operation: str, change: dict[str, Any]
) -> None:
    """A deployment cannot delete a table, end its protection or recovery, or change which items expire."""
    assert refused(stack, deployer, "dynamodb", operation, TableName=table, **change)


@pytest.mark.parametrize("table", [EVENTS, TOKENS])
def test_deployment_cannot_change_a_table_policy(stack: Stack, deployer: dict[str, str], table: str) -> None:
    """A deployment cannot remove or replace the write-once rule."""
    arn = table_arn(stack, table)
    assert refused(stack, deployer, "dynamodb", "delete_resource_policy", ResourceArn=arn)
    assert refused(stack, deployer, "dynamodb", "put_resource_policy", ResourceArn=arn, Policy=ANY_ACTION)


@pytest.mark.parametrize("group", LOGS)
@pytest.mark.parametrize(
    ("operation", "change"),
    [("delete_log_group", {}), ("put_retention_policy", {"retentionInDays": 1}), ("delete_retention_policy", {})],
    ids=str,
)
def test_deployment_cannot_shorten_a_log(
    stack: Stack, deployer: dict[str, str], group: str, operation: str, change: dict[str, Any]
) -> None:
    """A deployment cannot delete a log or change how long it is kept."""
    assert refused(stack, deployer, "logs", operation, logGroupName=group, **change)


def test_deployment_cannot_change_where_logs_are_delivered(stack: Stack, deployer: dict[str, str]) -> None:
    """A deployment cannot change the account's log policies: they hold for the firewalls of all stages."""
    assert refused(stack, deployer, "logs", "put_resource_policy", policyName="other", policyDocument=ANY_ACTION)
    policy = {"policyName": "event-api-prod-firewall"}
    assert refused(stack, deployer, "logs", "delete_resource_policy", **policy)
    firewall = f"arn:aws:wafv2:{stack.region}:{ACCOUNT}:regional/webacl/event-api-prod/a"
    assert refused(stack, deployer, "wafv2", "delete_logging_configuration", ResourceArn=firewall)


@pytest.mark.parametrize("tags", [[], OURS], ids=["a key without tags", "the stage's key"])
def test_deployment_can_neither_claim_nor_change_a_key(
    stack: Stack, deployer: dict[str, str], tags: list[dict[str, str]]
) -> None:
    """A deployment can change no key: not the stage's own, and not one that nobody has tagged."""
    keys = stack.aws.client("kms")
    key = keys.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    try:
        for operation, call in [
            ("tag_resource", {"Tags": OURS}),
            ("untag_resource", {"TagKeys": ["stage"]}),
            ("schedule_key_deletion", {"PendingWindowInDays": 7}),
            ("disable_key", {}),
            ("put_key_policy", {"PolicyName": "default", "Policy": ANY_ACTION}),
            ("put_key_policy", {
                "PolicyName": "default", "Policy": ANY_ACTION, "BypassPolicyLockoutSafetyCheck": True,
            }),
            ("encrypt", {"Plaintext": b"a"}),
        ]:  # fmt: skip
            assert refused(stack, deployer, "kms", operation, KeyId=key, **call), operation
        alias = {"AliasName": "alias/event-api-other", "TargetKeyId": key}
        assert refused(stack, deployer, "kms", "create_alias", **alias)
        assert refused(stack, deployer, "kms", "describe_key", KeyId=key) == (tags == [])
    finally:
        keys.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert refused(stack, deployer, "kms", "create_key", Tags=OURS)


@pytest.fixture(name="prods_api")
def _prods_api(stack: Stack) -> Iterator[dict[str, str]]:
    """Prod's API, with the tags that Terraform sets: its id and its ARN."""
    gateway = stack.aws.client("apigateway")
    tags = {"project": "event-api", "stage": "prod", "event-api-prod": "owner"}
    api = gateway.create_rest_api(name="event-api-prod", tags=tags)["id"]
    yield {"id": api, "arn": f"arn:aws:apigateway:{stack.region}::/restapis/{api}"}
    gateway.delete_rest_api(restApiId=api)


def test_deployment_cannot_take_over_another_stages_api(
    stack: Stack, deployer: dict[str, str], prods_api: dict[str, str]
) -> None:
    """A deployment can add its own tags to prod's API. It still cannot change, read or delete that API."""
    tags = {"project": "event-api", "stage": STAGE, f"event-api-{STAGE}": "owner"}
    arn, api = {"resourceArn": prods_api["arn"]}, {"restApiId": prods_api["id"]}
    patch = [{"op": "replace", "path": "/description", "value": "taken"}]
    assert not refused(stack, deployer, "apigateway", "tag_resource", **arn, tags=tags)
    for operation, call in [
        ("tag_resource", {**arn, "tags": {"event-api-prod": "other"}}),
        ("untag_resource", {**arn, "tagKeys": ["event-api-prod"]}),
        ("untag_resource", {**arn, "tagKeys": ["stage"]}),
        ("get_rest_api", api),
        ("put_rest_api", {**api, "body": b'{"swagger": "2.0", "info": {"title": "taken"}, "paths": {}}'}),
        ("update_rest_api", {**api, "patchOperations": patch}),
        ("create_deployment", {**api, "stageName": STAGE}),
        ("delete_rest_api", api),
    ]:
        assert refused(stack, deployer, "apigateway", operation, **call), operation
    found = stack.aws.client("apigateway").get_tags(**arn)["tags"]
    assert found == {**tags, "event-api-prod": "owner"}


@pytest.mark.parametrize("group", [f"/aws/lambda/{FUNCTION}", "/aws/apigateway/event-api-prod"])
def test_deployment_cannot_write_to_another_log(stack: Stack, deployer: dict[str, str], group: str) -> None:
    """A deployment cannot send the stage's access log to the log of a function or of another stage."""
    destination = f"arn:aws:logs:{stack.region}:{ACCOUNT}:log-group:{group}"
    assert refused(
        stack, deployer, "apigateway", "update_stage", restApiId=api_id(stack), stageName=STAGE,
        patchOperations=[{"op": "replace", "path": "/accessLogSettings/destinationArn", "value": destination}],
    )  # fmt: skip


@pytest.mark.parametrize("function", [FUNCTION, AUTHORIZER])
def test_deployment_cannot_let_others_call_a_function(stack: Stack, deployer: dict[str, str], function: str) -> None:
    """A deployment of a protected stage cannot change who may call a function."""
    alias = {"FunctionName": function, "Qualifier": "live"}
    policy = json.loads(stack.aws.client("lambda").get_policy(**alias)["Policy"])
    assert refused(stack, deployer, "lambda", "remove_permission", **alias, StatementId=policy["Statement"][0]["Sid"])
    permission = {"StatementId": "other", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    assert refused(stack, deployer, "lambda", "add_permission", **alias, **permission)
    assert refused(stack, deployer, "lambda", "create_function_url_config", FunctionName=function, AuthType="NONE")


@pytest.mark.parametrize("role", ROLES)
def test_deployment_cannot_change_a_function_role(stack: Stack, deployer: dict[str, str], role: str) -> None:
    """A deployment cannot give a function's role other permissions, or another trust: also not by a new role."""
    for operation, call in [
        ("delete_role", {}),
        ("create_role", {"AssumeRolePolicyDocument": FOREIGN}),
        ("update_assume_role_policy", {"PolicyDocument": FOREIGN}),
        ("put_role_policy", {"PolicyName": "more", "PolicyDocument": ANY_ACTION}),
        ("delete_role_policy", {"PolicyName": "api_handler"}),
        ("attach_role_policy", {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ]:
        assert refused(stack, deployer, "iam", operation, RoleName=role, **call), operation


def test_deployment_releases_only_its_own_stage(stack: Stack, deployer: dict[str, str]) -> None:
    """A deployment can start no release of another stage, stop none, and give CodeDeploy no other role."""
    content = json.dumps({"version": 0.0, "Resources": []})
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}
    prods = {"applicationName": "event-api-prod", "deploymentGroupName": "event-api-prod"}
    group = {"applicationName": FUNCTION, "currentDeploymentGroupName": FUNCTION}
    for operation, call in [
        ("create_deployment", {**prods, "revision": revision}),
        ("list_deployments", prods),
        ("delete_deployment_group", prods),
        ("create_application", {"applicationName": "event-api-prod", "computePlatform": "Lambda"}),
        ("stop_deployment", {"deploymentId": "d-000000001"}),
        ("update_deployment_group", {**group, "serviceRoleArn": role_of(stack, FUNCTION).replace(STAGE, "prod")}),
        ("update_deployment_group", {**group, "serviceRoleArn": f"arn:aws:iam::{ACCOUNT}:role/{DEPLOY_ROLE}"}),
    ]:
        assert refused(stack, deployer, "codedeploy", operation, **call), operation


def test_deployment_cannot_give_a_function_role_to_another_function(stack: Stack, deployer: dict[str, str]) -> None:
    """A deployment can create no function beside the stage's two."""
    for name in (f"{FUNCTION}-other", "event-api-prod"):
        assert refused(
            stack, deployer, "lambda", "create_function", FunctionName=name, Runtime="python3.13",
            Role=role_of(stack, FUNCTION), Handler="app.app", Code={"ZipFile": b"a"},
        )  # fmt: skip


def test_a_deployment_of_a_protected_stage_works(stack: Stack) -> None:
    """The deploy role can read everything that a plan needs."""
    assert stack.plan() == ""


# The backups.

VAULT = "event-api-prod"


def test_deployment_cannot_reach_the_backups(stack: Stack, deployer: dict[str, str]) -> None:
    """A deployment can delete or change no backup, vault or plan."""
    point = f"arn:aws:backup:{stack.region}:{ACCOUNT}:recovery-point:a"
    for operation, call in [
        ("delete_backup_vault", {"BackupVaultName": VAULT}),
        ("delete_backup_vault_lock_configuration", {"BackupVaultName": VAULT}),
        ("put_backup_vault_access_policy", {"BackupVaultName": VAULT, "Policy": ANY_ACTION}),
        ("delete_recovery_point", {"BackupVaultName": VAULT, "RecoveryPointArn": point}),
        ("update_recovery_point_lifecycle", {"BackupVaultName": VAULT, "RecoveryPointArn": point}),
        ("delete_backup_plan", {"BackupPlanId": "a"}),
        ("delete_backup_selection", {"BackupPlanId": "a", "SelectionId": "b"}),
        ("stop_backup_job", {"BackupJobId": "a"}),
    ]:
        assert refused(stack, deployer, "backup", operation, **call), operation
    backup_role = f"arn:aws:iam::{ACCOUNT}:role/event-api-backup-prod"
    assert refused(stack, deployer, "iam", "delete_role", RoleName=backup_role.rpartition("/")[2])


def test_backups_are_planned_into_a_locked_vault(stack: Stack) -> None:
    """Prod's tables have a daily backup. It is kept for a year in a locked vault, with a key of its own."""
    backup, kms = (
        boto3.client(
            service, endpoint_url=stack.aws.endpoint, region_name=region_of("prod"),
            aws_access_key_id=ADMIN["AWS_ACCESS_KEY_ID"], aws_secret_access_key=ADMIN["AWS_SECRET_ACCESS_KEY"],
        ) for service in ("backup", "kms")
    )  # fmt: skip
    vault = backup.describe_backup_vault(BackupVaultName=VAULT)
    assert (vault["Locked"], vault["MinRetentionDays"]) == (True, 365)
    assert kms.describe_key(KeyId="alias/event-api-backup-prod")["KeyMetadata"]["Arn"] == vault["EncryptionKeyArn"]
    (plan,) = backup.list_backup_plans()["BackupPlansList"]
    (rule,) = backup.get_backup_plan(BackupPlanId=plan["BackupPlanId"])["BackupPlan"]["Rules"]
    assert rule["Lifecycle"]["DeleteAfterDays"] == 365
    (selection,) = backup.list_backup_selections(BackupPlanId=plan["BackupPlanId"])["BackupSelectionsList"]
    job = {"BackupPlanId": plan["BackupPlanId"], "SelectionId": selection["SelectionId"]}
    arns = backup.get_backup_selection(**job)["BackupSelection"]["Resources"]
    tables = [f"event-api-prod-{table}" for table in ("events", "events-restored", "tokens")]
    assert sorted(arn.rpartition("/")[2] for arn in arns) == tables


# The write-once rule.

WRITES: list[tuple[str, dict[str, Any]]] = [
    ("put_item", {"TableName": EVENTS, "Item": EVENT_KEY}),
    ("update_item", {"TableName": EVENTS, "Key": EVENT_KEY}),
    ("delete_item", {"TableName": EVENTS, "Key": EVENT_KEY}),
    ("batch_write_item", {"RequestItems": {EVENTS: [{"PutRequest": {"Item": EVENT_KEY}}]}}),
    ("batch_write_item", {"RequestItems": {EVENTS: [{"DeleteRequest": {"Key": EVENT_KEY}}]}}),
    ("transact_write_items", {"TransactItems": [{"Put": {"TableName": EVENTS, "Item": EVENT_KEY}}]}),
    ("transact_write_items", {"TransactItems": [{"Delete": {"TableName": EVENTS, "Key": EVENT_KEY}}]}),
    ("execute_statement", {"Statement": f"INSERT INTO \"{EVENTS}\" VALUE {{'pk': 'local/probe'}}"}),
    ("execute_statement", {"Statement": f"UPDATE \"{EVENTS}\" SET payload = 'x' WHERE pk = 'local/probe'"}),
    ("execute_statement", {"Statement": f"DELETE FROM \"{EVENTS}\" WHERE pk = 'local/probe'"}),
]


@pytest.mark.parametrize(("operation", "call"), WRITES, ids=str)
def test_administrator_cannot_write_events(stack: Stack, operation: str, call: dict[str, Any]) -> None:
    """Not even the account's administrator can store, change or delete an event past the API."""
    assert refused(stack, None, "dynamodb", operation, **call)


@pytest.mark.parametrize(("operation", "call"), WRITES[1:], ids=str)
def test_function_cannot_change_events_with_any_policy(
    stack: Stack, probe: Callable[..., str], operation: str, call: dict[str, Any]
) -> None:
    """Inside the function, with a policy that allows every action: it can still store events only."""
    puts = "transact_write_items" in operation and "Put" in str(call)
    with administrator_policy(stack, ROLES[0]):
        assert probe(FUNCTION, "dynamodb", operation, **call) == ("done" if puts else "AccessDeniedException")


def test_administrator_can_read_events_and_end_the_rule(stack: Stack, url_api: UrlApi) -> None:
    """A person can read events, remove the rule, change the table, and set the rule again."""
    event = an_event()
    assert post(url_api, event).status == 201
    table = stack.aws.client("dynamodb")
    assert table.scan(TableName=EVENTS)["Count"] > 0
    arn = table_arn(stack, EVENTS)
    rule = table.get_resource_policy(ResourceArn=arn)["Policy"]
    table.delete_resource_policy(ResourceArn=arn)
    try:
        table.put_item(TableName=EVENTS, Item=EVENT_KEY)
        table.delete_item(TableName=EVENTS, Key=EVENT_KEY)
    finally:
        table.put_resource_policy(ResourceArn=arn, Policy=rule)
    assert refused(stack, None, "dynamodb", "put_item", TableName=EVENTS, Item=EVENT_KEY)
    assert get(url_api, event["id"]).status == 200

"""What a deploy role can never do: its boundary denies it, even to an administrator."""

from typing import Any

import pytest
from oidc.policies import (
    ACCESS_LOG,
    ADMINISTRATOR,
    ALARM,
    API,
    API_STAGE,
    API_TAGS,
    ASKED,
    AUTHORIZER_ROLE,
    DASHBOARD,
    DEPLOY_BOUNDARY,
    DEPLOY_POLICY,
    DEPLOY_ROLE,
    FIREWALL,
    FUNCTION_ROLE,
    OURS,
    OUR_API,
    POLICIES,
    PROD,
    PRODS,
    PRODS_API,
    RELEASE_APP,
    RELEASE_GROUP,
    RELEASE_ROLE,
    RETAGGED_API,
    SCALING,
    SCALING_ALARM,
    SERVICE_ROLE,
    TABLE,
    TAKEN_API,
    TOKEN_TABLE,
    TOPIC,
    TO_TOPIC,
    allowed,
    asked,
    logs_to,
    of_stage,
    scaling_by,
    scaling_of,
)
from roots import ACCOUNT, BY_DYNAMODB, BY_LAMBDA, FUNCTION, KEY, LOG, NEEDS_TERRAFORM, REGION, Plans

pytestmark = NEEDS_TERRAFORM


def changes_of_an_api(tags: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return calls that change the API with these tags."""
    return [(f"apigateway:{verb}", f"{API}/abc{part}", tags) for verb, part in (
        ("DELETE", ""), ("PATCH", ""), ("PUT", ""), ("POST", "/deployments"), ("PATCH", "/stages/dev"),
        ("SetWebACL", "/stages/dev"),
    )]  # fmt: skip


# Neither a policy nor the boundary of a deploy role allows these actions, even if the role has administrator rights.
NEVER: list[tuple[str, str, dict[str, Any]]] = [
    *((f"iam:{action}", role, {}) for role in (FUNCTION_ROLE, AUTHORIZER_ROLE) for action in (
        "AttachRolePolicy", "CreateRole", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy",
        "PutRolePermissionsBoundary", "PutRolePolicy", "TagRole", "UpdateAssumeRolePolicy", "UpdateRole",
    )),
    *((f"iam:{action}", RELEASE_ROLE, {}) for action in ("CreateRole", "PutRolePolicy", "UpdateAssumeRolePolicy")),
    ("iam:PassRole", RELEASE_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("iam:PassRole", RELEASE_ROLE.replace("dev", "prod"), {"iam:PassedToService": "codedeploy.amazonaws.com"}),
    *((f"codedeploy:{action}", RELEASE_GROUP.replace("dev", "prod"), {}) for action in (
        "CreateDeployment", "CreateDeploymentGroup", "DeleteDeploymentGroup", "GetDeployment", "UpdateDeploymentGroup",
    )),
    ("codedeploy:CreateDeployment", RELEASE_GROUP.replace("event-api-dev/", "other/"), {}),
    ("codedeploy:RegisterApplicationRevision", RELEASE_APP.replace("dev", "prod"), {}),
    ("codedeploy:StopDeployment", "*", {}),
    ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/other", {}),
    ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-other", {}),
    ("iam:PassRole", FUNCTION_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("iam:PassRole", FUNCTION_ROLE.replace("dev", "prod"), {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("iam:CreateServiceLinkedRole", SERVICE_ROLE, {"iam:AWSServiceName": "backup.amazonaws.com"}),
    ("lambda:AddPermission", FUNCTION, {"lambda:Principal": "210987654321"}),
    ("lambda:AddPermission", f"{FUNCTION}:live", {"lambda:Principal": "*"}),
    *(call for tags in (PRODS_API, RETAGGED_API) for call in changes_of_an_api(tags)),
    ("apigateway:DELETE", API_TAGS, {}),
    *(("apigateway:DELETE", API_TAGS, {"aws:TagKeys": [key]}) for key in ("stage", "event-api-dev", "event-api-prod")),
    ("apigateway:PATCH", API_TAGS, asked()),
    *((f"apigateway:{verb}", API_TAGS, asked(key))
      for verb in ("POST", "PUT") for key in ("event-api-prod", "event-api-staging", "Event-Api-Prod")),
    *((f"lambda:{action}", FUNCTION, {}) for action in (
        "CreateFunctionUrlConfig", "DeleteResourcePolicy", "PutFunctionEventInvokeConfig", "PutResourcePolicy",
        "PutRuntimeManagementConfig", "UpdateFunctionUrlConfig",
    )),
    ("wafv2:GetSampledRequests", FIREWALL, {}),
    *((f"cloudwatch:{action}", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}", TO_TOPIC)
      for action in ("DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm", "SetAlarmState")
      for name in ("event-api-prod-altered", "event-api-staging-store", "payroll")),
    ("cloudwatch:PutDashboard", DASHBOARD.replace("-dev", "-prod"), {}),
    ("sns:SetTopicAttributes", TOPIC.replace("-dev", "-prod"), {}),
    ("sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:payroll", {}),
    ("sns:Unsubscribe", "*", {}),
    *((f"application-autoscaling:{action}", SCALING, scaling_of(namespace))
      for action in ("DeleteScalingPolicy", "DeregisterScalableTarget", "PutScheduledAction", "RegisterScalableTarget")
      for namespace in ("ecs", "lambda")),
    *((f"kms:{action}", KEY, tags) for tags in ({}, OURS, PRODS, ASKED) for action in (
        "CreateAlias", "DisableKey", "PutKeyPolicy", "ScheduleKeyDeletion", "TagResource", "UntagResource",
        "UpdateAlias",
    )),
    ("kms:PutKeyPolicy", KEY, OURS | {"kms:BypassPolicyLockoutSafetyCheck": "true"}),
    ("kms:CreateKey", "*", ASKED),
    ("kms:CreateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/event-api-dev", {}),
    ("kms:DeleteAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/event-api-dev", {}),
    ("kms:DescribeKey", KEY, {}),
    ("kms:Decrypt", KEY, BY_LAMBDA),
    ("kms:CreateGrant", KEY, PRODS | BY_DYNAMODB),
    ("iam:PassRole", DEPLOY_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("iam:PutRolePolicy", DEPLOY_ROLE, {}),
    ("iam:AttachRolePolicy", DEPLOY_ROLE, {}),
    ("iam:UpdateAssumeRolePolicy", DEPLOY_ROLE, {}),
    ("iam:PutRolePermissionsBoundary", DEPLOY_ROLE, {}),
    ("iam:DeleteRolePermissionsBoundary", DEPLOY_ROLE, {}),
    ("iam:CreatePolicyVersion", DEPLOY_POLICY, {}),
    ("iam:SetDefaultPolicyVersion", DEPLOY_POLICY, {}),
    ("iam:DeletePolicy", DEPLOY_POLICY, {}),
    ("iam:CreatePolicyVersion", DEPLOY_BOUNDARY, {}),
    ("iam:CreatePolicyVersion", f"arn:aws:iam::{ACCOUNT}:policy/event-api-plan-dev", {}),
    ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/event-api-plan-dev", {}),
    ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/other", {}),
    ("sts:AssumeRole", FUNCTION_ROLE, {}),
    ("apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/account", OURS),
    ("dynamodb:GetItem", TABLE, {}),
    ("dynamodb:Scan", TOKEN_TABLE, {}),
    ("dynamodb:PutItem", TOKEN_TABLE, {}),
    ("dynamodb:ExportTableToPointInTime", TABLE, {}),
    *((f"dynamodb:{verb}ResourcePolicy", table, {}) for verb in ("Put", "Delete") for table in (TABLE, TOKEN_TABLE)),
    ("dynamodb:UpdateTable", f"{TABLE}-other", {}),
    ("dynamodb:RestoreTableToPointInTime", TABLE, {}),
    ("dynamodb:PutItem", f"{TABLE}-restored", {}),
    ("backup:DeleteRecoveryPoint", f"arn:aws:backup:{REGION}:{ACCOUNT}:recovery-point:abc", {}),
    ("backup:DeleteBackupVault", f"arn:aws:backup:{REGION}:{ACCOUNT}:backup-vault:event-api", {}),
    ("dynamodb:DeleteTable", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-prod-events", {}),
    ("lambda:InvokeFunction", FUNCTION, {}),
    ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-prod", {}),
    ("logs:FilterLogEvents", LOG, {}),
    ("logs:PutSubscriptionFilter", LOG, {}),
    ("lambda:UpdateFunctionCode", f"{FUNCTION}-other", {}),
    ("logs:DeleteLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/event-api-prod", {}),
    ("logs:DeleteLogGroup", f"{LOG}-other", {}),
    *((f"logs:{action}", "*", {}) for action in (
        "CreateLogDelivery", "DeleteLogDelivery", "DeleteResourcePolicy", "PutResourcePolicy", "UpdateLogDelivery",
    )),
    ("wafv2:DeleteWebACL", f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/webacl/event-api-prod/abc", {}),
    ("kms:Decrypt", KEY, OURS),
    ("kms:Decrypt", KEY, OURS | {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}),
    ("kms:GenerateDataKey", KEY, OURS),
    ("kms:CreateGrant", KEY, OURS),
    ("kms:UpdateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/event-api-prod", {}),
    ("s3:GetObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/prod.tfstate", {}),
    ("s3:PutBucketPolicy", f"arn:aws:s3:::event-api-state-{ACCOUNT}", {}),
]


# A deploy role's own policies allow these actions. Its boundary denies them.
ONLY_BY_BOUNDARY: list[tuple[str, str, dict[str, Any]]] = [
    *changes_of_an_api(TAKEN_API),
    *((verb, f"{API}/abc/stages{part}", OUR_API | logs_to(destination))
      for verb, part in (("apigateway:POST", ""), ("apigateway:PATCH", "/dev"), ("apigateway:PUT", "/dev"))
      for destination in (
        LOG, ACCESS_LOG.replace("-dev", "-prod"), f"{ACCESS_LOG}-other",
        f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/amazon-apigateway-other",
    )),
    ("apigateway:GET", f"{API}/abc", PRODS_API),
    ("apigateway:GET", f"{API}/abc", TAKEN_API),
    ("apigateway:POST", API, asked("event-api-prod")),
    ("cloudwatch:PutCompositeAlarm", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-store", TO_TOPIC),
]


@pytest.mark.parametrize(("action", "resource", "context"), ONLY_BY_BOUNDARY)
def test_boundary_limits_the_policies_of_a_deploy_role(
    plans: Plans, action: str, resource: str, context: dict[str, Any]
) -> None:
    """The policies of a deploy role allow these actions, so the denial is the boundary's."""
    policies, boundary = of_stage(plans, "dev", *POLICIES), of_stage(plans, "dev", "deploy_boundary")
    assert allowed(policies, action, resource, context)
    assert not allowed(policies, action, resource, context, boundary)


@pytest.mark.parametrize(("action", "resource", "context"), [*NEVER, *ONLY_BY_BOUNDARY])
def test_boundary_limits_a_deploy_role_with_administrator_rights(
    plans: Plans, action: str, resource: str, context: dict[str, Any]
) -> None:
    """A deploy role with administrator rights cannot change its own rights, other stages or stored data."""
    assert not allowed([ADMINISTRATOR], action, resource, context, of_stage(plans, "dev", "deploy_boundary"))


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        *NEVER,
        ("apigateway:POST", API, {}),
        ("apigateway:POST", API, ASKED),
        ("apigateway:DELETE", f"{API}/abc", {}),
        ("apigateway:DELETE", f"{API}/abc", OURS),
        ("apigateway:PUT", API_TAGS, asked("other")),
        ("apigateway:PUT", API_TAGS, asked(stage="prod")),
        ("apigateway:PUT", API_TAGS, asked(event_api_dev="other")),
        ("apigateway:SetWebACL", API_STAGE, OURS),
        ("apigateway:SetWebACL", API_STAGE, {}),
        *((f"cloudwatch:{action}", ALARM, {"cloudwatch:AlarmActions": [TOPIC, other]})
          for action in ("PutMetricAlarm", "PutCompositeAlarm") for other in (
            TOPIC.replace("-dev", "-prod"), f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payroll",
            f"arn:aws:automate:{REGION}:ec2:terminate",
        )),
        *(("cloudwatch:PutMetricAlarm", SCALING_ALARM, context) for context in (
            TO_TOPIC, scaling_by("event-api-prod-events"), scaling_by("payroll"),
            {"cloudwatch:AlarmActions": [f"arn:aws:automate:{REGION}:ec2:terminate"]},
        )),
        ("sns:Publish", TOPIC, {}),
        ("wafv2:CreateWebACL", FIREWALL, ASKED),
        ("wafv2:DeleteWebACL", FIREWALL, {}),
        ("wafv2:DeleteLoggingConfiguration", FIREWALL, {}),
        ("kms:Decrypt", KEY, PRODS | BY_LAMBDA),
        ("kms:CreateGrant", KEY, PRODS | BY_DYNAMODB),
        ("s3:DeleteObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate", {}),
    ],
)
def test_deploy_role_cannot_widen_its_rights(
    plans: Plans, action: str, resource: str, context: dict[str, Any]
) -> None:
    """The policies of a deploy role allow no change of its own rights, of other stages or of stored data."""
    assert not allowed(of_stage(plans, "dev", *POLICIES), action, resource, context)

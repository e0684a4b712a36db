"""What the policies of a deploy role allow: everything that a deployment needs, of the own stage only."""

import json
from typing import Any

import pytest
from oidc.policies import (
    ACCESS_LOG,
    ALARM,
    API,
    API_STAGE,
    API_TAGS,
    AUTHORIZER_ROLE,
    DASHBOARD,
    FIREWALL,
    FIREWALL_GROUP,
    FUNCTION_ROLE,
    OURS,
    OUR_API,
    POLICIES,
    RELEASE_APP,
    RELEASE_GROUP,
    RELEASE_ROLE,
    SCALING,
    SCALING_ALARM,
    TABLE,
    TOKEN_TABLE,
    TOPIC,
    TO_TOPIC,
    allow_statements,
    allowed,
    asked,
    logs_to,
    of_stage,
    policy,
    scaling_by,
    scaling_of,
)
from roots import ACCOUNT, BY_DYNAMODB, BY_LAMBDA, FUNCTION, KEY, LOG, NEEDS_TERRAFORM, REGION, REGIONS, STAGES, Plans

pytestmark = NEEDS_TERRAFORM


@pytest.mark.parametrize(
    ("address", "of_any_resource"),
    [
        ('aws_iam_role_policy.function["dev/api_handler"]', {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
        ('aws_iam_role_policy.function["dev/authorizer"]', {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
        (
            'aws_iam_policy.deploy_edge["dev"]',
            {"kms:ListAliases", "logs:DescribeResourcePolicies"},
        ),
        (
            'aws_iam_policy.deploy["dev"]',
            {
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "cloudwatch:DescribeAlarms",
            },
        ),
        ('aws_iam_policy.deploy_release["dev"]', set()),
        ('aws_iam_policy.rollback["dev"]', set()),
        ('aws_iam_role_policy.codedeploy["dev"]', {"cloudwatch:DescribeAlarms"}),
        (
            'aws_iam_policy.plan["dev"]',
            {
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "cloudwatch:DescribeAlarms",
                "kms:ListAliases",
                "logs:DescribeResourcePolicies",
                "sns:GetSubscriptionAttributes",
            },
        ),
        (
            'aws_iam_policy.deploy_monitoring["dev"]',
            {"cloudwatch:PutCompositeAlarm", "sns:GetSubscriptionAttributes"},
        ),
    ],
)
def test_policy_names_its_actions_and_resources(
    plans: Plans, address: str, of_any_resource: set[str]
) -> None:
    """No action has a wildcard. A resource is `*` only for actions that AWS does not limit to a resource."""
    statements = list(allow_statements(policy(plans, address)))
    assert not [action for actions, _ in statements for action in actions if "*" in action]
    assert set().union(*(actions for actions, resources in statements if "*" in resources)) == of_any_resource


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("dynamodb.application-autoscaling.amazonaws.com", True),
        ("ops.apigateway.amazonaws.com", True),
        ("lambda.amazonaws.com", False),
        ("", False),
    ],
)
def test_deploy_role_creates_only_two_service_roles(
    plans: Plans, service: str, expected: bool
) -> None:
    """A deploy role can create service-linked roles only for autoscaling and for API Gateway's traces."""
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/AWSServiceRole"
    call = ("iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": service})
    assert allowed(of_stage(plans, "dev", *POLICIES), *call) == expected


@pytest.mark.parametrize("name", [*POLICIES, "plan", "rollback", "deploy_boundary"])
@pytest.mark.parametrize("stage", STAGES)
def test_policy_fits_the_size_limit_of_iam(plans: Plans, stage: str, name: str) -> None:
    """A managed policy has at most 6,144 characters without white space."""
    (document,) = of_stage(plans, stage, name)
    assert len(json.dumps(document, separators=(",", ":"))) <= 6144


@pytest.mark.parametrize("stage", STAGES)
def test_deploy_role_reaches_only_its_own_stage(plans: Plans, stage: str) -> None:
    """Every resource name contains the stage, except where AWS generates the name or an action lists resources."""
    region = REGIONS[stage]
    generated = {
        "*",
        f"arn:aws:s3:::event-api-state-{ACCOUNT}",  # to list its objects
        f"arn:aws:logs:{region}:{ACCOUNT}:log-group:*",  # to list them
        f"arn:aws:application-autoscaling:{region}:{ACCOUNT}:scalable-target/*",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/*",
        f"arn:aws:apigateway:{region}::/restapis",
        f"arn:aws:apigateway:{region}::/restapis/*",
        f"arn:aws:apigateway:{region}::/restapis/*/stages/{stage}",
        f"arn:aws:apigateway:{region}::/tags/arn%3Aaws%3Aapigateway%3A{region}%3A%3A%2Frestapis%2F*",
        f"arn:aws:codedeploy:{region}:{ACCOUNT}:deploymentconfig:CodeDeployDefault.Lambda*",  # AWS's own
        f"arn:aws:kms:{region}:{ACCOUNT}:key/*",
        f"arn:aws:wafv2:{region}:{ACCOUNT}:regional/managedruleset/*/*",
    }
    documents = of_stage(plans, stage, *POLICIES)
    touched = set().union(*(resources for document in documents for _, resources in allow_statements(document)))
    assert generated < touched
    others = [name for name in touched - generated if f"event-api-{stage}" not in name]
    state = f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/{stage}.tfstate"
    assert set(others) == {state, f"{state}.tflock"}


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:PassRole", FUNCTION_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("iam:PassRole", AUTHORIZER_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("apigateway:POST", API, asked()),
        ("apigateway:PUT", f"{API}/abc", OUR_API),
        ("apigateway:POST", f"{API}/abc/deployments", OUR_API),
        ("apigateway:PUT", API_TAGS, asked()),
        ("apigateway:POST", f"{API}/abc/stages", OUR_API),
        ("apigateway:PATCH", API_STAGE, OUR_API),
        ("apigateway:PATCH", API_STAGE, OUR_API | logs_to(ACCESS_LOG)),
        ("application-autoscaling:TagResource", SCALING, {}),
        ("application-autoscaling:PutScalingPolicy", SCALING, scaling_of("dynamodb")),
        ("wafv2:DisassociateWebACL", API_STAGE, {}),
        ("apigateway:SetWebACL", API_STAGE, OUR_API),
        ("dynamodb:CreateTable", TABLE, {}),
        ("dynamodb:CreateTable", TOKEN_TABLE, {}),
        ("dynamodb:UpdateTimeToLive", f"{TABLE}-restored", {}),
        ("lambda:UpdateAlias", f"{FUNCTION}:live", {}),
        ("lambda:UpdateAlias", f"{FUNCTION}-authorizer:live", {}),
        ("codedeploy:CreateApplication", RELEASE_APP, {}),
        ("codedeploy:RegisterApplicationRevision", RELEASE_APP, {}),
        ("codedeploy:CreateDeployment", RELEASE_GROUP, {}),
        ("codedeploy:CreateDeployment", f"{RELEASE_GROUP}-authorizer", {}),
        ("iam:PassRole", RELEASE_ROLE, {"iam:PassedToService": "codedeploy.amazonaws.com"}),
        ("lambda:PutFunctionConcurrency", FUNCTION, {}),
        ("lambda:AddPermission", f"{FUNCTION}:live", {"lambda:Principal": "apigateway.amazonaws.com"}),
        ("logs:CreateLogGroup", f"{LOG}-authorizer", {}),
        ("logs:AssociateKmsKey", LOG, {}),
        ("logs:CreateLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:aws-waf-logs-event-api-dev", {}),
        ("logs:PutMetricFilter", LOG, {}),
        ("cloudwatch:PutMetricAlarm", ALARM, TO_TOPIC),
        ("cloudwatch:PutMetricAlarm", ALARM, {}),
        ("cloudwatch:PutCompositeAlarm", "*", TO_TOPIC),
        ("cloudwatch:PutMetricAlarm", SCALING_ALARM, {}),  # so AWS checks the permission
        ("cloudwatch:PutMetricAlarm", SCALING_ALARM, scaling_by("event-api-dev-events")),
        ("cloudwatch:PutMetricAlarm", SCALING_ALARM, scaling_by("event-api-dev-events-restored")),
        ("cloudwatch:PutDashboard", DASHBOARD, {}),
        ("sns:SetTopicAttributes", TOPIC, {}),
        ("sns:Subscribe", TOPIC, {}),
        ("wafv2:UpdateWebACL", FIREWALL, {}),
        ("wafv2:UpdateWebACL", FIREWALL_GROUP, {}),
        ("wafv2:AssociateWebACL", FIREWALL, {}),
        ("wafv2:AssociateWebACL", API_STAGE, {}),
        ("kms:GetKeyPolicy", KEY, OURS),
        ("kms:CreateGrant", KEY, OURS | BY_DYNAMODB),
        ("kms:Encrypt", KEY, OURS | BY_LAMBDA),
        ("s3:PutObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate.tflock", {}),
    ],
)
def test_deploy_role_may_deploy(plans: Plans, action: str, resource: str, context: dict[str, Any]) -> None:
    """The deploy role of dev may take every action that a deployment of dev needs, within its boundary."""
    boundary = of_stage(plans, "dev", "deploy_boundary")
    assert allowed(of_stage(plans, "dev", *POLICIES), action, resource, context, boundary)

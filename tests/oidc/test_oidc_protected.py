"""What a deployment cannot change in a protected stage."""

import pytest
from oidc.policies import ADMINISTRATOR, POLICIES, PROD, allowed, of_stage
from roots import ACCOUNT, NEEDS_TERRAFORM, REGION, Plans

pytestmark = NEEDS_TERRAFORM


PROTECTED = [  # what a deployment of a protected stage can neither create, change nor delete
    *((f"dynamodb:{action}", f"arn:aws:dynamodb:{PROD}:{ACCOUNT}:table/event-api-prod-{table}")
      for table in ("events", "events-restored", "tokens") for action in (
        "CreateTable", "DeleteTable", "UpdateTable", "UpdateContinuousBackups", "UpdateTimeToLive", "TagResource",
        "UntagResource", "CreateBackup", "CreateTableReplica", "EnableKinesisStreamingDestination",
    )),
    *((f"logs:{action}", f"arn:aws:logs:{PROD}:{ACCOUNT}:log-group:{group}")
      for group in (
        "/aws/lambda/event-api-prod", "/aws/lambda/event-api-prod-authorizer", "/aws/apigateway/event-api-prod",
        "aws-waf-logs-event-api-prod",
    ) for action in (
        "AssociateKmsKey", "CreateLogGroup", "DeleteLogGroup", "DeleteRetentionPolicy", "DisassociateKmsKey",
        "PutRetentionPolicy", "PutDataProtectionPolicy",
    )),
    *((f"lambda:{action}", f"arn:aws:lambda:{PROD}:{ACCOUNT}:function:event-api-prod{part}")
      for action in ("AddPermission", "RemovePermission") for part in ("", ":live", "-authorizer", "-authorizer:live")),
    ("wafv2:DisassociateWebACL", f"arn:aws:apigateway:{PROD}::/restapis/abc/stages/prod"),
    *((f"cloudwatch:{action}", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-{alarm}")
      for alarm in ("altered", "failing", "refused", "store")
      for action in ("DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm", "SetAlarmState", "TagResource")),
    ("cloudwatch:PutCompositeAlarm", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-store"),
    *((f"sns:{action}", f"arn:aws:sns:{PROD}:{ACCOUNT}:event-api-prod-alarms")
      for action in ("AddPermission", "DeleteTopic", "Publish", "SetTopicAttributes", "Subscribe")),
    ("logs:PutMetricFilter", f"arn:aws:logs:{PROD}:{ACCOUNT}:log-group:/aws/lambda/event-api-prod"),
    ("logs:DeleteMetricFilter", f"arn:aws:logs:{PROD}:{ACCOUNT}:log-group:/aws/apigateway/event-api-prod"),
    ("logs:DeleteLogStream", f"arn:aws:logs:{PROD}:{ACCOUNT}:log-group:/aws/lambda/event-api-prod:log-stream:a"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "resource"), PROTECTED)
def test_deployment_cannot_change_what_is_protected(plans: Plans, action: str, resource: str) -> None:
    """The boundary of a protected stage denies changes of its tables, logs and callers, even to an administrator."""
    boundary, by_gateway = of_stage(plans, "prod", "deploy_boundary"), {"lambda:Principal": "apigateway.amazonaws.com"}
    assert not allowed([ADMINISTRATOR], action, resource, by_gateway, boundary)
    unprotected = of_stage(plans, "dev", "deploy_boundary")
    of_dev = resource.replace("event-api-prod", "event-api-dev").replace(PROD, REGION)
    assert allowed([ADMINISTRATOR], action, of_dev, by_gateway, unprotected)  # so the denial is the protection's


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:DescribeTable", f"arn:aws:dynamodb:{PROD}:{ACCOUNT}:table/event-api-prod-events"),
        ("dynamodb:DescribeContinuousBackups", f"arn:aws:dynamodb:{PROD}:{ACCOUNT}:table/event-api-prod-tokens"),
        ("dynamodb:GetResourcePolicy", f"arn:aws:dynamodb:{PROD}:{ACCOUNT}:table/event-api-prod-events"),
        ("logs:ListTagsForResource", f"arn:aws:logs:{PROD}:{ACCOUNT}:log-group:/aws/lambda/event-api-prod"),
        ("cloudwatch:DescribeAlarms", "*"),
        ("cloudwatch:ListTagsForResource", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-altered"),
        ("cloudwatch:ListTagsForResource", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-store"),
        *((f"cloudwatch:{action}", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-{alarm}")
          for action in ("DeleteAlarms", "PutMetricAlarm") for alarm in ("api-5xx", "store-unavailable")),
        ("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/event-api-prod"),
        ("logs:DescribeMetricFilters", f"arn:aws:logs:{PROD}:{ACCOUNT}:log-group:/aws/lambda/event-api-prod"),
        ("sns:GetTopicAttributes", f"arn:aws:sns:{PROD}:{ACCOUNT}:event-api-prod-alarms"),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{PROD}:{ACCOUNT}:function:event-api-prod"),
        ("lambda:UpdateAlias", f"arn:aws:lambda:{PROD}:{ACCOUNT}:function:event-api-prod:live"),
        ("wafv2:UpdateWebACL", f"arn:aws:wafv2:{PROD}:{ACCOUNT}:regional/webacl/event-api-prod/abc"),
    ],
)
def test_deployment_of_a_protected_stage_works(plans: Plans, action: str, resource: str) -> None:
    """The deploy role of a protected stage can read the settings of what is protected, and deploy code."""
    boundary = of_stage(plans, "prod", "deploy_boundary")
    assert allowed(of_stage(plans, "prod", *POLICIES), action, resource, {}, boundary)

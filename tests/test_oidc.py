"""The root terraform/oidc/, which an administrator applies once: who may assume which role, and what a role may do.

The tests plan the policies with the real provider. The emulator's IAM evaluator then evaluates them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chalicelib.index import INDEXES
from ministack.core.iam_evaluator import EvalContext, evaluate, evaluate_trust_policy, parse_policy_document
from roots import ACCOUNT, BY_DYNAMODB, BY_LAMBDA, FUNCTION, KEY, LOG, NEEDS_TERRAFORM, REGION, REGIONS, STAGES
from roots import Plans, copied_project, listed, planned, request, run

ISSUER = "token.actions.githubusercontent.com"

pytestmark = NEEDS_TERRAFORM


@pytest.fixture(scope="session", name="oidc")
def _oidc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an initialised copy of the root oidc/, for stages in three regions. Only prod is protected."""
    root = copied_project(tmp_path_factory.mktemp("oidc") / "project") / "terraform" / "oidc"
    for stage, region in REGIONS.items():
        tfvars = root.parent / "stages" / f"{stage}.tfvars"
        protected = json.dumps(stage == "prod")
        settings = (f'region="{region}" # a comment', "un_protected = true", f"protected={protected} # a comment")
        tfvars.write_text("\n ".join(('other_region = "eu-west-1"', *settings, "")))
    run("terraform", "init", "-backend=false", "-input=false", cwd=root)
    return root


@pytest.fixture(scope="session", name="plans")
def _plans(oidc: Path) -> Plans:
    """Return the plans of Terraform's tests of oidc/."""
    return planned(oidc)


def test_root_is_valid(oidc: Path) -> None:
    """Terraform and the provider accept the root without a warning."""
    result = json.loads(run("terraform", "validate", "-json", cwd=oidc).stdout)
    assert (result["valid"], result["diagnostics"]) == (True, [])


def test_root_passes_its_terraform_tests(plans: Plans) -> None:
    """Terraform's own tests of the root pass."""
    assert ROLES in plans


REPOSITORY = "repo:octo-org@6894/events@45817"
TRUSTED = {"aud": "sts.amazonaws.com", "sub": f"{REPOSITORY}:environment:prod"}
ROLES = "roles_state_and_log_role"


def trusts(role: dict[str, Any], claims: dict[str, str], provider: str = ISSUER) -> bool:
    """Tell whether a token with these claims can assume a role."""
    context = EvalContext(
        principal_arn="",
        principal_type="FederatedUser",
        principal_account=ACCOUNT,
        action="sts:AssumeRoleWithWebIdentity",
        resource_arn="*",
        region=REGION,
        service_context={f"{ISSUER}:{claim}": value for claim, value in claims.items()},
    )
    provider_arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}"
    return evaluate_trust_policy(role["assume_role_policy"], provider_arn, context)


def test_environment_of_this_repository_assumes_its_role(plans: Plans) -> None:
    """The deploy role of prod trusts this repository's environment prod."""
    assert trusts(plans[ROLES]['aws_iam_role.deploy["prod"]'], TRUSTED)


@pytest.mark.parametrize(
    "claims",
    [
        TRUSTED | {"sub": "repo:octo-org/events:environment:prod"},  # names without numbers
        TRUSTED | {"sub": "repo:octo-org@6894/events:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org-6894/events-45817:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org@6894/event@45817:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org@6894/Events@45817:environment:prod"},
        TRUSTED | {"sub": "repo:octo@6894/events@45817:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org@6894/events@45818:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org@6895/events@45817:environment:prod"},
        TRUSTED | {"sub": f"{REPOSITORY}0:environment:prod"},
        TRUSTED | {"sub": f"{REPOSITORY}:environment:dev"},
        TRUSTED | {"sub": f"{REPOSITORY}:environment:production"},
        TRUSTED | {"sub": f"{REPOSITORY}:environment:*"},
        TRUSTED | {"sub": f"{REPOSITORY}:ref:refs/heads/main"},
        TRUSTED | {"sub": f"{REPOSITORY}:pull_request"},
        TRUSTED | {"sub": ""},
        TRUSTED | {"aud": "https://github.com/octo-org"},
        {"aud": TRUSTED["aud"]},
        {"sub": TRUSTED["sub"]},
        {},
    ],
    ids=str,
)
def test_other_token_assumes_no_role(plans: Plans, claims: dict[str, str]) -> None:
    """A token with another repository, branch, event or environment, or with a missing claim, assumes no role."""
    assert not trusts(plans[ROLES]['aws_iam_role.deploy["prod"]'], claims)


def test_token_of_another_issuer_assumes_no_role(plans: Plans) -> None:
    """A token with the same claims from another issuer assumes no role."""
    assert not trusts(plans[ROLES]['aws_iam_role.deploy["prod"]'], TRUSTED, provider="gitlab.com")


def test_each_environment_assumes_its_roles(plans: Plans) -> None:
    """An environment <stage> assumes the stage's deploy role. <stage>-check assumes its plan and its rollback role."""
    plan = plans[ROLES]
    roles = {address: role for address, role in plan.items() if ISSUER in (role or {}).get("assume_role_policy", "")}
    expected = {f"environment:{stage}": [f'aws_iam_role.deploy["{stage}"]'] for stage in STAGES}
    expected |= {
        f"environment:{stage}-check": [f'aws_iam_role.{role}["{stage}"]' for role in ("plan", "rollback")]
        for stage in STAGES
    }
    assert len(roles) == sum(map(len, expected.values()))
    expected |= {context: [] for context in ("pull_request", "ref:refs/heads/main", "environment:check")}
    for context, assumed in expected.items():
        claims = TRUSTED | {"sub": f"{REPOSITORY}:{context}"}
        assert [address for address, role in roles.items() if trusts(role, claims)] == assumed


POLICIES = ("deploy", "deploy_edge", "deploy_monitoring", "deploy_release")  # the policies of a deploy role


def policy(plans: Plans, address: str) -> dict[str, Any]:
    """Return the document of a planned managed policy."""
    return json.loads(plans[ROLES][address]["policy"])


def of_stage(plans: Plans, stage: str, *names: str) -> list[dict[str, Any]]:
    """Return the documents of a stage's managed policies."""
    return [policy(plans, f'aws_iam_policy.{name}["{stage}"]') for name in names]


def allowed(
    documents: list[dict[str, Any]],
    action: str,
    resource: str,
    context: dict[str, Any],
    boundary: list[dict[str, Any]] | None = None,
) -> bool:
    """Tell whether the policies allow an action, within the boundary if there is one."""
    limits = [] if boundary is None else [list(map(parse_policy_document, boundary))]
    policies = list(map(parse_policy_document, documents))
    return evaluate(request(action, resource, context), policies, *limits).decision == "Allow"


def allow_statements(document: dict[str, Any]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the actions and resources of each Allow statement."""
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            yield set(listed(statement["Action"])), set(listed(statement["Resource"]))


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


FUNCTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-api_handler"
RELEASE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-codedeploy"
RELEASE_APP = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:application:event-api-dev"
RELEASE_GROUP = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:event-api-dev/event-api-dev"
AUTHORIZER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-authorizer"
DEPLOY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-deploy-dev"
DEPLOY_POLICY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-deploy-dev"
DEPLOY_BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-deploy-boundary-dev"
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-events"
TOKEN_TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-tokens"
API = f"arn:aws:apigateway:{REGION}::/restapis"
API_STAGE = f"{API}/abc/stages/dev"
API_TAGS = f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2Fabc"
FIREWALL = f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/webacl/event-api-dev/abc"
FIREWALL_GROUP = f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/managedruleset/AWS/AWSManagedRulesCommonRuleSet"
SCALING = f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/abc"
ACCESS_LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/apigateway/event-api-dev"
PROD = REGIONS["prod"]
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:event-api-dev-altered"
DASHBOARD = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/event-api-dev"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:event-api-dev-alarms"
TO_TOPIC = {"cloudwatch:AlarmActions": [TOPIC]}
OURS = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": "dev"}
PRODS = OURS | {"aws:ResourceTag/stage": "prod"}
ASKED = {"aws:RequestTag/project": "event-api", "aws:RequestTag/stage": "dev"}
# The tags of APIs. AWS does not send the tags of an API when a call sets or removes tags (API_TAGS).
OUR_API = OURS | {"aws:ResourceTag/event-api-dev": "owner"}
PRODS_API = PRODS | {"aws:ResourceTag/event-api-prod": "owner"}
TAKEN_API = OUR_API | PRODS_API  # prod's API, to which dev has added its own tag
RETAGGED_API = PRODS_API | OURS  # prod's API, whose shared tags dev has overwritten


def scaling_of(namespace: str) -> dict[str, str]:
    """Return the context of a call that changes the scaling of an AWS service."""
    return {"application-autoscaling:service-namespace": namespace}


def logs_to(destination: str) -> dict[str, str]:
    """Return the context of a call that sets the destination of a stage's access log."""
    return {"apigateway:Request/AccessLoggingDestination": destination}


def asked(*keys: str, **tags: str) -> dict[str, Any]:
    """Return the context of a call that sets tags, by default those of dev. Underscores in names become hyphens."""
    tags = {"project": "event-api", "stage": "dev", "event_api_dev": "owner", **tags}
    named = {name.replace("_", "-"): value for name, value in tags.items()}
    return {f"aws:RequestTag/{name}": value for name, value in named.items()} | {"aws:TagKeys": [*named, *keys]}


ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


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


@pytest.mark.parametrize("other", STAGES)
@pytest.mark.parametrize("stage", STAGES)
def test_plan_role_reads_only_its_stage(plans: Plans, stage: str, other: str) -> None:
    """The plan role of a stage can read the resources of this stage in its region, and no others."""
    region, document = REGIONS[other], of_stage(plans, stage, "plan")
    tags = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": other}
    key, by_lambda = f"arn:aws:kms:{region}:{ACCOUNT}:key/abc", {"kms:ViaService": f"lambda.{region}.amazonaws.com"}
    for action, resource, context in [
        ("dynamodb:DescribeTable", f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/event-api-{other}-events", {}),
        ("lambda:GetFunction", f"arn:aws:lambda:{region}:{ACCOUNT}:function:event-api-{other}-authorizer", {}),
        ("apigateway:GET", f"arn:aws:apigateway:{region}::/restapis/abc", {}),
        ("kms:DescribeKey", key, tags),
        ("kms:Decrypt", key, tags | by_lambda),
        ("dynamodb:GetResourcePolicy", f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/event-api-{other}-events", {}),
        ("s3:GetObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/{other}.tfstate", {}),
        ("cloudwatch:ListTagsForResource", f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:event-api-{other}-store", {}),
        ("cloudwatch:GetDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/event-api-{other}", {}),
        ("sns:GetTopicAttributes", f"arn:aws:sns:{region}:{ACCOUNT}:event-api-{other}-alarms", {}),
    ]:
        assert allowed(document, action, resource, context) == (stage == other), action


@pytest.mark.parametrize("stage", STAGES)
def test_plan_role_only_reads(plans: Plans, stage: str) -> None:
    """A plan changes nothing. It cannot read events, tokens or logs, and the job cannot lock the state."""
    (document,) = of_stage(plans, stage, "plan")
    actions = set().union(*(actions for actions, _ in allow_statements(document)))
    verbs = ("Describe", "Get", "GET", "List")
    assert [action for action in actions if not action.split(":")[1].startswith(verbs)] == ["kms:Decrypt"]
    assert not {"dynamodb:GetItem", "logs:GetLogEvents"} & actions
    assert "tflock" not in json.dumps(document)


@pytest.mark.parametrize("other", STAGES)
@pytest.mark.parametrize("stage", STAGES)
def test_roles_of_a_release_reach_only_its_stage(plans: Plans, stage: str, other: str) -> None:
    """A stage's role for rollbacks, and CodeDeploy's, can move the aliases of this stage. They can change no code."""
    region = REGIONS[other]
    function = f"arn:aws:lambda:{region}:{ACCOUNT}:function:event-api-{other}-authorizer"
    group = f"arn:aws:codedeploy:{region}:{ACCOUNT}:deploymentgroup:event-api-{other}/event-api-{other}"
    rollback = of_stage(plans, stage, "rollback")
    code_deploy = [policy(plans, f'aws_iam_role_policy.codedeploy["{stage}"]')]
    for role in (rollback, code_deploy):
        assert allowed(role, "lambda:UpdateAlias", f"{function}:live", {}) == (stage == other)
    for version in (function, f"{function}:41"):
        assert allowed(rollback, "lambda:GetFunctionConfiguration", version, {}) == (stage == other)
    for role in (rollback, code_deploy):
        for action in ("PublishVersion", "UpdateFunctionCode", "CreateAlias", "DeleteAlias", "InvokeFunction"):
            assert not allowed(role, f"lambda:{action}", function, {})
    for action, expected in [("GetDeployment", stage == other), ("CreateDeployment", False), ("StopDeployment", False)]:
        assert allowed(rollback, f"codedeploy:{action}", group, {}) == expected
    assert not allowed(code_deploy, "codedeploy:CreateDeployment", group, {})


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (OURS | BY_LAMBDA, True), (OURS | BY_DYNAMODB, False), (OURS, False), (BY_LAMBDA, False),
        (PRODS | BY_LAMBDA, False),
    ],
    ids=["by Lambda", "by DynamoDB", "itself", "of another's key", "of another stage"],
)  # fmt: skip
@pytest.mark.parametrize("role", ["plan", "rollback"])
def test_role_decrypts_only_an_environment(plans: Plans, role: str, context: dict[str, Any], expected: bool) -> None:
    """The roles to plan and to roll back may decrypt a function's environment through Lambda. They decrypt no table."""
    assert allowed(of_stage(plans, "dev", role), "kms:Decrypt", KEY, context) == expected


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
    *((f"cloudwatch:{action}", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-altered")
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
        ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{PROD}:{ACCOUNT}:alarm:event-api-prod-api-5xx"),
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


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("of", ["api_handler", "authorizer"])
def test_function_role_has_only_what_the_function_needs(plans: Plans, stage: str, of: str) -> None:
    """A function's role can only use its table from inside the function, its log, traces, and the stage's key."""
    region = REGIONS[stage]
    events, restored, tokens = (
        f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/event-api-{stage}-{table}"
        for table in ("events", "events-restored", "tokens")
    )
    name = f"event-api-{stage}" if of == "api_handler" else f"event-api-{stage}-authorizer"
    own = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
    inside = {"ArnEquals": {"lambda:SourceFunctionArn": [own, f"{own}:*"]}}
    of_tables = {
        "api_handler": [
            (["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"], [events, restored], inside),
            (["dynamodb:Query"], [f"{t}/index/{i}" for t in (restored, events) for i in sorted(INDEXES)], inside),
        ],
        "authorizer": [(["dynamodb:GetItem"], [tokens], inside)],
    }[of]
    tags = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": stage}
    document = policy(plans, f'aws_iam_role_policy.function["{stage}/{of}"]')
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
    found = [
        (sorted(listed(statement["Action"])), sorted(listed(statement["Resource"])), statement.get("Condition"))
        for statement in document["Statement"]
    ]
    assert found == [
        *of_tables,
        (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"arn:aws:logs:{region}:{ACCOUNT}:log-group:/aws/lambda/{name}:*"],
            None,
        ),
        (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"], None),
        (
            ["kms:Decrypt"],
            [f"arn:aws:kms:{region}:{ACCOUNT}:key/*"],
            {"StringEquals": tags | {"kms:EncryptionContext:aws:lambda:FunctionArn": own}},
        ),
    ]

"""The root that a person applies once: who may take which role, and what each role may do.

Policies are evaluated as IAM would: the emulator's evaluation, on what the real provider renders.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate, evaluate_trust_policy, parse_policy_document
from roots import ACCOUNT, BY_DYNAMODB, BY_LAMBDA, FUNCTION, KEY, LOG, NEEDS_TERRAFORM, REGION, REGIONS, STAGES
from roots import Plans, copied_project, listed, planned, request, run

ISSUER = "token.actions.githubusercontent.com"

pytestmark = NEEDS_TERRAFORM


@pytest.fixture(scope="session", name="oidc")
def _oidc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an initialised copy of the root that a person applies once, for stages in three regions."""
    root = copied_project(tmp_path_factory.mktemp("oidc") / "project") / "terraform" / "oidc"
    for stage, region in REGIONS.items():
        tfvars = root.parent / "stages" / f"{stage}.tfvars"
        tfvars.write_text(f'other_region = "eu-west-1"\n region="{region}" # a comment\n')
    run("terraform", "init", "-backend=false", "-input=false", cwd=root)
    return root


@pytest.fixture(scope="session", name="plans")
def _plans(oidc: Path) -> Plans:
    """Return what Terraform's tests of oidc/ plan."""
    return planned(oidc)


def test_the_root_is_valid(oidc: Path) -> None:
    """Terraform and the provider accept the root, without a warning."""
    said = json.loads(run("terraform", "validate", "-json", cwd=oidc).stdout)
    assert (said["valid"], said["diagnostics"]) == (True, [])


def test_the_root_applied_once_passes_terraforms_tests(plans: Plans) -> None:
    """The root of state, trust and roles does what its own tests say."""
    assert {ROLES, BY_NUMBERS} <= set(plans)


TRUSTED = {"aud": "sts.amazonaws.com", "sub": "repo:octo-org/events:environment:prod"}
NUMBERED = {**TRUSTED, "sub": "repo:octo-org@6894/events@45817:environment:prod"}
ROLES = "roles_state_and_log_role"  # with names of the repository alone
BY_NUMBERS = "by_names_and_numbers_a_role_trusts_the_two_forms_of_its_one_subject"


def trusts(role: dict[str, Any], claims: dict[str, str], provider: str = ISSUER) -> bool:
    """Tell whether a role lets itself be taken with a token of such claims."""
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


@pytest.mark.parametrize(("plan", "claims"), [(ROLES, TRUSTED), (BY_NUMBERS, TRUSTED), (BY_NUMBERS, NUMBERED)])
def test_an_environment_of_this_repository_takes_its_role(
    plans: Plans, plan: str, claims: dict[str, str]
) -> None:
    """The deploy role of prod trusts this repository's environment prod, in both forms where the numbers are known."""
    assert trusts(plans[plan]['aws_iam_role.deploy["prod"]'], claims)


@pytest.mark.parametrize("plan", [ROLES, BY_NUMBERS])
@pytest.mark.parametrize(
    "claims",
    [
        TRUSTED | {"sub": "repo:octo-org/event:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org/events2:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org/Events:environment:prod"},
        TRUSTED | {"sub": "repo:octo/events:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org/events:environment:dev"},
        TRUSTED | {"sub": "repo:octo-org/events:environment:production"},
        TRUSTED | {"sub": "repo:octo-org/events:environment:*"},
        TRUSTED | {"sub": "repo:octo-org/events:ref:refs/heads/main"},
        TRUSTED | {"sub": "repo:octo-org/events:ref:refs/heads/other"},
        TRUSTED | {"sub": "repo:octo-org/events:pull_request"},
        TRUSTED | {"sub": "repo:octo-org@6894/events@45818:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org@6895/events@45817:environment:prod"},
        TRUSTED | {"sub": "repo:octo-org@6894/events@45817:environment:dev"},
        TRUSTED | {"sub": ""},
        TRUSTED | {"aud": "https://github.com/octo-org"},
        {"aud": TRUSTED["aud"]},
        {"sub": TRUSTED["sub"]},
        {},
    ],
    ids=str,
)
def test_no_other_token_takes_a_role(plans: Plans, plan: str, claims: dict[str, str]) -> None:
    """Another repository, branch, event or environment, or a missing claim, is refused."""
    assert not trusts(plans[plan]['aws_iam_role.deploy["prod"]'], claims)


def test_no_other_provider_opens_a_role(plans: Plans) -> None:
    """The same claims from another issuer are refused."""
    assert not trusts(plans[ROLES]['aws_iam_role.deploy["prod"]'], TRUSTED, provider="gitlab.com")


def test_a_pull_request_takes_the_plan_role_alone(plans: Plans) -> None:
    """The plan role trusts pull requests and no environment; no deploy role trusts a pull request."""
    plan = plans[BY_NUMBERS]
    roles = {address: role for address, role in plan.items() if ISSUER in (role or {}).get("assume_role_policy", "")}
    for subject in ("repo:octo-org/events:pull_request", "repo:octo-org@6894/events@45817:pull_request"):
        takes = [address for address, role in roles.items() if trusts(role, TRUSTED | {"sub": subject})]
        assert takes == ["aws_iam_role.plan"]
    assert len(roles) == 4
    assert not trusts(roles["aws_iam_role.plan"], TRUSTED)


POLICIES = ("deploy", "deploy_edge")  # of a deploy role, together


def policy(plans: Plans, address: str) -> dict[str, Any]:
    """Return a planned managed policy's document."""
    return json.loads(plans[ROLES][address]["policy"])


def of_stage(plans: Plans, stage: str, *names: str) -> list[dict[str, Any]]:
    """Return a stage's managed policies."""
    return [policy(plans, f'aws_iam_policy.{name}["{stage}"]') for name in names]


def allowed(
    documents: list[dict[str, Any]],
    action: str,
    resource: str,
    context: dict[str, Any],
    boundary: list[dict[str, Any]] | None = None,
) -> bool:
    """Tell whether policies together, within a boundary if there is one, allow an action."""
    limits = [] if boundary is None else [list(map(parse_policy_document, boundary))]
    policies = list(map(parse_policy_document, documents))
    return evaluate(request(action, resource, context), policies, *limits).decision == "Allow"


def allow_statements(document: dict[str, Any]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the actions and resources of each statement that allows something."""
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            yield set(listed(statement["Action"])), set(listed(statement["Resource"]))


@pytest.mark.parametrize(
    ("address", "of_any_resource"),
    [
        ('aws_iam_policy.function_boundary["dev"]', {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
        ('aws_iam_policy.authorizer_boundary["dev"]', {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
        (
            'aws_iam_policy.deploy_edge["dev"]',
            {
                "kms:CreateKey",
                "kms:ListAliases",
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DeleteResourcePolicy",
                "logs:DescribeResourcePolicies",
                "logs:PutResourcePolicy",
            },
        ),
        (
            'aws_iam_policy.deploy["dev"]',
            {
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "cloudwatch:DescribeAlarms",
            },
        ),
        (
            "aws_iam_policy.plan",
            {
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "kms:ListAliases",
                "logs:DescribeResourcePolicies",
            },
        ),
    ],
)
def test_a_policy_names_its_actions_and_resources(
    plans: Plans, address: str, of_any_resource: set[str]
) -> None:
    """No action has a wildcard; only those have no resource for which AWS has none."""
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
def test_a_deploy_role_makes_the_two_service_roles_alone(
    plans: Plans, service: str, expected: bool
) -> None:
    """AWS's own roles for autoscaling and for API Gateway's traces may be made; no other service's."""
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/AWSServiceRole"
    call = ("iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": service})
    assert allowed(of_stage(plans, "dev", *POLICIES), *call) == expected


@pytest.mark.parametrize("name", [*POLICIES, "deploy_boundary", "function_boundary", "authorizer_boundary"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_policy_is_no_longer_than_iam_takes(plans: Plans, stage: str, name: str) -> None:
    """A managed policy has 6,144 characters at most, white space not counted."""
    (document,) = of_stage(plans, stage, name)
    assert len(json.dumps(document, separators=(",", ":"))) <= 6144


@pytest.mark.parametrize("stage", STAGES)
def test_a_deploy_role_reaches_its_own_stage_alone(plans: Plans, stage: str) -> None:
    """What a deploy role may touch is named after its stage, but where AWS makes the name up or lists."""
    region = REGIONS[stage]
    made_up = {
        "*",
        f"arn:aws:s3:::event-api-state-{ACCOUNT}",  # lists it
        f"arn:aws:logs:{region}:{ACCOUNT}:log-group:*",  # lists them
        f"arn:aws:application-autoscaling:{region}:{ACCOUNT}:scalable-target/*",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/*",
        f"arn:aws:apigateway:{region}::/restapis",
        f"arn:aws:apigateway:{region}::/restapis/*",
        f"arn:aws:apigateway:{region}::/restapis/*/stages/{stage}",
        f"arn:aws:apigateway:{region}::/tags/arn%3Aaws%3Aapigateway%3A{region}%3A%3A%2Frestapis%2F*",
        f"arn:aws:kms:{region}:{ACCOUNT}:key/*",
        f"arn:aws:wafv2:{region}:{ACCOUNT}:regional/managedruleset/*/*",
    }
    documents = of_stage(plans, stage, *POLICIES)
    touched = set().union(*(resources for document in documents for _, resources in allow_statements(document)))
    assert made_up < touched
    others = [name for name in touched - made_up if f"event-api-{stage}" not in name]
    state = f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/{stage}.tfstate"
    assert set(others) == {state, f"{state}.tflock"}


FUNCTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-api_handler"
AUTHORIZER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-authorizer"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-function-boundary-dev"
AUTHORIZER_BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-authorizer-boundary-dev"
DEPLOY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-deploy-dev"
DEPLOY_POLICY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-deploy-dev"
DEPLOY_BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-deploy-boundary-dev"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-events"
TOKEN_TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-tokens"
API = f"arn:aws:apigateway:{REGION}::/restapis"
API_STAGE = f"{API}/abc/stages/dev"
API_TAGS = f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2Fabc"
FIREWALL = f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/webacl/event-api-dev/abc"
FIREWALL_GROUP = f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/managedruleset/AWS/AWSManagedRulesCommonRuleSet"
OURS = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": "dev"}
PRODS = OURS | {"aws:ResourceTag/stage": "prod"}
ASKED = {"aws:RequestTag/project": "event-api", "aws:RequestTag/stage": "dev"}
ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:CreateRole", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PutRolePolicy", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PutRolePermissionsBoundary", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:CreateRole", AUTHORIZER_ROLE, {"iam:PermissionsBoundary": AUTHORIZER_BOUNDARY}),
        ("iam:PutRolePolicy", AUTHORIZER_ROLE, {"iam:PermissionsBoundary": AUTHORIZER_BOUNDARY}),
        ("iam:PassRole", FUNCTION_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("iam:PassRole", AUTHORIZER_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("apigateway:POST", API, ASKED),
        ("apigateway:PUT", f"{API}/abc", OURS),
        ("apigateway:POST", f"{API}/abc/deployments", OURS),
        ("apigateway:PUT", API_TAGS, ASKED),
        ("apigateway:SetWebACL", API_STAGE, OURS),
        ("dynamodb:CreateTable", TABLE, {}),
        ("dynamodb:CreateTable", TOKEN_TABLE, {}),
        ("lambda:UpdateAlias", f"{FUNCTION}:live", {}),
        ("lambda:UpdateAlias", f"{FUNCTION}-authorizer:live", {}),
        ("lambda:PutFunctionConcurrency", FUNCTION, {}),
        ("lambda:AddPermission", f"{FUNCTION}:live", {"lambda:Principal": "apigateway.amazonaws.com"}),
        ("logs:CreateLogGroup", f"{LOG}-authorizer", {}),
        ("logs:AssociateKmsKey", LOG, {}),
        ("logs:CreateLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:aws-waf-logs-event-api-dev", {}),
        ("logs:PutResourcePolicy", "*", {}),
        ("wafv2:CreateWebACL", FIREWALL, ASKED),
        ("wafv2:CreateWebACL", FIREWALL_GROUP, ASKED),
        ("wafv2:PutLoggingConfiguration", FIREWALL, {}),
        ("wafv2:AssociateWebACL", FIREWALL, {}),
        ("wafv2:AssociateWebACL", API_STAGE, {}),
        ("kms:CreateKey", "*", ASKED),
        ("kms:TagResource", KEY, ASKED),
        ("kms:TagResource", KEY, ASKED | OURS | {"kms:ResourceAliases": ["alias/event-api-dev"]}),
        ("kms:PutKeyPolicy", KEY, OURS),
        ("kms:CreateAlias", KEY, OURS),
        ("kms:CreateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/event-api-dev", {}),
        ("kms:CreateGrant", KEY, OURS | BY_DYNAMODB),
        ("kms:Encrypt", KEY, OURS | BY_LAMBDA),
        ("s3:PutObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate.tflock", {}),
    ],
)
def test_a_deploy_role_may_deploy(plans: Plans, action: str, resource: str, context: dict[str, Any]) -> None:
    """The deploy role of dev may do what deploying dev takes, within its boundary."""
    boundary = of_stage(plans, "dev", "deploy_boundary")
    assert allowed(of_stage(plans, "dev", *POLICIES), action, resource, context, boundary)


# What no policy gives a deploy role, and what its boundary withholds from it even if somebody made it administrator.
NEVER: list[tuple[str, str, dict[str, Any]]] = [
    ("iam:CreateRole", FUNCTION_ROLE, {}),
    ("iam:CreateRole", FUNCTION_ROLE, {"iam:PermissionsBoundary": DEPLOY_POLICY}),
    ("iam:CreateRole", AUTHORIZER_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
    ("iam:CreateRole", FUNCTION_ROLE, {"iam:PermissionsBoundary": AUTHORIZER_BOUNDARY}),
    ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/other", {"iam:PermissionsBoundary": BOUNDARY}),
    ("iam:PutRolePolicy", FUNCTION_ROLE, {}),
    ("iam:PutRolePermissionsBoundary", FUNCTION_ROLE, {"iam:PermissionsBoundary": DEPLOY_POLICY}),
    ("iam:PutRolePermissionsBoundary", AUTHORIZER_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
    ("iam:DeleteRolePermissionsBoundary", FUNCTION_ROLE, {}),
    ("iam:DeleteRolePermissionsBoundary", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
    ("iam:UpdateAssumeRolePolicy", FUNCTION_ROLE, {}),
    ("iam:UpdateAssumeRolePolicy", AUTHORIZER_ROLE, {"iam:PermissionsBoundary": AUTHORIZER_BOUNDARY}),
    ("lambda:AddPermission", FUNCTION, {"lambda:Principal": "210987654321"}),
    ("lambda:AddPermission", f"{FUNCTION}:live", {"lambda:Principal": "*"}),
    ("apigateway:DELETE", f"{API}/abc", PRODS),
    ("kms:ScheduleKeyDeletion", KEY, PRODS),
    ("kms:PutKeyPolicy", KEY, PRODS),
    ("iam:PassRole", DEPLOY_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("iam:PutRolePolicy", DEPLOY_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
    ("iam:AttachRolePolicy", DEPLOY_ROLE, {"iam:PermissionsBoundary": DEPLOY_POLICY}),
    ("iam:UpdateAssumeRolePolicy", DEPLOY_ROLE, {}),
    ("iam:PutRolePermissionsBoundary", DEPLOY_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
    ("iam:DeleteRolePermissionsBoundary", DEPLOY_ROLE, {}),
    ("iam:CreatePolicyVersion", DEPLOY_POLICY, {}),
    ("iam:SetDefaultPolicyVersion", DEPLOY_POLICY, {}),
    ("iam:DeletePolicy", DEPLOY_POLICY, {}),
    ("iam:CreatePolicyVersion", BOUNDARY, {}),
    ("iam:CreatePolicyVersion", AUTHORIZER_BOUNDARY, {}),
    ("iam:CreatePolicyVersion", DEPLOY_BOUNDARY, {}),
    ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/other", {}),
    ("sts:AssumeRole", FUNCTION_ROLE, {}),
    ("apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/account", OURS),
    ("dynamodb:GetItem", TABLE, {}),
    ("dynamodb:Scan", TOKEN_TABLE, {}),
    ("dynamodb:PutItem", TOKEN_TABLE, {}),
    ("dynamodb:ExportTableToPointInTime", TABLE, {}),
    ("dynamodb:PutResourcePolicy", TOKEN_TABLE, {}),
    ("dynamodb:DeleteTable", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-prod-events", {}),
    ("lambda:InvokeFunction", FUNCTION, {}),
    ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-prod", {}),
    ("logs:FilterLogEvents", LOG, {}),
    ("logs:PutSubscriptionFilter", LOG, {}),
    ("logs:DeleteLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/event-api-prod", {}),
    ("wafv2:DeleteWebACL", f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/webacl/event-api-prod/abc", {}),
    ("kms:Decrypt", KEY, OURS),
    ("kms:Decrypt", KEY, OURS | {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}),
    ("kms:GenerateDataKey", KEY, OURS),
    ("kms:CreateGrant", KEY, OURS),
    ("kms:UpdateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/event-api-prod", {}),
    ("s3:GetObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/prod.tfstate", {}),
    ("s3:PutBucketPolicy", f"arn:aws:s3:::event-api-state-{ACCOUNT}", {}),
]


@pytest.mark.parametrize(("action", "resource", "context"), NEVER)
def test_a_boundary_holds_whatever_a_deploy_role_is_given(
    plans: Plans, action: str, resource: str, context: dict[str, Any]
) -> None:
    """A deploy role that somebody makes administrator reaches no right of its own, no other stage, nothing kept."""
    assert not allowed([ADMINISTRATOR], action, resource, context, of_stage(plans, "dev", "deploy_boundary"))


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        *NEVER,
        ("iam:AttachRolePolicy", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PassRole", FUNCTION_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("apigateway:POST", API, {}),
        ("apigateway:POST", API, ASKED | {"aws:RequestTag/stage": "prod"}),
        ("apigateway:DELETE", f"{API}/abc", {}),
        ("apigateway:PUT", API_TAGS, ASKED | {"aws:ResourceTag/stage": "prod"}),
        ("apigateway:PUT", API_TAGS, ASKED | {"aws:RequestTag/stage": "prod"}),
        ("apigateway:SetWebACL", API_STAGE, PRODS),
        ("apigateway:SetWebACL", API_STAGE, {}),
        ("kms:CreateKey", "*", {}),
        ("kms:TagResource", KEY, ASKED | PRODS),
        ("kms:TagResource", KEY, ASKED | {"kms:ResourceAliases": ["alias/payroll"]}),
        ("kms:PutKeyPolicy", KEY, {}),
        ("kms:Decrypt", KEY, PRODS | BY_LAMBDA),
        ("kms:CreateGrant", KEY, PRODS | BY_DYNAMODB),
        ("s3:DeleteObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate", {}),
    ],
)
def test_a_deploy_role_may_not_widen_itself_or_reach_further(
    plans: Plans, action: str, resource: str, context: dict[str, Any]
) -> None:
    """By its policies it touches no role but the functions', each within its boundary; no other stage, nothing kept."""
    assert not allowed(of_stage(plans, "dev", *POLICIES), action, resource, context)


@pytest.mark.parametrize("stage", STAGES)
def test_the_plan_role_reads_each_stage_in_its_region(plans: Plans, stage: str) -> None:
    """A pull request's plan sees what each stage has, where that stage is."""
    region, document = REGIONS[stage], [policy(plans, "aws_iam_policy.plan")]
    tags = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": stage}
    key, by_lambda = f"arn:aws:kms:{region}:{ACCOUNT}:key/abc", {"kms:ViaService": f"lambda.{region}.amazonaws.com"}
    for action, resource, context in [
        ("dynamodb:DescribeTable", f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/event-api-{stage}-events", {}),
        ("lambda:GetFunction", f"arn:aws:lambda:{region}:{ACCOUNT}:function:event-api-{stage}-authorizer", {}),
        ("apigateway:GET", f"arn:aws:apigateway:{region}::/restapis/abc", {}),
        ("kms:DescribeKey", key, tags),
        ("kms:Decrypt", key, tags | by_lambda),
        ("s3:GetObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/{stage}.tfstate", {}),
    ]:
        assert allowed(document, action, resource, context), action
    assert len(json.dumps(document[0], separators=(",", ":"))) <= 6144


def test_the_plan_role_only_reads(plans: Plans) -> None:
    """A pull request's plan changes nothing and reads no event, no token and no log."""
    actions = set().union(*(actions for actions, _ in allow_statements(policy(plans, "aws_iam_policy.plan"))))
    verbs = ("Describe", "Get", "GET", "List")
    assert [action for action in actions if not action.split(":")[1].startswith(verbs)] == ["kms:Decrypt"]
    assert not {"dynamodb:GetItem", "logs:GetLogEvents"} & actions


@pytest.mark.parametrize(
    ("context", "expected"),
    [(OURS | BY_LAMBDA, True), (OURS | BY_DYNAMODB, False), (OURS, False), (BY_LAMBDA, False)],
    ids=["by Lambda", "by DynamoDB", "itself", "of another's key"],
)
def test_the_plan_role_decrypts_an_environment_alone(plans: Plans, context: dict[str, Any], expected: bool) -> None:
    """What it may decrypt is the environment of a function, by Lambda, and nothing of a table."""
    assert allowed([policy(plans, "aws_iam_policy.plan")], "kms:Decrypt", KEY, context) == expected


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("of", ["function", "authorizer"])
def test_a_boundary_is_what_a_function_needs(plans: Plans, stage: str, of: str) -> None:
    """No role that a deploy role makes can do more: its one table, by the stage's key if it has one, log and trace."""
    name, table, actions = {
        "function": (f"event-api-{stage}", "events", ["dynamodb:GetItem", "dynamodb:PutItem"]),
        "authorizer": (f"event-api-{stage}-authorizer", "tokens", ["dynamodb:GetItem"]),
    }[of]
    region = REGIONS[stage]
    own = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
    tags = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": stage}
    keys = f"arn:aws:kms:{region}:{ACCOUNT}:key/*"
    (document,) = of_stage(plans, stage, f"{of}_boundary")
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
    found = [
        (sorted(listed(statement["Action"])), statement["Resource"], statement.get("Condition"))
        for statement in document["Statement"]
    ]
    assert found == [
        (actions, f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/event-api-{stage}-{table}", None),
        (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            f"arn:aws:logs:{region}:{ACCOUNT}:log-group:/aws/lambda/{name}:*",
            None,
        ),
        (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*", None),
        (
            [
                "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
            ],
            keys,
            {"StringEquals": tags | {"kms:ViaService": f"dynamodb.{region}.amazonaws.com"}},
        ),
        (["kms:Decrypt"], keys, {"StringEquals": tags | {"kms:EncryptionContext:aws:lambda:FunctionArn": own}}),
    ]  # fmt: skip

"""Rules of the deployment that Terraform itself can check: nothing is applied, AWS is never asked.

Each root is checked in a copy, so that these tests neither need nor change what somebody has initialised or packaged.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate, evaluate_trust_policy, parse_policy_document
from processes import ROOT

STAGES = ["dev", "staging", "prod"]
ACCOUNT, REGION = "123456789012", "ap-southeast-1"  # what terraform/oidc/tests plan with
ISSUER = "token.actions.githubusercontent.com"

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not on the PATH.")

# Checks of checkov's that do not fit, each told why where it is skipped.
SKIPS = {
    ("stage.tf", "aws_api_gateway_stage.this"): {"CKV_AWS_120", "CKV2_AWS_4", "CKV2_AWS_29", "CKV2_AWS_51"},
    ("stage.tf", "aws_api_gateway_method_settings.this"): {"CKV_AWS_225", "CKV_AWS_308"},
    ("table.tf", "aws_dynamodb_table.events"): {"CKV_AWS_119"},
    ("role.tf", "aws_iam_policy_document.api_handler"): {"CKV_AWS_111", "CKV_AWS_356"},
    ("logs.tf", "aws_cloudwatch_log_group.api_handler"): {"CKV_AWS_158", "CKV_AWS_338"},
    ("logs.tf", "aws_cloudwatch_log_group.access"): {"CKV_AWS_158", "CKV_AWS_338"},
    ("oidc/state.tf", "aws_s3_bucket.state"): {"CKV_AWS_18", "CKV_AWS_144", "CKV_AWS_145", "CKV2_AWS_62"},
    ("oidc/provider_github.tf", "aws_iam_policy_document.trust"): {"CKV_AWS_358"},
    ("oidc/function_boundary.tf", "aws_iam_policy_document.function_boundary"): {"CKV_AWS_111", "CKV_AWS_356"},
    ("oidc/deploy_role.tf", "aws_iam_policy_document.deploy"): {"CKV_AWS_356"},
    ("oidc/plan_role.tf", "aws_iam_policy_document.plan"): {"CKV_AWS_356"},
    ("chalice.tf.json", "api_handler"): {
        "CKV_AWS_115", "CKV_AWS_116", "CKV_AWS_117", "CKV_AWS_173", "CKV_AWS_272",
    },
    ("chalice.tf.json", "rest_api"): {"CKV_AWS_237"},
}


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; where it fails, fail with all it said."""
    # The providers that `init` fetches stay for the next run.
    environment = {**os.environ, "TF_DATA_DIR": str(ROOT / ".local" / "terraform-tests"), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        pytest.fail(f"{' '.join(map(str, command))}: exit {done.returncode}\n{said}")
    return done


def copied(target: Path) -> Path:
    """Copy the Terraform code, with what was packaged, and return where to."""
    unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfplan", "*_override.tf", "__pycache__")
    return shutil.copytree(ROOT / "terraform", target, ignore=unwanted)


@pytest.fixture(scope="session", name="packaged_stage")
def _packaged_stage() -> str:
    """Return the stage of the packaged function; package it where it is not."""
    packaged = ROOT / "terraform" / "chalice.tf.json"
    if not packaged.exists():
        run("make", "package", "STAGE=dev", cwd=ROOT)
    return json.loads(packaged.read_text(encoding="utf-8"))["locals"]["packaged_stage"]


@pytest.fixture(scope="session", name="roots")
def _roots(packaged_stage: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return initialised copies of the stages' root, one as packaged for each stage."""
    roots = {}
    for stage in STAGES:
        roots[stage] = copied(tmp_path_factory.mktemp(stage) / "terraform")
        generated = roots[stage] / "chalice.tf.json"
        text = generated.read_text(encoding="utf-8").replace(f"event-api-{packaged_stage}", f"event-api-{stage}")
        packaged = json.loads(text)
        packaged["locals"]["packaged_stage"] = stage
        generated.write_text(json.dumps(packaged), encoding="utf-8")
        run("terraform", "init", "-backend=false", "-input=false", cwd=roots[stage])
    return roots


@pytest.fixture(scope="session", name="oidc")
def _oidc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an initialised copy of the root that a person applies once."""
    root = copied(tmp_path_factory.mktemp("oidc") / "terraform") / "oidc"
    run("terraform", "init", "-backend=false", "-input=false", cwd=root)
    return root


@pytest.fixture(scope="session", name="plans")
def _plans(oidc: Path) -> dict[str, dict[str, Any]]:
    """Return what Terraform's tests of oidc/ plan: run => address => planned values. The tests pass."""
    said = [json.loads(line) for line in run("terraform", "test", "-json", "-verbose", cwd=oidc).stdout.splitlines()]
    return {
        message["@testrun"]: {
            resource["address"]: resource["change"]["after"] for resource in message["test_plan"]["resource_changes"]
        }
        for message in said
        if message["type"] == "test_plan"
    }


def test_terraform_is_formatted() -> None:
    """Terraform's own format is the only one."""
    badly = run("terraform", "fmt", "-check", "-recursive", "-list=true", cwd=ROOT / "terraform", check=False)
    assert (badly.returncode, badly.stdout) == (0, "")


def test_both_roots_are_valid(roots: dict[str, Path], oidc: Path) -> None:
    """Terraform and the provider accept both roots, without a warning."""
    for root in (roots["dev"], oidc):
        said = json.loads(run("terraform", "validate", "-json", cwd=root).stdout)
        assert (said["valid"], said["diagnostics"]) == (True, [])


def test_a_stage_passes_terraforms_tests(roots: dict[str, Path]) -> None:
    """The stages' root does what its own tests say."""
    run("terraform", "test", "-var-file=stages/dev.tfvars", cwd=roots["dev"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_differs_as_its_tfvars_say(roots: dict[str, Path], stage: str) -> None:
    """Each stage's tfvars plan, with the values its use asks for."""
    said = run(
        "terraform", "test", f"-var-file=stages/{stage}.tfvars", "-filter=tests/stages.tftest.hcl", cwd=roots[stage]
    )
    assert "1 passed, 0 failed" in said.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_keeps_its_state_apart_and_locked(stage: str) -> None:
    """Each stage has a state of its own in the bucket, encrypted, with the backend's own lock."""
    backend = (ROOT / "terraform" / "stages" / f"{stage}.s3.tfbackend").read_text(encoding="utf-8")
    assert {tuple(part.strip() for part in line.split("=")) for line in backend.splitlines()} == {
        ("key", f'"event-api/{stage}.tfstate"'),
        ("region", f'"{REGION}"'),
        ("encrypt", "true"),
        ("use_lockfile", "true"),
    }


def test_the_root_applied_once_passes_terraforms_tests(plans: dict[str, dict[str, Any]]) -> None:
    """The root of state, trust and roles does what its own tests say."""
    assert {BY_NAMES, BY_NUMBERS, "each_role_has_the_policy_of_its_stage"} <= set(plans)


TRUSTED = {"aud": "sts.amazonaws.com", "sub": "repo:octo-org/events:environment:prod"}
NUMBERED = {**TRUSTED, "sub": "repo:octo-org@6894/events@45817:environment:prod"}
BY_NAMES = "by_names_a_role_trusts_its_one_subject"
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


@pytest.mark.parametrize(("plan", "claims"), [(BY_NAMES, TRUSTED), (BY_NUMBERS, TRUSTED), (BY_NUMBERS, NUMBERED)])
def test_an_environment_of_this_repository_takes_its_role(
    plans: dict[str, dict[str, Any]], plan: str, claims: dict[str, str]
) -> None:
    """The deploy role of prod trusts this repository's environment prod, in both forms where the numbers are known."""
    assert trusts(plans[plan]['aws_iam_role.deploy["prod"]'], claims)


@pytest.mark.parametrize("plan", [BY_NAMES, BY_NUMBERS])
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
def test_no_other_token_takes_a_role(plans: dict[str, dict[str, Any]], plan: str, claims: dict[str, str]) -> None:
    """Another repository, branch, event or environment, or a missing claim, is refused."""
    assert not trusts(plans[plan]['aws_iam_role.deploy["prod"]'], claims)


def test_no_other_provider_opens_a_role(plans: dict[str, dict[str, Any]]) -> None:
    """The same claims from another issuer are refused."""
    assert not trusts(plans[BY_NAMES]['aws_iam_role.deploy["prod"]'], TRUSTED, provider="gitlab.com")


def test_a_pull_request_takes_the_plan_role_alone(plans: dict[str, dict[str, Any]]) -> None:
    """The plan role trusts pull requests and no environment; no deploy role trusts a pull request."""
    planned = plans[BY_NUMBERS]
    roles = {address: role for address, role in planned.items() if ISSUER in (role or {}).get("assume_role_policy", "")}
    for subject in ("repo:octo-org/events:pull_request", "repo:octo-org@6894/events@45817:pull_request"):
        takes = [address for address, role in roles.items() if trusts(role, TRUSTED | {"sub": subject})]
        assert takes == ["aws_iam_role.plan"]
    assert len(roles) == 4
    assert not trusts(roles["aws_iam_role.plan"], TRUSTED)


def policy(plans: dict[str, dict[str, Any]], address: str) -> dict[str, Any]:
    """Return a planned managed policy's document."""
    return json.loads(plans["each_role_has_the_policy_of_its_stage"][address]["policy"])


def allowed(document: dict[str, Any], action: str, resource: str, context: dict[str, str]) -> bool:
    """Tell whether a policy, as policy and as boundary, allows an action."""
    request = EvalContext(
        principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/event-api-deploy-dev/run",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        service_context={key.lower(): value for key, value in context.items()},
    )
    return evaluate(request, [parse_policy_document(document)]).decision == "Allow"


def allow_statements(document: dict[str, Any]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the actions and resources of each statement that allows something."""
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            actions, resources = statement["Action"], statement["Resource"]
            yield (
                {actions} if isinstance(actions, str) else set(actions),
                {resources} if isinstance(resources, str) else set(resources),
            )


@pytest.mark.parametrize(
    ("address", "of_any_resource"),
    [
        ('aws_iam_policy.function_boundary["dev"]', {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
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
            {"application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies"},
        ),
    ],
)
def test_a_policy_names_its_actions_and_resources(
    plans: dict[str, dict[str, Any]], address: str, of_any_resource: set[str]
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
    plans: dict[str, dict[str, Any]], service: str, expected: bool
) -> None:
    """AWS's own roles for autoscaling and for API Gateway's traces may be made; no other service's."""
    document = policy(plans, 'aws_iam_policy.deploy["dev"]')
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/AWSServiceRole"
    assert allowed(document, "iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": service}) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_a_deploy_policy_is_no_longer_than_iam_takes(plans: dict[str, dict[str, Any]], stage: str) -> None:
    """A managed policy has 6,144 characters at most, white space not counted."""
    document = policy(plans, f'aws_iam_policy.deploy["{stage}"]')
    assert len(json.dumps(document, separators=(",", ":"))) <= 6144


@pytest.mark.parametrize("stage", STAGES)
def test_a_deploy_role_reaches_its_own_stage_alone(plans: dict[str, dict[str, Any]], stage: str) -> None:
    """What a deploy role may touch is named after its stage, but where AWS makes the name up or lists."""
    made_up = {
        "*",
        f"arn:aws:s3:::event-api-state-{ACCOUNT}",  # lists it
        f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*",  # lists them
        f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/*",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/*",
        f"arn:aws:apigateway:{REGION}::/restapis",
        f"arn:aws:apigateway:{REGION}::/restapis/*",
        f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2F*",
    }
    touched = set().union(*(res for _, res in allow_statements(policy(plans, f'aws_iam_policy.deploy["{stage}"]'))))
    assert made_up < touched
    others = [name for name in touched - made_up if f"event-api-{stage}" not in name]
    state = f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/{stage}.tfstate"
    assert set(others) == {state, f"{state}.tflock"}


FUNCTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-api_handler"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-function-boundary-dev"
DEPLOY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-deploy-dev"
DEPLOY_POLICY = f"arn:aws:iam::{ACCOUNT}:policy/event-api-deploy-dev"
API = f"arn:aws:apigateway:{REGION}::/restapis"
API_TAGS = f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2Fabc"
OURS = {"aws:ResourceTag/project": "event-api", "aws:ResourceTag/stage": "dev"}
ASKED = {"aws:RequestTag/project": "event-api", "aws:RequestTag/stage": "dev"}


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:CreateRole", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PutRolePolicy", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PassRole", FUNCTION_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("apigateway:POST", API, ASKED),
        ("apigateway:PUT", f"{API}/abc", OURS),
        ("apigateway:POST", f"{API}/abc/deployments", OURS),
        ("apigateway:PUT", API_TAGS, ASKED),
        ("dynamodb:CreateTable", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-events", {}),
        ("lambda:UpdateAlias", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-dev:live", {}),
        ("s3:PutObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate.tflock", {}),
    ],
)
def test_a_deploy_role_may_deploy(
    plans: dict[str, dict[str, Any]], action: str, resource: str, context: dict[str, str]
) -> None:
    """The deploy role of dev may do what deploying dev takes."""
    assert allowed(policy(plans, 'aws_iam_policy.deploy["dev"]'), action, resource, context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:CreateRole", FUNCTION_ROLE, {}),
        ("iam:CreateRole", FUNCTION_ROLE, {"iam:PermissionsBoundary": DEPLOY_POLICY}),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/other", {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PutRolePolicy", FUNCTION_ROLE, {}),
        ("iam:AttachRolePolicy", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PutRolePermissionsBoundary", FUNCTION_ROLE, {"iam:PermissionsBoundary": DEPLOY_POLICY}),
        ("iam:DeleteRolePermissionsBoundary", FUNCTION_ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PassRole", FUNCTION_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
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
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/other", {}),
        ("sts:AssumeRole", FUNCTION_ROLE, {}),
        ("apigateway:POST", API, {}),
        ("apigateway:POST", API, ASKED | {"aws:RequestTag/stage": "prod"}),
        ("apigateway:DELETE", f"{API}/abc", {}),
        ("apigateway:DELETE", f"{API}/abc", OURS | {"aws:ResourceTag/stage": "prod"}),
        ("apigateway:PUT", API_TAGS, ASKED | {"aws:ResourceTag/stage": "prod"}),
        ("apigateway:PUT", API_TAGS, ASKED | {"aws:RequestTag/stage": "prod"}),
        ("apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/account", OURS),
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-events", {}),
        ("dynamodb:DeleteTable", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-prod-events", {}),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-dev", {}),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-prod", {}),
        ("s3:GetObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/prod.tfstate", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::event-api-state-{ACCOUNT}/event-api/dev.tfstate", {}),
        ("s3:PutBucketPolicy", f"arn:aws:s3:::event-api-state-{ACCOUNT}", {}),
    ],
)
def test_a_deploy_role_may_not_widen_itself_or_reach_further(
    plans: dict[str, dict[str, Any]], action: str, resource: str, context: dict[str, str]
) -> None:
    """It touches no role but the function's, and that within the boundary; no policy, no other stage, no event."""
    assert not allowed(policy(plans, 'aws_iam_policy.deploy["dev"]'), action, resource, context)


def test_the_plan_role_only_reads(plans: dict[str, dict[str, Any]]) -> None:
    """A pull request's plan changes nothing and reads no event."""
    actions = set().union(*(actions for actions, _ in allow_statements(policy(plans, "aws_iam_policy.plan"))))
    verbs = ("Describe", "Get", "GET", "List")
    assert not [action for action in actions if not action.split(":")[1].startswith(verbs)]
    assert "dynamodb:GetItem" not in actions


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_boundary_is_what_the_function_needs(plans: dict[str, dict[str, Any]], stage: str) -> None:
    """No role that a deploy role makes can do more than store and read events of the stage, log and trace."""
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/event-api-{stage}:*"
    assert list(allow_statements(policy(plans, f'aws_iam_policy.function_boundary["{stage}"]'))) == [
        (
            {"dynamodb:GetItem", "dynamodb:PutItem"},
            {f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-{stage}-events"},
        ),
        ({"logs:CreateLogStream", "logs:PutLogEvents"}, {group}),
        ({"xray:PutTelemetryRecords", "xray:PutTraceSegments"}, {"*"}),
    ]


@pytest.fixture(scope="session", name="checkov")
def _checkov() -> Path:
    """Return checkov, installed once in an environment of its own."""
    home, wanted = ROOT / ".local" / "checkov", ROOT / "tests" / "requirements-checkov.txt"
    installed = home / "installed.txt"
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted.read_text(encoding="utf-8"):
        run(sys.executable, "-m", "venv", "--clear", home, cwd=ROOT)
        run(home / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", wanted, cwd=ROOT)
        shutil.copyfile(wanted, installed)
    return home / "bin" / "checkov"


def noted_skips(generated: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the skips that the generated file's resources note under "//": (file, name) => check => reason.

    checkov reads no notes in JSON.
    """
    skips: dict[tuple[str, str], dict[str, str]] = {}
    for resources in json.loads(generated.read_text(encoding="utf-8"))["resource"].values():
        for name, resource in resources.items():
            notes = resource.get("//", [])
            for note in [notes] if isinstance(notes, str) else notes:
                if note.startswith("checkov:skip="):
                    check, reason = note.removeprefix("checkov:skip=").split(":", 1)
                    skips.setdefault((generated.name, name), {})[check] = reason
    return skips


def test_checkov_fails_nothing_and_each_skip_is_known_and_has_a_reason(
    checkov: Path, roots: dict[str, Path]
) -> None:
    """Every check passes or is skipped beside what it is about, with a reason; no skip is idle or unlisted."""
    root = roots["dev"]
    command = [checkov, "--directory", root, "--framework", "terraform", "terraform_json", "--skip-download"]
    reports = json.loads(run(*command, "--output", "json", cwd=root, check=False).stdout)
    results = {report["check_type"]: report["results"] for report in reports}
    assert set(results) == {"terraform", "terraform_json"}
    assert [(check["check_id"], check["resource"]) for check in results["terraform"]["failed_checks"]] == []
    assert not any(result["parsing_errors"] for result in results.values())

    skips = noted_skips(root / "chalice.tf.json")
    failed = {
        ((check["file_path"].lstrip("/"), check["resource"].split(".")[-1]), check["check_id"])
        for check in results["terraform_json"]["failed_checks"]
    }
    assert failed == {(place, check) for place, checks in skips.items() for check in checks}
    for check in results["terraform"]["skipped_checks"]:
        place = check["file_path"].lstrip("/"), check["resource"]
        skips.setdefault(place, {})[check["check_id"]] = check["check_result"]["suppress_comment"]
    assert {place: set(reasons) for place, reasons in skips.items()} == SKIPS
    assert not [
        (place, check)
        for place, reasons in skips.items()
        for check, reason in reasons.items()
        if len(reason.split()) < 4
    ]

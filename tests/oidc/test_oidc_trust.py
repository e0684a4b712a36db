"""The root terraform/oidc/ is valid, and each role trusts only its own environments of this repository."""

import json
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate_trust_policy
from oidc.policies import ISSUER, ROLES
from roots import ACCOUNT, NEEDS_TERRAFORM, REGION, STAGES, Plans, run

pytestmark = NEEDS_TERRAFORM

REPOSITORY = "repo:octo-org@6894/events@45817"
TRUSTED = {"aud": "sts.amazonaws.com", "sub": f"{REPOSITORY}:environment:prod"}


def test_root_is_valid(oidc: Path) -> None:
    """Terraform and the provider accept the root without a warning."""
    result = json.loads(run("terraform", "validate", "-json", cwd=oidc).stdout)
    assert (result["valid"], result["diagnostics"]) == (True, [])


def test_root_passes_its_terraform_tests(plans: Plans) -> None:
    """Terraform's own tests of the root pass."""
    assert ROLES in plans


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

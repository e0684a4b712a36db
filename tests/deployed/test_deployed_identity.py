"""The deploy role: who may take it, and what it cannot do to itself and to items."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from deployed.functions import (
    ANY_ACTION,
    EVENT_KEY,
    EVENTS,
    TOKEN_KEY,
    TOKENS,
    operations,
)
from emulator.stack import STAGE, Stack

DEPLOY_ROLE = f"event-api-deploy-{STAGE}"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": f"repo:example@1001/event-api@2003:environment:{STAGE}"},
        {"sub": f"repo:example@1002/event-api@2002:environment:{STAGE}"},
        {"sub": f"repo:example/event-api:environment:{STAGE}"},
        {"sub": "repo:example@1001/event-api@2002:environment:prod"},
        {"sub": "repo:example@1001/event-api@2002:ref:refs/heads/main"},
        {"sub": f"repo:example@1001/event-api@2002:environment:{STAGE}:x"},
        {"aud": "https://github.com/example"},
        {"iss": "https://tokens.example.com"},
    ],
    ids=lambda claims: "".join(claims.values()),
)
def test_other_identity_cannot_take_the_role(stack: Stack, claims: dict[str, str]) -> None:
    """Only a job of this repository in this stage's environment can take the deploy role."""
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
        ("create_policy_version", {"PolicyArn": f"event-api-deploy-boundary-{STAGE}", "PolicyDocument": ANY_ACTION}),
        ("create_role", {"RoleName": "event-api-own", "AssumeRolePolicyDocument": ANY_ACTION}),
        ("create_user", {"UserName": "own"}),
        ("create_access_key", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_deploy_role_cannot_widen_itself(stack: Stack, operation: str, parameters: dict[str, Any]) -> None:
    """The deploy role cannot change its policies or its boundary, and creates no identity."""
    account = stack.oidc_outputs["plan_role_arns"][STAGE].split(":")[4]
    if "PolicyArn" in parameters and not parameters["PolicyArn"].startswith("arn:"):
        parameters = {**parameters, "PolicyArn": f"arn:aws:iam::{account}:policy/{parameters['PolicyArn']}"}
    with pytest.raises(ClientError) as refused:
        getattr(stack.aws.client("iam", stack.deploy_role()), operation)(**parameters)
    assert refused.value.response["Error"]["Code"] == "AccessDenied", refused.value


@pytest.mark.parametrize("operation", ["scan", "query", "get_item", "put_item", "delete_item", "update_item"])
@pytest.mark.parametrize(("table_name", "key"), [(EVENTS, EVENT_KEY), (TOKENS, TOKEN_KEY)])
def test_deploy_role_can_neither_read_nor_write_items(
    stack: Stack, table_name: str, key: dict[str, Any], operation: str
) -> None:
    """A deployment can neither read events nor create a token."""
    parameters = dict(operations(key))[operation]
    with pytest.raises(ClientError) as refused:
        getattr(stack.aws.client("dynamodb", stack.deploy_role()), operation)(TableName=table_name, **parameters)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"

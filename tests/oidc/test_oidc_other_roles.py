"""The roles that plan, roll back, shift the traffic and run the functions."""

import json
from typing import Any

import pytest
from chalicelib.index import INDEXES
from oidc.policies import OURS, PRODS, allow_statements, allowed, of_stage, policy
from roots import ACCOUNT, BY_DYNAMODB, BY_LAMBDA, KEY, NEEDS_TERRAFORM, REGIONS, STAGES, Plans, listed

pytestmark = NEEDS_TERRAFORM


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

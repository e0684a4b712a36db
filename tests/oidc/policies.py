"""The planned policies of the root terraform/oidc/, and the resources and contexts of calls that they decide on."""

import json
from collections.abc import Iterator
from typing import Any

from ministack.core.iam_evaluator import evaluate, parse_policy_document
from roots import ACCOUNT, REGION, REGIONS, Plans, listed, request

ISSUER = "token.actions.githubusercontent.com"
ROLES = "roles_state_and_log_role"  # the run of Terraform's tests that plans the roles
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
SCALING_ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:TargetTracking-table/event-api-dev-events-AlarmHigh-abc"
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


def scaling_by(table: str) -> dict[str, list[str]]:
    """Return the context of a call that sets an alarm of autoscaling. The alarm applies a table's scaling policy."""
    policy_of_table = f"scalingPolicy:abc:resource/dynamodb/table/{table}:policyName/{table}-read"
    return {"cloudwatch:AlarmActions": [f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:{policy_of_table}"]}


def logs_to(destination: str) -> dict[str, str]:
    """Return the context of a call that sets the destination of a stage's access log."""
    return {"apigateway:Request/AccessLoggingDestination": destination}


def asked(*keys: str, **tags: str) -> dict[str, Any]:
    """Return the context of a call that sets tags, by default those of dev. Underscores in names become hyphens."""
    tags = {"project": "event-api", "stage": "dev", "event_api_dev": "owner", **tags}
    named = {name.replace("_", "-"): value for name, value in tags.items()}
    return {f"aws:RequestTag/{name}": value for name, value in named.items()} | {"aws:TagKeys": [*named, *keys]}


ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

"""Corrects the emulated IAM: policies are evaluated with the action, resource and context that AWS uses."""

import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from . import kms, monitoring, waf
from .lambda_functions import FUNCTIONS_PATH
from .responses import operation_of, service
from .table_policy import statement_of

PARTIQL = ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")
LOG_DESTINATION = "/accessLogSettings/destinationArn"
ALIAS_ACTIONS = {"GET": "GetAlias", "PUT": "UpdateAlias", "DELETE": "DeleteAlias"}


def correct_policy_evaluation(code_deploy_resource: Callable[[str, dict[str, Any], str], str]) -> None:
    """Add to the evaluation the aliases, resources, boundaries and tags of a call, which ministack leaves out."""
    actions, tagging = import_module("ministack.core.iam_actions"), service("tagging")
    other_action, other_resource = actions.extract_iam_action, actions.extract_resource_arn
    other_context, other_tags = actions.request_tag_context, tagging.resource_tags

    def extract_iam_action(name: str, method: str, path: str, *request: Any) -> str | None:
        if name == "lambda" and re.search("/functions/[^/]+/aliases/[^/]+$", path):
            return f"lambda:{ALIAS_ACTIONS[method]}"
        if name == "dynamodb" and operation_of(request[0]) in PARTIQL:
            return statement_of(request[1])[0]
        return other_action(name, method, path, *request)

    def extract_resource_arn(name: str, method: str, path: str, *request: Any) -> str:
        headers, body, parameters, region, account = request
        if name == "lambda" and method == "POST" and FUNCTIONS_PATH.fullmatch(path):
            return f"arn:aws:lambda:{region}:{account}:function:{json.loads(body)['FunctionName']}"
        if name == "codedeploy":
            return code_deploy_resource(operation_of(headers), json.loads(body or b"{}"), f"{region}:{account}")
        if name in ("monitoring", "sns"):
            resource = monitoring.call_resource(name, body, parameters, f"{region}:{account}")
        else:
            resource = call_resource(name, operation_of(headers), body, f"{region}:{account}")
        return resource or other_resource(name, method, path, *request)

    def request_tag_context(name: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        return {**other_context(name, action, body, parameters), **call_context(action, body, parameters)}

    def resource_tags(arn: str) -> dict[str, str] | None:
        # A call for /tags/<arn> gets no tags here, as in AWS: that ARN names an API, but does not start with it.
        api = re.match(r"arn:aws:apigateway:[^:]*::/restapis/[^/]+", arn)
        if api is None:
            return other_tags(arn)
        return service("apigateway_v1")._v1_tags.get(api[0])  # pylint: disable=protected-access  # ministack's state

    actions.extract_iam_action, actions.extract_resource_arn = extract_iam_action, extract_resource_arn
    actions.request_tag_context, tagging.resource_tags = request_tag_context, resource_tags


def call_resource(name: str, operation: str, body: bytes, region_and_account: str) -> str | None:
    """Return the ARN that a call of a JSON service needs a permission for, if ministack does not find it."""
    if name == "kms":
        return kms.alias_call_resource(operation, json.loads(body), region_and_account)
    if name == "wafv2":
        return waf.call_resource(json.loads(body))
    if name == "dynamodb" and operation in PARTIQL:
        return f"arn:aws:dynamodb:{region_and_account}:table/{statement_of(body)[1]}"
    if name == "dynamodb" and operation.endswith(("Resource", "OfResource", "ResourcePolicy")):
        return str(json.loads(body)["ResourceArn"])
    if name == "logs" and operation == "DescribeLogGroups":
        return f"arn:aws:logs:{region_and_account}:log-group::log-stream:"
    return None


def call_context(action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the condition keys of a call that ministack leaves out."""
    if action == "apigateway:DELETE" and "tagKeys" in parameters:
        return {"aws:TagKeys": parameters["tagKeys"]}
    if action == "apigateway:PATCH":
        changes = (json.loads(body or b"{}") or {}).get("patchOperations") or []
        logs = [change["value"] for change in changes if change["path"] == LOG_DESTINATION and "value" in change]
        return {"apigateway:Request/AccessLoggingDestination": logs[-1]} if logs else {}
    if action in ("apigateway:POST", "apigateway:PUT"):
        tags = (json.loads(body or b"{}") or {}).get("tags") or {}
        keys = {"aws:TagKeys": list(tags)} if tags else {}
        return {**keys, **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}
    if action in ("cloudwatch:PutMetricAlarm", "cloudwatch:PutCompositeAlarm"):
        return monitoring.alarm_context(body, parameters)
    if action == "lambda:AddPermission":
        return {"lambda:Principal": json.loads(body)["Principal"]}
    return {}

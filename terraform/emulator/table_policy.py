"""Adds to the emulated IAM the policies of DynamoDB's tables, which ministack stores and never evaluates."""

import json
import re
from importlib import import_module
from typing import Any

from .responses import service

STATEMENT = re.compile(r"""\s*(SELECT|INSERT|UPDATE|DELETE)\b(?:.*?\b(?:FROM|INTO))?\s+"?([\w.-]+)""", re.I | re.S)


def evaluate_table_policies() -> None:
    """Evaluate a table's policy for each call about the table; a Deny holds for the account's root user, too."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    evaluator = import_module("ministack.core.iam_evaluator")
    other_key, other_enforce = evaluator._resolve_condition_key, evaluator.enforce
    dynamodb = service("dynamodb")
    other_delete_table = dynamodb._delete_table
    evaluator._RESOURCE_POLICY_LOOKUPS["dynamodb"] = ("dynamodb", "table_policy_for_arn")
    dynamodb.table_policy_for_arn = table_policy

    def delete_table(members: dict[str, Any]) -> Any:
        arn = dynamodb._tables.get(members["TableName"], {}).get("TableArn")
        response = other_delete_table(members)
        if response[0] == 200:  # AWS deletes the policy with its table
            dynamodb._resource_policies.pop(arn, None)
        return response

    def resolve_condition_key(key: str, call: Any) -> Any:
        value = other_key(key, call)
        return role_of_session(value) if key.lower() == "aws:principalarn" else value

    def enforce(
        access_key: str, action: str, name: str, region: str, resource_arn: str = "*", **options: Any
    ) -> Any:
        denied = other_enforce(access_key, action, name, region, resource_arn=resource_arn, **options)
        account = import_module("ministack.core.responses").get_account_id()
        if denied or name != "dynamodb" or not evaluator.is_root_access_key(access_key or ""):
            return denied
        if action == "dynamodb:DeleteResourcePolicy":  # which AWS never denies to root
            return None
        caller = evaluator.resolve_principal(access_key or "", account)
        call = evaluator.EvalContext(
            principal_arn=caller.arn, principal_type=caller.type, principal_account=caller.account, action=action,
            resource_arn=resource_arn, region=region, principal_keys=caller.keys,
        )  # fmt: skip
        policy, _ = table_policy(resource_arn) or ({}, None)
        verdict = evaluator.evaluate_resource_policy(policy, call)
        return verdict if verdict.decision == "Deny" else None

    evaluator._resolve_condition_key, evaluator.enforce = resolve_condition_key, enforce
    dynamodb._delete_table = delete_table


def table_policy(arn: str) -> tuple[dict[str, Any], str] | None:
    """Return the policy of a table, or of an index's table, and the account that owns it."""
    # pylint: disable=protected-access  # ministack's own state is read
    entry = service("dynamodb")._resource_policies.get(arn.partition("/index/")[0])
    return (json.loads(entry["Policy"]), arn.split(":")[4]) if entry else None


def role_of_session(arn: str) -> str:
    """Return the ARN of the role that a session has: AWS's aws:PrincipalArn names the role, not the session."""
    return re.sub(r"^arn:aws:sts::(\d+):assumed-role/([^/]+)/.*", r"arn:aws:iam::\1:role/\2", arn)


def statement_of(body: bytes) -> tuple[str, str]:
    """Return the action and the table's name of a call with a PartiQL statement."""
    members = json.loads(body)
    statement = members.get("Statement") or members[next(iter(members))][0]["Statement"]
    verb, table = STATEMENT.match(statement).groups()  # type: ignore[union-attr]  # the tests send valid statements
    return f"dynamodb:PartiQL{verb.capitalize()}", table

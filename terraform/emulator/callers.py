"""Who makes a call of the emulated AWS, and what IAM allows the caller besides the permission for the call itself."""

from importlib import import_module
from typing import Any


def caller_of(headers: dict[str, str], query: Any) -> Any:
    """Return the principal whose access key a request names."""
    evaluator, responses, router = (
        import_module(f"ministack.core.{name}") for name in ("iam_evaluator", "responses", "router")
    )
    return evaluator.resolve_principal(router.extract_access_key_id(headers, query), responses.get_account_id())


def is_allowed(caller: Any, action: str, resource: str, context: dict[str, str] | None = None) -> bool:
    """Tell whether a caller's policies and limits allow an action on a resource."""
    evaluator, responses = (import_module(f"ministack.core.{name}") for name in ("iam_evaluator", "responses"))
    if caller.policies is None:  # the account's root user
        return True
    call = evaluator.EvalContext(
        principal_arn=caller.arn, principal_type=caller.type, principal_account=caller.account, action=action,
        resource_arn=resource, region=responses.get_region(), service_context=context or {},
        principal_keys=caller.keys,
    )  # fmt: skip
    return bool(evaluator.evaluate(call, caller.policies, *caller.limits).decision == "Allow")


def refusal(caller: Any, action: str, resource: str, context: dict[str, str] | None = None) -> str | None:
    """Return AWS's message if IAM does not allow a caller an action; None if it does."""
    if is_allowed(caller, action, resource, context):
        return None
    return f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"

"""Corrects the emulated Lambda: checks of permissions that AWS makes and ministack does not.

A caller who gives a function a role needs iam:PassRole on that role. API Gateway needs the function's permission to
invoke it. A function without permission to write its log writes none. A call from inside a function has the condition
key lambda:SourceFunctionArn.
"""

import asyncio
import json
import re
from importlib import import_module
from typing import Any

from .callers import caller_of, is_allowed, refusal
from .lambda_metrics import INVOCATION, Invocation
from .responses import Response, error_response, service

# The concurrent calls of a function; further ones wait. At AWS each call has its own processor. Here all calls
# share this machine's. If a burst of requests started a process for each, all would miss their deadlines.
FUNCTION_CALLS, AUTHORIZER_CALLS = asyncio.Semaphore(4), asyncio.Semaphore(4)
FUNCTIONS_PATH = re.compile("/2015-03-31/functions/?")
CONFIGURATION_PATH = re.compile("/2015-03-31/functions/[^/]+/configuration/?")


def name_the_calling_function() -> None:
    """Add lambda:SourceFunctionArn to the calls that a function makes with its role."""
    evaluator, runtime = (import_module(f"ministack.core.{name}") for name in ("iam_evaluator", "lambda_runtime"))
    other_credentials, other_enforce = runtime.execution_credentials, evaluator.enforce
    functions: dict[str, str] = {}  # access key => ARN

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        credentials: dict[str, str] = other_credentials(config)
        functions[credentials["AWS_ACCESS_KEY_ID"]] = ":".join(config["FunctionArn"].split(":")[:7])  # no version
        return credentials

    def enforce(
        access_key: str, *call: Any, service_context: dict[str, Any] | None = None, **options: Any
    ) -> Any:
        source = {"lambda:SourceFunctionArn": functions[access_key]} if access_key in functions else {}
        return other_enforce(access_key, *call, service_context={**(service_context or {}), **source}, **options)

    runtime.execution_credentials = service("lambda_svc").execution_credentials = execution_credentials
    evaluator.enforce = enforce


class CheckedFunctions:
    """ministack's functions, with these checks."""

    def __init__(self) -> None:
        # pylint: disable=protected-access  # ministack's own functions are corrected
        self._evaluator = import_module("ministack.core.iam_evaluator")
        self._functions, rest_apis = service("lambda_svc"), service("apigateway_v1")
        self._handle_other, self._functions.handle_request = self._functions.handle_request, self.handle_request
        self._write_log, self._functions._emit_lambda_logs = self._functions._emit_lambda_logs, self.write_log
        self._invoke, rest_apis._call_lambda_raw = rest_apis._call_lambda_raw, self.invoke_from_gateway
        self._authorize = rest_apis._invoke_authorizer_lambda
        rest_apis._invoke_authorizer_lambda = self.authorize_from_gateway

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any
    ) -> Response:
        """Refuse to create or configure a function with a role that the caller may not pass."""
        creates = method == "POST" and FUNCTIONS_PATH.fullmatch(path)
        configures = method == "PUT" and CONFIGURATION_PATH.fullmatch(path)
        role = json.loads(body).get("Role") if (creates or configures) and body else None
        if role:
            passed_to = {"iam:passedtoservice": "lambda.amazonaws.com"}
            if message := refusal(caller_of(headers, query), "iam:PassRole", role, passed_to):
                return error_response("AccessDeniedException", message, 403)
        return await self._handle_other(method, path, headers, body, query)

    def write_log(self, func: dict[str, Any], *arguments: Any, **options: Any) -> None:
        """Write a function's log if its role has the permission."""
        config = func.get("config") or func
        _, _, _, region, account, *_ = config["FunctionArn"].split(":")
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        arn = f"arn:aws:logs:{region}:{account}:log-group:{group}"
        key = import_module("ministack.core.lambda_runtime").execution_credentials(config)["AWS_ACCESS_KEY_ID"]
        role = self._evaluator.resolve_principal(key, account)
        calls = [("logs:CreateLogStream", f"{arn}:log-stream:new"), ("logs:PutLogEvents", f"{arn}:log-stream:new")]
        if group not in service("cloudwatch_logs")._log_groups:  # pylint: disable=protected-access  # ministack's state
            calls.append(("logs:CreateLogGroup", arn))
        if all(is_allowed(role, action, resource) for action, resource in calls):
            self._write_log(func, *arguments, **options)

    async def invoke_from_gateway(
        self, function: str, event: dict[str, Any], *, account_id: str, region: str
    ) -> tuple[dict[str, Any] | None, str | None]:
        """Invoke a function for a stage if the function, or its alias, permits API Gateway to do so."""
        request = event["requestContext"]
        method = f"{request['stage']}/{event['httpMethod']}{request['resourcePath']}"
        source = f"arn:aws:execute-api:{region}:{account_id}:{request['apiId']}/{method}"
        if not self._permits_gateway(function, source):
            return None, f"Invalid permissions on Lambda function: {source} may not invoke {function}"
        INVOCATION.set(Invocation(function))
        async with FUNCTION_CALLS:
            result, error = await self._invoke(function, event, account_id=account_id, region=region)
        if result and (result.get("throttle") or result.get("error")):
            return None, "The function was throttled or failed."  # ministack would show the caller Lambda's own error
        return result, error

    async def authorize_from_gateway(
        self, authorizer: dict[str, Any], event: dict[str, Any], account_id: str, region: str
    ) -> dict[str, Any] | None:
        """Invoke an authorizer's function if its alias permits API Gateway to do so; None becomes a 500."""
        api = event["methodArn"].split(":")[5].partition("/")[0]
        source = f"arn:aws:execute-api:{region}:{account_id}:{api}/authorizers/{authorizer['id']}"
        function = authorizer["authorizerUri"].partition("/functions/")[2].removesuffix("/invocations")
        if not self._permits_gateway(function, source):
            return None
        INVOCATION.set(Invocation(function))
        async with AUTHORIZER_CALLS:
            return await self._authorize(authorizer, event, account_id, region)

    def _permits_gateway(self, function: str, source: str) -> bool:
        """Tell whether the resource policy of a function or alias permits a part of API Gateway to invoke it."""
        _, _, _, region, account_id, *_ = source.split(":")
        policy = (self._functions.function_policy_for_arn(function) or ({},))[0]
        call = self._evaluator.EvalContext(
            principal_arn="", principal_type="Service", principal_account=account_id, action="lambda:InvokeFunction",
            resource_arn=function, region=region,
            service_context={"aws:sourcearn": source, "aws:sourceaccount": account_id},
        )  # fmt: skip
        verdict = self._evaluator.evaluate_resource_policy(policy, call, service="apigateway.amazonaws.com")
        return verdict.decision == "Allow"

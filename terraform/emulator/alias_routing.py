"""Adds to the emulated Lambda the routing of an alias with weights: each call goes to a random version, as at AWS."""

import random
import re
from typing import Any

from .responses import Response, service

ALIAS = re.compile(r"(?P<function>[^:/]+):(?P<alias>[A-Za-z0-9_-]+)(?=$|/invocations)")
INVOCATION_PATH = re.compile(r"/2015-03-31/functions/(?P<function>[^/:]+)/invocations/?")


def route_by_weight() -> None:
    """Let API Gateway's and the API's calls of an alias reach its versions by their weights."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    functions, rest_apis = service("lambda_svc"), service("apigateway_v1")
    invoke, authorize = rest_apis._call_lambda_raw, rest_apis._invoke_authorizer_lambda
    handle_other = functions.handle_request

    async def invoke_version(function: str, *call: Any, **options: Any) -> Any:
        return await invoke(with_version(function), *call, **options)

    async def authorize_version(authorizer: dict[str, Any], *call: Any) -> Any:
        return await authorize({**authorizer, "authorizerUri": with_version(authorizer["authorizerUri"])}, *call)

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        invoked = INVOCATION_PATH.fullmatch(path)
        if invoked and "Qualifier" in query:
            (alias,) = query["Qualifier"] if isinstance(query["Qualifier"], list) else [query["Qualifier"]]
            query = {**query, "Qualifier": [version_of(invoked["function"], alias)]}
        return await handle_other(method, path, headers, body, query)

    rest_apis._call_lambda_raw, rest_apis._invoke_authorizer_lambda = invoke_version, authorize_version
    functions.handle_request = handle_request


def with_version(reference: str) -> str:
    """Return a function's ARN or integration URI with a version in place of an alias."""
    return ALIAS.sub(lambda found: f"{found['function']}:{version_of(found['function'], found['alias'])}", reference)


def version_of(function: str, qualifier: str) -> str:
    """Return the version that the next call of an alias reaches; any other qualifier is returned as it is."""
    # pylint: disable=protected-access  # ministack's own state is read
    aliases = service("lambda_svc")._functions.get(function, {}).get("aliases", {})
    if qualifier not in aliases:
        return qualifier
    alias = aliases[qualifier]
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    versions = [alias["FunctionVersion"], *weights]
    return str(random.choices(versions, [1 - sum(weights.values()), *weights.values()])[0])

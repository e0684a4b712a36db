"""The stand-in for API Gateway: chalice's own, with the differences from API Gateway corrected."""

import json
import uuid
from typing import Any
from urllib.parse import parse_qs

from chalice import AuthResponse, Chalice
from chalice.app import RouteEntry
from chalice.config import Config
from chalice.local import ForbiddenError, LocalGateway, LocalGatewayAuthorizer, NotAuthorizedError

from chalicelib import cors, problem
from local.settings import TENANT

Headers = dict[str, str | list[str]]  # a list has the values of a header that came in several lines


class Gateway(LocalGateway):
    """Calls the authorizer and the function as API Gateway does, and responds with the same problems."""

    def __init__(self, app_object: Chalice, config: Config, require_token: bool) -> None:
        """Without `require_token`, every caller belongs to one tenant."""
        super().__init__(app_object, config)
        self._authorizer = Authorizer(app_object) if require_token else NoAuthorizer()

    def handle_request(self, method: str, path: str, headers: Headers, body: bytes | None) -> dict[str, Any]:
        """Return the response to a request, in the form of Lambda's proxy integration."""
        lines: dict[str, list[str]] = {}
        for name, value in headers.items():
            values = [value] if isinstance(value, str) else value
            lines.setdefault(name.lower(), []).extend(text.strip(" \t") for text in values)
        last = {name: values[-1] for name, values in lines.items()}
        origin = last.get("origin")
        path = path.replace(";", "%3B")  # chalice would cut the path off there
        # API Gateway treats unknown methods like unknown paths. Chalice would read a host name after two slashes.
        if method not in AuthResponse.ALL_HTTP_METHODS or path.startswith("//"):
            return problem_response(problem.PathNotFound(), origin)
        try:
            event = self._generate_lambda_event(method, path, last, body)
        except ValueError:
            return problem_response(problem.PathNotFound(), origin)
        event["multiValueHeaders"] = lines
        event["multiValueQueryStringParameters"] = query_parameters(path)
        context = self._generate_lambda_context()
        # A browser sends preflights without a token.
        is_preflight = cors.is_preflight(method, origin, last.get("access-control-request-method"))
        try:
            if not (is_preflight and cors.allowed_origins()):
                event, context = self._authorizer.authorize(path, event, context)
        except (NotAuthorizedError, problem.Unauthorized):
            return problem_response(problem.Unauthorized(), origin)
        except ForbiddenError:
            return problem_response(problem.Forbidden(), origin)
        except problem.StoreUnavailable:
            return problem_response(problem.AuthorizerUnavailable(), origin)
        return self._app_object(event, context)


class Authorizer(LocalGatewayAuthorizer):
    """Calls the app's authorizer. It has no cache."""

    def _route_for_event(self, lambda_event: dict[str, Any]) -> RouteEntry:
        # A request with an unsupported method needs a token, too.
        return next(iter(self._app_object.routes[lambda_event["requestContext"]["resourcePath"]].values()))


class NoAuthorizer:
    """Replaces the authorizer if AUTH is off."""

    def authorize(self, _path: str, event: dict[str, Any], context: Any) -> tuple[dict[str, Any], Any]:
        """Accept every caller, as one tenant with all scopes."""
        caller = {"tenant": TENANT, "scopes": "events:read events:write", "principalId": "anybody"}
        event["requestContext"]["authorizer"] = caller
        return event, context


def query_parameters(target: str) -> dict[str, list[str]] | None:
    """Return the decoded parameters of a request's target, or None if it has none.

    A byte that is not UTF-8 becomes half of a surrogate pair, so that the app can refuse it. Chalice would replace it.
    """
    return parse_qs(target.partition("?")[2], keep_blank_values=True, errors="surrogateescape") or None


def problem_response(error: problem.Problem, origin: str | None) -> dict[str, Any]:
    """Return the response of the gateway itself, with CORS headers for the origin."""
    return response(error.status, error.headers, json.dumps(error.body(str(uuid.uuid4()))), origin)


def response(status: int, headers: dict[str, str], body: str, origin: str | None) -> dict[str, Any]:
    """Return a response in the form of Lambda's proxy integration, with CORS headers for the origin."""
    vary = [headers["Vary"]] if "Vary" in headers else []
    with_cors = {**headers, **cors.response_headers(origin, *vary)}
    return {"statusCode": status, "headers": with_cors, "multiValueHeaders": {}, "body": body}

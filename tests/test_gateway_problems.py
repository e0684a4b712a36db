"""The errors that API Gateway makes itself. Their statuses, types and headers are documented, so a table has them."""

import json
import re
from typing import NamedTuple

import botocore.session
import pytest
from changes import Json
from chalicelib import problem


class Expected(NamedTuple):
    """What a caller gets: the status, the problem's type, and headers that tell a client what to do."""

    status: int
    type: str
    headers: dict[str, str]


ALWAYS = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
LATER = {"Retry-After": "5"}
SCOPE = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
JSON = {
    "Accept-Post": "application/json, application/cloudevents+json, application/cloudevents-batch+json",
    "Accept-Encoding": "identity",
}

EXPECTED = {
    "ACCESS_DENIED": Expected(403, "forbidden", SCOPE),
    "API_CONFIGURATION_ERROR": Expected(503, "service-unavailable", LATER),
    "AUTHORIZER_CONFIGURATION_ERROR": Expected(503, "authorizer-unavailable", LATER),
    "AUTHORIZER_FAILURE": Expected(503, "authorizer-unavailable", LATER),
    "BAD_REQUEST_BODY": Expected(400, "invalid-event", {}),
    "BAD_REQUEST_PARAMETERS": Expected(400, "bad-request", {}),
    "DEFAULT_4XX": Expected(400, "bad-request", {}),
    "DEFAULT_5XX": Expected(503, "service-unavailable", LATER),
    "EXPIRED_TOKEN": Expected(404, "path-not-found", {}),
    "INTEGRATION_FAILURE": Expected(503, "service-unavailable", LATER),
    "INTEGRATION_TIMEOUT": Expected(504, "service-timeout", LATER),
    "INVALID_API_KEY": Expected(403, "forbidden", SCOPE),
    "INVALID_SIGNATURE": Expected(404, "path-not-found", {}),
    "MISSING_AUTHENTICATION_TOKEN": Expected(404, "path-not-found", {}),
    "QUOTA_EXCEEDED": Expected(429, "too-many-requests", {"Retry-After": "3600"}),
    "REQUEST_TOO_LARGE": Expected(413, "body-too-large", {}),
    "RESOURCE_NOT_FOUND": Expected(404, "path-not-found", {}),
    "THROTTLED": Expected(429, "too-many-requests", {"Retry-After": "1"}),
    "UNAUTHORIZED": Expected(401, "unauthorized", {"WWW-Authenticate": "Bearer"}),
    "UNSUPPORTED_MEDIA_TYPE": Expected(415, "unsupported-media-type", JSON),
    "WAF_FILTERED": Expected(403, "request-blocked", {}),
}


@pytest.fixture(name="responses")
def _responses(swagger: Json) -> Json:
    """Return the gateway responses of the API's description."""
    return swagger["x-amazon-apigateway-gateway-responses"]


def test_every_kind_of_error_is_known(responses: Json) -> None:
    """API Gateway has no kind of error that keeps its own form."""
    kinds = botocore.session.get_session().get_service_model("apigateway").shape_for("GatewayResponseType").enum
    assert set(responses) == set(EXPECTED) == set(kinds)


@pytest.mark.parametrize("kind", EXPECTED)
def test_error_is_the_documented_problem(responses: Json, kind: str) -> None:
    """Each error has its status, type and headers. It names the request as the access log does."""
    response, expected = responses[kind], EXPECTED[kind]
    headers = {
        name.removeprefix("gatewayresponse.header."): re.fullmatch(r"'([^']+)'", value)[1]
        for name, value in response["responseParameters"].items()
    }
    assert (response["statusCode"], headers) == (str(expected.status), ALWAYS | expected.headers)
    [template] = response["responseTemplates"].values()
    body = json.loads(template.replace("$context.requestId", "c6af9ac6"))
    assert body.pop("detail") and "$" not in template.replace("$context.requestId", "")
    members = {name: body.pop(name) for name in ("errors", "limit") if name in body}
    assert body == {
        "type": f"urn:event-api:problem:{expected.type}",
        "title": problem.TITLES[expected.status],
        "status": expected.status,
        "request_id": "c6af9ac6",
    }
    assert sorted(members) == {"invalid-event": ["errors"], "body-too-large": ["limit"]}.get(expected.type, [])


def test_every_failure_of_the_gateway_can_be_retried(responses: Json) -> None:
    """Each 5xx is a failure that may be gone soon, such as a throttle of Lambda: 503 or 504, with Retry-After."""
    failures = [response for response in responses.values() if response["statusCode"].startswith("5")]
    assert {response["statusCode"] for response in failures} == {"503", "504"}
    assert all("gatewayresponse.header.Retry-After" in response["responseParameters"] for response in failures)


def test_refused_body_has_a_pointer(responses: Json) -> None:
    """API Gateway's 400 has the members of the handler's 400. It repeats nothing of the request."""
    body = json.loads(responses["BAD_REQUEST_BODY"]["responseTemplates"]["application/json"])
    [fault] = body["errors"]
    assert fault == {"pointer": "", "detail": "must be a JSON object, or a JSON array of 1 to 100 objects"}

"""The corrections of chalice's Swagger: their result, and what each step refuses."""

import json
import re
from types import SimpleNamespace

import app
import botocore.session
import pytest
from bench.lambda_events import gateway_event
from chalicelib import token
from changes import REMOVED, Change, Json, changed
from merge import swagger_steps
from merge.document import Unexpected
from merge.swagger_steps import ANY_METHOD, INTEGRATION, STEPS

POST = ("paths", "/events", "post")
AUTHORIZER_EXTENSION = ("securityDefinitions", "authorizer", "x-amazon-apigateway-authorizer")

CHANGES = [
    Change("call_the_live_alias", (*POST, INTEGRATION, "uri"), "other", "integration.uri to be"),
    Change("call_the_live_alias", (*POST, INTEGRATION, "type"), "aws", 'type to be "aws_proxy", but it is "aws"'),
    Change("call_the_live_alias", ("paths",), REMOVED, "expected paths, but the file has only definitions, info,"),
    Change("configure_authorizer", ("securityDefinitions",), REMOVED, "expected securityDefinitions.authorizer, but "),
    Change("configure_authorizer", ("securityDefinitions", "new"), {}, "expected securityDefinitions to be"),
    Change("configure_authorizer", (*AUTHORIZER_EXTENSION, "authorizerUri"), "other", "authorizerUri to be"),
    Change("configure_authorizer", (*AUTHORIZER_EXTENSION, "authorizerResultTtlInSeconds"), 60, "to be 300, but it is"),
    Change("configure_authorizer", (*AUTHORIZER_EXTENSION, "identityValidationExpression"), ".*", "chalice writes it:"),
    Change("require_the_authorizer_everywhere", (*POST, "security"), REMOVED, "route POST /events has no authorizer"),
    Change("require_the_authorizer_everywhere", (*POST, "security"), [], "give its @app.route authorizer=authorizer"),
    Change("pass_unsupported_methods", ("paths", "/events", ANY_METHOD), {}, "expected no paths./events.x-amazon"),
    Change("validate_posted_bodies", POST, REMOVED, "but paths./events has only get, head"),
    Change("validate_posted_bodies", (*POST, "consumes"), ["a/b"], 'consumes to be [], but it is ["a/b"]'),
    Change("validate_posted_bodies", ("definitions", "PostedBody"), {}, "expected no definitions.PostedBody"),
    Change("respond_with_problems", ("x-amazon-apigateway-gateway-responses",), {}, "expected no x-amazon-apigateway-"),
    Change("require_tls_1_2", ("x-amazon-apigateway-security-policy",), "TLS_1_0", 'writes it: "TLS_1_0"'),
    Change("drop_binary_media_types_of_swagger", ("x-amazon-apigateway-binary-media-types",), ["a/b"], "to be [], but"),
    Change("require_only_known_references", ("info", "title"), "${var.title}", "but there is ${var.title}"),
    Change("require_only_known_references", ("info", "title"), "%{ if a }", "but there is %{ if a }"),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_step_refuses_other_swagger(chalice: Json, change: Change) -> None:
    """A step says in a sentence which part of chalice's Swagger differs from what it corrects."""
    document = json.loads(chalice["locals"]["chalice_api_swagger"])
    if change.step == "require_only_known_references":  # it reads what the other steps leave
        for step in STEPS[:-1]:
            step(document)
    with pytest.raises(Unexpected, match=re.escape(change.error)):
        getattr(swagger_steps, change.step)(changed(document, change))


def test_every_step_refuses_something() -> None:
    """No step corrects without a check."""
    assert {change.step for change in CHANGES} == {step.__name__ for step in STEPS}


def test_every_method_goes_through_the_live_alias(swagger: Json) -> None:
    """No method calls the newest code, and API Gateway passes every method of a path to the function."""
    assert {path: set(methods) for path, methods in swagger["paths"].items()} == {
        "/events": {"get", "head", "post", ANY_METHOD},
        "/events/{event_id}": {"get", "head", ANY_METHOD},
    }
    integrations = [method[INTEGRATION] for methods in swagger["paths"].values() for method in methods.values()]
    assert {integration["uri"] for integration in integrations} == {"${aws_lambda_alias.live.invoke_arn}"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(("resource", "allowed"), [("/events", "GET, HEAD, POST"), ("/events/{event_id}", "GET, HEAD")])
def test_function_responds_to_unsupported_methods(method: str, resource: str, allowed: str) -> None:
    """A method that API Gateway passes on as ANY gets 405 with Allow, whatever its body is."""
    parameters = {"event_id": "order-1001"} if "{" in resource else None
    request = gateway_event(method, resource, parameters, "<xml/>")
    request["headers"]["Content-Type"] = "text/xml"
    request["multiValueHeaders"]["Content-Type"] = ["text/xml"]
    response = app.app(request, SimpleNamespace(aws_request_id="6f8a2f1c"))
    assert (response["statusCode"], sorted(response["headers"]["Allow"].split(", "))) == (405, allowed.split(", "))
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(response["body"])["type"] == "urn:event-api:problem:method-not-allowed"


def test_authorizer_is_called_by_its_alias_and_cached(merged: Json, swagger: Json) -> None:
    """A malformed token costs no call; the cache time is Terraform's number; every method has the authorizer."""
    assert swagger["securityDefinitions"] == {"authorizer": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "token",
            "authorizerUri": "${aws_lambda_alias.authorizer.invoke_arn}",
            "authorizerResultTtlInSeconds": 300,
            "identityValidationExpression": token.BEARER,
        },
    }}  # fmt: skip
    assert '"authorizerResultTtlInSeconds": ${var.token_cache_seconds}' in merged["locals"]["chalice_api_swagger"]
    methods = [method for methods in swagger["paths"].values() for method in methods.values()]
    assert [method["security"] for method in methods] == [[{"authorizer": []}]] * 7


def test_callers_need_tls_1_2(swagger: Json) -> None:
    """The API itself refuses TLS 1.0 and 1.1, by a policy that API Gateway knows."""
    policy = swagger["x-amazon-apigateway-security-policy"]
    apigateway = botocore.session.get_session().get_service_model("apigateway")
    assert policy in apigateway.shape_for("SecurityPolicy").enum and "_TLS13_1_2_" in policy
    assert swagger["x-amazon-apigateway-endpoint-access-mode"] == "STRICT"


def test_posted_events_are_validated_whatever_their_media_type(swagger: Json) -> None:
    """The model is registered for application/json and as $default, and the POST has the validator."""
    post = swagger["paths"]["/events"]["post"]
    assert post["consumes"] == ["application/json", "$default"]
    assert post["parameters"] == [
        {"in": "body", "name": "PostedBody", "required": True, "schema": {"$ref": "#/definitions/PostedBody"}}
    ]
    validators = swagger["x-amazon-apigateway-request-validators"]
    assert validators[post["x-amazon-apigateway-request-validator"]] == {
        "validateRequestBody": True,
        "validateRequestParameters": False,
    }

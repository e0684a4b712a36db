"""The corrections of chalice's Swagger, which describes the API to API Gateway.

Chalice has no setting for much of what API Gateway can do. Each step corrects one thing, and expects it as chalice 1.34
writes it.
"""

import json
import re

from chalicelib import batch
from chalicelib.token import BEARER

from .document import Json, Step, Unexpected, WrongApp, add, find, remove, replace, require
from .gateway_problems import GATEWAY_PROBLEMS, gateway_response

# The references in the Swagger. Terraform replaces them.
LIVE_ALIAS_URI = "${aws_lambda_alias.live.invoke_arn}"
AUTHORIZER_ALIAS_URI = "${aws_lambda_alias.authorizer.invoke_arn}"
CACHE_SECONDS = "${var.token_cache_seconds}"

INTEGRATION = "x-amazon-apigateway-integration"
AUTHORIZER_EXTENSION = "x-amazon-apigateway-authorizer"
ANY_METHOD = "x-amazon-apigateway-any-method"  # cors.tf reads it too
SHARED_MEMBERS = ("produces", "responses", "parameters", "security", INTEGRATION)  # of all methods of a path
VALIDATOR = "body"


def call_the_live_alias(swagger: Json) -> None:
    """Chalice calls the newest code. An alias moves to a version when it is complete, and can be moved back."""
    newest = "${aws_lambda_function.api_handler.invoke_arn}"
    for path, methods in find(swagger, "paths").items():
        for method in methods:
            replace(swagger, "paths", path, method, INTEGRATION, "uri", was=newest, to=LIVE_ALIAS_URI)
            require(swagger, "paths", path, method, INTEGRATION, "type", was="aws_proxy")


def configure_authorizer(swagger: Json) -> None:
    """Call the authorizer's alias, only for well-formed tokens, and cache for the stage's time. Chalice cannot."""
    require(swagger, "securityDefinitions", was={"authorizer": find(swagger, "securityDefinitions", "authorizer")})
    place = ("securityDefinitions", "authorizer", AUTHORIZER_EXTENSION)
    newest = "${aws_lambda_function.authorizer.invoke_arn}"
    replace(swagger, *place, "authorizerUri", was=newest, to=AUTHORIZER_ALIAS_URI)
    replace(swagger, *place, "authorizerResultTtlInSeconds", was=300, to=CACHE_SECONDS)
    add(swagger, *place, "identityValidationExpression", to=BEARER)


def require_the_authorizer_everywhere(swagger: Json) -> None:
    """Every method has the authorizer. Chalice leaves it out of a route that does not name it."""
    for path, methods in find(swagger, "paths").items():
        for method, operation in methods.items():
            if operation.get("security") != [{"authorizer": []}]:
                name = "every method" if method == ANY_METHOD else method.upper()
                raise WrongApp(f"the route {name} {path} has no authorizer: give its @app.route authorizer=authorizer")


def pass_unsupported_methods(swagger: Json) -> None:
    """API Gateway would respond with the 404 of an unknown path. The function responds with 405 and Allow.

    A MOCK integration does not work: it parses the body as its own settings, and responds with 500 if it cannot.
    """
    for path, methods in find(swagger, "paths").items():
        supported = find(swagger, "paths", path, min(methods))
        unsupported = {name: supported[name] for name in SHARED_MEMBERS if name in supported}
        unsupported["summary"] = "Respond with 405 and the methods that the path supports."
        add(swagger, "paths", path, ANY_METHOD, to=unsupported)


def validate_posted_bodies(swagger: Json) -> None:
    """API Gateway refuses a body that is neither an object nor a batch, without a call of the function.

    It cannot check more. A CloudEvent in binary mode has the same media type as an event in plain JSON, and its body is
    any JSON object. A model cannot depend on other headers. The function checks each event.

    It does not check a body whose media type has no model, unless there is a model for $default. The model is also
    registered for application/json, because some tools do not know $default.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
    """
    post = find(swagger, "paths", "/events", "post")
    array = {"type": "array", "minItems": 1, "maxItems": batch.MAX_EVENTS}
    add(swagger, "definitions", "PostedBody", to={"anyOf": [{"type": "object"}, array]})
    add(swagger, "x-amazon-apigateway-request-validators", to={VALIDATOR: {
        "validateRequestBody": True, "validateRequestParameters": False,
    }})  # fmt: skip
    add(post, "x-amazon-apigateway-request-validator", to=VALIDATOR)
    replace(post, "consumes", was=[], to=["application/json", "$default"])
    reference = {"$ref": "#/definitions/PostedBody"}
    add(post, "parameters", to=[{"in": "body", "name": "PostedBody", "required": True, "schema": reference}])


def respond_with_problems(swagger: Json) -> None:
    """API Gateway's own errors get the form of all other errors. By default they are a JSON object with a message."""
    responses = {kind: gateway_response(error) for kind, error in GATEWAY_PROBLEMS.items()}
    add(swagger, "x-amazon-apigateway-gateway-responses", to=responses)


def require_tls_1_2(swagger: Json) -> None:
    """A regional API accepts TLS 1.0 unless it names a policy. The provider has no argument for it before version 6.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html
    """
    add(swagger, "x-amazon-apigateway-security-policy", to="SecurityPolicy_TLS13_1_2_2021_06")
    add(swagger, "x-amazon-apigateway-endpoint-access-mode", to="STRICT")


def drop_binary_media_types_of_swagger(swagger: Json) -> None:
    """The Terraform has its own list, which overrides this one."""
    remove(swagger, "x-amazon-apigateway-binary-media-types", was=[])


def require_only_known_references(swagger: Json) -> None:
    """Terraform reads the text as a template. An unknown reference in it would change the plan."""
    known = {LIVE_ALIAS_URI, AUTHORIZER_ALIAS_URI, CACHE_SECONDS}
    for reference in re.findall(r"[$%]\{.*?\}", json.dumps(swagger)):
        if reference not in known:
            raise Unexpected(f"expected no reference but {', '.join(sorted(known))}, but there is {reference}")


STEPS: tuple[Step, ...] = (
    call_the_live_alias,
    configure_authorizer,
    pass_unsupported_methods,
    require_the_authorizer_everywhere,
    validate_posted_bodies,
    respond_with_problems,
    require_tls_1_2,
    drop_binary_media_types_of_swagger,
    require_only_known_references,
)

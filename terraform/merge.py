"""Correct what chalice packaged: build/package -> chalice.tf.json and deployment.zip beside this file (`make package`).

Chalice's Terraform has suited no current Terraform since 2023 (https://github.com/aws/chalice/issues/2066), and its
Swagger cannot say what API Gateway can do. Each step below corrects one thing, and expects to find it as chalice 1.34
wrote it; when a step finds something else, a sentence says what, and nothing is written.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import sources

TERRAFORM = Path(__file__).resolve().parent
ROOT = TERRAFORM.parent
sys.path.append(str(ROOT / "eventsapp"))

from chalicelib import problem  # pylint: disable=wrong-import-position  # after the path to it
from chalicelib.event import MAX_BODY_BYTES, PostedEvent  # pylint: disable=wrong-import-position  # as above
from chalicelib.token import BEARER  # pylint: disable=wrong-import-position  # as above

Json = dict[str, Any]
Step = Callable[[Json], None]

FUNCTION = ("resource", "aws_lambda_function", "api_handler")
AUTHORIZER = ("resource", "aws_lambda_function", "authorizer")
API = ("resource", "aws_api_gateway_rest_api", "rest_api")
DEPLOYMENT = ("resource", "aws_api_gateway_deployment", "rest_api")
PERMISSION = ("resource", "aws_lambda_permission", "rest_api_invoke")
AUTHORIZER_PERMISSION = ("resource", "aws_lambda_permission", "authorizer_invoke")
SWAGGER = ("locals", "chalice_api_swagger")

# The references that the Swagger has: Terraform fills them in.
LIVE_ALIAS_URI = "${aws_lambda_alias.live.invoke_arn}"
AUTHORIZER_ALIAS_URI = "${aws_lambda_alias.authorizer.invoke_arn}"
CACHE_SECONDS = "${var.token_cache_seconds}"
INTEGRATION = "x-amazon-apigateway-integration"
AUTHORIZER_EXTENSION = "x-amazon-apigateway-authorizer"
ANY_METHOD = "x-amazon-apigateway-any-method"
KEPT = ("produces", "responses", "parameters", "security", INTEGRATION)  # of a method, in the method for all others
VALIDATOR = "body"

THROTTLE_RETRY, QUOTA_RETRY = 1, 3600  # seconds; a throttle's bucket fills all the time, a quota's end is not told
MALFORMED = problem.Fault(
    "",
    "must be one JSON object, sent as application/json, of these fields: "
    + "; ".join(
        f"{name}: {rule['description']}"
        for name, rule in msgspec.json.schema(PostedEvent)["$defs"]["PostedEvent"]["properties"].items()
    ),
)

# Every error that the gateway makes by itself:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
GATEWAY_PROBLEMS: dict[str, problem.Problem] = {
    "ACCESS_DENIED": problem.Forbidden(),
    "API_CONFIGURATION_ERROR": problem.InternalError(),
    # The gateway says so of an authorizer that raises, is throttled or takes too long, too.
    "AUTHORIZER_CONFIGURATION_ERROR": problem.AuthorizerUnavailable(),
    "AUTHORIZER_FAILURE": problem.AuthorizerUnavailable(),
    "BAD_REQUEST_BODY": problem.InvalidEvent([MALFORMED]),
    "BAD_REQUEST_PARAMETERS": problem.BadRequest(),
    "DEFAULT_4XX": problem.BadRequest(),
    "DEFAULT_5XX": problem.InternalError(),
    "EXPIRED_TOKEN": problem.PathNotFound(),  # as INVALID_SIGNATURE
    "INTEGRATION_FAILURE": problem.ServiceTimeout(),
    "INTEGRATION_TIMEOUT": problem.ServiceTimeout(),
    "INVALID_API_KEY": problem.Forbidden(),
    # Of a path that it does not know, and an Authorization field that is not AWS's own.
    "INVALID_SIGNATURE": problem.PathNotFound(),
    "MISSING_AUTHENTICATION_TOKEN": problem.PathNotFound(),  # what the gateway calls a path that it does not know
    "QUOTA_EXCEEDED": problem.TooManyRequests(QUOTA_RETRY),
    "REQUEST_TOO_LARGE": problem.BodyTooLarge(MAX_BODY_BYTES),
    "RESOURCE_NOT_FOUND": problem.PathNotFound(),
    "THROTTLED": problem.TooManyRequests(THROTTLE_RETRY),
    "UNAUTHORIZED": problem.Unauthorized(),
    "UNSUPPORTED_MEDIA_TYPE": problem.UnsupportedMediaType("Send the event with Content-Type: application/json."),
    "WAF_FILTERED": problem.RequestBlocked(),
}

# Checks of checkov's that do not fit what chalice generates.
FUNCTION_SKIPS = {
    "CKV_AWS_116": "The gateway calls and waits: no call is queued, so none can end in a dead letter queue.",
    "CKV_AWS_117": "The function reaches DynamoDB alone, by TLS and IAM; a VPC would add cost and no guard.",
    "CKV_AWS_272": "The zip is built and applied by one workflow run; nobody else may write it.",
}
CHECKOV_SKIPS = {
    FUNCTION: FUNCTION_SKIPS,
    AUTHORIZER: FUNCTION_SKIPS,
    API: {"CKV_AWS_237": "To replace the API is to give it a new address, whichever comes first."},
}

# What JSON Schema draft 4, the draft of API Gateway's models, calls as msgspec's newer draft does, and we need.
DRAFT_4_KEYWORDS = {"title", "description", "type", "pattern", "minLength", "maxLength"}
DRAFT_4_KEYWORDS |= {"properties", "required", "additionalProperties"}


class Unexpected(Exception):
    """Raised when chalice's output is not what a step was written for."""


# How a step expects.


def find(document: Json, *path: str) -> Any:
    """Return the part of a document that a path names. Raises Unexpected when it has none."""
    holder: Any = document
    for depth, name in enumerate(path):
        if not isinstance(holder, dict) or name not in holder:
            at = named(path[:depth]) if depth else "the file"
            found = f"only {', '.join(sorted(holder))}" if holder and isinstance(holder, dict) else "no parts"
            raise Unexpected(f"expected {named(path)}, but {at} has {found}")
        holder = holder[name]
    return holder


def require(document: Json, *path: str, was: Any) -> None:
    """Raise Unexpected unless a part of a document is what it was."""
    found = find(document, *path)
    if found != was:
        raise Unexpected(f"expected {named(path)} to be {json.dumps(was)}, but it is {json.dumps(found)}")


def take(document: Json, *path: str, was: Any) -> None:
    """Remove a part of a document, and what holds nothing without it. Raises Unexpected unless it is what it was."""
    require(document, *path, was=was)
    for depth in reversed(range(len(path))):
        holder = find(document, *path[:depth])
        del holder[path[depth]]
        if holder:
            return


def add(document: Json, *path: str, to: Any) -> None:
    """Give a document a part that chalice does not write. Raises Unexpected when it does."""
    holder = find(document, *path[:-1])
    if path[-1] in holder:
        raise Unexpected(f"expected no {named(path)}, but chalice writes it now: {json.dumps(holder[path[-1]])}")
    holder[path[-1]] = to


def replace(document: Json, *path: str, was: Any, to: Any) -> None:
    """Change a part of a document. Raises Unexpected unless it is what it was."""
    require(document, *path, was=was)
    find(document, *path[:-1])[path[-1]] = to


def named(path: tuple[str, ...]) -> str:
    """Return what a reader calls a part of a document."""
    if path[0] in ("resource", "data") and len(path) > 2:
        kind, address, rest = path[0], ".".join(path[1:3]), path[3:]
        return f"{'.'.join(rest)} of {kind} {address}" if rest else f"{kind} {address}"
    return ".".join(path)


# The steps on the Terraform.


def drop_version_pins(document: Json) -> None:
    """Chalice pins Terraform below 1.4 and the provider below 5; versions.tf says what we need, once."""
    aws, null = {"version": ">= 3.61.0, < 5"}, {"version": ">= 2, < 4"}
    pins = {"required_version": ">= 0.12.26, < 1.4.0", "required_providers": {"aws": aws, "null": null}}
    take(document, "terraform", was=pins)


def drop_data(document: Json) -> None:
    """null_data_source is deprecated and costs a provider; nothing reads it, nor the other three."""
    stage = packaged_stage(document)
    take(document, "data", "null_data_source", "chalice", was={"inputs": {"app": "event-api", "stage": stage}})
    for kind in ("aws_caller_identity", "aws_partition", "aws_region"):
        take(document, "data", kind, "chalice", was={})
    used = sorted(set(re.findall(r"\$\{[^}]*\b(data\.[\w.-]+)", json.dumps(document))))
    if used:
        raise Unexpected(f"expected that nothing reads chalice's data sources, but something reads {', '.join(used)}")


def drop_outputs(document: Json) -> None:
    """The deployment's invoke_url is gone in provider 6; outputs.tf has the stage's."""
    take(document, "output", "EndpointURL", was={"value": "${aws_api_gateway_deployment.rest_api.invoke_url}"})
    take(document, "output", "RestAPIId", was={"value": "${aws_api_gateway_rest_api.rest_api.id}"})


def part_deployment_from_stage(document: Json) -> None:
    """Provider 6 has no stage_name here: aws_api_gateway_stage.this is the stage, and a new body deploys anew."""
    take(document, *DEPLOYMENT, "stage_name", was="api")
    take(document, *DEPLOYMENT, "stage_description", was="${md5(local.chalice_api_swagger)}")
    require(document, *DEPLOYMENT, "lifecycle", was={"create_before_destroy": True})
    add(document, *DEPLOYMENT, "triggers", to={"body": "${sha256(local.chalice_api_swagger)}"})


def publish_versions(document: Json) -> None:
    """Each code change becomes a version, which the function's alias goes to, and can come back from."""
    for function in (FUNCTION, AUTHORIZER):
        require(document, *function, "filename", was="${path.module}/deployment.zip")
        require(document, *function, "source_code_hash", was='${filebase64sha256("${path.module}/deployment.zip")}')
        add(document, *function, "publish", to=True)


def log_as_json(document: Json) -> None:
    """As text, Lambda logs a message without its fields; and the function waits for the log group that has an end."""
    for function in (FUNCTION, AUTHORIZER):
        group = "${aws_cloudwatch_log_group." + function[-1] + ".name}"
        add(document, *function, "logging_config", to={"log_format": "JSON", "log_group": group})


def bound_concurrency(document: Json) -> None:
    """What a flood can run at once is the stage's choice; chalice's own setting is a number, and of all stages."""
    for function in (FUNCTION, AUTHORIZER):
        limit = "${var.concurrency." + function[-1] + "}"
        add(document, *function, "reserved_concurrent_executions", to=limit)


def encrypt_environment(document: Json) -> None:
    """With the stage's own key, where it has one; chalice knows no such setting.

    Of a key that is yet to be made, the provider's plan does not see that it makes a new version, and its apply fails
    on that; it sees a new description.
    """
    for function in (FUNCTION, AUTHORIZER):
        add(document, *function, "kms_key_arn", to="${one(aws_kms_key.this[*].arn)}")
        whose = "${var.customer_key ? \"the stage's own key\" : \"the key that Lambda owns\"}"
        add(document, *function, "description", to=f"Its environment is encrypted with {whose}.")


def require_settings(document: Json) -> None:
    """What config.json asks of the function and the API; chalice ignores a setting that it does not know."""
    for function in (FUNCTION, AUTHORIZER):
        require(document, *function, "tracing_config", was={"mode": "Active"})
        require(document, *function, "role", was="${aws_iam_role." + function[-1] + ".arn}")
    require(document, *API, "endpoint_configuration", was={"types": ["REGIONAL"]})  # not EDGE, chalice's default
    require(document, *API, "body", was="${local.chalice_api_swagger}")


def drop_binary_media_types(document: Json) -> None:
    """app.py clears chalice's seventeen, and the absence of a list is what says text."""
    take(document, *API, "binary_media_types", was=[])


def permit_only_the_aliases(document: Json) -> None:
    """Only this API's stage may call, only its paths, and only the alias; chalice lets each path call any version.

    Only its authorizers may call the authorizer, by its alias.
    """
    swagger = json.loads(find(document, *SWAGGER))
    paths = sorted(re.sub(r"\{[^}]*\}", "*", path) for path in find(swagger, "paths"))
    stage = "${aws_api_gateway_rest_api.rest_api.execution_arn}/${aws_api_gateway_stage.this.stage_name}"
    by_arn = "${aws_lambda_function.api_handler.arn}"
    replace(document, *PERMISSION, "function_name", was=by_arn, to="${aws_lambda_function.api_handler.function_name}")
    add(document, *PERMISSION, "qualifier", to="${aws_lambda_alias.live.name}")
    add(document, *PERMISSION, "for_each", to="${toset(" + json.dumps(paths) + ")}")
    # Any method: those that a path does not have are answered with 405 by the function too.
    whole_api = "${aws_api_gateway_rest_api.rest_api.execution_arn}/*"
    replace(document, *PERMISSION, "source_arn", was=whole_api, to=f"{stage}/*${{each.value}}")
    by_arn, by_name = (f"${{aws_lambda_function.authorizer.{name}}}" for name in ("arn", "function_name"))
    replace(document, *AUTHORIZER_PERMISSION, "function_name", was=by_arn, to=by_name)
    add(document, *AUTHORIZER_PERMISSION, "qualifier", to="${aws_lambda_alias.authorizer.name}")
    authorizers = "${aws_api_gateway_rest_api.rest_api.execution_arn}/authorizers/*"
    replace(document, *AUTHORIZER_PERMISSION, "source_arn", was=whole_api, to=authorizers)


def name_api_after_its_stage(document: Json) -> None:
    """Chalice names the API of every stage alike, and an account may hold more than one.

    In its description too, or the provider would change the name again after the import, while that is at work.
    """
    name = find(document, *FUNCTION, "function_name")
    replace(document, *API, "name", was="event-api", to=name)
    swagger = json.loads(find(document, *SWAGGER))
    replace(swagger, "info", "title", was="event-api", to=name)
    document["locals"][SWAGGER[1]] = json.dumps(swagger)


def note_checkov_skips(document: Json) -> None:
    """Each check that does not fit is named, with its reason, beside what it is about; Terraform ignores "//"."""
    for place, reasons in CHECKOV_SKIPS.items():
        add(document, *place, "//", to=[f"checkov:skip={check}:{reason}" for check, reason in reasons.items()])


def require_nothing_new(document: Json) -> None:
    """What no step knows would be deployed unread."""
    known = {FUNCTION, AUTHORIZER, API, DEPLOYMENT, PERMISSION, AUTHORIZER_PERMISSION}
    new = sorted({("resource", *address) for address in addresses(document.get("resource", {}))} - known)
    new += [(kind,) for kind in sorted(document.keys() - {"resource", "locals"})]
    new += [("locals", name) for name in sorted(document["locals"].keys() - {SWAGGER[1]})]
    if new:
        raise Unexpected(f"expected nothing beside what the steps know, but there is {', '.join(map(named, new))}")


def addresses(kinds: Json) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each resource."""
    for kind, resources in kinds.items():
        for name in resources:
            yield kind, name


TERRAFORM_STEPS: tuple[Step, ...] = (
    drop_version_pins,
    drop_data,
    drop_outputs,
    part_deployment_from_stage,
    publish_versions,
    log_as_json,
    bound_concurrency,
    encrypt_environment,
    require_settings,
    drop_binary_media_types,
    permit_only_the_aliases,
    name_api_after_its_stage,
    note_checkov_skips,
    require_nothing_new,
)


# The steps on the Swagger.


def call_the_live_alias(swagger: Json) -> None:
    """Chalice calls the function's newest code; an alias moves when its version is whole, and can be rolled back."""
    newest = "${aws_lambda_function.api_handler.invoke_arn}"
    for path, methods in find(swagger, "paths").items():
        for method in methods:
            replace(swagger, "paths", path, method, INTEGRATION, "uri", was=newest, to=LIVE_ALIAS_URI)
            require(swagger, "paths", path, method, INTEGRATION, "type", was="aws_proxy")


def ask_the_authorizer_well(swagger: Json) -> None:
    """By its alias, only of what a token can be, and again after the stage's own time: chalice can say none of it."""
    require(swagger, "securityDefinitions", was={"authorizer": find(swagger, "securityDefinitions", "authorizer")})
    place = ("securityDefinitions", "authorizer", AUTHORIZER_EXTENSION)
    newest = "${aws_lambda_function.authorizer.invoke_arn}"
    replace(swagger, *place, "authorizerUri", was=newest, to=AUTHORIZER_ALIAS_URI)
    replace(swagger, *place, "authorizerResultTtlInSeconds", was=300, to=CACHE_SECONDS)
    add(swagger, *place, "identityValidationExpression", to=BEARER)


def require_the_authorizer_everywhere(swagger: Json) -> None:
    """No method is free of the authorizer: chalice leaves one out where a route does not name it."""
    for path, methods in find(swagger, "paths").items():
        for method in methods:
            require(swagger, "paths", path, method, "security", was=[{"authorizer": []}])


def pass_other_methods_on(swagger: Json) -> None:
    """The gateway takes an unknown method for an unknown path; the function answers 405 and knows what to allow.

    A MOCK integration would read a body that is not JSON as its own instructions, and answer 500.
    """
    for path, methods in find(swagger, "paths").items():
        known = find(swagger, "paths", path, min(methods))
        other = {name: known[name] for name in KEPT if name in known}
        add(swagger, "paths", path, ANY_METHOD, to=other | {"summary": "Answer 405 with what the path allows."})


def validate_posted_events(swagger: Json) -> None:
    """The gateway refuses what the handler would, from the same declaration, without waking the function.

    It skips a body for whose media type there is no model, unless one is registered as $default; application/json is
    named beside it for tools that do not know $default.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
    """
    post = find(swagger, "paths", "/events", "post")
    add(swagger, "definitions", "PostedEvent", to=draft_4(PostedEvent))
    add(swagger, "x-amazon-apigateway-request-validators", to={VALIDATOR: {
        "validateRequestBody": True, "validateRequestParameters": False,
    }})  # fmt: skip
    add(post, "x-amazon-apigateway-request-validator", to=VALIDATOR)
    replace(post, "consumes", was=[], to=["application/json", "$default"])
    reference = {"$ref": "#/definitions/PostedEvent"}
    add(post, "parameters", to=[{"in": "body", "name": "PostedEvent", "required": True, "schema": reference}])


def draft_4(declared: type[msgspec.Struct]) -> Json:
    """Return a declaration as JSON Schema draft 4. Raises Unexpected for what msgspec says in newer words."""
    name = declared.__name__
    schema = msgspec.json.schema(declared)
    require(schema, "$ref", was=f"#/$defs/{name}")
    rules = find(schema, "$defs", name)
    fields = {f"{name}.{field}": rule for field, rule in rules["properties"].items()}
    for path, rule in {name: rules, **fields}.items():
        unknown = sorted(rule.keys() - DRAFT_4_KEYWORDS)
        if unknown:
            raise Unexpected(f"expected {path} to be declared in words of draft 4 too, but there is {unknown[0]}")
    return rules


def answer_with_problems(swagger: Json) -> None:
    """Each error of the gateway's own has the form of all others; by default it is a bare message as JSON."""
    responses = {kind: gateway_response(answer) for kind, answer in GATEWAY_PROBLEMS.items()}
    add(swagger, "x-amazon-apigateway-gateway-responses", to=responses)


def gateway_response(answer: problem.Problem) -> Json:
    """Return how the gateway is told to answer a problem; it names the request as the access log does."""
    return {
        "statusCode": str(answer.status),
        "responseParameters": {f"gatewayresponse.header.{name}": f"'{text}'" for name, text in answer.headers.items()},
        # The key is the one template there is, whatever a caller accepts; the header above is what is sent.
        "responseTemplates": {"application/json": json.dumps(answer.body("$context.requestId"))},
    }


def require_tls_1_2(swagger: Json) -> None:
    """A regional API takes TLS 1.0 unless it names a policy, for which the provider has no argument before 6.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html
    """
    add(swagger, "x-amazon-apigateway-security-policy", to="SecurityPolicy_TLS13_1_2_2021_06")
    add(swagger, "x-amazon-apigateway-endpoint-access-mode", to="STRICT")


def drop_binary_media_types_of_swagger(swagger: Json) -> None:
    """As in the Terraform, which would win over this list."""
    take(swagger, "x-amazon-apigateway-binary-media-types", was=[])


def require_only_known_references(swagger: Json) -> None:
    """Terraform reads the text as a template: what looks like a reference and is none stops the plan, or says else."""
    known = {LIVE_ALIAS_URI, AUTHORIZER_ALIAS_URI, CACHE_SECONDS}
    for reference in re.findall(r"[$%]\{.*?\}", json.dumps(swagger)):
        if reference not in known:
            raise Unexpected(f"expected no reference but {', '.join(sorted(known))}, but there is {reference}")


SWAGGER_STEPS: tuple[Step, ...] = (
    call_the_live_alias,
    ask_the_authorizer_well,
    pass_other_methods_on,
    require_the_authorizer_everywhere,
    validate_posted_events,
    answer_with_problems,
    require_tls_1_2,
    drop_binary_media_types_of_swagger,
    require_only_known_references,
)


# All of it.


def packaged_stage(document: Json) -> str:
    """Return the stage that chalice packaged."""
    return find(document, "data", "null_data_source", "chalice", "inputs", "stage")


def merge(document: Json) -> Json:
    """Return chalice's Terraform with every correction. Raises Unexpected."""
    document = json.loads(json.dumps(document))
    stage = packaged_stage(document)
    for step in TERRAFORM_STEPS:
        step(document)
    swagger = json.loads(find(document, *SWAGGER))
    for step in SWAGGER_STEPS:
        step(swagger)
    # The one reference to a number stands without quotes.
    text = json.dumps(swagger, sort_keys=True).replace(json.dumps(CACHE_SECONDS), CACHE_SECONDS)
    document["locals"] = {"chalice_api_swagger": text, "packaged_stage": stage}
    return document


def write(source: Path, destination: Path) -> str:
    """Correct a folder that chalice wrote into another; return its stage. Raises Unexpected."""
    merged = merge(json.loads((source / "chalice.tf.json").read_text("utf-8")))
    merged["locals"]["packaged_sources"] = sources.digest()
    (destination / "chalice.tf.json").write_text(json.dumps(merged, indent=2, sort_keys=True) + "\n", "utf-8")
    shutil.copyfile(source / "deployment.zip", destination / "deployment.zip")
    return merged["locals"]["packaged_stage"]


def main() -> None:
    """Correct build/package into this folder, and say what was made; or say what was not expected."""
    try:
        stage = write(ROOT / "build" / "package", TERRAFORM)
    except Unexpected as exc:
        sys.exit(f"make package: terraform/merge.py {exc}: see what this chalice writes, and correct the step.")
    except (FileNotFoundError, ValueError) as exc:
        sys.exit(f"make package: build/package is not what chalice writes ({exc}): run `make package` again.")
    size = (TERRAFORM / "deployment.zip").stat().st_size // 1024
    print(f"Packaged stage {stage}: terraform/chalice.tf.json and terraform/deployment.zip ({size} KiB).")


if __name__ == "__main__":
    main()

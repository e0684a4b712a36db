"""Chalice's Terraform, corrected: each correction, and what each refuses to correct."""

import copy
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any, NamedTuple

import app
import botocore.session
import jsonschema
import msgspec
import pytest
from bench import ROOT, gateway_event, package
from bodies import BAD, GOOD
from chalicelib import event, problem, token
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]
INTEGRATION = "x-amazon-apigateway-integration"
ANY_METHOD = "x-amazon-apigateway-any-method"


def load_merge() -> ModuleType:
    """Import terraform/merge.py, which lies in no package."""
    spec = importlib.util.spec_from_file_location("merge", ROOT / "terraform" / "merge.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["merge"] = module
    spec.loader.exec_module(module)
    return module


merge = load_merge()


@pytest.fixture(scope="module", name="source")
def fixture_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which chalice packaged the stage prod."""
    return package(tmp_path_factory.mktemp("merge") / "package", "prod")


@pytest.fixture(name="chalice")
def fixture_chalice(source: Path) -> Json:
    """Return chalice's Terraform, uncorrected."""
    return json.loads((source / "chalice.tf.json").read_text())


@pytest.fixture(name="merged")
def fixture_merged(chalice: Json) -> Json:
    """Return chalice's Terraform, corrected."""
    return merge.merge(chalice)


@pytest.fixture(name="swagger")
def fixture_swagger(merged: Json) -> Json:
    """Return the corrected Swagger."""
    return json.loads(as_json(merged["locals"]["chalice_api_swagger"]))


def as_json(template: str) -> str:
    """Return the Swagger's text with the number in it that Terraform puts there."""
    assert template.count(merge.CACHE_SECONDS) == 1
    return template.replace(f": {merge.CACHE_SECONDS}", ": 300")


# The Terraform.


def notes(place: tuple[str, ...]) -> list[str]:
    """Return what a resource notes of checkov; the test of checkov holds the list."""
    return [f"checkov:skip={check}:{reason}" for check, reason in merge.CHECKOV_SKIPS[place].items()]


def test_the_terraform_is_only_what_current_terraform_and_providers_take(merged: Json) -> None:
    """The corrected Terraform has the six resources, the stage's name, and nothing else."""
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    merged["locals"]["chalice_api_swagger"] = "..."
    assert merged == {
        "locals": {"chalice_api_swagger": "...", "packaged_stage": "prod"},
        "resource": {
            "aws_lambda_function": {
                name: {
                    "//": notes(("resource", "aws_lambda_function", name)),
                    "function_name": function_name,
                    "runtime": runtime,
                    "handler": handler,
                    "memory_size": 512,
                    "architectures": ["x86_64"],
                    "tags": {"aws-chalice": "version=1.34.0:stage=prod:app=event-api"},
                    "timeout": 15,
                    "source_code_hash": '${filebase64sha256("${path.module}/deployment.zip")}',
                    "filename": "${path.module}/deployment.zip",
                    "environment": {"variables": {
                        "TABLE_NAME": "${aws_dynamodb_table.events.name}",
                        "TOKEN_TABLE_NAME": "${aws_dynamodb_table.tokens.name}",
                        "RETENTION_DAYS": "${var.retention_days}",
                    }},
                    "tracing_config": {"mode": "Active"},
                    "role": f"${{aws_iam_role.{name}.arn}}",
                    "publish": True,
                    "logging_config": {
                        "log_format": "JSON", "log_group": f"${{aws_cloudwatch_log_group.{name}.name}}",
                    },
                    "reserved_concurrent_executions": f"${{var.concurrency.{name}}}",
                    "kms_key_arn": "${one(aws_kms_key.this[*].arn)}",
                    "description": "Its environment is encrypted with ${var.customer_key ? "
                    "\"the stage's own key\" : \"the key that Lambda owns\"}.",
                }
                for name, function_name, handler in (
                    ("api_handler", "event-api-prod", "app.app"),
                    ("authorizer", "event-api-prod-authorizer", "app.authorizer"),
                )
            },
            "aws_api_gateway_rest_api": {"rest_api": {
                "body": "${local.chalice_api_swagger}",
                "//": notes(API),
                "name": "event-api-prod",
                "endpoint_configuration": {"types": ["REGIONAL"]},
            }},
            "aws_api_gateway_deployment": {"rest_api": {
                "rest_api_id": "${aws_api_gateway_rest_api.rest_api.id}",
                "lifecycle": {"create_before_destroy": True},
                "triggers": {"body": "${sha256(local.chalice_api_swagger)}"},
            }},
            "aws_lambda_permission": {"authorizer_invoke": {
                "function_name": "${aws_lambda_function.authorizer.function_name}",
                "qualifier": "${aws_lambda_alias.authorizer.name}",
                "action": "lambda:InvokeFunction",
                "principal": "apigateway.amazonaws.com",
                "source_arn": "${aws_api_gateway_rest_api.rest_api.execution_arn}/authorizers/*",
            }, "rest_api_invoke": {
                "for_each": '${toset(["/events", "/events/*"])}',
                "function_name": "${aws_lambda_function.api_handler.function_name}",
                "qualifier": "${aws_lambda_alias.live.name}",
                "action": "lambda:InvokeFunction",
                "principal": "apigateway.amazonaws.com",
                "source_arn": "${aws_api_gateway_rest_api.rest_api.execution_arn}/"
                "${aws_api_gateway_stage.this.stage_name}/*${each.value}",
            }},
        },
    }  # fmt: skip


def test_each_stage_of_the_config_has_its_tfvars_or_none_has() -> None:
    """A stage that can be packaged can be deployed, and the other way round."""
    stages = set(json.loads((ROOT / "eventsapp" / ".chalice" / "config.json").read_text())["stages"])
    assert stages == {"dev", "staging", "prod"}
    folder = ROOT / "terraform" / "stages"
    assert not folder.exists() or {path.stem for path in folder.glob("*.tfvars")} == stages


# What the steps refuse.


class Change(NamedTuple):
    """What another chalice might write: a step's file with one part changed, and what the step says of it."""

    step: str
    path: tuple[str, ...]
    value: Any
    says: str


GONE = object()
FUNCTION, API, DEPLOYMENT, PERMISSION = merge.FUNCTION, merge.API, merge.DEPLOYMENT, merge.PERMISSION
AUTHORIZER, AUTHORIZER_PERMISSION = merge.AUTHORIZER, merge.AUTHORIZER_PERMISSION
POST = ("paths", "/events", "post")
ASKED = ("securityDefinitions", "authorizer", "x-amazon-apigateway-authorizer")

CHANGES = [
    Change("drop_version_pins", ("terraform",), GONE, "expected terraform, but the file has only data, locals,"),
    Change("drop_version_pins", ("terraform", "required_version"), ">= 1.5", "expected terraform to be"),
    Change("drop_data", ("data", "null_data_source", "chalice"), GONE, "inputs.stage of data null_data_source.chalice"),
    Change("drop_data", ("data", "aws_region", "chalice"), GONE, "expected data aws_region.chalice, but"),
    Change("drop_data", (*FUNCTION, "layers"), ["${data.aws_region.chalice.name}"], "reads data.aws_region.chalice"),
    Change("drop_outputs", ("output", "EndpointURL"), GONE, "expected output.EndpointURL, but output has only Rest"),
    Change("part_deployment_from_stage", DEPLOYMENT, GONE, "expected stage_name of resource aws_api_gateway_deploymen"),
    Change("part_deployment_from_stage", (*DEPLOYMENT, "stage_name"), GONE, "expected stage_name of resource aws_api_"),
    Change("part_deployment_from_stage", (*DEPLOYMENT, "triggers"), {}, "expected no triggers of resource aws_api_ga"),
    Change("publish_versions", FUNCTION, GONE, "of resource aws_lambda_function.api_handler, but"),
    Change("publish_versions", (*FUNCTION, "publish"), True, "expected no publish of resource aws_lambda_function.api"),
    Change("publish_versions", (*FUNCTION, "source_code_hash"), GONE, "expected source_code_hash of resource aws_lamb"),
    Change("publish_versions", AUTHORIZER, GONE, "expected filename of resource aws_lambda_function.authorizer, but"),
    Change("log_as_json", (*FUNCTION, "logging_config"), {}, "expected no logging_config of resource aws_lambda_funct"),
    Change("bound_concurrency", (*AUTHORIZER, "reserved_concurrent_executions"), 5, "authorizer, but chalice writes i"),
    Change("encrypt_environment", (*AUTHORIZER, "description"), "", "expected no description of resource aws_lambda_f"),
    Change("encrypt_environment", (*FUNCTION, "kms_key_arn"), "a", "expected no kms_key_arn of resource aws_lambda_fu"),
    Change("require_settings", (*AUTHORIZER, "role"), "${aws_iam_role.api_handler.arn}", 'to be "${aws_iam_role.autho'),
    Change("name_api_after_its_stage", (*API, "name"), "events", "expected name of resource aws_api_gateway_rest_a"),
    Change("note_checkov_skips", (*API, "//"), "a note", "expected no // of resource aws_api_gateway_rest_api.rest_ap"),
    Change("require_settings", (*FUNCTION, "tracing_config"), GONE, "expected tracing_config of resource aws_lambda_f"),
    Change("require_settings", (*API, "endpoint_configuration", "types"), ["EDGE"], "expected endpoint_configuration "),
    Change("drop_binary_media_types", (*API, "binary_media_types"), ["image/png"], 'be [], but it is ["image/png"]'),
    Change("permit_only_the_aliases", PERMISSION, GONE, "function_name of resource aws_lambda_permission.rest_api_"),
    Change("permit_only_the_aliases", (*PERMISSION, "source_arn"), "*", "expected source_arn of resource aws_lamb"),
    Change("permit_only_the_aliases", (*AUTHORIZER_PERMISSION, "source_arn"), "*", "aws_lambda_permission.authorizer_"),
    Change("require_nothing_new", ("resource", "aws_iam_role", "new"), {}, "there is resource aws_iam_role.new"),
    Change("require_nothing_new", ("resource", "aws_lambda_function", "other"), {}, "aws_lambda_function.other"),
    Change("require_nothing_new", ("locals", "new"), "", "there is locals.new"),
    Change("require_nothing_new", ("moved",), [], "there is moved"),
]
SWAGGER_CHANGES = [
    Change("call_the_live_alias", (*POST, INTEGRATION, "uri"), "other", "integration.uri to be"),
    Change("call_the_live_alias", (*POST, INTEGRATION, "type"), "aws", 'type to be "aws_proxy", but it is "aws"'),
    Change("call_the_live_alias", ("paths",), GONE, "expected paths, but the file has only definitions, info,"),
    Change("ask_the_authorizer_well", ("securityDefinitions",), GONE, "expected securityDefinitions.authorizer, but "),
    Change("ask_the_authorizer_well", ("securityDefinitions", "new"), {}, "expected securityDefinitions to be"),
    Change("ask_the_authorizer_well", (*ASKED, "authorizerUri"), "other", "authorizerUri to be"),
    Change("ask_the_authorizer_well", (*ASKED, "authorizerResultTtlInSeconds"), 60, "to be 300, but it is 60"),
    Change("ask_the_authorizer_well", (*ASKED, "identityValidationExpression"), ".*", "chalice writes it now"),
    Change("require_the_authorizer_everywhere", (*POST, "security"), GONE, "expected paths./events.post.security, but"),
    Change("require_the_authorizer_everywhere", (*POST, "security"), [], "security to be"),
    Change("pass_other_methods_on", ("paths", "/events", ANY_METHOD), {}, "expected no paths./events.x-amazon"),
    Change("validate_posted_events", POST, GONE, "expected paths./events.post, but paths./events has no parts"),
    Change("validate_posted_events", (*POST, "consumes"), ["a/b"], 'consumes to be [], but it is ["a/b"]'),
    Change("validate_posted_events", ("definitions", "PostedEvent"), {}, "expected no definitions.PostedEvent"),
    Change("answer_with_problems", ("x-amazon-apigateway-gateway-responses",), {}, "expected no x-amazon-apigateway-g"),
    Change("require_tls_1_2", ("x-amazon-apigateway-security-policy",), "TLS_1_0", 'writes it now: "TLS_1_0"'),
    Change("drop_binary_media_types_of_swagger", ("x-amazon-apigateway-binary-media-types",), ["a/b"], "to be [], but"),
    Change("require_only_known_references", ("info", "title"), "${var.title}", "but there is ${var.title}"),
    Change("require_only_known_references", ("info", "title"), "%{ if a }", "but there is %{ if a }"),
]


def changed(document: Json, change: Change) -> Json:
    """Return a document with one part changed."""
    document = copy.deepcopy(document)
    holder = document
    for name in change.path[:-1]:
        holder = holder.setdefault(name, {})
    if change.value is GONE:
        del holder[change.path[-1]]
    else:
        holder[change.path[-1]] = change.value
    return document


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.step}-{'.'.join(change.path[-2:])}")
def test_a_step_refuses_what_it_does_not_know(chalice: Json, change: Change) -> None:
    """A step says in a sentence which part of chalice's output is not what it corrects."""
    if change.step == "require_nothing_new":  # it reads what the other steps leave
        for step in merge.TERRAFORM_STEPS[:-1]:
            step(chalice)
    with pytest.raises(merge.Unexpected, match=re.escape(change.says)):
        getattr(merge, change.step)(changed(chalice, change))


@pytest.mark.parametrize("change", SWAGGER_CHANGES, ids=lambda change: f"{change.step}-{'.'.join(change.path[-2:])}")
def test_a_step_refuses_swagger_that_it_does_not_know(chalice: Json, change: Change) -> None:
    """A step says in a sentence which part of chalice's Swagger is not what it corrects."""
    swagger = json.loads(chalice["locals"]["chalice_api_swagger"])
    if change.step == "require_only_known_references":  # it reads what the other steps leave
        for step in merge.SWAGGER_STEPS[:-1]:
            step(swagger)
    with pytest.raises(merge.Unexpected, match=re.escape(change.says)):
        getattr(merge, change.step)(changed(swagger, change))


def test_every_step_has_something_to_refuse() -> None:
    """No step corrects blindly."""
    steps = {step.__name__ for step in (*merge.TERRAFORM_STEPS, *merge.SWAGGER_STEPS)}
    assert {change.step for change in (*CHANGES, *SWAGGER_CHANGES)} == steps


@pytest.mark.parametrize("kind", ["aws_lambda_function", "aws_api_gateway_rest_api", "aws_lambda_permission"])
def test_a_renamed_resource_is_named(chalice: Json, kind: str) -> None:
    """A resource under another name stops the merge with a sentence that has the name that was expected, and is new."""
    name = max(chalice["resource"][kind])
    chalice["resource"][kind]["renamed"] = chalice["resource"][kind].pop(name)
    sentence = rf"expected .* resource {kind}\.{name}, but resource\.{kind} has only .*renamed"
    with pytest.raises(merge.Unexpected, match=sentence):
        merge.merge(chalice)


# The Swagger.


def test_every_method_goes_through_the_live_alias(swagger: Json) -> None:
    """No method calls the function's newest code, and no path leaves a method to the gateway."""
    assert {path: set(methods) for path, methods in swagger["paths"].items()} == {
        "/events": {"post", ANY_METHOD},
        "/events/{event_id}": {"get", "head", ANY_METHOD},
    }
    integrations = [method[INTEGRATION] for methods in swagger["paths"].values() for method in methods.values()]
    assert {integration["uri"] for integration in integrations} == {"${aws_lambda_alias.live.invoke_arn}"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(("resource", "allowed"), [("/events", "POST"), ("/events/{event_id}", "GET, HEAD")])
def test_another_method_is_answered_by_the_function(method: str, resource: str, allowed: str) -> None:
    """What the gateway passes on by its any-method is a 405 with Allow, whatever its body is."""
    parameters = {"event_id": "order-1001"} if "{" in resource else None
    asked = gateway_event(method, resource, parameters, "<xml/>")
    asked["headers"]["Content-Type"] = "text/xml"
    answer = app.app(asked, SimpleNamespace(aws_request_id="6f8a2f1c"))
    assert (answer["statusCode"], sorted(answer["headers"]["Allow"].split(", "))) == (405, allowed.split(", "))
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(answer["body"])["type"] == "urn:event-api:problem:method-not-allowed"


def test_the_authorizer_is_asked_by_its_alias_of_whole_tokens_for_the_stages_time(merged: Json, swagger: Json) -> None:
    """What no token can be costs no call; the cache time is Terraform's number; every method asks."""
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
    assert [method["security"] for method in methods] == [[{"authorizer": []}]] * 5


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
        {"in": "body", "name": "PostedEvent", "required": True, "schema": {"$ref": "#/definitions/PostedEvent"}}
    ]
    validators = swagger["x-amazon-apigateway-request-validators"]
    assert validators[post["x-amazon-apigateway-request-validator"]] == {
        "validateRequestBody": True,
        "validateRequestParameters": False,
    }


def test_an_api_has_one_name(merged: Json, swagger: Json) -> None:
    """The import names it as Terraform does, or the provider would name it again while the import is at work."""
    assert swagger["info"]["title"] == merged["resource"]["aws_api_gateway_rest_api"]["rest_api"]["name"]


def test_every_error_of_the_gateway_is_a_problem(swagger: Json) -> None:
    """Each kind of error that API Gateway knows has the contract's form, and names the request as its log does."""
    responses = swagger["x-amazon-apigateway-gateway-responses"]
    kinds = botocore.session.get_session().get_service_model("apigateway").shape_for("GatewayResponseType").enum
    assert set(responses) == set(kinds)
    known = {kind.type: kind for kind in problem.Problem.__subclasses__()}
    for response in responses.values():
        [template] = response["responseTemplates"].values()
        body = json.loads(template.replace("$context.requestId", "c6af9ac6"))
        kind = known[body["type"].removeprefix("urn:event-api:problem:")]
        assert (body["title"], body["status"], response["statusCode"]) == (kind.title, kind.status, str(kind.status))
        assert body["detail"] and body["request_id"] == "c6af9ac6" and "$" not in json.dumps(body)
        headers = response["responseParameters"]
        assert all(re.fullmatch(r"'[^']+'", value) for value in headers.values())
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.Cache-Control"] == "'no-store'"


@pytest.mark.parametrize(
    ("kind", "status", "header"),
    [
        ("BAD_REQUEST_BODY", "400", None),
        ("UNAUTHORIZED", "401", "WWW-Authenticate"),
        ("ACCESS_DENIED", "403", "WWW-Authenticate"),
        ("WAF_FILTERED", "403", None),
        ("AUTHORIZER_FAILURE", "503", "Retry-After"),
        ("AUTHORIZER_CONFIGURATION_ERROR", "503", "Retry-After"),
        ("MISSING_AUTHENTICATION_TOKEN", "404", None),
        ("INVALID_SIGNATURE", "404", None),
        ("RESOURCE_NOT_FOUND", "404", None),
        ("REQUEST_TOO_LARGE", "413", None),
        ("UNSUPPORTED_MEDIA_TYPE", "415", "Accept-Post"),
        ("THROTTLED", "429", "Retry-After"),
        ("QUOTA_EXCEEDED", "429", "Retry-After"),
        ("DEFAULT_5XX", "500", None),
        ("INTEGRATION_FAILURE", "504", None),
        ("INTEGRATION_TIMEOUT", "504", None),
    ],
)
def test_an_error_of_the_gateway_has_its_status(swagger: Json, kind: str, status: str, header: str | None) -> None:
    """An unknown path is 404, not the gateway's 403; what a caller needs to go on stands in a header."""
    response = swagger["x-amazon-apigateway-gateway-responses"][kind]
    assert response["statusCode"] == status
    assert header is None or f"gatewayresponse.header.{header}" in response["responseParameters"]


def test_a_body_that_the_gateway_refuses_has_a_pointer(swagger: Json) -> None:
    """The gateway's 400 has the members of the handler's, and repeats nothing that was sent."""
    response = swagger["x-amazon-apigateway-gateway-responses"]["BAD_REQUEST_BODY"]
    body = json.loads(response["responseTemplates"]["application/json"])
    assert body["type"] == "urn:event-api:problem:invalid-event"
    [fault] = body["errors"]
    assert fault["pointer"] == "" and all(f"{name}: " in fault["detail"] for name in ("type", "payload", "id"))


# The gateway's check and the handler's.


# Draft 4 has exclusiveMinimum beside a minimum, as a boolean; API Gateway resolves no reference into $defs.
Counted = msgspec.defstruct("Counted", [("count", Annotated[int, msgspec.Meta(gt=0)])])
Nested = msgspec.defstruct("Nested", [("inner", Counted)])


@pytest.mark.parametrize(("declared", "says"), [(Counted, "count .* exclusiveMinimum"), (Nested, r"inner .* \$ref")])
def test_a_declaration_that_draft_4_says_otherwise_is_refused(declared: type[msgspec.Struct], says: str) -> None:
    """A model is never deployed in words that API Gateway would read otherwise, or not at all."""
    with pytest.raises(merge.Unexpected, match=rf"expected {declared.__name__}\.{says}"):
        merge.draft_4(declared)


@pytest.fixture(scope="module", name="model")
def fixture_model(source: Path) -> Json:
    """Return the model that is deployed, checked to be JSON Schema draft 4."""
    merged = merge.merge(json.loads((source / "chalice.tf.json").read_text()))
    model = json.loads(as_json(merged["locals"]["chalice_api_swagger"]))["definitions"]["PostedEvent"]
    jsonschema.Draft4Validator.check_schema(model)
    return model


def gateway_takes(model: Json, body: bytes) -> bool:
    """Tell whether a body passes a model, as a strict reader of JSON Schema draft 4 sees it."""
    try:
        document = json.loads(body.decode(), parse_int=Decimal, parse_float=Decimal)
    except (ValueError, RecursionError):
        return False
    return jsonschema.Draft4Validator(model).is_valid(document)


def handler_takes(body: bytes) -> bool:
    """Tell whether the handler takes a body."""
    try:
        event.parse(body)
    except problem.InvalidEvent:
        return False
    return True


@pytest.mark.parametrize("body", GOOD, ids=lambda body: ascii(body[:60]))
def test_the_gateway_refuses_nothing_that_the_handler_takes(model: Json, body: bytes) -> None:
    """A good body passes both checks."""
    assert handler_takes(body)
    assert gateway_takes(model, body)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: ascii(bad.body[:60]))
def test_the_handler_refuses_whatever_the_gateway_lets_by(model: Json, bad: Any) -> None:
    """A bad body is refused by the handler, with its pointer, and by the model where draft 4 can say the rule."""
    with pytest.raises(problem.InvalidEvent) as refused:
        event.parse(bad.body)
    assert bad.pointer in [fault["pointer"] for fault in refused.value.members["errors"]]
    assert gateway_takes(model, bad.body) is not bad.by_gateway


TEXTS = st.one_of(
    st.text(max_size=5),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,4}\n?", fullmatch=True),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,3}(\.[A-Za-z0-9_-]{0,3}){0,2}", fullmatch=True),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", fullmatch=True),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {"type": TEXTS, "payload": st.dictionaries(st.text(max_size=3), VALUES, max_size=3)},
    optional={"id": TEXTS, "occurred_at": TEXTS},
)


@given(document=st.one_of(FIELDS, VALUES))
def test_a_body_that_the_handler_takes_passes_the_gateway(model: Json, document: Any) -> None:
    """Whatever is posted: the gateway's check is never the stricter one."""
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert gateway_takes(model, body) or not handler_takes(body)


# The whole of it: `make package`.


@pytest.fixture(scope="module", name="tree")
def fixture_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what `make package` works on, so that no test touches what a developer packaged."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("Makefile", "requirements-dev.txt"):
        shutil.copy2(ROOT / name, tree)
    shutil.copytree(ROOT / "eventsapp", tree / "eventsapp")
    (tree / "eventsapp" / "chalicelib" / "__pycache__").mkdir(exist_ok=True)
    (tree / "eventsapp" / "chalicelib" / "__pycache__" / "left.pyc").write_bytes(b"left")
    (tree / "terraform").mkdir()
    for source in (ROOT / "terraform").glob("*.py"):
        shutil.copy2(source, tree / "terraform")
    return tree


FOREIGN = ("AWS_", "MAKE", "MFLAGS", "PYTHON")  # what whoever runs the tests may have set


def make_package(tree: Path, stage: str) -> subprocess.CompletedProcess[str]:
    """Run `make package` without credentials, with a profile that does not exist."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment |= {"AWS_PROFILE": "nobody", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    command = ["make", "-o", f"{sys.prefix}/.installed", "package", f"STAGE={stage}", f"venv={sys.prefix}"]
    return subprocess.run(command, cwd=tree, env=environment, check=False, capture_output=True, text=True)


def test_two_runs_give_the_same_bytes(tree: Path) -> None:
    """`make package` needs no credentials, and gives the same Terraform and the same zip each time."""
    made = []
    for _ in range(2):
        ran = make_package(tree, "staging")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("Packaged stage staging: terraform/chalice.tf.json and terraform/deployment.zip (")
        made.append([(tree / "terraform" / name).read_bytes() for name in ("chalice.tf.json", "deployment.zip")])
    assert made[0] == made[1]
    with zipfile.ZipFile(tree / "terraform" / "deployment.zip") as archive:
        assert [name for name in archive.namelist() if name.endswith(".pyc")] == []
    assert json.loads(made[0][0])["locals"]["packaged_stage"] == "staging"


def test_a_stage_that_is_none_is_refused(tree: Path) -> None:
    """`make package` says which stages there are."""
    ran = make_package(tree, "live")
    assert ran.returncode != 0
    assert ran.stderr.startswith("make package: there is no stage live; the stages are dev, staging, prod.\n")


def test_what_is_not_expected_ends_with_a_sentence(tree: Path, source: Path) -> None:
    """merge.py names what it misses, and writes nothing."""
    shutil.rmtree(tree / "build", ignore_errors=True)
    shutil.copytree(source, tree / "build" / "package")
    for made in ("chalice.tf.json", "deployment.zip"):
        (tree / "terraform" / made).unlink(missing_ok=True)
    written = tree / "build" / "package" / "chalice.tf.json"
    written.write_text(written.read_text().replace('"api_handler": {', '"handler": {'))
    command = [sys.executable, "terraform/merge.py"]
    ran = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "make package: terraform/merge.py expected filename of resource aws_lambda_function.api_handler, but "
        "resource.aws_lambda_function has only authorizer, handler: see what this chalice writes, "
        "and correct the step.\n"
    )
    assert [path.name for path in (tree / "terraform").iterdir() if path.suffix in (".json", ".zip")] == []

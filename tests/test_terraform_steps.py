"""The corrections of chalice's Terraform: their result, and what each step refuses."""

import re
import sys

import pytest
from changes import REMOVED, Change, Json, changed
from merge import terraform_steps
from merge.__main__ import merge
from merge.document import Unexpected
from merge.terraform_steps import (
    API, AUTHORIZER, AUTHORIZER_PERMISSION, CHECKOV_SKIPS, DEPLOYMENT, FUNCTION, PERMISSION, STEPS,
)  # fmt: skip


def notes(place: tuple[str, ...]) -> list[str]:
    """Return the skips that a resource notes. Another test has the list of them."""
    return [f"checkov:skip={check}:{reason}" for check, reason in CHECKOV_SKIPS[place].items()]


def test_corrected_terraform(merged: Json) -> None:
    """The corrected Terraform has six resources, the stage's name, and nothing else."""
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
                    "timeout": timeout,
                    "source_code_hash": '${filebase64sha256("${path.module}/deployment.zip")}',
                    "filename": "${path.module}/deployment.zip",
                    "environment": {"variables": {
                        "TABLE_NAME": "${local.events_table.name}",
                        "TOKEN_TABLE_NAME": "${aws_dynamodb_table.tokens.name}",
                        "RETENTION_DAYS": "${var.retention_days}",
                        "INDEX_SHARDS": "${var.index_shards}",
                        "CORS_ORIGINS": '${join(" ", var.cors_origins)}',
                    }},
                    "tracing_config": {"mode": "Active"},
                    "role": f"${{local.function_roles.{name}}}",
                    "publish": True,
                    "logging_config": {
                        "log_format": "JSON", "log_group": f"${{aws_cloudwatch_log_group.{name}.name}}",
                    },
                    "reserved_concurrent_executions": f"${{var.concurrency.{name}}}",
                    "kms_key_arn": "${one(aws_kms_key.this[*].arn)}",
                    "description": "Its environment is encrypted with ${var.customer_key ? "
                    "\"the stage's own key\" : \"the key that Lambda owns\"}.",
                }
                for name, function_name, handler, timeout in (
                    ("api_handler", "event-api-prod", "app.app", 5),
                    ("authorizer", "event-api-prod-authorizer", "app.authorizer", 4),
                )
            },
            "aws_api_gateway_rest_api": {"rest_api": {
                "body": "${local.api_description}",
                "//": notes(API),
                "name": "event-api-prod",
                "endpoint_configuration": {"types": ["REGIONAL"]},
            }},
            "aws_api_gateway_deployment": {"rest_api": {
                "rest_api_id": "${aws_api_gateway_rest_api.rest_api.id}",
                "lifecycle": {"create_before_destroy": True},
                "triggers": {"body": "${sha256(local.api_description)}"},
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


CHANGES = [
    Change("drop_version_pins", ("terraform",), REMOVED, "expected terraform, but the file has only data, locals,"),
    Change("drop_version_pins", ("terraform", "required_version"), ">= 1.5", "expected terraform to be"),
    Change("drop_data", ("data", "null_data_source", "chalice"), REMOVED, "inputs.stage of data null_data_source.chal"),
    Change("drop_data", ("data", "aws_region", "chalice"), REMOVED, "expected data aws_region.chalice, but"),
    Change("drop_data", (*FUNCTION, "layers"), ["${data.aws_region.chalice.name}"], "reads data.aws_region.chalice"),
    Change("drop_outputs", ("output", "EndpointURL"), REMOVED, "expected output.EndpointURL, but output has only Rest"),
    Change("remove_stage_from_deployment", DEPLOYMENT, REMOVED, "expected stage_name of resource aws_api_gateway_depl"),
    Change("remove_stage_from_deployment", (*DEPLOYMENT, "stage_name"), REMOVED, "expected stage_name of resource aws"),
    Change("remove_stage_from_deployment", (*DEPLOYMENT, "triggers"), {}, "expected no triggers of resource aws_api_g"),
    Change("add_cors_to_description", (*API, "body"), "{}", "expected body of resource aws_api_gateway_rest_api.rest_"),
    Change("publish_versions", FUNCTION, REMOVED, "of resource aws_lambda_function.api_handler, but"),
    Change("publish_versions", (*FUNCTION, "publish"), True, "expected no publish of resource aws_lambda_function.api"),
    Change("publish_versions", (*FUNCTION, "source_code_hash"), REMOVED, "expected source_code_hash of resource aws_l"),
    Change("publish_versions", AUTHORIZER, REMOVED, "expected filename of resource aws_lambda_function.authorizer, bu"),
    Change("log_as_json", (*FUNCTION, "logging_config"), {}, "expected no logging_config of resource aws_lambda_funct"),
    Change("limit_concurrency", (*AUTHORIZER, "reserved_concurrent_executions"), 5, "authorizer, but chalice writes i"),
    Change("encrypt_environment", (*AUTHORIZER, "description"), "", "expected no description of resource aws_lambda_f"),
    Change("encrypt_environment", (*FUNCTION, "kms_key_arn"), "a", "expected no kms_key_arn of resource aws_lambda_fu"),
    Change("require_settings", (*AUTHORIZER, "role"), "${local.function_roles.api_handler}", "roles.authorizer"),
    Change("name_api_after_its_stage", (*API, "name"), "events", "expected name of resource aws_api_gateway_rest_a"),
    Change("note_checkov_skips", (*API, "//"), "a note", "expected no // of resource aws_api_gateway_rest_api.rest_ap"),
    Change("require_settings", (*FUNCTION, "tracing_config"), REMOVED, "expected tracing_config of resource aws_lambd"),
    Change("require_settings", (*API, "endpoint_configuration", "types"), ["EDGE"], "expected endpoint_configuration "),
    Change("drop_binary_media_types", (*API, "binary_media_types"), ["image/png"], 'be [], but it is ["image/png"]'),
    Change("permit_only_the_aliases", PERMISSION, REMOVED, "function_name of resource aws_lambda_permission.rest_api_"),
    Change("permit_only_the_aliases", (*PERMISSION, "source_arn"), "*", "expected source_arn of resource aws_lamb"),
    Change("permit_only_the_aliases", (*AUTHORIZER_PERMISSION, "source_arn"), "*", "aws_lambda_permission.authorizer_"),
    Change("require_nothing_new", ("resource", "aws_iam_role", "new"), {}, "there is resource aws_iam_role.new"),
    Change("require_nothing_new", ("resource", "aws_lambda_function", "other"), {}, "aws_lambda_function.other"),
    Change("require_nothing_new", ("locals", "new"), "", "there is locals.new"),
    Change("require_nothing_new", ("moved",), [], "there is moved"),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_step_refuses_other_terraform(chalice: Json, change: Change) -> None:
    """A step says in a sentence which part of chalice's output differs from what it corrects."""
    if change.step == "require_nothing_new":  # it reads what the other steps leave
        for step in STEPS[:-1]:
            step(chalice)
    with pytest.raises(Unexpected, match=re.escape(change.error)):
        getattr(terraform_steps, change.step)(changed(chalice, change))


def test_every_step_refuses_something() -> None:
    """No step corrects without a check."""
    assert {change.step for change in CHANGES} == {step.__name__ for step in STEPS}


@pytest.mark.parametrize("kind", ["aws_lambda_function", "aws_api_gateway_rest_api", "aws_lambda_permission"])
def test_renamed_resource_is_named(chalice: Json, kind: str) -> None:
    """A renamed resource stops the merge. The sentence has the expected name and the new one."""
    name = max(chalice["resource"][kind])
    chalice["resource"][kind]["renamed"] = chalice["resource"][kind].pop(name)
    sentence = rf"expected .* resource {kind}\.{name}, but resource\.{kind} has only .*renamed"
    with pytest.raises(Unexpected, match=sentence):
        merge(chalice)

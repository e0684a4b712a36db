"""The corrections of chalice's Terraform.

Since 2023, no new Terraform accepts chalice's output (https://github.com/aws/chalice/issues/2066). Chalice also lacks
many settings that a stage needs. Each step corrects one thing, and expects it as chalice 1.34 writes it.
"""

import json
import re
from collections.abc import Iterator

from .document import Json, Step, Unexpected, add, display_name, find, remove, replace, require

FUNCTION = ("resource", "aws_lambda_function", "api_handler")
AUTHORIZER = ("resource", "aws_lambda_function", "authorizer")
API = ("resource", "aws_api_gateway_rest_api", "rest_api")
DEPLOYMENT = ("resource", "aws_api_gateway_deployment", "rest_api")
PERMISSION = ("resource", "aws_lambda_permission", "rest_api_invoke")
AUTHORIZER_PERMISSION = ("resource", "aws_lambda_permission", "authorizer_invoke")
SWAGGER = ("locals", "chalice_api_swagger")

# checkov's checks that do not fit the resources that chalice generates.
FUNCTION_SKIPS = {
    "CKV_AWS_116": "API Gateway waits for the response: no call is queued, so no dead letter queue gets one.",
    "CKV_AWS_117": "The function calls DynamoDB only, with TLS and IAM; a VPC would add cost and no protection.",
    "CKV_AWS_272": "One workflow run builds and applies the zip; nobody else may write it.",
}
CHECKOV_SKIPS = {
    FUNCTION: FUNCTION_SKIPS,
    AUTHORIZER: FUNCTION_SKIPS,
    API: {"CKV_AWS_237": "A replaced API gets a new address, in whichever order it is replaced."},
}


def packaged_stage(document: Json) -> str:
    """Return the stage that chalice packaged."""
    return find(document, "data", "null_data_source", "chalice", "inputs", "stage")


def drop_version_pins(document: Json) -> None:
    """Chalice pins Terraform below 1.4 and the provider below 5. versions.tf has the versions that the API needs."""
    aws, null = {"version": ">= 3.61.0, < 5"}, {"version": ">= 2, < 4"}
    pins = {"required_version": ">= 0.12.26, < 1.4.0", "required_providers": {"aws": aws, "null": null}}
    remove(document, "terraform", was=pins)


def drop_data(document: Json) -> None:
    """null_data_source is deprecated and needs another provider. Nothing reads it or the other three."""
    stage = packaged_stage(document)
    remove(document, "data", "null_data_source", "chalice", was={"inputs": {"app": "event-api", "stage": stage}})
    for kind in ("aws_caller_identity", "aws_partition", "aws_region"):
        remove(document, "data", kind, "chalice", was={})
    used = sorted(set(re.findall(r"\$\{[^}]*\b(data\.[\w.-]+)", json.dumps(document))))
    if used:
        raise Unexpected(f"expected that nothing reads chalice's data sources, but something reads {', '.join(used)}")


def drop_outputs(document: Json) -> None:
    """Provider 6 has no invoke_url of a deployment. outputs.tf has the one of the stage."""
    remove(document, "output", "EndpointURL", was={"value": "${aws_api_gateway_deployment.rest_api.invoke_url}"})
    remove(document, "output", "RestAPIId", was={"value": "${aws_api_gateway_rest_api.rest_api.id}"})


def remove_stage_from_deployment(document: Json) -> None:
    """Provider 6 has no stage_name here: stage.tf has the stage. A changed description makes a new deployment."""
    remove(document, *DEPLOYMENT, "stage_name", was="api")
    remove(document, *DEPLOYMENT, "stage_description", was="${md5(local.chalice_api_swagger)}")
    require(document, *DEPLOYMENT, "lifecycle", was={"create_before_destroy": True})
    add(document, *DEPLOYMENT, "triggers", to={"body": "${sha256(local.api_description)}"})


def add_cors_to_description(document: Json) -> None:
    """cors.tf changes chalice's Swagger for web pages of other origins, if the stage allows any."""
    replace(document, *API, "body", was="${local.chalice_api_swagger}", to="${local.api_description}")


def publish_versions(document: Json) -> None:
    """Each change of the code becomes a version. The function's alias moves to it, and can be moved back."""
    for function in (FUNCTION, AUTHORIZER):
        require(document, *function, "filename", was="${path.module}/deployment.zip")
        require(document, *function, "source_code_hash", was='${filebase64sha256("${path.module}/deployment.zip")}')
        add(document, *function, "publish", to=True)


def log_as_json(document: Json) -> None:
    """A text log has no fields. The reference also makes the function wait for its log group, which has a retention."""
    for function in (FUNCTION, AUTHORIZER):
        group = "${aws_cloudwatch_log_group." + function[-1] + ".name}"
        add(document, *function, "logging_config", to={"log_format": "JSON", "log_group": group})


def limit_concurrency(document: Json) -> None:
    """Each stage has its own limit. Chalice's setting is one number for all stages."""
    for function in (FUNCTION, AUTHORIZER):
        limit = "${var.concurrency." + function[-1] + "}"
        add(document, *function, "reserved_concurrent_executions", to=limit)


def encrypt_environment(document: Json) -> None:
    """Use the stage's own key, if it has one. Chalice has no such setting.

    While the key does not exist, the provider does not plan a new version for it, and then its apply fails. The
    description changes together with the key, so the provider plans the version.
    """
    for function in (FUNCTION, AUTHORIZER):
        add(document, *function, "kms_key_arn", to="${one(aws_kms_key.this[*].arn)}")
        key = "${var.customer_key ? \"the stage's own key\" : \"the key that Lambda owns\"}"
        add(document, *function, "description", to=f"Its environment is encrypted with {key}.")


def require_settings(document: Json) -> None:
    """Check that chalice applied the settings of config.json. It ignores settings that it does not know."""
    for function in (FUNCTION, AUTHORIZER):
        require(document, *function, "tracing_config", was={"mode": "Active"})
        require(document, *function, "role", was="${local.function_roles." + function[-1] + "}")
    require(document, *API, "endpoint_configuration", was={"types": ["REGIONAL"]})  # not EDGE, chalice's default


def drop_binary_media_types(document: Json) -> None:
    """app.py clears chalice's seventeen types. Without a list, all bodies are text."""
    remove(document, *API, "binary_media_types", was=[])


def permit_only_the_aliases(document: Json) -> None:
    """Only this API's stage may call the function: only its paths, and only the alias. Chalice permits all of them.

    Only this API's authorizers may call the authorizer, and only its alias.
    """
    swagger = json.loads(find(document, *SWAGGER))
    paths = sorted(re.sub(r"\{[^}]*\}", "*", path) for path in find(swagger, "paths"))
    stage = "${aws_api_gateway_rest_api.rest_api.execution_arn}/${aws_api_gateway_stage.this.stage_name}"
    by_arn = "${aws_lambda_function.api_handler.arn}"
    replace(document, *PERMISSION, "function_name", was=by_arn, to="${aws_lambda_function.api_handler.function_name}")
    add(document, *PERMISSION, "qualifier", to="${aws_lambda_alias.live.name}")
    add(document, *PERMISSION, "for_each", to="${toset(" + json.dumps(paths) + ")}")
    # All methods, because the function also responds with the 405 of unsupported methods.
    whole_api = "${aws_api_gateway_rest_api.rest_api.execution_arn}/*"
    replace(document, *PERMISSION, "source_arn", was=whole_api, to=f"{stage}/*${{each.value}}")
    by_arn, by_name = (f"${{aws_lambda_function.authorizer.{name}}}" for name in ("arn", "function_name"))
    replace(document, *AUTHORIZER_PERMISSION, "function_name", was=by_arn, to=by_name)
    add(document, *AUTHORIZER_PERMISSION, "qualifier", to="${aws_lambda_alias.authorizer.name}")
    authorizers = "${aws_api_gateway_rest_api.rest_api.execution_arn}/authorizers/*"
    replace(document, *AUTHORIZER_PERMISSION, "source_arn", was=whole_api, to=authorizers)


def name_api_after_its_stage(document: Json) -> None:
    """Chalice gives the APIs of all stages one name, and an account may have several stages.

    The description has the name too. Otherwise the provider renames the API after the import, while that still runs.
    """
    name = find(document, *FUNCTION, "function_name")
    replace(document, *API, "name", was="event-api", to=name)
    swagger = json.loads(find(document, *SWAGGER))
    replace(swagger, "info", "title", was="event-api", to=name)
    document["locals"][SWAGGER[1]] = json.dumps(swagger)


def note_checkov_skips(document: Json) -> None:
    """Write each skipped check with its reason into its resource. Terraform ignores "//"."""
    for place, reasons in CHECKOV_SKIPS.items():
        add(document, *place, "//", to=[f"checkov:skip={check}:{reason}" for check, reason in reasons.items()])


def require_nothing_new(document: Json) -> None:
    """A resource that no step knows would be deployed unchecked."""
    known = {FUNCTION, AUTHORIZER, API, DEPLOYMENT, PERMISSION, AUTHORIZER_PERMISSION}
    new = sorted({("resource", *address) for address in addresses(document.get("resource", {}))} - known)
    new += [(kind,) for kind in sorted(document.keys() - {"resource", "locals"})]
    new += [("locals", name) for name in sorted(document["locals"].keys() - {SWAGGER[1]})]
    if new:
        raise Unexpected(f"expected nothing that no step knows, but there is {', '.join(map(display_name, new))}")


def addresses(kinds: Json) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each resource."""
    for kind, resources in kinds.items():
        for name in resources:
            yield kind, name


STEPS: tuple[Step, ...] = (
    drop_version_pins,
    drop_data,
    drop_outputs,
    remove_stage_from_deployment,
    add_cors_to_description,
    publish_versions,
    log_as_json,
    limit_concurrency,
    encrypt_environment,
    require_settings,
    drop_binary_media_types,
    permit_only_the_aliases,
    name_api_after_its_stage,
    note_checkov_skips,
    require_nothing_new,
)

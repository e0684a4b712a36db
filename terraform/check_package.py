"""Refuse a package that does more than a package of this project does: `make plan` runs this before Terraform.

Other people's code writes chalice.tf.json. Terraform can run programs, read files and change every resource that its
credentials reach. So this accepts only the resources, arguments and expressions below. It uses only the standard
library, because the jobs with AWS credentials install no packages.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TERRAFORM = Path(__file__).resolve().parent
STAGES = ("dev", "staging", "prod")

Rule = Callable[[Any], bool]


class Refused(Exception):
    """Raised when a package contains something that this project's packages do not contain."""


def exactly(*values: Any) -> Rule:
    """Return a rule that accepts some values. JSON's true is not the number 1."""
    return lambda found: any(type(found) is type(value) and found == value for value in values)


def like(pattern: str) -> Rule:
    """Return a rule that accepts the texts of a pattern."""
    return lambda found: isinstance(found, str) and re.fullmatch(pattern, found) is not None


def whole_number(found: Any) -> bool:
    """Accept a positive whole number."""
    return type(found) is int and found > 0  # pylint: disable=unidiomatic-typecheck  # a bool is an int


def texts(names: str) -> Rule:
    """Return a rule that accepts an object of texts. Its names have a pattern."""
    return lambda found: isinstance(found, dict) and all(
        re.fullmatch(names, name) and isinstance(text, str) for name, text in found.items()
    )


# Expressions that only read resources and settings of this project's own files.
PLAIN_REFERENCE = r"\$\{(?:var|local|aws_[a-z0-9_]+\.[a-z0-9_]+)(?:\.[a-z0-9_]+)+\}"
PATHS = r'\$\{toset\(\["/[A-Za-z0-9_.*/-]*"(?:, "/[A-Za-z0-9_.*/-]*")*\]\)\}'
ENCRYPTION = '${var.customer_key ? "the stage\'s own key" : "the key that Lambda owns"}'
KNOWN_EXPRESSIONS = re.compile("|".join([
    PLAIN_REFERENCE,
    PATHS,
    *map(re.escape, (
        ENCRYPTION,
        "${each.value}",
        "${path.module}/deployment.zip",
        '${filebase64sha256("${path.module}/deployment.zip")}',
        '${join(" ", var.cors_origins)}',
        "${one(aws_kms_key.this[*].arn)}",
        "${sha256(local.api_description)}",
    )),
]))  # fmt: skip

# Of the API's description: the extensions of API Gateway that it may have, and the calls that it may make.
EXTENSIONS = {f"x-amazon-apigateway-{name}" for name in (
    "any-method", "authorizer", "authtype", "endpoint-access-mode", "gateway-responses", "integration",
    "request-validator", "request-validators", "security-policy",
)}  # fmt: skip
INTEGRATION, AUTHORIZER = "x-amazon-apigateway-integration", "x-amazon-apigateway-authorizer"
CALLS_FUNCTION = ("aws_proxy", "${aws_lambda_alias.live.invoke_arn}")
CALLS_AUTHORIZER = ("token", "${aws_lambda_alias.authorizer.invoke_arn}")
ROLES = ("credentials", "authorizercredentials")  # names for a role with which API Gateway calls


def function_rules(name: str, stage: str) -> dict[str, Rule]:
    """Return the rules for the arguments of a function."""
    suffix = "" if name == "api_handler" else f"-{name}"
    return {
        "architectures": exactly(["x86_64"], ["arm64"]),
        "description": exactly(f"Its environment is encrypted with {ENCRYPTION}."),
        "environment": lambda found: isinstance(found, dict)
        and found.keys() == {"variables"}
        and texts("[A-Z][A-Z0-9_]*")(found["variables"]),
        "filename": exactly("${path.module}/deployment.zip"),
        "function_name": exactly(f"event-api-{stage}{suffix}"),
        "handler": like(r"app\.[a-z_]+"),
        "kms_key_arn": exactly("${one(aws_kms_key.this[*].arn)}"),
        "logging_config": exactly(
            {"log_format": "JSON", "log_group": f"${{aws_cloudwatch_log_group.{name}.name}}"}
        ),
        "memory_size": whole_number,
        "publish": exactly(True),
        "reserved_concurrent_executions": exactly(f"${{var.concurrency.{name}}}"),
        "role": exactly(f"${{local.function_roles.{name}}}"),
        "runtime": like(r"python3\.\d+"),
        "source_code_hash": exactly('${filebase64sha256("${path.module}/deployment.zip")}'),
        "tags": texts("aws-chalice"),
        "timeout": whole_number,
        "tracing_config": exactly({"mode": "Active"}),
    }


def permission_rules(function: str, alias: str, source: str) -> dict[str, Rule]:
    """Return the rules for the arguments of API Gateway's permission to call a function."""
    return {
        "action": exactly("lambda:InvokeFunction"),
        "function_name": exactly(f"${{aws_lambda_function.{function}.function_name}}"),
        "principal": exactly("apigateway.amazonaws.com"),
        "qualifier": exactly(f"${{aws_lambda_alias.{alias}.name}}"),
        "source_arn": exactly(f"${{aws_api_gateway_rest_api.rest_api.execution_arn}}/{source}"),
    }


def resource_rules(stage: str) -> dict[tuple[str, str], dict[str, Rule]]:
    """Return the rules for all arguments of all resources. A package has exactly these resources."""
    of_stage = "${aws_api_gateway_stage.this.stage_name}/*${each.value}"
    return {
        ("aws_api_gateway_deployment", "rest_api"): {
            "lifecycle": exactly({"create_before_destroy": True}),
            "rest_api_id": exactly("${aws_api_gateway_rest_api.rest_api.id}"),
            "triggers": exactly({"body": "${sha256(local.api_description)}"}),
        },
        ("aws_api_gateway_rest_api", "rest_api"): {
            "body": exactly("${local.api_description}"),
            "endpoint_configuration": exactly({"types": ["REGIONAL"]}),
            "name": exactly(f"event-api-{stage}"),
        },
        ("aws_lambda_function", "api_handler"): function_rules("api_handler", stage),
        ("aws_lambda_function", "authorizer"): function_rules("authorizer", stage),
        ("aws_lambda_permission", "authorizer_invoke"): permission_rules("authorizer", "authorizer", "authorizers/*"),
        ("aws_lambda_permission", "rest_api_invoke"): {
            **permission_rules("api_handler", "live", of_stage),
            "for_each": like(PATHS),
        },
    }


def check(text: bytes, stage: str) -> None:
    """Check the text of a stage's chalice.tf.json. Raises Refused."""
    document = parse(text, "chalice.tf.json")
    members(document, {"locals", "resource"}, "chalice.tf.json")
    check_expressions(document)
    check_locals(document["locals"], stage)
    rules = resource_rules(stage)
    kinds = members(document["resource"], {kind for kind, _ in rules}, "resource")
    for kind, resources in kinds.items():
        members(resources, {name for of_kind, name in rules if of_kind == kind}, kind)
        for name, arguments in resources.items():
            known = rules[kind, name]
            found = members(arguments, set(known), f"{kind}.{name}", comment="//")
            for argument, value in found.items():
                if argument != "//" and not known[argument](value):
                    raise Refused(f"{argument} of {kind}.{name} is {shown(value)}")


def check_locals(found: Any, stage: str) -> None:
    """Check the local values. Raises Refused."""
    members(found, {"chalice_api_swagger", "packaged_sources", "packaged_stage"}, "locals")
    if found["packaged_stage"] != stage:
        raise Refused(f"the package is of stage {shown(found['packaged_stage'])}, not of {stage}")
    if not like("[0-9a-f]{64}")(found["packaged_sources"]):
        raise Refused(f"packaged_sources is {shown(found['packaged_sources'])}")
    check_description(found["chalice_api_swagger"])


def check_description(text: Any) -> None:
    """Check that the API calls only the stage's own functions. Raises Refused."""
    if not isinstance(text, str):
        raise Refused(f"chalice_api_swagger is {shown(text)}")
    number = "${var.token_cache_seconds}"  # it stands in the place of a number
    description = parse(text.replace(number, json.dumps(number)).encode(), "chalice_api_swagger")
    for name, part in parts(description):
        if name.lower() in ROLES or (name.startswith("x-") and name not in EXTENSIONS):
            raise Refused(f"the API's description has {shown(name)}")
        if name == INTEGRATION and target_of(part, "type", "uri") != CALLS_FUNCTION:
            raise Refused(f"a method of the API calls {shown(part)}")
        if name == AUTHORIZER and target_of(part, "type", "authorizerUri") != CALLS_AUTHORIZER:
            raise Refused(f"an authorizer of the API is {shown(part)}")
        if isinstance(part, dict) and INTEGRATION in part and part.get("security") != [{"authorizer": []}]:
            raise Refused(f"a method of the API has the security {shown(part.get('security'))}")


def target_of(part: Any, *names: str) -> tuple[Any, ...] | None:
    """Return some members of an object, or nothing if it is no object."""
    return tuple(part.get(name) for name in names) if isinstance(part, dict) else None


def check_expressions(document: Any) -> None:
    """Check that no text or name has an expression of Terraform that this project does not use. Raises Refused."""
    for name, part in parts(document):
        for text in (name, part):
            if isinstance(text, str) and re.search(r"[$%]\{", KNOWN_EXPRESSIONS.sub("?", text)):
                raise Refused(f"an expression is unknown: {shown(text)}")


def parts(part: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each part of a document with its name, or with the name of the list that it is in."""
    yield name, part
    if isinstance(part, dict):
        for key, value in part.items():
            yield from parts(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from parts(value, name)


def members(found: Any, names: set[str], of: str, comment: str | None = None) -> dict[str, Any]:
    """Return an object that has exactly these names, and perhaps a comment. Raises Refused."""
    if not isinstance(found, dict):
        raise Refused(f"{of} is {shown(found)}")
    if unknown := sorted(found.keys() - names - {comment}):
        raise Refused(f"{of} has {', '.join(map(shown, unknown))}")
    if missing := sorted(names - found.keys()):
        raise Refused(f"{of} has no {', '.join(missing)}")
    return found


def parse(text: bytes, of: str) -> Any:
    """Return the JSON of a text. Refuse a repeated name: Terraform reads both values, Python only one."""

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Refused(f"{of} has a name twice in one object")
        return found

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"{of} is not valid JSON") from exc


def shown(value: Any) -> str:
    """Return the start of a value for an error text. It has only printable ASCII characters."""
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}..."


# Terraform's plan does not show provisioners, so no reviewer would see their commands. Modules can come from anywhere.
HIDDEN_BLOCK = re.compile(r"""\b(provisioner|module|data\s*"external")\s*["{]""")


def check_own_files(root: Path) -> None:
    """Raise Refused if the project's own Terraform contains a program that the plan does not show."""
    for path in sorted(root.glob("*.tf")):
        if found := HIDDEN_BLOCK.search(path.read_text(encoding="utf-8")):
            raise Refused(f"{path.name} has a block {found[1]}")
    if others := sorted({path.name for path in root.glob("*.tf.json")} - {"chalice.tf.json"}):
        raise Refused(f"there is a file {others[0]}")


def main(stage: str) -> None:
    """Exit with a sentence if the package is refused."""
    if stage not in STAGES:
        sys.exit(f"make plan: there is no stage {stage}; the stages are {', '.join(STAGES)}.")
    try:
        check_own_files(TERRAFORM)
        check((TERRAFORM / "chalice.tf.json").read_bytes(), stage)
    except FileNotFoundError:
        sys.exit(f"make plan: nothing is packaged: run `make package STAGE={stage}`.")
    except Refused as exc:
        sys.exit(
            f"make plan: the package is refused: {exc}. If you changed the app or merge/ on purpose, permit it in "
            "terraform/check_package.py. If not, do not deploy: find out who changed the package."
        )


if __name__ == "__main__":
    main(sys.argv[1])

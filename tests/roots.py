"""Helpers for tests of the two Terraform roots.

The tests work in copies and never call AWS. They do not use or change the developer's own package and .terraform.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext
from processes import ROOT
from provider import running_provider

STAGES = ["dev", "staging", "prod"]
# Terraform's tests plan with these values instead of the stages' settings.
ACCOUNT = "123456789012"
REGIONS = {"dev": "ap-southeast-1", "staging": "ap-northeast-3", "prod": "ap-southeast-2"}
REGION = REGIONS["dev"]

NEEDS_TERRAFORM = pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not on the PATH.")

# Resources that the policies of both roots name.
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-dev"
LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/event-api-dev"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/abc"
BY_DYNAMODB = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}
BY_LAMBDA = {"kms:ViaService": f"lambda.{REGION}.amazonaws.com"}


# What `make package` needs.
PROJECT = ("Makefile", "eventsapp", "requirements-dev.txt", "terraform")
NOT_COPIED = (
    ".terraform*", "*.tfstate*", "*.tfplan", "*_override.tf", "__pycache__", "chalice.tf.json", "*.zip", ".#*",
    "deployments",
)  # fmt: skip
MAX_OUTPUT = 4000  # characters of a failed command's output


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command. If it fails, fail the test with the end of the output."""
    # Each root keeps the providers that `init` downloads, so that the next run starts faster.
    data = ROOT / "build" / "terraform-tests" / cwd.name
    # `make test` runs the tests: its variables would change the output of the make that a test runs.
    others = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment = {**others, "TF_DATA_DIR": str(data), "NO_COLOR": "1"}
    if command[0] == "terraform" and command[1] in ("test", "validate"):
        providers = data.glob("providers/registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws_*")
        environment["TF_REATTACH_PROVIDERS"] = running_provider(next(providers))
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if check and result.returncode:
        output = f"{result.stdout}\n{result.stderr}".strip()[-MAX_OUTPUT:]
        pytest.fail(f"{' '.join(map(str, command))}: exit {result.returncode}\n{output}", pytrace=False)
    return result


def copied_project(target: Path) -> Path:
    """Copy the files that `make package` needs, without generated files, and return the target folder."""
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    for name in PROJECT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def make(project: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run make in a copy of the project. It uses the virtual environment of this process."""
    venv = Path(sys.executable).parent.parent
    # -o: make does not install the requirements again.
    return run("make", "-o", f"{venv}/.installed", *arguments, f"venv={venv}", cwd=project, check=check)


def write_settings(tfvars: Path, settings: dict[str, Any]) -> None:
    """Write a stage's tfvars. HCL can read JSON values."""
    tfvars.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))


Plans = dict[str, dict[str, Any]]  # run of a Terraform test => address => planned values


def planned(root: Path, *options: str) -> Plans:
    """Run Terraform's tests of a root and return their plans. Fail the test if one of them fails."""
    result = run("terraform", "test", "-json", "-verbose", *options, cwd=root, check=False)
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    faults = [message["diagnostic"] for message in messages if message["type"] == "diagnostic"]
    if result.returncode or faults:
        first = json.dumps(faults[:1], indent=2)[:MAX_OUTPUT]
        code = result.returncode
        pytest.fail(f"terraform test: exit {code}, {len(faults)} faults; the first:\n{first}", pytrace=False)
    return {
        message["@testrun"]: {
            resource["address"]: resource["change"]["after"] for resource in message["test_plan"]["resource_changes"]
        }
        for message in messages
        if message["type"] == "test_plan"
    }


DEPLOYER = f"arn:aws:sts::{ACCOUNT}:assumed-role/event-api-deploy-dev/run"


def request(action: str, resource: str, context: dict[str, Any], caller: str = DEPLOYER) -> EvalContext:
    """Return an AWS call for the policy evaluator."""
    return EvalContext(
        principal_arn=caller,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        service_context={key.lower(): value for key, value in context.items()},
    )


def listed(value: str | list[str]) -> list[str]:
    """Return a list. A policy may contain a single value instead."""
    return [value] if isinstance(value, str) else value

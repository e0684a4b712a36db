"""Terraform's two roots, checked in copies: nothing is applied, AWS is never asked, and what somebody has initialised
or packaged is neither needed nor changed.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext
from processes import ROOT

STAGES = ["dev", "staging", "prod"]
ACCOUNT, REGION = "123456789012", "ap-southeast-1"  # what Terraform's tests plan with

NEEDS_TERRAFORM = pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not on the PATH.")

# What both roots' policies name.
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:event-api-dev"
LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/event-api-dev"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/abc"
BY_DYNAMODB = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}
BY_LAMBDA = {"kms:ViaService": f"lambda.{REGION}.amazonaws.com"}


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; where it fails, fail with all it said."""
    # The providers that `init` fetches stay for the next run, for each root by itself.
    kept = ROOT / ".local" / "terraform-tests" / cwd.name
    environment = {**os.environ, "TF_DATA_DIR": str(kept), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        pytest.fail(f"{' '.join(map(str, command))}: exit {done.returncode}\n{said}")
    return done


def copied(target: Path) -> Path:
    """Copy the Terraform code, with what was packaged, and return where to."""
    unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfplan", "*_override.tf", "__pycache__")
    return shutil.copytree(ROOT / "terraform", target, ignore=unwanted)


Plans = dict[str, dict[str, Any]]  # run of a Terraform test => address => planned values


def planned(root: Path, *options: str) -> Plans:
    """Return what Terraform's tests of a root plan. The tests pass."""
    done = run("terraform", "test", "-json", "-verbose", *options, cwd=root, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    faults = [message["diagnostic"] for message in said if message["type"] == "diagnostic"]
    assert (done.returncode, [(fault["detail"], fault.get("range")) for fault in faults]) == (0, [])
    return {
        message["@testrun"]: {
            resource["address"]: resource["change"]["after"] for resource in message["test_plan"]["resource_changes"]
        }
        for message in said
        if message["type"] == "test_plan"
    }


DEPLOYER = f"arn:aws:sts::{ACCOUNT}:assumed-role/event-api-deploy-dev/run"


def request(action: str, resource: str, context: dict[str, Any], caller: str = DEPLOYER) -> EvalContext:
    """Return a call, as policies see it."""
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
    """Return what a policy says once or in a list."""
    return [value] if isinstance(value, str) else value

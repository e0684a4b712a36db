"""The workflows: no finding of either linter, and the line of stages as it is promised."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
BIN = Path(sys.executable).parent


def workflow(name: str) -> dict[Any, Any]:
    """Return a workflow's content; YAML reads its key `on` as True."""
    content: dict[Any, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return content


@pytest.mark.parametrize(
    "command",
    [
        ["zizmor", "--offline", "--persona=pedantic", "--strict-collection", str(WORKFLOWS.parent)],
        ["actionlint", "-no-color", *map(str, sorted(WORKFLOWS.glob("*.yml")))],
    ],
    ids=["zizmor", "actionlint"],
)
def test_linter_has_no_finding(command: list[str]) -> None:
    """Neither zizmor nor actionlint has anything to say."""
    ran = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_stages_stand_in_line() -> None:
    """dev waits for CI, staging for dev, prod for staging, all by the one workflow and each under its own name."""
    jobs = workflow("deploy.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "ci": None,
        "dev": "ci",
        "staging": "dev",
        "prod": "staging",
    }
    for stage in ("dev", "staging", "prod"):
        assert jobs[stage]["uses"] == "./.github/workflows/stage.yml"
        assert jobs[stage]["with"] == {"stage": stage}
        assert jobs[stage]["secrets"]["CONTRACT_TOKEN"] == f"${{{{ secrets.CONTRACT_TOKEN_{stage.upper()} }}}}"


def test_ci_has_no_credentials() -> None:
    """What pull requests run may read the code, and nothing else."""
    ci = workflow("ci.yml")
    assert ci["permissions"] == {}
    assert [job["permissions"] for job in ci["jobs"].values()] == [{"contents": "read"}]
    assert "secrets" not in (WORKFLOWS / "ci.yml").read_text()


def test_every_push_is_checked_once() -> None:
    """A push to main is checked by the deployment, which calls CI; every other one by CI itself."""
    assert workflow("ci.yml")[True]["push"] == {"branches-ignore": ["main"]}
    assert workflow("deploy.yml")[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert workflow("deploy.yml")["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"


def test_stage_applies_the_plan_it_made_and_checks_the_contract() -> None:
    """A stage is packaged and planned once, the plan applied, and the contract checked at its URL, by make targets."""
    jobs = workflow("stage.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "package": None,
        "deploy": "package",
        "contract": "deploy",
    }
    assert {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()} == {
        "package": ['make package STAGE="$STAGE"'],
        "deploy": [
            'region=$(make --silent region) && echo "region=$region" >> "$GITHUB_OUTPUT"',
            "make plan",
            "make apply",
            'url=$(make --silent url) && echo "url=$url" >> "$GITHUB_OUTPUT"',
        ],
        "contract": [
            'echo "::warning::$STAGE was not checked against the contract; docs/deployment.md says how to give it a token."',
            'make contract URL="$URL"',
        ],
    }
    conditions = {step["run"].split()[0]: step["if"] for step in jobs["contract"]["steps"] if "run" in step}
    assert conditions == {"echo": "env.EVENT_API_TOKEN == ''", "make": "env.EVENT_API_TOKEN != ''"}


def test_only_the_job_that_deploys_can_take_the_role() -> None:
    """What a package index serves never runs where the stage's environment and GitHub's token are."""
    jobs = workflow("stage.yml")["jobs"]
    trusted = {name for name, job in jobs.items() if "environment" in job or "id-token" in job["permissions"]}
    assert trusted == {"deploy"}
    assert "CONTRACT_TOKEN" not in str(jobs["deploy"]) + str(jobs["package"])
    assert jobs["deploy"]["environment"] == "${{ inputs.stage }}"
    assert not any("setup-python" in step.get("uses", "") for step in jobs["deploy"]["steps"])


def test_an_apply_is_never_cancelled() -> None:
    """One deployment of a stage at a time, and none is cut off."""
    assert workflow("stage.yml")["concurrency"] == {"group": "stage-${{ inputs.stage }}", "cancel-in-progress": False}


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
def test_credentials_are_of_the_stages_region(stage: str, tmp_path: Path) -> None:
    """The role is taken in the region of the stage's tfvars, which the step before it prints."""
    jobs = workflow("stage.yml")["jobs"]
    steps = {step.get("id", step.get("uses", "").partition("@")[0]): step for step in jobs["deploy"]["steps"]}
    credentials = steps["aws-actions/configure-aws-credentials"]["with"]
    assert credentials["aws-region"] == "${{ steps.region.outputs.region }}"
    assert list(steps).index("region") < list(steps).index("aws-actions/configure-aws-credentials")
    output = tmp_path / "output"
    environment = {**os.environ, "STAGE": stage, "GITHUB_OUTPUT": str(output)}
    subprocess.run(["bash", "-e", "-c", steps["region"]["run"]], cwd=ROOT, env=environment, check=True)
    tfvars = (ROOT / "terraform" / "stages" / f"{stage}.tfvars").read_text()
    region = output.read_text().removeprefix("region=").strip()
    assert re.search(rf'(?m)^\s*region\s*=\s*"{region}"', tfvars)

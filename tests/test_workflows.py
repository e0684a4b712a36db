"""Tests of the GitHub workflows: linters, order of the stages, permissions and credentials."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import ROOT
from roots import copied_project

from local import page

WORKFLOWS = ROOT / ".github" / "workflows"
BIN = Path(sys.executable).parent


def workflow(name: str) -> dict[Any, Any]:
    """Return a workflow's content. YAML reads the key `on` as True."""
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
    """The linters zizmor and actionlint report nothing."""
    result = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_stages_are_deployed_in_order() -> None:
    """dev waits for CI, staging for dev, and prod for staging. All use the same workflow and the same release."""
    jobs = workflow("deploy.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "ci": None,
        "package": "ci",
        "dev": "package",
        "staging": ["package", "dev"],
        "prod": ["package", "staging"],
    }
    for stage in ("dev", "staging", "prod"):
        assert jobs[stage]["uses"] == "./.github/workflows/stage.yml"
        assert jobs[stage]["with"] == {"stage": stage, "digest": "${{ needs.package.outputs.digest }}"}
        assert jobs[stage]["secrets"] == "inherit"  # and a job reads the secrets of its own environment


def test_ci_has_no_credentials() -> None:
    """The CI jobs can only read the code, and they have no secrets."""
    ci = workflow("ci.yml")
    assert ci["permissions"] == {}
    assert [job["permissions"] for job in ci["jobs"].values()] == [{"contents": "read"}] * 2
    assert "secrets" not in (WORKFLOWS / "ci.yml").read_text()


def test_ci_compares_the_api_with_the_last_release() -> None:
    """The job has all tags and branches, and runs a make target that a person can run."""
    steps = workflow("ci.yml")["jobs"]["breaking"]["steps"]
    assert steps[0]["with"] == {"fetch-depth": 0, "persist-credentials": False}
    assert steps[1:] == [{"run": "make breaking"}]


def test_only_the_job_that_publishes_the_page_may_write() -> None:
    """The job that installs packages can only read the code. The other one runs no code of this repository."""
    pages = workflow("pages.yml")
    build, publish = pages["jobs"]["build"], pages["jobs"]["publish"]
    assert pages["permissions"] == {}
    assert build["permissions"] == {"contents": "read"}
    assert [step["run"] for step in build["steps"] if "run" in step] == ["make site"]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert not [step for step in publish["steps"] if "run" in step or "checkout" in step["uses"]]


def test_page_is_published_from_main() -> None:
    """Only the default branch can use GitHub's environment github-pages. Each file of the page starts the workflow."""
    trigger = workflow("pages.yml")[True]["push"]
    assert trigger["branches"] == ["main"] and "tags" not in trigger
    files = {path.removesuffix("/**") for path in trigger["paths"]}
    assert all((ROOT / path).exists() for path in files)
    assert {str(path.relative_to(ROOT)) for path in (page.DOCUMENT, page.FILES, Path(str(page.__file__)))} <= files


def test_every_push_is_checked_once() -> None:
    """The deployment calls CI for a push to main. CI runs by itself for all other pushes."""
    assert workflow("ci.yml")[True]["push"] == {"branches-ignore": ["main"]}
    assert workflow("deploy.yml")[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert workflow("deploy.yml")["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"


REGION_STEP = 'region=$(make --silent region) && echo "region=$region" >> "$GITHUB_OUTPUT"'


def test_stage_applies_its_plan_and_checks_the_contract() -> None:
    """The jobs run make targets: plan, wait for an approval, apply exactly this plan, then run the contract suite."""
    jobs = workflow("stage.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "plan": None,
        "deploy": "plan",
        "contract": "deploy",
        "rollback": ["deploy", "contract"],
    }
    assert {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()} == {
        "plan": [
            "make use-release",
            REGION_STEP,
            "make plan",
            'sha256=$(make --silent pack-plan) && echo "sha256=$sha256" >> "$GITHUB_OUTPUT"',
            'make --silent show-plan >> "$GITHUB_STEP_SUMMARY"',
        ],
        "deploy": [
            "make use-release",
            "make use-plan",
            REGION_STEP,
            "make init",
            "make apply",
            'url=$(make --silent url) && echo "url=$url" >> "$GITHUB_OUTPUT"',
            'release=$(make --silent shift) && echo "release=$release" >> "$GITHUB_OUTPUT"',
        ],
        "contract": [NO_TOKEN_STEP, "make .venv/.installed", 'make contract URL="$URL"'],
        "rollback": [REGION_STEP, "make rollback"],
    }


def test_plan_is_made_before_the_approval_by_a_role_that_only_reads() -> None:
    """The job `plan` needs no approval and takes the plan role. The job `deploy` takes the deploy role."""
    jobs = workflow("stage.yml")["jobs"]
    roles = {
        name: [step["with"]["role-to-assume"] for step in job["steps"] if "role-to-assume" in step.get("with", {})]
        for name, job in jobs.items()
    }
    arn = "arn:aws:iam::${{ secrets.AWS_ACCOUNT_ID }}:role/event-api"
    assert roles == {
        "plan": [f"{arn}-plan-${{{{ inputs.stage }}}}"],
        "deploy": [f"{arn}-deploy-${{{{ inputs.stage }}}}"],
        "contract": [],
        "rollback": [f"{arn}-rollback-${{{{ inputs.stage }}}}"],
    }
    assert {name: job["environment"] for name, job in jobs.items()} == {
        "plan": "${{ inputs.stage }}-check",
        "deploy": "${{ inputs.stage }}",
        "contract": "${{ inputs.stage }}-check",
        "rollback": "${{ inputs.stage }}-check",
    }
    (plan,) = [step for step in jobs["plan"]["steps"] if step.get("run") == "make plan"]
    assert plan["env"]["LOCK"] == "false"
    (use,) = [step for step in jobs["deploy"]["steps"] if step.get("run") == "make use-plan"]
    assert use["env"] == {"SHA256": "${{ needs.plan.outputs.sha256 }}"}
    assert jobs["plan"]["outputs"] == {"sha256": "${{ steps.plan.outputs.sha256 }}"}


def run_make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a make target in a copy of the project."""
    return subprocess.run(["make", "--silent", *arguments], cwd=project, capture_output=True, text=True, check=False)


def test_only_the_plan_that_was_made_is_taken(tmp_path: Path) -> None:
    """`make use-plan` gives the plan and the provider versions of `make pack-plan`. It refuses another plan."""
    project = copied_project(tmp_path)
    files = {"prod.tfplan": b"the plan\0", ".terraform.lock.hcl": b"# versions"}
    for name, content in files.items():
        (project / "terraform" / name).write_bytes(content)
    sha256 = run_make(project, "pack-plan", "STAGE=prod").stdout.strip()
    for name in files:
        (project / "terraform" / name).unlink()
    for wrong in ("", "0" * 64):
        result = run_make(project, "use-plan", "STAGE=prod", f"SHA256={wrong}")
        assert result.returncode != 0 and not (project / "terraform" / "prod.tfplan").exists()
        assert result.stderr.startswith("make use-plan: build/plan.tar has another SHA-256 than the plan that was ma")
    assert run_make(project, "use-plan", "STAGE=prod", f"SHA256={sha256}").returncode == 0
    assert {name: (project / "terraform" / name).read_bytes() for name in files} == files


FAKE_TERRAFORM = """#!/bin/sh
printf '# aws_lambda_function.api_handler\\n```\\n## No changes\\n'
exit ${FAIL:-0}
"""


def test_plan_is_shown_as_it_is(tmp_path: Path) -> None:
    """The summary indents each line of the plan, so that no value of it can be a heading. Without a plan it fails."""
    terraform = tmp_path / "bin" / "terraform"
    terraform.parent.mkdir()
    terraform.write_text(FAKE_TERRAFORM)
    terraform.chmod(0o755)
    command = ["make", "--silent", "-f", str(ROOT / "Makefile"), "show-plan", "STAGE=prod"]
    environment = {"PATH": f"{terraform.parent}:/usr/bin:/bin"}
    for fail in ("0", "1"):
        result = subprocess.run(
            command, cwd=tmp_path, env=environment | {"FAIL": fail}, capture_output=True, text=True, check=False
        )
        assert (result.returncode == 0) == (fail == "0")
        lines = "## The plan of prod\n\n    # aws_lambda_function.api_handler\n    ```\n    ## No changes\n"
        assert result.stdout == (lines if fail == "0" else "")


@pytest.mark.parametrize(
    ("environment", "committed", "readonly"),
    [({"CI": "true"}, True, True), ({"CI": "true"}, False, False), ({}, True, False)],
)
def test_lock_file_is_read_only_in_ci(
    tmp_path: Path, environment: dict[str, str], committed: bool, readonly: bool
) -> None:
    """In CI, Terraform uses exactly the provider versions of a lock file, or stops. A person may change them."""
    project = copied_project(tmp_path)
    if committed:
        (project / "terraform" / ".terraform.lock.hcl").write_text("")
    command = ["make", "--dry-run", "init", "STAGE=prod", "AWS_ACCOUNT_ID=123456789012"]
    environment = {"PATH": os.environ["PATH"], **environment}
    result = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
    assert ("-lockfile=readonly" in result.stdout) == readonly


NO_TOKEN_STEP = workflow("stage.yml")["jobs"]["contract"]["steps"][0]["run"]


@pytest.mark.parametrize(
    ("stage", "code", "level"), [("dev", 0, "warning"), ("staging", 1, "error"), ("prod", 1, "error")]
)
def test_stage_that_cannot_be_checked_fails(stage: str, code: int, level: str) -> None:
    """Without a token, staging and prod fail. The message has the command that creates one. dev only warns."""
    steps = workflow("stage.yml")["jobs"]["contract"]["steps"]
    conditions = [step["if"] for step in steps if "run" in step]
    assert conditions == ["env.HAS_TOKEN != 'true'", "env.HAS_TOKEN == 'true'", "env.HAS_TOKEN == 'true'"]
    assert [step["run"] for step in steps if "EVENT_API_TOKEN" in step.get("env", {})] == ['make contract URL="$URL"']
    environment = {**os.environ, "STAGE": stage, "GITHUB_REPOSITORY": "octo-org/events"}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", NO_TOKEN_STEP]  # as GitHub's runner does
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (code, "")
    assert result.stdout == (
        f"::{level}::{stage} was not checked: its environment {stage}-check has no secret CONTRACT_TOKEN. Run 'make "
        f"contract-token STAGE={stage} REPO=octo-org/events' in a clone, then re-run the failed jobs. \n"
    )


def test_contract_token_is_a_secret_of_an_environment() -> None:
    """Only the job `contract` reads the token. Its environment has no reviewers, and no role trusts the job."""
    jobs = workflow("stage.yml")["jobs"]
    assert [name for name, job in jobs.items() if "CONTRACT_TOKEN" in str(job)] == ["contract"]
    assert jobs["contract"]["environment"] == "${{ inputs.stage }}-check"
    assert jobs["contract"]["permissions"] == {"contents": "read"}
    assert "CONTRACT_TOKEN" not in (WORKFLOWS / "deploy.yml").read_text()


FAKE_PYTHON = """#!/bin/sh
echo "$@" > arguments
[ -z "$FAIL" ] && echo evt_test
"""
FAKE_GH = """#!/bin/sh
echo "$@" > gh-arguments
cat > gh-input
"""


@pytest.mark.parametrize("fail", [False, True])
def test_contract_token_goes_to_the_environment_only(tmp_path: Path, fail: bool) -> None:
    """`make contract-token` creates a token for 90 days and stores it. If there is no token, it stores nothing."""
    for name, text in (("venv/bin/python", FAKE_PYTHON), ("bin/gh", FAKE_GH)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", "venv/.installed", "venv=venv", "contract-token"]
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "FAIL": "1" if fail else ""}
    arguments = ["STAGE=prod", "REPO=octo-org/events"]
    result = subprocess.run(
        [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (tmp_path / "arguments").read_text().split()[1:] == [
        "create", "--stage", "prod", "--tenant", "contract", "--name", "contract",
        "--scope", "events:write", "--scope", "events:read", "--expires", "90d", "--retention", "1d",
    ]  # fmt: skip
    if fail:
        assert result.returncode != 0 and not (tmp_path / "gh-input").exists()
        return
    assert (result.returncode, result.stdout) == (0, "")
    assert (tmp_path / "gh-input").read_text() == "evt_test"
    assert (tmp_path / "gh-arguments").read_text() == "secret set CONTRACT_TOKEN --env prod-check -R octo-org/events\n"


def test_release_is_built_once_without_credentials() -> None:
    """One job builds the zip of all stages, and no role trusts it. Its output identifies the files."""
    job = workflow("deploy.yml")["jobs"]["package"]
    assert job["permissions"] == {"contents": "read"} and "environment" not in job and "secrets" not in str(job)
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ['digest=$(make --silent release) && echo "digest=$digest" >> "$GITHUB_OUTPUT"']
    (upload,) = [step["with"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert (upload["name"], upload["path"]) == ("release", "build/release")


def test_files_are_kept_for_as_long_as_a_run_can_wait() -> None:
    """A run lasts at most 35 days, with its waits for approval: https://docs.github.com/en/actions/reference/limits."""
    jobs = [*workflow("deploy.yml")["jobs"].values(), *workflow("stage.yml")["jobs"].values()]
    uploads = [s["with"] for job in jobs for s in job.get("steps", []) if "upload-artifact" in s.get("uses", "")]
    assert uploads and all(upload["retention-days"] == 36 for upload in uploads)


def test_package_is_checked_before_a_role_is_assumed() -> None:
    """The digest and the content of the package are checked before the job has credentials."""
    jobs = workflow("stage.yml")["jobs"]
    for name, job in ((name, jobs[name]) for name in ("plan", "deploy")):
        steps = [step.get("run") or step["uses"].partition("@")[0] for step in job["steps"]]
        assert steps.index("make use-release") < steps.index("aws-actions/configure-aws-credentials"), name
        (download,) = [s["with"] for s in job["steps"] if s.get("with", {}).get("name") == "release"]
        assert download["path"] == "build/release"  # no file of it replaces one of the repository
    assert not [step for step in jobs["rollback"]["steps"] if "artifact" in step.get("uses", "")]


def test_jobs_that_can_assume_a_role_install_no_packages() -> None:
    """All jobs but `contract` can assume a role, so they run no code from a package index."""
    jobs = workflow("stage.yml")["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job["permissions"]] == ["plan", "deploy", "rollback"]
    for name in ("plan", "deploy", "rollback"):
        assert not any("setup-python" in step.get("uses", "") for step in jobs[name]["steps"])
        targets = [step["run"] for step in jobs[name]["steps"] if "run" in step]
        assert not [run for run in targets if re.search(r"pip|make (package|release|token|contract)", run)]


def test_deployment_is_never_cancelled() -> None:
    """Only one deployment of a stage runs at a time, and GitHub never cancels it."""
    assert workflow("stage.yml")["concurrency"] == {"group": "stage-${{ inputs.stage }}", "cancel-in-progress": False}


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
@pytest.mark.parametrize("job", ["plan", "deploy", "rollback"])
def test_credentials_use_the_region_of_the_stage(stage: str, job: str, tmp_path: Path) -> None:
    """A job assumes its role in the region of the stage's tfvars. An earlier step reads this region."""
    jobs = workflow("stage.yml")["jobs"]
    steps = {step.get("id", step.get("uses", "").partition("@")[0]): step for step in jobs[job]["steps"]}
    credentials = steps["aws-actions/configure-aws-credentials"]["with"]
    assert credentials["aws-region"] == "${{ steps.region.outputs.region }}"
    assert list(steps).index("region") < list(steps).index("aws-actions/configure-aws-credentials")
    output = tmp_path / "output"
    environment = {**os.environ, "STAGE": stage, "GITHUB_OUTPUT": str(output)}
    subprocess.run(["bash", "-e", "-c", steps["region"]["run"]], cwd=ROOT, env=environment, check=True)
    tfvars = (ROOT / "terraform" / "stages" / f"{stage}.tfvars").read_text()
    region = output.read_text().removeprefix("region=").strip()
    assert re.search(rf'(?m)^\s*region\s*=\s*"{region}"', tfvars)


def test_failed_contract_rolls_back_the_release_of_this_run() -> None:
    """A rollback needs contract tests that ran and failed, and a release of this run. It needs no approval."""
    jobs = workflow("stage.yml")["jobs"]
    assert jobs["rollback"]["if"] == (
        "failure() && needs.contract.outputs.tested == 'failure' && needs.deploy.outputs.release != ''"
    )
    assert jobs["contract"]["outputs"] == {"tested": "${{ steps.contract.outcome }}"}
    assert [step["run"] for step in jobs["contract"]["steps"] if step.get("id") == "contract"] == [
        'make contract URL="$URL"'
    ]
    assert jobs["deploy"]["outputs"]["release"] == "${{ steps.shift.outputs.release }}"
    (step,) = [step for step in jobs["rollback"]["steps"] if step.get("run") == "make rollback"]
    assert step["env"] == {"RELEASE": "${{ needs.deploy.outputs.release }}"}


@pytest.mark.parametrize("target", ["shift", "rollback"])
@pytest.mark.parametrize(("ci", "python"), [("true", "python3"), ("", ".venv/bin/python")])
def test_release_installs_nothing_in_a_workflow(tmp_path: Path, target: str, ci: str, python: str) -> None:
    """In a workflow, `make shift` and `make rollback` use the machine's Python. On a laptop they use the project's."""
    project = copied_project(tmp_path)
    environment = {"PATH": os.environ["PATH"], "CI": ci}
    command = ["make", "--dry-run", target, "STAGE=prod", "RELEASE=2026-01-31T09:30:00.000Z"]
    result = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
    *earlier, last = result.stdout.splitlines()
    assert last.startswith(f'PYTHONPATH=eventsapp {python} terraform/{target}.py "prod"')
    assert (earlier == []) == bool(ci)


def test_dependabot_covers_every_pin() -> None:
    """Dependabot updates each requirements file, both Terraform roots and the actions, some days after a release."""
    updates = yaml.safe_load((WORKFLOWS.parent / "dependabot.yml").read_text())["updates"]
    covered = {entry["package-ecosystem"]: set(entry.get("directories", [entry.get("directory")])) for entry in updates}
    pins = [path for place in ("", "[a-z]*/", "eventsapp/*/") for path in ROOT.glob(f"{place}requirements*.txt")]
    folders = {
        "github-actions": {"/"},
        "npm": {folder_of(path) for path in (ROOT / "tests").glob("*/package.json")},
        "pip": {folder_of(path) for path in pins},
        "terraform": {folder_of(path) for path in (ROOT / "terraform").rglob("versions.tf")},
    }
    assert covered == folders
    assert all(entry["cooldown"]["default-days"] >= 7 for entry in updates)


def folder_of(path: Path) -> str:
    """Return the folder of a file, as Dependabot writes it."""
    return f"/{path.parent.relative_to(ROOT).as_posix().removeprefix('.')}"

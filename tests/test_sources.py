"""A package that was made from other code is not planned."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT
from roots import copied_project, make


@pytest.fixture(scope="module", name="project")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which dev is packaged."""
    project = copied_project(tmp_path_factory.mktemp("sources") / "project")
    make(project, "package", "STAGE=dev")
    return project


def compare(project: Path) -> subprocess.CompletedProcess[str]:
    """Compare package and sources, with the standard library alone."""
    command = [sys.executable, "-I", "-S", "terraform/sources.py", "dev"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_package_of_these_sources_is_planned(project: Path) -> None:
    """What `make package` made a moment ago is taken; so is it in another checkout, with files that do not ship."""
    for name in ("eventsapp/local.py", "README.md", "terraform/stages/dev.tfvars", "eventsapp/chalicelib/.#event.py"):
        path = project / name
        if path.name.startswith("."):
            path.symlink_to("somebody@host.1:2")  # an editor's lock
        else:
            path.write_text("changed")
    cache = project / "eventsapp" / "chalicelib" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "event.cpython-313.pyc").write_bytes(b"x")
    for path in (project / "eventsapp").rglob("*.py"):
        os.utime(path, follow_symlinks=False)
    ran = compare(project)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


SHIPPED = [
    "eventsapp/app.py",
    "eventsapp/chalicelib/event.py",
    "eventsapp/chalicelib/new.py",
    "eventsapp/.chalice/config.json",
    "eventsapp/requirements.txt",
    "requirements-dev.txt",
    "terraform/merge/swagger_steps.py",
]


@pytest.mark.parametrize("name", SHIPPED)
def test_package_of_other_sources_is_not_planned(project: Path, name: str) -> None:
    """`make plan` ends with one sentence, and starts no Terraform, when a source has changed since `make package`."""
    path = project / name
    before = path.read_bytes() if path.exists() else None
    path.write_bytes((before or b"") + b"\n")
    try:
        ran = make(project, "--silent", "plan", "STAGE=dev", "AWS_ACCOUNT_ID=123456789012", check=False)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    assert ran.returncode != 0
    assert (ran.stdout, ran.stderr.splitlines()[0]) == (
        "", "make plan: the package in terraform/ does not match the current code: run `make package STAGE=dev`."
    )
    assert compare(project).returncode == 0


def test_without_a_package_there_is_no_plan(tmp_path: Path) -> None:
    """`make plan` in a fresh clone says what to run first."""
    ran = make(copied_project(tmp_path), "--silent", "plan", "STAGE=prod", "AWS_ACCOUNT_ID=123456789012", check=False)
    assert ran.returncode != 0
    assert ran.stderr.startswith("make plan: nothing is packaged: run `make package STAGE=prod`.\n")


def test_region_is_that_of_the_tfvars(tmp_path: Path) -> None:
    """`make region` prints a stage's region, however its line is written; without one it says what to add."""
    project = copied_project(tmp_path)
    tfvars = project / "terraform" / "stages" / "staging.tfvars"
    for line in ('region = "eu-central-1"', 'region="eu-central-1" # Frankfurt', '\tregion  =\t"eu-central-1"'):
        tfvars.write_text(f'other_region = "us-east-1"\n{line}\nstage = "staging"\n')
        assert make(project, "--silent", "region", "STAGE=staging").stdout == "eu-central-1\n"
    tfvars.write_text('# region = "us-east-1"\n')
    ran = make(project, "--silent", "region", "STAGE=staging", check=False)
    assert ran.returncode != 0
    assert "terraform/stages/staging.tfvars has no region: add it, as in region = \"eu-central-1\"" in ran.stderr


@pytest.mark.parametrize("stage", ["dev", "staging"])
def test_state_is_in_the_region_of_prod(tmp_path: Path, stage: str) -> None:
    """`make plan` looks for the state of every stage in the region of prod."""
    project = copied_project(tmp_path)
    (project / "terraform" / "stages" / "prod.tfvars").write_text('region = "eu-north-1"\n')
    commands = make(project, "--dry-run", "plan", f"STAGE={stage}", "AWS_ACCOUNT_ID=123456789012").stdout
    assert "-backend-config=region=eu-north-1 " in commands
    assert f"-backend-config=stages/{stage}.s3.tfbackend " in commands


def test_region_of_a_stage_stands_in_one_place() -> None:
    """No workflow, backend or root names a region: each reads the stage's tfvars."""
    files = [
        *(ROOT / ".github").rglob("*.yml"), *(ROOT / "terraform").rglob("*.tf"),
        *(ROOT / "terraform").rglob("*.tfbackend"), ROOT / "Makefile",
    ]  # fmt: skip
    assert len(files) > 20
    named = {path.name: set(re.findall(r"\b[a-z]{2}-[a-z]+-\d\b", path.read_text())) for path in files}
    examples = {"eu-central-1"}  # in an error text
    assert {name: regions for name, regions in named.items() if regions} == {"Makefile": examples}

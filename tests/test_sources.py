"""`make plan` refuses a package that was built from other code. The region of a stage is set in one place."""

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
    """Compare the package with the sources. The script uses only the standard library."""
    command = [sys.executable, "-I", "-S", "terraform/sources.py", "dev"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_package_of_the_same_sources_is_accepted(project: Path) -> None:
    """Changes of files outside the package and new modification times do not matter."""
    for name in ("eventsapp/local.py", "README.md", "terraform/stages/dev.tfvars", "eventsapp/chalicelib/.#event.py"):
        path = project / name
        if path.name.startswith("."):
            path.symlink_to("somebody@host.1:2")  # an editor's lock file
        else:
            path.write_text("changed")
    cache = project / "eventsapp" / "chalicelib" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "event.cpython-313.pyc").write_bytes(b"x")
    for path in (project / "eventsapp").rglob("*.py"):
        os.utime(path, follow_symlinks=False)
    result = compare(project)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


SHIPPED = [
    "eventsapp/app.py",
    "eventsapp/chalicelib/event.py",
    "eventsapp/chalicelib/new.py",
    "eventsapp/.chalice/config.json",
    "eventsapp/requirements.txt",
    "eventsapp/vendor/x.py",
    "requirements-dev.txt",
    "terraform/package.py",
    "terraform/requirements-package.txt",
    "terraform/merge/swagger_steps.py",
]


@pytest.mark.parametrize("name", SHIPPED)
def test_package_of_other_sources_is_refused(project: Path, name: str) -> None:
    """If a source has changed since `make package`, `make plan` stops with one sentence before Terraform starts."""
    path = project / name
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((before or b"") + b"\n")
    try:
        result = make(project, "--silent", "plan", "STAGE=dev", "AWS_ACCOUNT_ID=123456789012", check=False)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    assert result.returncode != 0
    assert (result.stdout, result.stderr.splitlines()[0]) == (
        "", "make plan: the package in terraform/ does not match the current code: run `make package STAGE=dev`."
    )
    assert compare(project).returncode == 0


def test_change_during_the_build_is_noticed(tmp_path: Path) -> None:
    """The package has the code from before a change, so `make plan` refuses it."""
    project = copied_project(tmp_path)
    package = project / "terraform" / "package.py"
    change = 'run_chalice = lambda *a, run=run_chalice: (run(*a), open("eventsapp/app.py", "a").write("\\n"))\n'
    package.write_text(package.read_text().replace("if __name__", f"{change}if __name__"))
    make(project, "package", "STAGE=dev")
    result = compare(project)
    assert result.stderr.startswith("make plan: the package in terraform/ does not match the current code: ")


def test_plan_without_a_package_is_refused(tmp_path: Path) -> None:
    """`make plan` in a fresh clone tells the developer to run `make package`."""
    project = copied_project(tmp_path)
    result = make(project, "--silent", "plan", "STAGE=prod", "AWS_ACCOUNT_ID=123456789012", check=False)
    assert result.returncode != 0
    assert result.stderr.startswith("make plan: nothing is packaged: run `make package STAGE=prod`.\n")


def test_region_is_read_from_the_tfvars(tmp_path: Path) -> None:
    """`make region` prints a stage's region in any valid spelling. If there is none, it prints what to add."""
    project = copied_project(tmp_path)
    tfvars = project / "terraform" / "stages" / "staging.tfvars"
    for line in ('region = "eu-central-1"', 'region="eu-central-1" # Frankfurt', '\tregion  =\t"eu-central-1"'):
        tfvars.write_text(f'other_region = "us-east-1"\n{line}\nstage = "staging"\n')
        assert make(project, "--silent", "region", "STAGE=staging").stdout == "eu-central-1\n"
    tfvars.write_text('# region = "us-east-1"\n')
    result = make(project, "--silent", "region", "STAGE=staging", check=False)
    assert result.returncode != 0
    assert "terraform/stages/staging.tfvars has no region: add it, as in region = \"eu-central-1\"" in result.stderr


@pytest.mark.parametrize("stage", ["dev", "staging"])
def test_state_is_in_the_region_of_prod(tmp_path: Path, stage: str) -> None:
    """`make plan` reads the state of every stage in the region of prod."""
    project = copied_project(tmp_path)
    (project / "terraform" / "stages" / "prod.tfvars").write_text('region = "eu-north-1"\n')
    commands = make(project, "--dry-run", "plan", f"STAGE={stage}", "AWS_ACCOUNT_ID=123456789012").stdout
    assert "-backend-config=region=eu-north-1 " in commands
    assert f"-backend-config=stages/{stage}.s3.tfbackend " in commands


def test_lock_of_a_stage_is_removed_by_its_id(tmp_path: Path) -> None:
    """`make unlock` connects to the state of the stage, and removes the lock that has the id. It needs no package."""
    project = copied_project(tmp_path)
    arguments = ("STAGE=staging", "AWS_ACCOUNT_ID=123456789012")
    commands = make(project, "--dry-run", "unlock", *arguments, "LOCK_ID=1-2-3").stdout
    assert "-backend-config=stages/staging.s3.tfbackend " in commands and "sources.py" not in commands
    assert commands.endswith('terraform -chdir=terraform force-unlock "1-2-3"\n')
    result = make(project, "--dry-run", "unlock", *arguments, check=False)
    assert result.returncode != 0
    assert "make unlock: LOCK_ID is not set: use the ID that Terraform printed" in result.stderr


def test_region_of_a_stage_is_set_in_one_place() -> None:
    """Workflows, backends and roots name no region. They read it from the stage's tfvars."""
    files = [
        *(ROOT / ".github").rglob("*.yml"), *(ROOT / "terraform").rglob("*.tf"),
        *(ROOT / "terraform").rglob("*.tfbackend"), ROOT / "Makefile",
    ]  # fmt: skip
    assert len(files) > 20
    named = {path.name: set(re.findall(r"\b[a-z]{2}-[a-z]+-\d\b", path.read_text())) for path in files}
    examples = {"eu-central-1"}  # in an error text
    assert {name: regions for name, regions in named.items() if regions} == {"Makefile": examples}

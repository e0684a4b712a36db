"""`make deploy-local` and `make destroy-local` in a copy of the project: their messages, and what they leave."""

import os
import shutil
from pathlib import Path

import pytest
from roots import copied_project, make

from emulator.stack import remove_files_that_the_source_lacks

FAILING_TERRAFORM = """#!/bin/sh
echo "Error: the provider says no" >&2
exit 1
"""


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, with a Terraform that fails on the PATH of `make`."""
    project = copied_project(tmp_path / "project")
    terraform = tmp_path / "bin" / "terraform"
    terraform.parent.mkdir()
    terraform.write_text(FAILING_TERRAFORM)
    terraform.chmod(0o755)
    monkeypatch.setenv("PATH", str(terraform.parent), prepend=os.pathsep)
    return project


def test_syntax_error_is_one_sentence(project: Path) -> None:
    """The file and the line are named before anything is started."""
    app = project / "eventsapp" / "app.py"
    lines = app.read_text().splitlines()
    app.write_text("\n".join([*lines, "def broken(:", ""]))
    run = make(project, "-s", "deploy-local", check=False)
    steps, message, *_ = run.stderr.splitlines()
    assert steps == "Packaging the stage dev (make package STAGE=dev) ..."
    assert message == (
        f"make deploy-local: eventsapp/app.py, line {len(lines) + 1}, is not valid Python (invalid syntax): correct it."
    )
    assert run.returncode != 0 and "Traceback" not in run.stderr
    assert not (project / ".local-aws" / "aws.json").exists()


def test_steps_are_printed_and_a_failed_one_is_explained(project: Path) -> None:
    """Each step is a line; a failure has Terraform's reason; destroy-local removes everything afterwards."""
    run = make(project, "-s", "deploy-local", check=False)
    assert run.returncode != 0 and "Traceback" not in run.stderr
    assert run.stderr.startswith(
        "Packaging the stage dev (make package STAGE=dev) ...\n"
        "Starting the emulated AWS ...\n"
        "Applying terraform/oidc as the account's administrator: state bucket, roles, trust in GitHub ...\n"
        "make deploy-local: `terraform init` failed in "
    )
    assert "Error: the provider says no\n" in run.stderr
    assert (project / ".local-aws" / "aws.json").exists()
    run = make(project, "-s", "destroy-local", check=False)
    assert (run.returncode, run.stdout) == (0, "The local deployment and the emulated AWS are removed.\n")
    assert not (project / ".local-aws").exists()


def test_removed_file_leaves_the_copy(tmp_path: Path) -> None:
    """A file that the project has no longer is not deployed again; what Terraform wrote in the copy stays."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    for path in ("a.tf", "oidc/b.tf"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("x")
    shutil.copytree(source, copy)
    for path in ("old.tf", "oidc/old.tf", ".terraform/providers/x", "oidc/terraform.tfstate"):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text("x")
    remove_files_that_the_source_lacks(source, copy)
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert files == {"a.tf", "oidc/b.tf", ".terraform/providers/x", "oidc/terraform.tfstate"}

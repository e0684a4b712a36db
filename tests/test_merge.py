"""Tests of `make package`, which corrects and writes chalice's output."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from changes import Json
from processes import ROOT


def test_each_stage_of_the_config_has_its_tfvars() -> None:
    """Each stage in chalice's config.json has a tfvars file, and no other stage has one."""
    stages = set(json.loads((ROOT / "eventsapp" / ".chalice" / "config.json").read_text())["stages"])
    assert stages == {"dev", "staging", "prod"}
    assert {path.stem for path in (ROOT / "terraform" / "stages").glob("*.tfvars")} == stages


def test_api_has_one_name(merged: Json, swagger: Json) -> None:
    """Swagger and Terraform use the same name. Otherwise the provider renames the API during the import."""
    assert swagger["info"]["title"] == merged["resource"]["aws_api_gateway_rest_api"]["rest_api"]["name"]


@pytest.fixture(scope="module", name="tree")
def fixture_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the files that `make package` uses, so that no test changes a developer's package."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("Makefile", "requirements-dev.txt"):
        shutil.copy2(ROOT / name, tree)
    shutil.copytree(ROOT / "eventsapp", tree / "eventsapp")
    (tree / "eventsapp" / "chalicelib" / "__pycache__").mkdir(exist_ok=True)
    (tree / "eventsapp" / "chalicelib" / "__pycache__" / "left.pyc").write_bytes(b"left")
    shutil.copytree(ROOT / "terraform" / "merge", tree / "terraform" / "merge")
    for module in (ROOT / "terraform").glob("*.py"):
        shutil.copy2(module, tree / "terraform")
    return tree


FOREIGN = ("AWS_", "MAKE", "MFLAGS", "PYTHON")  # variables of the developer who runs the tests


def make_package(tree: Path, stage: str) -> subprocess.CompletedProcess[str]:
    """Run `make package` without credentials, with a profile that does not exist."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment |= {"AWS_PROFILE": "nobody", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    command = ["make", "-o", f"{sys.prefix}/.installed", "package", f"STAGE={stage}", f"venv={sys.prefix}"]
    return subprocess.run(command, cwd=tree, env=environment, check=False, capture_output=True, text=True)


def test_package_is_reproducible(tree: Path) -> None:
    """`make package` needs no credentials. It writes the same Terraform and the same zip each time."""
    packages = []
    for _ in range(2):
        result = make_package(tree, "staging")
        assert (result.returncode, result.stderr) == (0, "")
        written = "terraform/chalice.tf.json and terraform/deployment.zip"
        assert result.stdout.startswith(f"Packaged stage staging: {written} (")
        packages.append([(tree / "terraform" / name).read_bytes() for name in ("chalice.tf.json", "deployment.zip")])
    assert packages[0] == packages[1]
    with zipfile.ZipFile(tree / "terraform" / "deployment.zip") as archive:
        assert [name for name in archive.namelist() if "left" in name] == []
    assert json.loads(packages[0][0])["locals"]["packaged_stage"] == "staging"


def test_unknown_stage_is_refused(tree: Path) -> None:
    """`make package` refuses an unknown stage and lists the known ones."""
    result = make_package(tree, "live")
    assert result.returncode != 0
    assert result.stderr.startswith("make package: there is no stage live; the stages are dev, staging, prod.\n")


def test_unexpected_output_is_explained(tree: Path, chalice_package: Path) -> None:
    """If chalice's output is unexpected, the error names the missing part. Nothing is written."""
    shutil.rmtree(tree / "build", ignore_errors=True)
    shutil.copytree(chalice_package, tree / "build" / "package")
    for name in ("chalice.tf.json", "deployment.zip"):
        (tree / "terraform" / name).unlink(missing_ok=True)
    written = tree / "build" / "package" / "chalice.tf.json"
    written.write_text(written.read_text().replace('"api_handler": {', '"handler": {'))
    environment = {**os.environ, "PYTHONPATH": "terraform:eventsapp"}
    command = [sys.executable, "-m", "merge"]
    result = subprocess.run(command, cwd=tree, env=environment, check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "make package: expected filename of resource aws_lambda_function.api_handler, but "
        "resource.aws_lambda_function has only authorizer, handler: did you change app.py, "
        "config.json or chalice's version? See what chalice writes, and correct the step.\n"
    )
    assert [path.name for path in (tree / "terraform").iterdir() if path.suffix in (".json", ".zip")] == []

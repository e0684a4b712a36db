"""`make lock` pins packages and providers. `make release` installs exactly the pinned packages."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import lock
import pytest
from processes import ROOT
from roots import NEEDS_TERRAFORM, copied_project, make, run
from wheelhouse import find_only, write_wheel

LOCKED = (ROOT / "terraform" / "requirements-package.txt").read_text()
PINS = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", LOCKED))


def test_lock_has_the_versions_that_people_chose() -> None:
    """A changed version needs `make lock`. The tools of the tests are not in the file."""
    chosen = dict(requirement.split("==") for requirement in lock.wanted())
    assert {"chalice", "packaging", "msgspec"} <= set(chosen)
    assert {name: PINS.get(name) for name in chosen} == chosen
    assert not {"boto3", "pytest", "moto", "ministack"} & set(PINS)


def test_each_line_of_the_lock_is_a_version_with_hashes() -> None:
    """No package has a range, a URL or no hash."""
    lines = [line for line in LOCKED.replace(" \\\n", "").splitlines() if not line.startswith("#")]
    assert len(lines) == len(PINS)
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+(    --hash=sha256:[0-9a-f]{64})+", line)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """Return a copy of the project."""
    return copied_project(tmp_path / "project")


@pytest.fixture(name="wheels")
def _wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder in which pip finds distributions, with a wheel for each requirement and one more."""
    folder = tmp_path / "wheels"
    find_only(monkeypatch, folder)
    for requirement in lock.wanted():
        name, version = requirement.split("==")
        needs = ("helper_of>=1",) if name == "chalice" else ()
        write_wheel(folder, name, version, tag="py3-none-any", files=(f"{name}/__init__.py",), requires=needs)
    write_wheel(folder, "helper_of", "1.5", tag="py3-none-any", files=("helper_of.py",))
    return folder


def test_lock_has_the_hash_of_each_wheel(project: Path, wheels: Path) -> None:
    """The file has every package that is needed, with its version and the SHA-256 of its wheel."""
    command = [sys.executable, "terraform/lock.py"]
    result = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    assert result.stdout == f"Wrote terraform/requirements-package.txt: {len(lock.wanted()) + 1} packages.\n"
    written = (project / "terraform" / "requirements-package.txt").read_text()
    expected = {}
    for wheel in wheels.iterdir():
        name, version, _ = wheel.name.split("-", 2)
        expected[f"{name.replace('_', '-')}=={version}"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert dict(re.findall(r"(?m)^(\S+==\S+) \\\n    --hash=sha256:(\S+)$", written)) == expected


def test_missing_wheel_leaves_the_earlier_lock(project: Path, wheels: Path) -> None:
    """If a package has no wheel, the command ends with a sentence and writes nothing."""
    next(wheels.glob("msgspec*")).unlink()
    result = subprocess.run(
        [sys.executable, "terraform/lock.py"], cwd=project, check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "make lock: pip has no wheels for Python 3.13 on x86_64: see above." in result.stderr
    assert (project / "terraform" / "requirements-package.txt").read_text() == LOCKED


def test_package_with_another_hash_is_not_installed(project: Path, wheels: Path) -> None:
    """The environment of `make release` has exactly the pinned wheels. Another file of the same version stops it.

    The functions can have another architecture than this machine.
    """
    next(wheels.glob("helper_of*")).unlink()
    for machine in lock.NAMES:
        tag = f"py3-none-manylinux2014_{machine}"
        write_wheel(wheels, "helper_of", "1.5", tag=tag, files=("helper_of.py",))
    for_machines = sorted(wheels.glob("helper_of*"))
    digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in for_machines]
    locked = project / "terraform" / "requirements-package.txt"
    locked.write_text(" --hash=sha256:".join(["helper-of==1.5", *digests]))
    environment = ("build/packaging/.installed", f"PYTHON={sys.executable}")
    make(project, *environment)
    site_packages = next((project / "build" / "packaging" / "lib").glob("python*/site-packages"))
    assert (site_packages / "helper_of.py").exists() and not list(site_packages.glob("chalice*"))
    downloaded = project / "build" / "packaging" / "wheels"
    assert sorted(wheel.name for wheel in downloaded.iterdir()) == [wheel.name for wheel in for_machines]
    locked.write_text(f"helper-of==1.5 --hash=sha256:{'0' * 64}\n")
    result = make(project, "-B", *environment, check=False)
    assert result.returncode != 0
    assert "make: a package for x86_64 is not there, or has another hash than in terraform/" in result.stderr


@NEEDS_TERRAFORM
def test_providers_are_locked_and_a_locked_one_is_checked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make lock` writes each root's lock file. A provider with another checksum is refused then."""
    platform = json.loads(run("terraform", "version", "-json", cwd=project).stdout)["platform"]
    mirror = re.search(r"-plugin-dir=(\S+)", os.environ.get("TF_CLI_ARGS_init", ""))
    if mirror:
        monkeypatch.setenv("TF_CLI_ARGS_providers_lock", f"-fs-mirror={mirror[1]}")
    make(project, "lock", f"PLATFORMS={platform}", "python=true")
    for root in (project / "terraform", project / "terraform" / "oidc"):
        assert 'provider "registry.terraform.io/hashicorp/aws"' in (root / ".terraform.lock.hcl").read_text()
    root = project / "terraform" / "oidc"
    init = ("terraform", "init", "-backend=false", "-input=false", "-lockfile=readonly")
    monkeypatch.setenv("TF_DATA_DIR", str(project / "data"))
    run(*init, cwd=root)
    hashes = re.sub(r'"(h1|zh):.*"', f'"h1:{"A" * 43}="', (root / ".terraform.lock.hcl").read_text())
    (root / ".terraform.lock.hcl").write_text(hashes)
    result = run(*init, cwd=root, check=False)
    assert result.returncode != 0 and "checksums previously recorded" in " ".join(result.stderr.split())


def test_lock_is_for_all_platforms() -> None:
    """The providers' checksums are those of the runner and of developers' machines."""
    text = make(ROOT, "--dry-run", "lock").stdout
    assert set(re.findall(r"-platform=(\S+)", text)) == {
        "linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64",
    }  # fmt: skip

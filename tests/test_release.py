"""`make release` builds one zip for all stages. `make use-release` refuses files that changed afterwards."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT
from roots import STAGES, copied_project, make

FILES = ["SHA256SUMS", *(f"chalice-{stage}.tf.json" for stage in sorted(STAGES)), "deployment.zip"]


@pytest.fixture(scope="module", name="project")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project."""
    return copied_project(tmp_path_factory.mktemp("release") / "project")


@pytest.fixture(scope="module", name="wheels")
def _wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheels that ship."""
    folder = tmp_path_factory.mktemp("wheels")
    requirements = ROOT / "eventsapp" / "requirements.txt"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "-r", str(requirements)]
    subprocess.run(command, check=True)
    return folder


def release(project: Path, wheels: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `make release` with the environment of this process. test_lock.py makes the real environment."""
    packaging = f"{sys.prefix}/."  # for make, this is not the folder of the developers' environment
    variables = (f"packaging={packaging}", f"wheels={wheels}")
    return make(project, "--silent", "-o", f"{packaging}/.installed", "release", *variables, check=check)


@pytest.fixture(scope="module", name="digest")
def _digest(project: Path, wheels: Path) -> str:
    """Build the release in the copy, and return its digest."""
    return release(project, wheels).stdout.strip()


def use(project: Path, stage: str, digest: str) -> subprocess.CompletedProcess[str]:
    """Use a release. The script uses only the standard library."""
    # -I removes the script's folder from the path, too.
    code = "import runpy, sys; sys.path.insert(0, 'terraform'); runpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import sys; sys.argv = sys.argv[1:]; {code}"
    command = [sys.executable, "-I", "-S", "-c", code, "terraform/use_release.py", stage, digest]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def packaged(project: Path) -> list[str]:
    """Return the names of the files that Terraform would use."""
    names = ("chalice.tf.json", "deployment.zip")
    return [name for name in names if (project / "terraform" / name).exists()]


def test_release_is_the_same_each_time(project: Path, wheels: Path, digest: str) -> None:
    """Two releases of the same sources are equal, byte for byte. The digest identifies all files."""
    folder = project / "build" / "release"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(first) == FILES
    assert release(project, wheels).stdout.strip() == digest
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert hashlib.sha256(first["SHA256SUMS"]).hexdigest() == digest
    lines = [f"{hashlib.sha256(first[name]).hexdigest()}  {name}\n" for name in FILES[1:]]
    assert first["SHA256SUMS"].decode() == "".join(lines)


@pytest.mark.parametrize("stage", STAGES)
def test_release_has_the_package_of_each_stage(project: Path, digest: str, stage: str) -> None:
    """`make use-release` gives the files that `make package` writes for the stage. All stages have one zip."""
    terraform = project / "terraform"
    make(project, "package", f"STAGE={stage}")
    expected = [(terraform / name).read_bytes() for name in packaged(project)]
    result = make(project, "--silent", "use-release", f"STAGE={stage}", f"DIGEST={digest}")
    assert [(terraform / name).read_bytes() for name in packaged(project)] == expected
    assert json.loads(expected[0])["locals"]["packaged_stage"] == stage
    sha256 = hashlib.sha256((project / "build" / "release" / "deployment.zip").read_bytes()).hexdigest()
    assert result.stdout == f"The package of {stage} is in terraform/. The SHA-256 of its zip is {sha256}.\n"
    check = subprocess.run([sys.executable, "terraform/sources.py", stage], cwd=project, check=False)
    assert check.returncode == 0


@pytest.mark.parametrize("name", ["SHA256SUMS", "chalice-prod.tf.json", "deployment.zip"])
def test_changed_or_missing_file_is_refused(project: Path, digest: str, name: str) -> None:
    """A file that changed after the build is refused, and so is a missing one. No package is left."""
    path = project / "build" / "release" / name
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n")
        changed = use(project, "prod", digest)
        assert changed.returncode == 1 and packaged(project) == []
        assert changed.stderr.startswith(f"make use-release: the release is refused: {name} has another SHA-256 than ")
        path.unlink()
        missing = use(project, "prod", digest)
        assert missing.returncode == 1 and packaged(project) == []
        assert f"{name} is missing. Do not deploy it" in missing.stderr
        assert len(changed.stderr.splitlines()) == len(missing.stderr.splitlines()) == 1
    finally:
        path.write_bytes(before)
    assert use(project, "prod", digest).returncode == 0


def test_checksums_do_not_replace_the_check_of_the_content(project: Path, digest: str) -> None:
    """A release whose own digest is right is still refused if its Terraform has something unknown."""
    assert digest
    folder = project / "build" / "release"
    before = {name: (folder / name).read_bytes() for name in ("chalice-prod.tf.json", "SHA256SUMS")}
    try:
        document = json.loads(before["chalice-prod.tf.json"]) | {"data": {"external": {}}}
        text = json.dumps(document).encode()
        (folder / "chalice-prod.tf.json").write_bytes(text)
        old = hashlib.sha256(before["chalice-prod.tf.json"]).hexdigest().encode()
        sums = before["SHA256SUMS"].replace(old, hashlib.sha256(text).hexdigest().encode())
        (folder / "SHA256SUMS").write_bytes(sums)
        result = use(project, "prod", hashlib.sha256(sums).hexdigest())
        assert result.returncode == 1 and packaged(project) == []
        assert 'chalice.tf.json has "data". Do not deploy it' in result.stderr
    finally:
        for name, content in before.items():
            (folder / name).write_bytes(content)


def test_stage_and_digest_are_needed(project: Path, digest: str) -> None:
    """An unknown stage or a missing digest ends with a sentence."""
    result = use(project, "live", digest)
    assert result.stderr == "make use-release: there is no stage live; the stages are dev, staging, prod.\n"
    result = make(project, "--silent", "use-release", "STAGE=prod", check=False)
    assert result.returncode != 0 and "make use-release: DIGEST is not set" in result.stderr


def test_release_uses_only_the_wheels_whose_hashes_were_checked(tmp_path: Path) -> None:
    """Chalice's own pip checks no hashes. So it gets the checked wheels only, also where an index is reachable."""
    project = copied_project(tmp_path / "project")
    (tmp_path / "wheels").mkdir()
    result = release(project, tmp_path / "wheels", check=False)
    assert result.returncode != 0 and not list((project / "build").iterdir())
    assert result.stderr.startswith("make release: pip cannot download what eventsapp/requirements.txt needs")


def test_zips_that_differ_are_refused(tmp_path: Path) -> None:
    """If the zip depended on the stage, one stage would test what another one does not run."""
    project = copied_project(tmp_path)
    (project / "terraform" / "differs.py").write_text(
        "import itertools, release\n"
        "number = itertools.count()\n"
        "write = release.write\n"
        "def write_another(source, destination):\n"
        "    write(source, destination)\n"
        "    with open(destination / 'deployment.zip', 'ab') as file:\n"
        "        file.write(str(next(number)).encode())\n"
        "release.write = write_another\n"
        "release.main()\n"
    )
    environment = {"PYTHONPATH": "terraform:eventsapp", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "terraform/differs.py"]
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("make release: the zip differs between stages: ")
    assert not list((project / "build").iterdir())


def test_no_release_is_left_in_the_repository() -> None:
    """Git ignores the folder of a release."""
    assert "build/" in (ROOT / ".gitignore").read_text().splitlines()

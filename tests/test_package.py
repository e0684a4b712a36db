"""`make package`: a package is complete and made for its target, or the command fails with a sentence."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import package
import pytest
from package import package_app
from processes import ROOT
from roots import copied_project, make
from wheelhouse import find_only, write_sdist, write_wheel
from wheels import PackageError

MINOR = sys.version_info.minor
CP = f"cp3{MINOR}"
(MSGSPEC,) = (ROOT / "eventsapp" / "requirements.txt").read_text().split()
VERSION = MSGSPEC.partition("==")[2]
EXTENSION = f"msgspec/_core.cpython-3{MINOR}-x86_64-linux-gnu.so"


def write_msgspec(folder: Path, machine: str = "x86_64", tag: str | None = None) -> None:
    """Write a wheel in place of msgspec's: chalice imports the app with the real one, and packages this one."""
    extension = EXTENSION.replace("x86_64", machine)
    tag = tag or f"{CP}-{CP}-manylinux2014_{machine}"
    write_wheel(folder, "msgspec", VERSION, tag=tag, files=("msgspec/__init__.py", extension))


@pytest.fixture(name="wheels")
def _wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which pip finds distributions."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    find_only(monkeypatch, folder)
    return folder


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """A copy of what `make package` needs."""
    return copied_project(tmp_path / "project")


@pytest.fixture(name="app")
def _app(project: Path) -> Path:
    """A copy of the app."""
    return project / "eventsapp"


def make_package(project: Path) -> subprocess.CompletedProcess[str]:
    """Run `make package` in a project."""
    return make(project, "-s", "package", check=False)


def results(project: Path) -> set[str]:
    """Return the names of a package's files that Terraform would use."""
    return {name for name in ("chalice.tf.json", "deployment.zip") if (project / "terraform" / name).exists()}


def names_in(folder: Path) -> set[str]:
    """Return the names of the files in a package's zip."""
    with zipfile.ZipFile(folder / "deployment.zip") as archive:
        return set(archive.namelist())


# The command, with the real chalice and pip.


def test_missing_wheel_fails_and_nothing_is_reused(project: Path, wheels: Path) -> None:
    """Without a wheel nothing is left, chalice's warning is shown, and the next run starts anew."""
    write_msgspec(wheels)
    assert make_package(project).returncode == 0
    assert results(project) == {"chalice.tf.json", "deployment.zip"}
    for wheel in wheels.iterdir():
        wheel.unlink()
    write_sdist(wheels, "msgspec", VERSION)
    for _ in range(2):
        run = make_package(project)
        assert run.returncode != 0 and "Packaged" not in run.stdout
        assert results(project) == set() and not (project / "build" / "package").exists()
        assert "Could not install dependencies:\nmsgspec" in run.stderr  # chalice's own words
        assert f"make package: msgspec is missing in the zip, because pip found no wheel of {MSGSPEC}" in run.stderr
        assert "Traceback" not in run.stderr
    write_msgspec(wheels)
    assert make_package(project).returncode == 0
    assert EXTENSION in names_in(project / "terraform")


def test_files_are_readable_with_any_umask(project: Path) -> None:
    """Lambda runs the function as another user. The zip is the same with a umask that hides a person's files."""
    zips = []
    for umask in (0o022, 0o077):
        for path in (project / "eventsapp").rglob("*.py"):
            path.chmod(0o666 & ~umask)
        command = f"umask {umask:o}; exec {sys.executable} {project}/terraform/package.py dev"
        subprocess.run(["sh", "-c", command], check=True)
        zips.append((project / "build" / "package" / "deployment.zip").read_bytes())
        with zipfile.ZipFile(project / "build" / "package" / "deployment.zip") as archive:
            assert {oct(entry.external_attr >> 16) for entry in archive.infolist()} == {"0o100644"}
    assert zips[0] == zips[1]


def test_unreachable_index_is_one_sentence(project: Path, wheels: Path) -> None:
    """When pip finds nothing at all, the command says so."""
    assert not list(wheels.iterdir())
    run = make_package(project)
    assert run.returncode != 0 and results(project) == set()
    message, _ = run.stderr.splitlines()  # the other line is make's own
    assert message.startswith("make package: pip cannot download what eventsapp/requirements.txt needs (")
    assert MSGSPEC in message and message.endswith(": is the package index reachable?")


def test_unknown_stage_is_one_sentence(project: Path) -> None:
    """An unknown stage is refused, with the names of the stages."""
    command = [sys.executable, str(project / "terraform" / "package.py"), "live"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stderr == "make package: there is no stage live; the stages are dev, staging, prod.\n"
    assert run.returncode != 0


def test_wheel_compiled_on_this_machine_is_refused(app: Path, wheels: Path, tmp_path: Path) -> None:
    """Chalice takes a linux_x86_64 wheel, whose binary needs the libraries of the machine that compiled it."""
    write_msgspec(wheels, tag=f"{CP}-{CP}-linux_x86_64")
    text = f"msgspec-{VERSION} is made for .*linux_x86_64, .*, without the libraries of"
    with pytest.raises(PackageError, match=text):
        package_app(app, "dev", tmp_path / "package")


def test_other_architecture_gets_its_own_wheel(app: Path, wheels: Path, tmp_path: Path) -> None:
    """A package for arm64 has arm64 binaries; without such a wheel it fails."""
    config = json.loads((app / ".chalice" / "config.json").read_text())
    (app / ".chalice" / "config.json").write_text(json.dumps({**config, "lambda_architecture": "arm64"}))
    write_msgspec(wheels)
    with pytest.raises(PackageError, match=rf"no wheel of {MSGSPEC} for Python 3.{MINOR} on aarch64|cannot download"):
        package_app(app, "dev", tmp_path / "package")
    write_msgspec(wheels, machine="aarch64")
    folder = package_app(app, "dev", tmp_path / "package")
    assert EXTENSION.replace("x86_64", "aarch64") in names_in(folder)
    assert EXTENSION not in names_in(folder)


def test_added_dependency_comes_with_all_that_it_needs(app: Path, wheels: Path, tmp_path: Path) -> None:
    """A new line in requirements.txt adds the wheel's files, and those of the wheels that it needs on Lambda."""
    write_msgspec(wheels)
    needs = ("second-wheel>=1", "third; sys_platform == 'win32'", "fourth; extra == 'more'")
    write_wheel(wheels, "first", "1.0", tag="py3-none-any", files=("first-1.0.data/purelib/first.py",), requires=needs)
    write_wheel(wheels, "second_wheel", "1.5", tag="py2.py3-none-any", files=("second/a.py", "second/data.txt"))
    with open(app / "requirements.txt", "a", encoding="utf-8") as requirements:
        requirements.write("# a comment\nfirst==1.0  # another one\n")
    names = names_in(package_app(app, "dev", tmp_path / "package"))
    assert {"first.py", "second/a.py", "second/data.txt"} <= names
    assert not [name for name in names if name.startswith(("third", "fourth"))]


def test_only_modules_are_packaged(app: Path, wheels: Path, tmp_path: Path) -> None:
    """Hidden files, bytecode and the local tools stay out; the same sources give the same zip, byte for byte."""
    write_msgspec(wheels)
    first = (package_app(app, "dev", tmp_path / "first") / "deployment.zip").read_bytes()
    for name in ("__pycache__/event.cpython-311.pyc", ".#event.py", ".event.py.swp", ".env"):
        (app / "chalicelib" / name).parent.mkdir(exist_ok=True)
        (app / "chalicelib" / name).write_bytes(b"x")
    (app / "chalicelib" / ".#store.py").symlink_to("me@host.1:2")  # an Emacs lock
    (app / "notes.txt").write_text("x")
    assert (package_app(app, "dev", tmp_path / "second") / "deployment.zip").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("chalicelib/notes.txt", "x", "eventsapp/chalicelib/notes.txt is not a Python module: move it out"),
        ("chalicelib/event.py~", "x", "eventsapp/chalicelib/event.py~ is not a Python module: move it out"),
        ("vendor/one.py", "x", "eventsapp/vendor is not checked: name its packages in eventsapp/requirements.txt"),
        ("app.py", "import os\n\ndef broken(:\n", r"eventsapp/app.py, line 3, is not valid Python \(invalid syntax\)"),
        ("chalicelib/new.py", "x = (\n", r"eventsapp/chalicelib/new.py, line 1, is not valid Python \('\(' was never"),
        ("app.py", "x = 1\nraise KeyError('no')\n", r"eventsapp/app.py, line 2, stops chalice \(KeyError: 'no'\)"),
        ("requirements.txt", "-r other.txt\n", "eventsapp/requirements.txt: .*: write one `name==version` in each"),
        ("requirements.txt", "chalice==1.34.0\n", "eventsapp/requirements.txt names chalice: remove it"),
    ],
)
@pytest.mark.usefixtures("wheels")
def test_wrong_source_is_one_sentence(app: Path, tmp_path: Path, name: str, text: str, expected: str) -> None:
    """What must not be packaged is refused with its name, its line, and what to do."""
    (app / name).parent.mkdir(exist_ok=True)
    (app / name).write_text(text)
    with pytest.raises(PackageError, match=expected) as error:
        package_app(app, "dev", tmp_path / "package")
    assert len(str(error.value).splitlines()) == 1
    assert not list(tmp_path.glob("package*"))


# The check of a zip.


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a wheel in place of msgspec's."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as monkeypatch:
        find_only(monkeypatch, folder / "wheels")
        write_msgspec(folder / "wheels")
        return package_app(ROOT / "eventsapp", "dev", folder / "package")


Contents = dict[str, bytes]


def check_changed(built: Path, tmp_path: Path, change: Callable[[Contents, dict[str, Any]], None]) -> None:
    """Check a package after a change of its zip's contents or its Terraform."""
    with zipfile.ZipFile(built / "deployment.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    terraform = json.loads((built / "chalice.tf.json").read_text())
    change(contents, terraform)
    with zipfile.ZipFile(tmp_path / "deployment.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    (tmp_path / "chalice.tf.json").write_text(json.dumps(terraform))
    package.check(tmp_path, ROOT / "eventsapp")


def test_every_missing_or_changed_file_is_noticed(built: Path, tmp_path: Path) -> None:
    """The check names each file that is not there, or not as it should be; it accepts the package as it was built."""
    check_changed(built, tmp_path, lambda contents, _: None)
    names = names_in(built)
    assert {"app.py", "chalicelib/event.py", "chalice/app.py", EXTENSION} <= names
    for name in names:
        with pytest.raises(PackageError, match="is missing in the zip"):
            check_changed(built, tmp_path, lambda contents, _, name=name: contents.pop(name))
        if not name.endswith("RECORD"):  # a wheel's record has no digest of itself
            with pytest.raises(PackageError, match="in the zip|made for"):
                check_changed(built, tmp_path, lambda contents, _, name=name: contents.update({name: b"Tag: x-y-z\n"}))


def test_bytecode_is_made_for_the_target(built: Path, tmp_path: Path) -> None:
    """Bytecode of another version of Python, or of other sources, is refused. Python would run it unchecked."""
    name = cache_from_source("chalicelib/event.py")

    def change(contents: Contents, _: dict[str, Any]) -> None:
        contents[name] = contents[name][:8] + contents[cache_from_source("chalicelib/store.py")][8:]

    with pytest.raises(PackageError, match=f"{name} is not the bytecode of chalicelib/event.py in the zip"):
        check_changed(built, tmp_path, change)

    def change_version(contents: Contents, _: dict[str, Any]) -> None:
        contents[name] = b"\0\0\r\n" + contents[name][4:]

    with pytest.raises(PackageError, match=f"{name} is not the bytecode of chalicelib/event.py in the zip"):
        check_changed(built, tmp_path, change_version)


def test_invalid_module_of_a_wheel_is_refused(app: Path, wheels: Path, tmp_path: Path) -> None:
    """A wheel with a module that is not valid Python ends with the module's name."""
    write_msgspec(wheels)
    write_wheel(wheels, "first", "1.0", tag="py3-none-any", files=("first.py",), prefix="print")
    with open(app / "requirements.txt", "a", encoding="utf-8") as requirements:
        requirements.write("first==1.0\n")
    with pytest.raises(PackageError, match="a module in the zip is not valid Python .*first.py"):
        package_app(app, "dev", tmp_path / "package")


@pytest.mark.parametrize("name", ["chalicelib/__pycache__/a.pyc", "chalicelib/a.txt", "boto3/__init__.py", "local.py"])
def test_file_that_nothing_needs_is_refused(built: Path, tmp_path: Path, name: str) -> None:
    """A file beyond the exact list ends with its name."""
    with pytest.raises(PackageError, match=f"the zip has files that neither the app nor a requirement needs.*{name}"):
        check_changed(built, tmp_path, lambda contents, _: contents.update({name: b""}))


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({"runtime": f"python3.{MINOR + 1}"}, f"Python 3.{MINOR + 1} on x86_64"),
        ({"architectures": ["arm64"]}, f"Python 3.{MINOR} on aarch64"),
    ],
)
def test_other_target_is_refused(built: Path, tmp_path: Path, settings: dict[str, Any], target: str) -> None:
    """A wheel for another version of Python or another architecture ends with a sentence that has both."""

    def change(_: Contents, terraform: dict[str, Any]) -> None:
        for function in terraform["resource"]["aws_lambda_function"].values():
            function.update(settings)

    with pytest.raises(PackageError, match=f"is made for {CP}-.*x86_64, but the functions run on {target}"):
        check_changed(built, tmp_path, change)


def test_binary_of_another_target_in_a_matching_wheel_is_refused(built: Path, tmp_path: Path) -> None:
    """The name of a binary extension is checked too."""
    other = f"msgspec/_core.cpython-3{MINOR + 1}-x86_64-linux-gnu.so"

    def change(contents: Contents, _: dict[str, Any]) -> None:
        contents[other] = contents.pop(EXTENSION)
        record = f"msgspec-{VERSION}.dist-info/RECORD"
        contents[record] = contents[record].replace(EXTENSION.encode(), other.encode())

    with pytest.raises(PackageError, match=f"{other} does not run on Python 3.{MINOR} on x86_64"):
        check_changed(built, tmp_path, change)

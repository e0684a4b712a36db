"""Builds a stage's zip and checks that it is complete: `make package` runs this, and then merge/.

Chalice leaves out a dependency that it cannot install, and reuses an earlier zip; both end with exit code 0. So this
packages a fresh copy of the modules that ship, and compares the zip with what must be in it, file by file.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distribution
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from typing import Any

import sources
from wheels import Contents, PackageError, Target, check_wheels, read_requirements

ROOT = Path(__file__).resolve().parent.parent
PROGRESS = "Creating deployment package.\n"  # what chalice prints if nothing is wrong
CHALICE_FILES = ("chalice/__init__.py", "chalice/app.py")  # the files of chalice that the function needs
UNCHECKED_HASH = (1).to_bytes(4, "little")  # the flags of bytecode that Python uses without its source (PEP 552)
READABLE = 0o100644 << 16  # a file in the zip: Lambda's own user must be able to read it
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # Lambda's name of an architecture, and the name in wheels


def main() -> None:
    """Package a stage into build/package. On an error, print one sentence and leave no earlier package."""
    try:
        build(sys.argv[1])
    except PackageError as exc:
        sys.exit(f"make package: {exc}")
    except KeyboardInterrupt:
        sys.exit("make package: interrupted; nothing was packaged.")


def build(stage: str) -> None:
    """Package a stage of this project into build/package, for merge/. Raises PackageError."""
    output = ROOT / "build" / "package"
    shutil.rmtree(output, ignore_errors=True)
    for name in ("chalice.tf.json", "deployment.zip"):
        (ROOT / "terraform" / name).unlink(missing_ok=True)
    package_app(ROOT / "eventsapp", stage, output)


def package_app(app: Path, stage: str, output: Path) -> Path:
    """Package a stage of an app; return the folder of the generated Terraform and the zip. Raises PackageError."""
    stages = json.loads((app / ".chalice" / "config.json").read_text())["stages"]
    if stage not in stages:
        raise PackageError(f"there is no stage {stage}; the stages are {', '.join(stages)}.")
    read_requirements(app / "requirements.txt")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix="package-") as folder:
        project, unchecked = Path(folder) / "project", Path(folder) / "package"
        packaged = sources.digest()  # before the copy: a change during the build makes the package out of date
        copy_app(app, project)
        run_chalice(project, stage, unchecked)
        add_bytecode(unchecked / "deployment.zip")
        check(unchecked, project)
        (unchecked / sources.RECORD).write_text(packaged, encoding="ascii")
        return unchecked.rename(output)


# Before packaging: the input


def copy_app(app: Path, project: Path) -> None:
    """Copy what chalice packages, and nothing else. Raises PackageError for a file that it must not package."""
    if (app / "vendor").exists():
        raise PackageError("eventsapp/vendor is not checked: name its packages in eventsapp/requirements.txt instead.")
    modules = [app / "app.py", *modules_of(app / "chalicelib")]
    for path in [*modules, app / "requirements.txt", app / ".chalice" / "config.json"]:
        copy = project / path.relative_to(app)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for path in modules:
        try:
            ast.parse(path.read_bytes())
        except SyntaxError as exc:
            name = path.relative_to(app.parent)
            raise PackageError(f"{name}, line {exc.lineno}, is not valid Python ({exc.msg}): correct it.") from exc


def modules_of(folder: Path) -> list[Path]:
    """Return the modules of a Python package. Hidden files and bytecode are ignored, other files refused."""
    modules = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder.parent.parent)
        if path.is_dir() or path.name.startswith(".") or "__pycache__" in relative.parts:
            continue
        if path.suffix != ".py":
            raise PackageError(f"{relative} is not a Python module: move it out of chalicelib, or rename it.")
        modules.append(path)
    return modules


def run_chalice(project: Path, stage: str, output: Path) -> None:
    """Let chalice package a stage, and print its warnings. Raises PackageError when it fails."""
    # Chalice calls no AWS, but it stops without a region or with an unknown profile. A .pyc would go into the zip.
    # With PYTHONPATH, chalice could import modules that do not ship.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name != "PYTHONPATH"
    }
    # Chalice adds the dependencies in the order of a set: a fixed seed gives the same zip for the same sources.
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    command = [str(Path(sys.executable).parent / "chalice"), "--project-dir", str(project), "package"]
    command += ["--pkg-format", "terraform", "--stage", stage, str(output)]
    process = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    if process.returncode:
        raise PackageError(explain(process.stdout, project))
    if warnings := process.stdout.replace(PROGRESS, "").strip():
        print(warnings, file=sys.stderr)


def explain(text: str, project: Path) -> str:
    """Return a sentence about what stopped chalice."""
    *_, reason = text.strip().splitlines() or ["no reason given"]
    lines = re.findall(rf'File "{re.escape(str(project))}/(\S+)", line (\d+)', text)
    if lines:
        return f"eventsapp/{lines[-1][0]}, line {lines[-1][1]}, stops chalice ({reason}): correct it."
    if "Could not satisfy the requirement" in reason or "PackageDownloadError" in text:
        return f"pip cannot download what eventsapp/requirements.txt needs ({reason}): is the package index reachable?"
    return f"chalice stopped ({reason}): run `chalice package` in eventsapp to see all of its output."


# After packaging: the output


def add_bytecode(package: Path) -> None:
    """Add each module's bytecode to a zip, for this version of Python. Python then compiles nothing at a cold start.

    The bytecode is the same for the same sources: it has a digest of its source in place of a time (PEP 552). Python
    uses it without a look at the source, and so does not notice a source that somebody changes in the zip. All files
    get one mode, whatever the umask of this machine is.
    """
    with tempfile.TemporaryDirectory(dir=package.parent, prefix="bytecode-") as folder:
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".py")])
        # Without columns, the compressed bytecode is a quarter smaller. Tracebacks still have the lines.
        command = [sys.executable, "-I", "-X", "no_debug_ranges", "-m", "compileall", "-q"]
        command += ["--invalidation-mode", "unchecked-hash"]
        # Tracebacks name the files as Lambda does.
        command += ["-s", folder, "-p", "/var/task", folder]
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if process.returncode:
            reason = " ".join(process.stdout.split())
            raise PackageError(f"a module in the zip is not valid Python ({reason}): correct it.")
        with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(folder).rglob("*.pyc")):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # its time is 1980, in each build
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
            for entry in archive.infolist():
                entry.external_attr = READABLE


def check(built: Path, project: Path) -> None:
    """Raise PackageError unless the zip has exactly the files that the generated Terraform's functions need."""
    target = target_of(json.loads((built / "chalice.tf.json").read_text()))
    with zipfile.ZipFile(built / "deployment.zip") as archive:
        names = archive.namelist()
        contents = {name: archive.read(name) for name in names}
    app_files = expected_app_files(project)
    for name, content in app_files.items():
        if contents.get(name) != content:
            difference = "is not the project's file" if name in contents else "is missing"
            raise PackageError(f"{name} {difference} in the zip: run `make package` again.")
    wheel_files = check_wheels(contents, read_requirements(project / "requirements.txt"), target)
    bytecode_files = check_bytecode(contents, set(app_files) | wheel_files, target)
    unexpected = sorted(set(contents) - set(app_files) - wheel_files - bytecode_files)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if unexpected or repeated:
        listed = ", ".join([*unexpected, *repeated][:5])
        raise PackageError(
            f"the zip has files that neither the app nor a requirement needs, or has them twice: {listed}. Remove the "
            "requirement that brings them."
        )


def check_bytecode(contents: Contents, files: set[str], target: Target) -> set[str]:
    """Return the bytecode files of the modules. Raises PackageError unless each has one, for the target's Python."""
    names = set()
    for module in sorted(name for name in files if name.endswith(".py")):
        folder, _, name = module.rpartition("/")
        bytecode = f"{folder}/__pycache__/".lstrip("/") + name.replace(".py", f".cpython-3{target.python_minor}.pyc")
        if bytecode not in contents:
            raise PackageError(f"{bytecode} is missing in the zip: run `make package` with {target}.")
        header = MAGIC_NUMBER + UNCHECKED_HASH + source_hash(contents[module])
        if not contents[bytecode].startswith(header):
            raise PackageError(f"{bytecode} is not the bytecode of {module} in the zip: run `make package` again.")
        names.add(bytecode)
    return names


def target_of(terraform: dict[str, Any]) -> Target:
    """Return what the functions of the generated Terraform run on. Raises PackageError."""
    functions = terraform["resource"]["aws_lambda_function"].values()
    targets = {(function["runtime"], *function.get("architectures", ["x86_64"])) for function in functions}
    if len(targets) != 1:
        raise PackageError(f"the functions have one zip, but run on {sorted(targets)}: give them one runtime.")
    ((runtime, architecture),) = targets
    return Target(int(runtime.removeprefix("python3.")), MACHINES[architecture])


def expected_app_files(project: Path) -> dict[str, bytes]:
    """Return the files of the app and of chalice, by their names in the zip."""
    paths = [project / "app.py", *(project / "chalicelib").rglob("*.py")]
    files = {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}
    chalice = distribution("chalice")
    return files | {name: Path(str(chalice.locate_file(name))).read_bytes() for name in CHALICE_FILES}


if __name__ == "__main__":
    main()

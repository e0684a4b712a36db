"""Writes terraform/requirements-package.txt, for `make lock`, and downloads its wheels, for `make release`.

Both need the package index. The file has the exact versions of all packages that `make release` installs, and the
SHA-256 of each wheel that it may use: for each Python version and architecture that functions can have.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "terraform" / "requirements-package.txt"
SHIPPED = ROOT / "eventsapp" / "requirements.txt"
TOOLS = ("chalice", "packaging")  # what package.py needs; requirements-dev.txt has their versions
HEADER = """\
# What `make release` installs: chalice, the packages of eventsapp/requirements.txt, and the packages that these need.
# `make lock` writes this file. Each hash is of a wheel on PyPI.
"""


class Machine(NamedTuple):
    """A Python version and an architecture."""

    python_minor: int
    name: str

    def pip_options(self) -> list[str]:
        """Return pip's options for wheels of this machine."""
        platforms = [f"manylinux{version}_{self.name}" for version in ("_2_28", "_2_17", "2014")]
        options = ["--python-version", f"3.{self.python_minor}", "--only-binary", ":all:"]
        return options + [option for platform in platforms for option in ("--platform", platform)]


NAMES = ("x86_64", "aarch64")
MACHINES = [Machine(minor, name) for minor in (13, 11, 12, 14) for name in NAMES]


def wanted() -> list[str]:
    """Return the requirements whose versions people choose."""
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    tools = [line.split()[0] for line in lines if line.startswith(tuple(f"{tool}==" for tool in TOOLS))]
    shipped = [line.partition("#")[0].strip() for line in SHIPPED.read_text(encoding="utf-8").splitlines()]
    return tools + [line for line in shipped if line]


def resolve(machine: Machine, requirements: list[str], versions: dict[str, str]) -> list[dict[str, str]]:
    """Return name, version and sha256 of each wheel for a machine. The versions found before are kept."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
        command += ["--report", "-"]
        command += [*machine.pip_options(), "--target", folder, "--constraint", str(constraints), *requirements]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [
        {
            "name": package["metadata"]["name"].lower().replace("_", "-"),
            "version": package["metadata"]["version"],
            "sha256": package["download_info"]["archive_info"]["hashes"]["sha256"],
        }
        for package in report["install"]
    ]


def download(folder: str) -> None:
    """Download the wheels of the file for this Python, for both architectures. Their hashes must be in the file."""
    for name in NAMES:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--dest", folder, *Machine(sys.version_info.minor, name).pip_options()]
        if subprocess.run([*command, "--requirement", str(LOCKED)], stdout=sys.stderr, check=False).returncode:
            sys.exit(
                f"make: a package for {name} is not there, or has another hash than in {LOCKED.relative_to(ROOT)}. Did "
                "you change a version? Run make lock. If not, find out who changed the package."
            )


def lock() -> None:
    """Write the file, or leave the earlier one."""
    versions: dict[str, str] = {}
    hashes: dict[str, set[str]] = {}
    for machine in MACHINES:
        try:
            packages = resolve(machine, wanted(), versions)
        except subprocess.CalledProcessError:
            sys.exit(f"make lock: pip has no wheels for Python 3.{machine.python_minor} on {machine.name}: see above.")
        for package in packages:
            versions.setdefault(package["name"], package["version"])
            hashes.setdefault(package["name"], set()).add(package["sha256"])
    text = HEADER
    for name in sorted(versions):
        lines = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(hashes[name]))
        text += f"{name}=={versions[name]}{lines}\n"
    LOCKED.write_text(text, encoding="utf-8")
    print(f"Wrote {LOCKED.relative_to(ROOT)}: {len(versions)} packages.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        download(sys.argv[1])
    else:
        lock()

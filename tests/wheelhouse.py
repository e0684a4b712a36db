"""Wheels and source distributions for pip to find in a folder, so that a test of a package needs no index."""

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

BACKEND = '''
import pathlib

METADATA = """Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"""

def prepare_metadata_for_build_wheel(folder, settings=None):
    dist_info = pathlib.Path(folder, "{name}-{version}.dist-info")
    dist_info.mkdir()
    (dist_info / "METADATA").write_text(METADATA)
    (dist_info / "WHEEL").write_text("Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    return dist_info.name

def build_wheel(folder, settings=None, metadata=None):
    raise SystemExit("this machine has no compiler")
'''


def find_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let pip find distributions in a folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def write_wheel(  # pylint: disable=too-many-arguments  # a wheel's name has three parts, and it has contents
    folder: Path, name: str, version: str, *, tag: str, files: tuple[str, ...], requires: tuple[str, ...] = (),
    prefix: str = "#",
) -> None:
    """Write a wheel with some files. The content of each is a prefix and its name."""
    dist_info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    contents = {path: f"{prefix} {path}\n" for path in files}
    contents[f"{dist_info}/METADATA"] = "\n".join(metadata) + "\n"
    contents[f"{dist_info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n"
    record = [f"{path},{digest(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{dist_info}/RECORD"] = "\n".join([*record, f"{dist_info}/RECORD,,"]) + "\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)


def write_sdist(folder: Path, name: str, version: str) -> None:
    """Write a source distribution that cannot be built."""
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "pyproject.toml": pyproject,
        "backend.py": BACKEND.format(name=name, version=version),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def digest(text: str) -> str:
    """Return a file's digest as a wheel's record has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

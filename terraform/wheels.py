"""Checks the wheels in a zip: each one that the requirements need is there, complete, and made for the target."""

import base64
import csv
import hashlib
import re
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag
from packaging.utils import canonicalize_name

Contents = dict[str, bytes]  # of a zip, by name


class PackageError(Exception):
    """Raised when a package would be incomplete or wrong; says what is missing and what to do."""


class Target(NamedTuple):
    """What the functions of a stage run on."""

    python_minor: int  # of Python 3
    machine: str  # as wheels name it

    def __str__(self) -> str:
        return f"Python 3.{self.python_minor} on {self.machine}"

    def markers(self, extra: str) -> dict[str, str]:
        """Return the values of environment markers (PEP 508)."""
        version = f"3.{self.python_minor}"
        return {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{version}.0",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": self.machine,
            "extra": extra,
        }

    def supports(self, tag: Tag) -> bool:
        """Tell whether a wheel with a tag runs here. A linux_* wheel was built for one machine's own libraries."""
        abi = f"cp3{self.python_minor}"
        version = (3, self.python_minor)
        supported = [*cpython_tags(version, [abi], ["any"]), *compatible_tags(version, abi, ["any"])]
        is_for_platform = tag.platform == "any" or re.fullmatch(f"manylinux.*_{self.machine}", tag.platform)
        return bool(is_for_platform) and (tag.interpreter, tag.abi) in {(t.interpreter, t.abi) for t in supported}


def read_requirements(path: Path) -> list[Requirement]:
    """Return the requirements of a file. Raises PackageError."""
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text().splitlines()]
    try:
        requirements = [Requirement(line) for line in lines if line]
    except InvalidRequirement as exc:
        reason = str(exc).splitlines()[0]
        raise PackageError(f"eventsapp/requirements.txt: {reason}: write one `name==version` in each line.") from exc
    if "chalice" in {canonicalize_name(requirement.name) for requirement in requirements}:
        raise PackageError("eventsapp/requirements.txt names chalice: remove it; chalice adds its own two files.")
    return requirements


def check_wheels(contents: Contents, requirements: list[Requirement], target: Target) -> set[str]:
    """Return the files of the wheels for the requirements and for their own requirements. Raises PackageError."""
    wheels = {canonicalize_name(folder.split("-")[0]): folder for folder in dist_info_folders(contents)}
    files: set[str] = set()
    pending = [(requirement, {""}) for requirement in requirements]
    seen = set()
    while pending:
        requirement, extras = pending.pop()
        if requirement.marker and not any(requirement.marker.evaluate(target.markers(extra)) for extra in extras):
            continue
        name = canonicalize_name(requirement.name)
        if name not in wheels:
            raise PackageError(
                f"{name} is missing in the zip, because pip found no wheel of {requirement} for {target}: check that "
                "the package index is reachable and has such a wheel, then run `make package` again."
            )
        own_extras = requirement.extras | {""}
        if (name, frozenset(own_extras)) in seen:
            continue
        seen.add((name, frozenset(own_extras)))
        files |= check_wheel(contents, wheels[name], target)
        metadata = Parser().parsestr(contents[f"{wheels[name]}/METADATA"].decode())
        if not requirement.specifier.contains(metadata["Version"], prereleases=True):
            raise PackageError(f"the zip has {name} {metadata['Version']}, but {requirement} is needed: correct it.")
        pending += [(Requirement(line), own_extras) for line in metadata.get_all("Requires-Dist", [])]
    return files


def dist_info_folders(contents: Contents) -> set[str]:
    """Return the folders of the wheels' metadata."""
    return {name.split("/")[0] for name in contents if re.match(r"[^/]+\.dist-info/", name)}


def check_wheel(contents: Contents, dist_info: str, target: Target) -> set[str]:
    """Return the files that a wheel's own record lists. Raises PackageError unless they are in the zip, unchanged."""
    wheel = dist_info.removesuffix(".dist-info")
    for name in ("WHEEL", "METADATA", "RECORD"):
        if f"{dist_info}/{name}" not in contents:
            raise PackageError(f"{dist_info}/{name} is missing in the zip: run `make package` again.")
    tags = Parser().parsestr(contents[f"{dist_info}/WHEEL"].decode()).get_all("Tag", [])
    if not any(target.supports(tag) for line in tags for tag in parse_tag(line)):
        is_compiled_here = any("-linux_" in line for line in tags)
        raise PackageError(
            f"{wheel} is made for {', '.join(tags)}, but the functions run on {target}"
            f"{', without the libraries of this machine' if is_compiled_here else ''}: check that the package index "
            "has a wheel for it, then run `make package` again."
        )
    files = set()
    for path, digest, *_ in csv.reader(contents[f"{dist_info}/RECORD"].decode().splitlines()):
        name = re.sub(r"^[^/]+\.data/(?:pure|plat)lib/", "", path)  # chalice installs these two
        algorithm, _, expected = digest.partition("=")
        if name not in contents:
            raise PackageError(f"{name} of {wheel} is missing in the zip: run `make package` again.")
        if expected and expected != digest_of(contents[name], algorithm):
            raise PackageError(f"{name} of {wheel} is damaged in the zip: run `make package` again.")
        if ".cpython-" in name and not name.endswith(f".cpython-3{target.python_minor}-{target.machine}-linux-gnu.so"):
            raise PackageError(f"{name} does not run on {target}: name a release of {wheel} that has a wheel for it.")
        files.add(name)
    return files


def digest_of(content: bytes, algorithm: str) -> str:
    """Return a digest as a wheel's record has it."""
    return base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()

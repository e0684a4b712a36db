"""Builds what `make bench` measures in build/bench, as Lambda unpacks it. boto3 is in a separate folder."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from processes import ROOT

sys.path.append(str(ROOT / "terraform"))

from package import package_app  # pylint: disable=wrong-import-position  # after the path to it

BUILD = ROOT / "build" / "bench"
RUNTIME = BUILD / "runtime"  # the packages of Lambda's runtime
HANDLERS = Path(__file__).parent / "handlers"
MAX_ZIP_BYTES = 460 * 1024
PEERS = {
    "fastapi_mangum": ("FastAPI with Mangum", ["fastapi==0.165.0", "mangum==0.22.0"]),
    "powertools": ("Powertools' resolver", ["aws-lambda-powertools==3.37.0"]),
}


class Contestant(NamedTuple):
    """A handler to measure: the folder of its zip, its module and its function."""

    title: str
    folder: Path
    module: str
    function: str


def package(folder: Path, stage: str) -> Path:
    """Package a stage into a folder without the corrections of `make package`, and return the folder."""
    return package_app(ROOT / "eventsapp", stage, folder)


def build(peers: bool) -> list[Contestant]:
    """Build the app, the bare handler and boto3, and with `peers` the handlers that use other frameworks."""
    shutil.rmtree(BUILD, ignore_errors=True)
    lines = (ROOT / "requirements-dev.txt").read_text().split()
    install(RUNTIME, [line for line in lines if line.startswith("boto3==")])
    contestants = [build_app(), build_bare()]
    if peers:
        contestants += [build_peer(module, title, packages) for module, (title, packages) in PEERS.items()]
    return contestants


def build_app() -> Contestant:
    """Package the app and unpack its zip."""
    with zipfile.ZipFile(package(BUILD / "package", "dev") / "deployment.zip") as archive:
        archive.extractall(BUILD / "app")
    return Contestant("app", BUILD / "app", "app", "app")


def build_bare() -> Contestant:
    """Copy the bare handler. It has no bytecode, as when a person uploads one file."""
    (BUILD / "bare").mkdir(parents=True)
    shutil.copy(HANDLERS / "bare.py", BUILD / "bare")
    return Contestant("bare handler", BUILD / "bare", "bare", "handler")


def build_peer(module: str, title: str, packages: list[str]) -> Contestant:
    """Install a framework into a folder of its own, next to the handler that uses it."""
    folder = BUILD / module
    install(folder, packages)
    for name in ("bare.py", f"{module}.py"):
        shutil.copy(HANDLERS / name, folder)
    return Contestant(title, folder, module, "handler")


def install(folder: Path, packages: list[str]) -> None:
    """Install packages into a folder."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *packages]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

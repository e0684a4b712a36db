"""Programs that some tests run, each group in a virtual environment of its own under build/."""

import fcntl
import shutil
import sys
from pathlib import Path

from processes import ROOT
from roots import run


def programs(name: str, project: Path = ROOT) -> Path:
    """Install tests/requirements-<name>.txt, if it is not installed yet, and return the folder of its programs."""
    home, wanted = project / "build" / name, project / "tests" / f"requirements-{name}.txt"
    installed = home / "installed.txt"
    home.parent.mkdir(exist_ok=True)
    with (home.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests of several workers may need it at once
        if not installed.exists() or installed.read_text(encoding="utf-8") != wanted.read_text(encoding="utf-8"):
            run(sys.executable, "-m", "venv", "--clear", home, cwd=project)
            # --no-compile: most programs import few of their modules, so compiling all of them takes needless time.
            run(home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "-r", wanted, cwd=project)
            shutil.copyfile(wanted, installed)
    return home / "bin"

"""Tell whether the package is of these sources: `make package` records their digest, `make plan` compares it.

It uses only the standard library, because the job that deploys a stage installs no packages.
"""

import hashlib
import json
import sys
from pathlib import Path

TERRAFORM = Path(__file__).resolve().parent
PROJECT = TERRAFORM.parent
RECORD = "sources.sha256"  # the digest, in the folder of a package
PATTERNS = (
    "eventsapp/app.py",
    "eventsapp/chalicelib/**/*",
    "eventsapp/vendor/**/*",
    "eventsapp/.chalice/*.json",
    "eventsapp/requirements.txt",
    "requirements-dev.txt",  # the versions of chalice and msgspec
    "terraform/requirements-package.txt",
    "terraform/*.py",
    "terraform/merge/**/*.py",
)


def digest() -> str:
    """Return one SHA-256 of the names and contents of all files that determine a package."""
    files = {path for pattern in PATTERNS for path in PROJECT.glob(pattern) if path.is_file()}
    total = hashlib.sha256()
    for path in sorted(files):
        if "__pycache__" not in path.parts:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(PROJECT).as_posix()} {content}\n".encode())
    return total.hexdigest()


def main(stage: str) -> None:
    """Exit with a sentence unless the package is of these sources."""
    remedy = f"run `make package STAGE={stage}`."
    try:
        packaged = json.loads((TERRAFORM / "chalice.tf.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.exit(f"make plan: nothing is packaged: {remedy}")
    if packaged["locals"].get("packaged_sources") != digest():
        sys.exit(f"make plan: the package in terraform/ does not match the current code: {remedy}")


if __name__ == "__main__":
    main(sys.argv[1])

"""Copies a stage's package from build/release to terraform/: `make use-release` runs this.

The digest comes from the job that built the release, not from the files themselves. So a job that changes the files
afterwards is noticed. It uses only the standard library, because the jobs with AWS credentials install no packages.
"""

import hashlib
import re
import sys
from pathlib import Path

from check_package import STAGES, Refused, check

TERRAFORM = Path(__file__).resolve().parent
RELEASE = TERRAFORM.parent / "build" / "release"
ZIP, SUMS = "deployment.zip", "SHA256SUMS"


def description_of(stage: str) -> str:
    """Return the name of a stage's Terraform in a release."""
    return f"chalice-{stage}.tf.json"


def read_release(release: Path, stage: str, digest: str) -> tuple[bytes, bytes]:
    """Return the Terraform and the zip of a stage. Raises Refused unless both are those of the digest."""
    try:
        sums = (release / SUMS).read_bytes()
        description, zipped = ((release / name).read_bytes() for name in (description_of(stage), ZIP))
    except FileNotFoundError as exc:
        raise Refused(f"{exc.filename} is missing") from exc
    if hashlib.sha256(sums).hexdigest() != digest:
        raise Refused(f"{SUMS} has another SHA-256 than the release that was built")
    expected = {name: total for total, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", sums.decode("ascii"), re.M)}
    for name, content in ((description_of(stage), description), (ZIP, zipped)):
        if hashlib.sha256(content).hexdigest() != expected.get(name):
            raise Refused(f"{name} has another SHA-256 than {SUMS} says")
    check(description, stage)
    return description, zipped


def main(stage: str, digest: str) -> None:
    """Copy the package. On an error, print one sentence and leave no package."""
    targets = (TERRAFORM / "chalice.tf.json", TERRAFORM / ZIP)
    for target in targets:
        target.unlink(missing_ok=True)
    if stage not in STAGES:
        sys.exit(f"make use-release: there is no stage {stage}; the stages are {', '.join(STAGES)}.")
    try:
        contents = read_release(RELEASE, stage, digest)
    except Refused as exc:
        sys.exit(f"make use-release: the release is refused: {exc}. Do not deploy it: find out who changed it.")
    for target, content in zip(targets, contents, strict=True):
        target.write_bytes(content)
    sha256 = hashlib.sha256(contents[1]).hexdigest()
    print(f"The package of {stage} is in terraform/. The SHA-256 of its zip is {sha256}.")


if __name__ == "__main__":
    main(*sys.argv[1:3])

"""Correct what chalice packaged: build/package -> terraform/chalice.tf.json and deployment.zip (`make package`)."""

import json
import shutil
import sys
from pathlib import Path

import sources

from . import swagger_steps, terraform_steps
from .document import Json, Unexpected, find

TERRAFORM = Path(__file__).resolve().parent.parent
PACKAGE = TERRAFORM.parent / "build" / "package"


def merge(document: Json) -> Json:
    """Return chalice's Terraform with all corrections. Raises Unexpected."""
    document = json.loads(json.dumps(document))
    stage = terraform_steps.packaged_stage(document)
    for step in terraform_steps.STEPS:
        step(document)
    swagger = json.loads(find(document, *terraform_steps.SWAGGER))
    for step in swagger_steps.STEPS:
        step(swagger)
    # This reference is a number, so it has no quotes.
    number = swagger_steps.CACHE_SECONDS
    text = json.dumps(swagger, sort_keys=True).replace(json.dumps(number), number)
    document["locals"] = {"chalice_api_swagger": text, "packaged_stage": stage}
    return document


def write(source: Path, destination: Path) -> str:
    """Correct chalice's folder into another folder. Return its stage. Raises Unexpected."""
    merged = merge(json.loads((source / "chalice.tf.json").read_text("utf-8")))
    merged["locals"]["packaged_sources"] = (source / sources.RECORD).read_text("ascii")
    (destination / "chalice.tf.json").write_text(json.dumps(merged, indent=2, sort_keys=True) + "\n", "utf-8")
    shutil.copyfile(source / "deployment.zip", destination / "deployment.zip")
    return merged["locals"]["packaged_stage"]


def main() -> None:
    """Write the corrected files, or print a sentence and write nothing."""
    try:
        stage = write(PACKAGE, TERRAFORM)
    except Unexpected as exc:
        sys.exit(f"make package: {exc}: {exc.remedy}.")
    except (FileNotFoundError, ValueError) as exc:
        sys.exit(f"make package: build/package is not what chalice writes ({exc}): run `make package` again.")
    size = (TERRAFORM / "deployment.zip").stat().st_size // 1024
    print(f"Packaged stage {stage}: terraform/chalice.tf.json and terraform/deployment.zip ({size} KiB).")


if __name__ == "__main__":
    main()

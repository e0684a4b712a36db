"""A deployment that fails is reported once, however many tests need it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from processes import ROOT

TERRAFORM = """#!/bin/sh
echo "Error: the provider says no" >&2
exit 1
"""


def test_failed_deployment_is_reported_once(tmp_path: Path) -> None:
    """The first test that needs the stage has the reason; the others are skipped in one line, and the run fails."""
    terraform = tmp_path / "bin" / "terraform"
    terraform.parent.mkdir()
    terraform.write_text(TERRAFORM)
    terraform.chmod(0o755)
    environment = {**os.environ, "PATH": f"{terraform.parent}:{os.environ['PATH']}"}
    environment.pop("CI", None)  # pytest's summary repeats whole errors where this is set
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/deployed"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout.count("Error: the provider says no") <= 2  # in the report, and in pytest's summary
    (skipped,) = re.findall(r"^SKIPPED \[(\d+)\] .*the stage was not deployed", run.stdout, re.M)
    assert re.search(rf"^{skipped} skipped, 1 error in ", run.stdout, re.M), run.stdout
    assert int(skipped) > 100 and len(run.stdout.splitlines()) < 40

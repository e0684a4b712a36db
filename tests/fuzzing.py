"""Runs schemathesis: it makes requests from docs/openapi.json and checks that the API does what the document says."""

import os
import re
import subprocess

from processes import ROOT
from tools import programs


def fuzz(url: str, token: str, *options: str) -> int:
    """Send made-up requests to an API and return their number. Fail with schemathesis' report if a check fails.

    The requests are the same each time.
    """
    command = [
        programs("clients") / "schemathesis", "--config-file", ROOT / "tests" / "fuzzing.toml", "run",
        ROOT / "docs" / "openapi.json", "--url", url, "--header", f"Authorization: Bearer {token}",
        "--generation-deterministic", "--no-color", *options,
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "fuzzing_checks", "PYTHONPATH": str(ROOT / "tests")}
    result = subprocess.run(
        command, cwd=ROOT / "build", env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    sent = re.search(r"(\d+) generated", result.stdout)
    assert sent, result.stdout[-2000:]
    return int(sent[1])

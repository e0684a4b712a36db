"""`make bench` measures the app and the bare handler."""

import os
import re
import subprocess
import sys

from bench.__main__ import WANTED
from processes import ROOT


def test_bench_prints_each_figure() -> None:
    """One round over TLS gives a table with a ratio for each figure."""
    environment = os.environ | {"ROUNDS": "1", "TLS": "1", "PYTHONPATH": "tests"}
    command = [sys.executable, "-m", "bench"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    rows = re.findall(r"^\|([a-zA-Z ]+)\|([\d.]+ \w+)\|([\d.]+ \w+)\|(\d\.\d\d)\|\d\.\d\d\|$", result.stdout, re.M)
    names = list(WANTED)
    assert [row[0] for row in rows] == names
    assert all(float(row[3]) > 0 for row in rows), result.stdout

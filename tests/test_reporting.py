"""What a failure prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from processes import ROOT
from roots import make

FAILING = """
import pytest

@pytest.fixture(scope="module")
def server():
    print("line of the log\\n" * 5000)
    raise RuntimeError("x" * 20_000 + " the %s does not start" % "server")

@pytest.mark.parametrize("n", range(50))
def test_needs_the_server(server, n):
    pass

@pytest.fixture
def table():
    raise OSError("no table")

@pytest.mark.parametrize("n", range(50))
def test_needs_a_table(table, n):
    pass

@pytest.mark.parametrize("n", range(20))
def test_calls(n):
    raise OSError("no %s" % "server")

def test_prints():
    assert not "y" * 50_000 + "\\n" * 5000, "z\\n" * 5000
"""


def test_one_cause_is_reported_once_and_no_failure_is_endless(tmp_path: Path) -> None:
    """Many tests on a failed fixture are one error; a failure prints its beginning and its end."""
    (tmp_path / "test_failing.py").write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-p", "reporting", "-p", "no:cacheprovider", "-ra", "test_failing.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("CI", None)  # pytest's summary repeats whole errors where this is set
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "21 failed, 98 skipped, 2 errors" in ran.stdout
    assert ran.stdout.count("the server does not start") == 1
    assert ran.stdout.count("OSError: no server") == 2  # in full, and in the summary
    assert "SKIPPED [49] test_failing.py: A fixture failed, as test_failing.py::test_needs_the_server[0]" in ran.stdout
    assert len(ran.stdout) < 40_000


def test_failed_run_leaves_no_coverage_files(tmp_path: Path) -> None:
    """`make test` removes what coverage wrote, whether the tests pass or not."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("eventsapp", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "eventsapp" / "app.py").write_text("")
    (tmp_path / "tests" / "test_failing.py").write_text("import app\n\ndef test_fails():\n    assert app is None\n")
    ran = make(tmp_path, "test", "WORKERS=1", check=False)
    assert ran.returncode != 0 and "1 failed" in ran.stdout
    assert [path.name for path in tmp_path.rglob("*") if "coverage" in path.name or path.name == "data"] == []

"""docs/openapi.json, used by other tools: a fuzzer, a linter and generated clients."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from chalicelib import problem
from chalicelib.media_types import JSON
from fuzzing import fuzz
from processes import ROOT, LocalProcess
from tools import programs

CLIENTS = ROOT / "tests" / "clients"
DOCUMENT = ROOT / "docs" / "openapi.json"


def test_api_does_what_the_document_says(local_process: LocalProcess) -> None:
    """No request that schemathesis makes from the document gets a response that the document does not describe."""
    assert fuzz(local_process.url, local_process.token, "--max-examples", "3") > 200


def expected(name: str) -> dict[str, Any]:
    """Return what a client must print: it posts an event, alone and as a batch, lists it, reads it, and misses one."""
    return {
        "statuses": [201, 207, 200, 200, 404],
        "listed": [f"{name}-1"],
        "read": {"total": 42.5},
        "problem": problem.EventNotFound().body(None)["type"],
    }


def output(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints. Fail with its messages if it fails."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


def test_python_client(local_process: LocalProcess, tmp_path: Path) -> None:
    """A Python client that openapi-python-client generates posts, lists and reads an event."""
    tools = programs("clients")
    (tmp_path / "settings.yml").write_text("post_hooks: []\n")  # the generated code is not formatted
    document = json.loads(DOCUMENT.read_text())
    # Its code for several media types fails if a body can be an array: isinstance() accepts no list[...].
    content = document["paths"]["/events"]["post"]["requestBody"]["content"]
    document["paths"]["/events"]["post"]["requestBody"]["content"] = {JSON: content[JSON]}
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    made = output(
        tools / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "event_api_client",
        "--meta", "none", "--config", "settings.yml", "--fail-on-warning", cwd=tmp_path,
    )  # fmt: skip
    assert "Warning" not in made
    shutil.copy(CLIENTS / "client.py", tmp_path)
    printed = output(tools / "python", "client.py", local_process.url, local_process.token, cwd=tmp_path)
    assert json.loads(printed) == expected("python")


@pytest.fixture(scope="module", name="node_modules")
def _node_modules() -> Path:
    """Install tests/clients/package-lock.json into build/node, if it is not installed yet, and return its programs."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not on the PATH: install Node.js 20 or newer to test the TypeScript client")
    home = ROOT / "build" / "node"
    installed, wanted = home / "installed.json", (CLIENTS / "package-lock.json").read_text()
    if not installed.exists() or installed.read_text() != wanted:
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENTS / name, home)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        result = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=600)
        if re.search("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT", result.stderr):
            pytest.skip("npm cannot reach its registry: the TypeScript client is not tested")
        assert result.returncode == 0, result.stderr[-4000:]
        installed.write_text(wanted)
    return home / "node_modules"


def test_typescript_client(local_process: LocalProcess, node_modules: Path, tmp_path: Path) -> None:
    """A TypeScript client with the types of openapi-typescript compiles, and posts, lists and reads an event."""
    programs_of_node = node_modules / ".bin"
    (tmp_path / "node_modules").symlink_to(node_modules)
    for name in ("package.json", "client.ts"):
        shutil.copy(CLIENTS / name, tmp_path)
    output(programs_of_node / "openapi-typescript", DOCUMENT, "--output", "schema.d.ts", cwd=tmp_path)
    options = ("--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    output(programs_of_node / "tsc", *options, "client.ts", cwd=tmp_path)
    printed = output("node", "client.js", local_process.url, local_process.token, cwd=tmp_path)
    assert json.loads(printed) == expected("typescript")


def test_linter_of_the_document_has_no_finding(node_modules: Path) -> None:
    """Redocly's linter reports nothing. With the rules `recommended-strict`, each warning is an error."""
    environment = {**os.environ, "REDOCLY_TELEMETRY": "off"}
    command = [node_modules / ".bin" / "redocly", "lint", DOCUMENT, "--config", CLIENTS / "redocly.yaml"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

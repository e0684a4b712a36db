"""Tests of the zip for Lambda: its content and size. It must run with only the boto3 of Lambda's runtime."""

import json
import marshal
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
from bench.contestants import MAX_ZIP_BYTES, package
from bench.lambda_events import gateway_event
from bench.stub import DynamoDBStub
from processes import ROOT

PROBE = '''
import json, sys
sys.path[:0] = sys.argv[1:3]
sys.dont_write_bytecode = True
import app
class Context: aws_request_id = "6f8a2f1c"
responses = [app.app(event, Context) for event in json.load(sys.stdin)]
files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
print(json.dumps([responses, files]))
'''


@pytest.fixture(scope="module", name="deployment_zip")
def fixture_deployment_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the zip of the stage prod."""
    return package(tmp_path_factory.mktemp("package") / "package", "prod") / "deployment.zip"


@pytest.fixture(scope="module", name="runtime")
def fixture_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with only boto3 and its requirements, as Lambda's runtime has them."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in with_requirements("boto3"):
        files = distribution(name).files
        for top in {file.parts[0] for file in files if file.parts[0] != ".."}:
            if not top.endswith((".dist-info", "__pycache__")):
                (folder / top).symlink_to(files[0].locate().parents[len(files[0].parts) - 1] / top)
    return folder


def with_requirements(name: str) -> set[str]:
    """Return the names of a distribution and of all its requirements, without extras."""
    names, wanted = set(), [name]
    while wanted:
        name = wanted.pop()
        if name not in names:
            names.add(name)
            required = [line for line in distribution(name).requires or [] if "extra ==" not in line]
            wanted += [re.match(r"[\w.-]+", line).group() for line in required]
    return names


@pytest.fixture(scope="module", name="endpoint")
def fixture_endpoint() -> Iterator[str]:
    """Serve the DynamoDB stub of the benchmark."""
    with ThreadingHTTPServer(("127.0.0.1", 0), DynamoDBStub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(code: Path, runtime: Path, endpoint: str, *events: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the handler in a new process with only its code, the runtime's folder and the standard library."""
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": "event-api-prod",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "ap-southeast-1",
        "AWS_DEFAULT_REGION": "ap-southeast-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "TABLE_NAME": "events",
        "TOKEN_TABLE_NAME": "tokens",
        "RETENTION_DAYS": "0",
    }
    command = [sys.executable, "-I", "-S", "-c", PROBE, str(code), str(runtime)]
    text = json.dumps(events)
    return subprocess.run(command, env=environment, input=text, check=False, capture_output=True, text=True)


def test_zip_contains_only_the_code_that_runs(deployment_zip: Path) -> None:
    """The zip contains the app, two files of chalice, the wheels of requirements.txt, and the bytecode of these."""
    wheels = {line.split("==")[0] for line in (ROOT / "eventsapp" / "requirements.txt").read_text().split()}
    with zipfile.ZipFile(deployment_zip) as archive:
        names = set(archive.namelist())
    ours = {f"chalicelib/{path.name}" for path in (ROOT / "eventsapp" / "chalicelib").glob("*.py")} | {"app.py"}
    chalice = {"chalice/__init__.py", "chalice/app.py"}
    assert ours | chalice <= names
    bytecode = {name for name in names if name.endswith(".pyc")}
    assert bytecode == {cache_from_source(name) for name in names if name.endswith(".py")}
    rest = {re.sub(r"-[\d.]+\.dist-info$", "", name.split("/", 1)[0]) for name in names - ours - chalice - bytecode}
    assert rest == wheels


def test_python_runs_the_bytecode(deployment_zip: Path, runtime: Path, endpoint: str, tmp_path: Path) -> None:
    """Python runs the bytecode in the zip and compiles no source. Tracebacks name the files as Lambda does."""
    with zipfile.ZipFile(deployment_zip) as archive:
        archive.extractall(tmp_path)
    for path in tmp_path.rglob("*.py"):
        path.write_text("raise RuntimeError('Python compiled the source')\n")
    result = run(tmp_path, runtime, endpoint, gateway_event("GET", "/events/{event_id}", {"event_id": "a"}, None))
    assert (result.returncode, result.stderr) == (0, "")
    ((response,), _) = json.loads(result.stdout.splitlines()[-1])  # before it is the audit log
    assert response["statusCode"] == 200
    code = marshal.loads((tmp_path / cache_from_source("chalicelib/event.py")).read_bytes()[16:])
    assert code.co_filename == "/var/task/chalicelib/event.py"


def test_zip_is_small(deployment_zip: Path) -> None:
    """The zip is below the size limit, because each cold start downloads it."""
    assert deployment_zip.stat().st_size <= MAX_ZIP_BYTES


def test_zip_runs_with_only_boto3(
    deployment_zip: Path, runtime: Path, endpoint: str, tmp_path: Path
) -> None:
    """The unpacked zip handles a POST and a GET. It uses only its own code and the runtime's packages."""
    code = tmp_path / "code"
    with zipfile.ZipFile(deployment_zip) as archive:
        archive.extractall(code)
    body = json.dumps({"id": "order-1001", "type": "order.paid", "payload": {"total": 42.50}})
    result = run(
        code,
        runtime,
        endpoint,
        gateway_event("POST", "/events", None, body),
        gateway_event("GET", "/events/{event_id}", {"event_id": "order-1001"}, None),
    )
    assert (result.returncode, result.stderr) == (0, "")
    (post, get), files = json.loads(result.stdout.splitlines()[-1])  # before it is the audit log
    assert (post["statusCode"], post["headers"]["Location"]) == (201, "/prod/events/order-1001")
    stored = DynamoDBStub.ITEM
    assert (get["statusCode"], json.loads(get["body"])) == (200, {
        "id": "order-1001",
        "type": stored["type"]["S"],
        "created_at": stored["created_at"]["S"],
        "payload": json.loads(stored["payload"]["S"]),
    })  # fmt: skip
    beside = [str(code), str(runtime)]
    strange = [file for file in files if "site-packages" in file and not file.startswith(tuple(beside))]
    assert strange == []
    assert any(file.startswith(str(code / "chalice")) for file in files)


def test_zip_fails_without_the_runtime(deployment_zip: Path, endpoint: str, tmp_path: Path) -> None:
    """Without the runtime's folder, botocore is missing. So these tests use no packages of this machine."""
    code = tmp_path / "code"
    with zipfile.ZipFile(deployment_zip) as archive:
        archive.extractall(code)
    result = run(code, tmp_path, endpoint)
    assert result.returncode != 0
    assert result.stderr.endswith("No module named 'botocore'\n")

"""Fixtures for several test files. The AWS credentials are fake, so that no test can reach AWS."""

import http.client
import json
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A shell lets the commands that it runs in the background ignore Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SETTINGS = ("AUTH", "CORS_ORIGINS", "INDEX_SHARDS", "RETENTION_DAYS")
for name in [name for name in os.environ if name.startswith("AWS_") or name in SETTINGS]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="ap-southeast-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    TABLE_NAME="events",
    TOKEN_TABLE_NAME="tokens",
)

# pylint: disable=wrong-import-position  # these modules read the environment
import hypothesis
import pytest
from botocore.client import BaseClient
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

import app as event_api
import token_admin
from bench.contestants import package
from chalicelib.dynamodb import create_client
from chalicelib.signed_http import SignedHttp
from chalicelib.token import SCOPES
from conformance import DocumentedApi
from faulty_store import FaultyStore
from leaks import LeakDetector
from in_process import InProcessApi, aws_in_moto, tables_in_moto
from merge.__main__ import merge
from merge.swagger_steps import CACHE_SECONDS
from processes import LocalProcess, eventually
from targets import Api, UrlApi

# pylint: enable=wrong-import-position

pytest_plugins = ["reporting"]

hypothesis.settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    # A busy machine is slow. The fixtures keep no state from one example to the next.
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --url: the contract suite then tests this API and starts none."""
    parser.addoption("--url", help="base URL of a running API for tests/test_contract*.py")
    parser.addoption("--patience", type=float, default=30, help="seconds to wait for the API of --url (default: 30)")


class OneWorkerPerFile(LoadFileScheduling):  # pylint: disable=abstract-method  # xdist's own schedulers do the same
    """Runs all tests of a file in one worker. The tests of a subfolder share a deployment, so they share a worker."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return str(path if path.parent.name == "tests" else path.parent)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneWorkerPerFile:
    """Return the scheduler for xdist."""
    return OneWorkerPerFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Wait until the API of --url responds, because a new stage needs time. Stop the run if it does not."""
    url = config.getoption("--url")
    if url and not eventually(lambda: status(url) in (401, 403, 404), config.getoption("--patience")):
        pytest.exit(f"No Event API answers at {url}.", returncode=2)
    if url and status(url) != 404:
        pytest.exit(f"Set EVENT_API_TOKEN to a token that {url} takes, with both scopes.", returncode=2)


def url_api(url: str) -> UrlApi:
    """Return a client of the API at a URL, with the token of EVENT_API_TOKEN."""
    return UrlApi(url, os.environ.get("EVENT_API_TOKEN"))


def status(url: str) -> int | None:
    """Return the status of a GET with an invalid id, or None if no API responds."""
    try:
        return url_api(url).request("GET", "/events/-").status
    except (OSError, http.client.HTTPException):
        return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with `api` in process and on the local server, or only on the API of --url."""
    if "api" in metafunc.fixturenames:
        targets = ["url"] if metafunc.config.getoption("--url") else ["in_process_api", "local_api"]
        metafunc.parametrize("api", targets, indirect=True)


@pytest.fixture(name="_leak_detector", scope="session", autouse=True)
def _leak_detector_() -> Iterator[None]:
    """Assert that the app logs no token, secret or payload during the tests."""
    detector = LeakDetector()
    logging.getLogger().addHandler(detector)
    logging.getLogger("chalicelib.audit_log").setLevel(logging.INFO)  # as on Lambda
    yield
    logging.getLogger().removeHandler(detector)
    assert detector.found == []


@pytest.fixture(name="api", scope="module")
def _api(request: pytest.FixtureRequest) -> Api:
    """Return the API under test."""
    if request.param == "url":
        return url_api(request.config.getoption("--url"))
    return request.getfixturevalue(request.param)


@pytest.fixture(name="server", scope="session")
def _server(request: pytest.FixtureRequest) -> Api:
    """Return an API on a real HTTP server, for tests that need one."""
    url = request.config.getoption("--url")
    return url_api(url) if url else request.getfixturevalue("local_api")


@pytest.fixture(name="in_process_api", scope="module")
def _in_process_api() -> Iterator[Api]:
    """Return the app in this process with tables in moto and a token with both scopes. It follows docs/openapi.json."""
    with tables_in_moto() as client:
        token, _ = token_admin.TokenAdmin(client, "tokens").create("local", "test", frozenset(SCOPES), None)
        yield DocumentedApi(InProcessApi(event_api.app, token))


@pytest.fixture(name="recorder", scope="module")
def _recorder() -> Iterator[FaultyStore]:
    """Return a proxy in front of moto's AWS. It records the calls of DynamoDB."""
    store = FaultyStore(aws_in_moto())
    yield store
    store.close()


@pytest.fixture(name="client")
def _client(admin: BaseClient, recorder: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> SignedHttp:
    """Return the app's client of the recorded AWS. `admin` of the test's file has created the tables there."""
    del admin
    recorder.work()
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", recorder.url)
    return create_client()


@pytest.fixture(name="calls")
def _calls(recorder: FaultyStore) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls of DynamoDB that the test makes, with their parameters."""
    recorder.requests.clear()
    return recorder.requests


@pytest.fixture(name="data_dir")
def _data_dir(tmp_path: Path) -> Path:
    """Return a data folder for a local API. It does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(name="local_process", scope="session")
def _local_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    """Start the local API as `make run` does. Other tests measure its code: they start their own."""
    with LocalProcess(tmp_path_factory.mktemp("local"), is_measured=False) as running:
        yield running


@pytest.fixture(name="local_api", scope="session")
def _local_api(local_process: LocalProcess) -> Api:
    """Return the local API, with the token that it created."""
    return local_process.api


@pytest.fixture(name="chalice_package", scope="session")
def _chalice_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with chalice's package of the stage prod."""
    return package(tmp_path_factory.mktemp("chalice") / "package", "prod")


@pytest.fixture(name="chalice")
def _chalice(chalice_package: Path) -> dict[str, Any]:
    """Return chalice's Terraform before the corrections."""
    return json.loads((chalice_package / "chalice.tf.json").read_text())


@pytest.fixture(name="merged")
def _merged(chalice: dict[str, Any]) -> dict[str, Any]:
    """Return chalice's Terraform after the corrections."""
    return merge(chalice)


@pytest.fixture(name="swagger")
def _swagger(merged: dict[str, Any]) -> dict[str, Any]:
    """Return the corrected Swagger, with the cache time that Terraform puts into it."""
    template = merged["locals"]["chalice_api_swagger"]
    assert template.count(CACHE_SECONDS) == 1
    return json.loads(template.replace(f": {CACHE_SECONDS}", ": 300"))

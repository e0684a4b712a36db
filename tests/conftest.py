"""Fixtures that more than one test file needs. No test can reach AWS: credentials and region are pinned, and fake."""

import http.client
import logging
import os
from collections.abc import Iterator
from pathlib import Path

SETTINGS = ("AUTH", "CORS_ORIGINS", "RETENTION_DAYS")
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

# pylint: disable=wrong-import-position  # they read the environment
import hypothesis
import pytest

import app as event_api
import tokens
from chalicelib.token import SCOPES
from leaks import LeakDetector
from in_process import InProcessApi, tables_in_moto
from processes import LocalProcess, eventually
from targets import Api, UrlApi

# pylint: enable=wrong-import-position

hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --url, the API that the contract suite speaks to in place of those it starts."""
    parser.addoption("--url", help="base URL of a running API for tests/test_contract.py")
    parser.addoption("--patience", type=float, default=30, help="seconds to wait for the API of --url (default: 30)")


def pytest_configure(config: pytest.Config) -> None:
    """Wait until the API of --url answers, as a new stage may take a while to; say so once where none does."""
    url = config.getoption("--url")
    if url and not eventually(lambda: status(url) in (401, 403, 404), config.getoption("--patience")):
        pytest.exit(f"No Event API answers at {url}.", returncode=2)
    if url and status(url) != 404:
        pytest.exit(f"Set EVENT_API_TOKEN to a token that {url} takes, with both scopes.", returncode=2)


def url_api(url: str) -> UrlApi:
    """Return the API at a URL, called with the token of the environment."""
    return UrlApi(url, os.environ.get("EVENT_API_TOKEN"))


def status(url: str) -> int | None:
    """Return what an Event API at a URL says to a read of what cannot be; None where there is none."""
    try:
        return url_api(url).request("GET", "/events/-").status
    except (OSError, http.client.HTTPException):
        return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `api` in process and on the local server, or on the API of --url alone."""
    if "api" in metafunc.fixturenames:
        targets = ["url"] if metafunc.config.getoption("--url") else ["in_process_api", "local_api"]
        metafunc.parametrize("api", targets, indirect=True)


@pytest.fixture(name="_leak_detector", scope="session", autouse=True)
def _leak_detector_() -> Iterator[None]:
    """Nothing that the suite makes the app log holds a token, a secret or a payload."""
    detector = LeakDetector()
    logging.getLogger().addHandler(detector)
    yield
    logging.getLogger().removeHandler(detector)
    assert detector.found == []


@pytest.fixture(name="api", scope="module")
def _api(request: pytest.FixtureRequest) -> Api:
    """The API under test."""
    if request.param == "url":
        return url_api(request.config.getoption("--url"))
    return request.getfixturevalue(request.param)


@pytest.fixture(name="server", scope="session")
def _server(request: pytest.FixtureRequest) -> Api:
    """An API behind a real HTTP server, for what a test client cannot show."""
    url = request.config.getoption("--url")
    return url_api(url) if url else request.getfixturevalue("local_api")


@pytest.fixture(name="in_process_api", scope="module")
def _in_process_api() -> Iterator[Api]:
    """The app in this process, its tables in moto, called with a token of both scopes."""
    with tables_in_moto() as client:
        token, _ = tokens.TokenTable(client, "tokens").create("local", "test", frozenset(SCOPES), None)
        yield InProcessApi(event_api.app, token)


@pytest.fixture(name="data_dir")
def _data_dir(tmp_path: Path) -> Path:
    """The folder of a local API's events. It does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(name="local_process", scope="session")
def _local_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    """The API as `make run` starts it."""
    with LocalProcess(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(name="local_api", scope="session")
def _local_api(local_process: LocalProcess) -> Api:
    """The API as `make run` starts it, called with the token that it makes."""
    return local_process.api

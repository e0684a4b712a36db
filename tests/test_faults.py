"""A store that fails: the answer is 503 in time, and what was acknowledged is there."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from faulty_store import FaultyStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import InProcessApi
from targets import Answer, Api, an_event, get, post

import app as event_api
from local.aws import DurableAws
from local.journal import Journal

BOUND = 10  # seconds, in which the store answers or gives up

ALL_FAULTS = ["throttled", "failed", "garbled", "cut", "cut short", "hangs", "denied"]
LOST_ANSWERS = ["written, cut", "written, cut short", "written, failed", "written, garbled", "written, throttled"]
QUICK_FAULTS = ["none", "throttled", "failed", "garbled", "cut", "cut short", *LOST_ANSWERS]


@pytest.fixture(name="aws", scope="module")
def _aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an embedded AWS that has the table."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, lambda: (stop.wait(), loop.call_soon_threadsafe(stopping.set)))
        with Journal(tmp_path_factory.mktemp("aws")) as journal:
            aws = DurableAws(journal)
            await aws.create_tables()
            await aws.listen(listener, stopping)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield endpoint
    stop.set()
    thread.join()


@pytest.fixture(name="store")
def _store(aws: str) -> Iterator[FaultyStore]:
    """The store that fails as it is told to."""
    store = FaultyStore(aws)
    yield store
    store.close()


@pytest.fixture(name="faulty")
def _faulty(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The app on the store that fails."""
    yield from app_on(store.url, monkeypatch)


def app_on(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Yield the app on a DynamoDB endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
    event_api.dynamodb.cache_clear()
    yield InProcessApi(event_api.app, asks=False)
    event_api.dynamodb.cache_clear()


def assert_unavailable(answer: Answer, since: float) -> None:
    """Assert that an answer says to come back, and came in time."""
    assert time.monotonic() - since < BOUND
    assert answer.status == 503, answer
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:event-api:problem:store-unavailable"


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_failing_store_is_503_in_time(faulty: Api, store: FaultyStore, fault: str) -> None:
    """A store that throttles, fails, cuts, hangs or refuses: 503 with Retry-After inside the bound, to POST and GET."""
    store.afterwards = fault
    for request in (lambda: post(faulty, an_event()), lambda: get(faulty, "a"), lambda: get(faulty, "a", "HEAD")):
        start = time.monotonic()
        answer = request()
        if answer.body:
            assert_unavailable(answer, start)
        assert (answer.status, time.monotonic() - start < BOUND) == (503, True)


def test_store_that_refuses_connections_is_503_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that nothing listens for is 503."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for api in app_on(f"http://127.0.0.1:{port}", monkeypatch):
        start = time.monotonic()
        assert_unavailable(post(api, an_event()), start)


def test_store_that_never_accepts_is_503_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose connections are not taken up is 503."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        for api in app_on(f"http://127.0.0.1:{listener.getsockname()[1]}", monkeypatch):
            start = time.monotonic()
            assert_unavailable(post(api, an_event()), start)
        for connection in waiting:
            connection.close()


def test_what_a_retry_cannot_mend_is_asked_once(faulty: Api, store: FaultyStore) -> None:
    """A refusal for good is not asked for again."""
    store.afterwards = "denied"
    assert post(faulty, an_event()).status == 503
    assert store.calls == 1


@pytest.mark.parametrize("fault", ["throttled", "failed", "garbled", "cut", "cut short", "hangs"])
def test_passing_fault_is_mended_by_a_retry(faulty: Api, store: FaultyStore, fault: str) -> None:
    """A fault that passes is not seen by the caller."""
    event = an_event()
    store.faults = [fault]
    assert post(faulty, event).status == 201
    store.faults = [fault]
    assert get(faulty, event["id"]).status == 200


@pytest.mark.parametrize("fault", [*LOST_ANSWERS, "written, hangs"])
@pytest.mark.parametrize("if_none_match", ["", "*"])
def test_retry_of_a_written_attempt_is_the_same_first_post(
    faulty: Api, store: FaultyStore, fault: str, if_none_match: str
) -> None:
    """An attempt that was written but not answered is not taken for another caller's event."""
    event = an_event()
    store.faults = [fault]
    answer = post(faulty, event, if_none_match=if_none_match)
    assert answer.status == 201, answer
    assert get(faulty, event["id"]).body == answer.body
    assert post(faulty, event).headers["idempotent-replayed"] == "true"


def test_miss_is_not_told_by_a_failing_store(faulty: Api, store: FaultyStore) -> None:
    """A 404 needs the consistent read: without it nobody knows."""
    store.faults = ["none"]
    store.afterwards = "failed"
    assert get(faulty, "unknown").status == 503


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.sampled_from(QUICK_FAULTS), max_size=8), given_id=st.booleans())
def test_acknowledged_event_is_there(faulty: Api, store: FaultyStore, faults: list[str], given_id: bool) -> None:
    """Whatever fails in whatever order, what was answered 201 or 200 is there, and 503 can be sent again."""
    event = an_event()
    if not given_id:
        del event["id"]
    store.work()
    store.faults = faults.copy()
    start = time.monotonic()
    answer = post(faulty, event)
    assert time.monotonic() - start < BOUND
    store.work()
    if answer.status == 503:
        if given_id:
            assert post(faulty, event).status in (200, 201)
            assert get(faulty, event["id"]).json["payload"] == event["payload"]
    else:
        assert answer.status == 201
        assert get(faulty, answer.json["id"]).body == answer.body


def test_giving_up_is_logged_without_the_payload(
    faulty: Api, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which error and after how many attempts, and nothing of the event."""
    store.afterwards = "throttled"
    with caplog.at_level(logging.DEBUG):
        post(faulty, an_event(payload={"card": "4111111111111111"}))
    (record,) = [record for record in caplog.records if record.name == "chalicelib.dynamodb"]
    assert record.getMessage() == "store unavailable: ProvisionedThroughputExceededException, attempts: 5"
    assert (record.__dict__["error"], record.__dict__["attempts"]) == ("ProvisionedThroughputExceededException", 5)
    ours = [record for record in caplog.records if not record.name.startswith(("botocore", "urllib3"))]
    assert all("4111" not in str(record.__dict__) for record in ours)

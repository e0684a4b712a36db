"""A store that fails: the response is 503 in time, and acknowledged events are stored."""

import json
import logging
import socket
from collections.abc import Iterator

import pytest
from chalicelib.dynamodb import AUTHORIZER_SECONDS, CONNECT_TIMEOUT, FIRST_PAUSE, HANDLER_SECONDS, READ_TIMEOUT
from chalicelib.token import SCOPES
from faulty_store import FaultyStore
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import InProcessApi, embedded_aws
from processes import ROOT
from stopwatch import Stopwatch
from targets import Response, Api, an_event, get, post
from token_admin import TokenAdmin
from token_stage import local_client
from wire import server_that_never_accepts

import app as event_api
BOUND = 10  # seconds, in which a caller gets a response

ALL_FAULTS = ["throttled", "failed", "garbled", "cut", "cut short", "hangs", "denied"]
LOST_ANSWERS = ["written, cut", "written, cut short", "written, failed", "written, garbled", "written, throttled"]
QUICK_FAULTS = ["none", "throttled", "failed", "garbled", "cut", "cut short", *LOST_ANSWERS]


@pytest.fixture(name="aws", scope="module")
def _aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an embedded AWS that has the tables."""
    with embedded_aws(tmp_path_factory.mktemp("aws")) as endpoint:
        yield endpoint


@pytest.fixture(name="store")
def _store(aws: str) -> Iterator[FaultyStore]:
    """The store that fails as a test says."""
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


def assert_unavailable(response: Response) -> None:
    """Assert that a response tells the caller to retry."""
    assert response.status == 503, response
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json["type"] == "urn:event-api:problem:store-unavailable"


def post_batch(api: Api, count: int) -> Response:
    """Post a batch of new events."""
    return post(api, json.dumps([an_event() for _ in range(count)]).encode())


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_failing_store_fails_each_event_of_a_batch_in_time(faulty: Api, store: FaultyStore, fault: str) -> None:
    """If the store fails, a batch has 207 with a 503 for each event, inside the bound."""
    store.afterwards = fault
    with Stopwatch() as stopwatch:
        response = post_batch(faulty, 100)
        assert stopwatch.seconds < BOUND
    assert response.status == 207
    results = response.json["results"]
    assert {result["status"] for result in results} == {503}
    assert {result["problem"]["type"] for result in results} == {"urn:event-api:problem:store-unavailable"}
    assert len({result["id"] for result in results}) == 100


def test_event_without_id_that_may_be_stored_has_its_id_in_the_result(faulty: Api, store: FaultyStore) -> None:
    """In a batch, a 503 tells the id that the API made: the event may be stored under it."""
    store.afterwards = "written, cut"
    (result,) = post(faulty, b'[{"type":"test_event","payload":{"n":1}}]').json["results"]
    assert result["status"] == 503
    store.work()
    assert get(faulty, result["id"]).json["payload"] == {"n": 1}


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_failing_store_is_503_to_a_list_in_time(faulty: Api, store: FaultyStore, fault: str) -> None:
    """If the index or the events cannot be read, a list is 503 inside the bound."""
    assert post_batch(faulty, 5).status == 207
    for faults in ([], ["none"]):
        store.faults, store.afterwards = faults, fault
        with Stopwatch() as stopwatch:
            response = faulty.request("GET", "/events")
            assert stopwatch.seconds < BOUND
        assert_unavailable(response)


@settings(max_examples=40)
@given(faults=st.lists(st.sampled_from(QUICK_FAULTS), max_size=12))
def test_batch_can_be_sent_again_until_all_is_stored(faulty: Api, store: FaultyStore, faults: list[str]) -> None:
    """After any faults, what has 201 or 200 is stored, and the same batch again stores the rest once."""
    events = [an_event() for _ in range(6)]
    body = json.dumps(events).encode()
    store.work()
    store.faults = faults.copy()
    first = post(faulty, body).json["results"]
    store.work()
    again = post(faulty, body).json["results"]
    assert {result["status"] for result in first} <= {201, 503}
    for before, after in zip(first, again):
        assert after["status"] in ((200,) if before["status"] == 201 else (200, 201))
        if before["status"] == 201:
            assert (before["etag"], before["created_at"]) == (after["etag"], after["created_at"])
    assert [get(faulty, event["id"]).json["payload"] for event in events] == [event["payload"] for event in events]


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_failing_store_is_503_in_time(faulty: Api, store: FaultyStore, fault: str) -> None:
    """A store that throttles, fails, cuts, hangs or refuses: 503 with Retry-After inside the bound, to POST and GET."""
    store.afterwards = fault
    for request in (lambda: post(faulty, an_event()), lambda: get(faulty, "a"), lambda: get(faulty, "a", "HEAD")):
        with Stopwatch() as stopwatch:
            response = request()
            assert stopwatch.seconds < BOUND
        if response.body:
            assert_unavailable(response)
        assert response.status == 503


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("hangs", [0, 1, 2, 9])
def test_authorizer_and_handler_together_respond_in_time(
    aws: str, store: FaultyStore, faulty: Api, method: str, hangs: int
) -> None:
    """A caller waits for the authorizer and then for the handler. Both tables hang: 503 within the bound.

    `hangs` of the authorizer's calls get no response, then one is answered, then nothing is.
    """
    del faulty  # it connects the app to the store
    text, _ = TokenAdmin(local_client(aws, "local"), "tokens").create("acme", "test", frozenset(SCOPES), None)
    store.faults, store.afterwards = [*["hangs"] * hangs, "none"], "hangs"
    api = InProcessApi(event_api.app, text)
    with Stopwatch() as stopwatch:
        response = post(api, an_event()) if method == "POST" else get(api, "a")
        assert stopwatch.seconds < BOUND
    assert response.status == 503
    assert int(response.headers["retry-after"]) > 0
    kinds = {"urn:event-api:problem:authorizer-unavailable", "urn:event-api:problem:store-unavailable"}
    assert response.json["type"] in (kinds if hangs else {"urn:event-api:problem:store-unavailable"})


def test_lambda_ends_a_function_after_its_deadline_and_before_the_bound() -> None:
    """Lambda's own limits are a second line: each is later than its deadline, and together they are in the bound."""
    settings_of_app = json.loads((ROOT / "eventsapp" / ".chalice" / "config.json").read_text())
    handler = settings_of_app["lambda_timeout"]
    authorizer = settings_of_app["lambda_functions"]["authorizer"]["lambda_timeout"]
    assert HANDLER_SECONDS < handler and AUTHORIZER_SECONDS < authorizer
    assert authorizer + handler < BOUND


def test_deadlines_have_room_for_a_second_attempt() -> None:
    """One call without a response is not an error yet: a second attempt starts in time."""
    two_attempts = READ_TIMEOUT + FIRST_PAUSE + CONNECT_TIMEOUT + READ_TIMEOUT
    assert two_attempts <= min(AUTHORIZER_SECONDS, HANDLER_SECONDS)


def test_store_that_refuses_connections_is_503_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses connections is 503."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody else takes the port, and nothing listens on it
        for api in app_on(f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch):
            with Stopwatch() as stopwatch:
                assert_unavailable(post(api, an_event()))
                assert stopwatch.seconds < BOUND


def test_store_that_never_accepts_is_503_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not accept connections is 503."""
    with server_that_never_accepts() as url:
        for api in app_on(url, monkeypatch):
            with Stopwatch() as stopwatch:
                assert_unavailable(post(api, an_event()))
                assert stopwatch.seconds < BOUND


def test_permanent_error_is_not_retried(faulty: Api, store: FaultyStore) -> None:
    """An error that will not pass is not retried."""
    store.afterwards = "denied"
    assert post(faulty, an_event()).status == 503
    assert store.calls == 1


@pytest.mark.parametrize("fault", ["throttled", "failed", "garbled", "cut", "cut short", "hangs"])
def test_transient_fault_is_retried(faulty: Api, store: FaultyStore, fault: str) -> None:
    """The caller does not see a transient fault."""
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
    """A retry recognises the event that its first attempt wrote, although the response was lost."""
    event = an_event()
    store.faults = [fault]
    response = post(faulty, event, if_none_match=if_none_match)
    assert response.status == 201, response
    assert get(faulty, event["id"]).body == response.body
    assert post(faulty, event).headers["idempotent-replayed"] == "true"


def test_failing_store_is_not_404(faulty: Api, store: FaultyStore) -> None:
    """A 404 needs a consistent read that succeeds."""
    store.faults = ["none"]
    store.afterwards = "failed"
    assert get(faulty, "unknown").status == 503


@settings(max_examples=60)
@given(faults=st.lists(st.sampled_from(QUICK_FAULTS), max_size=8), given_id=st.booleans())
def test_acknowledged_event_is_there(faulty: Api, store: FaultyStore, faults: list[str], given_id: bool) -> None:
    """After any faults in any order, an event with 201 or 200 is stored, and a POST with 503 can be sent again."""
    event = an_event()
    if not given_id:
        del event["id"]
    store.work()
    store.faults = faults.copy()
    with Stopwatch() as stopwatch:
        response = post(faulty, event)
        assert stopwatch.seconds < BOUND
    store.work()
    if response.status == 503:
        if given_id:
            assert post(faulty, event).status in (200, 201)
            assert get(faulty, event["id"]).json["payload"] == event["payload"]
    else:
        assert response.status == 201
        assert get(faulty, response.json["id"]).body == response.body


def test_giving_up_is_logged_without_the_payload(
    faulty: Api, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the error and the number of attempts, and nothing of the event."""
    store.afterwards = "throttled"
    with caplog.at_level(logging.DEBUG):
        post(faulty, an_event(payload={"card": "4111111111111111"}))
    (record,) = [record for record in caplog.records if record.name == "chalicelib.dynamodb"]
    assert record.getMessage() == "store unavailable: ProvisionedThroughputExceededException, attempts: 5"
    assert (record.__dict__["error"], record.__dict__["attempts"]) == ("ProvisionedThroughputExceededException", 5)
    ours = [record for record in caplog.records if not record.name.startswith(("botocore", "urllib3"))]
    assert all("4111111111111111" not in str(record.__dict__) for record in ours)

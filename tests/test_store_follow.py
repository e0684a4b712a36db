"""The list on the AWS of `make run`: pages of large events, and readers that follow writers."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator

import pytest
from faulty_store import FaultyStore
from in_process import embedded_aws
from stopwatch import Stopwatch
from tenants import Tenant, contents

from chalicelib import index, listing
from chalicelib.dynamodb import create_client
from chalicelib.event import Event, parse
from chalicelib.problem import StoreUnavailable
from chalicelib.signed_http import SignedHttp
from chalicelib.store import KEYS_PER_READ, MAX_PAGE_BYTES


@pytest.fixture(name="aws", scope="module")
def _aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an embedded AWS that has the tables. It limits a Query by the size of an index's entries."""
    with embedded_aws(tmp_path_factory.mktemp("aws")) as endpoint:
        yield endpoint


@pytest.fixture(name="recorder")
def _recorder(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    """A proxy in front of it that records the calls."""
    proxy = FaultyStore(aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
    yield proxy
    proxy.close()


@pytest.fixture(name="client")
def _client(recorder: FaultyStore) -> SignedHttp:
    """The app's client of the proxy."""
    del recorder
    return create_client()


@pytest.mark.parametrize(
    "text", ["x" * 250_000, "\\\"" * 60_000, "é" * 120_000, "\U0001f600" * 60_000, "\u0001" * 40_000]
)
def test_page_fits_into_the_response_of_a_function(client: SignedHttp, text: str) -> None:
    """A page ends at 4 MiB, counted as Lambda counts: a JSON string inside of JSON. It has one event or more."""
    tenant = Tenant(client)
    everything = contents(24, {"s": text})
    for start in range(0, 24, 4):
        tenant.post(*everything[start : start + 4])
    pages = list(tenant.pages(limit="100"))
    sizes = [sum(response_size(found) for found in page.events) for page in pages]
    assert sum(len(page.events) for page in pages) == 24 and len(pages) > 1
    assert all(page.events for page in pages)
    assert max(sizes) <= MAX_PAGE_BYTES
    assert min(sizes[:-1]) > MAX_PAGE_BYTES - max(response_size(found) for found in pages[0].events)


def response_size(found: Event) -> int:
    """Return the size of an event in a response of Lambda's Python runtime, which writes ASCII."""
    members = {"id": found.id, "type": found.type, "created_at": found.created_at}
    text = json.dumps(members, separators=(",", ":"))[:-1] + f',"payload":{bytes(found.payload).decode()}}}'
    return len(json.dumps(text))


def test_large_events_are_read_in_parts(client: SignedHttp, recorder: FaultyStore) -> None:
    """A page of large events does not read 100 of them."""
    tenant = Tenant(client)
    everything = contents(60, {"s": "x" * 250_000})
    for start in range(0, 60, 4):
        tenant.post(*everything[start : start + 4])
    recorder.requests.clear()
    page = next(tenant.pages(limit="100"))
    reads = [parameters for operation, parameters in recorder.requests if operation == "BatchGetItem"]
    assert [len(parameters["RequestItems"]["events"]["Keys"]) for parameters in reads] == [KEYS_PER_READ]
    assert 15 <= len(page.events) <= 16 and page.has_more


# Following


class Writers:
    """Threads that store events until `end` is set. Some of their calls reach the store late, or get no response."""

    def __init__(self, tenant: Tenant) -> None:
        self.end = threading.Event()
        self._tenant = tenant
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in "abcdefgh"]
        for thread in self._threads:
            thread.start()

    def _write(self, name: str) -> None:
        number = 0
        while not self.end.wait(0.2):
            number += 1
            body = {"id": f"{name}{number}", "type": "t", "payload": {}}
            with contextlib.suppress(StoreUnavailable):  # the event may be stored, also later
                self._tenant.store.write(parse(json.dumps(body).encode()))

    def join(self) -> None:
        """Wait until all have ended."""
        self.end.set()
        for thread in self._threads:
            thread.join()


class Reader:
    """A client that follows `asc`. After a 503, it sends the same request again."""

    def __init__(self, tenant: Tenant) -> None:
        self.seen: list[str] = []
        self._tenant = tenant
        self._values = {"order": ["asc"], "limit": ["100"]}

    def follow(self, seconds: float) -> None:
        """Read pages for some time, and then to the end of the list."""
        end, has_more = time.monotonic() + seconds, True
        while has_more or time.monotonic() < end:
            query = listing.parse(self._values, time.time())
            with contextlib.suppress(StoreUnavailable):
                page = self._tenant.store.find(query)
                self.seen += [index.position_of(found.created_at, found.id) for found in page.events]
                self._values["cursor"] = [query.cursor(page.continue_after)]
                has_more = page.has_more
            time.sleep(0.1)


def test_reader_that_follows_writers_misses_nothing(client: SignedHttp, recorder: FaultyStore) -> None:
    """A reader that follows `asc` for 30 seconds sees every event of concurrent writers once, in order.

    Some calls reach the store up to 6 seconds late.
    """
    tenant = Tenant(client, shards=3)
    late: set[str] = set()

    def some_fail(operation: str, parameters: dict[str, dict[str, dict[str, str]]]) -> str | None:
        if operation != "PutItem":
            return None
        event_id = parameters["Item"]["id"]["S"]
        if event_id in late:  # no later attempt comes first
            return "throttled"
        name, number = event_id[0], int(event_id[1:])
        if name in "abc" and number % 20 == 5:
            late.add(event_id)
            return f"late {6 if name == 'a' else 3}"
        return {"d": "hangs", "e": "throttled", "f": "written, cut"}.get(name) if number % 20 == 15 else None

    recorder.rule = some_fail
    writers, reader = Writers(tenant), Reader(tenant)
    reader.follow(17)
    assert reader.seen  # during the writes
    writers.join()
    reader.follow(13)  # `asc` lists an event after 10 seconds
    recorder.rule = lambda operation, _: None
    stored = [index.position_of(e.created_at, e.id) for page in tenant.pages(limit="100") for e in page.events]
    assert {index.id_at(position) for position in stored} & late
    assert reader.seen == stored[::-1]


def test_created_at_is_the_time_of_the_attempt_that_wrote(client: SignedHttp, recorder: FaultyStore) -> None:
    """A retry has its own `created_at`, so that it is not older than one attempt when it is stored."""
    tenant = Tenant(client)
    recorder.faults = ["hangs"]
    stored, is_new = tenant.store.write(contents(1)[0])
    assert is_new
    attempts = [parameters["Item"] for operation, parameters in recorder.requests if operation == "PutItem"]
    assert len({item["created_at"]["S"] for item in attempts}) == len(attempts) == 2
    assert {item["position"]["S"] for item in attempts} == {f"{item['created_at']['S']}/000" for item in attempts}
    assert len({item["write_id"]["S"] for item in attempts}) == 1
    assert stored.event.created_at == attempts[1]["created_at"]["S"]
    assert tenant.store.read("000") == stored
    assert tenant.ids() == ["000"]


@pytest.mark.parametrize("faults", [["written, cut"], ["written, hangs"], ["late 1.8", "slow 1"]])
def test_retry_returns_the_event_that_its_first_attempt_wrote(
    client: SignedHttp, recorder: FaultyStore, faults: list[str]
) -> None:
    """If an earlier attempt was stored, its `created_at` counts, and the caller has stored the event."""
    tenant = Tenant(client)
    recorder.faults = faults
    stored, is_new = tenant.store.write(contents(1)[0])
    first = next(parameters["Item"] for operation, parameters in recorder.requests if operation == "PutItem")
    assert (stored.event.created_at, is_new) == (first["created_at"]["S"], True)
    assert tenant.store.read("000") == stored
    assert [found.created_at for page in tenant.pages() for found in page.events] == [stored.event.created_at]


# Batches


def test_events_of_a_batch_are_written_at_the_same_time(client: SignedHttp, recorder: FaultyStore) -> None:
    """Sixteen at a time, so that a slow store delays a batch little. On a busy machine, some may come too late."""
    tenant = Tenant(client)
    recorder.rule = lambda operation, _: "slow 0.5" if operation == "PutItem" else None
    tenant.post(*contents(48))
    assert 4 < recorder.most_waiting <= 16


def test_equal_ids_wait_for_each_other(client: SignedHttp, recorder: FaultyStore) -> None:
    """Events with one id are written one after another, also if the first attempt of the first fails."""
    tenant = Tenant(client)
    first, second = (parse(b'{"id":"a","type":"%s","payload":{}}' % kind) for kind in (b"first", b"second"))
    for fault in ("throttled", "hangs", "written, cut"):
        tenant = Tenant(client)
        recorder.faults = [fault]
        results = tenant.store.write_all([first, second, first])
        assert all(not isinstance(result, StoreUnavailable) for result in results)
        assert [(stored.event.type, is_new) for stored, is_new in results] == [  # type: ignore[misc]
            ("first", True), ("first", False), ("first", False)
        ]  # fmt: skip


def test_deadline_ends_a_batch(client: SignedHttp, recorder: FaultyStore) -> None:
    """If the store does not respond, all events of a batch have an error at the deadline. No thread goes on."""
    tenant = Tenant(client)
    recorder.afterwards = "hangs"
    threads = threading.active_count()
    with Stopwatch() as stopwatch:
        results = tenant.store.write_all(contents(100))
    assert stopwatch.seconds < 4.7 + 2  # all attempts would take a minute
    assert all(isinstance(result, StoreUnavailable) for result in results)
    calls = recorder.calls
    time.sleep(0.3)
    assert recorder.calls == calls
    assert threading.active_count() <= threads + 40  # the proxy's own threads hang


def test_part_of_a_batch_can_fail(client: SignedHttp, recorder: FaultyStore) -> None:
    """Events that could not be written have an error each, and the others are stored."""
    tenant = Tenant(client)
    everything = contents(20)

    def is_odd(operation: str, parameters: dict[str, dict[str, dict[str, str]]]) -> str | None:
        return "denied" if operation == "PutItem" and int(parameters["Item"]["id"]["S"]) % 2 else None

    recorder.rule = is_odd
    results = tenant.store.write_all(everything)
    assert [isinstance(result, StoreUnavailable) for result in results] == [False, True] * 10
    assert sorted(tenant.ids()) == [f"{n:03}" for n in range(0, 20, 2)]

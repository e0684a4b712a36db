"""Calls of DynamoDB: which failures are retried, and what the caller of a table gets."""

import logging
import time
import zlib
from collections.abc import Iterator

import pytest
from chalicelib.dynamodb import MAX_ATTEMPTS, READ_TIMEOUT, CallFailed, Table, create_client, with_retries
from chalicelib.problem import StoreUnavailable
from stopwatch import Stopwatch
from wire import OK_BODY, Respond, WireServer, cut, drip, respond

KEY = {"pk": {"S": "acme/a"}}
RETRIED, NOT_RETRIED = True, False


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """DynamoDB's endpoint."""
    with WireServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        yield server


def error(failure: str, prefix: str = "com.amazonaws.dynamodb.v20120810#") -> Respond:
    """Return what responds with an error of DynamoDB: its status and its code."""
    status, code = failure.split()
    return respond(f'{{"__type":"{prefix}{code}","message":"no"}}'.encode(), f"{status} Error")


def get(seconds: float = 20) -> dict[str, dict[str, str]] | None:
    """Read an item. `seconds` is how long the table may take."""
    table = Table(create_client(), "events", seconds)
    return table.get(KEY, consistent=False)


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
@pytest.mark.parametrize(
    ("failure", "is_retried"),
    [
        ("400 ProvisionedThroughputExceededException", RETRIED),
        ("400 RequestLimitExceeded", RETRIED),
        ("400 ThrottlingException", RETRIED),
        ("500 InternalServerError", RETRIED),
        ("503 ServiceUnavailable", RETRIED),
        ("400 AccessDeniedException", NOT_RETRIED),
        ("400 ExpiredTokenException", NOT_RETRIED),
        ("400 IncompleteSignatureException", NOT_RETRIED),
        ("400 ItemCollectionSizeLimitExceededException", NOT_RETRIED),
        ("400 LimitExceededException", NOT_RETRIED),
        ("400 MissingAuthenticationTokenException", NOT_RETRIED),
        ("400 ResourceInUseException", NOT_RETRIED),
        ("400 ResourceNotFoundException", NOT_RETRIED),
        ("400 SerializationException", NOT_RETRIED),
        ("400 UnrecognizedClientException", NOT_RETRIED),
        ("400 ValidationException", NOT_RETRIED),
        # Clock skew. A retry has the same clock, so it would fail, too. botocore's client does not retry it either.
        ("400 InvalidSignatureException", NOT_RETRIED),
    ],
)
@pytest.mark.parametrize("prefix", ["com.amazonaws.dynamodb.v20120810#", "com.amazon.coral.service#", ""])
def test_error_code_decides_whether_a_call_is_retried(
    server: WireServer, caplog: pytest.LogCaptureFixture, failure: str, is_retried: bool, prefix: str
) -> None:
    """Throttles and failures of DynamoDB are retried. Other errors end the call, and the log has their code."""
    server.responses = [error(failure, prefix)]
    with caplog.at_level(logging.ERROR):
        if is_retried:
            assert get() == KEY
        else:
            with pytest.raises(StoreUnavailable):
                get()
    assert len(server.requests) == (2 if is_retried else 1)
    logged = [record.__dict__["error"] for record in caplog.records if record.name == "chalicelib.dynamodb"]
    assert logged == ([] if is_retried else [failure.split()[1]])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(OK_BODY)


@pytest.mark.parametrize(
    "response",
    [
        cut(),
        cut(HEAD),
        cut(HEAD + b"\r\n" + OK_BODY[:10]),
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        respond(OK_BODY, x_amz_crc32=str(zlib.crc32(OK_BODY) ^ 1)),
        respond(OK_BODY, x_amz_crc32="no number"),
        respond(b""),
        respond(b'{"Item":'),
        respond(b"[]x"),
        respond(b'"text"'),
        respond(b"null"),
        respond(b"\xff{}"),
        respond(b"<html>Bad Gateway</html>", "502 Bad Gateway"),
        respond(b"", "503 Service Unavailable"),
    ],
    ids=[
        "cut before the response", "cut in the headers", "cut in the body", "cut in a chunk", "wrong checksum",
        "no checksum", "empty 200", "half JSON", "more than JSON", "a JSON string", "null", "no UTF-8", "HTML 502",
        "empty 503",
    ],
)  # fmt: skip
def test_damaged_response_is_retried(server: WireServer, response: Respond) -> None:
    """A response that is cut or damaged on its way is retried, because the next one may be whole."""
    server.responses = [response]
    assert get() == KEY
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", ["301 Moved Permanently", "403 Forbidden", "404 Not Found", "413 Too Large"])
def test_response_of_another_server_is_not_retried(server: WireServer, status: str) -> None:
    """A page of a proxy that refuses the request is not retried, and no redirect is followed."""
    server.responses = [respond(b"<html></html>", status, Location="/other")]
    with pytest.raises(StoreUnavailable):
        get()
    assert len(server.requests) == 1


def test_connection_cut_after_the_response_costs_no_retry(server: WireServer) -> None:
    """A server may close a connection after its response."""
    client = create_client()
    server.responses = [respond(stays=False)] * 3
    for _ in range(3):
        table = Table(client, "events", 20)
        assert table.get(KEY, consistent=False) == KEY
        server.closed.acquire()
    assert [request.connection for request in server.requests] == [0, 1, 2]


def test_right_checksum_is_accepted(server: WireServer) -> None:
    """DynamoDB sends the CRC-32 of each body."""
    server.responses = [respond(OK_BODY, x_amz_crc32=str(zlib.crc32(OK_BODY)))]
    assert get() == KEY
    assert len(server.requests) == 1


def test_large_item_is_read(server: WireServer) -> None:
    """An item can have 400 KB."""
    body = b'{"Item":{"payload":{"S":"%s"}}}' % (b"x" * 400_000)
    server.responses = [respond(body, x_amz_crc32=str(zlib.crc32(body)))]
    assert get() == {"payload": {"S": "x" * 400_000}}


def test_failed_condition_returns_the_stored_item(server: WireServer) -> None:
    """A write whose condition does not hold is not retried. It returns the item that is stored."""
    body = b'{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":{"pk":{"S":"acme/a"}}}'
    server.responses = [respond(body, "400 Bad Request")]
    table = Table(create_client(), "events", 20)
    new = {"pk": {"S": "acme/a"}, "n": {"N": "1"}}
    written = table.put_if(lambda: new, ConditionExpression="attribute_not_exists(pk)")
    assert written == (KEY, False)
    assert len(server.requests) == 1


def test_attempts_have_a_limit(server: WireServer) -> None:
    """A throttled call is retried a few times, and then the store is unavailable."""
    server.responses = [error("400 ThrottlingException")] * 20
    with pytest.raises(StoreUnavailable):
        get()
    assert len(server.requests) == MAX_ATTEMPTS


@pytest.mark.parametrize("part", [HEAD + b"\r\n" + OK_BODY, b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100])
def test_slow_responses_do_not_stretch_the_deadline(server: WireServer, part: bytes) -> None:
    """A store that sends one byte after another is unavailable at the deadline, after all retries."""
    server.responses = [drip(part)] * 20
    start = time.monotonic()
    with Stopwatch() as stopwatch, pytest.raises(StoreUnavailable):
        get(4.7)
    assert READ_TIMEOUT < time.monotonic() - start
    assert stopwatch.seconds < 4.7 + 2  # all attempts would take 10 seconds
    assert len(server.requests) > 1


def test_pauses_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is a random part of at most 0.1 s, then of twice as much each time."""
    ranges: list[tuple[float, float]] = []

    def shortest(low: float, high: float) -> float:
        ranges.append((low, high))
        return low

    def attempt(_end: float) -> None:
        raise CallFailed("ThrottlingException", is_retryable=True)

    monkeypatch.setattr("random.uniform", shortest)
    with pytest.raises(StoreUnavailable):
        with_retries(attempt, time.monotonic() + 3600)
    assert ranges == [(0, 0.1), (0, 0.2), (0, 0.4), (0, 0.8)]

"""Values that callers may rely on, as literals in one table each: none of them changes unnoticed."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from chalicelib import (
    audit_log,
    batch,
    cloudevents,
    cors,
    dynamodb,
    event,
    faults,
    index,
    listing,
    lossless_json,
    media_types,
    problem,
    responses,
    token,
)
from chalicelib.problem import Fault, ParameterFault, Problem
from faulty_store import FaultyStore
from in_process import InProcessApi
from targets import Api, get

import app as event_api

# Problem types


BEARER, SCOPE = {"WWW-Authenticate": "Bearer"}, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
ETAG = {"ETag": '"digest"'}
PLAIN_JSON = {
    "Accept-Post": "application/json, application/cloudevents+json, application/cloudevents-batch+json",
    "Accept-Encoding": "identity",
}

RETRY = {"Retry-After": "5"}

PROBLEMS: list[tuple[Problem, str, int, str, dict[str, str]]] = [  # type, status, title, its own headers
    (problem.InvalidEvent([Fault("/type", "is missing")]), "invalid-event", 400, "Bad Request", {}),
    (problem.InvalidQuery([ParameterFault("limit", "is wrong")]), "invalid-query", 400, "Bad Request", {}),
    (problem.BadRequest("The request is wrong."), "bad-request", 400, "Bad Request", {}),
    (problem.Unauthorized(), "unauthorized", 401, "Unauthorized", BEARER),
    (problem.Forbidden(), "forbidden", 403, "Forbidden", SCOPE),
    (problem.RequestBlocked(), "request-blocked", 403, "Forbidden", {}),
    (problem.PathNotFound(), "path-not-found", 404, "Not Found", {}),
    (problem.EventNotFound(), "event-not-found", 404, "Not Found", {}),
    (problem.MethodNotAllowed("GET, HEAD"), "method-not-allowed", 405, "Method Not Allowed", {"Allow": "GET, HEAD"}),
    (problem.EventConflict('"digest"'), "event-conflict", 409, "Conflict", ETAG),
    (problem.EventExists('"digest"'), "event-exists", 412, "Precondition Failed", ETAG),
    (problem.PreconditionFailed("It does not hold."), "precondition-failed", 412, "Precondition Failed", {}),
    (problem.BodyTooLarge(262_144), "body-too-large", 413, "Content Too Large", {}),
    (problem.UnsupportedMediaType("Send JSON."), "unsupported-media-type", 415, "Unsupported Media Type", PLAIN_JSON),
    (problem.TooManyRequests(1), "too-many-requests", 429, "Too Many Requests", {"Retry-After": "1"}),
    (problem.InternalError(), "internal-error", 500, "Internal Server Error", {}),
    (problem.StoredEventAltered(["a"]), "stored-event-altered", 500, "Internal Server Error", {}),
    (problem.StoreUnavailable(), "store-unavailable", 503, "Service Unavailable", RETRY),
    (problem.AuthorizerUnavailable(), "authorizer-unavailable", 503, "Service Unavailable", RETRY),
    (problem.ServiceUnavailable(), "service-unavailable", 503, "Service Unavailable", RETRY),
    (problem.ServiceTimeout(), "service-timeout", 504, "Gateway Timeout", RETRY),
]


@pytest.mark.parametrize(("raised", "kind", "status", "title", "headers"), PROBLEMS, ids=str)
def test_problem_has_its_type_status_and_headers(
    raised: Problem, kind: str, status: int, title: str, headers: dict[str, str]
) -> None:
    """A problem type is a stable name, with one status and the headers that tell a caller what to do."""
    body = raised.body("the-request")
    assert (body["type"], body["status"], raised.status) == (f"urn:event-api:problem:{kind}", status, status)
    assert raised.headers == {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **headers}
    assert body["request_id"] == "the-request" and body["title"] == title and body["detail"].endswith((".", "..."))


def test_each_problem_type_is_in_the_table() -> None:
    """No type is left out."""
    assert [type(raised) for raised, *_ in PROBLEMS] == Problem.__subclasses__()


def test_members_of_problems() -> None:
    """`errors` has place and detail of each fault, 100 at most; `limit` has the bytes, `ids` the altered events."""
    common = {"type", "title", "status", "detail"}
    members = {
        problem.InvalidEvent: {"errors"}, problem.InvalidQuery: {"errors"}, problem.BodyTooLarge: {"limit"},
        problem.StoredEventAltered: {"ids"},
    }  # fmt: skip
    for raised, *_ in PROBLEMS:
        extra = members.get(type(raised), set())
        assert raised.body(None).keys() == common | extra
    many_faults = [Fault(f"/payload/{n}", "is wrong") for n in range(101)]
    assert problem.InvalidEvent(many_faults[:100]).detail == "`errors` lists each fault."
    many = problem.InvalidEvent(many_faults).body(None)
    assert many["detail"] == "`errors` lists the first 100 faults."
    assert many["errors"] == [{"pointer": f"/payload/{n}", "detail": "is wrong"} for n in range(100)]
    wrong = problem.InvalidQuery([ParameterFault(f"p{n}", "is wrong") for n in range(101)]).body(None)
    assert wrong["detail"] == many["detail"]
    assert wrong["errors"] == [{"parameter": f"p{n}", "detail": "is wrong"} for n in range(100)]


# Fault texts


ID = "a string of 1 to 128 letters, digits and . _ ~ : -, the first a letter or digit"
TYPE = (
    "a string of 1 to 128 characters: words of letters, digits, _ and - with single dots between them; "
    "the first word starts with a letter, as in order.paid.v2"
)
SUBJECT = (
    "a string of 1 to 256 characters without control characters (U+0000 to U+001F, U+007F), as in orders/1001"
)
MOMENT = "a date and time with an offset (RFC 3339), as in 2026-01-31T09:30:00.000+08:00"
HALF = "has half of a surrogate pair: send whole characters"

FAULTS: list[tuple[bytes, str, str]] = [  # body, pointer, text
    (b"[]", "", "must be a JSON object"),
    (b"", "", "is not JSON at line 1, column 1: "),
    (b'{"type":\n x}', "", "is not JSON at line 2, column 2: "),
    (b'{"type":"\xff"}', "", "is not UTF-8 at byte 9"),
    (b"\xef\xbb\xbf{}", "", "starts with a byte order mark, which JSON does not allow: remove it"),
    (b'{"payload":{}}', "/type", f"is missing; it must be {TYPE}"),
    (b'{"type":"t"}', "/payload", "is missing; it must be a JSON object"),
    (b'{"type":"no type","payload":{}}', "/type", f"must be {TYPE}"),
    (b'{"type":"t","payload":1}', "/payload", "must be a JSON object"),
    (b'{"type":"t","payload":{},"id":"-"}', "/id", f"must be {ID}"),
    (b'{"type":"t","payload":{},"subject":"a\\u0000"}', "/subject", f"must be {SUBJECT}"),
    (b'{"type":"t","payload":{},"subject":"\\ud800"}', "/subject", HALF),
    (b'{"type":"t","payload":{},"occurred_at":"now"}', "/occurred_at", f"must be {MOMENT}"),
    (
        b'{"type":"t","payload":{},"x/y~":1}',
        "/x~1y~0",
        "is not a field of an event; the fields are id, type, subject, occurred_at, payload",
    ),
    (b'{"type":"t","payload":{"n":NaN}}', "/payload/n", "NaN is not JSON: send a number, a string or null"),
    (b'{"type":"t","payload":[-Infinity]}', "/payload", "must be a JSON object"),
    (b'{"type":"t","payload":{"n":1,"n":1}}', "/payload/n", "occurs more than once in its object: send it once"),
    (b'{"type":"t","payload":{"s":["\\ud800"]}}', "/payload/s/0", HALF),
    (
        b'{"type":"t","payload":{"\\ud800":1}}',
        "/payload/\\ud800",
        "has half of a surrogate pair in its key: send whole characters",
    ),
    (
        b'{"type":"t","payload":{"a":%s1%s}}' % (b"[" * 64, b"]" * 64),
        "/payload/a" + "/0" * 63,
        "is nested deeper than 64 levels",
    ),
    (b'{"type":"t","payload":{"a":%s}}' % (b"[" * 100_000), "", "is nested deeper than 64 levels"),
]


@pytest.mark.parametrize(("body", "pointer", "text"), FAULTS, ids=lambda value: repr(value)[:40])
def test_fault_has_its_text(body: bytes, pointer: str, text: str) -> None:
    """A fault says where it is and what would be right."""
    with pytest.raises(problem.InvalidEvent) as refused:
        event.parse(body)
    (fault,) = refused.value.members["errors"]
    assert fault["pointer"] == pointer
    # What follows "column 1: " is the JSON parser's own text.
    assert fault["detail"].startswith(text) if text.endswith(": ") else fault["detail"] == text


URI = "a URI or a relative reference (RFC 3986), as in https://shop.example.com/orders or /orders"
EXTENSION = (
    "must be a string without control characters, true, false, or a whole number from -2147483648 to 2147483647"
)

CLOUDEVENT_FAULTS: list[tuple[dict[str, object], str, str]] = [  # members, pointer, text
    ({"specversion": "0.3"}, "/specversion", "must be the string 1.0"),
    ({"specversion": None}, "/specversion", "is missing; it must be the string 1.0"),
    ({"id": None}, "/id", f"is missing; it must be {ID}"),
    ({"source": None}, "/source", f"is missing; it must be {URI}"),
    ({"source": "a b"}, "/source", f"must be {URI}"),
    ({"time": "now"}, "/time", f"must be {MOMENT}"),
    (
        {"dataschema": "a"},
        "/dataschema",
        "must be an absolute URI (RFC 3986), as in https://example.com/schemas/order-v2.json",
    ),
    (
        {"datacontenttype": "text/xml"},
        "/datacontenttype",
        "must be a media type of JSON, as in application/json or application/vnd.order+json; "
        "the API keeps JSON data only",
    ),
    ({"data": "x"}, "/data", "must be a JSON object"),
    ({"data_base64": "e30="}, "/data_base64", "cannot be kept: send data, a JSON object"),
    ({"A": "x"}, "/A", "is not a name of an attribute: use lower-case letters and digits"),
    ({"a": 1.5}, "/a", EXTENSION),
    (
        {"subject": "\u0085"},
        "/subject",
        "must be text without control characters (U+0000 to U+001F, U+007F to U+009F) and noncharacters",
    ),
]


@pytest.mark.parametrize(("members", "pointer", "text"), CLOUDEVENT_FAULTS, ids=lambda value: repr(value)[:40])
def test_fault_of_a_cloudevent_has_its_text(members: dict[str, object], pointer: str, text: str) -> None:
    """A fault says where it is and what would be right."""
    document = {"specversion": "1.0", "id": "a", "source": "/a", "type": "t", "data": {}, **members}
    with pytest.raises(problem.InvalidEvent) as refused:
        cloudevents.parse(json.dumps(document).encode())
    assert refused.value.faults == [Fault(pointer, text)]


# Limits and names


@pytest.mark.parametrize(
    ("value", "documented"),
    [
        (event.MAX_BODY_BYTES, 262_144),
        (batch.MAX_EVENTS, 100),
        (batch.MAX_BATCH_BYTES, 1_048_576),
        (batch.MOST_FAULTS, 10),
        (index.PROJECTED, {"by_time": ("type",), "by_type": (), "by_subject": ("type",)}),
        (index.INDEXES, ("by_time", "by_type", "by_subject")),
        (index.POSITION, "position"),
        (tuple(listing.PARAMETERS), ("type", "subject", "from", "to", "order", "limit", "cursor")),
        ((listing.DEFAULT_LIMIT, listing.MAX_LIMIT), (20, 100)),
        (listing.HORIZON, timedelta(seconds=10)),
        (listing.MAX_FILTERED_ENTRIES, 1_000),
        (lossless_json.MAX_DEPTH, 64),
        (media_types.CLOUDEVENT, "application/cloudevents+json"),
        (media_types.CLOUDEVENTS, "application/cloudevents-batch+json"),
        (media_types.HEADER_PREFIX, "ce-"),
        (cloudevents.VERSION, "1.0"),
        (
            cloudevents.FIELD_OF,
            {"id": "id", "type": "type", "subject": "subject", "time": "occurred_at", "data": "payload"},
        ),
        (event.PLAIN_ATTRIBUTES, {"source": "urn:event-api:events"}),
        (faults.MAX_POINTER, 256),
        (problem.MOST_FAULTS, 100),
        (problem.MEDIA_TYPE, "application/problem+json"),
        (token.SCOPES, ("events:write", "events:read")),
        (token.TENANT.pattern, "[a-z0-9][a-z0-9-]{0,62}"),
        (token.BEARER, r"^[Bb][Ee][Aa][Rr][Ee][Rr] +evt_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}$"),
        ((audit_log.METRIC_NAMESPACE, audit_log.ALTERED_METRIC), ("event-api", "StoredEventAltered")),
        (responses.MAX_AGE, 31_536_000),
        (cors.METHODS, "GET, HEAD, POST"),
        (cors.REQUEST_HEADERS, "Authorization, Content-Type, If-Match, If-None-Match"),
        (cors.RESPONSE_HEADERS, "ETag, Location, Link, Idempotent-Replayed, Retry-After, WWW-Authenticate"),
        (cors.MAX_AGE, 7200),
        (dynamodb.MAX_ATTEMPTS, 5),
        (dynamodb.CONNECT_TIMEOUT, 0.5),
        (dynamodb.READ_TIMEOUT, 1.5),
        (dynamodb.AUTHORIZER_SECONDS, 3.7),
        (dynamodb.HANDLER_SECONDS, 4.7),
    ],
)
def test_limit_or_name_is_the_documented_one(value: object, documented: object) -> None:
    """README and clients have these values."""
    assert value == documented


# Errors of DynamoDB, and whether the same call may succeed later


RETRIED = [
    "400 ProvisionedThroughputExceededException",
    "400 ThrottlingException",
    "400 RequestLimitExceeded",
    "500 InternalServerError",
    "503 ServiceUnavailable",
    "502 Unknown",
]
NOT_RETRIED = [
    "400 AccessDeniedException",
    "400 ResourceNotFoundException",
    "400 ValidationException",
    "400 UnrecognizedClientException",
    "400 ItemCollectionSizeLimitExceededException",
    "499 Unknown",
]


@pytest.fixture(name="store")
def _store() -> Iterator[FaultyStore]:
    """A store that fails as it is told to, and never works."""
    store = FaultyStore("http://127.0.0.1:1")
    yield store
    store.close()


@pytest.fixture(name="failing_api")
def _failing_api(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The app on that store."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", store.url)
    event_api.dynamodb.cache_clear()
    yield InProcessApi(event_api.app, asks=False)
    event_api.dynamodb.cache_clear()


@pytest.mark.parametrize(
    ("error", "calls"), [(error, 2) for error in RETRIED] + [(error, 1) for error in NOT_RETRIED]
)
def test_error_is_retried_if_it_may_pass(store: FaultyStore, failing_api: Api, error: str, calls: int) -> None:
    """Throttles and faults of the store are retried; what a retry cannot change is not. The caller gets 503."""
    store.faults, store.afterwards = [error], "denied"
    response = get(failing_api, "a")
    assert (response.status, response.headers["retry-after"], store.calls) == (503, "5", calls)
    assert response.json["type"] == "urn:event-api:problem:store-unavailable"

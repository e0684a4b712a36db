"""Callers in process and on the local server: what each gets, and what no caller can cause or learn."""

import json
import re
from collections.abc import Iterator
from typing import Any

import app as event_api
import pytest
from callers import CALLERS, SPELLINGS, TENANT, Caller, bearer, call, check, check_spelling, token_of
from chalice.app import AuthRequest, AuthResponse, ChaliceAuthorizer
from chalice.local import ARNMatcher
from chalicelib.problem import Unauthorized
from chalicelib.token import BEARER, READ, WRITE
from faulty_store import FaultyStore
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import InProcessApi, tables_in_moto
from processes import LocalProcess
from stopwatch import Stopwatch
from targets import Api, UrlApi, an_event, get, post
from token_admin import TokenAdmin
from token_stage import local_client

METHODS = ["POST", "GET", "HEAD"]
AUTHORIZER: ChaliceAuthorizer = vars(event_api)["authorizer"]  # chalice wraps the function in it


@pytest.fixture(name="moto_table", scope="module")
def _moto_table() -> Iterator[TokenAdmin]:
    """The token table of the app in this process."""
    with tables_in_moto() as client:
        yield TokenAdmin(client, "tokens")


@pytest.fixture(name="bare_api")
def _bare_api(moto_table: TokenAdmin) -> Api:
    """The app in this process, called without a token unless a test sends one."""
    del moto_table
    return InProcessApi(event_api.app)


@pytest.fixture(name="local_table", scope="module")
def _local_table(local_process: LocalProcess) -> TokenAdmin:
    """The token table of the local server."""
    endpoint = json.loads((local_process.data_dir / "aws.json").read_text())["endpoint"]
    return TokenAdmin(local_client(endpoint, "local"), "tokens")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_caller_in_process(
    bare_api: Api, moto_table: TokenAdmin, caller: Caller, method: str
) -> None:
    """Each caller of the app gets the response in the table."""
    check(bare_api, moto_table, caller, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_caller_on_the_local_server(
    local_process: LocalProcess, local_table: TokenAdmin, caller: Caller, method: str
) -> None:
    """Each caller of the local server gets the response in the table."""
    check(UrlApi(local_process.url), local_table, caller, method)


# The policy


ARN = "arn:aws:execute-api:ap-southeast-1:123456789012:abc/prod/"
PATHS = ("events", "events/", "events/a", "events/a/", "events/a/b", "")
EVERYTHING = {(method, path) for method in AuthResponse.ALL_HTTP_METHODS for path in PATHS}


def allowed_requests(table: TokenAdmin, first: str, *scopes: str) -> set[tuple[str, str]]:
    """Return the requests that a new token may make, by the policy for its first request."""
    request = {"type": "TOKEN", "authorizationToken": bearer(token_of(table, *scopes)), "methodArn": ARN + first}
    (statement,) = AUTHORIZER(request, None)["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow" and statement["Action"] == "execute-api:Invoke"
    return {
        (method, path)
        for method, path in EVERYTHING
        if ARNMatcher(f"{ARN}{method}/{path}").does_any_resource_match(statement["Resource"])
    }


WRITING = {(method, path) for method, path in EVERYTHING if method == "POST"}
READING = {(method, path) for method, path in EVERYTHING if method in ("GET", "HEAD")}


@pytest.mark.parametrize("first", ["POST/events", "GET/events/a", "PUT/events", "HEAD/events/b"])
@pytest.mark.parametrize(
    ("scopes", "expected"),
    [((WRITE,), EVERYTHING - READING), ((READ,), EVERYTHING - WRITING), ((WRITE, READ), EVERYTHING)],
)
def test_policy_does_not_depend_on_the_first_request(
    moto_table: TokenAdmin, first: str, scopes: tuple[str, ...], expected: set[tuple[str, str]]
) -> None:
    """A cached policy is right for every later request: the scopes' methods, and those that get 405."""
    assert allowed_requests(moto_table, first, *scopes) == expected


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_the_path_adds_a_scope(bare_api: Api, moto_table: TokenAdmin, path: str) -> None:
    """A token for reading stores nothing, with any spelling of the path."""
    check_spelling(bare_api, moto_table, path)


def test_policy_names_no_other_api(moto_table: TokenAdmin) -> None:
    """A policy allows calls of the API and the stage of the request only."""
    request = {"type": "TOKEN", "authorizationToken": bearer(token_of(moto_table, WRITE, READ)), "methodArn": ARN}
    (statement,) = AUTHORIZER(request, None)["policyDocument"]["Statement"]
    assert all(resource.startswith(ARN) for resource in statement["Resource"])


@pytest.mark.parametrize(
    ("scopes", "text_of_scopes"), [((READ,), READ), ((WRITE, READ), "events:read events:write"), ((WRITE,), WRITE)]
)
def test_authorizer_passes_tenant_scopes_and_key_id(
    moto_table: TokenAdmin, scopes: tuple[str, ...], text_of_scopes: str
) -> None:
    """The routes get the tenant and the scopes, the log gets the key id. The token is not passed on."""
    text = token_of(moto_table, *scopes)
    response = AUTHORIZER({"type": "TOKEN", "authorizationToken": bearer(text), "methodArn": ARN}, None)
    assert response["principalId"] == text.split("_")[1]
    assert response["context"] == {"tenant": TENANT, "scopes": text_of_scopes}
    assert text.split("_")[2] not in json.dumps(response)


def test_event_names_the_token_and_the_request_that_stored_it(bare_api: Api, moto_table: TokenAdmin) -> None:
    """The table has the key id and the request's id of each event, also of a batch's. No response has the key id."""
    client = vars(moto_table)["_client"]
    text = token_of(moto_table, WRITE, READ)
    events = [an_event(), an_event(), an_event()]
    responses = [
        post(bare_api, events[0], Authorization=bearer(text)),
        post(bare_api, json.dumps(events[1:]).encode(), Authorization=bearer(text)),
        post(bare_api, events[0], Authorization=bearer(token_of(moto_table, WRITE))),
        get(bare_api, events[0]["id"], Authorization=bearer(text)),
    ]
    assert [response.status for response in responses] == [201, 207, 200, 200]
    items = [
        client.get_item(TableName="events", Key={"pk": {"S": f"{TENANT}/{event['id']}"}})["Item"] for event in events
    ]
    key_id = text.split("_")[1]
    assert [item["key_id"]["S"] for item in items] == [key_id] * 3
    first, second, third = (item["request_id"]["S"] for item in items)
    assert first and second == third != first
    assert not [response for response in responses if key_id.encode() in response.body or b"key_id" in response.body]


def test_unauthorized_has_the_text_that_the_gateway_expects(moto_table: TokenAdmin) -> None:
    """API Gateway responds with 401 to this text only. Every other error of the authorizer is a 500 for it."""
    del moto_table
    with pytest.raises(Unauthorized, match="^Unauthorized$"):
        AUTHORIZER.func(AuthRequest("TOKEN", "Bearer x", ARN))


@pytest.mark.parametrize("switch", ["AUTH", "EVENT_API_AUTH", "AUTH_OFF"])
def test_deployed_app_has_no_switch(
    bare_api: Api, moto_table: TokenAdmin, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    """No variable of the environment turns the authorizer off in the code that ships."""
    monkeypatch.setenv(switch, "off")
    assert call(bare_api, "POST", None, "").status == 401
    assert call(bare_api, "POST", bearer(token_of(moto_table, READ)), "").status == 403


# Tenants


def test_ids_belong_to_one_tenant(bare_api: Api, moto_table: TokenAdmin) -> None:
    """Two tenants can use one id. Neither sees the other's event, or that it exists."""
    acme, other = (bearer(token_of(moto_table, WRITE, READ, tenant=tenant)) for tenant in ("acme", "other"))
    event = an_event()
    assert post(bare_api, event, Authorization=acme).status == 201
    unknown = get(bare_api, "unknown", Authorization=other)
    hidden = get(bare_api, event["id"], Authorization=other)
    assert {**hidden.json, "request_id": ""} == {**unknown.json, "request_id": ""}
    assert hidden.headers == unknown.headers
    assert post(bare_api, {**event, "payload": {"n": 2}}, Authorization=other, if_none_match="*").status == 201
    assert get(bare_api, event["id"], Authorization=acme).json["payload"] == event["payload"]
    assert get(bare_api, event["id"], Authorization=other).json["payload"] == {"n": 2}


@pytest.mark.parametrize("header", ["X-Tenant", "Tenant", "X-Amzn-Tenant", "principalId", "X-Forwarded-User"])
def test_no_header_names_the_tenant(bare_api: Api, moto_table: TokenAdmin, header: str) -> None:
    """Only the token decides on the tenant, whatever headers a caller sends."""
    acme, other = (bearer(token_of(moto_table, WRITE, READ, tenant=tenant)) for tenant in ("acme", "other"))
    event_id = post(bare_api, an_event(), Authorization=acme).json["id"]
    assert get(bare_api, event_id, Authorization=other, **{header: "acme"}).status == 404


def test_response_does_not_contain_the_tenant(bare_api: Api, moto_table: TokenAdmin) -> None:
    """A response has the fields of the event, and nothing of the tenant."""
    field = bearer(token_of(moto_table, WRITE, READ))
    event = an_event()
    for response in (post(bare_api, event, Authorization=field), get(bare_api, event["id"], Authorization=field)):
        assert response.json.keys() == {*event, "created_at"}
        assert TENANT not in json.dumps([response.headers, response.json])


# Odd headers

FIELDS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda value: value.decode("latin-1")),
    st.from_regex(BEARER, fullmatch=True),
    st.from_regex(r"(Bearer|bearer|Basic|) *evt_[0-9A-Za-z_]{0,80}", fullmatch=True),
)


@settings(max_examples=300)
@given(field=FIELDS, method=st.sampled_from(METHODS), path=st.sampled_from(["/events/a", "/events", "/nothing"]))
def test_no_authorization_header_breaks_the_app(bare_api: Api, field: str, method: str, path: str) -> None:
    """Any Authorization header without a valid token gets 401, or 404 for an unknown path."""
    assert bare_api.request(method, path, None, {"Authorization": field}).status == (404 if path == "/nothing" else 401)


@settings(max_examples=200)
@given(field=FIELDS.filter(lambda field: not re.search(r"[\r\n\0]", field)), method=st.sampled_from(METHODS))
def test_no_authorization_header_breaks_the_server(local_process: LocalProcess, field: str, method: str) -> None:
    """No Authorization header that HTTP allows causes a 500 or a closed connection."""
    headers: dict[str, Any] = {"Authorization": field.encode("utf-8", "replace")}
    response = UrlApi(local_process.url).request(method, "/events/a", None, headers)
    assert response.status in (400, 401)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in ("authorization", "content-length", "transfer-encoding", "host", "if-none-match")
)


@settings(max_examples=150)
@given(headers=st.dictionaries(NAMES, st.text(max_size=30), max_size=5))
def test_no_other_header_breaks_the_app(bare_api: Api, moto_table: TokenAdmin, headers: dict[str, str]) -> None:
    """Headers that the app does not know change nothing."""
    lines = {**headers, "Authorization": bearer(READER.setdefault("text", token_of(moto_table, READ)))}
    assert bare_api.request("GET", "/events/unknown", None, lines).status == 404


READER: dict[str, str] = {}  # one token for all examples


# A token table that fails


@pytest.mark.parametrize("fault", ["throttled", "failed", "cut", "hangs", "denied"])
def test_token_table_that_fails_is_503_in_time(
    bare_api: Api, moto_table: TokenAdmin, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """If the token cannot be checked, the response is 503, and not 401."""
    field = bearer(token_of(moto_table, WRITE, READ))
    store = FaultyStore("http://127.0.0.1:1")
    store.afterwards = fault
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", store.url)
    event_api.dynamodb.cache_clear()
    try:
        with Stopwatch() as stopwatch:
            response = call(bare_api, "POST", field, "")
            assert stopwatch.seconds < 10
    finally:
        monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
        event_api.dynamodb.cache_clear()
        store.close()
    assert (response.status, response.json["type"]) == (503, "urn:event-api:problem:authorizer-unavailable")
    assert int(response.headers["retry-after"]) > 0

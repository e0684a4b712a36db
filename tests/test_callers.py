"""Who calls: the table of callers in process and on the local server, and what no caller may cause or learn."""

import json
import re
import time
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import InProcessApi, tables_in_moto
from processes import LocalProcess
from targets import Api, UrlApi, an_event, get, post
from tokens import TokenTable, local_client

METHODS = ["POST", "GET", "HEAD"]
AUTHORIZER: ChaliceAuthorizer = vars(event_api)["authorizer"]  # what chalice makes of the function


@pytest.fixture(name="moto_table", scope="module")
def _moto_table() -> Iterator[TokenTable]:
    """The token table of the app in this process."""
    with tables_in_moto() as client:
        yield TokenTable(client, "tokens")


@pytest.fixture(name="bare_api")
def _bare_api(moto_table: TokenTable) -> Api:
    """The app in this process, called with what a test says and no token else."""
    del moto_table
    return InProcessApi(event_api.app)


@pytest.fixture(name="local_table", scope="module")
def _local_table(local_process: LocalProcess) -> TokenTable:
    """The token table of the local server."""
    endpoint = json.loads((local_process.data_dir / "aws.json").read_text())["endpoint"]
    return TokenTable(local_client(endpoint, "local"), "tokens")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_caller_gets_its_due_in_process(
    bare_api: Api, moto_table: TokenTable, caller: Caller, method: str
) -> None:
    """Whoever calls the app gets what the table says."""
    check(bare_api, moto_table, caller, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_caller_gets_its_due_on_the_local_server(
    local_process: LocalProcess, local_table: TokenTable, caller: Caller, method: str
) -> None:
    """Whoever calls the local server gets what the table says."""
    check(UrlApi(local_process.url), local_table, caller, method)


# The policy


ARN = "arn:aws:execute-api:ap-southeast-1:123456789012:abc/api/"
PATHS = ("events", "events/", "events/a", "events/a/", "events/a/b", "")
EVERYTHING = {(method, path) for method in AuthResponse.ALL_HTTP_METHODS for path in PATHS}


def opened(table: TokenTable, asked: str, *scopes: str) -> set[tuple[str, str]]:
    """Return what of everything a new token opens, as the gateway holds it against the policy it was told first."""
    request = {"type": "TOKEN", "authorizationToken": bearer(token_of(table, *scopes)), "methodArn": ARN + asked}
    (statement,) = AUTHORIZER(request, None)["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow" and statement["Action"] == "execute-api:Invoke"
    return {
        (method, path)
        for method, path in EVERYTHING
        if ARNMatcher(f"{ARN}{method}/{path}").does_any_resource_match(statement["Resource"])
    }


WRITING = {(method, path) for method, path in EVERYTHING if method == "POST"}
READING = {(method, path) for method, path in EVERYTHING if method in ("GET", "HEAD")}


@pytest.mark.parametrize("asked", ["POST/events", "GET/events/a", "PUT/events", "HEAD/events/b"])
@pytest.mark.parametrize(
    ("scopes", "expected"),
    [((WRITE,), EVERYTHING - READING), ((READ,), EVERYTHING - WRITING), ((WRITE, READ), EVERYTHING)],
)
def test_policy_is_the_same_whatever_was_asked_first(
    moto_table: TokenTable, asked: str, scopes: tuple[str, ...], expected: set[tuple[str, str]]
) -> None:
    """A kept policy is right for every later request: just the scopes' methods, and those that are a 405."""
    assert opened(moto_table, asked, *scopes) == expected


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_the_path_lends_a_scope(bare_api: Api, moto_table: TokenTable, path: str) -> None:
    """Who may only read stores nothing, however the path is written."""
    check_spelling(bare_api, moto_table, path)


def test_policy_names_no_other_api(moto_table: TokenTable) -> None:
    """What is opened is of the API and the stage that asked."""
    request = {"type": "TOKEN", "authorizationToken": bearer(token_of(moto_table, WRITE, READ)), "methodArn": ARN}
    (statement,) = AUTHORIZER(request, None)["policyDocument"]["Statement"]
    assert all(resource.startswith(ARN) for resource in statement["Resource"])


def test_authorizer_says_the_tenant_and_the_key_and_nothing_else(moto_table: TokenTable) -> None:
    """The app learns whose events it is about, the log who called; the token goes no further."""
    text = token_of(moto_table, READ)
    answer = AUTHORIZER({"type": "TOKEN", "authorizationToken": bearer(text), "methodArn": ARN}, None)
    assert answer["principalId"] == text.split("_")[1]
    assert answer["context"] == {"tenant": TENANT}
    assert text.split("_")[2] not in json.dumps(answer)


def test_gateway_knows_an_unknown_caller_by_the_message(moto_table: TokenTable) -> None:
    """API Gateway answers 401 to this message alone; any other failure is one of the service."""
    del moto_table
    with pytest.raises(Unauthorized, match="^Unauthorized$"):
        AUTHORIZER.func(AuthRequest("TOKEN", "Bearer x", ARN))


@pytest.mark.parametrize("switch", ["AUTH", "EVENT_API_AUTH", "AUTH_OFF"])
def test_what_is_deployed_has_no_switch(
    bare_api: Api, moto_table: TokenTable, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    """The environment turns nothing off in what ships: that is the local server's alone."""
    monkeypatch.setenv(switch, "off")
    assert call(bare_api, "POST", None, "").status == 401
    assert call(bare_api, "POST", bearer(token_of(moto_table, READ)), "").status == 403


# Tenants


def test_tenants_have_each_their_ids(bare_api: Api, moto_table: TokenTable) -> None:
    """One id is one event for each tenant: the other's is neither in the way nor to be seen."""
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
def test_no_header_names_the_tenant(bare_api: Api, moto_table: TokenTable, header: str) -> None:
    """Whatever else a caller says, it is of the tenant of its token."""
    acme, other = (bearer(token_of(moto_table, WRITE, READ, tenant=tenant)) for tenant in ("acme", "other"))
    event_id = post(bare_api, an_event(), Authorization=acme).json["id"]
    assert get(bare_api, event_id, Authorization=other, **{header: "acme"}).status == 404


def test_answer_shows_no_tenant(bare_api: Api, moto_table: TokenTable) -> None:
    """An event is answered as its caller sent it."""
    field = bearer(token_of(moto_table, WRITE, READ))
    event = an_event()
    for answer in (post(bare_api, event, Authorization=field), get(bare_api, event["id"], Authorization=field)):
        assert answer.json.keys() == {*event, "created_at"}
        assert TENANT not in json.dumps([answer.headers, answer.json])


# What no header may cause

FIELDS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda value: value.decode("latin-1")),
    st.from_regex(BEARER, fullmatch=True),
    st.from_regex(r"(Bearer|bearer|Basic|) *evt_[0-9A-Za-z_]{0,80}", fullmatch=True),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=FIELDS, method=st.sampled_from(METHODS), path=st.sampled_from(["/events/a", "/events", "/nothing"]))
def test_no_field_causes_a_fault(bare_api: Api, field: str, method: str, path: str) -> None:
    """Whatever stands in Authorization, the answer is 401, or 404 where there is no path."""
    assert bare_api.request(method, path, None, {"Authorization": field}).status == (404 if path == "/nothing" else 401)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=FIELDS.filter(lambda field: not re.search(r"[\r\n\0]", field)), method=st.sampled_from(METHODS))
def test_no_field_causes_a_fault_of_the_server(local_process: LocalProcess, field: str, method: str) -> None:
    """What HTTP can carry as a field is never a 500, nor a cut connection."""
    headers: dict[str, Any] = {"Authorization": field.encode("utf-8", "replace")}
    answer = UrlApi(local_process.url).request(method, "/events/a", None, headers)
    assert answer.status in (400, 401)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in ("authorization", "content-length", "transfer-encoding", "host", "if-none-match")
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.dictionaries(NAMES, st.text(max_size=30), max_size=5))
def test_no_other_header_causes_a_fault(bare_api: Api, moto_table: TokenTable, headers: dict[str, str]) -> None:
    """Headers that mean nothing here change nothing."""
    whole = {**headers, "Authorization": bearer(READER.setdefault("text", token_of(moto_table, READ)))}
    assert bare_api.request("GET", "/events/unknown", None, whole).status == 404


READER: dict[str, str] = {}  # one token for all examples


# A token table that fails


@pytest.mark.parametrize("fault", ["throttled", "failed", "cut", "hangs", "denied"])
def test_token_table_that_fails_is_503_in_time(
    bare_api: Api, moto_table: TokenTable, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """When nobody can say who calls, nobody is let in, and nobody is told to be unknown."""
    field = bearer(token_of(moto_table, WRITE, READ))
    store = FaultyStore("http://127.0.0.1:1")
    store.afterwards = fault
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", store.url)
    event_api.dynamodb.cache_clear()
    start = time.monotonic()
    try:
        answer = call(bare_api, "POST", field, "")
    finally:
        monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
        event_api.dynamodb.cache_clear()
        store.close()
    assert time.monotonic() - start < 10
    assert (answer.status, answer.json["type"]) == (503, "urn:event-api:problem:authorizer-unavailable")
    assert int(answer.headers["retry-after"]) > 0

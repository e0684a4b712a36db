"""Signed requests have the bytes and the settings of botocore's client."""

import datetime
import json
import socket
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import botocore.session
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ProxyConnectionError, SSLError
from dynamodb_http.sending import post
from wire import OK_BODY, WireServer, respond

from chalicelib import dynamodb
from chalicelib.dynamodb import Table, create_client
from chalicelib.signed_http import Misconfigured, SignedHttp, endpoint

NOW = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)
ITEM = {"pk": {"S": "acme/a"}, "payload": {"S": '{"name":"Zoë \U0001f600","n":1.0}'}, "expires_at": {"N": "1767225600"}}
CONDITION = {
    "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
    "ExpressionAttributeValues": {":now": {"N": "1767225600"}},
}
KEY = {"pk": {"S": "acme/é"}}


# The bytes

CALLS = {
    "PutItem": {"Item": ITEM, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **CONDITION},
    "GetItem": {"Key": KEY, "ConsistentRead": True},
    "Query": {
        "IndexName": "by-type",
        "KeyConditionExpression": "tenant = :tenant AND created_at > :from",
        "ExpressionAttributeValues": {":tenant": {"S": "acme/\u00e9"}, ":from": {"S": "2026-01-31T09:30:00.000Z"}},
        "ScanIndexForward": False,
        "Limit": 20,
        "ExclusiveStartKey": KEY,
    },
    "BatchGetItem": {"RequestItems": {"events": {"Keys": [KEY, {"pk": {"S": "acme/b"}}], "ConsistentRead": True}}},
}


def parameters_of(operation: str) -> dict[str, Any]:
    """Return the parameters of a typical call."""
    return CALLS[operation] if operation == "BatchGetItem" else {"TableName": "events", **CALLS[operation]}


@pytest.mark.parametrize("token", [None, "session-token/+="])
@pytest.mark.parametrize("operation", CALLS)
def test_request_has_the_bytes_of_botocores_client(
    server: WireServer, monkeypatch: pytest.MonkeyPatch, operation: str, token: str | None
) -> None:
    """Method, target, headers, body and signature are those of botocore's client.

    The user agent differs. The client also has two headers that count its attempts, and does not sign them.
    """
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    client = boto3.Session().client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    server.responses = [respond(b"{}")]
    getattr(client, xform_name(operation))(**parameters_of(operation))
    dynamodb.send(create_client(), operation, parameters_of(operation), time.monotonic() + 20)
    expected, request = server.requests
    assert request.headers.pop("user-agent").startswith("event-api Botocore/")
    for name in ("user-agent", "amz-sdk-invocation-id", "amz-sdk-request"):
        del expected.headers[name]
    assert (request.start, request.headers, request.body) == (expected.start, expected.headers, expected.body)
    assert request.headers["x-amz-date"] == "20260131T093000Z"
    assert request.headers.get("x-amz-security-token") == token


def test_table_makes_these_calls(server: WireServer) -> None:
    """A table writes and reads with the parameters of the test above."""
    table = Table(create_client(), "events", 20)
    assert table.put_if(lambda: ITEM, **CONDITION) == (ITEM, True)
    assert table.get(KEY, consistent=True) == {"pk": {"S": "acme/a"}}
    assert [request.headers["x-amz-target"] for request in server.requests] == [
        "DynamoDB_20120810.PutItem", "DynamoDB_20120810.GetItem"
    ]  # fmt: skip
    bodies = [json.loads(request.body) for request in server.requests]
    assert bodies == [parameters_of("PutItem"), parameters_of("GetItem")]


def test_request_is_sent_at_once(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers and body are sent together, so that they are one packet and one TLS record."""
    sent = []
    send = socket.socket.send

    def record(self: socket.socket, data: bytes, *flags: int) -> int:
        sent.append(bytes(data))
        return send(self, data, *flags)

    monkeypatch.setattr(socket.socket, "send", record)
    post()
    assert len(sent) == 1
    assert sent[0].startswith(b"POST / HTTP/1.1\r\n") and sent[0].endswith(b"\r\n\r\n{}")
    assert len(server.requests) == 1


# The environment


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "TRUE"}, "https://dynamodb.eu-west-1.api.aws"),
        ({"AWS_ENDPOINT_URL": "http://localhost:1"}, "http://localhost:1"),
        (
            {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:2"},
            "http://localhost:2",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://dynamodb.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_endpoint_is_botocores(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str) -> None:
    """The environment names the endpoint, with the rules of botocore's client."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert endpoint("dynamodb") == url
    assert botocore.session.Session().create_client("dynamodb").meta.endpoint_url == url


@pytest.mark.parametrize("fips", ["false", "true"])
@pytest.mark.parametrize("dual_stack", ["false", "true"])
def test_endpoint_of_each_region_is_botocores(monkeypatch: pytest.MonkeyPatch, fips: str, dual_stack: str) -> None:
    """The app uses the endpoint of botocore's client in every region that it does not refuse."""
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", fips)
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", dual_stack)
    session = botocore.session.Session()
    partitions = [name for name in session.get_available_partitions() if name in ("aws", "aws-us-gov")]
    assert len(partitions) == 2
    for region in [name for part in partitions for name in session.get_available_regions("dynamodb", part)]:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        assert endpoint("dynamodb") == session.create_client("dynamodb", region).meta.endpoint_url


@pytest.mark.parametrize(
    "region", ["cn-north-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eusc-de-east-1", "eu-isoe-west-1"]
)
def test_region_with_a_domain_of_its_own_needs_its_endpoint(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """The app refuses such a region with a sentence, unless its endpoint is set."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    real = botocore.session.Session().create_client("dynamodb").meta.endpoint_url
    assert not real.endswith((".amazonaws.com", ".api.aws"))
    with pytest.raises(Misconfigured, match="set AWS_ENDPOINT_URL_DYNAMODB"):
        create_client()
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", real)
    create_client()


@pytest.mark.parametrize("missing", ["AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_setting_is_named(server: WireServer, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without a region or credentials, the error says which variable to set."""
    monkeypatch.delenv(missing)
    with pytest.raises(Misconfigured, match=f"{missing} is not set"):
        post()
    assert server.requests == []


def test_next_call_uses_changed_credentials(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request reads the credentials again, because Lambda may replace them."""
    http = SignedHttp("dynamodb", 5, 10)
    for key, token in (("first", "one"), ("second", "two")):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
        post(http)
        request = server.requests.pop()
        assert f"Credential={key}/" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"] == token


def test_proxy_is_used(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes to the proxy of the environment, except to the hosts of NO_PROXY."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb.example:8000")
    post()
    assert server.requests[0].start == "POST http://dynamodb.example:8000/ HTTP/1.1"
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
    post()
    assert server.requests[1].start == "POST / HTTP/1.1"


def test_proxy_that_does_not_respond_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the proxy failed, and not DynamoDB."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb.example")
    with pytest.raises(ProxyConnectionError):
        post()


# TLS


def test_certificate_is_verified(tls_server: WireServer, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an unknown authority is refused, unless AWS_CA_BUNDLE contains it."""
    with pytest.raises(SSLError):
        post()
    assert tls_server.requests == []
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    http = SignedHttp("dynamodb", 5, 10)
    assert [post(http), post(http)] == [OK_BODY, OK_BODY]
    assert len({request.connection for request in tls_server.requests}) == 1


def test_certificate_of_another_name_is_refused(
    tls_server: WireServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate must have the endpoint's name."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"https://127.0.0.1:{tls_server.port}")
    with pytest.raises(SSLError):
        post()

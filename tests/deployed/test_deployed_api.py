"""The deployed API, called over HTTP through API Gateway, Lambda and DynamoDB."""

import json
import os
import subprocess
import sys
import time

import pytest
from botocore.exceptions import ClientError
from callers import CALLERS, SPELLINGS, Caller, bearer, check, check_spelling, token_of
from chalicelib.token import READ, SCOPES, WRITE
from deployed.functions import AUTHORIZER, EVENTS, log_streams
from fuzzing import fuzz
from targets import UrlApi, an_event, get, post
from token_admin import TokenAdmin
from token_stage import flush_token_cache

from emulator.stack import PROJECT, Stack

CONTRACT_SUITE = [
    sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
    *sorted(PROJECT.glob("tests/test_contract*.py")), "--url",
]  # fmt: skip


def test_contract_holds(url_api: UrlApi, admin: TokenAdmin) -> None:
    """The contract suite passes against the deployed API, with a token like that of the documentation."""
    text, _ = admin.create("contract", "contract", frozenset(SCOPES), None, 86_400)
    environment = {**os.environ, "EVENT_API_TOKEN": text}
    command = [*CONTRACT_SUITE, f"http://{url_api.host}{url_api.path}"]
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_contract_suite_names_the_missing_token(bare_api: UrlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token the contract suite says which variable to set."""
    monkeypatch.delenv("EVENT_API_TOKEN", raising=False)
    url = f"http://{bare_api.host}{bare_api.path}"
    run = subprocess.run([*CONTRACT_SUITE, url], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert f"Set EVENT_API_TOKEN to a token that {url} takes, with both scopes." in run.stdout + run.stderr


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_each_caller_gets_the_documented_status(
    bare_api: UrlApi, admin: TokenAdmin, caller: Caller, method: str
) -> None:
    """The table of callers holds for the deployed API."""
    check(bare_api, admin, caller, method)


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_the_path_adds_a_scope(bare_api: UrlApi, admin: TokenAdmin, path: str) -> None:
    """A caller who may only read cannot store an event by another spelling of the path."""
    check_spelling(bare_api, admin, path)


@pytest.mark.parametrize("first", ["GET", "POST"])
def test_cached_policy_adds_no_scope(bare_api: UrlApi, admin: TokenAdmin, first: str) -> None:
    """While the gateway caches a policy, every request gets what its own token permits, whichever came first."""
    reader, writer, both = (bearer(token_of(admin, *scopes)) for scopes in ((READ,), (WRITE,), (WRITE, READ)))
    event_id = post(bare_api, an_event(), Authorization=both).json["id"]

    def status(field: str, method: str) -> int:
        if method == "POST":
            return post(bare_api, an_event(), Authorization=field).status
        return get(bare_api, event_id, Authorization=field).status

    for method in (first, "POST", "GET", "POST", "GET"):
        assert [status(field, method) for field in (reader, writer, both)] == {
            "POST": [403, 201, 201], "GET": [200, 403, 200],
        }[method]  # fmt: skip


def test_revoked_token_is_refused_when_the_cache_has_no_policy_of_it(
    stack: Stack, bare_api: UrlApi, admin: TokenAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway caches a token's policy for the stage's time; without a cached policy it refuses a revoked token."""
    gateway = stack.aws.client("apigateway")
    *_, api_id, _ = bare_api.path.split("/")
    (authorizer,) = gateway.get_authorizers(restApiId=api_id)["items"]
    assert authorizer["authorizerResultTtlInSeconds"] == int(stack.settings["token_cache_seconds"])
    text = token_of(admin, READ)
    assert get(bare_api, "unknown", Authorization=bearer(text)).status == 404
    admin.revoke(text.split("_")[1])
    assert get(bare_api, "unknown", Authorization=bearer(text)).status == 404
    monkeypatch.setenv("LOCAL_AWS_DIR", str(stack.folder))
    flush_token_cache("emulated")
    assert get(bare_api, "unknown", Authorization=bearer(text)).status == 401


def test_gateway_passes_the_key_id_and_the_retention_on(stack: Stack, bare_api: UrlApi, admin: TokenAdmin) -> None:
    """A stored event names its token and its request. A token's retention shortens the stage's."""
    text, _ = admin.create("acme", "short", frozenset(SCOPES), None, 3600)
    event = an_event()
    for status in (201, 200):
        assert post(bare_api, event, Authorization=bearer(text)).status == status
    key = {"pk": {"S": f"acme/{event['id']}"}}
    item = stack.aws.client("dynamodb").get_item(TableName=EVENTS, Key=key)["Item"]
    assert item["key_id"]["S"] == text.split("_")[1] and item["request_id"]["S"]
    assert time.time() < int(item["expires_at"]["N"]) <= time.time() + 3600


def test_malformed_token_invokes_no_function(stack: Stack, bare_api: UrlApi) -> None:
    """The gateway itself refuses a header that has not the form of a token."""
    before = log_streams(stack, AUTHORIZER)
    for field in ("Bearer x", "Bearer evt_1_2", "Basic abc", "x" * 8000):
        assert get(bare_api, "a", Authorization=field).status == 401
    assert log_streams(stack, AUTHORIZER) == before


def test_import_of_an_unknown_extension_is_refused(stack: Stack) -> None:
    """The emulated import ignores nothing: an unknown part of the document makes the apply fail."""
    gateway = stack.aws.client("apigateway")
    api = gateway.create_rest_api(name="other")["id"]
    document = {"swagger": "2.0", "info": {"title": "other"}, "paths": {}, "x-amazon-apigateway-new": {}}
    try:
        with pytest.raises(ClientError, match=r"\['new'\] of a Swagger document"):
            gateway.put_rest_api(restApiId=api, mode="overwrite", body=json.dumps(document))
    finally:
        gateway.delete_rest_api(restApiId=api)


def test_second_apply_changes_nothing(stack: Stack) -> None:
    """The deployed resources are as Terraform describes them: a plan is empty."""
    assert stack.plan() == ""


def test_stage_does_what_the_document_says(stack: Stack) -> None:
    """No request that schemathesis makes from the document gets a response that the document does not describe."""
    # A tenant of its own: other tests leave an altered event.
    token, _ = stack.token_admin().create("fuzzed", "test", frozenset(SCOPES), None)
    assert fuzz(stack.api_url(), token, "--max-examples", "2", "--phases", "examples,fuzzing") > 10

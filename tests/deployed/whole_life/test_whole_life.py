"""The deployed stage's life after its first deployment, in order: changes, its logs, its end."""

import http.client
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from callers import CALLERS, check
from deployed.alarms import Alarms
from deployed.functions import AUTHORIZER, EVENTS, FUNCTION, TOKENS, set_protected
from leaks import CANARY, leaks
from targets import UrlApi, an_event, get, post
from token_admin import TokenAdmin

from emulator.emulated_aws import ADMIN, CannotDeploy
from emulator.stack import STAGE, Stack


def live_version(stack: Stack) -> int:
    """Return the version that the gateway calls."""
    return int(stack.aws.client("lambda").get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"])


NEW_CODE = """

@app.middleware("http")
def add_header(event, get_response):
    response = get_response(event)
    response.headers["X-Code"] = "new"
    return response
"""


class Before(NamedTuple):
    """What was so before the stage changed."""

    version: int
    event: dict[str, Any]


@pytest.fixture(name="before", scope="module")
def _before(stack: Stack, url_api: UrlApi) -> Before:
    """Change the running stage: a person gives it what prod has, and then its deploy role deploys new code."""
    event = an_event()
    assert post(url_api, event).status == 201
    stack.settings.update(
        customer_key="true",
        firewall="{requests_per_address=15000}",
        concurrency="{api_handler=5,authorizer=5}",
    )
    stack.apply(ADMIN)
    before = Before(live_version(stack), event)
    with open(stack.project / "eventsapp" / "app.py", "a", encoding="utf-8") as source:
        source.write(NEW_CODE)
    stack.package()
    stack.apply()
    return before


def test_code_change_is_published_as_a_new_version(stack: Stack, url_api: UrlApi, before: Before) -> None:
    """A new package becomes a new version, the alias moves to it, and stored events stay."""
    assert live_version(stack) == before.version + 1
    response = get(url_api, before.event["id"])
    assert (response.status, response.headers["x-code"]) == (200, "new")


@pytest.mark.usefixtures("before")
def test_changed_stage_is_as_described(stack: Stack) -> None:
    """After the change, a plan is empty."""
    assert stack.plan() == ""


def assert_encrypted_and_limited(stack: Stack) -> None:
    """Assert that tables, functions and logs have the stage's own key, and functions their reserved concurrency."""
    aliases = stack.aws.client("kms").list_aliases()["Aliases"]
    (key,) = [alias["TargetKeyId"] for alias in aliases if alias["AliasName"] == f"alias/{FUNCTION}"]
    dynamodb, functions = stack.aws.client("dynamodb"), stack.aws.client("lambda")
    for name in (EVENTS, TOKENS):
        assert dynamodb.describe_table(TableName=name)["Table"]["SSEDescription"]["KMSMasterKeyArn"].endswith(key)
    for function in (FUNCTION, AUTHORIZER):
        configuration = functions.get_function(FunctionName=function)
        assert configuration["Configuration"]["KMSKeyArn"].endswith(key)
        assert configuration["Concurrency"]["ReservedConcurrentExecutions"] == 5
    groups = stack.aws.client("logs").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups if not group.get("kmsKeyId", "").endswith(key)] == []


@pytest.mark.usefixtures("before")
def test_running_stage_can_get_a_key_a_firewall_and_limits(stack: Stack, bare_api: UrlApi, admin: TokenAdmin) -> None:
    """A person can add to a running stage what prod has; callers notice no difference."""
    assert_encrypted_and_limited(stack)
    *_, api_id, stage = bare_api.path.split("/")
    stage_arn = f"arn:aws:apigateway:{stack.region}::/restapis/{api_id}/stages/{stage}"
    firewalls = stack.aws.client("wafv2")
    firewall = firewalls.get_web_acl_for_resource(ResourceArn=stage_arn)["WebACL"]
    log = firewalls.get_logging_configuration(ResourceArn=firewall["ARN"])["LoggingConfiguration"]
    assert firewall["Name"] == FUNCTION
    assert [arn.split(":")[6] for arn in log["LogDestinationConfigs"]] == [f"aws-waf-logs-{FUNCTION}"]
    for caller in CALLERS[-4:]:
        check(bare_api, admin, caller, "GET")


@pytest.mark.usefixtures("before")
def test_blocked_requests_raise_an_alarm(stack: Stack, alarms: Alarms) -> None:
    """The alarm of a firewall. Its topic has the stage's own key now, which lets alarms publish."""
    alarms.forget()
    dimensions = {"WebACL": FUNCTION, "Region": stack.region, "Rule": "ALL"}
    alarms.put("AWS/WAFV2", "BlockedRequests", dimensions, 1, 1, 1)
    alarms.assert_one_message({"blocked"}, "refused")


def test_no_log_has_a_token_a_secret_or_a_payload(
    stack: Stack, url_api: UrlApi, bare_api: UrlApi, admin: TokenAdmin
) -> None:
    """No log has a token, a secret or a payload, whoever calls. The audit log has a stored event."""
    for caller in CALLERS:
        for method in ("POST", "GET"):
            check(bare_api, admin, caller, method)
    event = an_event()
    assert CANARY in post(url_api, event).body.decode()
    client = stack.aws.client("logs")
    texts = []
    for group in client.describe_log_groups()["logGroups"]:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        texts += [line["message"] for page in pages for line in page["events"]]
    assert len(texts) > 100
    assert leaks("\n".join(texts)) == []
    lines = [json.loads(text) for text in texts if text.startswith("{")]
    (line,) = [line for line in lines if line.get("event_id") == event["id"]]
    outcome, key_id = (line["outcome"], line["status"]), stack.token().split("_")[1]
    assert (outcome, line["tenant"], line["key_id"]) == (("stored", 201), "local", key_id)


def test_destroy_leaves_nothing(stack: Stack) -> None:
    """A person ends the protection and destroys everything; no process of the emulated AWS is left."""
    with pytest.raises(CannotDeploy):
        stack.destroy()
    set_protected(stack, STAGE, False)
    stack.apply(ADMIN)
    stack.destroy()
    iam = stack.aws.client("iam")
    assert stack.aws.client("lambda").list_functions()["Functions"] == []
    assert stack.aws.client("apigateway").get_rest_apis()["items"] == []
    assert stack.aws.client("dynamodb").list_tables()["TableNames"] == []
    assert stack.aws.client("logs").describe_log_groups()["logGroups"] == []
    stack.destroy_oidc()
    assert stack.aws.client("s3").list_buckets()["Buckets"] == []
    assert iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    host = stack.aws.endpoint.removeprefix("http://")
    assert processes_in(stack.folder)
    stack.remove()
    assert not processes_in(stack.folder) and not stack.folder.exists()
    with pytest.raises(OSError):
        http.client.HTTPConnection(host, timeout=5).connect()


def processes_in(folder: Path) -> list[str]:
    """Return the command lines that name a folder: the emulated AWS and its functions."""
    processes = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in processes.splitlines() if str(folder) in line]

"""Releases of the deployed stage: a bad version is rolled back automatically, and no stored event is lost."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_calls import CallFailed, calls_by_boto3
from deployed.alarms import Alarms
from deployed.functions import AUTHORIZER, EVENTS, FUNCTION
from rollback import roll_back
from targets import UrlApi, an_event, post
from traffic import Function, functions_of

from emulator.emulated_aws import CannotDeploy
from emulator.stack import STAGE, SUBJECT, Stack, release, session_of

# Every tenth call of this version fails.
FAILING = """
import random
import app as healthy

def app(event, context):
    if random.random() < 0.1:
        return {"statusCode": 500, "headers": {}, "body": "{}"}
    return healthy.app(event, context)
"""


def functions(stack: Stack) -> list[Function]:
    """Return the stage's functions, as an administrator sees them."""
    return functions_of(calls_by_boto3(stack.aws.client), "emulated", print)


def live(stack: Stack) -> list[str]:
    """Return the versions of both functions that get all traffic."""
    aliases = [function.alias() for function in functions(stack)]
    assert [alias.weights for alias in aliases] == [{}, {}]
    return [alias.version for alias in aliases]


def publish(stack: Stack, handler: str, **files: str) -> str:
    """Publish a version of the API's function: the packaged one with further files, and with this handler."""
    client, code = stack.aws.client("lambda"), io.BytesIO((stack.root / "deployment.zip").read_bytes())
    with zipfile.ZipFile(code, "a") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.py", content)
    client.update_function_configuration(FunctionName=FUNCTION, Handler=handler)
    return str(client.update_function_code(FunctionName=FUNCTION, ZipFile=code.getvalue(), Publish=True)["Version"])


@pytest.fixture(name="canary", scope="module")
def _canary(stack: Stack) -> Iterator[None]:
    """The groups shift a tenth of the traffic first. Afterwards, the newest code is the packaged one again."""
    client = stack.aws.client("codedeploy")

    def configure(config: str) -> None:
        for name in (FUNCTION, AUTHORIZER):
            client.update_deployment_group(
                applicationName=FUNCTION, currentDeploymentGroupName=name,
                deploymentConfigName=f"CodeDeployDefault.{config}",
            )  # fmt: skip

    configure("LambdaCanary10Percent5Minutes")
    yield
    configure("LambdaAllAtOnce")
    functions_client = stack.aws.client("lambda")
    functions_client.update_function_configuration(FunctionName=FUNCTION, Handler="app.app")
    functions_client.update_function_code(FunctionName=FUNCTION, ZipFile=(stack.root / "deployment.zip").read_bytes())


class Meanwhile(threading.Thread):
    """Does something while a release runs; `result` raises its error."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._act, self._result, self._error = act, None, None
        self.start()

    def run(self) -> None:
        """Act."""
        try:
            self._result = self._act()
        except BaseException as exc:  # pylint: disable=broad-exception-caught  # the test's own thread raises it
            self._error = exc

    def result(self) -> Any:
        """Wait for the end, and return what the act returned."""
        self.join()
        if self._error:
            raise self._error
        return self._result


@pytest.mark.usefixtures("canary")
def test_failing_version_is_rolled_back(stack: Stack, url_api: UrlApi, alarms: Alarms) -> None:
    """A version that fails every tenth call fires an alarm. It is rolled back, and no stored event is lost."""
    alarms.forget()
    before = live(stack)
    bad = publish(stack, "failing.app", failing=FAILING)

    def post_until_an_alarm() -> list[str]:
        acknowledged, failed = [], 0
        while failed < 3:
            event = an_event()
            status = post(url_api, event).status
            acknowledged += [event["id"]] if status == 201 else []
            failed += status >= 500
        alarms.pass_minutes(1)
        return acknowledged

    traffic = Meanwhile(post_until_an_alarm)
    with pytest.raises(CannotDeploy) as failure:
        release(stack.aws, stack.deploy_role())
    acknowledged = traffic.result()
    assert f"{FUNCTION} {before[0]}. The reason: {FUNCTION}: ALARM_ACTIVE" in str(failure.value)
    assert live(stack) == before and bad != before[0]
    pages = stack.aws.client("dynamodb").get_paginator("scan").paginate(TableName=EVENTS, ProjectionExpression="pk")
    stored = {item["pk"]["S"].partition("/")[2] for page in pages for item in page["Items"]}
    assert acknowledged and set(acknowledged) <= stored
    alarms.forget()


@pytest.mark.usefixtures("canary")
def test_good_version_completes_and_can_be_rolled_back(stack: Stack, url_api: UrlApi, alarms: Alarms) -> None:
    """A good version gets all traffic after five minutes. The role for rollbacks can move back this release."""
    alarms.forget()
    before = live(stack)
    good = publish(stack, "app.app", good="")

    def let_five_minutes_pass() -> None:
        while not functions(stack)[0].alias().weights:
            assert post(url_api, an_event()).status == 201
        assert post(url_api, an_event()).status == 201
        alarms.pass_minutes(5)

    time_passes = Meanwhile(let_five_minutes_pass)
    name = release(stack.aws, stack.deploy_role())
    time_passes.result()
    assert live(stack) == [good, before[1]]
    assert post(url_api, an_event()).status == 201
    subject = SUBJECT.format(environment=f"{STAGE}-check")
    credentials = session_of(stack.aws, stack.oidc_outputs["rollback_role_arns"][STAGE], sub=subject)
    call = calls_by_boto3(lambda service: stack.aws.client(service, credentials))
    assert set(roll_back(call, "emulated", print, name)) == {FUNCTION}
    assert live(stack) == before
    with pytest.raises(CallFailed, match="AccessDenied"):
        call("lambda", "update_function_code", FunctionName=FUNCTION, ZipFile=b"")
    with pytest.raises(CallFailed, match="AccessDenied"):
        call("codedeploy", "stop_deployment", deploymentId="d-000000001")

"""Deploys the stage once for all tests of this folder. They run in one worker, in the order of their files.

whole_life/ changes the stage and ends it. It runs last, or in another worker, with a stage of its own.
"""

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deployed.alarms import Alarms, stop_clock
from deployed.functions import AUTHORIZER, FUNCTION, role_of, set_protected
from deployed.settings import SETTINGS
from targets import UrlApi
from token_admin import TokenAdmin

from emulator.emulated_aws import CannotDeploy
from emulator.stack import STAGE, Stack

NOT_DEPLOYED = pytest.StashKey[bool]()

PROBE = """
import os
import boto3
from botocore.exceptions import ClientError

def app(event, context):
    client = boto3.client(event["service"])
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except ClientError as exc:
        return exc.response["Error"]["Code"]
    return "done"

authorizer = app
"""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test without Terraform, or after a failed deployment: the first test that needed it has the reason."""
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not on the PATH: nothing is deployed to the emulated AWS")
    if item.session.stash.get(NOT_DEPLOYED, False):
        pytest.skip("the stage was not deployed; the first error of this folder has the reason")


@pytest.fixture(name="stack", scope="session")
def _stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The deployed stage. Its deploy role deploys it as `dev`. Then a person protects it as `prod`."""
    stack = Stack(tmp_path_factory.mktemp("aws"))
    try:
        stack.copy_project()
        stack.settings.update(SETTINGS)
        stack.ignores_alarms = True  # tests raise alarms, and stop the clock that ends them
        stack.package()
        stack.aws.start()
        stop_clock(stack.aws)
        set_protected(stack, STAGE, False)
        set_protected(stack, "prod", True)  # so that oidc/ makes prod's backups
        stack.deploy()
        set_protected(stack, STAGE, True)
        stack.deploy()
    except CannotDeploy as exc:
        request.session.stash[NOT_DEPLOYED] = True
        stack.aws.stop()
        pytest.fail(f"The stage was not deployed: {exc}", pytrace=False)
    yield stack
    stack.aws.stop()


@pytest.fixture(name="url_api", scope="session")
def _url_api(stack: Stack) -> UrlApi:
    """The deployed API, called with a token that has both scopes."""
    return UrlApi(stack.api_url(), stack.token())


@pytest.fixture(name="bare_api", scope="session")
def _bare_api(stack: Stack) -> UrlApi:
    """The deployed API, called without a token unless a test gives one."""
    return UrlApi(stack.api_url())


@pytest.fixture(name="admin", scope="session")
def _admin(stack: Stack) -> TokenAdmin:
    """The administration of the stage's tokens."""
    return stack.token_admin()


@pytest.fixture(name="alarms", scope="session")
def _alarms(stack: Stack) -> Alarms:
    """The alarms of the stage. Their messages go to a queue until the stage is destroyed."""
    return Alarms(stack.aws)


@pytest.fixture(name="probe", scope="module")
def _probe(stack: Stack) -> Iterator[Callable[..., str]]:
    """Makes a call of AWS from inside the API's function or authorizer, or from another function with its role.

    It returns "done" or the code of AWS's error. It changes only the functions' newest code. API Gateway calls their
    published versions.
    """
    functions = stack.aws.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", PROBE)
    for function in (FUNCTION, AUTHORIZER):
        functions.update_function_code(FunctionName=function, ZipFile=code.getvalue())
        functions.create_function(
            FunctionName=f"other-{function}", Runtime=f"python3.{sys.version_info[1]}", Role=role_of(stack, function),
            Handler="app.app", Timeout=30, Code={"ZipFile": code.getvalue()},
        )  # fmt: skip
        for name in (function, f"other-{function}"):
            functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def call(function: str, service: str, operation: str, **parameters: Any) -> str:
        event = {"service": service, "operation": operation, "parameters": parameters}
        response = functions.invoke(FunctionName=function, Payload=json.dumps(event))
        result = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, result
        return result

    yield call
    for function in (FUNCTION, AUTHORIZER):
        functions.update_function_code(FunctionName=function, ZipFile=(stack.root / "deployment.zip").read_bytes())
        functions.delete_function(FunctionName=f"other-{function}")

"""A stage for the tests of `make shift` and `make rollback`: functions and deployment groups, without Terraform."""

import io
import itertools
import json
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any

import rollback
import shift
from aws_calls import Call, CallFailed, calls_by_boto3
from traffic import Data, Function, functions_of

from emulator.clock import PATH
from emulator.emulated_aws import EmulatedAws

API, AUTHORIZER = "event-api-dev", "event-api-dev-authorizer"
ALARM = "event-api-dev-test"
ACCOUNT = "123456789012"
ALL_AT_ONCE, CANARY = "CodeDeployDefault.LambdaAllAtOnce", "CodeDeployDefault.LambdaCanary10Percent5Minutes"
ALL_EVENTS = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
HANDLER = "def app(event, context): return context.function_version"
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["codedeploy.amazonaws.com"]}}
SHIFTS = {
    "Effect": "Allow", "Action": ["lambda:GetAlias", "lambda:UpdateAlias", "cloudwatch:DescribeAlarms"], "Resource": "*"
}  # fmt: skip
codes = itertools.count()


def document(statement: dict[str, Any]) -> str:
    """Return a policy with one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Stage:
    """Two functions with an alias and a deployment group each, and an alarm."""

    def __init__(self, aws: EmulatedAws) -> None:
        self.aws = aws
        self.lambdas, self.code_deploy = aws.client("lambda"), aws.client("codedeploy")
        self.call: Call = calls_by_boto3(aws.client)
        self.lines: list[str] = []
        self._cloudwatch, iam = aws.client("cloudwatch"), aws.client("iam")
        iam.create_role(RoleName="codedeploy", AssumeRolePolicyDocument=document(TRUST))
        iam.put_role_policy(RoleName="codedeploy", PolicyName="shifts", PolicyDocument=document(SHIFTS))
        self._cloudwatch.put_metric_alarm(
            AlarmName=ALARM, Namespace="test", MetricName="test", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold", TreatMissingData="notBreaching",
        )  # fmt: skip
        self.code_deploy.create_application(applicationName=API, computePlatform="Lambda")
        for name in (API, AUTHORIZER):
            self.lambdas.create_function(
                FunctionName=name, Runtime=f"python3.{sys.version_info[1]}", Handler="app.app", Publish=True,
                Role=f"arn:aws:iam::{ACCOUNT}:role/codedeploy", Code={"ZipFile": zipped()},
            )  # fmt: skip
            self.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
            self.code_deploy.create_deployment_group(
                applicationName=API, deploymentGroupName=name, deploymentConfigName=ALL_AT_ONCE,
                serviceRoleArn=f"arn:aws:iam::{ACCOUNT}:role/codedeploy",
                deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
                autoRollbackConfiguration={"enabled": True, "events": ALL_EVENTS},
                alarmConfiguration={"enabled": True, "alarms": [{"name": ALARM}]},
            )  # fmt: skip

    def functions(self) -> list[Function]:
        """Return both functions."""
        return functions_of(self.call, "emulated", self.lines.append, 0.05)

    def publish(self, *names: str) -> None:
        """Publish a new version of functions."""
        for name in names:
            self.lambdas.update_function_code(FunctionName=name, ZipFile=zipped(), Publish=True)

    def publish_with(self, name: str, **variables: str) -> None:
        """Publish a new version of a function that has these environment variables."""
        self.lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        self.publish(name)

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a function's newest deployment."""
        found = self.code_deploy.list_deployments(applicationName=API, deploymentGroupName=name)["deployments"]
        return dict(self.code_deploy.get_deployment(deploymentId=found[0])["deploymentInfo"])

    def live(self) -> tuple[int, int]:
        """Return the versions of both aliases. All traffic must go to them."""
        aliases = [function.alias() for function in self.functions()]
        assert [alias.weights for alias in aliases] == [{}, {}]
        return int(aliases[0].version), int(aliases[1].version)

    def newest(self) -> tuple[int, int]:
        """Return the newest versions of both functions."""
        api, authorizer = (max(function.versions()) for function in self.functions())
        return api, authorizer

    def configure(self, config: str) -> None:
        """Choose how the traffic of both groups shifts."""
        for name in (API, AUTHORIZER):
            self.code_deploy.update_deployment_group(
                applicationName=API, currentDeploymentGroupName=name, deploymentConfigName=config
            )

    def raise_alarm(self, state: str = "ALARM") -> None:
        """Set the alarm's state."""
        self._cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="The test says so.")

    def set_clock(self, now: float | None) -> None:
        """Set the clock of the emulated AWS, in seconds; None is the real time."""
        body = json.dumps({"now": now}).encode()
        request = urllib.request.Request(f"{self.aws.endpoint}{PATH}", body, method="PUT")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60):
            pass

    def shift(self, when_canary: Callable[[], None] | None = None, **options: Any) -> str | None:
        """Run `make shift`. Do something when the first traffic goes to a new version."""

        def report(line: str) -> None:
            nonlocal when_canary
            self.lines.append(line)
            if when_canary and "10% to version" in line:
                act, when_canary = when_canary, None
                act()

        self.lines.clear()
        return shift.shift(self.call, "emulated", report, **options)

    def start(self, name: str) -> str:
        """Start a deployment to a function's newest version, as a `make shift` that is killed then. Return its id."""
        (function,) = [function for function in self.functions() if function.name == name]
        release = shift.planned([function], "2026-01-31T09:30:00.000Z")[name]
        return function.start(release, with_alarms=True)

    def roll_back(self, release: str | None = None, table: str | None = None, shards: int = 0) -> set[str]:
        """Run `make rollback`. Return the functions that went back."""
        self.lines.clear()
        return set(rollback.roll_back(self.call, "emulated", self.lines.append, release, Data(table, shards)))

    def call_without(self, refused: str, reason: str) -> Call:
        """Return the calls of somebody for whom AWS refuses one operation."""

        def call(service: str, operation: str, **members: Any) -> dict[str, Any]:
            if operation == refused:
                raise CallFailed(f"{operation} failed: {reason}")
            return self.call(service, operation, **members)

        return call

    def call_after_a_look_at(self, deployment: str) -> Call:
        """Return the calls of somebody who saw a deployment run, just before it ended."""
        seen = [deployment]

        def call(service: str, operation: str, **members: Any) -> dict[str, Any]:
            if operation == "list_deployments" and "InProgress" in members.get("includeOnlyStatuses", ()) and seen:
                return {"deployments": [seen.pop()]}
            return self.call(service, operation, **members)

        return call


def zipped() -> bytes:
    """Return a function's code. Each is different, so that Lambda publishes it."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", f"{HANDLER}  # {next(codes)}")
    return code.getvalue()

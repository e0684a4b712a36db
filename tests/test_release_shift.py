"""`make shift` and `make rollback`, on functions and deployment groups of the emulated AWS, without Terraform."""

import io
import itertools
import json
import os
import sys
import time
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rollback
import shift
from aws_calls import Call, CallFailed, call_by_cli, calls_by_boto3
from traffic import Function, ReleaseFailed, functions_of

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

    def roll_back(self, release: str | None = None) -> set[str]:
        """Run `make rollback`. Return the functions that went back."""
        self.lines.clear()
        return set(rollback.roll_back(self.call, "emulated", self.lines.append, release))


def zipped() -> bytes:
    """Return a function's code. Each is different, so that Lambda publishes it."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", f"{HANDLER}  # {next(codes)}")
    return code.getvalue()


@pytest.fixture(name="running_stage", scope="module")
def _running_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage on the emulated AWS."""
    aws = EmulatedAws(tmp_path_factory.mktemp("aws"), "ap-southeast-1")
    aws.start()
    yield Stage(aws)
    aws.stop()


@pytest.fixture(name="stage")
def _stage(running_stage: Stage) -> Stage:
    """The stage, without an alarm; both newest versions are live and the traffic shifts at once."""
    running_stage.set_clock(None)
    running_stage.raise_alarm("OK")
    running_stage.configure(ALL_AT_ONCE)
    running_stage.shift()
    return running_stage


def test_first_version_needs_no_release(running_stage: Stage) -> None:
    """A new stage's aliases point to the first versions: there is nothing to shift, and no earlier version."""
    assert running_stage.live() == (1, 1)
    assert running_stage.shift() is None
    assert running_stage.lines == ["The newest versions of emulated are live already: nothing to shift."]
    with pytest.raises(ReleaseFailed, match="there is no earlier version"):
        running_stage.roll_back()


def test_release_moves_only_what_has_a_new_version(stage: Stage) -> None:
    """If only the authorizer changed, only its alias moves; a rollback moves only this one back."""
    api, authorizer = stage.live()
    stage.publish(AUTHORIZER)
    assert stage.shift()
    assert stage.live() == (api, authorizer + 1)
    assert stage.lines[-1] == f"The release is complete: {AUTHORIZER} {authorizer} to {authorizer + 1}."
    assert stage.roll_back() == {AUTHORIZER}
    assert stage.live() == (api, authorizer)


def test_canary_sends_a_tenth_of_the_traffic_to_the_new_version(stage: Stage) -> None:
    """During the shift the alias has both versions, and calls reach both. After five minutes the new one gets all."""
    stage.configure(CANARY)
    stage.set_clock(1000)
    stage.publish(API)
    before, after = stage.live()[0], stage.newest()[0]
    seen: Counter[str] = Counter()

    def during() -> None:
        (alias,) = [function.alias() for function in stage.functions() if function.name == API]
        assert alias == (str(before), {str(after): 0.1})
        routing = {"AdditionalVersionWeights": {str(after): 0.5}}  # so that few calls reach both
        stage.lambdas.update_alias(FunctionName=API, Name="live", RoutingConfig=routing)
        for _ in range(40):
            response = stage.lambdas.invoke(FunctionName=API, Qualifier="live")
            seen[json.loads(response["Payload"].read())] += 1
        stage.set_clock(1000 + 5 * 60 - 1)
        stage.set_clock(1000 + 5 * 60)

    assert stage.shift(during)
    assert seen.keys() == {str(before), str(after)}
    assert stage.live()[0] == after


def test_alarm_takes_the_whole_release_back(stage: Stage) -> None:
    """If an alarm fires, both functions go back to their previous versions. The error says why, and what to do."""
    stage.configure(CANARY)
    stage.publish(API, AUTHORIZER)
    api, authorizer = stage.live()
    with pytest.raises(ReleaseFailed) as failure:
        stage.shift(stage.raise_alarm)
    assert stage.live() == (api, authorizer)
    error = str(failure.value)
    assert error.startswith(
        "the release was rolled back, and the versions before are live: "
        f"{API} {api}, {AUTHORIZER} {authorizer}. The reason: {API}: ALARM_ACTIVE, "
    )
    assert error.endswith("shifts to the newest version again, so correct or revert the commit first")


def test_function_that_was_complete_goes_back_with_the_other(stage: Stage) -> None:
    """If one function's deployment fails, the other function goes back too, even if CodeDeploy has completed it."""
    stage.publish(API, AUTHORIZER)
    api, authorizer = stage.live()
    stage.code_deploy.update_deployment_group(
        applicationName=API, currentDeploymentGroupName=API, deploymentConfigName=CANARY
    )

    def when_authorizer_is_complete() -> None:
        while stage.functions()[1].alias() != (str(authorizer + 1), {}):
            time.sleep(0.05)
        stage.raise_alarm()

    with pytest.raises(ReleaseFailed):
        stage.shift(when_authorizer_is_complete)
    assert stage.live() == (api, authorizer)
    assert f"{AUTHORIZER}: moved back to version {authorizer}, because the release failed" in stage.lines


def test_release_during_an_alarm_needs_alarms_off(stage: Stage) -> None:
    """While an alarm is active, CodeDeploy starts no shift; with `ALARMS=off` a person can release the correction."""
    stage.publish(API)
    before, after = stage.live()[0], stage.newest()[0]
    stage.raise_alarm()
    with pytest.raises(ReleaseFailed, match="ALARM_ACTIVE"):
        stage.shift()
    assert stage.live()[0] == before
    assert stage.shift(with_alarms=False)
    assert stage.live()[0] == after


def test_running_release_is_waited_for(stage: Stage) -> None:
    """If the job of a release was killed, or a second push comes, `make shift` waits for the end, then goes on."""
    stage.configure(CANARY)
    stage.set_clock(1000)
    stage.publish(API)
    running = stage.start(API)
    stage.publish(API)
    stage.configure(ALL_AT_ONCE)
    assert stage.shift(lambda: stage.set_clock(1000 + 5 * 60))
    assert stage.lines[0] == f"{API}: the deployment {running} is still running; waiting for its end"
    assert stage.live() == stage.newest()


def test_rollback_stops_a_running_release(stage: Stage) -> None:
    """A rollback during a shift stops it: the previous versions get all traffic."""
    stage.configure(CANARY)
    stage.publish(API, AUTHORIZER)
    before = stage.live()
    running = [stage.start(name) for name in (API, AUTHORIZER)]
    assert stage.roll_back() == {API, AUTHORIZER}
    assert stage.live() == before
    assert [stage.code_deploy.get_deployment(deploymentId=name)["deploymentInfo"]["status"] for name in running] == [
        "Stopped", "Stopped",
    ]  # fmt: skip


def test_rollback_goes_back_release_by_release(stage: Stage) -> None:
    """Each rollback goes back one release that was live. It skips versions that CodeDeploy rolled back."""
    stage.publish(API)
    stage.shift()
    first = stage.live()[0]
    stage.publish(API)
    stage.raise_alarm()
    with pytest.raises(ReleaseFailed):
        stage.shift()
    stage.raise_alarm("OK")
    stage.publish(API)
    stage.shift()
    assert stage.live()[0] == first + 2
    stage.roll_back()
    assert stage.live()[0] == first
    stage.roll_back()
    assert stage.live()[0] == first - 1
    assert stage.shift() and stage.live() == stage.newest()
    stage.roll_back()  # the last release came from another version than the first one to this version
    assert stage.live()[0] == first - 1


def test_only_the_named_release_is_rolled_back(stage: Stage) -> None:
    """The workflow names its release. If that release is not live, nothing moves."""
    stage.publish(API)
    release = stage.shift()
    live = stage.live()
    assert stage.roll_back("2026-01-31T09:30:00.000Z") == set()
    assert stage.lines == ["The release 2026-01-31T09:30:00.000Z is not live: nothing to roll back."]
    assert stage.live() == live
    assert stage.roll_back(release) == {API}
    assert stage.roll_back(release) == set()


def test_code_deploy_needs_its_own_role(stage: Stage) -> None:
    """CodeDeploy shifts with its service role: without its permission the release fails, and nothing moves."""
    iam, live = stage.aws.client("iam"), stage.live()
    stage.publish(API)
    iam.delete_role_policy(RoleName="codedeploy", PolicyName="shifts")
    try:
        with pytest.raises(ReleaseFailed, match="IAM_ROLE_PERMISSIONS"):
            stage.shift()
    finally:
        iam.put_role_policy(RoleName="codedeploy", PolicyName="shifts", PolicyDocument=document(SHIFTS))
    assert stage.live() == live


def test_refused_call_is_one_sentence(stage: Stage) -> None:
    """A call that AWS refuses is reported with its name and AWS's reason."""
    with pytest.raises(CallFailed, match=r"^get_alias failed: .*ResourceNotFoundException.*[^.]$"):
        stage.call("lambda", "get_alias", FunctionName="other", Name="live")


FAKE_AWS = """#!{python}
import json, sys
print(json.dumps({{"arguments": sys.argv[1:]}})) if "fail" not in sys.argv[-1] else sys.exit("An error\\n occurred.")
"""


def test_workflow_makes_the_same_calls_with_the_aws_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without packages, the AWS CLI makes each call: with its own names, and members as JSON."""
    program = tmp_path / "aws"
    program.write_text(FAKE_AWS.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert call_by_cli("codedeploy", "get_deployment", deploymentId="d-1")["arguments"] == [
        "deploy", "get-deployment", "--output", "json", "--cli-input-json", '{"deploymentId": "d-1"}',
    ]  # fmt: skip
    with pytest.raises(CallFailed, match="^get_alias failed: An error occurred$"):
        call_by_cli("lambda", "get_alias", Name="fail")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CallFailed, match="the AWS CLI is not installed"):
        call_by_cli("lambda", "get_alias")


@pytest.mark.parametrize("program", [shift, rollback])
def test_unknown_stage_is_refused(program: Any) -> None:
    """A stage that does not exist is one sentence, before any call."""
    with pytest.raises(SystemExit, match="there is no stage local; the stages are emulated, "):
        program.main("local")


def test_commands_work_on_the_emulated_stage(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make shift` prints the release's name alone; `make rollback` says what the next deployment does."""
    monkeypatch.setenv("LOCAL_AWS_DIR", str(stage.aws.folder))
    stage.publish(API)
    shift.main("emulated")
    release = capsys.readouterr().out.strip()
    rollback.main("emulated", release)
    *_, last = capsys.readouterr().out.splitlines()
    assert last == (
        f"The release {release} of emulated is rolled back. The next deployment shifts to the newest version again: "
        "correct or revert the commit before you push."
    )
    stage.raise_alarm()
    with pytest.raises(SystemExit, match="^make shift: the release was rolled back"):
        shift.main("emulated")
    monkeypatch.setenv("LOCAL_AWS_DIR", "nowhere")
    for program in (shift, rollback):
        with pytest.raises(SystemExit, match="the stage emulated does not run: start it with `make deploy-local`.$"):
            program.main("emulated")

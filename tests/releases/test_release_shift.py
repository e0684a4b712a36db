"""`make shift` and `make rollback`, on functions and deployment groups of the emulated AWS, without Terraform."""

import json
import time
from collections import Counter
from typing import Any

import pytest
import rollback
import shift
from aws_calls import CallFailed
from releases.stage import ALL_AT_ONCE, API, AUTHORIZER, CANARY, SHIFTS, Stage, document
from traffic import ReleaseFailed


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


def test_named_release_is_rolled_back_during_the_next_one(stage: Stage) -> None:
    """The running release is stopped, and does not hide the one that is live."""
    before = stage.live()
    stage.publish(API)
    release = stage.shift()
    stage.configure(CANARY)
    stage.publish(API)
    stage.start(API)
    assert stage.roll_back(release) == {API}
    assert stage.live() == before


def test_release_that_failed_is_not_rolled_back_twice(stage: Stage) -> None:
    """If CodeDeploy took the last release back, a rollback says so and moves nothing. A name goes back further."""
    stage.publish(API)
    before = stage.live()
    good = stage.shift()
    stage.publish(API, AUTHORIZER)
    live = stage.live()
    stage.raise_alarm()
    with pytest.raises(ReleaseFailed):
        stage.shift()
    assert stage.roll_back() == set()
    (line,) = stage.lines
    assert f"was taken back already, and the versions before it are live: {API} {live[0]}, {AUTHORIZER} " in line
    assert line.endswith(f"to before the release {good}: make rollback STAGE=emulated RELEASE={good}")
    assert stage.live() == live
    assert stage.roll_back(good) == {API}
    assert stage.live() == before


def test_rollback_waits_for_the_rollback_of_code_deploy(stage: Stage) -> None:
    """A deployment by which CodeDeploy takes a release back is not stopped: it moves the traffic back."""
    stage.publish(API)
    live = stage.live()
    stage.raise_alarm()
    with pytest.raises(ReleaseFailed):
        stage.shift()
    own = stage.deployment(API)
    assert own["creator"] == "codeDeployRollback"
    call, lines = stage.call_after_a_look_at(own["deploymentId"]), stage.lines
    lines.clear()
    assert not rollback.roll_back(call, "emulated", lines.append)
    assert lines[0] == f"{API}: CodeDeploy takes a release back ({own['deploymentId']}); waiting for its end"
    assert "was taken back already" in lines[1]
    assert stage.live() == live


def test_release_that_ends_before_the_stop_is_rolled_back(stage: Stage) -> None:
    """A deployment may end between the look at it and the stop: AWS refuses to stop it, and the rollback goes on."""
    live = stage.live()
    stage.publish(API)
    stage.shift()
    call = stage.call_after_a_look_at(stage.deployment(API)["deploymentId"])
    assert rollback.roll_back(call, "emulated", stage.lines.append).keys() == {API}
    assert stage.live() == live


def test_only_what_the_release_started_is_taken_back(stage: Stage) -> None:
    """If a second function's deployment cannot start, the first one runs to its end and goes back. Others stay."""
    live = stage.live()
    stage.publish(API, AUTHORIZER)
    newest = stage.newest()

    def call(service: str, operation: str, **members: Any) -> dict[str, Any]:
        if operation == "create_deployment" and members["deploymentGroupName"] == AUTHORIZER:
            stage.functions()[1].move(str(newest[1]))  # another release was faster
            raise CallFailed("create_deployment failed: already has an active Deployment")
        return stage.call(service, operation, **members)

    lines: list[str] = []
    with pytest.raises(ReleaseFailed, match=f"are live: {API} {live[0]}. The reason: {AUTHORIZER}: "):
        shift.shift(call, "emulated", lines.append)
    assert f"{API}: the deployment runs to its end. Then the release goes back" in lines
    assert stage.live() == (live[0], newest[1])


def test_release_goes_on_if_aws_does_not_respond(stage: Stage) -> None:
    """The error says that CodeDeploy continues, and what stops it."""
    stage.publish(API)
    text = "^get_deployment failed: no route. CodeDeploy continues with .*; `make rollback STAGE=emulated` stops it"
    with pytest.raises(ReleaseFailed, match=text):
        shift.shift(stage.call_without("get_deployment", "no route"), "emulated", stage.lines.append)


def test_release_that_cannot_start_moves_nothing(stage: Stage) -> None:
    """If no deployment could start, the error does not say that something was rolled back."""
    stage.publish(API)
    call = stage.call_without("create_deployment", "already has an active Deployment")
    with pytest.raises(ReleaseFailed, match=f"^the release did not start, and no traffic moved. The reason: {API}: "):
        shift.shift(call, "emulated", stage.lines.append)


@pytest.mark.parametrize("alarms", ["of", "OFF", "false"])
def test_unknown_value_of_alarms_is_refused(alarms: str) -> None:
    """A mistyped `ALARMS=off` does not release with the alarms."""
    with pytest.raises(SystemExit, match=f"^make shift: ALARMS={alarms} is neither on nor off"):
        shift.main("emulated", alarms)


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

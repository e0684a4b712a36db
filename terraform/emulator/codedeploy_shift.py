"""A deployment of the emulated CodeDeploy: it shifts an alias to another version, and back if an alarm fires.

Its waiting time follows the clock that a test can set. It checks the alarms each time before it checks the clock.
"""

import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from .clock import CLOCK
from .responses import service

FINAL = ("Succeeded", "Failed", "Stopped")
POLL_SECONDS = 0.3  # between two checks of the alarms
SERVICE = "codedeploy.amazonaws.com"
CANARY, LINEAR = "TimeBasedCanary", "TimeBasedLinear"


def canary(percentage: int, minutes: int) -> dict[str, Any]:
    """Return the routing that shifts some of the traffic, waits, and shifts the rest."""
    return {"type": CANARY, "timeBasedCanary": {"canaryPercentage": percentage, "canaryInterval": minutes}}


def linear(percentage: int, minutes: int) -> dict[str, Any]:
    """Return the routing that shifts the same part of the traffic again and again."""
    return {"type": LINEAR, "timeBasedLinear": {"linearPercentage": percentage, "linearInterval": minutes}}


# https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
DEFAULT_CONFIGS: dict[str, dict[str, Any]] = {
    "CodeDeployDefault.LambdaAllAtOnce": {"type": "AllAtOnce"},
    **{f"CodeDeployDefault.LambdaCanary10Percent{m}Minutes": canary(10, m) for m in (5, 10, 15, 30)},
    "CodeDeployDefault.LambdaLinear10PercentEvery1Minute": linear(10, 1),
    **{f"CodeDeployDefault.LambdaLinear10PercentEvery{m}Minutes": linear(10, m) for m in (2, 3, 10)},
}


class Interrupted(Exception):
    """Raised when a deployment must stop: its status, and AWS's code and message."""


class Deployment:
    """One deployment. It runs in a thread of its own."""

    def __init__(
        self, name: str, members: dict[str, Any], routing: dict[str, Any], group: dict[str, Any], endpoint: str
    ) -> None:
        self.info: dict[str, Any] = {
            **{key: value for key, value in members.items() if not key.startswith("override")},
            "deploymentId": name, "status": "Created", "creator": "user", "createTime": time.time(),
            "computePlatform": "Lambda", "deploymentStyle": group["deploymentStyle"],
        }  # fmt: skip
        self.on_rollback: Callable[[Deployment], None]
        self._routing, self._group, self._endpoint = routing, group, endpoint
        self._stopped = threading.Event()
        self._rollback_on_stop: bool | None = None

    def start(self) -> None:
        """Run the deployment."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self, rollback: bool | None) -> None:
        """End the deployment early. The group says whether it goes back, unless the call says so."""
        self._rollback_on_stop = rollback
        self._stopped.set()

    def _run(self) -> None:
        self.info["status"] = "InProgress"
        try:
            alias = function_of(self.info["revision"])
            self._shift(alias)
            status, error = "Succeeded", {}
        except Interrupted as exc:
            status, code, message = exc.args
            error = {"errorInformation": {"code": code, "message": message}}
            if self._goes_back(code):
                self._roll_back(alias)
        except ClientError as exc:
            status = "Failed"
            error = {"errorInformation": {"code": "IAM_ROLE_PERMISSIONS", "message": str(exc)}}
            if self._goes_back(""):
                self._roll_back(alias)
        self.info.update(error, completeTime=time.time())
        self.info["status"] = status  # last: a caller who sees a final status also sees the rest

    def _goes_back(self, code: str) -> bool:
        events = {"ALARM_ACTIVE": "DEPLOYMENT_STOP_ON_ALARM", "MANUAL_STOP": "DEPLOYMENT_STOP_ON_REQUEST"}
        if code == "MANUAL_STOP" and self._rollback_on_stop is not None:
            return self._rollback_on_stop
        settings = self._group.get("autoRollbackConfiguration") or {}
        return bool(settings.get("enabled")) and events.get(code, "DEPLOYMENT_FAILURE") in settings["events"]

    def _shift(self, alias: dict[str, str]) -> None:
        """Shift the alias. Raises Interrupted."""
        found = self._client("lambda").get_alias(FunctionName=alias["Name"], Name=alias["Alias"])
        if found["FunctionVersion"] != alias["CurrentVersion"]:
            message = f"The alias points to version {found['FunctionVersion']}, not to {alias['CurrentVersion']}."
            raise Interrupted("Failed", "INVALID_LAMBDA_CONFIGURATION", message)
        self._check()
        if self._routing["type"] == CANARY:
            self._set(alias, self._routing["timeBasedCanary"]["canaryPercentage"])
            self._wait(self._routing["timeBasedCanary"]["canaryInterval"])
        if self._routing["type"] == LINEAR:
            step = self._routing["timeBasedLinear"]["linearPercentage"]
            for percentage in range(step, 100, step):
                self._set(alias, percentage)
                self._wait(self._routing["timeBasedLinear"]["linearInterval"])
        self._set(alias, 100)

    def _wait(self, minutes: int) -> None:
        end = CLOCK.time() + minutes * 60
        while True:
            self._check()
            if CLOCK.time() >= end:
                return
            self._stopped.wait(POLL_SECONDS)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted("Stopped", "MANUAL_STOP", "The deployment was stopped.")
        settings = self.info.get("alarmConfiguration") or {}
        names = [alarm["name"] for alarm in settings.get("alarms", [])] if settings.get("enabled") else []
        if not names:
            return
        found = self._client("cloudwatch").describe_alarms(AlarmNames=names, StateValue="ALARM")["MetricAlarms"]
        if found:
            active = ", ".join(sorted(alarm["AlarmName"] for alarm in found))
            raise Interrupted("Stopped", "ALARM_ACTIVE", f"One or more alarms have been activated: {active}.")

    def _set(self, alias: dict[str, str], percentage: int) -> None:
        """Route a percentage of the traffic to the target version, and the rest to the current one."""
        complete = percentage == 100
        weights = {} if complete else {alias["TargetVersion"]: percentage / 100}
        self._client("lambda").update_alias(
            FunctionName=alias["Name"], Name=alias["Alias"],
            FunctionVersion=alias["TargetVersion"] if complete else alias["CurrentVersion"],
            RoutingConfig={"AdditionalVersionWeights": weights},
        )  # fmt: skip

    def _roll_back(self, alias: dict[str, str]) -> None:
        """Move the alias back, as a deployment of its own."""
        members = {**self.info, "description": f"Rollback of {self.info['deploymentId']}"}
        rollback = Deployment("", members, {"type": "AllAtOnce"}, self._group, self._endpoint)
        rollback.info["creator"] = "codeDeployRollback"
        self.on_rollback(rollback)
        self.info["rollbackInfo"] = {"rollbackDeploymentId": rollback.info["deploymentId"]}
        try:
            self._set({**alias, "TargetVersion": alias["CurrentVersion"]}, 100)
            rollback.info["status"] = "Succeeded"
        except (ClientError, Interrupted) as exc:
            rollback.info["errorInformation"] = {"code": "IAM_ROLE_PERMISSIONS", "message": str(exc)}
            rollback.info["status"] = "Failed"

    def _client(self, name: str) -> Any:
        region = self._group["region"]
        return client_of(name, self._group["serviceRoleArn"], self._endpoint, region)


def function_of(revision: dict[str, Any]) -> dict[str, str]:
    """Return the name, alias and versions of the only function in a revision's AppSpec."""
    (resource,) = json.loads(revision["appSpecContent"]["content"])["Resources"]
    ((_, function),) = resource.items()
    return dict(function["Properties"])


@functools.cache
def client_of(name: str, role_arn: str, endpoint: str, region: str) -> Any:
    """Return a client with the permissions of a service role that trusts CodeDeploy. Raises Interrupted."""
    # pylint: disable=protected-access  # ministack's own state is read
    role = service("iam")._roles.get(role_arn.rpartition("/")[2])
    if role is None or SERVICE not in json.dumps(role["AssumeRolePolicyDocument"]):
        raise Interrupted("Failed", "IAM_ROLE_MISSING", f"CodeDeploy cannot assume the role {role_arn}.")
    session = hashlib.sha256(role_arn.encode()).hexdigest().upper()
    account, role_name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    service("sts").register_session(f"ASIA{session[:16]}", {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/codedeploy", "UserId": f"{role_name}:codedeploy",
        "SecretAccessKey": session, "SessionToken": session,
    })  # fmt: skip
    return boto3.client(
        name, endpoint_url=endpoint, region_name=region, aws_access_key_id=f"ASIA{session[:16]}",
        aws_secret_access_key=session, aws_session_token=session,
    )  # fmt: skip

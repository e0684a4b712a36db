"""Adds CodeDeploy for Lambda to the emulated AWS: applications, deployment groups, and deployments that shift an alias.

A deployment calls Lambda and CloudWatch over HTTP with its group's service role, so IAM decides what it may do. It
checks the alarms before and while it waits. Hooks, triggers and other compute platforms are not emulated.
"""

import functools
import itertools
import json
import re
import time
from importlib import import_module
from typing import Any

from .callers import caller_of, refusal
from .codedeploy_shift import DEFAULT_CONFIGS, FINAL, Deployment
from .responses import Response, error_response, json_response, operation_of

NAME = "codedeploy"


class Refused(Exception):
    """Raised when a call is refused: the code of AWS's error, and a message."""


class CodeDeploy:
    """The service. Its state ends with the process."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._applications: dict[str, dict[str, Any]] = {}
        self._groups: dict[tuple[str, str], dict[str, Any]] = {}
        self._deployments: dict[str, Deployment] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count(1)

    def register(self) -> None:
        """Let ministack route CodeDeploy's calls to this module, and first check the permission for each call."""
        app, router, actions = (
            import_module(f"ministack.{name}") for name in ("app", "core.router", "core.iam_actions")
        )
        router.SERVICE_PATTERNS[NAME] = {"target_prefixes": ["CodeDeploy_20141006"], "credential_scope": NAME}
        actions.SERVICE_TO_IAM_NAMESPACE[NAME] = NAME
        app.SERVICE_HANDLERS[NAME] = self.handle_request

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any
    ) -> Response:
        """Handle a call."""
        del method, path
        operation, members = operation_of(headers), json.loads(body or b"{}")
        handle = getattr(self, re.sub("(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if handle is None or not operation:
            return error_response("InvalidOperation", f"The emulated CodeDeploy does not know {operation}.", 400)
        check = functools.partial(self._check, caller_of(headers, query))
        try:
            return json_response(handle(members, check) if operation in CHECKED else handle(members))
        except Refused as exc:
            return error_response(*exc.args, 400)

    @staticmethod
    def _check(caller: Any, action: str, resource: str, context: dict[str, str] | None = None) -> None:
        if message := refusal(caller, action, resource, context):
            raise Refused("AccessDeniedException", message)

    def resource_of(self, operation: str, members: dict[str, Any], region_and_account: str) -> str:
        """Return the ARN that a call needs a permission on, as AWS's service authorization reference says."""
        if operation in ("ListTagsForResource", "TagResource", "UntagResource"):
            return str(members["ResourceArn"])
        if operation == "GetDeployment" and members["deploymentId"] in self._deployments:
            members = self._deployments[members["deploymentId"]].info
        group = members.get("deploymentGroupName") or members.get("currentDeploymentGroupName")
        if group:
            return group_arn(region_and_account, members["applicationName"], group)
        if "applicationName" in members:
            return application_arn(region_and_account, members["applicationName"])
        if "deploymentConfigName" in members:
            return config_arn(region_and_account, members["deploymentConfigName"])
        return "*"  # for StopDeployment and others

    # Applications

    def create_application(self, members: dict[str, Any]) -> dict[str, Any]:
        """Create an application for Lambda."""
        name = members["applicationName"]
        if name in self._applications:
            raise Refused("ApplicationAlreadyExistsException", f"An application {name} already exists.")
        if members.get("computePlatform") != "Lambda":
            raise Refused("InvalidComputePlatformException", "The emulated CodeDeploy knows only Lambda.")
        self._applications[name] = {
            "applicationId": f"application-{name}", "applicationName": name, "computePlatform": "Lambda",
            "createTime": time.time(), "linkedToGitHub": False,
        }  # fmt: skip
        self._set_tags(application_arn(here(), name), members.get("tags"))
        return {"applicationId": f"application-{name}"}

    def get_application(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return an application."""
        return {"application": self._application(members)}

    def delete_application(self, members: dict[str, Any]) -> dict[str, Any]:
        """Delete an application and its groups."""
        name = members["applicationName"]
        self._applications.pop(name, None)
        self._groups = {key: group for key, group in self._groups.items() if key[0] != name}
        return {}

    def _application(self, members: dict[str, Any]) -> dict[str, Any]:
        name = members["applicationName"]
        if name not in self._applications:
            raise Refused("ApplicationDoesNotExistException", f"No application found for name: {name}")
        return self._applications[name]

    # Deployment groups

    def create_deployment_group(self, members: dict[str, Any], check: Any) -> dict[str, Any]:
        """Create a group."""
        application = self._application(members)["applicationName"]
        name = members["deploymentGroupName"]
        if (application, name) in self._groups:
            raise Refused("DeploymentGroupAlreadyExistsException", f"A group {name} already exists.")
        group = {"deploymentGroupId": f"group-{name}", "computePlatform": "Lambda", **members}
        self._set_tags(group_arn(here(), application, name), group.pop("tags", None))
        self._groups[application, name] = self._valid(group, check)
        return {"deploymentGroupId": group["deploymentGroupId"]}

    def update_deployment_group(self, members: dict[str, Any], check: Any) -> dict[str, Any]:
        """Change a group's settings."""
        changes = {key: value for key, value in members.items() if key != "currentDeploymentGroupName"}
        group = self._group({**members, "deploymentGroupName": members["currentDeploymentGroupName"]})
        group.update(self._valid({**group, **changes}, check if "serviceRoleArn" in members else None))
        return {"hooksNotCleanedUp": []}

    def _valid(self, group: dict[str, Any], check: Any) -> dict[str, Any]:
        """Return a group if its settings are valid, and the caller may pass its role. Raises Refused."""
        config_of(group["deploymentConfigName"])
        style = group.get("deploymentStyle")
        if style != {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}:
            raise Refused("InvalidDeploymentStyleException", "For Lambda, use BLUE_GREEN and WITH_TRAFFIC_CONTROL.")
        if check:
            check("iam:PassRole", group["serviceRoleArn"], {"iam:passedtoservice": "codedeploy.amazonaws.com"})
        return group

    def get_deployment_group(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return a group."""
        return {"deploymentGroupInfo": self._group(members)}

    def delete_deployment_group(self, members: dict[str, Any]) -> dict[str, Any]:
        """Delete a group."""
        self._groups.pop((members["applicationName"], members["deploymentGroupName"]), None)
        return {"hooksNotCleanedUp": []}

    def _group(self, members: dict[str, Any]) -> dict[str, Any]:
        self._application(members)
        key = members["applicationName"], members["deploymentGroupName"]
        if key not in self._groups:
            raise Refused("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {key[1]}")
        return self._groups[key]

    # Deployments

    def create_deployment(self, members: dict[str, Any], check: Any) -> dict[str, Any]:
        """Start a deployment of one function. A group has one at a time."""
        group = self._group(members)
        name = members.get("deploymentConfigName") or group["deploymentConfigName"]
        check("codedeploy:RegisterApplicationRevision", application_arn(here(), members["applicationName"]))
        check("codedeploy:GetDeploymentConfig", config_arn(here(), name))
        for other in self._of_group(members):
            if other.info["status"] not in FINAL:
                message = f"The Deployment Group '{group['deploymentGroupName']}' already has an active Deployment"
                raise Refused("DeploymentLimitExceededException", f"{message} '{other.info['deploymentId']}'")
        members = {"alarmConfiguration": group.get("alarmConfiguration"), **members, "deploymentConfigName": name}
        if "overrideAlarmConfiguration" in members:
            members["alarmConfiguration"] = members["overrideAlarmConfiguration"]
        deployment = Deployment(self._new_id(), members, config_of(name), group | {"region": region()}, self._endpoint)
        self._deployments[deployment.info["deploymentId"]] = deployment
        deployment.on_rollback = self._add_rollback
        deployment.start()
        return {"deploymentId": deployment.info["deploymentId"]}

    def _new_id(self) -> str:
        return f"d-{next(self._numbers):09}"

    def _add_rollback(self, rollback: Deployment) -> None:
        rollback.info["deploymentId"] = self._new_id()
        self._deployments[rollback.info["deploymentId"]] = rollback

    def get_deployment(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return a deployment."""
        return {"deploymentInfo": self._deployment(members).info}

    def stop_deployment(self, members: dict[str, Any]) -> dict[str, Any]:
        """Stop a deployment; it goes back if the group or the call says so."""
        deployment = self._deployment(members)
        if deployment.info["status"] in FINAL:
            raise Refused("DeploymentAlreadyCompletedException", "The deployment has ended.")
        deployment.stop(members.get("autoRollbackEnabled"))
        return {"status": "Pending", "statusMessage": "The deployment will be stopped."}

    def list_deployments(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return the ids of a group's deployments, the newest first."""
        self._group(members)
        wanted = members.get("includeOnlyStatuses")
        start = (members.get("createTimeRange") or {}).get("start", 0)
        found = [
            deployment.info["deploymentId"] for deployment in self._of_group(members)
            if (not wanted or deployment.info["status"] in wanted) and deployment.info["createTime"] >= start
        ]  # fmt: skip
        return {"deployments": found[::-1]}

    def _of_group(self, members: dict[str, Any]) -> list[Deployment]:
        names = ("applicationName", "deploymentGroupName")
        return [
            deployment for deployment in list(self._deployments.values())
            if all(deployment.info[name] == members[name] for name in names)
        ]  # fmt: skip

    def _deployment(self, members: dict[str, Any]) -> Deployment:
        name = members["deploymentId"]
        if name not in self._deployments:
            raise Refused("DeploymentDoesNotExistException", f"The deployment {name} could not be found")
        return self._deployments[name]

    # Tags

    def list_tags_for_resource(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return a resource's tags."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tags[members["ResourceArn"]].items()]}

    def tag_resource(self, members: dict[str, Any]) -> dict[str, Any]:
        """Set tags."""
        self._set_tags(members["ResourceArn"], members["Tags"])
        return {}

    def untag_resource(self, members: dict[str, Any]) -> dict[str, Any]:
        """Remove tags."""
        for key in members["TagKeys"]:
            self._tags[members["ResourceArn"]].pop(key, None)
        return {}

    def _set_tags(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        self._tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags or []})


CHECKED = ("CreateDeploymentGroup", "UpdateDeploymentGroup", "CreateDeployment")  # calls that need more permissions


def config_of(name: str) -> dict[str, Any]:
    """Return the routing of one of AWS's own deployment configurations. Raises Refused."""
    if name not in DEFAULT_CONFIGS:
        raise Refused("DeploymentConfigDoesNotExistException", f"No deployment configuration {name}")
    return DEFAULT_CONFIGS[name]


def region() -> str:
    """Return the region of the present call."""
    return str(import_module("ministack.core.responses").get_region())


def here() -> str:
    """Return the region and account of the present call, as in an ARN."""
    return f"{region()}:{import_module('ministack.core.responses').get_account_id()}"


def application_arn(region_and_account: str, name: str) -> str:
    """Return an application's ARN."""
    return f"arn:aws:codedeploy:{region_and_account}:application:{name}"


def group_arn(region_and_account: str, application: str, name: str) -> str:
    """Return a deployment group's ARN."""
    return f"arn:aws:codedeploy:{region_and_account}:deploymentgroup:{application}/{name}"


def config_arn(region_and_account: str, name: str) -> str:
    """Return a deployment configuration's ARN."""
    return f"arn:aws:codedeploy:{region_and_account}:deploymentconfig:{name}"

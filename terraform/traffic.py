"""The traffic of a stage's two functions: their versions, the alias `live`, and the deployments that shift it.

A release is what one `make shift` starts: at most one deployment for each function. The deployments' descriptions have
the release's name and both versions, so that a rollback finds the previous version.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aws_calls import Call, CallFailed

STAGES = Path(__file__).resolve().parent / "stages"
ALIAS = "live"
TABLE_NAME, INDEX_SHARDS = "TABLE_NAME", "INDEX_SHARDS"  # environment variables of the API's function
AT_ONCE = "CodeDeployDefault.LambdaAllAtOnce"
POLL_SECONDS = 5.0  # between two checks of a running deployment
RUNNING = ("Created", "Queued", "InProgress", "Baking", "Ready")  # all states of CodeDeploy except the final ones
DESCRIPTION = re.compile(r"Release (?P<release>\S+): version (?P<before>\d+) to (?P<after>\d+)")

Report = Callable[[str], None]


class ReleaseFailed(Exception):
    """Raised when a release or a rollback fails; the text says which versions are live, and what to do."""


class Release(NamedTuple):
    """A release of one function: the release's name, and the versions before and after."""

    name: str
    before: str
    after: str


class Alias(NamedTuple):
    """Where an alias points: its version, and the share of other versions (0 to 1)."""

    version: str
    weights: dict[str, float]


class Ended(NamedTuple):
    """A deployment that has ended: its id, and AWS's reason if it did not succeed."""

    deployment: str
    fault: str | None


class Data(NamedTuple):
    """Where a version keeps events: the table, and the number of shards of each index."""

    table: str | None
    shards: int

    def __str__(self) -> str:
        return f"the table {self.table} with {self.shards} shard{'' if self.shards == 1 else 's'}"


class Function:
    """A function of a stage. CodeDeploy's application has the API's name, and a deployment group the function's."""

    def __init__(self, call: Call, application: str, name: str, report: Report, pause: float) -> None:
        self.name = name
        self._call, self._report, self._pause = call, report, pause
        self._alias = {"FunctionName": name, "Name": ALIAS}
        self._group = {"applicationName": application, "deploymentGroupName": name}

    def versions(self) -> dict[int, str]:
        """Return when each published version was published, by its number."""
        versions: dict[int, str] = {}
        marker: dict[str, str] = {}
        while True:
            page = self._call("lambda", "list_versions_by_function", FunctionName=self.name, **marker)
            numbers = [found for found in page["Versions"] if found["Version"] != "$LATEST"]
            versions.update({int(found["Version"]): found["LastModified"] for found in numbers})
            if not page.get("NextMarker"):
                return versions
            marker = {"Marker": page["NextMarker"]}

    def alias(self) -> Alias:
        """Return where the alias points."""
        found = self._call("lambda", "get_alias", **self._alias)
        return Alias(found["FunctionVersion"], (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})

    def data(self, version: str) -> Data:
        """Return where a version keeps events; the table is None if it uses none. Raises ReleaseFailed."""
        found = self._call("lambda", "get_function_configuration", FunctionName=self.name, Qualifier=version)
        environment = found.get("Environment") or {}
        if error := environment.get("Error"):  # AWS then leaves the variables out
            raise ReleaseFailed(
                f"AWS does not show the environment of {self.name}, version {version}: {error.get('Message')}. "
                "Without it, nobody knows which table the version uses. Use credentials that may decrypt with the "
                "stage's key"
            )
        variables = environment.get("Variables", {})
        return Data(variables.get(TABLE_NAME), int(variables.get(INDEX_SHARDS, "1")))

    def move(self, version: str) -> None:
        """Send all traffic to a version at once."""
        routing = {"AdditionalVersionWeights": {}}
        self._call("lambda", "update_alias", **self._alias, FunctionVersion=version, RoutingConfig=routing)

    def start(self, release: Release, with_alarms: bool, at_once: bool = False) -> str:
        """Start the deployment of a release, as the group says or at once. Return its id."""
        properties = {
            "Name": self.name, "Alias": ALIAS, "CurrentVersion": release.before, "TargetVersion": release.after,
        }  # fmt: skip
        resource = {"function": {"Type": "AWS::Lambda::Function", "Properties": properties}}
        content = json.dumps({"version": 0.0, "Resources": [resource]})
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}
        description = f"Release {release.name}: version {release.before} to {release.after}"
        options: dict[str, Any] = {}
        if not with_alarms:
            options["overrideAlarmConfiguration"] = {"enabled": False, "alarms": []}
        if at_once:
            options["deploymentConfigName"] = AT_ONCE
        created = self._call(
            "codedeploy", "create_deployment", **self._group, revision=revision, description=description, **options
        )
        return str(created["deploymentId"])

    def running(self) -> str | None:
        """Return the id of the running deployment. A group has at most one."""
        return next(iter(self._deployments(includeOnlyStatuses=list(RUNNING))), None)

    def arrival(self) -> Release | None:
        """Return the release that moved the alias to its version; None if that is the stage's first version."""
        version = self.alias().version
        # A deployment starts after its version was published, so older deployments need no check.
        published = self.versions()[int(version)]
        found = self._deployments(includeOnlyStatuses=["Succeeded"], createTimeRange={"start": published})
        releases = [release for name in found if (release := self.release_of(name)) and release.after == version]
        return max(releases, default=None)

    def latest(self) -> tuple[Release, bool] | None:
        """Return the latest release of this function, and whether its deployment failed or was stopped.

        None if the function had no release since its live version was published.
        """
        published = self.versions()[int(self.alias().version)]
        found = self._deployments(createTimeRange={"start": published})
        infos = [self._info(name) for name in found]
        ended = [(release, info["status"] in ("Failed", "Stopped")) for info in infos if (release := released(info))]
        return max(ended, default=None)

    def release_of(self, deployment: str) -> Release | None:
        """Return the release that a deployment belongs to; None if CodeDeploy or somebody else made it."""
        return released(self._info(deployment))

    def is_rollback(self, deployment: str) -> bool:
        """Tell whether CodeDeploy made a deployment to take another one back."""
        return bool(self._info(deployment)["creator"] == "codeDeployRollback")

    def wait(self, deployment: str) -> Ended:
        """Wait for the end of a deployment, and of the rollback that it may cause; report how the traffic moves."""
        shown = None
        while (info := self._info(deployment))["status"] in RUNNING:
            if (alias := self.alias()) != shown:
                self._report(f"{self.name}: {described(alias)}")
                shown = alias
            time.sleep(self._pause)
        if rollback := (info.get("rollbackInfo") or {}).get("rollbackDeploymentId"):
            self.wait(rollback)
        if info["status"] == "Succeeded":
            return Ended(deployment, None)
        error = info.get("errorInformation") or {}
        return Ended(deployment, f"{error.get('code', info['status'])}, {error.get('message', 'no message')}")

    def stop(self, deployment: str) -> None:
        """Stop a deployment, and wait until its traffic is back."""
        try:
            self._call("codedeploy", "stop_deployment", deploymentId=deployment, autoRollbackEnabled=True)
        except CallFailed as exc:
            if "DeploymentAlreadyCompletedException" not in str(exc):  # it has ended since the caller looked
                raise
        self.wait(deployment)

    def _info(self, deployment: str) -> dict[str, Any]:
        return dict(self._call("codedeploy", "get_deployment", deploymentId=deployment)["deploymentInfo"])

    def _deployments(self, **filters: Any) -> list[str]:
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("codedeploy", "list_deployments", **self._group, **filters, **token)
            found += page["deployments"]
            if not page.get("nextToken"):
                return found
            token = {"nextToken": page["nextToken"]}


def released(info: dict[str, Any]) -> Release | None:
    """Return the release that a deployment's description names; None if CodeDeploy or somebody else made it."""
    found = DESCRIPTION.fullmatch(info.get("description") or "")
    return Release(*found.groups()) if found and info["creator"] == "user" else None


class DataChange(NamedTuple):
    """A function whose version before a release keeps events elsewhere than the version after it."""

    function: str
    release: Release
    before: Data
    after: Data


def data_changes(functions: list[Function], releases: dict[str, Release]) -> Iterator[DataChange]:
    """Yield the changes of table or shards in the releases, which are by function's name. Raises ReleaseFailed."""
    for function in functions:
        if release := releases.get(function.name):
            change = DataChange(function.name, release, function.data(release.before), function.data(release.after))
            if change.before != change.after:
                yield change


def functions_of(call: Call, stage: str, report: Report, pause: float | None = None) -> list[Function]:
    """Return the functions of a stage. The emulated stage has the names of `dev`."""
    emulated = stage == "emulated"
    pause = pause if pause is not None else 0.2 if emulated else POLL_SECONDS
    api = f"event-api-{'dev' if emulated else stage}"
    return [Function(call, api, name, report, pause) for name in (api, f"{api}-authorizer")]


def stage_names() -> list[str]:
    """Return the names of the stages that have functions at AWS, and the emulated stage's."""
    return ["emulated", *sorted(path.stem for path in STAGES.glob("*.tfvars"))]


def described(alias: Alias) -> str:
    """Return in words where the traffic goes."""
    others = [f"{share:.0%} to version {version}" for version, share in alias.weights.items()]
    return ", ".join([f"the traffic goes to version {alias.version}", *others])


def moves(releases: dict[str, Release]) -> str:
    """Return in words the versions before and after, for each function of a release."""
    return ", ".join(f"{name} {release.before} to {release.after}" for name, release in releases.items())

"""The restore drill: restores the events of a stage on an emulated AWS, with the commands of docs/operations.md.

In each part, the drill fails if the API does not return every event that it acknowledged.
"""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import restore_cli

from traffic import ALIAS, TABLE_NAME

from .emulated_aws import ADMIN
from .stack import STAGE, Stack, release

EVENTS, RESTORED = "events", "events-restored"
COUNT = 10  # events of a batch; each list of the drill has one page

Acknowledged = dict[str, str]  # id of an event => its `created_at`


class DrillFailed(Exception):
    """Raised when the API does not return an acknowledged event, or a restored table has wrong settings."""


class RestoreDrill:
    """One drill on a deployed stage. Each step prints what it does and how long it took."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._url, self._token = stack.api_url(), stack.token()
        self._type = f"drill.d{uuid.uuid4().hex}"
        self._subject = f"drills/{self._type}"
        self._start = datetime.now(UTC).isoformat()
        self.acknowledged: Acknowledged = {}  # all events that the drill has stored

    def run(self) -> None:
        """Restore the table, let the API use it, copy missing events, and switch back. Raises DrillFailed."""
        with step(f"POST /events: {COUNT} events, then the time to restore, then {COUNT} events"):
            before = self.store()
            at = end_of_this_second()
            after = self.store()
        restore = f"AT={datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.command("restore-events", f"FROM={EVENTS}", f"TO={RESTORED}", restore)
        self.use(RESTORED, EVENTS)
        with step("Check: the API has the events before the time, and none after it"):
            self.check(before)
            self.check_absent(after)
            self.check_settings()
        with step(f"POST /events: {COUNT} events while the API uses the restored table"):
            self.store()
        self.command("copy-events", f"FROM={EVENTS}", f"TO={RESTORED}", "LIFT_POLICY=1")
        self.check_all()
        self.command("copy-events", f"FROM={RESTORED}", f"TO={EVENTS}", "LIFT_POLICY=1")
        self.use(EVENTS, RESTORED)
        self.command("copy-events", f"FROM={RESTORED}", f"TO={EVENTS}", "LIFT_POLICY=1")
        self.check_all()
        self.check_settings()

    def let_terraform_delete(self) -> None:
        """End the deletion protection of the restored table. The next apply deletes the table."""
        table = f"event-api-{STAGE}-{RESTORED}"
        self._stack.aws.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=False)
        self._stack.settings["events_tables"] = json.dumps([EVENTS])

    def command(self, name: str, *variables: str) -> None:
        """Run a command of the runbook, with the stage on the emulated AWS."""
        folder = str(self._stack.folder)
        with step(f"make {name} STAGE=emulated {' '.join(variables)}"), environment(LOCAL_AWS_DIR=folder):
            restore_cli.main([name, "--stage", "emulated", *options(variables)])

    def use(self, first: str, second: str) -> None:
        """Let the API use the first of two tables. It does from the shift on."""
        setting = json.dumps([first, second])
        with step(f"events_tables = {setting}, terraform apply"):
            self._stack.settings["events_tables"] = setting
            self._stack.apply(ADMIN, shifts=False)
        self.check_live(second)
        with step("make shift STAGE=emulated"):
            release(self._stack.aws, ADMIN, with_alarms=not self._stack.ignores_alarms)
        self.check_live(first)

    def check_live(self, table: str) -> None:
        """Raises DrillFailed unless the version that the API runs uses this table."""
        found = self._stack.aws.client("lambda").get_function_configuration(
            FunctionName=f"event-api-{STAGE}", Qualifier=ALIAS
        )["Environment"]["Variables"][TABLE_NAME]
        if found != f"event-api-{STAGE}-{table}":
            raise DrillFailed(f"the API uses the table {found}, not event-api-{STAGE}-{table}.")

    def store(self) -> Acknowledged:
        """Store a batch of events. Return what the API acknowledged. Raises DrillFailed."""
        event = {"type": self._type, "subject": self._subject, "payload": {"drill": True}}
        status, body = self.request("POST", "/events", [event] * COUNT)
        results = body.get("results", [])
        if status != 207 or any(result["status"] != 201 for result in results):
            raise DrillFailed(f"the API did not store a batch: {status} {json.dumps(body)}")
        stored = {result["id"]: result["created_at"] for result in results}
        self.acknowledged |= stored
        return stored

    def check_all(self) -> None:
        """Check all events that the API has acknowledged. Raises DrillFailed."""
        with step(f"Check: the API has all {len(self.acknowledged)} events"):
            self.check(self.acknowledged)

    def check(self, events: Acknowledged) -> None:
        """Raises DrillFailed unless the API returns these events, by their ids and in each kind of list."""
        filters = ({"type": self._type}, {"subject": self._subject}, {"from": self._start})
        lists = [{event["id"]: event["created_at"] for event in self.list(**parameters)} for parameters in filters]
        for event_id, created_at in events.items():
            status, event = self.request("GET", f"/events/{event_id}")
            if (status, event.get("created_at")) != (200, created_at):
                raise DrillFailed(f"an acknowledged event is missing: GET /events/{event_id} returned {status}.")
            for parameters, listed in zip(filters, lists, strict=True):
                if listed.get(event_id) != created_at:
                    raise DrillFailed(f"the acknowledged event {event_id} is missing in the list of {parameters}.")

    def check_absent(self, events: Acknowledged) -> None:
        """Raises DrillFailed if the API returns one of these events."""
        for event_id in events:
            if self.request("GET", f"/events/{event_id}")[0] != 404:
                raise DrillFailed(f"the event {event_id} is there, but it was stored after the time of the restore.")

    def list(self, **parameters: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a list. Raises DrillFailed."""
        cursor: dict[str, str] = {}
        while True:
            query = urllib.parse.urlencode({**parameters, **cursor, "limit": "100"})
            status, page = self.request("GET", f"/events?{query}")
            if status != 200:
                raise DrillFailed(f"GET /events?{query} returned {status}.")
            yield from page["events"]
            if not page["has_more"]:
                return
            cursor = {"cursor": page["cursor"]}

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request to the API. Return the status and the body of its response."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def check_settings(self) -> None:
        """Raises DrillFailed unless the restored table has the settings that AWS does not restore."""
        table, restored = (self.settings_of(f"event-api-{STAGE}-{name}") for name in (EVENTS, RESTORED))
        if different := sorted(name for name in table if table[name] != restored[name]):
            raise DrillFailed(f"the restored table differs from the table in {', '.join(different)}.")

    def settings_of(self, table: str) -> dict[str, Any]:
        """Return the settings that both tables must have."""
        client = self._stack.aws.client("dynamodb")
        found = client.describe_table(TableName=table)["Table"]
        arn = found["TableArn"]
        try:
            policy = client.get_resource_policy(ResourceArn=arn)["Policy"].replace(arn, "TABLE")
        except client.exceptions.PolicyNotFoundException:
            policy = None
        backups = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        indexes = found["GlobalSecondaryIndexes"]
        return {
            "the indexes": sorted((index["IndexName"], str(index["Projection"])) for index in indexes),
            "the key": found.get("SSEDescription"),
            "the caps": found.get("OnDemandThroughput"),
            "time to live": client.describe_time_to_live(TableName=table)["TimeToLiveDescription"],
            "recovery": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
            "the tags": sorted(tag["Key"] for tag in client.list_tags_of_resource(ResourceArn=arn)["Tags"]),
            "the policy": policy,
        }


def end_of_this_second() -> int:
    """Wait for the end of this second, and return it (epoch seconds): the time of a restore has no fractions."""
    end = int(time.time()) + 1
    while time.time() <= end:
        time.sleep(0.01)
    return end


def options(variables: tuple[str, ...]) -> Iterator[str]:
    """Yield the options that the Makefile makes from its variables."""
    for variable in variables:
        name, _, value = variable.partition("=")
        yield f"--{name.lower().replace('_', '-')}"
        if name != "LIFT_POLICY":
            yield value


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set variables of the environment for a while."""
    old = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def step(description: str) -> Iterator[None]:
    """Print what a step does and how long it took."""
    print(description, flush=True)
    start = time.monotonic()
    yield
    print(f"  done in {time.monotonic() - start:.1f} s", flush=True)

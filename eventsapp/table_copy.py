"""Restores a table to a point in time, and copies items that are missing in another table. Not shipped."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from table_pace import Pace, consumed, pace_of, units_of

EVENT_KEY = "pk"  # the key of a table of events; a table of tokens has another
SEGMENTS = 8  # parts of a table that are read at the same time
ITEMS_PER_READ = 100  # DynamoDB's limit for BatchGetItem
FIRST_UNITS = 25  # that reading this many items takes, until the first read says how many: 1 KB for each
POLICY_SECONDS = 120  # how long DynamoDB may still apply a policy that was removed

Item = dict[str, Any]


class TableCopyError(Exception):
    """Raised when a table cannot be restored or copied; says what to do."""


class Comparison(NamedTuple):
    """The differences between the items of two tables."""

    missing: int  # items that were missing in the other table, without expired items
    equal: int
    different: list[str]  # the keys of items that differ

    def __add__(self, other: tuple[Any, ...]) -> "Comparison":
        return Comparison(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NONE, MISSING, EQUAL = Comparison(0, 0, []), Comparison(1, 0, []), Comparison(0, 1, [])


def restore(client: BaseClient, source: str, target: str, at: datetime | None) -> None:
    """Restore a table to a new one, as it was at a time (None: the latest possible), and wait until it is usable.

    The new table uses the source's KMS key. Raises TableCopyError.
    """
    description = client.describe_table(TableName=source)["Table"]
    encryption = description.get("SSEDescription", {})
    options: dict[str, Any] = {"RestoreDateTime": at} if at else {"UseLatestRestorableTime": True}
    if key := encryption.get("KMSMasterKeyArn"):
        options["SSESpecificationOverride"] = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    try:
        client.restore_table_to_point_in_time(SourceTableName=source, TargetTableName=target, **options)
        # At most a day. A restore takes at least some minutes on AWS.
        client.get_waiter("table_exists").wait(TableName=target, WaiterConfig={"Delay": 5, "MaxAttempts": 17_280})
    except client.exceptions.TableAlreadyExistsException as exc:
        raise TableCopyError(f"the table {target} exists: delete it first, if nothing uses it.") from exc
    except client.exceptions.InvalidRestoreTimeException as exc:
        raise TableCopyError(
            f"{source} cannot be restored to this time: `aws dynamodb describe-continuous-backups --table-name "
            f"{source}` prints the earliest and the latest time."
        ) from exc
    except WaiterError as exc:
        if "Error" not in exc.last_response:
            text = f"the restore to {target} has not ended after a day: look at it in the console."
            raise TableCopyError(text) from exc
        raise TableCopyError(
            f"AWS does not say whether the restore to {target} has ended: {exc.last_response['Error'].get('Message')}. "
            f"It goes on. Log in if you must, then wait for it: aws dynamodb wait table-exists --table-name {target}"
        ) from exc


class Paces(NamedTuple):
    """How fast a copy scans the source, and reads and writes the target."""

    scans: Pace
    reads: Pace
    writes: Pace


class TablePair:
    """A source table, and a target table that may lack some of its items. Both have the same key."""

    def __init__(self, client: BaseClient, source: str, target: str, units: float | None = None) -> None:
        """Use at most so many units a second of each table; without a number, a share of what the tables permit."""
        self._client, self._source, self._target = client, source, target
        described = [client.describe_table(TableName=name)["Table"] for name in (source, target)]
        self._key = described[0]["KeySchema"][0]["AttributeName"]
        kinds = zip((*described, described[1]), ("Read", "Read", "Write"), strict=True)
        self._paces = Paces(*(Pace(pace_of(description, kind, units)) for description, kind in kinds))
        self._failed = threading.Event()
        self._has_events = self._key == EVENT_KEY

    def limits(self) -> str:
        """Return in words how much of the tables' capacity a comparison or a copy uses."""
        return (
            f"Using at most {self._paces.scans.rate:g} read units a second of {self._source}, and "
            f"{self._paces.reads.rate:g} read units and {self._paces.writes.rate:g} write units of {self._target} ..."
        )

    def compare(self) -> Comparison:
        """Compare all items of the source to those of the target. Write nothing."""
        return self._for_all_items(lambda item: MISSING)

    def copy_missing(self, lift_policy: bool = False) -> Comparison:
        """Copy the items that the target lacks, with every attribute. Change no item of the target but expired events.

        With `lift_policy`, remove the target's policy before, and set it again after. Raises TableCopyError.
        """
        with self._without_policy() if lift_policy else contextlib.nullcontext():
            deadline = time.monotonic() + POLICY_SECONDS if lift_policy else None
            return self._for_all_items(lambda item: self._put(item, deadline))

    def _put(self, item: Item, deadline: float | None) -> Comparison:
        """Store an item unless the target has it. Until the deadline, the removed policy may still be applied."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(#k)"}
        if self._has_events:
            condition["ConditionExpression"] += " OR expires_at <= :now"
            condition["ExpressionAttributeValues"] = {":now": {"N": str(int(time.time()))}}
        while True:
            try:
                self._paces.writes.call(
                    self._client.put_item, units_of(item, "Write"), TableName=self._target, Item=item,
                    ExpressionAttributeNames={"#k": self._key}, ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **condition,
                )  # fmt: skip
                return MISSING
            except self._client.exceptions.ConditionalCheckFailedException as exc:
                return self._compared(item, exc.response["Item"])  # the API has stored it in the meantime
            except ClientError as exc:
                if exc.response["Error"]["Code"] != "AccessDeniedException":
                    raise
                if deadline is None or time.monotonic() >= deadline:
                    raise self._refused(exc, deadline is not None) from exc
            time.sleep(2)

    def _refused(self, exc: ClientError, is_lifted: bool) -> TableCopyError:
        reason = f"AWS refuses to write to {self._target}: {exc.response['Error'].get('Message')}"
        if is_lifted:
            return TableCopyError(
                f"{reason}. The table has had no policy for {POLICY_SECONDS} seconds, so another rule refuses it: look "
                "at the permissions of your credentials, and at the policies of your AWS organization."
            )
        return TableCopyError(
            f"{reason}. In a protected stage, the table's policy refuses it: add LIFT_POLICY=1, which removes the "
            "policy during the copy."
        )

    @contextlib.contextmanager
    def _without_policy(self) -> Iterator[None]:
        """Remove the target's policy, and set it again at the end."""
        arn = self._client.describe_table(TableName=self._target)["Table"]["TableArn"]
        try:
            policy = self._client.get_resource_policy(ResourceArn=arn)["Policy"]
        except self._client.exceptions.PolicyNotFoundException:
            yield
            return
        self._client.delete_resource_policy(ResourceArn=arn)
        try:
            yield
        finally:
            try:
                self._client.put_resource_policy(ResourceArn=arn, Policy=policy)
            except (BotoCoreError, ClientError) as exc:
                raise TableCopyError(
                    f"the policy of {self._target} is missing: run `make plan` and `make apply` now, with credentials "
                    f"that are valid. Until then, stored events can be changed. AWS did not set it again: {exc}"
                ) from exc

    def _for_all_items(self, on_missing: Callable[[Item], Comparison]) -> Comparison:
        """Compare the tables, and call a function with each item that the target lacks."""
        self._failed.clear()

        def compare(number: int) -> Comparison:
            try:
                return self._compare_segment(number, on_missing)
            except BaseException:
                self._failed.set()  # the other threads end, too
                raise

        with ThreadPoolExecutor(SEGMENTS) as threads:
            try:
                return sum(threads.map(compare, range(SEGMENTS)), NONE)
            except KeyboardInterrupt:
                self._failed.set()
                raise

    def _compare_segment(self, number: int, on_missing: Callable[[Item], Comparison]) -> Comparison:
        """Compare a part of the source to the target."""
        found, units = NONE, float(FIRST_UNITS)
        start: dict[str, Any] = {}
        while not self._failed.is_set():
            page = self._paces.scans.call(
                self._client.scan, units, TableName=self._source, ConsistentRead=True, Segment=number,
                TotalSegments=SEGMENTS, Limit=ITEMS_PER_READ, **start,
            )  # fmt: skip
            units = consumed(page)
            items = self._without_expired_events(page["Items"])
            present = self._present(items)
            for item in items:
                if self._failed.is_set():
                    break
                other = present.get(item[self._key]["S"])
                found += on_missing(item) if other is None else self._compared(item, other)
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return found

    def _without_expired_events(self, items: list[Item]) -> list[Item]:
        """Return items without expired events. DynamoDB deletes these days later, and it keeps tokens."""
        return [item for item in items if not self._has_events or not is_expired(item)]

    def _compared(self, item: Item, other: Item) -> Comparison:
        """Return how two items with the same key compare."""
        return EQUAL if item == other else Comparison(0, 0, [item[self._key]["S"]])

    def _present(self, items: list[Item]) -> dict[str, Item]:
        """Return the target's items with the keys of these items."""
        present: dict[str, Item] = {}
        keys = [{self._key: item[self._key]} for item in items]
        wanted: dict[str, Any] = {self._target: {"Keys": keys, "ConsistentRead": True}} if keys else {}
        units = sum(units_of(item, "Read") for item in items)
        while wanted:
            response = self._paces.reads.call(self._client.batch_get_item, units, RequestItems=wanted)
            found = response["Responses"].get(self._target, [])
            present.update((item[self._key]["S"], item) for item in self._without_expired_events(found))
            wanted = response["UnprocessedKeys"]  # a response has at most 16 MB; the rest comes with the next one
            if wanted and not found:
                time.sleep(1)  # DynamoDB throttles the reads
        return present


def is_expired(item: Item) -> bool:
    """Tell whether the retention of an event has ended."""
    return "expires_at" in item and int(item["expires_at"]["N"]) <= time.time()

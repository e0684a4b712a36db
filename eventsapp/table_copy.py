"""Restores a table to a point in time, and copies items that are missing in another table. Not shipped."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

from botocore.client import BaseClient
from botocore.exceptions import ClientError, WaiterError

SEGMENTS = 8  # parts of a table that are read at the same time
KEYS_PER_READ = 100  # DynamoDB's limit for BatchGetItem
POLICY_SECONDS = 120  # DynamoDB may still apply a removed policy for this time

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
        raise TableCopyError(f"the restore to {target} has not ended after a day: look at it in the console.") from exc


class TablePair:
    """A source table, and a target table that may lack some of its items. Both have the same key."""

    def __init__(self, client: BaseClient, source: str, target: str) -> None:
        """Raises TableCopyError."""
        self._client, self._source, self._target = client, source, target
        schemas = [client.describe_table(TableName=name)["Table"]["KeySchema"] for name in (source, target)]
        if schemas[0] != schemas[1]:
            raise TableCopyError(f"{source} and {target} have different keys: copy events to events, tokens to tokens.")
        self._key = schemas[0][0]["AttributeName"]

    def compare(self) -> Comparison:
        """Compare all items of the source to those of the target. Write nothing."""
        return self._for_all_items(lambda item: None)

    def copy_missing(self, lift_policy: bool = False) -> Comparison:
        """Copy the items that the target lacks, with every attribute. Never change an item of the target.

        With `lift_policy`, remove the target's policy before, and set it again after. Raises TableCopyError.
        """
        with self._without_policy() if lift_policy else contextlib.nullcontext():
            deadline = time.monotonic() + POLICY_SECONDS if lift_policy else 0.0
            return self._for_all_items(lambda item: self._put(item, deadline))

    def _put(self, item: Item, deadline: float) -> None:
        """Store an item unless the target has it. Until the deadline, the removed policy may still be applied."""
        while True:
            try:
                self._client.put_item(
                    TableName=self._target, Item=item, ConditionExpression="attribute_not_exists(#k)",
                    ExpressionAttributeNames={"#k": self._key},
                )  # fmt: skip
                return
            except self._client.exceptions.ConditionalCheckFailedException:
                return  # the API has stored it in the meantime
            except ClientError as exc:
                if exc.response["Error"]["Code"] != "AccessDeniedException":
                    raise
                if time.monotonic() >= deadline:
                    raise TableCopyError(
                        f"AWS refuses to write to {self._target}: {exc.response['Error'].get('Message')}. In a "
                        "protected stage, the table's policy refuses it: add LIFT_POLICY=1, which removes the policy "
                        "during the copy."
                    ) from exc
            time.sleep(2)

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
            self._client.put_resource_policy(ResourceArn=arn, Policy=policy)

    def _for_all_items(self, on_missing: Callable[[Item], None]) -> Comparison:
        """Compare the tables, and call a function with each item that the target lacks."""
        with ThreadPoolExecutor(SEGMENTS) as threads:
            found = threads.map(lambda number: self._compare_segment(number, on_missing), range(SEGMENTS))
            return sum(found, Comparison(0, 0, []))

    def _compare_segment(self, number: int, on_missing: Callable[[Item], None]) -> Comparison:
        """Compare a part of the source, without the expired items: DynamoDB deletes them days later."""
        found = Comparison(0, 0, [])
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._source, ConsistentRead=True, Segment=number, TotalSegments=SEGMENTS
        )
        for page in pages:
            items = {item[self._key]["S"]: item for item in page["Items"] if not is_expired(item)}
            keys = list(items)
            for start in range(0, len(keys), KEYS_PER_READ):
                chunk = keys[start : start + KEYS_PER_READ]
                present = self._present(chunk)
                for key in chunk:
                    if key not in present:
                        on_missing(items[key])
                        found += (1, 0, [])
                    else:
                        found += (0, 1, []) if present[key] == items[key] else (0, 0, [key])
        return found

    def _present(self, keys: list[str]) -> dict[str, Item]:
        """Return the target's items with these keys."""
        present: dict[str, Item] = {}
        wanted: dict[str, Any] = {
            self._target: {"Keys": [{self._key: {"S": key}} for key in keys], "ConsistentRead": True}
        }
        while wanted:
            response = self._client.batch_get_item(RequestItems=wanted)
            items = response["Responses"].get(self._target, [])
            present.update((item[self._key]["S"], item) for item in items)
            wanted = response["UnprocessedKeys"]  # a response has at most 16 MB; the rest comes with the next one
            if wanted and not items:
                time.sleep(1)  # DynamoDB throttles the reads
        return present


def is_expired(item: Item) -> bool:
    """Tell whether the retention of an item has ended."""
    return "expires_at" in item and int(item["expires_at"]["N"]) <= time.time()

"""Restores a table to a point in time, and copies the items that a table lacks from another one. Not shipped."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from botocore.client import BaseClient
from botocore.exceptions import ClientError, WaiterError

SEGMENTS = 8  # parts of a table that are read at the same time
KEYS_PER_READ = 100  # DynamoDB's limit for BatchGetItem
POLICY_SECONDS = 120  # how long DynamoDB may still apply a policy that was removed

Item = dict[str, Any]


class TableCopyError(Exception):
    """Raised when a table cannot be restored or copied; says what to do."""


class Comparison(NamedTuple):
    """How the items of a table compare to those of another one with the same keys."""

    missing: int  # items that the other table lacked; expired ones are not counted
    equal: int
    different: list[str]  # the keys of items that differ

    def __add__(self, other: tuple[Any, ...]) -> "Comparison":
        return Comparison(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def restore(client: BaseClient, source: str, target: str, at: datetime | None) -> None:
    """Restore a table to a new one, as it was at a time (None: the latest possible), and wait until it is usable.

    The new table has the source's key of KMS. Raises TableCopyError.
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
        raise TableCopyError(f"the restore has not ended after a day: look at the table {target} in the console.") from exc


def compare(client: BaseClient, source: str, target: str) -> Comparison:
    """Compare all items of a table to those of another one; write nothing."""
    return _for_all_items(client, source, target, lambda item: None)


def copy_missing(client: BaseClient, source: str, target: str, lift_policy: bool = False) -> Comparison:
    """Copy the items that another table lacks, with every attribute. Never change an item that is there.

    With `lift_policy`, remove the target's policy before, and set it again after. Raises TableCopyError.
    """
    key_names = _key_names(client, source)
    condition = {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": key_names[0]}}
    with _without_policy(client, target) if lift_policy else contextlib.nullcontext():
        deadline = time.monotonic() + POLICY_SECONDS if lift_policy else 0.0

        def put(item: Item) -> None:
            while True:
                try:
                    client.put_item(TableName=target, Item=item, **condition)
                    return
                except client.exceptions.ConditionalCheckFailedException:
                    return  # the API has stored it in the meantime
                except ClientError as exc:
                    if exc.response["Error"]["Code"] != "AccessDeniedException":
                        raise
                    if time.monotonic() >= deadline:
                        raise TableCopyError(refused(target, exc)) from exc
                time.sleep(2)

        return _for_all_items(client, source, target, put)


def refused(target: str, error: ClientError) -> str:
    """Return what to do after AWS has refused to write to a table."""
    return (
        f"AWS refuses to write to {target}: {error.response['Error'].get('Message')}. In a protected stage, the "
        "table's policy refuses this: add LIFT_POLICY=1. It removes the policy during the copy."
    )


@contextlib.contextmanager
def _without_policy(client: BaseClient, table: str) -> Iterator[None]:
    """Remove a table's policy, and set it again at the end."""
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    try:
        policy = client.get_resource_policy(ResourceArn=arn)["Policy"]
    except client.exceptions.PolicyNotFoundException:
        yield
        return
    client.delete_resource_policy(ResourceArn=arn)
    try:
        yield
    finally:
        client.put_resource_policy(ResourceArn=arn, Policy=policy)


def _key_names(client: BaseClient, table: str) -> list[str]:
    return [part["AttributeName"] for part in client.describe_table(TableName=table)["Table"]["KeySchema"]]


def _for_all_items(client: BaseClient, source: str, target: str, missing: Callable[[Item], None]) -> Comparison:
    """Compare the tables, and call `missing` with each item that the target lacks."""
    key_names = _key_names(client, source)
    if _key_names(client, target) != key_names:
        raise TableCopyError(f"{source} and {target} have different keys: copy events to events, tokens to tokens.")
    segment = partial(_compare_segment, client, source, target, key_names, missing)
    with ThreadPoolExecutor(SEGMENTS) as threads:
        return sum(threads.map(segment, range(SEGMENTS)), Comparison(0, 0, []))


def _compare_segment(
    client: BaseClient, source: str, target: str, key_names: list[str], missing: Callable[[Item], None], number: int
) -> Comparison:
    """Compare a part of a table. An expired item counts as one that is not there: DynamoDB deletes it days later."""
    found = Comparison(0, 0, [])
    pages = client.get_paginator("scan").paginate(
        TableName=source, ConsistentRead=True, Segment=number, TotalSegments=SEGMENTS
    )
    for page in pages:
        items = [item for item in page["Items"] if int(item.get("expires_at", {}).get("N", 2**63)) > time.time()]
        for start in range(0, len(items), KEYS_PER_READ):
            chunk = {tuple(item[name]["S"] for name in key_names): item for item in items[start : start + KEYS_PER_READ]}
            present = _items_of(client, target, key_names, chunk)
            for key, item in chunk.items():
                if key not in present:
                    missing(item)
                    found += (1, 0, [])
                else:
                    found += (0, 1, []) if present[key] == item else (0, 0, ["/".join(key)])
    return found


def _items_of(client: BaseClient, table: str, key_names: list[str], keys: Any) -> dict[tuple[str, ...], Item]:
    """Return a table's items with some keys."""
    present: dict[tuple[str, ...], Item] = {}
    wanted = {"Keys": [{name: {"S": part} for name, part in zip(key_names, key, strict=True)} for key in keys]}
    request: dict[str, Any] = {table: {**wanted, "ConsistentRead": True}}
    while request:
        response = client.batch_get_item(RequestItems=request)
        for item in response["Responses"].get(table, []):
            present[tuple(item[name]["S"] for name in key_names)] = item
        request = response["UnprocessedKeys"]  # a response has at most 16 MB; the rest comes with the next one
        if request and not response["Responses"].get(table):
            time.sleep(1)  # DynamoDB throttles the reads
    return present

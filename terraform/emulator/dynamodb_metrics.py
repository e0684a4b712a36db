"""Publishes the metrics of the emulated DynamoDB (AWS/DynamoDB), which ministack leaves out.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
The emulated DynamoDB never throttles and has no errors of its own. A test puts such values.
"""

import json
import time
from typing import Any

from .metrics import COUNT, MILLISECONDS, record
from .responses import Response, operation_of, service

NAMESPACE = "AWS/DynamoDB"
READS, WRITES = ("BatchGetItem", "GetItem", "Query", "Scan"), ("BatchWriteItem", "DeleteItem", "PutItem", "UpdateItem")


def publish_operations() -> None:
    """Record the metrics of each operation on items."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    dynamodb = service("dynamodb")
    handle_other, add_capacity = dynamodb.handle_request, dynamodb._add_consumed_capacity
    batch_get_item = dynamodb._batch_get_item

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        operation, started = operation_of(headers), time.monotonic()
        response: Response = await handle_other(method, path, headers, body, query)
        if operation in READS + WRITES:
            publish(operation, json.loads(body), response, round((time.monotonic() - started) * 1000))
        return response

    def add_consumed_capacity(result: Any, data: Any, table: str, write: bool = False, **items: Any) -> None:
        add_capacity(result, data, table, write=write, **items)
        if write:
            consumed: dict[str, Any] = {}
            add_capacity(consumed, {**data, "ReturnConsumedCapacity": "INDEXES"}, table, write=write, **items)
            publish_writes(consumed["ConsumedCapacity"])

    dynamodb.handle_request, dynamodb._add_consumed_capacity = handle_request, add_consumed_capacity
    dynamodb._batch_get_item = lambda members: with_capacity(members, batch_get_item(members))


def with_capacity(members: dict[str, Any], response: Response) -> Response:
    """Return a BatchGetItem's response with the capacity that it consumed, which ministack leaves out."""
    status, headers, body = response
    if status != 200 or members.get("ReturnConsumedCapacity", "NONE") == "NONE":
        return response
    document = json.loads(body)
    document["ConsumedCapacity"] = [
        {"TableName": table, "CapacityUnits": read_units(sizes_of(document["Responses"].get(table, [])), request)}
        for table, request in members["RequestItems"].items()
    ]
    return status, headers, json.dumps(document, ensure_ascii=False).encode()


def publish(operation: str, members: dict[str, Any], response: Response, milliseconds: int) -> None:
    """Record the metrics of one operation."""
    status, _, body = response
    tables = list(members["RequestItems"]) if "RequestItems" in members else [members.get("TableName", "")]
    sets = [{"TableName": table, "Operation": operation} for table in tables]
    if status == 200:
        record(NAMESPACE, {"SuccessfulRequestLatency": (milliseconds, MILLISECONDS)}, sets)
        if operation in READS:
            publish_reads(members, json.loads(body))
    elif b"ConditionalCheckFailedException" in body:
        values = {"ConditionalCheckFailedRequests": (1, COUNT)}
        record(NAMESPACE, values, [{"TableName": table} for table in tables])
    elif status == 400:
        record(NAMESPACE, {"UserErrors": (1, COUNT)}, [{}])


def publish_writes(consumed: dict[str, Any]) -> None:
    """Record the write units that an operation consumed, of its table and of each global index."""
    table = {"TableName": consumed["TableName"]}
    units = {"": consumed["Table"], **consumed.get("GlobalSecondaryIndexes", {})}
    for index, capacity in units.items():
        dimensions = {**table, "GlobalSecondaryIndexName": index} if index else table
        record(NAMESPACE, {"ConsumedWriteCapacityUnits": (capacity["CapacityUnits"], COUNT)}, [dimensions])


def publish_reads(members: dict[str, Any], response: dict[str, Any]) -> None:
    """Record the read units of an operation, from the items of its response. ministack counts each one as half a unit.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    GetItem and BatchGetItem round each item up to 4 KB; Query and Scan round the sum of all items. Here the items lack
    what a filter or projection left out.
    """
    items_of = response.get("Responses", {members.get("TableName"): response.get("Items", [response.get("Item", {})])})
    index = {"GlobalSecondaryIndexName": members["IndexName"]} if "IndexName" in members else {}
    for table, items in items_of.items():
        request = members.get("RequestItems", {table: members})[table]
        sizes = sizes_of(items)
        units = read_units([sum(sizes)] if "Items" in response else sizes, request)
        record(NAMESPACE, {"ConsumedReadCapacityUnits": (units, COUNT)}, [{"TableName": table, **index}])


def sizes_of(items: list[dict[str, Any]]) -> list[int]:
    """Return the sizes of items, in bytes."""
    # pylint: disable-next=protected-access  # ministack has the rule
    return [service("dynamodb")._item_size_bytes(item) for item in items]


def read_units(sizes: list[int], request: dict[str, Any]) -> float:
    """Return the units of a read, each of whose sizes (bytes) is rounded up to 4 KB."""
    return sum(max(1, -(-size // 4096)) for size in sizes) * (1 if request.get("ConsistentRead") else 0.5)

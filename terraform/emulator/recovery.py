"""Corrects the emulated point-in-time recovery: a restored table is as its source was at that time.

ministack restores the present items, whatever the time. So each table with recovery gets a history here: one entry for
each write, with its time, the item's key and the item before. It is in memory only, and it holds no copies.
"""

import copy
import json
import time
from typing import Any, NamedTuple

from .responses import Response, error_response, service


class Change(NamedTuple):
    """A write to a table."""

    at: float  # epoch seconds
    keys: tuple[str, str]
    before: dict[str, Any] | None  # the item; None if there was none


class History(NamedTuple):
    """The writes to a table since its recovery was enabled, in their order."""

    since: float  # epoch seconds
    changes: list[Change]


def restore_to_points_in_time() -> None:
    """Record the writes to tables with recovery. Undo in a restored table those that came after its time."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    dynamodb = service("dynamodb")
    set_item, remove_item, delete_table = dynamodb._set_item, dynamodb._remove_item, dynamodb._delete_table
    update_backups, describe_backups = dynamodb._update_continuous_backups, dynamodb._describe_continuous_backups
    restore_table = dynamodb._restore_table_to_point_in_time
    histories: dict[str, History] = {}  # id of a table =>

    def record(table: dict[str, Any], partition: str, sort: str, before: dict[str, Any] | None) -> None:
        if history := histories.get(table.get("TableId", "")):
            history.changes.append(Change(time.time(), (partition, sort), before))

    def set_and_record(table: dict[str, Any], partition: str, sort: str, item: dict[str, Any]) -> Any:
        before = set_item(table, partition, sort, item)
        record(table, partition, sort, before)
        return before

    def remove_and_record(table: dict[str, Any], partition: str, sort: str) -> Any:
        before = remove_item(table, partition, sort)
        record(table, partition, sort, before)
        return before

    def history_of(name: str | None) -> History | None:
        return histories.get(dynamodb._tables.get(name, {}).get("TableId", ""))

    def update(members: dict[str, Any]) -> Response:
        response: Response = update_backups(members)
        name = members["TableName"]
        if not dynamodb._pitr_settings.get(name):
            histories.pop(dynamodb._tables.get(name, {}).get("TableId", ""), None)
        elif history_of(name) is None:
            histories[dynamodb._tables[name]["TableId"]] = History(time.time(), [])
        return response

    def describe(members: dict[str, Any]) -> Response:
        status, headers, body = describe_backups(members)
        if history := history_of(members["TableName"]):
            description = json.loads(body)
            recovery = description["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            recovery["EarliestRestorableDateTime"] = int(history.since)
            body = json.dumps(description).encode()
        return status, headers, body

    def delete(members: dict[str, Any]) -> Response:
        table = dynamodb._tables.get(members["TableName"], {})
        response: Response = delete_table(members)
        if response[0] == 200:
            histories.pop(table["TableId"], None)
        return response

    def restore(members: dict[str, Any]) -> Response:
        source, now = members.get("SourceTableName"), time.time()
        history = history_of(source)
        if history is None and source in dynamodb._tables:
            message = f"Point in time recovery is not enabled for table '{source}'"
            return error_response("PointInTimeRecoveryUnavailableException", message, 400)
        moment = now if members.get("UseLatestRestorableTime") else members.get("RestoreDateTime", 0)
        if history is not None and not int(history.since) <= moment <= now:
            return error_response("InvalidRestoreTimeException", "The time is outside of the recovery period.", 400)
        response: Response = restore_table(members)
        if response[0] == 200 and history is not None:
            restored = dynamodb._tables[members["TargetTableName"]]
            undo(restored["items"], [change for change in history.changes if change.at > moment])
            dynamodb._items_replaced(restored)
        return response

    dynamodb._set_item, dynamodb._remove_item, dynamodb._delete_table = set_and_record, remove_and_record, delete
    dynamodb._update_continuous_backups, dynamodb._describe_continuous_backups = update, describe
    dynamodb._restore_table_to_point_in_time = restore


def undo(items: dict[str, dict[str, Any]], changes: list[Change]) -> None:
    """Undo changes in a table's items, the newest first."""
    for change in reversed(changes):
        partition, sort = change.keys
        if change.before is not None:
            items.setdefault(partition, {})[sort] = copy.deepcopy(change.before)
        else:
            items.get(partition, {}).pop(sort, None)
            if not items.get(partition):
                items.pop(partition, None)

"""Corrects the emulated point-in-time recovery: a restored table is as its source was at that time.

ministack always restores the present items. So each table with recovery gets a history here: one entry for
each write, with its time, the item's key and the item before. It is in memory only, and it holds no copies.
"""

import copy
import json
import time
from typing import Any, NamedTuple

from .responses import Response, error_response, service

Members = dict[str, Any]
Item = dict[str, Any]


class Change(NamedTuple):
    """A write to a table."""

    at: float  # epoch seconds
    keys: tuple[str, str]
    before: Item | None  # None: there was no item


class History(NamedTuple):
    """The writes to a table since its recovery was enabled, in their order."""

    since: float  # epoch seconds
    changes: list[Change]


class RecordedTables:
    """ministack's tables. It records the writes to those with recovery, and undoes them in a restored table."""

    def __init__(self) -> None:
        # pylint: disable=protected-access  # ministack's own functions are corrected
        self._dynamodb = dynamodb = service("dynamodb")
        self._histories: dict[str, History] = {}  # id of a table =>
        self._set, dynamodb._set_item = dynamodb._set_item, self.set_item
        self._remove, dynamodb._remove_item = dynamodb._remove_item, self.remove_item
        self._update, dynamodb._update_continuous_backups = dynamodb._update_continuous_backups, self.update
        self._describe, dynamodb._describe_continuous_backups = dynamodb._describe_continuous_backups, self.describe
        self._restore, dynamodb._restore_table_to_point_in_time = dynamodb._restore_table_to_point_in_time, self.restore

    def _id(self, table: str | None) -> str:
        # pylint: disable-next=protected-access  # ministack's own state is read
        return str(self._dynamodb._tables.get(table, {}).get("TableId"))

    def _record(self, table: dict[str, Any], keys: tuple[str, str], before: Item | None) -> Item | None:
        if history := self._histories.get(str(table.get("TableId"))):
            history.changes.append(Change(time.time(), keys, before))
        return before

    def set_item(self, table: dict[str, Any], partition: str, sort: str, item: Item) -> Item | None:
        """Store an item."""
        return self._record(table, (partition, sort), self._set(table, partition, sort, item))

    def remove_item(self, table: dict[str, Any], partition: str, sort: str) -> Item | None:
        """Remove an item."""
        return self._record(table, (partition, sort), self._remove(table, partition, sort))

    def update(self, members: Members) -> Response:
        """Handle UpdateContinuousBackups."""
        response: Response = self._update(members)
        table = self._id(members["TableName"])
        if not self._dynamodb._pitr_settings.get(members["TableName"]):  # pylint: disable=protected-access  # as above
            self._histories.pop(table, None)
        else:
            self._histories.setdefault(table, History(time.time(), []))
        return response

    def describe(self, members: Members) -> Response:
        """Handle DescribeContinuousBackups."""
        status, headers, body = self._describe(members)
        if history := self._histories.get(self._id(members["TableName"])):
            description = json.loads(body)
            recovery = description["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            recovery["EarliestRestorableDateTime"] = int(history.since)
            body = json.dumps(description).encode()
        return status, headers, body

    def restore(self, members: Members) -> Response:
        """Handle RestoreTableToPointInTime."""
        # pylint: disable=protected-access  # ministack's own state is changed
        source, now = members.get("SourceTableName"), time.time()
        if source not in self._dynamodb._tables:
            return self._restore(members)
        history = self._histories.get(self._id(source))
        if history is None:
            message = f"Point in time recovery is not enabled for table '{source}'"
            return error_response("PointInTimeRecoveryUnavailableException", message, 400)
        at = now if members.get("UseLatestRestorableTime") else members.get("RestoreDateTime", 0)
        if not int(history.since) <= at <= now:
            return error_response("InvalidRestoreTimeException", "The time is outside of the recovery period.", 400)
        response: Response = self._restore(members)
        if response[0] == 200:
            restored = self._dynamodb._tables[members["TargetTableName"]]
            undo(restored["items"], [change for change in history.changes if change.at > at])
            self._dynamodb._items_replaced(restored)
        return response


def undo(items: dict[str, dict[str, Item]], changes: list[Change]) -> None:
    """Undo changes in a table's items, the newest first."""
    for change in reversed(changes):
        partition, sort = change.keys
        if change.before is not None:
            items.setdefault(partition, {})[sort] = copy.deepcopy(change.before)
        else:
            items.get(partition, {}).pop(sort, None)
            if not items.get(partition):
                items.pop(partition, None)

"""Speaks DynamoDB: an event is written once and read for ever, or until its retention ends. Knows no HTTP."""

import logging
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.loaders import Loader
from msgspec import UNSET, Raw, Struct

from chalicelib.event import Content, Event
from chalicelib.problem import EventNotFound, StoreUnavailable

CONNECT_TIMEOUT, READ_TIMEOUT = 1, 2  # seconds, for one attempt
DEADLINE = 9.0  # seconds: no attempt starts that could end later
ATTEMPTS = 5
FIRST_PAUSE = 0.1  # seconds; doubles with each attempt, and each pause is a random part of it
SECONDS_A_DAY = 86_400

_THROTTLES = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}

log = logging.getLogger(__name__)


class DynamoDBLoader(Loader):
    """Reads botocore's data for DynamoDB without listing its 400 other services, a tenth of a cold start."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the one service that is asked for."""
        return ["dynamodb"]


def create_client() -> BaseClient:
    """Return a DynamoDB client for an EventStore, from the environment's credentials and region. Touches no network."""
    session = botocore.session.get_session()
    session.register_component("data_loader", DynamoDBLoader())
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # The store retries by itself, since it knows how much of the deadline is left.
        retries={"mode": "standard", "total_max_attempts": 1},
        parameter_validation=False,
        # What CloudTrail shows; botocore's own is put together anew for each call, which costs 7 % of it.
        user_agent=f"event-api Botocore/{botocore.__version__}",
    )
    return session.create_client("dynamodb", config=config)


class StoredEvent(Struct, frozen=True):
    """An event in the store: what is answered, the digest of its content, and when it ends (epoch seconds)."""

    event: Event
    digest: str
    expires_at: int | None


class EventStore:
    """A DynamoDB table of events, keyed by `id`."""

    def __init__(self, client: BaseClient, table_name: str, retention_days: int) -> None:
        """`retention_days` 0 keeps events for ever."""
        self._client = client
        self._table_name = table_name
        self._retention_days = retention_days

    def write(self, content: Content) -> tuple[StoredEvent, bool]:
        """Store an event unless its id is taken; return what is stored under the id, and whether this call wrote it.

        One conditional PutItem, no read. Raises StoreUnavailable.
        """
        now = time.time()
        item = {
            "id": {"S": content.id},
            "type": {"S": content.type},
            "created_at": {"S": _timestamp(now)},
            "payload": {"S": bytes(content.payload).decode()},
            "digest": {"S": content.digest},
            # Tells a retry, whose first attempt was written but not answered, from a second call.
            "write_id": {"S": uuid.uuid4().hex},
        }
        if content.occurred_at is not UNSET:
            item["occurred_at"] = {"S": content.occurred_at}
        if self._retention_days:
            item["expires_at"] = {"N": str(int(now) + self._retention_days * SECONDS_A_DAY)}
        try:
            self._call(
                self._client.put_item,
                _deadline(),
                Item=item,
                # DynamoDB removes an expired item up to days late.
                ConditionExpression="attribute_not_exists(id) OR expires_at <= :now",
                ExpressionAttributeValues={":now": {"N": str(int(now))}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as exc:  # the one that _call lets through: the id is taken
            held = exc.response["Item"]
            return _stored(held), held["write_id"] == item["write_id"]
        return _stored(item), True

    def read(self, event_id: str) -> StoredEvent:
        """Return the event of an id. Raises EventNotFound, StoreUnavailable.

        Events never change, so an eventually consistent hit is right, and costs half; only a miss is read again.
        """
        deadline = _deadline()
        for consistent in (False, True):
            answer = self._call(self._client.get_item, deadline, Key={"id": {"S": event_id}}, ConsistentRead=consistent)
            if "Item" in answer:
                stored = _stored(answer["Item"])
                if stored.expires_at is None or stored.expires_at > time.time():
                    return stored
        raise EventNotFound

    def _call(self, operation: Callable[..., dict[str, Any]], deadline: float, **parameters: Any) -> dict[str, Any]:
        """Call DynamoDB, and again after what passes, until the deadline (monotonic seconds).

        Raises StoreUnavailable; a failed condition passes through.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return operation(TableName=self._table_name, **parameters)
            except (BotoCoreError, ClientError) as exc:
                error = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
                if error == "ConditionalCheckFailedException":
                    raise
                pause = random.uniform(0, FIRST_PAUSE * 2 ** (attempt - 1))
                in_time = time.monotonic() + pause + CONNECT_TIMEOUT + READ_TIMEOUT <= deadline
                if attempt == ATTEMPTS or not in_time or not _passes(exc):
                    fields = {"error": error, "attempts": attempt}
                    log.error("store unavailable: %(error)s, attempts: %(attempts)d", fields, extra=fields)
                    raise StoreUnavailable from exc
            time.sleep(pause)


def _deadline() -> float:
    return time.monotonic() + DEADLINE


def _passes(exc: BotoCoreError | ClientError) -> bool:
    """Tell whether the same call may succeed later: throttles, faults of the store's, and of the way there."""
    if isinstance(exc, ClientError):
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or exc.response["Error"]["Code"] in _THROTTLES
    return isinstance(exc, HTTPClientError)


def _stored(item: dict[str, Any]) -> StoredEvent:
    return StoredEvent(
        event=Event(
            id=item["id"]["S"],
            type=item["type"]["S"],
            occurred_at=item["occurred_at"]["S"] if "occurred_at" in item else UNSET,
            created_at=item["created_at"]["S"],
            payload=Raw(item["payload"]["S"]),
        ),
        digest=item["digest"]["S"],
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
    )


def _timestamp(seconds: float) -> str:
    """Return a moment as RFC 3339 in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds')[:-6]}Z"

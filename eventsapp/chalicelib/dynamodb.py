"""One DynamoDB table, called until a deadline: what both stores speak through. Knows neither events nor tokens."""

import logging
import random
import time
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.loaders import Loader

from chalicelib.problem import StoreUnavailable

CONNECT_TIMEOUT, READ_TIMEOUT = 1, 2  # seconds, for one attempt
DEADLINE = 9.0  # seconds: no attempt starts that could end later
ATTEMPTS = 5
FIRST_PAUSE = 0.1  # seconds; doubles with each attempt, and each pause is a random part of it

_THROTTLES = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}

Item = dict[str, dict[str, Any]]  # attribute name => {its type: its value}

log = logging.getLogger(__name__)


class DynamoDBLoader(Loader):
    """Reads botocore's data for DynamoDB without listing its 400 other services, a tenth of a cold start."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the one service that is asked for."""
        return ["dynamodb"]


def create_client() -> BaseClient:
    """Return a DynamoDB client for tables, from the environment's credentials and region. Touches no network."""
    session = botocore.session.get_session()
    session.register_component("data_loader", DynamoDBLoader())
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # A table retries by itself, since it knows how much of the deadline is left.
        retries={"mode": "standard", "total_max_attempts": 1},
        parameter_validation=False,
        # What CloudTrail shows; botocore's own is put together anew for each call, which costs 7 % of it.
        user_agent=f"event-api Botocore/{botocore.__version__}",
    )
    return session.create_client("dynamodb", config=config)


class Table:
    """A DynamoDB table, by the two calls that the API makes. Each raises StoreUnavailable."""

    def __init__(self, client: BaseClient, name: str) -> None:
        self._client = client
        self._name = name

    def put_unless(self, item: Item, **condition: Any) -> Item | None:
        """Write an item if its condition holds; return None, or the item that is in its place."""
        try:
            self._call(
                self._client.put_item,
                deadline(),
                Item=item,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except ClientError as exc:  # the one that _call lets through
            return exc.response["Item"]
        return None

    def get(self, key: Item, end: float, consistent: bool) -> Item | None:
        """Return the item of a key, if there is one, until a deadline (monotonic seconds)."""
        answer = self._call(self._client.get_item, end, Key=key, ConsistentRead=consistent)
        return answer.get("Item")

    def _call(self, operation: Callable[..., dict[str, Any]], end: float, **parameters: Any) -> dict[str, Any]:
        """Call DynamoDB, and again after what passes, until the deadline (monotonic seconds).

        A failed condition passes through.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return operation(TableName=self._name, **parameters)
            except (BotoCoreError, ClientError) as exc:
                error = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
                if error == "ConditionalCheckFailedException":
                    raise
                pause = random.uniform(0, FIRST_PAUSE * 2 ** (attempt - 1))
                in_time = time.monotonic() + pause + CONNECT_TIMEOUT + READ_TIMEOUT <= end
                if attempt == ATTEMPTS or not in_time or not _passes(exc):
                    fields = {"error": error, "attempts": attempt}
                    log.error("store unavailable: %(error)s, attempts: %(attempts)d", fields, extra=fields)
                    raise StoreUnavailable from exc
            time.sleep(pause)


def deadline() -> float:
    """Return when calls that start now have to end, in monotonic seconds."""
    return time.monotonic() + DEADLINE


def _passes(exc: BotoCoreError | ClientError) -> bool:
    """Tell whether the same call may succeed later: throttles, faults of the store's, and of the way there."""
    if isinstance(exc, ClientError):
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or exc.response["Error"]["Code"] in _THROTTLES
    return isinstance(exc, HTTPClientError)

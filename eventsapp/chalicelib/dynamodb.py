"""Calls one DynamoDB table, and retries until a deadline. Both stores use it. Knows neither events nor tokens."""

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

# A caller gets a response within 10 seconds. The authorizer runs first and the handler second, so their times add up:
#
#   3.7 s  the authorizer reads the token (AUTHORIZER_SECONDS). Lambda stops the authorizer after 4 s.
#   4.7 s  the handler reads or writes the event (HANDLER_SECONDS). Lambda stops the handler after 5 s.
#   1.0 s  is left for API Gateway and for the cold starts of both functions.
#
# Lambda's limits are `lambda_timeout` in .chalice/config.json, in whole seconds.
# The shorter deadline is enough for two attempts: one without a response, a pause, and another one.
#   1.5 s (read) + 0.1 s (pause) + 0.5 s (connect) + 1.5 s (read) = 3.6 s
CONNECT_TIMEOUT, READ_TIMEOUT = 0.5, 1.5  # seconds, for one attempt
AUTHORIZER_SECONDS, HANDLER_SECONDS = 3.7, 4.7  # no attempt starts that could end later

MAX_ATTEMPTS = 5
FIRST_PAUSE = 0.1  # seconds; doubles after each attempt. A pause is a random part of it.

_THROTTLES = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}

Item = dict[str, dict[str, Any]]  # attribute name => {its type: its value}

log = logging.getLogger(__name__)


class DynamoDBLoader(Loader):
    """Loads botocore's data for DynamoDB. Does not list the 400 other services, which takes a tenth of a cold start."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the one service that the app uses."""
        return ["dynamodb"]


def create_client() -> BaseClient:
    """Return a DynamoDB client for tables, from the environment's credentials and region. Touches no network."""
    session = botocore.session.get_session()
    session.register_component("data_loader", DynamoDBLoader())
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # Table retries, because it knows the deadline.
        retries={"mode": "standard", "total_max_attempts": 1},
        parameter_validation=False,
        # CloudTrail shows it. botocore would build its own for each call, which takes 7 % of the call's time.
        user_agent=f"event-api Botocore/{botocore.__version__}",
    )
    return session.create_client("dynamodb", config=config)


class Table:
    """A DynamoDB table and the two calls that the app makes. Each call can raise StoreUnavailable."""

    def __init__(self, client: BaseClient, name: str, seconds: float) -> None:
        """`seconds` is how long one request may wait for the table."""
        self._client = client
        self._name = name
        self._seconds = seconds

    def deadline(self) -> float:
        """Return when the calls of a request that starts now must end (monotonic seconds)."""
        return time.monotonic() + self._seconds

    def put_if(self, item: Item, **condition: Any) -> Item | None:
        """Write an item if its condition holds. Return None, or the item that is stored instead."""
        try:
            self._call(
                self._client.put_item,
                self.deadline(),
                Item=item,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except ClientError as exc:  # _call raises only one: the condition does not hold
            return exc.response["Item"]
        return None

    def get(self, key: Item, deadline: float, consistent: bool) -> Item | None:
        """Return the item of a key, or None. The deadline is in monotonic seconds."""
        response = self._call(self._client.get_item, deadline, Key=key, ConsistentRead=consistent)
        return response.get("Item")

    def _call(self, operation: Callable[..., dict[str, Any]], deadline: float, **parameters: Any) -> dict[str, Any]:
        """Call DynamoDB; retry transient errors until the deadline (monotonic seconds).

        Raises StoreUnavailable, or ClientError if the call's condition does not hold.
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
                has_time = time.monotonic() + pause + CONNECT_TIMEOUT + READ_TIMEOUT <= deadline
                if attempt == MAX_ATTEMPTS or not has_time or not is_retryable(exc):
                    fields = {"error": error, "attempts": attempt}
                    log.error("store unavailable: %(error)s, attempts: %(attempts)d", fields, extra=fields)
                    raise StoreUnavailable from exc
            time.sleep(pause)


def is_retryable(error: BotoCoreError | ClientError) -> bool:
    """Tell whether the same call may succeed later: a throttle, or a failure of DynamoDB or of the network."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or error.response["Error"]["Code"] in _THROTTLES
    return isinstance(error, HTTPClientError)

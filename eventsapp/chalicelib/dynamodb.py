"""Calls one DynamoDB table, and retries until a deadline. Both stores use it. Knows neither events nor tokens.

Each call of DynamoDB is one POST of JSON to one URL. Items have the form that DynamoDB's JSON has.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

import json
import logging
import random
import time
import zlib
from typing import Any

from botocore.exceptions import ConnectionError as BotocoreConnectionError
from botocore.exceptions import HTTPClientError

from chalicelib.problem import StoreUnavailable
from chalicelib.signed_http import Misconfigured, Response, SignedHttp

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

CONDITION_FAILED = "ConditionalCheckFailedException"
THROTTLES = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}

Item = dict[str, dict[str, Any]]  # attribute name => {its type: its value}

log = logging.getLogger(__name__)


class CallFailed(Exception):
    """Raised when one attempt of a call fails."""

    def __init__(self, code: str, is_retryable: bool, members: dict[str, Any] | None = None) -> None:
        """`code` is DynamoDB's own, if it responded. `members` are the members of its JSON."""
        super().__init__(code)
        self.code = code
        self.is_retryable = is_retryable
        self.members = members or {}


def create_client() -> SignedHttp:
    """Return a client of DynamoDB for tables. Touches no network. Raises Misconfigured."""
    return SignedHttp("dynamodb", CONNECT_TIMEOUT, READ_TIMEOUT)


class Table:
    """A DynamoDB table and the two calls that the app makes. Each call can raise StoreUnavailable."""

    def __init__(self, client: SignedHttp, name: str, seconds: float) -> None:
        """`seconds` is how long one request may wait for the table."""
        self._client = client
        self._name = name
        self._seconds = seconds

    def deadline(self) -> float:
        """Return when the calls of a request that starts now must end (monotonic seconds)."""
        return time.monotonic() + self._seconds

    def put_if(self, item: Item, **condition: Any) -> Item | None:
        """Write an item if its condition holds. Return None, or the item that is stored instead."""
        parameters = {"Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **condition}
        try:
            call(self._client, "PutItem", {"TableName": self._name, **parameters}, self.deadline())
        except CallFailed as exc:  # `call` raises only one: the condition does not hold
            return exc.members["Item"]
        return None

    def get(self, key: Item, deadline: float, consistent: bool) -> Item | None:
        """Return the item of a key, or None. The deadline is in monotonic seconds."""
        parameters = {"TableName": self._name, "Key": key, "ConsistentRead": consistent}
        return call(self._client, "GetItem", parameters, deadline).get("Item")


def call(client: SignedHttp, operation: str, parameters: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Call DynamoDB; retry transient errors until the deadline (monotonic seconds).

    Raises StoreUnavailable, or CallFailed if the call's condition does not hold.
    """
    body = json.dumps(parameters).encode()
    attempt = 0
    while True:
        attempt += 1
        try:
            return send(client, operation, body, time.monotonic() + CONNECT_TIMEOUT + READ_TIMEOUT)
        except CallFailed as exc:
            if exc.code == CONDITION_FAILED:
                raise
            pause = random.uniform(0, FIRST_PAUSE * 2 ** (attempt - 1))
            has_time = time.monotonic() + pause + CONNECT_TIMEOUT + READ_TIMEOUT <= deadline
            if attempt == MAX_ATTEMPTS or not has_time or not exc.is_retryable:
                fields = {"error": exc.code, "attempts": attempt}
                log.error("store unavailable: %(error)s, attempts: %(attempts)d", fields, extra=fields)
                raise StoreUnavailable from exc
        time.sleep(pause)


def send(client: SignedHttp, operation: str, body: bytes, deadline: float) -> dict[str, Any]:
    """Make one attempt of a call. Return the JSON of its response. Raises CallFailed."""
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    try:
        response = client.post(headers, body, deadline)
    except Misconfigured as exc:
        raise CallFailed(str(exc), is_retryable=False) from exc
    except (HTTPClientError, BotocoreConnectionError) as exc:
        raise CallFailed(type(exc).__name__, is_retryable=True) from exc
    members = json_members(response)
    if response.status == 200:
        return members
    code = str(members.get("__type", "")).rpartition("#")[2] or f"status {response.status}"
    raise CallFailed(code, is_retryable=response.status >= 500 or code in THROTTLES, members=members)


def json_members(response: Response) -> dict[str, Any]:
    """Return the members of a response's JSON object. Raises CallFailed if the response is damaged."""
    checksum = response.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(zlib.crc32(response.body)):
        raise CallFailed("wrong checksum", is_retryable=True)
    try:
        return dict(json.loads(response.body))
    except (ValueError, TypeError) as exc:  # not from DynamoDB, but from a proxy in between
        raise CallFailed(f"no JSON, status {response.status}", is_retryable=not 300 <= response.status < 500) from exc

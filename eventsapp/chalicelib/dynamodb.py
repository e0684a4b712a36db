"""Calls one DynamoDB table, and retries until a deadline. Both stores use it. Knows neither events nor tokens.

Each call of DynamoDB is one POST of JSON to one URL. Items have the form that DynamoDB's JSON has.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

import json
import logging
import random
import time
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

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
UNPROCESSED = "UnprocessedKeys"
THROTTLES = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}

Item = dict[str, dict[str, Any]]  # attribute name => {its type: its value}

T = TypeVar("T")

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


class Entries(NamedTuple):
    """The items that a query returned, and the key of the last item that it read. None: it read all of them."""

    items: list[Item]
    last_key: Item | None


class Table:
    """A DynamoDB table during one request, and the calls that the app makes. Each can raise StoreUnavailable."""

    def __init__(self, client: SignedHttp, name: str, seconds: float) -> None:
        """`seconds` is how long the request may take from now on. All its calls have this one deadline."""
        self._client = client
        self._name = name
        self._deadline = time.monotonic() + seconds

    def put_if(self, create_item: Callable[[], Item], **condition: Any) -> tuple[Item, bool]:
        """Write an item if its condition holds. Return the item that is stored, and whether this attempt wrote it.

        Each attempt creates its own item. So a time in an item is at most one attempt old when the item is stored.
        """

        def attempt(end: float) -> tuple[Item, bool]:
            item = create_item()
            parameters = {"Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **condition}
            try:
                self._send("PutItem", parameters, end)
            except CallFailed as exc:
                if exc.code != CONDITION_FAILED:
                    raise
                return exc.members["Item"], False
            return item, True

        return with_retries(attempt, self._deadline)

    def get(self, key: Item, consistent: bool) -> Item | None:
        """Return the item of a key, or None."""
        parameters = {"Key": key, "ConsistentRead": consistent}
        return with_retries(lambda end: self._send("GetItem", parameters, end), self._deadline).get("Item")

    def batch_get(self, keys: list[Item], consistent: bool) -> list[Item]:
        """Return the items of up to 100 keys, in any order. Keys without an item are left out.

        DynamoDB returns some keys unprocessed if it throttles. Later attempts read these only.
        """
        items: list[Item] = []
        left = {self._name: {"Keys": keys, "ConsistentRead": consistent}}

        def attempt(end: float) -> None:
            nonlocal left
            response = send(self._client, "BatchGetItem", {"RequestItems": left}, end)
            items.extend(response["Responses"].get(self._name, []))
            left = response.get(UNPROCESSED) or {}
            if left:
                raise CallFailed(UNPROCESSED, is_retryable=True)

        with_retries(attempt, self._deadline)
        return items

    def query(self, **parameters: Any) -> Entries:
        """Return the items of one Query. DynamoDB reads at most 1 MB of them."""
        response = with_retries(lambda end: self._send("Query", parameters, end), self._deadline)
        return Entries(response["Items"], response.get("LastEvaluatedKey"))

    def _send(self, operation: str, parameters: dict[str, Any], end: float) -> dict[str, Any]:
        return send(self._client, operation, {"TableName": self._name, **parameters}, end)


def with_retries(attempt: Callable[[float], T], deadline: float) -> T:
    """Return what an attempt returns. Retries transient errors until the deadline (monotonic seconds).

    Each attempt receives the time at which it must end. Raises StoreUnavailable.
    """
    number, error, pause = 0, "no time left", 0.0
    cause: CallFailed | None = None
    while time.monotonic() + pause + CONNECT_TIMEOUT + READ_TIMEOUT <= deadline:
        if pause:  # a sleep of 0 seconds takes a third of a millisecond
            time.sleep(pause)
        number += 1
        try:
            return attempt(time.monotonic() + CONNECT_TIMEOUT + READ_TIMEOUT)
        except CallFailed as exc:
            error, cause = exc.code, exc
            if number == MAX_ATTEMPTS or not exc.is_retryable:
                break
            pause = random.uniform(0, FIRST_PAUSE * 2 ** (number - 1))
    fields = {"error": error, "attempts": number}
    log.error("store unavailable: %(error)s, attempts: %(attempts)d", fields, extra=fields)
    raise StoreUnavailable from cause


def send(client: SignedHttp, operation: str, parameters: dict[str, Any], end: float) -> dict[str, Any]:
    """Make one attempt of a call, which ends at `end` (monotonic seconds). Return its JSON. Raises CallFailed."""
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    try:
        response = client.post(headers, json.dumps(parameters).encode(), end)
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

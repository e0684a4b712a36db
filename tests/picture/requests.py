"""The requests of half an hour, sent in some minutes: the clock of the emulated CloudWatch moves on after each part."""

import json
import math
import time
from contextlib import ExitStack

from callers import token_of
from chalicelib.token import READ, WRITE
from deployed.alarms import set_clock
from deployed.faults import closed_gateway, unreachable_table
from deployed.functions import FUNCTION
from targets import JSON, UrlApi, an_event, get, post

from emulator.stack import Stack

MINUTES = 30
NO_TOKENS = range(9, 12)  # minutes in which many requests have no token
OVER_THE_THROTTLE = range(15, 17)  # minutes in which the stage's throttle permits no request
NO_STORE = range(24, 27)  # minutes in which the function cannot use its table
LARGE = "x" * 100_000  # a payload that costs 100 write units


def send_requests(stack: Stack) -> float:
    """Send all requests. Return the time of their start on the clock, in seconds: 10:00 UTC of yesterday."""
    start = time.time() // 86_400 * 86_400 - 14 * 3600
    url = stack.api_url()
    for minute in range(MINUTES):
        set_clock(stack.aws, start + minute * 60)
        send_minute(stack, url, minute)
    set_clock(stack.aws, start + MINUTES * 60)
    return start


def send_minute(stack: Stack, url: str, minute: int) -> None:
    """Send the requests of one minute. Their number rises and falls twice."""
    load = round(5 + 4 * math.sin(minute / MINUTES * 4 * math.pi))
    anyone = UrlApi(url)
    for _ in range(20 if minute in NO_TOKENS else 1):
        get(anyone, "without-a-token")
    with ExitStack() as faults:
        if minute in NO_STORE:
            faults.enter_context(unreachable_table(stack, FUNCTION))
        if minute in OVER_THE_THROTTLE:
            faults.enter_context(closed_gateway(stack, anyone))
        # API Gateway caches tokens by the real clock: in a real half hour it would ask the authorizer more often.
        for _ in range(1 + load // 3):
            token = token_of(stack.token_admin(), READ, WRITE)
            send_as_caller(UrlApi(url, token), load)


def send_as_caller(api: UrlApi, load: int) -> None:
    """Send a caller's requests: single events, reads, lists, an unknown id, and a batch."""
    for _ in range(load):
        event = an_event(subject="orders/1001")
        post(api, event)
        get(api, event["id"])
    for query in ("type=test_event", "subject=orders/1001", "limit=5"):
        api.request("GET", f"/events?{query}")
    get(api, "unknown")
    batch = [an_event(payload={"text": LARGE}) for _ in range(load)]
    api.request("POST", "/events", json.dumps(batch).encode(), JSON)

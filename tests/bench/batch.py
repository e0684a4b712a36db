"""`make batch-bench`: compare a batch of 100 events with 100 single POSTs, on one connection to a running API."""

import http.client
import json
import os
import statistics
import sys
import time
import uuid
from urllib.parse import urlsplit

EVENTS = 100
ROUNDS = int(os.environ.get("ROUNDS") or "11")


def main() -> None:
    """Send the events in turns, after a warm-up that is not counted. Print the medians and their ratio."""
    url = urlsplit(sys.argv[1])
    connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection, path = connect(url.netloc, timeout=60), f"{url.path.rstrip('/')}/events"
    rounds = [(singles(connection, path), batch(connection, path)) for _ in range(1 + ROUNDS)][1:]
    single, together = (statistics.median(seconds) for seconds in zip(*rounds))
    print(f"{EVENTS} POSTs: {single * 1000:.0f} ms; a batch of {EVENTS}: {together * 1000:.0f} ms", end="; ")
    print(f"ratio {together / single:.2f} (medians of {ROUNDS} rounds)")


def new_events() -> list[dict[str, object]]:
    """Return events with new ids."""
    return [{"id": str(uuid.uuid4()), "type": "bench.batch", "payload": {"n": n}} for n in range(EVENTS)]


def singles(connection: http.client.HTTPConnection, path: str) -> float:
    """Return the seconds of one POST for each event."""
    events, start = new_events(), time.perf_counter()
    for event in events:
        post(connection, path, event, 201)
    return time.perf_counter() - start


def batch(connection: http.client.HTTPConnection, path: str) -> float:
    """Return the seconds of one POST for all events."""
    events, start = new_events(), time.perf_counter()
    results = post(connection, path, events, 207)["results"]
    seconds = time.perf_counter() - start
    if any(result["status"] != 201 for result in results):
        sys.exit(f"make batch-bench: not every event of a batch was stored: {results}")
    return seconds


def post(connection: http.client.HTTPConnection, path: str, content: object, status: int) -> dict[str, list]:
    """Return the body of the response. Exit if it has another status."""
    headers = {"Authorization": f"Bearer {os.environ['EVENT_API_TOKEN']}", "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(content), headers)
    response = connection.getresponse()
    body = response.read().decode()
    if response.status != status:
        sys.exit(f"make batch-bench: a POST was {response.status}, not {status}: {body}")
    return json.loads(body)


if __name__ == "__main__":
    main()

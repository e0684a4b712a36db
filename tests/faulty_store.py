"""A proxy in front of a DynamoDB endpoint. It fails in the ways that a test chooses."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

THROTTLED = (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
FAILED = (500, "com.amazonaws.dynamodb.v20120810#InternalServerError")
FORWARDED = ("none", "unprocessed", "all unprocessed", "stale")
DENIED = (400, "com.amazon.coral.service#AccessDeniedException")


class FaultyStore(ThreadingHTTPServer):  # pylint: disable=too-many-instance-attributes  # each is a test's own switch
    """Applies one fault of `faults` to each call. When the list is empty, it applies `afterwards`.

    A fault is "none", "throttled", "failed", "denied", "garbled", "cut", "cut short" or "hangs". It can also be a
    status and an error name, such as "400 ThrottlingException". With the prefix "written, ", the proxy forwards the
    call first, and only the response is lost. With "late 2.5", the store gets the call 2.5
    seconds late and the response is lost; with "slow 2.5", the response comes.

    For BatchGetItem, "unprocessed" moves half of the items to UnprocessedKeys, "all unprocessed" moves all of them,
    and "stale" returns no item, as a read that is behind.

    A test can set `rule`: it returns the fault for a call by its operation and its parameters, or None.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.faults: list[str] = []
        self.afterwards = "none"
        self.rule: Callable[[str, dict[str, Any]], str | None] = lambda operation, parameters: None
        self.calls = 0
        self.most_waiting = 0  # how many slow and late calls waited at the same time
        self._waiting = 0
        self.requests: list[tuple[str, dict[str, Any]]] = []  # the operation and the parameters of each call
        self.lock = threading.Lock()
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Return the URL of the proxy."""
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, operation: str, parameters: dict[str, Any]) -> str:
        """Return the fault for a call, and count the call."""
        with self.lock:
            self.calls += 1
            fault = self.rule(operation, parameters)
            if fault is not None:
                return fault
            return self.faults.pop(0) if self.faults else self.afterwards

    def wait(self, seconds: float) -> None:
        """Let a call wait, and count the calls that wait at the same time."""
        with self.lock:
            self._waiting += 1
            self.most_waiting = max(self.most_waiting, self._waiting)
        time.sleep(seconds)
        with self.lock:
            self._waiting -= 1

    def work(self) -> None:
        """Stop all faults and reset the counts of calls."""
        self.faults, self.afterwards, self.calls, self.most_waiting = [], "none", 0, 0
        self.rule = lambda operation, parameters: None
        self.requests.clear()

    def close(self) -> None:
        """Stop the proxy and release the calls that hang."""
        self.released.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultyStore

    def do_POST(self) -> None:  # pylint: disable=invalid-name  # the name that http.server calls
        """Respond to a call, or fail as the fault says."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]  # other servers' requests have none
        parameters = json.loads(body)
        self.server.requests.append((operation, parameters))
        fault = self.server.next_fault(operation, parameters)
        if fault.startswith(("late ", "slow ")):
            self.server.wait(float(fault[5:]))
            fault = "none" if fault.startswith("slow ") else "written, cut"
        forwarded = fault in FORWARDED or fault.startswith("written, ")
        status, response = self._forward(body) if forwarded else (0, b"")
        match fault.removeprefix("written, "):
            case "none":
                self._respond(status, response)
            case "unprocessed" | "all unprocessed" | "stale":
                self._respond(status, _without_items(fault, parameters, json.loads(response)))
            case "throttled":
                self._respond(*_error(THROTTLED))
            case "failed":
                self._respond(*_error(FAILED))
            case "denied":
                self._respond(*_error(DENIED))
            case "garbled":
                self._respond(502, b"<html>Bad Gateway</html>")
            case "cut short":
                self._respond(200, b"{", announced=500)
                self._cut()
            case "cut":
                self._cut()
            case "hangs":
                self.server.released.wait()
            case other:
                status, code = other.split(" ")
                self._respond(*_error((int(status), code)))

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        names = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.server.upstream, body, headers)) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read()

    def _respond(self, status: int, body: bytes, announced: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(announced or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin  # its name there
        """Log nothing."""


def _error(error: tuple[int, str]) -> tuple[int, bytes]:
    return error[0], json.dumps({"__type": error[1], "message": "told to fail"}).encode()


def _without_items(fault: str, parameters: dict[str, Any], response: dict[str, Any]) -> bytes:
    """Return the response of a BatchGetItem of one table with fewer items."""
    ((table, items),) = response["Responses"].items()
    kept = len(items) // 2 if fault == "unprocessed" else 0
    request = parameters["RequestItems"][table]
    left = [{name: item[name] for name in request["Keys"][0]} for item in items[kept:]]
    unprocessed = {table: {**request, "Keys": left}} if left and fault != "stale" else {}
    return json.dumps({**response, "Responses": {table: items[:kept]}, "UnprocessedKeys": unprocessed}).encode()

"""The embedded AWS: ministack's DynamoDB in this process. It journals each write call before it applies it."""

import asyncio
import contextlib
import json
import socket
import sys
from typing import Any, NamedTuple

from ministack.core.responses import set_request_region
from ministack.core.router import extract_region
from ministack.services import dynamodb

from chalicelib import index
from local.asgi import Receive, Scope, Send, answer_lifespan, header_lines, listen
from local.journal import Call, Journal
from local.settings import HOST, CannotRun

EVENTS = {
    "TableName": "events",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", *index.INDEXES, index.POSITION)
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": name,
            "KeySchema": [
                {"AttributeName": name, "KeyType": "HASH"},
                {"AttributeName": index.POSITION, "KeyType": "RANGE"},
            ],
            "Projection": (
                {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.PROJECTED[name])}
                if index.PROJECTED[name]
                else {"ProjectionType": "KEYS_ONLY"}
            ),
        }
        for name in index.INDEXES
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
TOKENS = {
    "TableName": "tokens",
    "KeySchema": [{"AttributeName": "key_id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "key_id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
TABLES: list[dict[str, Any]] = [EVENTS, TOKENS]

TARGET = "DynamoDB_20120810."
READS = ("Get", "BatchGet", "Query", "Scan", "Describe", "List", "TransactGet")
JOURNALED_HEADERS = (b"x-amz-target", b"content-type", b"authorization")
INTERNAL_ERROR = "com.amazonaws.dynamodb.v20120810#InternalServerError"
CONDITION_FAILED = "ConditionalCheckFailedException"


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class DurableAws:
    """An ASGI app that handles calls of DynamoDB. A write that it acknowledged is still there after a restart.

    ministack itself saves its state only when it stops normally.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writing = asyncio.Lock()  # the journal has the order in which the calls were applied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] == "lifespan":  # ministack's own starts services and removes containers
            await answer_lifespan(receive, send)
            return
        if not is_dynamodb_call(scope):
            response = _response(403, {})
        else:
            body, more = b"", True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body, more = body + message["body"], message["more_body"]
            call = Call({name: value for name, value in scope["headers"] if name in JOURNALED_HEADERS}, body)
            operation = call.headers[b"x-amz-target"].decode("latin-1").removeprefix(TARGET)
            response = await (self._apply(call) if operation.startswith(READS) else self._write(call))
        headers = header_lines({**response.headers, "Content-Length": str(len(response.body))})
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def listen(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve on a listening socket until `stop`."""
        await listen(self, listener, stop)

    async def replay(self) -> None:
        """Apply the calls of the journal. Raises CannotRun if that is not possible."""
        refused_at = None
        for offset, call in self._journal.calls():
            if refused_at is not None:
                raise self._journal.damaged(refused_at)
            response = await self._apply(call)
            if response.status != 200:
                if CONDITION_FAILED.encode() not in response.body:
                    raise self._journal.damaged(offset)
                refused_at = offset
        if refused_at is not None:  # the last call was refused before, too, but the process died before its removal
            self._journal.truncate(refused_at)

    async def create_tables(self) -> None:
        """Create the tables and indexes that do not exist. Raises CannotRun."""
        for table in TABLES:
            described = await self._apply(_call("DescribeTable", {"TableName": table["TableName"]}))
            if described.status != 200:
                await self._create("CreateTable", table)
                continue
            # The table may be older than the indexes.
            existing = json.loads(described.body)["Table"].get("GlobalSecondaryIndexes", [])
            names = {described_index["IndexName"] for described_index in existing}
            for missing in table.get("GlobalSecondaryIndexes", []):
                if missing["IndexName"] not in names:
                    await self._create("UpdateTable", {
                        "TableName": table["TableName"],
                        "AttributeDefinitions": table["AttributeDefinitions"],
                        "GlobalSecondaryIndexUpdates": [{"Create": missing}],
                    })  # fmt: skip

    async def _create(self, operation: str, parameters: dict[str, Any]) -> None:
        response = await self._write(_call(operation, parameters))
        if response.status != 200:
            raise CannotRun(f"the embedded AWS cannot create its table: {response.body.decode()}")

    async def _write(self, call: Call) -> Response:
        """Journal a call and apply it. A call that is refused is removed from the journal."""
        async with self._writing:
            try:
                self._journal.append(call)
            except OSError as exc:
                text = (
                    f"The journal cannot be written ({exc.strerror or exc}): nothing was stored. Free some space. "
                    "If its folder was removed, start `make run` again."
                )
                with contextlib.suppress(OSError):  # stderr may be a file on the same disk
                    print(f"make run: {text}", file=sys.stderr)
                return _response(500, {"__type": INTERNAL_ERROR, "message": text})
            status = None
            try:
                response = await self._apply(call)
                status = response.status
            finally:
                if status != 200:
                    self._journal.remove_last()
            return response

    async def _apply(self, call: Call) -> Response:
        """Let ministack's DynamoDB handle a call. ministack's own server would do this more slowly."""
        headers = {name.decode(): value.decode("latin-1") for name, value in call.headers.items()}
        set_request_region(extract_region(headers))
        status, response_headers, body = await dynamodb.handle_request("POST", "/", headers, call.body, {})
        return Response(status, response_headers, body if isinstance(body, bytes) else body.encode())


def is_dynamodb_call(scope: Scope) -> bool:
    """Tell whether a program on this machine calls DynamoDB.

    ministack runs code for every caller of its Lambda, and a web page can be a caller. But a page cannot set
    X-Amz-Target, and a page whose name resolves to this machine sends another Host.
    """
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1").partition(":")[0]
    is_call = headers.get(b"x-amz-target", b"").startswith(TARGET.encode())
    return is_call and scope["method"] == "POST" and scope["path"] == "/" and host == HOST


def _call(operation: str, parameters: dict[str, Any]) -> Call:
    signed = "Credential=local/20260101/ap-southeast-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none"
    headers = {
        b"x-amz-target": f"{TARGET}{operation}".encode(),
        b"content-type": b"application/x-amz-json-1.0",
        b"authorization": f"AWS4-HMAC-SHA256 {signed}".encode(),
    }
    return Call(headers, json.dumps(parameters).encode())


def _response(status: int, body: dict[str, str]) -> Response:
    return Response(status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(body).encode())

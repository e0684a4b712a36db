"""`make bench`: compare the app's CPU time and memory with a bare Lambda handler. It needs Linux.

Both are laid out as in a Lambda zip: without .pyc files, and with boto3 in a separate folder. Each round starts a
new process. The app and the bare handler take turns. A DynamoDB stub runs in another process. CPU time is the user
and system time of the measured process.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import textwrap
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from processes import ROOT

sys.path.append(str(ROOT / "terraform"))

from package import package_app  # pylint: disable=wrong-import-position  # after the path to it

BUILD = ROOT / "build" / "bench"
ROUNDS = int(os.environ.get("ROUNDS", "21"))
WARM_REQUESTS = 500
WANTED = {
    "cold start CPU": 1.10,
    "warm POST CPU": 1.10,
    "warm GET CPU": 1.10,
    "warm authorizer CPU": 1.10,
    "peak memory": 1.05,
}
# The token is joined from parts, so that no secret scanner reports it.
TOKEN = "_".join(("evt", "4fJq0ZpXn2RkYw8T", "1YmVzdCBzZWNyZXQgb2YgYSBiZW5jaG1hcmsgMTIzND2Pex3q"))
MAX_ZIP_BYTES = 400 * 1024

BARE_HANDLER = '''
import datetime, hashlib, hmac, json, os, re, time, uuid
import boto3

TABLE = os.environ["TABLE_NAME"]
client = boto3.client("dynamodb")

def respond(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}

def authorizer(event, context):
    sent = re.fullmatch(r"Bearer evt_([0-9A-Za-z]{16})_([0-9A-Za-z]{49})", event["authorizationToken"])
    if not sent:
        raise Exception("Unauthorized")
    key = {"key_id": {"S": sent[1]}}
    found = client.get_item(TableName=os.environ["TOKEN_TABLE_NAME"], Key=key, ConsistentRead=True)
    item = found.get("Item")
    digest = hashlib.sha256(sent[2].encode()).hexdigest()
    if not item or not hmac.compare_digest(item["secret_sha256"]["S"], digest) or "revoked_at" in item:
        raise Exception("Unauthorized")
    if "expires_at" in item and int(item["expires_at"]["N"]) < time.time():
        raise Exception("Unauthorized")
    arn = "/".join(event["methodArn"].split("/")[:2])
    methods = {"events:write": ["POST"], "events:read": ["GET", "HEAD"]}
    allowed = [f"{arn}/{method}/*" for scope in item["scopes"]["SS"] for method in methods[scope]]
    context = {"tenant": item["tenant"]["S"], "scopes": " ".join(sorted(item["scopes"]["SS"]))}
    return {"principalId": sent[1], "context": context, "policyDocument": {
        "Version": "2012-10-17",
        "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": allowed}]}}

def handler(event, context):
    if event["httpMethod"] == "POST":
        try:
            posted = json.loads(event["body"])
        except ValueError:
            return respond(400, {"message": "not JSON"})
        if not isinstance(posted, dict) or set(posted) - {"id", "type", "payload", "occurred_at"}:
            return respond(400, {"message": "unknown field"})
        event_id = posted.get("id") or str(uuid.uuid4())
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}", event_id):
            return respond(400, {"message": "id"})
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*(\\.[A-Za-z0-9_-]+)*", posted.get("type", "")):
            return respond(400, {"message": "type"})
        if not isinstance(posted.get("payload"), dict):
            return respond(400, {"message": "payload"})
        created_at = datetime.datetime.now(datetime.timezone.utc).isoformat()
        item = {"id": {"S": event_id}, "type": {"S": posted["type"]}, "created_at": {"S": created_at},
                "payload": {"S": json.dumps(posted["payload"])}}
        try:
            client.put_item(TableName=TABLE, Item=item, ConditionExpression="attribute_not_exists(id)",
                            ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except client.exceptions.ConditionalCheckFailedException:
            return respond(409, {"message": "taken"})
        return respond(201, {**posted, "id": event_id, "created_at": created_at})
    found = client.get_item(TableName=TABLE, Key={"id": {"S": event["pathParameters"]["event_id"]}})
    if "Item" not in found:
        return respond(404, {"message": "not found"})
    item = found["Item"]
    return respond(200, {"id": item["id"]["S"], "type": item["type"]["S"], "created_at": item["created_at"]["S"],
                        "payload": json.loads(item["payload"]["S"])})
'''

PROBE = '''
import json, resource, sys, time
folder, runtime, module, name, requests = sys.argv[1:6]
sys.path[:0] = [folder, runtime]
sys.dont_write_bytecode = True
post, get, authorize = json.loads(sys.argv[6])
class Context: aws_request_id = "6f8a2f1c"
start = time.process_time()
handler = getattr(__import__(module), name)
authorizer = __import__(module).authorizer
first = handler(post, Context)
cold = time.process_time() - start
assert first["statusCode"] == 201, first
def warm(function, event, key, value):
    start = time.process_time()
    for _ in range(int(requests)):
        result = function(event, Context)
    spent = time.process_time() - start
    assert result[key] == value, result
    return spent / int(requests)
print(json.dumps({"cold start CPU": cold, "warm POST CPU": warm(handler, post, "statusCode", 201),
                  "warm GET CPU": warm(handler, get, "statusCode", 200),
                  "warm authorizer CPU": warm(authorizer, authorize, "context",
                                              {"tenant": "acme", "scopes": "events:read events:write"}),
                  "peak memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
'''


class DynamoDBStub(BaseHTTPRequestHandler):
    """Accepts each PutItem without storing it. Returns a fixed event or token to GetItem."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ITEM = {
        "id": {"S": "order-1001"},
        "type": {"S": "order.paid"},
        "created_at": {"S": "2026-01-31T09:30:00.000Z"},
        "payload": {"S": '{"customer":{"id":"c-77","name":"Ada"},"lines":[{"sku":"A1","qty":2}],"total":42.50}'},
        "digest": {"S": "0" * 64},
        "write_id": {"S": "0" * 32},
    }
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
        item = self.KNOWN if "key_id" in call.get("Key", {}) else self.ITEM
        response = {"Item": item} if self.headers["X-Amz-Target"].endswith("GetItem") else {}
        body = json.dumps(response).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:  # pylint: disable=arguments-differ  # all arguments are ignored
        """Log nothing."""


def gateway_event(method: str, resource: str, parameters: dict[str, str] | None, body: str | None) -> dict[str, object]:
    """Return the event that API Gateway's REST proxy integration sends to Lambda for a request."""
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": "abc123.execute-api.ap-southeast-1.amazonaws.com",
        "User-Agent": "curl/8.5.0",
        "X-Amzn-Trace-Id": "Root=1-65b9f1c0-0a1b2c3d4e5f60718293a4b5",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    path = resource if parameters is None else resource.format(**parameters)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": f"/prod{path}",
            "stage": "prod",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {"sourceIp": "203.0.113.7"},
            "authorizer": {
                "principalId": "4fJq0ZpXn2RkYw8T", "tenant": "acme", "scopes": "events:read events:write"
            },
        },
        "body": body,
        "isBase64Encoded": False,
    }


def package(folder: Path, stage: str) -> Path:
    """Package a stage into a folder without the corrections of `make package`, and return the folder."""
    return package_app(ROOT / "eventsapp", stage, folder)


def build() -> dict[str, dict[str, object]]:
    """Build the app, the bare handler and boto3 in build/bench. Return each one's folder, handler and zip."""
    shutil.rmtree(BUILD, ignore_errors=True)
    bare = BUILD / "bare"
    bare.mkdir(parents=True)
    (bare / "handler.py").write_text(textwrap.dedent(BARE_HANDLER))
    with zipfile.ZipFile(BUILD / "bare.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(bare / "handler.py", "handler.py")
    app_zip = package(BUILD / "package", "dev") / "deployment.zip"
    with zipfile.ZipFile(app_zip) as archive:
        archive.extractall(BUILD / "app")
    boto3 = next(line for line in (ROOT / "requirements-dev.txt").read_text().split() if line.startswith("boto3=="))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(BUILD / "runtime"), boto3]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    return {
        "app": {"folder": BUILD / "app", "module": "app", "name": "app", "zip": app_zip},
        "bare": {"folder": bare, "module": "handler", "name": "handler", "zip": BUILD / "bare.zip"},
    }


def measure(contestant: dict[str, object], endpoint: str) -> dict[str, float]:
    """Run the app or the bare handler in a new process. Return its CPU seconds and its peak memory in KiB."""
    body = json.dumps(
        {
            "id": "order-1001",
            "type": "order.paid",
            "payload": {"customer": {"id": "c-77", "name": "Ada"}, "lines": [{"sku": "A1", "qty": 2}], "total": 42.50},
        }
    )
    events = [
        gateway_event("POST", "/events", None, body),
        gateway_event("GET", "/events/{event_id}", {"event_id": "order-1001"}, None),
        {
            "type": "TOKEN",
            "authorizationToken": f"Bearer {TOKEN}",
            "methodArn": "arn:aws:execute-api:ap-southeast-1:123456789012:abc123/prod/GET/events/order-1001",
        },
    ]
    arguments = [contestant["folder"], BUILD / "runtime", contestant["module"], contestant["name"], WARM_REQUESTS]
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "ap-southeast-1",
        "AWS_DEFAULT_REGION": "ap-southeast-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "TABLE_NAME": "events",
        "TOKEN_TABLE_NAME": "tokens",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-S", "-c", PROBE, *map(str, arguments), json.dumps(events)]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def main() -> None:
    """Measure both handlers and print a table of the medians."""
    if sys.argv[1:] == ["stub"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), DynamoDBStub)
        print(server.server_port, flush=True)
        server.serve_forever()
    contestants = build()
    with subprocess.Popen([sys.executable, __file__, "stub"], stdout=subprocess.PIPE, text=True) as stub:
        try:
            endpoint = f"http://127.0.0.1:{int(stub.stdout.readline())}"
            runs: dict[str, list[dict[str, float]]] = {"app": [], "bare": []}
            for _ in range(ROUNDS):
                for name, contestant in contestants.items():
                    runs[name].append(measure(contestant, endpoint))
        finally:
            stub.kill()
    print(f"Python {sys.version.split()[0]}, {ROUNDS} fresh processes each, interleaved; medians\n")
    print("| | app | bare handler | ratio | wanted |\n|---|---|---|---|---|")
    for metric, wanted in WANTED.items():
        app, bare = (statistics.median(run[metric] for run in runs[name]) for name in ("app", "bare"))
        scale, unit = (1024, "MiB") if metric == "peak memory" else (1e-3, "ms")
        print(f"| {metric} | {app / scale:.3g} {unit} | {bare / scale:.3g} {unit} | {app / bare:.2f} | {wanted:.2f} |")
    sizes = [Path(str(contestants[name]["zip"])).stat().st_size for name in ("app", "bare")]
    print(f"| zip | {sizes[0] / 1024:.0f} KiB | {sizes[1] / 1024:.0f} KiB | | {MAX_ZIP_BYTES // 1024} KiB |")


if __name__ == "__main__":
    main()

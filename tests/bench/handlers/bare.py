"""The bare handler: the same API in the plainest code, with boto3 and without a framework."""

# pylint: disable=broad-exception-raised, too-many-return-statements  # the plainest code has no errors of its own
import datetime
import hashlib
import hmac
import json
import os
import re
import time
import uuid

import boto3

client = boto3.client("dynamodb")


def authorizer(event, _context):
    """Check the token of a request, as an API Gateway authorizer."""
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


def post_events(body):
    """Store an event or a batch. Return the status and the body of the response."""
    try:
        posted = json.loads(body)
    except ValueError:
        return 400, {"message": "not JSON"}
    if isinstance(posted, list):
        return 207, {"results": [{"status": status, **body} for status, body in map(put_event, posted)]}
    return put_event(posted)


def put_event(posted):
    """Store an event of a body. Return the status and the body of its response."""
    if not isinstance(posted, dict) or set(posted) - {"id", "type", "subject", "payload", "occurred_at"}:
        return 400, {"message": "unknown field"}
    event_id = posted.get("id") or str(uuid.uuid4())
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}", event_id):
        return 400, {"message": "id"}
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", posted.get("type", "")):
        return 400, {"message": "type"}
    if not isinstance(posted.get("payload"), dict):
        return 400, {"message": "payload"}
    created_at = datetime.datetime.now(datetime.timezone.utc).isoformat()
    tenant = "acme/0"
    item = {"pk": {"S": f"acme/{event_id}"}, "by_time": {"S": tenant}, "by_type": {"S": f"{tenant}/{posted['type']}"},
            "position": {"S": f"{created_at}/{event_id}"},
            "id": {"S": event_id}, "type": {"S": posted["type"]}, "created_at": {"S": created_at},
            "payload": {"S": json.dumps(posted["payload"])}}
    try:
        client.put_item(TableName=os.environ["TABLE_NAME"], Item=item, ConditionExpression="attribute_not_exists(pk)",
                        ReturnValuesOnConditionCheckFailure="ALL_OLD")
    except client.exceptions.ConditionalCheckFailedException:
        return 409, {"message": "taken"}
    return 201, {**posted, "id": event_id, "created_at": created_at}


def get_event(event_id):
    """Read an event. Return the status and the body of the response."""
    found = client.get_item(TableName=os.environ["TABLE_NAME"], Key={"pk": {"S": f"acme/{event_id}"}})
    if "Item" not in found:
        return 404, {"message": "not found"}
    return 200, event_of(found["Item"])


def list_events(event_type):
    """Read the newest events of a type. Return the status and the body of the response."""
    found = client.query(TableName=os.environ["TABLE_NAME"], IndexName="by_type", Limit=20, ScanIndexForward=False,
                         KeyConditionExpression="by_type = :t",
                         ExpressionAttributeValues={":t": {"S": f"acme/0/{event_type}"}})
    keys = [{"pk": entry["pk"]} for entry in found["Items"]]
    read = client.batch_get_item(RequestItems={os.environ["TABLE_NAME"]: {"Keys": keys}})
    items = {item["pk"]["S"]: item for item in read["Responses"][os.environ["TABLE_NAME"]]}
    return 200, {"events": [event_of(items[key["pk"]["S"]]) for key in keys], "cursor": found.get("LastEvaluatedKey")}


def event_of(item):
    """Return an event from its item."""
    return {"id": item["id"]["S"], "type": item["type"]["S"], "created_at": item["created_at"]["S"],
            "payload": json.loads(item["payload"]["S"])}


def handler(event, _context):
    """Handle a request, as an API Gateway proxy integration."""
    if event["httpMethod"] == "POST":
        status, body = post_events(event["body"])
    elif event["pathParameters"] is None:
        status, body = list_events(event["queryStringParameters"]["type"])
    else:
        status, body = get_event(event["pathParameters"]["event_id"])
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}

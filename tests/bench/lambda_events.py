"""Events that API Gateway sends to Lambda functions."""

import json

from bench.stub import TOKEN


def gateway_event(
    method: str, resource: str, parameters: dict[str, str] | None, body: str | None, **query: str
) -> dict[str, object]:
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
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
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


def measured_events() -> list[dict[str, object]]:
    """Return the events of a POST, a GET, a list of 20, a batch of 100, and of the authorizer."""
    payload = {"customer": {"id": "c-77", "name": "Ada"}, "lines": [{"sku": "A1", "qty": 2}], "total": 42.50}
    batch = [{"id": f"order-{number}", "type": "order.paid", "payload": payload} for number in range(1001, 1101)]
    authorizer_event = {
        "type": "TOKEN",
        "authorizationToken": f"Bearer {TOKEN}",
        "methodArn": "arn:aws:execute-api:ap-southeast-1:123456789012:abc123/prod/GET/events/order-1001",
    }
    return [
        gateway_event("POST", "/events", None, json.dumps(batch[0])),
        gateway_event("GET", "/events/{event_id}", {"event_id": "order-1001"}, None),
        gateway_event("GET", "/events", None, None, type="order.paid"),
        gateway_event("POST", "/events", None, json.dumps(batch)),
        authorizer_event,
    ]

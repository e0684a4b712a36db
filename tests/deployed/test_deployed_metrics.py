"""The deployed stage's access log and metrics: every request is in them, also one that the gateway refuses."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from callers import bearer, token_of
from chalicelib.event import MAX_BODY_BYTES
from chalicelib.token import READ
from deployed.alarms import Alarms
from deployed.faults import closed_gateway, without_token
from deployed.functions import AUTHORIZER, EVENTS, FUNCTION
from targets import UrlApi, an_event, get, post
from test_picture import picture_texts

from emulator.stack import STAGE, Stack
from picture.dashboard import read_dashboard

ACCESS_LOG = f"/aws/apigateway/{FUNCTION}"


def line_of(stack: Stack, request_id: str) -> dict[str, Any]:
    """Return the line of the access log that a request has."""
    pattern = f'{{ $.request_id = "{request_id}" }}'
    events = stack.aws.client("logs").filter_log_events(logGroupName=ACCESS_LOG, filterPattern=pattern)["events"]
    (event,) = events
    return dict(json.loads(event["message"]))


def test_access_log_describes_a_request(stack: Stack, url_api: UrlApi) -> None:
    """A line has a value for each variable of the stage's format; only the TLS version is missing."""
    token = token_of(stack.token_admin(), READ)
    response = get(url_api, "unknown", Authorization=bearer(token))
    request_id = response.json["request_id"]
    line = line_of(stack, request_id)
    assert all(line.pop(name).isdigit() for name in ("latency_ms", "function_latency_ms"))
    ids = [line.pop(name) for name in ("authorizer_request_id", "function_request_id", "trace_id", "time")]
    assert "-" not in ids and len(set(ids)) == 4
    assert line == {
        "request_id": request_id,
        "extended_request_id": request_id,
        "source_ip": "127.0.0.1",
        "key_id": token.split("_")[1],
        "tenant": line["tenant"],
        "method": "GET",
        "resource": "/events/{event_id}",
        "status": "404",
        "error": "-",
        "tls": "-",
        "response_bytes": str(len(response.body)),
        "function_status": "404",
    }
    assert line["tenant"] != "-"


def test_access_log_has_refused_requests(stack: Stack, url_api: UrlApi) -> None:
    """Refused requests are in the log with the type of the gateway's response, and with the caller if it is known."""
    token = token_of(stack.token_admin(), READ)
    responses = {
        "UNAUTHORIZED": get(without_token(url_api), "a"),
        "ACCESS_DENIED": post(url_api, an_event(), Authorization=bearer(token)),
        "MISSING_AUTHENTICATION_TOKEN": url_api.request("GET", "/unknown"),
        "BAD_REQUEST_BODY": post(url_api, b"[]"),
        "-": post(url_api, an_event(payload={"a": "x" * MAX_BODY_BYTES})),  # the function refuses it
    }
    with closed_gateway(stack, url_api):
        responses["THROTTLED"] = get(url_api, "a")
    lines = {error: line_of(stack, response.json["request_id"]) for error, response in responses.items()}
    assert [(line["error"], line["status"]) for line in lines.values()] == [
        (error, str(response.status)) for error, response in responses.items()
    ]
    assert [response.status for response in responses.values()] == [401, 403, 404, 400, 413, 429]
    assert lines["ACCESS_DENIED"]["key_id"] == token.split("_")[1]
    assert lines["UNAUTHORIZED"]["key_id"] == "-"


def test_requests_are_counted(stack: Stack, url_api: UrlApi, alarms: Alarms) -> None:
    """The metrics have AWS's names and dimensions, and count each request once."""
    get(url_api, "unknown")  # the gateway caches the token
    alarms.forget()
    event = an_event(payload={"text": "x" * 9000}, subject="metrics")
    assert [post(url_api, event).status, post(url_api, event).status, get(url_api, "unknown").status] == [201, 200, 404]
    assert len(url_api.request("GET", "/events?subject=metrics").json["events"]) == 1
    assert get(url_api, "a", Authorization=bearer(token_of(stack.token_admin(), READ))).status == 404
    assert get(without_token(url_api), "a").status == 401
    stage, of_post = {"ApiName": FUNCTION, "Stage": STAGE}, {"Method": "POST", "Resource": "/events"}
    live = {"FunctionName": FUNCTION, "Resource": f"{FUNCTION}:live"}
    version = stack.aws.client("lambda").get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"]
    sums = {
        ("AWS/ApiGateway", "Count"): [(stage, 6), ({**stage, **of_post}, 2)],
        ("AWS/ApiGateway", "4XXError"): [(stage, 3), ({**stage, **of_post}, 0)],
        ("AWS/ApiGateway", "5XXError"): [(stage, 0)],
        ("AWS/Lambda", "Invocations"): [
            ({"FunctionName": FUNCTION}, 5),
            (live, 5),
            ({**live, "ExecutedVersion": version}, 5),
            ({"FunctionName": AUTHORIZER}, 1),
        ],
        ("AWS/Lambda", "Errors"): [(live, 0)],
        ("AWS/DynamoDB", "ConditionalCheckFailedRequests"): [({"TableName": EVENTS}, 1)],
        ("AWS/Logs", "IncomingLogEvents"): [({"LogGroupName": ACCESS_LOG}, 6)],
        # Two unknown events, each read twice: half a unit and a whole one. In the list, an event of 9 KB: 1.5 units.
        ("AWS/DynamoDB", "ConsumedReadCapacityUnits"): [({"TableName": EVENTS}, 4.5)],
    }  # fmt: skip
    for (namespace, name), expected in sums.items():
        counted = [(dimensions, alarms.sum_of(namespace, name, dimensions)) for dimensions, _ in expected]
        assert counted == expected, name
    by_subject = {"TableName": EVENTS, "GlobalSecondaryIndexName": "by_subject"}
    for name in ("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"):
        assert alarms.sum_of("AWS/DynamoDB", name, by_subject) > 0
    assert alarms.sum_of("AWS/ApiGateway", "Latency", stage) >= alarms.sum_of(
        "AWS/ApiGateway", "IntegrationLatency", stage
    )


def test_picture_shows_the_deployed_dashboard(stack: Stack) -> None:
    """Each widget, each line and each alarm of the deployed dashboard is in docs/dashboard.svg."""
    widgets = read_dashboard(stack, 0, 60)
    labels = {label for widget in widgets for label in [*(line.label for line in widget.lines), *widget.caps]}
    titles = {widget.title for widget in widgets}
    alarms = {name for widget in widgets if widget.title == "Alarms" for name, _ in widget.rows}
    assert len(alarms) > 20 and "api-5xx" in labels
    shown = {text.partition(": ALARM")[0] for text in picture_texts()}
    assert titles | labels | alarms <= shown, "run `make dashboard-picture`"


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("logs", "put_metric_filter", {
            "logGroupName": ACCESS_LOG, "filterName": "a", "filterPattern": "[ip, status = 4*]",
            "metricTransformations": [{"metricName": "a", "metricNamespace": "a", "metricValue": "1"}],
        }),
        ("logs", "filter_log_events", {"logGroupName": ACCESS_LOG, "filterPattern": "%401%"}),
        ("cloudwatch", "put_metric_alarm", {
            "AlarmName": "a", "EvaluationPeriods": 1, "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Metrics": [{"Id": "a", "Expression": "SEARCH('a', 'Sum', 60)", "ReturnData": True}],
        }),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_unknown_parts_are_refused(stack: Stack, service: str, operation: str, parameters: dict[str, Any]) -> None:
    """The emulated AWS refuses a filter pattern or an alarm that it cannot evaluate, so that no test trusts it."""
    with pytest.raises(ClientError, match="The emulated AWS does not know"):
        getattr(stack.aws.client(service), operation)(**parameters)

"""The same API with Powertools' resolver. It shares the calls of DynamoDB and the authorizer with the bare handler."""

# pylint: disable=import-error  # make bench PEERS=1 installs these packages for this handler only
import json

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from bare import authorizer, get_event, list_events, post_events

__all__ = ["authorizer", "handler"]

app = APIGatewayRestResolver()


@app.post("/events")
def post() -> Response:
    """Store an event or a batch."""
    return response(*post_events(app.current_event.body))


@app.get("/events")
def get_list() -> Response:
    """Return the newest events of a type."""
    return response(*list_events(app.current_event.query_string_parameters["type"]))


@app.get("/events/<event_id>")
def get(event_id: str) -> Response:
    """Return an event."""
    return response(*get_event(event_id))


def response(status: int, body: dict) -> Response:
    """Return a response with JSON."""
    return Response(status, "application/json", json.dumps(body))


def handler(event, context):
    """Handle a request, as an API Gateway proxy integration."""
    return app.resolve(event, context)

"""Posts, lists and reads an event with the client that openapi-python-client makes from docs/openapi.json."""

# pylint: disable=import-error  # a test generates the package event_api_client
import json
import sys

from event_api_client import AuthenticatedClient
from event_api_client.api.events import get_event, list_events, post_events
from event_api_client.models import BatchResults, Event, EventNotFound, EventPage, PostedEvent

URL, TOKEN = sys.argv[1:]
EVENT = PostedEvent.from_dict({
    "id": "python-1", "type": "client.tested", "subject": "clients/python", "payload": {"total": 42.5},
})  # fmt: skip

with AuthenticatedClient(URL, TOKEN) as client:
    posted = post_events.sync_detailed(client=client, body=EVENT)
    batch = post_events.sync_detailed(client=client, body=[EVENT])
    listed = list_events.sync_detailed(client=client, subject="clients/python", limit=10)
    read = get_event.sync_detailed("python-1", client=client)
    missing = get_event.sync_detailed("python-2", client=client)

responses = (posted, batch, listed, read, missing)
kinds = (Event, BatchResults, EventPage, Event, EventNotFound)
assert [type(response.parsed) for response in responses] == list(kinds), responses
print(json.dumps({
    "statuses": [response.status_code for response in responses],
    "listed": [event.id for event in listed.parsed.events],
    "read": read.parsed.payload.to_dict(),
    "problem": missing.parsed.type_,
}))  # fmt: skip

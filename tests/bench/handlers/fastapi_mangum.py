"""The same API with FastAPI and Mangum. It shares the calls of DynamoDB and the authorizer with the bare handler."""

# pylint: disable=import-error  # make bench PEERS=1 installs these packages for this handler only
from bare import authorizer, get_event, list_events, post_events
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from mangum import Mangum

__all__ = ["authorizer", "handler"]

app = FastAPI()


@app.post("/events")
async def post(request: Request) -> Response:
    """Store an event or a batch."""
    status, body = post_events(await request.body())
    return JSONResponse(body, status)


@app.get("/events")
async def get_list(type: str) -> Response:  # pylint: disable=redefined-builtin  # the name of the parameter
    """Return the newest events of a type."""
    status, body = list_events(type)
    return JSONResponse(body, status)


@app.get("/events/{event_id}")
async def get(event_id: str) -> Response:
    """Return an event."""
    status, body = get_event(event_id)
    return JSONResponse(body, status)


handler = Mangum(app, lifespan="off")

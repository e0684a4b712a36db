"""The Event API over HTTP: `/events` stores and lists events, `/events/{id}` returns one."""

# pylint: disable=wrong-import-position  # garbage collection is off during the imports
import gc
import os

# Lambda has a full core during its init phase, whatever the function's memory is. The init phase creates objects that
# stay. Searching them for garbage would take a twentieth of a cold start, and a part of each request's time later.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.disable()

import functools
import importlib.util
import time
from collections.abc import Callable
from urllib.parse import unquote

from chalice import AuthResponse, AuthRoute, Chalice, Response
from chalice.app import AuthRequest, Request

from chalicelib import (
    audit_log, batch, caller, cors, event, headers, listing, media_types, problem, responses, token,
)  # fmt: skip
from chalicelib.dynamodb import AUTHORIZER_SECONDS, HANDLER_SECONDS, Table, create_client
from chalicelib.signed_http import SignedHttp
from chalicelib.store import EventStore

# Chalice's command line sets this variable; Lambda does not, and the package has no such folder.
if "AWS_CHALICE_CLI_MODE" in os.environ and importlib.util.find_spec("local"):
    importlib.import_module("local.chalice_command").prepare()

app = Chalice(app_name="event-api", configure_logs=False)
app.api.binary_types.clear()  # bodies are text; chalice would pass the types in this list as base64


# API Gateway caches the authorizer's policy and checks every later request with the same token against it. So the
# policy must be right for all routes. It does not name paths, because API Gateway accepts several spellings of a path.
SCOPE_ROUTES = {token.WRITE: AuthRoute("/*", ["POST"]), token.READ: AuthRoute("/*", ["GET", "HEAD"])}
UNSUPPORTED_METHODS = AuthRoute("/*", ["DELETE", "OPTIONS", "PATCH", "PUT"])  # any valid token gets the 405


@functools.cache
def dynamodb() -> SignedHttp:
    """Return the client of both tables. It is created once."""
    return create_client()


@app.authorizer(ttl_seconds=300)
def authorizer(request: AuthRequest) -> AuthResponse:
    """Tell API Gateway which methods a token may call, and tell the routes its tenant and scopes.

    Raises Unauthorized (the gateway responds with 401) and StoreUnavailable (503).
    """
    table = Table(dynamodb(), os.environ["TOKEN_TABLE_NAME"], AUTHORIZER_SECONDS)
    known = token.TokenAuthenticator(table).authenticate(request.token)
    routes = [route for scope, route in SCOPE_ROUTES.items() if scope in known.scopes]
    return AuthResponse([*routes, UNSUPPORTED_METHODS], known.key_id, caller.context_of(known))


def responds_with_problems(view: Callable[..., Response]) -> Callable[..., Response]:
    """Wrap a view: a Problem that it raises becomes the response."""

    @functools.wraps(view)
    def wrapper(**arguments: str) -> Response:
        try:
            return view(**arguments)
        except problem.Problem as exc:
            return responses.problem_response(exc, app.current_request)

    return wrapper


@app.middleware("http")
def log_request(request: Request | None, get_response: Callable[[Request], Response]) -> Response:
    """Write the request's line to the audit log."""
    start = time.perf_counter()
    audit_log.start_request("unknown" if request is None else responses.request_id(request))
    response = get_response(request)
    audit_log.end_request(response.status_code, (time.perf_counter() - start) * 1000)
    return response


@app.middleware("http")
def add_cors_headers(request: Request | None, get_response: Callable[[Request], Response]) -> Response:
    """Answer preflights and add CORS headers to every response, if the stage allows other origins."""
    if request is None or not cors.allowed_origins():
        return get_response(request)
    origin = headers.of(request, "origin") or None
    if cors.is_preflight(request.method, origin, headers.of(request, "access-control-request-method")):
        audit_log.add(outcome="preflight")
        return Response("", cors.preflight_headers(origin, headers.of(request, "access-control-request-headers")), 204)
    response = get_response(request)
    vary = [response.headers["Vary"]] if "Vary" in response.headers else []
    response.headers.update(cors.response_headers(origin, *vary))
    return response


@app.middleware("http")
def replace_chalice_errors(request: Request | None, get_response: Callable[[Request], Response]) -> Response:
    """Turn the errors that chalice makes itself into problems."""
    response = get_response(request)
    if response.status_code < 400 or response.headers.get("Content-Type") == problem.MEDIA_TYPE:
        return response
    if response.status_code == 405:
        return responses.problem_response(problem.MethodNotAllowed(response.headers["Allow"]), request)
    return responses.problem_response(problem.InternalError(), request)


@app.route("/events", methods=["GET", "HEAD", "POST"], content_types=[], authorizer=authorizer)
@responds_with_problems
def events() -> Response:
    """List events, or store one event or a batch. The server drops the body of a response to HEAD."""
    return post_events() if app.current_request.method == "POST" else list_events()


def list_events() -> Response:
    """Return a page of events."""
    request = app.current_request
    store = event_store(request, token.READ)
    parameters = request.to_original_event()["multiValueQueryStringParameters"]
    query = listing.parse(parameters, time.time())
    return responses.page(store.find(query), query, parameters, request)


def post_events() -> Response:
    """Store an event or a batch. Repeats of the same request store nothing."""
    request = app.current_request
    store = event_store(request, token.WRITE)
    posted = posted_events(request)
    if isinstance(posted, list):
        return post_batch(store, posted, request)
    audit_log.add(event_id=posted.id, type=posted.type)
    require_no_if_match(request)
    return responses.written(store.write(posted), posted, request)


def posted_events(request: Request) -> event.Content | list[batch.Entry]:
    """Read the event or the batch of a request. Raises UnsupportedMediaType, BodyTooLarge, InvalidEvent."""
    attributes = headers.lines_with_prefix(request.to_original_event(), media_types.HEADER_PREFIX)
    media_type = require_json(request, is_binary=bool(attributes))
    body = utf_8_body(request)
    audit_log.add(request_bytes=len(body))
    if media_type == media_types.JSON and not attributes:
        return batch.parse(body) if batch.is_batch(body) else event.parse(body)
    from chalicelib import cloudevents  # pylint: disable=import-outside-toplevel  # plain JSON starts without it

    if media_type == media_types.CLOUDEVENTS:
        return batch.parse(body, cloudevents.check)
    if media_type == media_types.CLOUDEVENT:
        return cloudevents.parse(body)  # ignores `ce-` headers: they may repeat attributes of the body
    return cloudevents.parse_binary(attributes, headers.of(request, "content-type"), body)


def post_batch(store: EventStore, entries: list[batch.Entry], request: Request) -> Response:
    """Store the events of a batch. Each of them has its own result."""
    contents = [entry for entry in entries if isinstance(entry, event.Content)]
    try:
        require_no_if_match(request)
        outcomes = store.write_all(contents)
    except problem.PreconditionFailed as exc:
        outcomes = [exc] * len(contents)
    return responses.results(entries, outcomes, request)


@app.route("/events/{event_id}", methods=["GET", "HEAD"], content_types=[], authorizer=authorizer)
@responds_with_problems
def get_event(event_id: str) -> Response:
    """Return an event. The server drops the body of a response to HEAD."""
    request = app.current_request
    store = event_store(request, token.READ)
    event_id = unquote(event_id)
    if not event.is_id(event_id):
        raise problem.EventNotFound
    audit_log.add(event_id=event_id)
    return responses.found(store.read(event_id), request)


def event_store(request: Request, scope: str) -> EventStore:
    """Return the events of the caller's tenant. Raises Unauthorized, Forbidden, BadRequest.

    Tenant and scopes come from the authorizer only. API Gateway checks the policy for the method that the client sent.
    With X-HTTP-Method-Override another method is executed, so the scope is checked here again.
    """
    sender = caller.from_context(request.context.get("authorizer"), responses.request_id(request))
    audit_log.add(tenant=sender.tenant, key_id=sender.key_id)
    if scope not in sender.scopes:
        raise problem.Forbidden
    if len(headers.header_lines(request.to_original_event(), "authorization")) > 1:
        raise problem.BadRequest("The request has several Authorization headers: send one.")
    table = Table(dynamodb(), os.environ["TABLE_NAME"], HANDLER_SECONDS)
    retention_days, shards = os.environ.get("RETENTION_DAYS", "0"), os.environ.get("INDEX_SHARDS", "1")
    return EventStore(table, sender, int(retention_days), int(shards))


def utf_8_body(request: Request) -> bytes:
    """Return the body of a request. Raises InvalidEvent."""
    # API Gateway passes bodies as text. It replaces bytes that are not UTF-8 with U+FFFD, which changes the length.
    length = str(len(request.raw_body))
    if (headers.of(request, "content-length") or length).lstrip("0") != length.lstrip("0"):
        raise problem.InvalidEvent([problem.Fault("", "is not UTF-8, or its length differs from its Content-Length")])
    return request.raw_body


def require_json(request: Request, is_binary: bool) -> str:
    """Return the media type of a body. Raises UnsupportedMediaType unless it is UTF-8 JSON that POST reads.

    `is_binary`: whether a CloudEvent is in binary mode. Its body may have any media type of JSON.
    """
    if len(headers.header_lines(request.to_original_event(), "content-type")) > 1:
        raise problem.UnsupportedMediaType("The request has several Content-Type headers: send one.")
    media_type, parameters = media_types.split(headers.of(request, "content-type"))
    if media_type not in media_types.POSTED and not (is_binary and media_types.is_other_json(media_type)):
        raise problem.UnsupportedMediaType(media_types.EXPECTED)
    if media_types.has_other_charset(parameters):
        raise problem.UnsupportedMediaType("JSON is UTF-8: send charset=utf-8, or no charset.")
    codings = headers.of(request, "content-encoding").lower().split(",")
    if any(coding.strip() not in ("", "identity") for coding in codings):
        raise problem.UnsupportedMediaType("Send the body without a Content-Encoding.")
    return media_type


def require_no_if_match(request: Request) -> None:
    """Raise PreconditionFailed if a POST has an If-Match: it asks to change a stored event."""
    if headers.of(request, "if-match"):
        raise problem.PreconditionFailed("POST never changes a stored event: send it without If-Match.")


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    dynamodb()
    gc.freeze()
    gc.enable()

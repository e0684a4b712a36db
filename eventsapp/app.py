"""The Event API over HTTP: `POST /events` stores an event, `GET /events/{id}` returns it."""

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

import msgspec
from chalice import AuthResponse, AuthRoute, Chalice, Response
from chalice.app import AuthRequest, Request

from chalicelib import cors, event, headers, problem, token
from chalicelib.dynamodb import AUTHORIZER_SECONDS, HANDLER_SECONDS, Table, create_client
from chalicelib.signed_http import SignedHttp
from chalicelib.store import EventStore, StoredEvent

# Chalice's command line sets this variable; Lambda does not, and the package has no such folder.
if "AWS_CHALICE_CLI_MODE" in os.environ and importlib.util.find_spec("local"):
    importlib.import_module("local.chalice_command").prepare()

MAX_AGE = 31_536_000  # seconds; a year means "for ever" to a cache

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
    caller = token.TokenAuthenticator(table).authenticate(request.token)
    routes = [route for scope, route in SCOPE_ROUTES.items() if scope in caller.scopes]
    context = {"tenant": caller.tenant, "scopes": " ".join(sorted(caller.scopes))}
    return AuthResponse([*routes, UNSUPPORTED_METHODS], caller.key_id, context)


def responds_with_problems(view: Callable[..., Response]) -> Callable[..., Response]:
    """Wrap a view: a Problem that it raises becomes the response."""

    @functools.wraps(view)
    def wrapper(**arguments: str) -> Response:
        try:
            return view(**arguments)
        except problem.Problem as exc:
            return problem_response(exc, app.current_request)

    return wrapper


@app.middleware("http")
def add_cors_headers(request: Request | None, get_response: Callable[[Request], Response]) -> Response:
    """Answer preflights and add CORS headers to every response, if the stage allows other origins."""
    if request is None or not cors.allowed_origins():
        return get_response(request)
    origin = header(request, "origin") or None
    if cors.is_preflight(request.method, origin, header(request, "access-control-request-method")):
        return Response("", cors.preflight_headers(origin), 204)
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
        return problem_response(problem.MethodNotAllowed(response.headers["Allow"]), request)
    return problem_response(problem.InternalError(), request)


@app.route("/events", methods=["POST"], content_types=[], authorizer=authorizer)
@responds_with_problems
def post_event() -> Response:
    """Store an event. Repeats of the same request store nothing."""
    request = app.current_request
    store = event_store(request, token.WRITE)
    content = event.parse(json_body(request))
    require_no_if_match(request)
    stored, created = store.write(content)
    return created_response(stored, request) if created else repeat_response(stored, content, request)


@app.route("/events/{event_id}", methods=["GET", "HEAD"], content_types=[], authorizer=authorizer)
@responds_with_problems
def get_event(event_id: str) -> Response:
    """Return an event. The server drops the body of a response to HEAD."""
    request = app.current_request
    store = event_store(request, token.READ)
    event_id = unquote(event_id)
    if not event.is_id(event_id):
        raise problem.EventNotFound
    return found_response(store.read(event_id), request)


def event_store(request: Request, scope: str) -> EventStore:
    """Return the events of the caller's tenant. Raises Unauthorized, Forbidden, BadRequest.

    Tenant and scopes come from the authorizer only. API Gateway checks the policy for the method that the client sent.
    With X-HTTP-Method-Override another method is executed, so the scope is checked here again.
    """
    caller = request.context.get("authorizer") or {}
    if not caller.get("tenant"):
        raise problem.Unauthorized
    if scope not in caller.get("scopes", "").split():
        raise problem.Forbidden
    if len(headers.header_lines(request.to_original_event(), "authorization")) > 1:
        raise problem.BadRequest("The request has several Authorization headers: send one.")
    table = Table(dynamodb(), os.environ["TABLE_NAME"], HANDLER_SECONDS)
    return EventStore(table, caller["tenant"], int(os.environ.get("RETENTION_DAYS", "0")))


def header(request: Request, name: str) -> str:
    """Return a request's header, empty without one. Several lines of it make one list."""
    return headers.combined_header(request.to_original_event(), name)


def json_body(request: Request) -> bytes:
    """Return the body of a request. Raises UnsupportedMediaType, InvalidEvent."""
    require_json(request)
    # API Gateway passes bodies as text. It replaces bytes that are not UTF-8 with U+FFFD, which changes the length.
    length = str(len(request.raw_body))
    if (header(request, "content-length") or length) != length:
        raise problem.InvalidEvent([problem.Fault("", "is not UTF-8, or its length differs from its Content-Length")])
    return request.raw_body


def require_json(request: Request) -> None:
    """Raise UnsupportedMediaType unless the headers declare the body as plain UTF-8 JSON."""
    if len(headers.header_lines(request.to_original_event(), "content-type")) > 1:
        raise problem.UnsupportedMediaType("The request has several Content-Type headers: send one.")
    media_type, *parameters = [part.strip().lower() for part in header(request, "content-type").split(";")]
    if media_type != "application/json":
        raise problem.UnsupportedMediaType("Send the event with Content-Type: application/json.")
    pairs = [parameter.partition("=") for parameter in parameters]
    if any(name.strip() == "charset" and value.strip('" ') != "utf-8" for name, _, value in pairs):
        raise problem.UnsupportedMediaType("JSON is UTF-8: send charset=utf-8, or no charset.")
    codings = header(request, "content-encoding").lower().split(",")
    if any(coding.strip() not in ("", "identity") for coding in codings):
        raise problem.UnsupportedMediaType("Send the body without a Content-Encoding.")


def require_no_if_match(request: Request) -> None:
    """Raise PreconditionFailed if a POST has an If-Match: it asks to change a stored event."""
    if header(request, "if-match"):
        raise problem.PreconditionFailed("POST never changes a stored event: send it without If-Match.")


def etag(stored: StoredEvent) -> str:
    """Return the ETag of an event: the digest of its content, as a strong validator."""
    return f'"{stored.digest}"'


def created_response(stored: StoredEvent, request: Request) -> Response:
    """Return the response to a POST that stored an event."""
    location = f"{request.context['path'].rstrip('/')}/{stored.event.id}"
    return event_response(stored, 201, {"Location": location})


def repeat_response(stored: StoredEvent, content: event.Content, request: Request) -> Response:
    """Return the response to a POST of an id that is stored. Raises EventExists, EventConflict."""
    if headers.lists_etag(header(request, "if-none-match"), etag(stored)):
        raise problem.EventExists(etag(stored))
    if content.digest != stored.digest:
        raise problem.EventConflict(etag(stored))
    return event_response(stored, 200, {"Idempotent-Replayed": "true"})


def found_response(stored: StoredEvent, request: Request) -> Response:
    """Return the response to a GET. Raises PreconditionFailed."""
    if_match = header(request, "if-match")
    if if_match and not headers.lists_strong_etag(if_match, etag(stored)):
        raise problem.PreconditionFailed("The event does not have an ETag of your If-Match.")
    age = MAX_AGE if stored.expires_at is None else min(MAX_AGE, stored.expires_at - int(time.time()))
    # One private cache may serve callers of several tenants, so it may reuse a response for the same token only.
    caching = {"Cache-Control": f"private, max-age={age}, immutable", "Vary": "Authorization"}
    if headers.lists_etag(header(request, "if-none-match"), etag(stored)):
        return Response("", {"ETag": etag(stored), **caching}, 304)
    return event_response(stored, 200, caching)


def event_response(stored: StoredEvent, status: int, fields: dict[str, str]) -> Response:
    """Return a response with an event and more headers."""
    body = msgspec.json.encode(stored.event).decode()
    return Response(body, {"Content-Type": "application/json", "ETag": etag(stored), **fields}, status)


def problem_response(error: problem.Problem, request: Request | None) -> Response:
    """Return the response of a problem. Its request id is the one in the gateway's log, or else the function's own."""
    request_id = None
    if request is not None:
        request_id = request.context.get("requestId") or request.lambda_context.aws_request_id
    return Response(error.body(request_id), error.headers, error.status)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    dynamodb()
    gc.freeze()
    gc.enable()

"""The Event API over HTTP: `POST /events` stores an event, `GET /events/{id}` returns it."""

import functools
import importlib
import os
import re
import time
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
from botocore.client import BaseClient
from chalice import AuthResponse, AuthRoute, Chalice, Response
from chalice.app import AuthRequest, Request

from chalicelib import event, problem, token
from chalicelib.dynamodb import Table, create_client
from chalicelib.store import EventStore, StoredEvent
from chalicelib.token import TokenStore

if "AWS_CHALICE_CLI_MODE" in os.environ:  # chalice's command line sets it, Lambda does not: this folder is not shipped
    importlib.import_module("local.chalice_command").prepare()

MAX_AGE = 31_536_000  # seconds; to a cache, a year is for ever

app = Chalice(app_name="event-api", configure_logs=False)
app.api.binary_types.clear()  # bodies are text; a type listed here would come and go as base64


# What each scope opens, and what every known caller gets, which is 405. API Gateway keeps what it is told of a token
# and holds every later request with it against that, so it has to be right for all of them; and since it finds a route
# for more spellings of a path than one, a policy that tells paths apart could be gone around.
ROUTES = {token.WRITE: AuthRoute("/*", ["POST"]), token.READ: AuthRoute("/*", ["GET", "HEAD"])}
OTHERS = AuthRoute("/*", ["DELETE", "OPTIONS", "PATCH", "PUT"])


@functools.cache
def dynamodb() -> BaseClient:
    """Return the client of both stores, made once."""
    return create_client()


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # Lambda gives its init phase a full core, whatever the function's memory buys it later.
    dynamodb()


@app.authorizer(ttl_seconds=300)
def authorizer(request: AuthRequest) -> AuthResponse:
    """Tell API Gateway what a token opens, and whose events it is about. It asks once for each token and cache time.

    Raises Unauthorized, which the gateway answers with 401, and StoreUnavailable, which it answers with 503.
    """
    tokens = TokenStore(Table(dynamodb(), os.environ["TOKEN_TABLE_NAME"]))
    known = tokens.authenticate(request.token)
    routes = [route for scope, route in ROUTES.items() if scope in known.scopes]
    return AuthResponse([*routes, OTHERS], known.key_id, {"tenant": known.tenant})


def event_store(request: Request) -> EventStore:
    """Return the store of the caller's tenant, whom the authorizer alone names. Raises Unauthorized without one."""
    tenant = (request.context.get("authorizer") or {}).get("tenant")
    if not tenant:
        raise problem.Unauthorized
    table = Table(dynamodb(), os.environ["TABLE_NAME"])
    return EventStore(table, tenant, int(os.environ.get("RETENTION_DAYS", "0")))


def answers_problems(view: Callable[..., Response]) -> Callable[..., Response]:
    """Wrap a view so that a Problem it raises is its answer."""

    @functools.wraps(view)
    def answering(**arguments: str) -> Response:
        try:
            return view(**arguments)
        except problem.Problem as exc:
            return problem_response(exc, app.current_request)

    return answering


@app.middleware("http")
def chalice_errors_as_problems(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Give the errors that chalice makes by itself the form of all others."""
    response = get_response(request)
    if response.status_code < 400 or response.headers.get("Content-Type") == problem.MEDIA_TYPE:
        return response
    if response.status_code == 405:
        return problem_response(problem.MethodNotAllowed(response.headers["Allow"]), request)
    return problem_response(problem.InternalError(), request)


@app.route("/events", methods=["POST"], content_types=[], authorizer=authorizer)
@answers_problems
def post_event() -> Response:
    """Store an event once, however often it is sent."""
    request = app.current_request
    require_json(request)
    content = event.parse(body_of(request))
    stored, written = event_store(request).write(content)
    if written:
        location = f"{request.context['path'].rstrip('/')}/{stored.event.id}"
        return event_response(stored, 201, {"Location": location})
    if request.headers.get("if-none-match", "").strip() == "*":
        raise problem.EventExists(etag(stored))
    if content.digest != stored.digest:
        raise problem.EventConflict(etag(stored))
    return event_response(stored, 200, {"Idempotent-Replayed": "true"})


@app.route("/events/{event_id}", methods=["GET", "HEAD"], content_types=[], authorizer=authorizer)
@answers_problems
def get_event(event_id: str) -> Response:
    """Return an event. The server drops the body of an answer to HEAD."""
    request = app.current_request
    event_id = unquote(event_id)
    if not event.is_id(event_id):
        raise problem.EventNotFound
    stored = event_store(request).read(event_id)
    age = MAX_AGE if stored.expires_at is None else min(MAX_AGE, stored.expires_at - int(time.time()))
    # A cache of one program may serve callers of more than one tenant: what it keeps is for the same token alone.
    caching = {"Cache-Control": f"private, max-age={age}, immutable", "Vary": "Authorization"}
    if names_etag(request.headers.get("if-none-match", ""), etag(stored)):
        return Response("", {"ETag": etag(stored), **caching}, 304)
    return event_response(stored, 200, caching)


def require_json(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body is declared as plain UTF-8 JSON."""
    media_type, *parameters = [part.strip().lower() for part in request.headers.get("content-type", "").split(";")]
    if media_type != "application/json":
        raise problem.UnsupportedMediaType("Send the event with Content-Type: application/json.")
    pairs = [parameter.partition("=") for parameter in parameters]
    if any(name.strip() == "charset" and value.strip('" ') != "utf-8" for name, _, value in pairs):
        raise problem.UnsupportedMediaType("JSON is UTF-8: send it so, with charset=utf-8 or none.")
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise problem.UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")


def body_of(request: Request) -> bytes:
    """Return the body that was sent. Raises InvalidEvent where it came as another.

    A gateway that passes bodies as text puts U+FFFD in the place of bytes that are not UTF-8, which changes the length.
    """
    length = str(len(request.raw_body))
    if request.headers.get("content-length", length) != length:
        raise problem.InvalidEvent([problem.Fault("", "is not UTF-8, or not as long as its Content-Length says")])
    return request.raw_body


def etag(stored: StoredEvent) -> str:
    """Return the strong validator of an event: the digest of its content."""
    return f'"{stored.digest}"'


def names_etag(if_none_match: str, current: str) -> bool:
    """Tell whether an If-None-Match field names an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or current in re.findall(r'"[^"]*"', if_none_match)


def event_response(stored: StoredEvent, status: int, headers: dict[str, str]) -> Response:
    """Answer with an event."""
    body = msgspec.json.encode(stored.event).decode()
    return Response(body, {"Content-Type": "application/json", "ETag": etag(stored), **headers}, status)


def problem_response(answer: problem.Problem, request: Request | None) -> Response:
    """Answer with a problem; it names the request as the gateway's log does, or as the function's."""
    request_id = None
    if request is not None:
        request_id = request.context.get("requestId") or request.lambda_context.aws_request_id
    return Response(answer.body(request_id), answer.headers, answer.status)

"""A table of callers and the status that each one gets. Tests use it in process, locally and on a deployed stage."""

import json
import time
from collections.abc import Callable
from typing import NamedTuple

from chalicelib.token import ALPHABET, CHECKSUM_LENGTH, READ, WRITE, checksum
from targets import JSON, Response, Api, an_event, get, post
from token_admin import TokenAdmin

TENANT = "acme"  # the tenant of all callers below except "other tenant"


class Caller(NamedTuple):
    """A caller's Authorization header, the status of its POST, and the status of its GET or HEAD."""

    name: str
    authorization: Callable[[TokenAdmin], str | None]
    post: int
    read: int


def token_of(
    table: TokenAdmin, *scopes: str, tenant: str = TENANT, ends_in: int | None = None, revoked: bool = False
) -> str:
    """Create a token and return its text."""
    expires_at = None if ends_in is None else int(time.time()) + ends_in
    text, token = table.create(tenant, "caller", frozenset(scopes), expires_at)
    if revoked:
        table.revoke(token.key_id)
    return text


def bearer(text: str) -> str:
    """Return the Authorization header of a token."""
    return f"Bearer {text}"


def with_other_secret(text: str) -> str:
    """Return a token with a valid checksum and a wrong secret."""
    unchecked = text[:-CHECKSUM_LENGTH]
    changed = unchecked[:-1] + ALPHABET[(ALPHABET.index(unchecked[-1]) + 1) % len(ALPHABET)]
    return changed + checksum(changed)


def with_other_key_id(text: str) -> str:
    """Return a token with a valid checksum and an unknown key id."""
    _, _, rest = text[:-CHECKSUM_LENGTH].split("_")
    unchecked = f"evt_{'0' * 16}_{rest}"
    return unchecked + checksum(unchecked)


CALLERS = [
    Caller("no token", lambda table: None, 401, 401),
    Caller("empty", lambda table: "", 401, 401),
    Caller("scheme alone", lambda table: "Bearer ", 401, 401),
    Caller("malformed", lambda table: "Bearer evt_1234", 401, 401),
    Caller("other scheme", lambda table: f"Basic {token_of(table, WRITE, READ)}", 401, 401),
    Caller("no scheme", lambda table: token_of(table, WRITE, READ), 401, 401),
    Caller("two tokens", lambda table: f"Bearer {token_of(table, WRITE, READ)}, {token_of(table, READ)}", 401, 401),
    Caller("wrong checksum", lambda table: bearer(token_of(table, WRITE, READ)[:-1] + "_"), 401, 401),
    Caller("wrong secret", lambda table: bearer(with_other_secret(token_of(table, WRITE, READ))), 401, 401),
    Caller("unknown key id", lambda table: bearer(with_other_key_id(token_of(table, WRITE, READ))), 401, 401),
    Caller("expired", lambda table: bearer(token_of(table, WRITE, READ, ends_in=0)), 401, 401),
    Caller("revoked", lambda table: bearer(token_of(table, WRITE, READ, revoked=True)), 401, 401),
    Caller("read only", lambda table: bearer(token_of(table, READ)), 403, 200),
    Caller("write only", lambda table: bearer(token_of(table, WRITE)), 201, 403),
    Caller("both", lambda table: bearer(token_of(table, WRITE, READ)), 201, 200),
    Caller("other tenant", lambda table: bearer(token_of(table, WRITE, READ, tenant="other")), 201, 404),
]


def call(api: Api, method: str, authorization: str | None, event_id: str) -> Response:
    """Post a new event or read an event. Without `authorization`, send no Authorization header."""
    caller = {} if authorization is None else {"Authorization": authorization}
    return post(api, an_event(), **caller) if method == "POST" else get(api, event_id, method, **caller)


def assert_refused(response: Response, status: int, method: str) -> None:
    """Assert that a response is a complete problem with this status and the right WWW-Authenticate header."""
    kinds = {401: "unauthorized", 403: "forbidden", 404: "event-not-found"}
    challenges = {401: "Bearer", 403: 'Bearer error="insufficient_scope"', 404: None}
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get("www-authenticate") == challenges[status]
    if method == "HEAD":
        assert response.body == b""
        return
    body = response.json
    assert body.pop("request_id") and body.pop("title") and body.pop("detail")
    assert body == {"type": f"urn:event-api:problem:{kinds[status]}", "status": status}


# A gateway may treat these paths as /events.
SPELLINGS = ["/events/", "//events", "/events//", "/events;a", "/events?a=1", "/events/?a", "/%65vents", "/events/.."]


def check_spelling(api: Api, table: TokenAdmin, path: str) -> None:
    """Assert that a read-only token cannot store an event through this spelling of the path."""
    authorization = bearer(token_of(table, READ))
    event = an_event()
    body = json.dumps(event).encode()
    assert api.request("POST", path, body, {**JSON, "Authorization": authorization}).status in (403, 404)
    assert get(api, event["id"], Authorization=authorization).status == 404


def check(api: Api, table: TokenAdmin, caller: Caller, method: str) -> None:
    """Assert that a caller gets the status in the table. The event in the test belongs to TENANT."""
    stored = post(api, an_event(), Authorization=bearer(token_of(table, WRITE)))
    assert stored.status == 201
    response = call(api, method, caller.authorization(table), stored.json["id"])
    status = caller.post if method == "POST" else caller.read
    assert response.status == status, response
    if status >= 400:
        assert_refused(response, status, method)

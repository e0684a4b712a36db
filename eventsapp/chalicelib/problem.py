"""Errors as problem details (RFC 9457). Every module may raise them, and every error response has this one form."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from chalicelib import media_types

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 100  # that a response lists
RETRY_LATER = {"Retry-After": "5"}  # seconds, after a failure that may be gone by then
SEND_AGAIN = (
    "An event that you posted may or may not be stored. "
    "Send the same request again, with the same id: it is stored once."
)

# The titles are HTTP's own (RFC 9110). Before Python 3.13, http.HTTPStatus has an older one for 413.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Fault(NamedTuple):
    """One fault of a request: its place (a JSON pointer, RFC 6901) and what to send instead."""

    pointer: str
    detail: str


class ParameterFault(NamedTuple):
    """One fault of a query: its parameter, and what to send instead."""

    parameter: str
    detail: str


class Problem(Exception):
    """Base class of every error response. Each subclass is one documented problem type."""

    status: ClassVar[int]
    type: ClassVar[str]

    def __init__(self, detail: str, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **(headers or {})}
        self.members = members

    def body(self, request_id: str | None) -> dict[str, Any]:
        """Return the problem as a JSON object. Callers quote the `request_id` when they ask for help."""
        return {
            "type": f"urn:event-api:problem:{self.type}",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
            **self.members,
            **({"request_id": request_id} if request_id else {}),
        }


def _summary(faults: Sequence[object], most: int) -> str:
    """Return the detail of a problem that lists its faults."""
    number = "each fault" if len(faults) <= most else f"the first {most} faults"
    return f"`errors` lists {number}."


class InvalidEvent(Problem):
    """Raised when a body is not JSON or a field breaks its rule."""

    status, type = 400, "invalid-event"

    def __init__(self, faults: list[Fault], most: int = MOST_FAULTS) -> None:
        """`most` is how many faults the response lists."""
        super().__init__(_summary(faults, most), errors=[fault._asdict() for fault in faults[:most]])
        self.faults = faults


class InvalidQuery(Problem):
    """Raised when a parameter of a list is unknown, is repeated or breaks its rule."""

    status, type = 400, "invalid-query"

    def __init__(self, faults: list[ParameterFault]) -> None:
        super().__init__(_summary(faults, MOST_FAULTS), errors=[fault._asdict() for fault in faults[:MOST_FAULTS]])


class BadRequest(Problem):
    """Raised when a request cannot be read, whatever its body."""

    status, type = 400, "bad-request"

    def __init__(self, detail: str = "The API cannot read this request: see its documentation.") -> None:
        super().__init__(detail)


class Unauthorized(Problem):
    """Raised when a request has no valid token. The response does not say why the token is not valid."""

    status, type = 401, "unauthorized"

    def __init__(self) -> None:
        super().__init__("Send a valid token, as in Authorization: Bearer evt_...", {"WWW-Authenticate": "Bearer"})

    def __str__(self) -> str:
        return "Unauthorized"  # API Gateway responds with 401 to this text only


class Forbidden(Problem):
    """Raised when the caller's token does not have the scope that the request needs."""

    status, type = 403, "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "POST needs a token with the scope events:write; GET and HEAD need events:read.",
            {"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
        )


class RequestBlocked(Problem):
    """Raised when the firewall blocks a request. Only the gateway sends this response."""

    status, type = 403, "request-blocked"

    def __init__(self) -> None:
        super().__init__(
            "The firewall blocked this request: it looks like an attack, or its address sent too many requests."
        )


class PathNotFound(Problem):
    """Raised when no route has the path."""

    status, type = 404, "path-not-found"

    def __init__(self) -> None:
        super().__init__("The paths are /events and /events/{id}.")


class EventNotFound(Problem):
    """Raised when the caller's tenant has no event with this id."""

    status, type = 404, "event-not-found"

    def __init__(self) -> None:
        super().__init__("No event with this id is stored, or its retention has ended.")


class MethodNotAllowed(Problem):
    """Raised when a path does not support the method."""

    status, type = 405, "method-not-allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This path supports {allow}.", {"Allow": allow})


class EventConflict(Problem):
    """Raised when an event with this id and different content is stored."""

    status, type = 409, "event-conflict"

    def __init__(self, etag: str) -> None:
        super().__init__(
            "An event with this id and different content is stored, and events never change: "
            "send a new event with a new id.",
            {"ETag": etag},
        )


class EventExists(Problem):
    """Raised when an event with this id is stored and the caller's If-None-Match excludes it."""

    status, type = 412, "event-exists"

    def __init__(self, etag: str) -> None:
        super().__init__("An event with this id is stored, and your If-None-Match excludes it.", {"ETag": etag})


class PreconditionFailed(Problem):
    """Raised when an If-Match does not hold."""

    status, type = 412, "precondition-failed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class BodyTooLarge(Problem):
    """Raised when a body is larger than the limit (bytes)."""

    status, type = 413, "body-too-large"

    def __init__(self, limit: int, advice: str = "store large data elsewhere and post its address") -> None:
        super().__init__(f"The limit is {limit} bytes: {advice}.", limit=limit)


class UnsupportedMediaType(Problem):
    """Raised when a body is not declared as UTF-8 JSON of a media type that the API reads."""

    status, type = 415, "unsupported-media-type"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"Accept-Post": ", ".join(media_types.POSTED), "Accept-Encoding": "identity"})


class TooManyRequests(Problem):
    """Raised when a throttle or a quota is used up. Only the gateway sends this response."""

    status, type = 429, "too-many-requests"

    def __init__(self, retry_after: int) -> None:
        """`retry_after` is in seconds."""
        super().__init__(
            "Send the same request again after Retry-After seconds, and send fewer.", {"Retry-After": str(retry_after)}
        )


class InternalError(Problem):
    """Raised when the function has a fault. The response tells nothing about it."""

    status, type = 500, "internal-error"

    def __init__(self) -> None:
        super().__init__("The service failed, and its log says why. You may send the same request again.")


class StoredEventAltered(Problem):
    """Raised when a stored event is not what the API stored: somebody changed it in the table."""

    status, type = 500, "stored-event-altered"

    def __init__(self, ids: list[str]) -> None:
        """`ids` are the altered events. The response has nothing else of them."""
        super().__init__(
            "Stored events were altered outside of the API, so they are not returned: report the request_id.", ids=ids
        )
        self.ids = ids


class StoreUnavailable(Problem):
    """Raised when the store throttles, fails, or does not respond in time."""

    status, type = 503, "store-unavailable"

    def __init__(self) -> None:
        super().__init__(SEND_AGAIN, RETRY_LATER)


class AuthorizerUnavailable(Problem):
    """Raised when the authorizer cannot check the token."""

    status, type = 503, "authorizer-unavailable"

    def __init__(self) -> None:
        super().__init__(
            "Your token could not be checked, and nothing was stored: send the same request again.", RETRY_LATER
        )


class ServiceUnavailable(Problem):
    """Raised when the gateway gets no response from the function. Only the gateway sends this response."""

    status, type = 503, "service-unavailable"

    def __init__(self) -> None:
        super().__init__(SEND_AGAIN, RETRY_LATER)


class ServiceTimeout(Problem):
    """Raised when the function does not respond in time. Only the gateway sends this response."""

    status, type = 504, "service-timeout"

    def __init__(self) -> None:
        super().__init__(SEND_AGAIN, RETRY_LATER)

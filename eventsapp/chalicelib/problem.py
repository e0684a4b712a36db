"""Errors as problem details (RFC 9457): what every module may raise, and the one form they are answered in."""

from typing import Any, ClassVar, NamedTuple

MEDIA_TYPE = "application/problem+json"


class Fault(NamedTuple):
    """One thing wrong with a request: where (a JSON pointer, RFC 6901) and what would be right."""

    pointer: str
    detail: str


class Problem(Exception):
    """Raised when a request gets no event; each subclass is one documented problem type."""

    status: ClassVar[int]
    type: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **(headers or {})}
        self.members = members

    def body(self, request_id: str | None) -> dict[str, Any]:
        """Return the problem as a JSON object; `request_id` is what to name when asking for help."""
        return {
            "type": f"urn:event-api:problem:{self.type}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
            **({"request_id": request_id} if request_id else {}),
        }


class InvalidEvent(Problem):
    """Raised when a body is not JSON or a field breaks its rule."""

    status, type, title = 400, "invalid-event", "The event is not valid"
    MOST_FAULTS = 100

    def __init__(self, faults: list[Fault]) -> None:
        named = "each fault" if len(faults) <= self.MOST_FAULTS else f"the first {self.MOST_FAULTS} faults"
        shown = [fault._asdict() for fault in faults[: self.MOST_FAULTS]]
        super().__init__(f"`errors` names {named}.", errors=shown)


class BadRequest(Problem):
    """Raised when the gateway cannot take a request, whatever its body; only the gateway answers it."""

    status, type, title = 400, "bad-request", "The request is not valid"

    def __init__(self) -> None:
        super().__init__("The request is not one that this API takes: see its documentation.")


class Unauthorized(Problem):
    """Raised when a request has no token, or none that is known, whole and in force. Which of them is not told."""

    status, type, title = 401, "unauthorized", "The caller is not known"

    def __init__(self) -> None:
        super().__init__(
            "Send a token that is in force, as Authorization: Bearer evt_...", {"WWW-Authenticate": "Bearer"}
        )

    def __str__(self) -> str:
        return "Unauthorized"  # by which API Gateway knows it from a failure of the authorizer


class Forbidden(Problem):
    """Raised when the caller's token does not have the scope that a request takes."""

    status, type, title = 403, "forbidden", "The token does not allow this"

    def __init__(self) -> None:
        super().__init__(
            "To post takes a token with the scope events:write, to read one with events:read.",
            {"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
        )


class RequestBlocked(Problem):
    """Raised when a rule of the firewall refuses a request; only the gateway answers it."""

    status, type, title = 403, "request-blocked", "The request is refused"

    def __init__(self) -> None:
        super().__init__("By a rule of the firewall: it looks like an attack, or too many come from its address.")


class PathNotFound(Problem):
    """Raised when no route has the path."""

    status, type, title = 404, "path-not-found", "There is nothing at this path"

    def __init__(self) -> None:
        super().__init__("The paths are /events and /events/{id}.")


class EventNotFound(Problem):
    """Raised when the caller has no event of this id."""

    status, type, title = 404, "event-not-found", "There is no such event"

    def __init__(self) -> None:
        super().__init__("No event with this id is stored, or its retention has ended.")


class MethodNotAllowed(Problem):
    """Raised when the path exists and the method does not."""

    status, type, title = 405, "method-not-allowed", "The method is not allowed here"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This path takes {allow}.", {"Allow": allow})


class EventConflict(Problem):
    """Raised when the id is taken by an event with other content."""

    status, type, title = 409, "event-conflict", "The id is taken by another event"

    def __init__(self, etag: str) -> None:
        super().__init__(
            "An event with this id and other content is stored, and events never change: "
            "send a new event under a new id.",
            {"ETag": etag},
        )


class EventExists(Problem):
    """Raised when the id is taken and the caller asked for a new one (If-None-Match: *)."""

    status, type, title = 412, "event-exists", "The id is taken"

    def __init__(self, etag: str) -> None:
        super().__init__("An event with this id is stored, and If-None-Match: * asked that none be.", {"ETag": etag})


class BodyTooLarge(Problem):
    """Raised when a body is over the limit, in bytes."""

    status, type, title = 413, "body-too-large", "The body is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The limit is {limit} bytes: store what is large elsewhere and post its address.", limit=limit
        )


class UnsupportedMediaType(Problem):
    """Raised when a body is not declared as plain UTF-8 JSON."""

    status, type, title = 415, "unsupported-media-type", "The body is not declared as JSON"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"Accept-Post": "application/json", "Accept-Encoding": "identity"})


class TooManyRequests(Problem):
    """Raised when a rate or a quota is used up; only the gateway answers it."""

    status, type, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, retry_after: int) -> None:
        """`retry_after` in seconds."""
        super().__init__("Send fewer; this one may be sent again later.", {"Retry-After": str(retry_after)})


class InternalError(Problem):
    """Raised when the service itself is at fault; says nothing of the inside."""

    status, type, title = 500, "internal-error", "The service failed"

    def __init__(self) -> None:
        super().__init__("The fault is ours and is in our logs. The same request may be sent again.")


class StoreUnavailable(Problem):
    """Raised when the store throttles, fails or does not answer in time."""

    status, type, title = 503, "store-unavailable", "The store does not answer"
    RETRY_AFTER = 5  # seconds

    def __init__(self) -> None:
        super().__init__(
            "Send the same request again. What was posted may or may not be stored; under its id it is stored once.",
            {"Retry-After": str(self.RETRY_AFTER)},
        )


class AuthorizerUnavailable(Problem):
    """Raised when it cannot be found out who calls."""

    status, type, title = 503, "authorizer-unavailable", "The caller cannot be checked"
    RETRY_AFTER = 5  # seconds

    def __init__(self) -> None:
        super().__init__(
            "Nothing was stored: send the same request again.", {"Retry-After": str(self.RETRY_AFTER)}
        )


class ServiceTimeout(Problem):
    """Raised when the function does not answer in time; only the gateway answers it."""

    status, type, title = 504, "service-timeout", "The service does not answer"

    def __init__(self) -> None:
        super().__init__("The event may or may not be stored: send the same request again, with the same id.")

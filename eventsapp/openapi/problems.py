"""The problems in the document: one schema for each type, and each problem as the API sends it."""

from typing import Any

from chalicelib import batch, media_types, problem
from chalicelib.event import MAX_BODY_BYTES
from chalicelib.problem import Fault, ParameterFault, Problem

Json = dict[str, Any]
ETAG = '"9a4d2b7f3c1e8a6d5b0c4f7e2a9d8c1b6e3f0a5d7c2b9e4f1a8d6c3b0e5f7a2d"'

# Each type as one response has it. The code has its status, headers and members, so the document says no other.
SAMPLES: tuple[Problem, ...] = (
    problem.InvalidEvent([Fault("/type", "is missing")]),
    problem.InvalidQuery([ParameterFault("limit", "must be a whole number")]),
    problem.BadRequest(),
    problem.Unauthorized(),
    problem.Forbidden(),
    problem.RequestBlocked(),
    problem.PathNotFound(),
    problem.EventNotFound(),
    problem.MethodNotAllowed("GET, HEAD, POST"),
    problem.EventConflict(ETAG),
    problem.EventExists(ETAG),
    problem.PreconditionFailed("The event does not have an ETag of your If-Match."),
    problem.BodyTooLarge(MAX_BODY_BYTES),
    problem.UnsupportedMediaType(media_types.EXPECTED),
    problem.TooManyRequests(1),
    problem.InternalError(),
    problem.StoredEventAltered(["order-1001"]),
    problem.StoreUnavailable(),
    problem.AuthorizerUnavailable(),
    problem.ServiceUnavailable(),
    problem.ServiceTimeout(),
)


def faults(declared: type[Any], place: str, most: int) -> Json:
    """Return the schema of a list of faults. `place` describes the fault's first field."""
    first, detail = declared._fields
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": most,
        "items": {
            "type": "object",
            "properties": {
                first: {"type": "string", "description": place},
                detail: {"type": "string", "description": "What is wrong, and what to send instead."},
            },
            "required": [first, detail],
        },
    }


MEMBERS: dict[type[Problem], Json] = {
    problem.InvalidEvent: {
        "errors": faults(
            Fault, "Where the fault is: a JSON pointer (RFC 6901), empty for the whole body.", problem.MOST_FAULTS
        )
    },
    problem.InvalidQuery: {"errors": faults(ParameterFault, "The parameter's name.", problem.MOST_FAULTS)},
    problem.BodyTooLarge: {
        "limit": {
            "type": "integer",
            "enum": [MAX_BODY_BYTES, batch.MAX_BATCH_BYTES],
            "description": "The most bytes: of an event, or of a batch.",
        }
    },
    problem.StoredEventAltered: {
        "ids": {"type": "array", "items": {"type": "string"}, "description": "The ids of the altered events."}
    },
}


def sample(kind: type[Problem]) -> Problem:
    """Return a problem of a type, as a response has it."""
    (found,) = [error for error in SAMPLES if isinstance(error, kind)]
    return found


def rule(kind: type[Problem]) -> str:
    """Return when a problem is the response, in words: its class's docstring."""
    return (kind.__doc__ or "").removeprefix("Raised when ").strip()


def schema(error: Problem) -> Json:
    """Return the schema of a problem. Raises ValueError if the document does not know one of its members."""
    kind = type(error)
    members = MEMBERS.get(kind, {})
    if error.members.keys() != members.keys():
        raise ValueError(f"the members of {kind.__name__} are {list(error.members)}: describe them in MEMBERS")
    body = error.body("request-id")
    text = rule(kind)
    return {
        "title": kind.__name__,
        "description": text[:1].upper() + text[1:],
        "type": "object",
        "properties": {
            "type": {"type": "string", "const": body["type"]},
            "title": {"type": "string", "const": body["title"]},
            "status": {"type": "integer", "const": error.status},
            "detail": {"type": "string", "description": "What happened, and what to do."},
            **members,
            "request_id": {
                "type": "string",
                "description": "Quote it when you ask for help. The HTTP server's and the firewall's have none.",
            },
        },
        "required": ["type", "title", "status", "detail", *members],
    }


def schemas() -> Json:
    """Return a schema for each problem type, by the name of its class. Raises ValueError if a type has no sample."""
    missing = {kind.__name__ for kind in Problem.__subclasses__()}
    missing -= {type(error).__name__ for error in SAMPLES}
    if missing:
        raise ValueError(f"add a sample of {', '.join(sorted(missing))} to SAMPLES")
    return {type(error).__name__: schema(error) for error in SAMPLES}


def any_of(kinds: list[type[Problem]]) -> Json:
    """Return the schema of a problem of one of these types."""
    references = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
    if len(references) == 1:
        return references[0]
    mapping = {
        f"urn:event-api:problem:{kind.type}": reference["$ref"]
        for kind, reference in zip(kinds, references, strict=True)
    }
    return {"oneOf": references, "discriminator": {"propertyName": "type", "mapping": mapping}}

"""Defines a batch: a body with many events, each of which stands for itself. Pure: no AWS, no HTTP."""

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from chalicelib import event, lossless_json
from chalicelib.problem import BodyTooLarge, Fault, InvalidEvent, Problem

MAX_EVENTS = 100
MAX_BATCH_BYTES = 1_048_576
MOST_FAULTS = 10  # of one event that a response lists; Lambda refuses a response of more than 6 MB


class Refused(Struct, frozen=True):
    """An event of a batch that cannot be stored: the problem of a single POST, and its id if it sent a valid one."""

    id: str | None
    problem: Problem


Check = Callable[[Any, bool], event.Content]  # event.check, or the same for another form of an event
Entry = event.Content | Refused  # what an event of a batch is after the checks


def too_large() -> BodyTooLarge:
    """Return the problem of a body that is larger than every body may be."""
    return BodyTooLarge(
        MAX_BATCH_BYTES, "send fewer events at a time, or store large data elsewhere and post its address"
    )


def is_batch(body: bytes) -> bool:
    """Tell whether a body is meant as a batch: it starts as a JSON array."""
    return re.match(rb"[ \t\r\n]*\[", body) is not None


def parse(body: bytes, check: Check = event.check) -> list[Entry]:
    """Read the events of a batch, in the order sent.

    Raises BodyTooLarge and InvalidEvent if the body as a whole is wrong.
    """
    if len(body) > MAX_BATCH_BYTES:
        raise too_large()
    if not is_batch(body):
        raise InvalidEvent([Fault("", "must be a JSON array")])
    try:
        elements = lossless_json.decode_array(body, MAX_EVENTS + 1)
    except lossless_json.NotJson as exc:
        raise InvalidEvent([Fault("", str(exc))]) from exc
    if not 1 <= len(elements) <= MAX_EVENTS:
        raise InvalidEvent([Fault("", f"must have 1 to {MAX_EVENTS} events")])
    return [_content_or_refused(check, *element) for element in elements]


def _content_or_refused(check: Check, document: Any, may_be_too_deep: bool, size: int) -> Entry:
    try:
        event.require_size(size)
        return check(document, may_be_too_deep)
    except InvalidEvent as exc:
        return Refused(_id_of(document), InvalidEvent(exc.faults, MOST_FAULTS))
    except BodyTooLarge as exc:
        return Refused(_id_of(document), exc)


def _id_of(document: Any) -> str | None:
    """Return the id that an event sent, if it is valid."""
    sent_id = document.get("id") if isinstance(document, dict) else None
    return sent_id if event.is_id(sent_id) else None

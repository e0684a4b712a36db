"""A check for schemathesis. It runs in schemathesis' own process, and imports nothing of the project."""

import schemathesis  # pylint: disable=import-error  # it is in build/clients

REFUSALS = (400, 412, 413, 415)
RULES = {"cursor", "from", "to"}  # parameters with rules that a schema cannot express: real times and known cursors


@schemathesis.check
def valid_request_is_accepted(_context, response, case) -> None:
    """The API accepts a request that matches the document, except for rules that a schema cannot express."""
    mode = case.meta.generation.mode if case.meta else None
    if mode is None or not mode.is_positive or case.method == "HEAD" or response.status_code not in REFUSALS:
        return
    body = response.json()
    kind = body["type"].rpartition(":")[2]
    faults = body.get("errors", [])
    if kind in ("precondition-failed", "event-exists"):
        return
    if kind == "invalid-query" and all(fault["parameter"] in RULES for fault in faults):
        return
    if kind == "invalid-event" and all(fault["pointer"] in ("/occurred_at", "/time") for fault in faults):
        return
    raise AssertionError(f"a valid request got {response.status_code} {kind}: {faults}")

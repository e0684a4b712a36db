"""Cross-origin requests: which web pages of other origins may call the API (Fetch standard, CORS protocol).

The environment variable CORS_ORIGINS lists their origins, separated by spaces: `https://app.example.com`, or `*` for
every page. Without it, responses have no CORS headers, and browsers block pages of other origins.
"""

import os
import re

METHODS = "GET, HEAD, POST"
REQUEST_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match"  # that a page may send
CLOUDEVENT_HEADER = re.compile(r"(?<![^ \t,])ce-[a-z0-9]+(?![^ \t,])")  # that a page may also send
RESPONSE_HEADERS = "ETag, Location, Link, Idempotent-Replayed, Retry-After, WWW-Authenticate"  # that a page may read
MAX_AGE = 7200  # seconds that a browser caches a preflight; Chromium's own limit


def allowed_origins() -> list[str]:
    """Return the origins whose pages may call the API."""
    return os.environ.get("CORS_ORIGINS", "").split()


def is_preflight(method: str, origin: str | None, requested_method: str | None) -> bool:
    """Tell whether a request is a preflight, by its Origin and Access-Control-Request-Method headers."""
    return method == "OPTIONS" and bool(origin) and bool(requested_method)


def response_headers(origin: str | None, *vary: str) -> dict[str, str]:
    """Return the CORS headers of a response to a request with this Origin header.

    `vary` is the response's own Vary header. It is returned with `Origin` added, if the response depends on the origin.
    """
    allowed = allowed_origins()
    if not allowed:
        return {}
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": RESPONSE_HEADERS}
    by_origin = {"Vary": ", ".join([*vary, "Origin"])}
    if origin not in allowed:
        return by_origin
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": RESPONSE_HEADERS,
        **by_origin,
    }


def preflight_headers(origin: str | None, requested: str) -> dict[str, str]:
    """Return the headers of the 204 response to a preflight with this Access-Control-Request-Headers header.

    A page chooses the names of a CloudEvent's headers, so a fixed list cannot contain them. Some browsers do not
    support `*`.
    """
    headers = response_headers(origin)
    if "Access-Control-Allow-Origin" not in headers:
        return headers
    return {
        **headers,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": ", ".join([REQUEST_HEADERS, *CLOUDEVENT_HEADER.findall(requested.lower())]),
        "Access-Control-Max-Age": str(MAX_AGE),
    }

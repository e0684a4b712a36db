"""Sends a request as the app does."""

import time

from chalicelib.signed_http import SignedHttp


def post(http: SignedHttp | None = None, seconds: float = 20) -> bytes:
    """Send a request; return the body of its response."""
    http = http or SignedHttp("dynamodb", 5, 10)
    return http.post({"X-Amz-Target": "DynamoDB_20120810.GetItem"}, b"{}", time.monotonic() + seconds).body

"""Defines a caller: what the authorizer tells the routes about the token of a request. Pure: no AWS, no HTTP.

API Gateway caches the authorizer's context, and passes it on with each request that has the same token.
"""

from collections.abc import Mapping

from msgspec import Struct

from chalicelib.problem import Unauthorized
from chalicelib.token import Token


class Caller(Struct, frozen=True, kw_only=True):
    """Who sends a request: the tenant, the token's key id and scopes, and the request's id."""

    tenant: str
    key_id: str
    request_id: str
    scopes: frozenset[str] = frozenset()
    retention: int | None = None  # seconds that this caller's events are kept at most


def context_of(token: Token) -> dict[str, str]:
    """Return the authorizer's context for a token. API Gateway adds the key id, as `principalId`."""
    context = {"tenant": token.tenant, "scopes": " ".join(sorted(token.scopes))}
    return context if token.retention is None else {**context, "retention": str(token.retention)}


def from_context(context: Mapping[str, str] | None, request_id: str) -> Caller:
    """Return the caller in an authorizer's context. Raises Unauthorized if no authorizer allowed the request."""
    if not context or not context.get("tenant"):
        raise Unauthorized
    return Caller(
        tenant=context["tenant"],
        key_id=context.get("principalId", "unknown"),
        request_id=request_id,
        scopes=frozenset(context.get("scopes", "").split()),
        retention=int(context["retention"]) if "retention" in context else None,
    )

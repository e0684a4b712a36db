"""Administration of tokens: creates, lists, revokes and rotates them in the token table. Not shipped.

`chalicelib/token.py` authenticates callers and only reads the table. An administrator needs four permissions on it:
GetItem, PutItem, UpdateItem, Scan. Each record says which AWS identity created, rotated and revoked the token.
"""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.dynamodb import Item
from chalicelib.problem import Unauthorized
from chalicelib.token import (
    ALPHABET,
    IDENTITIES,
    KEY_ID_LENGTH,
    NUMBERS,
    RANDOM_LENGTH,
    SCOPES,
    Token,
    base62,
    checksum,
    from_item,
    parse,
    sha256,
)


LOCAL = "local"  # the identity on an emulated AWS, which has no real ones


class TokenAdminError(Exception):
    """Raised when an operation on tokens is not possible; says what to do."""


class TokenAdmin:
    """Administers the tokens of one table."""

    def __init__(self, client: BaseClient, table_name: str, identity: Callable[[], str] = lambda: LOCAL) -> None:
        """`identity` returns who administers. Only operations that change a token call it."""
        self._client = client
        self._table_name = table_name
        self._identity = identity

    def create(
        self, tenant: str, name: str, scopes: frozenset[str], expires_at: int | None, retention: int | None = None
    ) -> tuple[str, Token]:
        """Create a token; return its text, which is stored nowhere, and its record.

        With `retention`, the token's events are kept for at most this number of seconds.
        """
        key_id = "".join(secrets.choice(ALPHABET) for _ in range(KEY_ID_LENGTH))
        unchecked = f"evt_{key_id}_{base62(secrets.randbits(256), RANDOM_LENGTH)}"
        text = unchecked + checksum(unchecked)
        _, secret = parse(f"Bearer {text}")
        token = Token(
            key_id, sha256(secret), tenant, scopes, name, int(time.time()), expires_at,
            retention=retention, created_by=self._identity(),
        )  # fmt: skip
        self._client.put_item(
            TableName=self._table_name, Item=to_item(token), ConditionExpression="attribute_not_exists(key_id)"
        )
        return text, token

    def get(self, key_id: str) -> Token:
        """Return a token's record. Raises TokenAdminError when there is none."""
        response = self._client.get_item(TableName=self._table_name, Key={"key_id": {"S": key_id}}, ConsistentRead=True)
        if "Item" not in response:
            raise TokenAdminError(f"no token has the key id {key_id}: `list` shows the key ids of all tokens.")
        return from_item(response["Item"])

    def all(self) -> list[Token]:
        """Return the records of all tokens, ordered by tenant, name and age."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True)
        tokens = [from_item(item) for page in pages for item in page["Items"]]
        return sorted(tokens, key=lambda token: (token.tenant, token.name, token.created_at))

    def revoke(self, key_id: str) -> Token:
        """Revoke a token; return its record. Raises TokenAdminError when there is none.

        A second revocation changes nothing.
        """
        token = self.get(key_id)
        if token.revoked_at is not None:
            return token
        expression = "SET revoked_at = if_not_exists(revoked_at, :time), revoked_by = if_not_exists(revoked_by, :by)"
        return self._update(key_id, expression, int(time.time()))

    def rotate(self, key_id: str, overlap: int, lifetime: int | None = None) -> tuple[str, Token, Token]:
        """Create a token like another one, which expires after `overlap` seconds.

        Returns the new token's text and record, and the old token's record. The new token is valid for `lifetime`
        seconds, or as long as the old one was when it was created; an earlier rotation may have shortened that.
        Raises TokenAdminError unless the old token is valid.
        """
        old, now = self.get(key_id), int(time.time())
        if not old.is_valid(now):
            raise TokenAdminError(f"the token {key_id} is {state(old, now)}: create a new one instead.")
        expires_at = None if old.expires_at is None else now + old.expires_at - old.created_at
        if lifetime is not None:
            expires_at = now + lifetime
        text, new = self.create(old.tenant, old.name, old.scopes, expires_at, old.retention)
        end = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
        try:
            return text, new, self._update(key_id, "SET expires_at = :time, rotated_by = :by", end)
        except (BotoCoreError, ClientError) as exc:
            raise TokenAdminError(
                f"the new token {new.key_id} exists, but its text is lost: revoke it. The old token {key_id} is "
                f"probably unchanged ({exc}): look at it, and rotate it again."
            ) from exc

    def _update(self, key_id: str, expression: str, epoch_seconds: int) -> Token:
        response = self._client.update_item(
            TableName=self._table_name,
            Key={"key_id": {"S": key_id}},
            UpdateExpression=expression,
            ConditionExpression="attribute_exists(key_id)",
            ExpressionAttributeValues={":time": {"N": str(epoch_seconds)}, ":by": {"S": self._identity()}},
            ReturnValues="ALL_NEW",
        )
        return from_item(response["Attributes"])


def to_item(token: Token) -> Item:
    """Return the table's item of a token."""
    item: Item = {name: {"S": getattr(token, name)} for name in ("key_id", "secret_sha256", "tenant", "name")}
    item["scopes"] = {"SS": sorted(token.scopes)}
    item["created_at"] = {"N": str(token.created_at)}
    for names, kind in ((NUMBERS, "N"), (IDENTITIES, "S")):
        item |= {name: {kind: str(getattr(token, name))} for name in names if getattr(token, name) is not None}
    return item


def state(token: Token, now: float) -> str:
    """Return whether a token is valid, expired or revoked."""
    if token.revoked_at is not None:
        return "revoked"
    return "valid" if token.is_valid(now) else "expired"


def load_or_create(admin: TokenAdmin, path: Path, tenant: str, name: str) -> str:
    """Return the token in a file if it is valid; else create one with both scopes and write it to the file."""
    if path.exists():
        text = path.read_text().strip()
        try:
            key_id, secret = parse(f"Bearer {text}")
            token = admin.get(key_id)
            if token.secret_sha256 == sha256(secret) and token.is_valid(time.time()):
                return text
        except (TokenAdminError, Unauthorized):
            pass  # it is of another table
    text, _ = admin.create(tenant, name, frozenset(SCOPES), expires_at=None)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return text

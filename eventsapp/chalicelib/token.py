"""Knows who calls: the form of a token, and what is kept of one. Reads the token table, and never writes it.

A token is `evt_<key id>_<secret>`: 16 characters that name it, then 43 that hold 256 random bits and 6 of checksum, all
of them base 62. Only the SHA-256 of the secret is kept, so the table gives no token away; a secret of that length
needs no slow hash.
"""

import hashlib
import hmac
import re
import time
import zlib
from string import ascii_letters, digits

from msgspec import Struct

from chalicelib.dynamodb import Item, Table, deadline
from chalicelib.problem import Unauthorized

WRITE, READ = SCOPES = ("events:write", "events:read")
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

ALPHABET = digits + ascii_letters
KEY_ID_LENGTH, RANDOM_LENGTH, CHECKSUM_LENGTH = 16, 43, 6  # characters; 62**43 > 2**256, 62**6 > 2**32

# What a gateway may hold an Authorization field against before it asks anybody. The scheme's case does not count (RFC
# 9110, 11.1). Without \w and \d, which mean more letters and digits to some readers than to others.
BEARER = (
    r"^[Bb][Ee][Aa][Rr][Ee][Rr] +"
    rf"evt_[0-9A-Za-z]{{{KEY_ID_LENGTH}}}_[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}$"
)


class Token(Struct, frozen=True):
    """What is kept of a token. Moments are in epoch seconds; None is never."""

    key_id: str
    secret_sha256: str  # hexadecimal
    tenant: str
    scopes: frozenset[str]
    name: str
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def is_valid(self, now: float) -> bool:
        """Tell whether the token lets its caller in at a moment (epoch seconds)."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore:
    """A table of tokens, keyed by `key_id`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def authenticate(self, authorization: str) -> Token:
        """Return the token that an Authorization field has. Raises Unauthorized, StoreUnavailable.

        One consistent read, and none for a field that no token can be.
        """
        key_id, secret = parse(authorization)
        item = self._table.get({"key_id": {"S": key_id}}, deadline(), consistent=True)
        if item is None:
            raise Unauthorized
        token = from_item(item)
        if not hmac.compare_digest(token.secret_sha256, sha256(secret)) or not token.is_valid(time.time()):
            raise Unauthorized
        return token


def parse(authorization: str) -> tuple[str, str]:
    """Return key id and secret of the token in an Authorization field. Raises Unauthorized where it has none."""
    if not re.fullmatch(BEARER, authorization):
        raise Unauthorized
    token = authorization.split()[1]
    unchecked, given = token[:-CHECKSUM_LENGTH], token[-CHECKSUM_LENGTH:]
    if checksum(unchecked) != given:
        raise Unauthorized
    _, key_id, secret = token.split("_")
    return key_id, secret


def checksum(text: str) -> str:
    """Return the CRC-32 of a token's text before it, in base 62: it tells a token from what only looks like one."""
    return base62(zlib.crc32(text.encode()), CHECKSUM_LENGTH)


def base62(number: int, length: int) -> str:
    """Return a number in base 62, at a length that it fits."""
    characters = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        characters = ALPHABET[digit] + characters
    return characters


def sha256(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def from_item(item: Item) -> Token:
    """Return the token that an item of the table is."""
    return Token(
        key_id=item["key_id"]["S"],
        secret_sha256=item["secret_sha256"]["S"],
        tenant=item["tenant"]["S"],
        scopes=frozenset(item["scopes"]["SS"]),
        name=item["name"]["S"],
        created_at=int(item["created_at"]["N"]),
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
        revoked_at=int(item["revoked_at"]["N"]) if "revoked_at" in item else None,
    )

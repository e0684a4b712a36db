"""Authenticates callers: the format of a token, and the token table. Reads the table and never writes it.

A token is `evt_<key id>_<secret>`, in base 62. The key id has 16 characters. The secret has 43 characters with 256
random bits, and 6 characters of checksum. The table has only the SHA-256 of the secret, so it contains no token. A
secret with that many random bits needs no slow hash.
"""

import hashlib
import hmac
import re
import time
import zlib
from string import ascii_letters, digits

from msgspec import Struct

from chalicelib.dynamodb import Item, Table
from chalicelib.problem import Unauthorized

WRITE, READ = SCOPES = ("events:write", "events:read")
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

NUMBERS, IDENTITIES = ("expires_at", "revoked_at", "retention"), ("created_by", "rotated_by", "revoked_by")  # optional

ALPHABET = digits + ascii_letters
KEY_ID_LENGTH, RANDOM_LENGTH, CHECKSUM_LENGTH = 16, 43, 6  # characters; 62**43 > 2**256, 62**6 > 2**32

# API Gateway checks the Authorization header with this pattern before it calls the authorizer. The scheme is not
# case-sensitive (RFC 9110, 11.1). No \w and \d: some regex engines match more than ASCII with them.
BEARER = (
    r"^[Bb][Ee][Aa][Rr][Ee][Rr] +"
    rf"evt_[0-9A-Za-z]{{{KEY_ID_LENGTH}}}_[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}$"
)


class Token(Struct, frozen=True):
    """A token as the table stores it. Times are in epoch seconds; None is never.

    `retention` is the most seconds that an event of this token is kept; None is no limit. `created_by`, `rotated_by`
    and `revoked_by` are AWS identities; None is unknown, as in tokens of old versions.
    """

    key_id: str
    secret_sha256: str  # hexadecimal
    tenant: str
    scopes: frozenset[str]
    name: str
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    retention: int | None = None
    created_by: str | None = None
    rotated_by: str | None = None
    revoked_by: str | None = None

    def is_valid(self, now: float) -> bool:
        """Tell whether the token is valid at a time (epoch seconds)."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenAuthenticator:
    """Finds the token of a caller in the token table, whose key is `key_id`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def authenticate(self, authorization: str) -> Token:
        """Return the token in an Authorization header. Raises Unauthorized, StoreUnavailable.

        Costs one consistent read, and no read if the header has no well-formed token.
        """
        key_id, secret = parse(authorization)
        item = self._table.get({"key_id": {"S": key_id}}, consistent=True)
        if item is None:
            raise Unauthorized
        token = from_item(item)
        if not hmac.compare_digest(token.secret_sha256, sha256(secret)) or not token.is_valid(time.time()):
            raise Unauthorized
        return token


def parse(authorization: str) -> tuple[str, str]:
    """Return the key id and the secret in an Authorization header. Raises Unauthorized."""
    if not re.fullmatch(BEARER, authorization):
        raise Unauthorized
    token = authorization.split()[1]
    if checksum(token[:-CHECKSUM_LENGTH]) != token[-CHECKSUM_LENGTH:]:
        raise Unauthorized
    _, key_id, secret = token.split("_")
    return key_id, secret


def checksum(text: str) -> str:
    """Return the CRC-32 of a token without its checksum, in base 62. Secret scanners use it to recognise tokens."""
    return base62(zlib.crc32(text.encode()), CHECKSUM_LENGTH)


def base62(number: int, length: int) -> str:
    """Return a number in base 62, with this many characters."""
    characters = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        characters = ALPHABET[digit] + characters
    return characters


def sha256(secret: str) -> str:
    """Return the SHA-256 of a secret, which is what the table stores (hexadecimal)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def from_item(item: Item) -> Token:
    """Return the token of an item of the table."""
    return Token(
        key_id=item["key_id"]["S"],
        secret_sha256=item["secret_sha256"]["S"],
        tenant=item["tenant"]["S"],
        scopes=frozenset(item["scopes"]["SS"]),
        name=item["name"]["S"],
        created_at=int(item["created_at"]["N"]),
        **{name: int(item[name]["N"]) for name in NUMBERS if name in item},
        **{name: item[name]["S"] for name in IDENTITIES if name in item},
    )

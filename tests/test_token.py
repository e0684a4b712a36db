"""Tokens: their format, and authentication by them. With moto; the tests see each call of DynamoDB."""

import hashlib
import re
import time
from collections.abc import Iterator
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from botocore.client import BaseClient
from chalicelib.dynamodb import Table, create_client
from chalicelib.problem import Unauthorized
from chalicelib.token import ALPHABET, BEARER, WRITE, TokenAuthenticator, base62, checksum, parse
from faulty_store import FaultyStore
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import app_tables
from token_admin import TokenAdmin

SCANNERS = re.compile(r"\bevt_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}\b")  # what a secret scanner is told to look for


@pytest.fixture(name="client", scope="module")
def _client(recorder: FaultyStore) -> Iterator[BaseClient]:
    """A client of an AWS that has the tables."""
    with app_tables(recorder.upstream) as client:
        yield client


@pytest.fixture(name="table")
def _table(client: BaseClient) -> TokenAdmin:
    """The administration of the token table."""
    return TokenAdmin(client, "tokens")


@pytest.fixture(name="authenticator")
def _authenticator(client: BaseClient, recorder: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> TokenAuthenticator:
    """The authentication of callers."""
    del client  # it creates the tables
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", recorder.url)
    return TokenAuthenticator(Table(create_client(), "tokens", 60))


def a_token(table: TokenAdmin, expires_at: int | None = None) -> str:
    """Return a new token's text."""
    return table.create("acme", "test", frozenset({WRITE}), expires_at)[0]


def test_token_has_the_format_that_scanners_know(table: TokenAdmin) -> None:
    """A fixed prefix, a key id, 43 characters of secret and 6 of checksum, in base 62: scanners find leaked tokens."""
    text = a_token(table)
    assert SCANNERS.fullmatch(text)
    assert SCANNERS.findall(f'config = {{"token": "{text}"}}; # {text}') == [text, text]
    assert re.fullmatch(BEARER, f"Bearer {text}")
    assert parse(f"Bearer {text}") == tuple(text.split("_")[1:])


def number_of(text: str) -> int:
    """Return the number of a text in base 62."""
    number = 0
    for character in text:
        number = number * 62 + ALPHABET.index(character)
    return number


def test_tokens_are_random(table: TokenAdmin) -> None:
    """Each key id and each secret is new. Each of the secret's 256 bits changes."""
    parts = [a_token(table).split("_") for _ in range(60)]
    assert len({key_id for _, key_id, _ in parts}) == len({secret for _, _, secret in parts}) == 60
    assert {character for _, _, secret in parts for character in secret} == set(ALPHABET)
    secrets = [number_of(secret[:43]) for _, _, secret in parts]
    assert reduce(or_, secrets) == 2**256 - 1 and reduce(and_, secrets) == 0


@given(number=st.integers(0, 2**256 - 1))
def test_secret_has_256_bits(number: int) -> None:
    """43 characters of base 62 can represent every number of 256 bits, each in one way."""
    text = base62(number, 43)
    assert (len(text), number_of(text)) == (43, number)


@settings(max_examples=300)
@given(place=st.integers(0, 69), character=st.sampled_from(ALPHABET + "_-. "))
def test_token_with_a_typo_is_refused_without_a_read(
    table: TokenAdmin, authenticator: TokenAuthenticator, calls: list[Any], place: int, character: str
) -> None:
    """A token with one changed character is refused, without a call of DynamoDB."""
    text = a_token(table)
    changed = text[:place] + character + text[place + 1 :]
    calls.clear()
    if changed != text:
        with pytest.raises(Unauthorized):
            authenticator.authenticate(f"Bearer {changed}")
        assert calls == []


@settings(max_examples=500)
@given(field=st.one_of(st.text(), st.from_regex(BEARER), st.from_regex(r"(?i)(bearer|basic)? *evt_.{0,80}")))
def test_other_headers_are_refused_without_a_read(
    authenticator: TokenAuthenticator, calls: list[Any], field: str
) -> None:
    """A header without a well-formed token is refused, without a call of DynamoDB."""
    with pytest.raises(Unauthorized):
        authenticator.authenticate(field)
    assert calls == []


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer    "])
def test_scheme_has_no_case(table: TokenAdmin, authenticator: TokenAuthenticator, scheme: str) -> None:
    """The scheme Bearer is not case-sensitive."""
    assert authenticator.authenticate(scheme + a_token(table)).tenant == "acme"


@pytest.mark.parametrize("ending", ["\n", " ", "\r\n", ",", "\u0660"])
def test_text_after_a_token_is_refused(table: TokenAdmin, authenticator: TokenAuthenticator, ending: str) -> None:
    """The header ends after the token."""
    with pytest.raises(Unauthorized):
        authenticator.authenticate(f"Bearer {a_token(table)}{ending}")


def test_known_token_costs_one_consistent_read(
    table: TokenAdmin, authenticator: TokenAuthenticator, calls: list[Any]
) -> None:
    """Authentication costs one consistent read, so it sees a token that was just created or revoked."""
    text = a_token(table)
    calls.clear()
    known = authenticator.authenticate(f"Bearer {text}")
    assert (known.key_id, known.tenant, known.scopes) == (text.split("_")[1], "acme", {WRITE})
    assert [(name, params["ConsistentRead"]) for name, params in calls] == [("GetItem", True)]


def test_table_has_only_the_digest_of_the_secret(table: TokenAdmin, client: BaseClient) -> None:
    """The table contains no token."""
    before = int(time.time())
    text = a_token(table)
    _, key_id, secret = text.split("_")
    item = client.get_item(TableName="tokens", Key={"key_id": {"S": key_id}})["Item"]
    assert item["secret_sha256"] == {"S": hashlib.sha256(secret.encode()).hexdigest()}
    assert secret not in str(item) and secret[:20] not in str(item)
    created_at = item.pop("created_at")
    assert before <= int(created_at["N"]) <= time.time()
    assert item.keys() == {"key_id", "secret_sha256", "tenant", "scopes", "name", "created_by"}


@pytest.mark.parametrize("reason", ["other secret", "unknown", "expired", "revoked"])
def test_invalid_tokens_get_the_same_error(table: TokenAdmin, authenticator: TokenAuthenticator, reason: str) -> None:
    """A wrong secret, an unknown, an expired and a revoked token get the same error."""
    text = a_token(table, expires_at=int(time.time()) if reason == "expired" else None)
    _, key_id, secret = text.split("_")
    if reason == "revoked":
        table.revoke(key_id)
    if reason == "other secret":
        secret = a_token(table).split("_")[2]
    if reason == "unknown":
        key_id = "0" * 16
    unchecked = f"evt_{key_id}_{secret[:-6]}"
    with pytest.raises(Unauthorized) as refused:
        authenticator.authenticate(f"Bearer {unchecked}{checksum(unchecked)}")
    assert refused.value.body(None) == Unauthorized().body(None)


def test_token_is_valid_until_it_expires(table: TokenAdmin, authenticator: TokenAuthenticator) -> None:
    """A token that expires later is valid now."""
    assert authenticator.authenticate(f"Bearer {a_token(table, expires_at=int(time.time()) + 3600)}").tenant == "acme"

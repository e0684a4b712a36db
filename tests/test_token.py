"""A token: its form, and who is let in by one. Against moto, with each call of DynamoDB seen."""

import hashlib
import re
import time
from collections.abc import Iterator
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from botocore.client import BaseClient
from chalicelib.dynamodb import Table
from chalicelib.problem import Unauthorized
from chalicelib.token import ALPHABET, BEARER, WRITE, TokenStore, base62, checksum, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import tables_in_moto
from token_admin import TokenAdmin

SCANNERS = re.compile(r"\bevt_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}\b")  # what a secret scanner is told to look for


@pytest.fixture(name="client", scope="module")
def _client() -> Iterator[BaseClient]:
    """A client of an AWS that has the tables."""
    with tables_in_moto() as client:
        yield client


@pytest.fixture(name="calls")
def _calls(client: BaseClient) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The DynamoDB calls made, with their parameters."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, params))

    client.meta.events.register("provide-client-params.dynamodb", note)
    yield calls
    client.meta.events.unregister("provide-client-params.dynamodb", note)


@pytest.fixture(name="table")
def _table(client: BaseClient) -> TokenAdmin:
    """The token table, as whoever keeps it sees it."""
    return TokenAdmin(client, "tokens")


@pytest.fixture(name="store")
def _store(client: BaseClient) -> TokenStore:
    """The token table, as the authorizer sees it."""
    return TokenStore(Table(client, "tokens"))


def a_token(table: TokenAdmin, expires_at: int | None = None) -> str:
    """Return a new token's text."""
    return table.create("acme", "test", frozenset({WRITE}), expires_at)[0]


def test_token_has_the_form_that_a_scanner_knows(table: TokenAdmin) -> None:
    """A fixed prefix, a key id, 43 characters of secret and 6 of checksum, in one alphabet: a leaked one is found."""
    text = a_token(table)
    assert SCANNERS.fullmatch(text)
    assert SCANNERS.findall(f'config = {{"token": "{text}"}}; # {text}') == [text, text]
    assert re.fullmatch(BEARER, f"Bearer {text}")
    assert parse(f"Bearer {text}") == tuple(text.split("_")[1:])


def number_of(text: str) -> int:
    """Return the number that a text in base 62 is."""
    number = 0
    for character in text:
        number = number * 62 + ALPHABET.index(character)
    return number


def test_tokens_share_nothing(table: TokenAdmin) -> None:
    """Each key id and each secret is drawn anew, the secret of 256 bits, none of which stays as it is."""
    made = [a_token(table).split("_") for _ in range(60)]
    assert len({key_id for _, key_id, _ in made}) == len({secret for _, _, secret in made}) == 60
    assert {character for _, _, secret in made for character in secret} == set(ALPHABET)
    secrets = [number_of(secret[:43]) for _, _, secret in made]
    assert reduce(or_, secrets) == 2**256 - 1 and reduce(and_, secrets) == 0


@given(number=st.integers(0, 2**256 - 1))
def test_secret_holds_256_bits(number: int) -> None:
    """43 characters of base 62 hold every number of 256 bits, and each by itself."""
    text = base62(number, 43)
    assert (len(text), number_of(text)) == (43, number)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 69), character=st.sampled_from(ALPHABET + "_-. "))
def test_token_with_a_typo_is_refused_unread(
    table: TokenAdmin, store: TokenStore, calls: list[Any], place: int, character: str
) -> None:
    """A token with one character changed is refused, and DynamoDB is not asked."""
    text = a_token(table)
    changed = text[:place] + character + text[place + 1 :]
    calls.clear()
    if changed != text:
        with pytest.raises(Unauthorized):
            store.authenticate(f"Bearer {changed}")
        assert calls == []


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.one_of(st.text(), st.from_regex(BEARER), st.from_regex(r"(?i)(bearer|basic)? *evt_.{0,80}")))
def test_other_fields_are_refused_unread(store: TokenStore, calls: list[Any], field: str) -> None:
    """Whatever a field holds that no token can be, it is refused in one way, and DynamoDB is not asked."""
    with pytest.raises(Unauthorized):
        store.authenticate(field)
    assert calls == []


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer    "])
def test_scheme_has_no_case(table: TokenAdmin, store: TokenStore, scheme: str) -> None:
    """The scheme is Bearer, however it is written."""
    assert store.authenticate(scheme + a_token(table)).tenant == "acme"


@pytest.mark.parametrize("ending", ["\n", " ", "\r\n", ",", "\u0660"])
def test_nothing_follows_a_token(table: TokenAdmin, store: TokenStore, ending: str) -> None:
    """What follows the token makes it another field."""
    with pytest.raises(Unauthorized):
        store.authenticate(f"Bearer {a_token(table)}{ending}")


def test_known_token_costs_one_consistent_read(table: TokenAdmin, store: TokenStore, calls: list[Any]) -> None:
    """A caller is known by one read, which sees a token that was made, or revoked, a moment before."""
    text = a_token(table)
    calls.clear()
    known = store.authenticate(f"Bearer {text}")
    assert (known.key_id, known.tenant, known.scopes) == (text.split("_")[1], "acme", {WRITE})
    assert [(name, params["ConsistentRead"]) for name, params in calls] == [("GetItem", True)]


def test_table_holds_the_digest_of_the_secret_alone(table: TokenAdmin, client: BaseClient) -> None:
    """Who reads the table learns no token."""
    text = a_token(table)
    _, key_id, secret = text.split("_")
    item = client.get_item(TableName="tokens", Key={"key_id": {"S": key_id}})["Item"]
    assert item["secret_sha256"] == {"S": hashlib.sha256(secret.encode()).hexdigest()}
    assert secret not in str(item) and secret[:20] not in str(item)
    created_at = item.pop("created_at")
    assert abs(int(created_at["N"]) - time.time()) < 5
    assert item.keys() == {"key_id", "secret_sha256", "tenant", "scopes", "name"}


@pytest.mark.parametrize("how", ["other secret", "unknown", "expired", "revoked"])
def test_token_that_is_not_in_force_is_refused_alike(table: TokenAdmin, store: TokenStore, how: str) -> None:
    """Nothing tells a wrong secret from an unknown, an expired or a revoked token."""
    text = a_token(table, expires_at=int(time.time()) if how == "expired" else None)
    _, key_id, secret = text.split("_")
    if how == "revoked":
        table.revoke(key_id)
    if how == "other secret":
        secret = a_token(table).split("_")[2]
    if how == "unknown":
        key_id = "0" * 16
    unchecked = f"evt_{key_id}_{secret[:-6]}"
    with pytest.raises(Unauthorized) as refused:
        store.authenticate(f"Bearer {unchecked}{checksum(unchecked)}")
    assert refused.value.body(None) == Unauthorized().body(None)


def test_token_is_in_force_until_it_ends(table: TokenAdmin, store: TokenStore) -> None:
    """A token that ends later lets in now."""
    assert store.authenticate(f"Bearer {a_token(table, expires_at=int(time.time()) + 60)}").tenant == "acme"

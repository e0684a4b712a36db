"""Administration of tokens, on tables in moto."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from chalicelib.token import SCOPES, Token
from in_process import tables_in_moto
from token_admin import TokenAdmin, TokenAdminError, load_or_create
from token_stage import token_admin_of


@pytest.fixture(name="client")
def _client() -> Iterator[BaseClient]:
    """A client of an AWS that has the tables."""
    with tables_in_moto() as client:
        yield client


@pytest.fixture(name="admin")
def _admin(client: BaseClient) -> TokenAdmin:
    """The administration of a token table in moto."""
    return TokenAdmin(client, "tokens")


def create(admin: TokenAdmin, lifetime: int | None = None) -> Token:
    """Create a token that expires after some seconds, or never; return its record."""
    expires_at = None if lifetime is None else int(time.time()) + lifetime
    _, token = admin.create("acme", "a", frozenset(SCOPES), expires_at)
    return token


@pytest.mark.parametrize("lifetime", [None, 100, 100_000])
def test_rotated_token_has_the_old_lifetime_and_the_old_one_gets_no_longer_one(
    admin: TokenAdmin, lifetime: int | None
) -> None:
    """The new token is valid as long as the old one was at first; the old one ends after the overlap or before."""
    old = create(admin, lifetime)
    start = int(time.time())
    _, new, ended = admin.rotate(old.key_id, 3600)
    end = int(time.time())
    overlap_end = old.expires_at if lifetime == 100 else None
    assert ended.expires_at == overlap_end or start + 3600 <= (ended.expires_at or 0) <= end + 3600
    if lifetime is None:
        assert new.expires_at is None
    else:
        assert old.expires_at is not None and new.expires_at is not None
        assert start <= new.expires_at - (old.expires_at - old.created_at) <= end
    assert (new.tenant, new.name, new.scopes) == (old.tenant, old.name, old.scopes)


def test_second_rotation_can_set_a_lifetime(admin: TokenAdmin) -> None:
    """The first rotation shortens the old token's lifetime; a second one may give the new token another."""
    old = create(admin)
    _, _, shortened = admin.rotate(old.key_id, 60)
    assert shortened.expires_at is not None
    for lifetime, expected in ((None, shortened.expires_at - old.created_at), (7 * 86_400, 7 * 86_400)):
        start = int(time.time())
        new = admin.rotate(old.key_id, 3600, lifetime)[1]
        assert new.expires_at is not None and start <= new.expires_at - expected <= int(time.time())


@pytest.mark.parametrize("state", ["revoked", "expired"])
def test_only_a_valid_token_is_rotated(admin: TokenAdmin, state: str) -> None:
    """A rotation makes no revoked or expired token valid again."""
    old = create(admin, -1 if state == "expired" else None)
    if state == "revoked":
        admin.revoke(old.key_id)
    with pytest.raises(TokenAdminError, match=f"the token {old.key_id} is {state}: create a new one instead"):
        admin.rotate(old.key_id, 3600)


def test_rotation_that_stops_in_the_middle_names_the_new_token(client: BaseClient, admin: TokenAdmin) -> None:
    """If AWS refuses to shorten the old token, nobody has the new one: it must be revoked."""
    old = create(admin)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "UpdateItem")

    client.meta.events.register("before-call.dynamodb.UpdateItem", refuse)
    with pytest.raises(TokenAdminError) as error:
        admin.rotate(old.key_id, 60)
    (new,) = [token for token in admin.all() if token.key_id != old.key_id]
    assert f"the new token {new.key_id} exists, but its text is lost: revoke it." in str(error.value)
    assert admin.get(old.key_id) == old


def test_old_token_without_identities_is_loaded(client: BaseClient, admin: TokenAdmin) -> None:
    """A token of an old version names nobody. A later revocation does not change an earlier one."""
    old = create(admin)
    key = {"key_id": {"S": old.key_id}}
    client.update_item(
        TableName="tokens", Key=key, UpdateExpression="REMOVE created_by SET revoked_at = :t",
        ExpressionAttributeValues={":t": {"N": "1"}},
    )  # fmt: skip
    assert admin.get(old.key_id) == admin.revoke(old.key_id)
    token = admin.get(old.key_id)
    assert (token.created_by, token.revoked_at, token.revoked_by, token.retention) == (None, 1, None, None)


def test_identity_is_only_looked_up_for_a_change(client: BaseClient) -> None:
    """The record has it; reading needs none."""
    names = iter(["creator", "rotator", "rotator", "revoker"])
    admin = TokenAdmin(client, "tokens", lambda: next(names))
    old = create(admin)
    _, new, rotated = admin.rotate(old.key_id, 60)
    revoked = admin.revoke(new.key_id)
    admin.all()
    assert (rotated.created_by, rotated.rotated_by, rotated.revoked_by) == ("creator", "rotator", None)
    assert (revoked.created_by, revoked.rotated_by, revoked.revoked_by) == ("rotator", None, "revoker")


def test_administration_uses_four_operations(client: BaseClient, admin: TokenAdmin) -> None:
    """An administrator needs GetItem, PutItem, UpdateItem and Scan on the one table."""
    operations = set()
    client.meta.events.register("provide-client-params.dynamodb", lambda model, **_: operations.add(model.name))
    token = create(admin)
    admin.get(token.key_id)
    admin.rotate(token.key_id, 60)
    admin.revoke(token.key_id)
    admin.all()
    assert operations == {"GetItem", "PutItem", "UpdateItem", "Scan"}


def test_all_pages_are_listed(client: BaseClient, admin: TokenAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of a table with several pages is complete."""
    for number in range(25):
        admin.create("acme", f"n{number:02}", frozenset(SCOPES), None)
    api_call = client._make_api_call  # pylint: disable=protected-access  # the only place to set a page's size
    calls = []

    def with_small_pages(operation: str, parameters: dict[str, Any]) -> Any:
        calls.append(operation)
        return api_call(operation, {**parameters, "Limit": 10})

    monkeypatch.setattr(client, "_make_api_call", with_small_pages)
    assert [token.name for token in admin.all()] == [f"n{number:02}" for number in range(25)]
    assert calls == ["Scan"] * 3


def test_stage_has_its_own_region_and_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The region is the stage's own, whatever the environment's is; without one, a sentence says where to add it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setattr("token_stage.STAGES", tmp_path)
    (tmp_path / "prod.tfvars").write_text('stage  = "prod"\nregion = "eu-central-1" # Frankfurt\n')
    admin = token_admin_of("prod")
    assert vars(admin)["_client"].meta.region_name == "eu-central-1"
    assert vars(admin)["_table_name"] == "event-api-prod-tokens"
    (tmp_path / "prod.tfvars").write_text('stage = "prod"\n')
    with pytest.raises(TokenAdminError, match="terraform/stages/prod.tfvars has no region"):
        token_admin_of("prod")


def test_saved_token_is_used_while_it_is_valid(admin: TokenAdmin, tmp_path: Path) -> None:
    """A file's token is used again as long as the table has it; else a new one replaces it. Only the owner can read."""
    path = tmp_path / "token"
    first = load_or_create(admin, path, "local", "test")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(admin, path, "local", "test") == first == path.read_text().strip()
    admin.revoke(first.split("_")[1])
    second = load_or_create(admin, path, "local", "test")
    assert second != first
    path.write_text("no token\n")
    assert load_or_create(admin, path, "local", "test") not in (first, second)
    assert path.stat().st_mode & 0o777 == 0o600

"""`make token`: what it makes lets in, what it revokes does not, and what cannot be is one clear sentence."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tokens
from botocore.client import BaseClient
from chalicelib.token import READ, SCOPES, WRITE
from faulty_store import FaultyStore
from in_process import tables_in_moto
from processes import ROOT, LocalProcess
from targets import UrlApi, an_event, get, post


@pytest.fixture(name="client")
def _client() -> Iterator[BaseClient]:
    """A client of an AWS that has the tables."""
    with tables_in_moto() as client:
        yield client


@pytest.fixture(name="table")
def _table(client: BaseClient) -> tokens.TokenTable:
    """A token table in moto."""
    return tokens.TokenTable(client, "tokens")


class Ran(NamedTuple):
    """The exit code of a command, and what it printed."""

    code: int
    out: str
    err: str


def run(arguments: str, data_dir: Path, **environment: str) -> Ran:
    """Run the command line in a process of its own."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "eventsapp" / "tokens.py"), *shlex.split(arguments)],
        env={**os.environ, "DATA_DIR": str(data_dir), "LOCAL_AWS_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def create(data_dir: Path, tenant: str = "acme", **options: str) -> str:
    """Return a token that the command line made for the local server."""
    given = {"scope": f"{WRITE} --scope {READ}", "name": "test", **options}
    words = " ".join(f"--{name} {value}" for name, value in given.items())
    made = run(f"create --tenant {tenant} {words}", data_dir)
    assert made.code == 0, made.err
    return made.out.strip()


def statuses(running: LocalProcess, token: str) -> tuple[int, int]:
    """Return what a token's POST gets, and its GET of an event that is not there."""
    api = UrlApi(running.url, token)
    return post(api, an_event()).status, get(api, "unknown").status


@pytest.mark.parametrize(
    ("scope", "expected"), [(WRITE, (201, 403)), (READ, (403, 404)), (f"{WRITE} --scope {READ}", (201, 404))]
)
def test_created_token_opens_its_scopes(
    local_process: LocalProcess, scope: str, expected: tuple[int, int]
) -> None:
    """What create prints, and nothing else is on the standard output, lets its caller do what it was given."""
    token = create(local_process.data_dir, scope=scope)
    assert re.fullmatch(r"evt_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", token)
    assert statuses(local_process, token) == expected


def test_secret_is_shown_once(local_process: LocalProcess) -> None:
    """Neither list nor show has a secret or its digest, and create says no more of it than the token."""
    made = run(f"create --tenant shown --name once --scope {READ}", local_process.data_dir)
    _, key_id, secret = made.out.strip().split("_")
    said = made.err + run("list", local_process.data_dir).out + run(f"show {key_id}", local_process.data_dir).out
    assert key_id in said and secret not in said and not re.search("[0-9a-f]{64}", said)


def test_list_has_a_line_for_each_token(local_process: LocalProcess) -> None:
    """All that may be known of a token stands in its line; --tenant leaves others out."""
    token = create(local_process.data_dir, tenant="listed", scope=READ, name="'night job'", expires="never")
    key_id = token.split("_")[1]
    head, *lines = run("list --tenant listed", local_process.data_dir).out.splitlines()
    assert head.split() == ["KEY", "ID", "TENANT", "NAME", "SCOPES", "CREATED", "EXPIRES", "STATE"]
    (line,) = lines
    assert re.fullmatch(rf"{key_id}  listed  night job  events:read  \S+Z  never    valid", line)
    assert key_id in run("list", local_process.data_dir).out


def test_revoked_token_lets_nobody_in(local_process: LocalProcess) -> None:
    """The local server, which keeps no answer, refuses it at once; once revoked is revoked."""
    token = create(local_process.data_dir)
    assert statuses(local_process, token) == (201, 404)
    key_id = token.split("_")[1]
    first = run(f"revoke {key_id}", local_process.data_dir)
    assert first.code == 0 and "state    revoked" in first.err
    assert statuses(local_process, token) == (401, 401)
    time.sleep(1)
    moments = [re.findall(r"revoked +(\S+Z)", run(f"revoke {key_id}", local_process.data_dir).err) for _ in range(2)]
    assert moments == [re.findall(r"revoked +(\S+Z)", first.err)] * 2


def test_rotated_token_overlaps_with_the_new_one(local_process: LocalProcess) -> None:
    """Both are valid for the overlap, and the new one is what the old one was."""
    old = create(local_process.data_dir, tenant="rotated", scope=WRITE)
    rotated = run(f"rotate --overlap 1h {old.split('_')[1]}", local_process.data_dir)
    new = rotated.out.strip()
    assert statuses(local_process, old) == statuses(local_process, new) == (201, 403)
    event = an_event()
    assert post(UrlApi(local_process.url, old), event).status == 201
    assert post(UrlApi(local_process.url, new), event).headers["idempotent-replayed"] == "true"


def test_rotation_without_an_overlap_ends_the_old_token_at_once(local_process: LocalProcess) -> None:
    """--overlap 0m leaves the new one alone."""
    old = create(local_process.data_dir)
    new = run(f"rotate --overlap 0m {old.split('_')[1]}", local_process.data_dir).out.strip()
    assert statuses(local_process, old) == (401, 401)
    assert statuses(local_process, new) == (201, 404)


@pytest.mark.parametrize("lifetime", [None, 100, 100_000])
def test_rotation_keeps_the_lifetime_and_lengthens_nothing(table: tokens.TokenTable, lifetime: int | None) -> None:
    """The new token lives as long as the old one was to; the old one never longer than it was to."""
    before = int(time.time())
    _, old = table.create("acme", "a", frozenset(SCOPES), None if lifetime is None else before + lifetime)
    _, new, ended = table.rotate(old.key_id, 3600)
    late = int(time.time()) - before
    shortest, longest = (min(overlap, lifetime or overlap) for overlap in (3600, 3600 + late))
    assert before + shortest <= ended.expires_at <= before + longest
    assert (new.expires_at is None) == (lifetime is None)
    assert lifetime is None or before + lifetime - late <= new.expires_at <= before + lifetime + late
    assert (new.tenant, new.name, new.scopes) == (old.tenant, old.name, old.scopes)


def test_second_rotation_can_say_its_lifetime(table: tokens.TokenTable) -> None:
    """A token that an earlier rotation lets end soon need not hand that on."""
    before = int(time.time())
    _, old = table.create("acme", "a", frozenset(SCOPES), None)
    table.rotate(old.key_id, 3600)
    inherited = table.rotate(old.key_id, 3600)[1].expires_at
    chosen = table.rotate(old.key_id, 3600, 7 * 86_400)[1].expires_at
    late = int(time.time()) - before
    assert before + 3600 - late <= inherited <= before + 3600 + late
    assert before + 7 * 86_400 <= chosen <= before + 7 * 86_400 + late


@pytest.mark.parametrize("where", ["{}", "show {}", "list --stage {}", "list --tenant {}", "list {}", "revoke abc {}"])
def test_token_in_the_wrong_place_is_not_repeated(tmp_path: Path, where: str) -> None:
    """What may be a secret is not printed, wherever it was pasted."""
    text = f"evt_{'k' * 16}_{'s' * 49}"
    said = run(where.format(text), tmp_path)
    assert said.code == 2 and "s" * 20 not in said.out + said.err


def test_local_tokens_need_no_profile(local_process: LocalProcess) -> None:
    """A profile of AWS's, known or not, has nothing to do with them."""
    assert run("list", local_process.data_dir, AWS_PROFILE="unknown").code == 0


@pytest.mark.parametrize("state", ["revoked", "expired"])
def test_token_that_is_not_in_force_is_not_rotated(table: tokens.TokenTable, state: str) -> None:
    """No life is given back by a rotation."""
    _, old = table.create("acme", "a", frozenset(SCOPES), int(time.time()) - 1 if state == "expired" else None)
    if state == "revoked":
        table.revoke(old.key_id)
    with pytest.raises(tokens.CannotDo, match=f"the token {old.key_id} is {state}: create another"):
        table.rotate(old.key_id, 3600)


def test_table_is_used_by_four_operations(client: BaseClient, table: tokens.TokenTable) -> None:
    """Whoever keeps tokens needs GetItem, PutItem, UpdateItem and Scan on the one table."""
    used = set()
    client.meta.events.register("provide-client-params.dynamodb", lambda model, **_: used.add(model.name))
    _, made = table.create("acme", "a", frozenset(SCOPES), None)
    table.get(made.key_id)
    table.rotate(made.key_id, 60)
    table.revoke(made.key_id)
    table.all()
    assert used == {"GetItem", "PutItem", "UpdateItem", "Scan"}


def test_all_pages_are_listed(client: BaseClient, table: tokens.TokenTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many pages is listed in whole."""
    for number in range(25):
        table.create("acme", f"n{number:02}", frozenset(SCOPES), None)
    api_call = client._make_api_call  # pylint: disable=protected-access  # where a page's size can be set
    pages = []

    def in_small_pages(operation: str, parameters: dict[str, Any]) -> Any:
        pages.append(operation)
        return api_call(operation, {**parameters, "Limit": 10})

    monkeypatch.setattr(client, "_make_api_call", in_small_pages)
    assert [known.name for known in table.all()] == [f"n{number:02}" for number in range(25)]
    assert pages == ["Scan"] * 3


# What cannot be


GOOD = f"create --tenant acme --name a --scope {READ}"
TOKEN = "evt_4fJq0ZpXn2RkYw8T_" + "s" * 49


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "usage: make token"),
        ("creat", "invalid choice: 'creat'"),
        ("create", "the following arguments are required: --tenant, --name, --scope"),
        (f"create --tenant Acme --name a --scope {READ}", "'Acme' is no tenant: 1 to 63 of a-z, 0-9 and -"),
        (f"create --tenant a/b --name a --scope {READ}", "'a/b' is no tenant"),
        (f"create --tenant acme --name '' --scope {READ}", "'' is no name"),
        ("create --tenant acme --name a --scope events:admin", "invalid choice: 'events:admin'"),
        (f"{GOOD} --expires soon", "'soon' is no time: up to 5 digits and m, h or d"),
        (f"{GOOD} --expires 0d", "a token that has ended lets nobody in"),
        (f"{GOOD} --stage live", "invalid choice: 'live'"),
        ("rotate --overlap 1w 4fJq0ZpXn2RkYw8T", "'1w' is no time"),
        (f"revoke {TOKEN}", "a key id is the 16 letters and digits between the underscores"),
    ],
)
def test_command_that_is_none_is_refused(tmp_path: Path, arguments: str, says: str) -> None:
    """What is wrong is said, with what would be right, and no token that was pasted is repeated."""
    ran = run(arguments, tmp_path)
    assert ran.code == (2 if arguments else 0)
    assert says in ran.err + ran.out
    assert "s" * 49 not in ran.err + ran.out


@pytest.mark.parametrize("command", ["show", "revoke", "rotate"])
def test_unknown_key_id_is_refused(local_process: LocalProcess, command: str) -> None:
    """A key id that no token has is one sentence."""
    ran = run(f"{command} {'0' * 16}", local_process.data_dir)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"make token: no token has the key id {'0' * 16}: `list` shows those that there are.\n"


@pytest.mark.parametrize(("stage", "start"), [("local", "make run"), ("emulated", "make deploy-local")])
def test_stage_that_does_not_run_is_named(tmp_path: Path, stage: str, start: str) -> None:
    """Where nothing runs, or was killed and left its address, what starts it is said."""
    ran = run(f"list --stage {stage}", tmp_path)
    assert (ran.code, ran.err) == (1, f"make token: the stage {stage} does not run: start it with `{start}`.\n")
    (tmp_path / "aws.json").write_text(json.dumps({"endpoint": "http://127.0.0.1:9"}))
    ran = run(f"list --stage {stage}", tmp_path)
    assert ran.code == 1 and ran.err.endswith(f" Start it with `{start}`.\n")


def test_stage_without_credentials_is_one_sentence(tmp_path: Path) -> None:
    """Without credentials of the account nothing is read, and that is said."""
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    ran = run("list --stage dev", tmp_path, **nothing)
    assert (ran.code, ran.out) == (1, "")
    assert "Unable to locate credentials" in ran.err and ran.err.startswith("make token: the token table of dev is")


def test_missing_right_is_named(tmp_path: Path) -> None:
    """What IAM refuses is said, with the table that the right is on."""
    store = FaultyStore("http://127.0.0.1:1")
    store.afterwards = "denied"
    ran = run("list --stage dev", tmp_path, AWS_ENDPOINT_URL=store.url)
    store.close()
    assert ran.code == 1
    assert ran.err == "make token: told to fail: it takes this right on the table event-api-dev-tokens.\n"


def test_stage_that_is_not_deployed_is_named(local_process: LocalProcess) -> None:
    """Where the account has no such table, deploying is what helps."""
    endpoint = json.loads((local_process.data_dir / "aws.json").read_text())["endpoint"]
    ran = run("list --stage prod", local_process.data_dir, AWS_ENDPOINT_URL=endpoint)
    assert ran.code == 1
    assert ran.err == (
        "make token: the stage prod has no token table in this account and region: deploy it first.\n"
    )


def test_stage_is_looked_for_in_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is the one that the stage is deployed to, whatever the environment's is."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "mars-north-1")
    table = tokens.table_of("prod")
    region = vars(table)["_client"].meta.region_name
    assert re.search(rf'(?m)^region\s*=\s*"{region}"', (ROOT / "terraform/stages/prod.tfvars").read_text())
    assert vars(table)["_name"] == "event-api-prod-tokens"


def test_help_names_every_command(tmp_path: Path) -> None:
    """Help says what there is, with lines to paste."""
    said = run("--help", tmp_path).out
    assert set(re.findall(r"^    (\w+) ", said, re.M)) == {"create", "list", "show", "revoke", "rotate"}
    for line in re.findall(r'make token ARGS="(.*)"', said):
        tokens.parser().parse_args(shlex.split(line))


def test_make_passes_its_arguments_on(local_process: LocalProcess) -> None:
    """`make token ARGS=...` is the command."""
    command = ["make", "-s", "-o", f"{sys.prefix}/.installed", "token", f"venv={sys.prefix}"]
    ran = subprocess.run(
        [*command, f"ARGS=create --tenant acme --name 'by make' --scope {READ}"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(local_process.data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert statuses(local_process, ran.stdout.strip()) == (403, 404)


# The token that `make run` keeps


def test_kept_token_is_the_same_until_it_is_not_in_force(table: tokens.TokenTable, tmp_path: Path) -> None:
    """A file's token is taken as long as the table knows it; else there is a new one, for its owner's eyes alone."""
    path = tmp_path / "token"
    first = tokens.keep(table, path, "local", "test")
    assert path.stat().st_mode & 0o777 == 0o600
    assert tokens.keep(table, path, "local", "test") == first == path.read_text().strip()
    table.revoke(first.split("_")[1])
    second = tokens.keep(table, path, "local", "test")
    assert second != first
    path.write_text("no token\n")
    assert tokens.keep(table, path, "local", "test") not in (first, second)
    assert path.stat().st_mode & 0o777 == 0o600

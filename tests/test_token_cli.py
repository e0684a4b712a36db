"""`make token`: created tokens are accepted, revoked ones are refused, and each error is a clear sentence."""

import json
import re
import shlex
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
import token_cli
from chalicelib.token import READ, WRITE
from command_line import Result, run_command
from faulty_store import FaultyStore
from in_process import aws_in_moto
from local.aws import TABLES
from processes import ROOT, LocalProcess
from roots import make
from targets import UrlApi, an_event, get, post


def run(arguments: str, data_dir: Path, **environment: str) -> Result:
    """Run a command line in this process, with more environment variables."""
    folders = {"DATA_DIR": str(data_dir), "LOCAL_AWS_DIR": str(data_dir)}
    return run_command(token_cli.main, shlex.split(arguments), **folders | environment)


def create(data_dir: Path, tenant: str = "acme", **options: str) -> str:
    """Return a token that the command line created for the local server."""
    options = {"scope": f"{WRITE} --scope {READ}", "name": "test", **options}
    words = " ".join(f"--{name} {value}" for name, value in options.items())
    result = run(f"create --tenant {tenant} {words}", data_dir)
    assert result.code == 0, result.stderr
    return result.stdout.strip()


def statuses(server: LocalProcess, token: str) -> tuple[int, int]:
    """Return the statuses of a POST, and of a GET of an unknown event, with a token."""
    api = UrlApi(server.url, token)
    return post(api, an_event()).status, get(api, "unknown").status


@pytest.mark.parametrize(
    ("scope", "expected"), [(WRITE, (201, 403)), (READ, (403, 404)), (f"{WRITE} --scope {READ}", (201, 404))]
)
def test_created_token_has_its_scopes(local_process: LocalProcess, scope: str, expected: tuple[int, int]) -> None:
    """The token is all that create prints on stdout; it permits what its scopes say."""
    token = create(local_process.data_dir, scope=scope)
    assert re.fullmatch(r"evt_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", token)
    assert statuses(local_process, token) == expected


def test_secret_is_shown_once(local_process: LocalProcess) -> None:
    """Neither list nor show has a secret or its digest; create prints the secret only in the token."""
    created = run(f"create --tenant shown --name once --scope {READ}", local_process.data_dir)
    _, key_id, secret = created.stdout.strip().split("_")
    listed = run("list", local_process.data_dir).stdout
    texts = created.stderr + listed + run(f"show {key_id}", local_process.data_dir).stdout
    assert key_id in texts and secret not in texts and not re.search("[0-9a-f]{64}", texts)


def test_list_has_a_line_for_each_token(local_process: LocalProcess) -> None:
    """A token's line has everything but its secret; --tenant lists one tenant's tokens."""
    token = create(local_process.data_dir, tenant="listed", scope=READ, name="'night job'", expires="never")
    key_id = token.split("_")[1]
    head, *lines = run("list --tenant listed", local_process.data_dir).stdout.splitlines()
    assert head.split() == ["KEY", "ID", "TENANT", "NAME", "SCOPES", "CREATED", "EXPIRES", "STATE", "CREATED", "BY"]
    (line,) = lines
    assert re.fullmatch(rf"{key_id}  listed  night job  events:read  \S+Z  never    valid  local", line)
    assert key_id in run("list", local_process.data_dir).stdout


def test_revoked_token_is_refused(local_process: LocalProcess) -> None:
    """The local server has no cache and refuses it at once; a second revocation does not change the time."""
    token = create(local_process.data_dir)
    assert statuses(local_process, token) == (201, 404)
    key_id = token.split("_")[1]
    first = run(f"revoke {key_id}", local_process.data_dir)
    assert first.code == 0 and "state    revoked" in first.stderr
    assert statuses(local_process, token) == (401, 401)
    time.sleep(1)
    times = [re.findall(r"revoked +(\S+Z)", run(f"revoke {key_id}", local_process.data_dir).stderr) for _ in range(2)]
    assert times == [re.findall(r"revoked +(\S+Z)", first.stderr)] * 2


def test_local_revocation_needs_no_flush(local_process: LocalProcess) -> None:
    """`--now` works on the local server, which has no cache."""
    token = create(local_process.data_dir)
    result = run(f"revoke --now {token.split('_')[1]}", local_process.data_dir)
    assert result.code == 0 and "checks each token again from now on" in result.stderr
    assert statuses(local_process, token) == (401, 401)


@pytest.fixture(name="account")
def _account(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The endpoint of an AWS account in moto with the token table and the API of `dev`."""
    endpoint = aws_in_moto()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    client, gateway = boto3.client("dynamodb"), boto3.client("apigateway")
    table = {**TABLES[1], "TableName": "event-api-dev-tokens"}
    client.create_table(**table)
    gateway.create_rest_api(name="event-api-dev")
    yield endpoint
    client.delete_table(TableName="event-api-dev-tokens")
    for api in gateway.get_rest_apis()["items"]:
        gateway.delete_rest_api(restApiId=api["id"])


IDENTITY = "arn:aws:sts::123456789012:user/moto"  # what moto's get_caller_identity returns


@pytest.mark.usefixtures("account")
def test_record_names_the_aws_identity(tmp_path: Path) -> None:
    """`list` shows who created a token; `show` also who rotated and revoked it."""
    old = run(f"create --stage dev --tenant acme --name a --scope {READ}", tmp_path).stdout.split("_")[1]
    new = run(f"rotate --stage dev {old}", tmp_path).stdout.split("_")[1]
    assert run(f"revoke --stage dev {new}", tmp_path).code == 0
    lines = run("list --stage dev", tmp_path).stdout.splitlines()[1:]
    assert len(lines) == 2 and all(line.endswith(IDENTITY) for line in lines)
    shown = {key_id: run(f"show --stage dev {key_id}", tmp_path).stdout for key_id in (old, new)}
    for text in shown.values():
        assert re.search(rf"created  \S+Z by {IDENTITY}\n", text)
    assert f"rotated  by {IDENTITY}\n" in shown[old] and "revoked  never\n" in shown[old]
    assert re.search(rf"revoked  \S+Z by {IDENTITY}\n", shown[new]) and "rotated" not in shown[new]


class Gateway(ThreadingHTTPServer):
    """Passes calls on to an AWS, and answers the flush of a cache, which moto does not know."""

    def __init__(self, upstream: str, refused: str = "") -> None:
        super().__init__(("127.0.0.1", 0), GatewayHandler)
        self.upstream, self.refused, self.flushed = upstream, refused, list[str]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class GatewayHandler(BaseHTTPRequestHandler):
    """Handles a call for Gateway."""

    server: Gateway

    def handle_call(self) -> None:
        """Refuse a call, answer a flush, or pass the call on."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_flush = self.command == "DELETE" and self.path.endswith("/cache/authorizers")
        if self.server.refused and re.search(self.server.refused, self.path):
            self.respond(403, b'{"message": "not authorized"}')
        elif is_flush:
            self.server.flushed.append(self.path)
            self.respond(202, b"")
        else:
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            url = self.server.upstream + self.path
            request = urllib.request.Request(url, body or None, headers, method=self.command)
            with urllib.request.urlopen(request) as response:
                self.respond(response.status, response.read())

    do_GET = do_POST = do_DELETE = handle_call

    def respond(self, status: int, body: bytes) -> None:
        """Send a response."""
        self.send_response(status)
        if status == 403:
            self.send_header("x-amzn-ErrorType", "AccessDeniedException")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:  # pylint: disable=arguments-differ  # all arguments are ignored
        """Log nothing."""


@pytest.mark.parametrize(("refused", "flushes"), [("", 1), ("restapis$|restapis\\?", 0), ("authorizers", 0)])
def test_revoke_now_flushes_the_stages_cache(tmp_path: Path, account: str, refused: str, flushes: int) -> None:
    """`revoke --now` flushes the cache of the stage's API. Without the permission, a sentence names it."""
    key_id = run(f"create --stage dev --tenant acme --name a --scope {READ}", tmp_path).stdout.split("_")[1]
    gateway = Gateway(account, refused)
    url = f"http://127.0.0.1:{gateway.server_port}"
    result = run(f"revoke --now --stage dev {key_id}", tmp_path, AWS_ENDPOINT_URL=url)
    gateway.shutdown()
    gateway.server_close()
    assert re.search(r"revoked  \S+Z", result.stderr) and len(gateway.flushed) == flushes
    if flushes:
        assert result.code == 0 and re.fullmatch(r"/restapis/\w+/stages/dev/cache/authorizers", gateway.flushed[0])
        return
    assert result.code == 1
    assert result.stderr.endswith(
        "make token: The token is revoked, but may work until the gateway's cache expires (token_cache_seconds). "
        "Your credentials need these permissions: apigateway:GET on /restapis, and apigateway:DELETE on the stage's "
        "/cache/authorizers.\n"
    )


@pytest.mark.usefixtures("account")
def test_revoke_now_needs_one_api_of_the_stage(tmp_path: Path) -> None:
    """If it is not clear which API is the stage's, no cache is flushed."""
    key_id = run(f"create --stage dev --tenant acme --name a --scope {READ}", tmp_path).stdout.split("_")[1]
    boto3.client("apigateway").create_rest_api(name="event-api-dev")
    result = run(f"revoke --now --stage dev {key_id}", tmp_path)
    assert result.code == 1 and "the account has 2 APIs with the name event-api-dev" in result.stderr


def test_retention_of_a_token_is_shown_and_rotated(local_process: LocalProcess) -> None:
    """`show` has it as it was given. A new token of a rotation has it, too."""
    token = create(local_process.data_dir, retention="36h")
    rotated = run(f"rotate {token.split('_')[1]}", local_process.data_dir).stdout
    for text in (token, rotated):
        shown = run(f"show {text.split('_')[1]}", local_process.data_dir).stdout
        assert "  events   are kept for at most 36h\n" in shown
    assert "are kept" not in run(f"show {create(local_process.data_dir).split('_')[1]}", local_process.data_dir).stdout


def test_event_of_a_token_with_retention_ends(local_process: LocalProcess) -> None:
    """max-age shows the retention, on the server that keeps all other events for ever."""
    for options, longest in (({"retention": "2h"}, 7200), ({}, 31_536_000)):
        api = UrlApi(local_process.url, create(local_process.data_dir, **options))
        event = an_event()
        assert post(api, event).status == 201
        max_age = int(re.findall(r"max-age=(\d+)", get(api, event["id"]).headers["cache-control"])[0])
        assert longest - 120 <= max_age <= longest


def test_rotated_token_overlaps_with_the_new_one(local_process: LocalProcess) -> None:
    """Both are valid during the overlap, with the same tenant and scopes."""
    old = create(local_process.data_dir, tenant="rotated", scope=WRITE)
    new = run(f"rotate --overlap 1h {old.split('_')[1]}", local_process.data_dir).stdout.strip()
    assert statuses(local_process, old) == statuses(local_process, new) == (201, 403)
    event = an_event()
    assert post(UrlApi(local_process.url, old), event).status == 201
    assert post(UrlApi(local_process.url, new), event).headers["idempotent-replayed"] == "true"


def test_rotation_without_an_overlap_ends_the_old_token_at_once(local_process: LocalProcess) -> None:
    """After --overlap 0m only the new token is valid."""
    old = create(local_process.data_dir)
    new = run(f"rotate --overlap 0m {old.split('_')[1]}", local_process.data_dir).stdout.strip()
    assert statuses(local_process, old) == (401, 401)
    assert statuses(local_process, new) == (201, 404)


def test_rotation_to_no_lifetime_changes_nothing(local_process: LocalProcess) -> None:
    """A new token that is never valid is refused, and the old one still works."""
    old = create(local_process.data_dir)
    result = run(f"rotate --expires 0m --overlap 0m {old.split('_')[1]}", local_process.data_dir)
    assert result.code == 2 and "the new token must be valid for some time: use 30m, 12h or 90d." in result.stderr
    assert statuses(local_process, old) == (201, 404)


TOKEN = "evt_4fJq0ZpXn2RkYw8T_" + "s" * 49


@pytest.mark.parametrize("text", [TOKEN, "s" * 49, f"_{'s' * 49}"])
@pytest.mark.parametrize(
    "where", ["{}", "--{}", "show {}", "list --stage {}", "list --tenant {}", "list --{}", "list {}", "revoke abc {}"]
)
def test_token_in_the_wrong_place_is_not_repeated(tmp_path: Path, where: str, text: str) -> None:
    """No error text repeats what may be a token or a secret."""
    result = run(where.format(text), tmp_path)
    assert result.code != 0 and "s" * 20 not in result.stdout + result.stderr


def test_local_tokens_need_no_profile(local_process: LocalProcess) -> None:
    """An AWS profile, known or unknown, has no effect on them."""
    assert run("list", local_process.data_dir, AWS_PROFILE="unknown").code == 0


GOOD = f"create --tenant acme --name a --scope {READ}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("creat", "No such command 'creat'. Did you mean 'create'?"),
        ("create", "Missing option '--tenant'"),
        (f"create --tenant Acme --name a --scope {READ}", "'Acme' is not a tenant: use 1 to 63 of a-z, 0-9 and -"),
        (f"create --tenant a/b --name a --scope {READ}", "'a/b' is not a tenant"),
        (f"create --tenant acme --name '' --scope {READ}", "'' is not a name"),
        ("create --tenant acme --name a --scope events:admin", "'events:admin' is not one of"),
        (f"{GOOD} --expires soon", "'soon' is not a time: use up to 5 digits and m, h or d"),
        (f"{GOOD} --expires 0d", "a token must be valid for some time"),
        (f"{GOOD} --retention 0d", "events must be kept for some time: use 30m, 12h or 1d."),
        (f"{GOOD} --retention never", "'never' is not a time"),
        (f"{GOOD} --stage live", "'live' is not one of"),
        ("rotate --overlap 1w 4fJq0ZpXn2RkYw8T", "'1w' is not a time"),
        (f"revoke {TOKEN}", "a key id has 16 letters and digits: in a token, they are between the underscores"),
    ],
)
def test_wrong_command_is_explained(tmp_path: Path, arguments: str, expected: str) -> None:
    """The error text says what is wrong and what to use instead."""
    result = run(arguments, tmp_path)
    assert (result.code, result.stdout) == (2, "")
    assert expected in result.stderr


@pytest.mark.parametrize("command", ["show", "revoke", "rotate"])
def test_unknown_key_id_is_one_sentence(local_process: LocalProcess, command: str) -> None:
    """A key id without a token ends with one sentence."""
    result = run(f"{command} {'0' * 16}", local_process.data_dir)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        f"make token: no token has the key id {'0' * 16}: `list` shows the key ids of all tokens.\n"
    )


@pytest.mark.parametrize(("stage", "start"), [("local", "make run"), ("emulated", "make deploy-local")])
def test_stopped_stage_is_named_with_the_command_that_starts_it(tmp_path: Path, stage: str, start: str) -> None:
    """This holds where nothing ever ran, and where a killed process left its address."""
    result = run(f"list --stage {stage}", tmp_path)
    assert (result.code, result.stderr) == (
        1, f"make token: the stage {stage} does not run: start it with `{start}`.\n",
    )  # fmt: skip
    (tmp_path / "aws.json").write_text(json.dumps({"endpoint": "http://127.0.0.1:9"}))
    result = run(f"list --stage {stage}", tmp_path)
    assert result.code == 1 and result.stderr.endswith(f" Start it with `{start}`.\n")


def test_missing_credentials_are_one_sentence(tmp_path: Path) -> None:
    """Without credentials of the account, the command ends with a sentence."""
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    result = run("list --stage dev", tmp_path, **nothing)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("make token: there are no AWS credentials: log in")


def test_missing_permission_is_named(tmp_path: Path) -> None:
    """When IAM refuses a call, the error text names the table that needs the permission."""
    store = FaultyStore("http://127.0.0.1:1")
    store.afterwards = "denied"
    result = run("list --stage dev", tmp_path, AWS_ENDPOINT_URL=store.url)
    store.close()
    assert result.code == 1
    assert result.stderr.endswith(": your credentials need this permission on the table event-api-dev-tokens.\n")


def test_stage_without_a_table_must_be_deployed_first(local_process: LocalProcess) -> None:
    """When the account has no such table, the error text says so."""
    endpoint = json.loads((local_process.data_dir / "aws.json").read_text())["endpoint"]
    result = run("list --stage prod", local_process.data_dir, AWS_ENDPOINT_URL=endpoint)
    assert result.code == 1
    assert result.stderr == (
        "make token: the stage prod has no token table in this account and region: deploy it first.\n"
    )


@pytest.mark.parametrize("arguments", ["", "--help", "-h"])
def test_help_names_every_command(tmp_path: Path, arguments: str) -> None:
    """The help lists the commands, with examples that the program accepts."""
    result = run(arguments, tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert set(re.findall(r"^  (\w+)  ", result.stdout, re.M)) == {"create", "list", "show", "revoke", "rotate"}
    examples = re.findall(r'make token ARGS="(.*)"', result.stdout)
    assert len(examples) == 4
    for example in examples:
        command, *options = shlex.split(example)
        token_cli.commands.commands[command].make_context(command, options)


def test_make_passes_its_arguments_to_the_command(
    local_process: LocalProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make -s token ARGS=...` prints the token and nothing else on stdout."""
    monkeypatch.setenv("DATA_DIR", str(local_process.data_dir))
    result = make(ROOT, "-s", "token", f"ARGS=create --tenant acme --name 'by make' --scope {READ}")
    assert re.fullmatch(r"evt_\w+\n", result.stdout)
    assert statuses(local_process, result.stdout.strip()) == (403, 404)

"""Create, list, show, revoke and rotate the tokens by which callers are known: `make token`. Not shipped.

It takes four rights on the token table, and none beside: GetItem, PutItem, UpdateItem, Scan.
"""

import argparse
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NoReturn

import boto3
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.dynamodb import Item
from chalicelib.problem import Unauthorized
from chalicelib.token import (
    ALPHABET,
    KEY_ID_LENGTH,
    RANDOM_LENGTH,
    SCOPES,
    TENANT,
    Token,
    base62,
    checksum,
    from_item,
    parse,
    sha256,
)

ROOT = Path(__file__).resolve().parent.parent
UNITS = {"m": 60, "h": 3600, "d": 86_400}  # seconds
MAX_NAME = 64

EXAMPLES = """\
examples:
  make token ARGS="create --tenant acme --name billing --scope events:write"
  make token ARGS="create --stage prod --tenant acme --name audit --scope events:read --expires 30d"
  make token ARGS="list --stage prod"
  make token ARGS="rotate --stage prod --overlap 7d 4fJq0ZpXn2RkYw8T"
"""


class CannotDo(Exception):
    """Raised when what was asked for cannot be done; says what to do about it."""


class TokenTable:
    """The table of tokens, as whoever keeps it sees it."""

    def __init__(self, client: BaseClient, name: str) -> None:
        self._client = client
        self._name = name

    def create(self, tenant: str, name: str, scopes: frozenset[str], expires_at: int | None) -> tuple[str, Token]:
        """Make a token; return its text, which is kept nowhere, and what is kept of it."""
        key_id = "".join(secrets.choice(ALPHABET) for _ in range(KEY_ID_LENGTH))
        unchecked = f"evt_{key_id}_{base62(secrets.randbits(256), RANDOM_LENGTH)}"
        text = unchecked + checksum(unchecked)
        _, secret = parse(f"Bearer {text}")
        made = Token(key_id, sha256(secret), tenant, scopes, name, int(time.time()), expires_at)
        self._client.put_item(
            TableName=self._name, Item=to_item(made), ConditionExpression="attribute_not_exists(key_id)"
        )
        return text, made

    def get(self, key_id: str) -> Token:
        """Return what is kept of a token. Raises CannotDo when there is none."""
        answer = self._client.get_item(TableName=self._name, Key={"key_id": {"S": key_id}}, ConsistentRead=True)
        if "Item" not in answer:
            raise CannotDo(f"no token has the key id {key_id}: `list` shows those that there are.")
        return from_item(answer["Item"])

    def all(self) -> list[Token]:
        """Return all that is kept, by tenant, name and age."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._name, ConsistentRead=True)
        found = [from_item(item) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda known: (known.tenant, known.name, known.created_at))

    def revoke(self, key_id: str) -> Token:
        """Let nobody in by a token from now on; return what is kept of it. Raises CannotDo when there is none."""
        self.get(key_id)
        return self._update(key_id, "SET revoked_at = if_not_exists(revoked_at, :moment)", int(time.time()))

    def rotate(self, key_id: str, overlap: int, lives: int | None = None) -> tuple[str, Token, Token]:
        """Make a token like another, which ends after `overlap` seconds; return the new one's text, it, and the other.

        The new one lives for `lives` seconds, or for the other's lifetime, which an earlier rotation may have cut
        short. Raises CannotDo for one that is not in force.
        """
        old, now = self.get(key_id), int(time.time())
        if not old.is_valid(now):
            raise CannotDo(f"the token {key_id} is {state(old, now)}: create another in its place.")
        expires_at = None if old.expires_at is None else now + old.expires_at - old.created_at
        if lives is not None:
            expires_at = now + lives
        text, new = self.create(old.tenant, old.name, old.scopes, expires_at)
        end = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
        return text, new, self._update(key_id, "SET expires_at = :moment", end)

    def _update(self, key_id: str, expression: str, epoch_seconds: int) -> Token:
        answer = self._client.update_item(
            TableName=self._name,
            Key={"key_id": {"S": key_id}},
            UpdateExpression=expression,
            ConditionExpression="attribute_exists(key_id)",
            ExpressionAttributeValues={":moment": {"N": str(epoch_seconds)}},
            ReturnValues="ALL_NEW",
        )
        return from_item(answer["Attributes"])


def to_item(token: Token) -> Item:
    """Return the item of the table that a token is."""
    item: Item = {name: {"S": getattr(token, name)} for name in ("key_id", "secret_sha256", "tenant", "name")}
    item["scopes"] = {"SS": sorted(token.scopes)}
    for name in ("created_at", "expires_at", "revoked_at"):
        if getattr(token, name) is not None:
            item[name] = {"N": str(getattr(token, name))}
    return item


def keep(table: TokenTable, path: Path, tenant: str, name: str) -> str:
    """Return a token in force that a file keeps for whoever may read it: the one that is there, or a new one."""
    if path.exists():
        text = path.read_text().strip()
        try:
            key_id, secret = parse(f"Bearer {text}")
            known = table.get(key_id)
            if known.secret_sha256 == sha256(secret) and known.is_valid(time.time()):
                return text
        except (CannotDo, Unauthorized):
            pass  # it is of another table
    text, _ = table.create(tenant, name, frozenset(SCOPES), expires_at=None)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return text


# Where the tables are.


class Place(NamedTuple):
    """An emulated AWS on this machine: where it says its address, its table, and what starts it."""

    address: Path
    table: str
    credentials: str
    start: str


def places() -> dict[str, Place]:
    """Return the emulated ones."""
    local = Path(os.environ.get("DATA_DIR", ROOT / ".local"))
    emulated = Path(os.environ.get("LOCAL_AWS_DIR", ROOT / ".local-aws"))
    return {
        "local": Place(local / "aws.json", "tokens", "local", "make run"),
        "emulated": Place(emulated / "aws.json", "event-api-dev-tokens", "test", "make deploy-local"),
    }


def table_of(stage: str) -> TokenTable:
    """Return the token table of a stage. Raises CannotDo."""
    if stage in places():
        place = places()[stage]
        try:
            endpoint = json.loads(place.address.read_text())["endpoint"]
        except FileNotFoundError as exc:
            raise CannotDo(f"the stage {stage} does not run: start it with `{place.start}`.") from exc
        return TokenTable(local_client(endpoint, place.credentials), place.table)
    settings = (ROOT / "terraform" / "stages" / f"{stage}.tfvars").read_text()
    region = re.search(r'^region\s*=\s*"([^"]+)"', settings, re.MULTILINE)
    if region is None:
        raise CannotDo(f"terraform/stages/{stage}.tfvars names no region: add it.")
    return TokenTable(boto3.client("dynamodb", region_name=region[1]), f"event-api-{stage}-tokens")


def local_client(endpoint: str, credentials: str) -> BaseClient:
    """Return a client of an emulated DynamoDB on this machine, whatever profile of AWS's is set."""
    of_no_profile = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.Session(botocore_session=of_no_profile).client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="ap-southeast-1",
        aws_access_key_id=credentials,
        aws_secret_access_key=credentials,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


def stages() -> list[str]:
    """Return the stages whose tokens can be kept."""
    return [*places(), *sorted(path.stem for path in (ROOT / "terraform" / "stages").glob("*.tfvars"))]


# The command line.


class Parser(argparse.ArgumentParser):
    """Understands a command line, and repeats no token that stands where none should."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        super().error(re.sub(r"evt_\w+", "evt_...", message))


def main(arguments: list[str]) -> None:
    """Do what the command line asks for. A new token alone goes to the standard output."""
    asked = parser().parse_args(arguments)
    try:
        asked.do(table_of(asked.stage), asked)
    except CannotDo as exc:
        sys.exit(f"make token: {exc}")
    except ClientError as exc:
        sys.exit(f"make token: {refusal(exc, asked.stage)}")
    except BotoCoreError as exc:
        remedy = f" Start it with `{places()[asked.stage].start}`." if asked.stage in places() else ""
        sys.exit(f"make token: the token table of {asked.stage} is out of reach: {exc}{remedy}")


def refusal(exc: ClientError, stage: str) -> str:
    """Return what an error of DynamoDB's asks for."""
    code = exc.response["Error"]["Code"]
    if code == "ResourceNotFoundException":
        return f"the stage {stage} has no token table in this account and region: deploy it first."
    if code == "AccessDeniedException":
        said = exc.response["Error"].get("Message", code)
        return f"{said}: it takes this right on the table event-api-{stage}-tokens."
    return str(exc)


def parser() -> argparse.ArgumentParser:
    """Return what understands the command line."""
    whole = Parser(
        prog="make token", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[TokenTable, argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(do=do)
        made.add_argument(
            "--stage",
            choices=stages(),
            default="local",
            help="local is `make run`, emulated is `make deploy-local`, the others are in your AWS account",
        )
        return made

    create = command("create", create_token, "make a token and print it, once")
    create.add_argument("--tenant", required=True, type=tenant_name, help="whose events it is about")
    create.add_argument("--name", required=True, type=token_name, help="who will use it, for the list")
    create.add_argument(
        "--scope", required=True, action="append", choices=SCOPES, help="what it opens; may be given twice"
    )
    create.add_argument(
        "--expires", type=lifetime, default="90d", metavar="TIME", help="after 30m, 12h, 90d (default) or never"
    )
    command("list", list_tokens, "show all tokens, without their secrets").add_argument(
        "--tenant", type=tenant_name, help="only of this tenant"
    )
    for name, do, text in (
        ("show", show_token, "show one token, without its secret"),
        ("revoke", revoke_token, "let nobody in by a token any more"),
        ("rotate", rotate_token, "make a new token like an old one, which ends after the overlap"),
    ):
        command(name, do, text).add_argument("key_id", metavar="KEY_ID", type=key_id_of, help="between the underscores")
    commands.choices["rotate"].add_argument(
        "--expires", type=seconds, metavar="TIME", help="the new one, after 90d; like the old one, unless you say"
    )
    commands.choices["rotate"].add_argument(
        "--overlap", type=seconds, default="1d", metavar="TIME", help="both are valid for 0m, 12h, 1d (default)"
    )
    return whole


def create_token(table: TokenTable, asked: argparse.Namespace) -> None:
    """Make a token and print it."""
    expires_at = None if asked.expires is None else int(time.time()) + asked.expires
    text, made = table.create(asked.tenant, asked.name, frozenset(asked.scope), expires_at)
    say("Made; its secret is shown this once, and kept nowhere:", made)
    print(text)


def list_tokens(table: TokenTable, asked: argparse.Namespace) -> None:
    """Print all tokens, a line each."""
    now = time.time()
    rows = [("KEY ID", "TENANT", "NAME", "SCOPES", "CREATED", "EXPIRES", "STATE")]
    for known in table.all():
        if asked.tenant in (None, known.tenant):
            scopes = ",".join(sorted(known.scopes))
            times = moment(known.created_at), moment(known.expires_at)
            rows.append((known.key_id, known.tenant, known.name, scopes, *times, state(known, now)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def show_token(table: TokenTable, asked: argparse.Namespace) -> None:
    """Print what is kept of a token, but its digest."""
    print(described(table.get(asked.key_id)))


def revoke_token(table: TokenTable, asked: argparse.Namespace) -> None:
    """Revoke a token."""
    say("Revoked. A stage may still let it in for as long as its gateway keeps answers (token_cache_seconds):",
        table.revoke(asked.key_id))  # fmt: skip


def rotate_token(table: TokenTable, asked: argparse.Namespace) -> None:
    """Make a token in another's place and print it."""
    text, new, old = table.rotate(asked.key_id, asked.overlap, asked.expires)
    say("The old one ends as it says here:", old)
    say("The new one; its secret is shown this once, and kept nowhere:", new)
    print(text)


def say(sentence: str, token: Token) -> None:
    """Tell a person what was done, beside what a program reads."""
    print(f"{sentence}\n{described(token)}\n", file=sys.stderr)


def described(token: Token) -> str:
    """Return what may be known of a token."""
    rows = {
        "key id": token.key_id,
        "tenant": token.tenant,
        "name": token.name,
        "scopes": " ".join(sorted(token.scopes)),
        "created": moment(token.created_at),
        "expires": moment(token.expires_at),
        "revoked": moment(token.revoked_at),
        "state": state(token, time.time()),
    }
    return "\n".join(f"  {name:8} {text}" for name, text in rows.items())


def state(token: Token, now: float) -> str:
    """Return in one word whether a token lets its caller in."""
    if token.revoked_at is not None:
        return "revoked"
    return "valid" if token.is_valid(now) else "expired"


def moment(epoch_seconds: int | None) -> str:
    """Return a moment as RFC 3339 in UTC."""
    if epoch_seconds is None:
        return "never"
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat().replace("+00:00", "Z")


def tenant_name(text: str) -> str:
    """Return a tenant's name. Raises ArgumentTypeError."""
    if not TENANT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no tenant: 1 to 63 of a-z, 0-9 and -, the first no -")
    return text


def token_name(text: str) -> str:
    """Return a token's name. Raises ArgumentTypeError."""
    if not (text.isprintable() and 0 < len(text.strip()) == len(text) <= MAX_NAME):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: 1 to {MAX_NAME} printable characters, no space around")
    return text


def key_id_of(text: str) -> str:
    """Return a key id. Raises ArgumentTypeError, without the text where that may hold a secret."""
    if not re.fullmatch(rf"[0-9A-Za-z]{{{KEY_ID_LENGTH}}}", text):
        raise argparse.ArgumentTypeError(f"a key id is the {KEY_ID_LENGTH} letters and digits between the underscores")
    return text


def seconds(text: str) -> int:
    """Return how many seconds a text like 12h means. Raises ArgumentTypeError."""
    found = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: up to 5 digits and m, h or d, as in 30m, 12h or 90d")
    return int(found[1]) * UNITS[found[2]]


def lifetime(text: str) -> int | None:
    """Return for how many seconds a token lives, or None for ever. Raises ArgumentTypeError."""
    if text == "never":
        return None
    if not (length := seconds(text)):
        raise argparse.ArgumentTypeError("a token that has ended lets nobody in: 30m, 12h, 90d or never")
    return length


if __name__ == "__main__":
    main(sys.argv[1:] or ["--help"])

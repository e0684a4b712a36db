"""The command line of `make token`: creates, lists, shows, revokes and rotates callers' tokens. Not shipped."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from aws_errors import explained
from chalicelib.token import KEY_ID_LENGTH, SCOPES, TENANT, Token
from duration import UNITS, seconds_of
from token_admin import TokenAdmin, TokenAdminError, state
from token_stage import flush_token_cache, stage_names, token_admin_of

MAX_NAME_LENGTH = 64

# \b: click keeps the lines of a paragraph that starts with it.
EXAMPLES = """\b
Examples:
  make token ARGS="create --tenant acme --name billing --scope events:write"
  make token ARGS="create --stage prod --tenant acme --name audit --scope events:read --expires 30d"
  make token ARGS="list --stage prod"
  make token ARGS="rotate --stage prod --overlap 7d 4fJq0ZpXn2RkYw8T"
"""


def main(arguments: list[str]) -> None:
    """Run a command. Only a new token, a list and a help text go to stdout; messages go to stderr."""
    try:
        commands.main(arguments or ["--help"], prog_name="make token", standalone_mode=False)
    except click.ClickException as exc:
        context = getattr(exc, "ctx", None)  # a usage error has one
        if context is not None:
            click.echo(context.get_usage(), err=True)
        click.echo(f"make token: {without_tokens(exc.format_message())}", err=True)
        sys.exit(exc.exit_code)


def without_tokens(text: str) -> str:
    """Return an error text with everything masked that may be a token or its secret."""
    return re.sub(r"evt_\w+|\w{40,}", "evt_...", text)


@contextmanager
def administration(stage: str) -> Iterator[TokenAdmin]:
    """Give the administration of a stage's tokens; an error ends the command with a sentence."""
    with explained(stage, f"the token table of {stage} cannot be reached", explain):
        yield token_admin_of(stage)


def explain(error: ClientError, stage: str) -> str:
    """Return what DynamoDB's error means for a stage, and what to do."""
    code = error.response["Error"]["Code"]
    if code == "ResourceNotFoundException":
        return f"the stage {stage} has no token table in this account and region: deploy it first."
    if code == "AccessDeniedException":
        message = error.response["Error"].get("Message", code)
        return f"{message}: your credentials need this permission on the table event-api-{stage}-tokens."
    return str(error)


# The options.


def tenant_name(text: str) -> str:
    """Return a tenant's name. Raises BadParameter."""
    if not TENANT.fullmatch(text):
        raise click.BadParameter(f"{text!r} is not a tenant: use 1 to 63 of a-z, 0-9 and -, and do not start with -.")
    return text


def token_name(text: str) -> str:
    """Return a token's name. Raises BadParameter."""
    if not (text.isprintable() and 0 < len(text.strip()) == len(text) <= MAX_NAME_LENGTH):
        raise click.BadParameter(
            f"{text!r} is not a name: use 1 to {MAX_NAME_LENGTH} printable characters, without a space at either end."
        )
    return text


def key_id_of(text: str) -> str:
    """Return a key id. Raises BadParameter, which does not repeat the text: it may hold a secret."""
    if not re.fullmatch(rf"[0-9A-Za-z]{{{KEY_ID_LENGTH}}}", text):
        raise click.BadParameter(
            f"a key id has {KEY_ID_LENGTH} letters and digits: in a token, they are between the underscores."
        )
    return text


def seconds(text: str) -> int:
    """Return the seconds of a text like 12h. Raises BadParameter."""
    return seconds_of(text, 5, "30m, 12h or 90d")


def some_time(text: str, sentence: str) -> int:
    """Return the seconds of a text like 12h, at least one. Raises BadParameter with the sentence for none."""
    if not (length := seconds(text)):
        raise click.BadParameter(sentence)
    return length


def retention(text: str) -> int:
    """Return the seconds that events are kept. Raises BadParameter."""
    return some_time(text, "events must be kept for some time: use 30m, 12h or 1d.")


def lifetime(text: str) -> int | None:
    """Return the seconds that a token is valid, or None for no end. Raises BadParameter."""
    sentence = "a token must be valid for some time: use 30m, 12h, 90d or never."
    return None if text == "never" else some_time(text, sentence)


def new_lifetime(text: str) -> int:
    """Return the seconds that a rotated token is valid. Raises BadParameter."""
    return some_time(text, "the new token must be valid for some time: use 30m, 12h or 90d.")


stage_option = click.option(
    "--stage",
    type=click.Choice(stage_names()),
    default="local",
    help="local is `make run`, emulated is `make deploy-local`, the others are in your AWS account.",
)


def key_id_argument(command: Callable[..., None]) -> Callable[..., None]:
    """Add the key id to a command."""
    return click.argument("key_id", metavar="KEY_ID", type=key_id_of)(command)


# The commands.


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def commands() -> None:
    """Create, list, show, revoke and rotate the tokens of callers.

    A command needs four permissions on the stage's token table: GetItem, PutItem, UpdateItem, Scan. `revoke --now`
    also needs apigateway:GET on /restapis, and apigateway:DELETE on the stage's /cache/authorizers.
    """


@commands.command()
@stage_option
@click.option("--tenant", required=True, type=tenant_name, metavar="TENANT", help="Whose events the token is for.")
@click.option("--name", required=True, type=token_name, metavar="NAME", help="Who will use it, for the list.")
@click.option(
    "--scope", required=True, multiple=True, type=click.Choice(SCOPES), help="What it permits; may be given twice."
)
@click.option(
    "--expires", type=lifetime, default="90d", metavar="TIME", help="Valid for 30m, 12h, 90d (default) or never ends."
)
@click.option(
    "--retention",
    type=retention,
    metavar="TIME",
    help="Keep its events for at most 30m, 12h or 1d; default: as the stage keeps them.",
)
def create(**options: Any) -> None:
    """Create a token and print it, once."""
    expires_at = None if options["expires"] is None else int(time.time()) + options["expires"]
    with administration(options["stage"]) as admin:
        text, token = admin.create(
            options["tenant"], options["name"], frozenset(options["scope"]), expires_at, options["retention"]
        )
    report("Created. The token is shown only now, and its secret is stored nowhere:", token)
    click.echo(text)


@commands.command("list")
@stage_option
@click.option("--tenant", type=tenant_name, metavar="TENANT", help="Only tokens of this tenant.")
def list_tokens(stage: str, tenant: str | None) -> None:
    """List all tokens, without their secrets."""
    now = time.time()
    rows = [("KEY ID", "TENANT", "NAME", "SCOPES", "CREATED", "EXPIRES", "STATE", "CREATED BY")]
    with administration(stage) as admin:
        for token in admin.all():
            if tenant in (None, token.tenant):
                scopes = ",".join(sorted(token.scopes))
                times = timestamp(token.created_at), timestamp(token.expires_at)
                creator = token.created_by or "unknown"
                rows.append((token.key_id, token.tenant, token.name, scopes, *times, state(token, now), creator))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@commands.command()
@stage_option
@key_id_argument
def show(stage: str, key_id: str) -> None:
    """Show one token, without its secret."""
    with administration(stage) as admin:
        click.echo(description(admin.get(key_id)))


@commands.command()
@stage_option
@click.option("--now", is_flag=True, help="Also flush the gateway's cache, so that the token stops working at once.")
@key_id_argument
def revoke(stage: str, now: bool, key_id: str) -> None:
    """Revoke a token."""
    with administration(stage) as admin:
        token = admin.revoke(key_id)
    if not now:
        sentence = "Revoked. A deployed stage may accept it until its gateway's cache expires (token_cache_seconds):"
        report(sentence, token)
        return
    report("Revoked:", token)
    flush(stage)
    click.echo("The gateway's cache is flushed: it checks each token again from now on.", err=True)


def flush(stage: str) -> None:
    """Flush the token cache of a stage's gateway; an error ends the command with a sentence."""
    still = "The token is revoked, but may work until the gateway's cache expires (token_cache_seconds)"
    try:
        flush_token_cache(stage)
    except TokenAdminError as exc:
        raise click.ClickException(f"{still}: {exc}") from exc
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "AccessDeniedException":
            raise click.ClickException(f"{still}: {exc}") from exc
        needed = "apigateway:GET on /restapis, and apigateway:DELETE on the stage's /cache/authorizers"
        raise click.ClickException(f"{still}. Your credentials need these permissions: {needed}.") from exc
    except BotoCoreError as exc:
        raise click.ClickException(f"{still}: API Gateway cannot be reached: {exc}.") from exc


@commands.command()
@stage_option
@click.option(
    "--expires", type=new_lifetime, metavar="TIME", help="The new one is valid for 90d; default: as the old one."
)
@click.option(
    "--overlap", type=seconds, default="1d", metavar="TIME", help="The old one is valid for 0m, 12h, 1d (default)."
)
@key_id_argument
def rotate(stage: str, expires: int | None, overlap: int, key_id: str) -> None:
    """Create a token like an old one, which expires after the overlap."""
    with administration(stage) as admin:
        text, new, old = admin.rotate(key_id, overlap, expires)
    report("The old token now expires at this time:", old)
    report("Created the new token. It is shown only now, and its secret is stored nowhere:", new)
    click.echo(text)


# Texts for a person


def report(sentence: str, token: Token) -> None:
    """Print to stderr what a command did with a token."""
    click.echo(f"{sentence}\n{description(token)}\n", err=True)


def description(token: Token) -> str:
    """Return a token's record without the digest of its secret."""
    rows = {
        "key id": token.key_id,
        "tenant": token.tenant,
        "name": token.name,
        "scopes": " ".join(sorted(token.scopes)),
        "created": timestamp(token.created_at) + by(token.created_by),
        "expires": timestamp(token.expires_at),
        **({} if token.rotated_by is None else {"rotated": by(token.rotated_by).strip()}),
        "revoked": timestamp(token.revoked_at) + by(token.revoked_by),
        **({} if token.retention is None else {"events": f"are kept for at most {duration(token.retention)}"}),
        "state": state(token, time.time()),
    }
    return "\n".join(f"  {name:8} {text}" for name, text in rows.items())


def by(identity: str | None) -> str:
    """Return who did something, after a time; empty if the token is of an old version, or nobody did it."""
    return "" if identity is None else f" by {identity}"


def duration(length: int) -> str:
    """Return a number of seconds in the largest unit that fits, as `--retention` accepts it."""
    unit = next(unit for unit in ("d", "h", "m") if length % UNITS[unit] == 0)
    return f"{length // UNITS[unit]}{unit}"


def timestamp(epoch_seconds: int | None) -> str:
    """Return a time as RFC 3339 in UTC."""
    if epoch_seconds is None:
        return "never"
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    main(sys.argv[1:])

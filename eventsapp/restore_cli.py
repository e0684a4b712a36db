"""The commands `make restore-events`, `make compare-events` and `make copy-events`. Not shipped."""

import sys
import time
from collections.abc import Callable
from datetime import datetime

import click
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from table_copy import Comparison, TableCopyError, TablePair, restore
from token_admin import TokenAdminError
from token_stage import client_of, deployed_name, stage_names

TABLES = ("events", "events-restored", "tokens", "tokens-restored")
MAX_SHOWN = 20  # keys of items that differ


def main(arguments: list[str]) -> None:
    """Run a command. On an error, print one sentence and exit."""
    try:
        commands.main(arguments, standalone_mode=False)
    except (click.ClickException, TableCopyError, TokenAdminError, ClientError, BotoCoreError) as exc:
        sentence = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        sys.exit(f"make {arguments[0]}: {sentence}")


def point_in_time(text: str) -> datetime | None:
    """Return a time like 2026-01-31T09:30:00Z; None for `latest`. Raises BadParameter."""
    if text == "latest":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not a time: write AT=2026-01-31T09:30:00Z, or AT=latest.")
    return moment


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all commands have."""
    for name in ("--to", "--from"):
        command = click.option(name, name[2:] + "_table", required=True, type=click.Choice(TABLES))(command)
    return click.option("--stage", required=True, type=click.Choice(stage_names()))(command)


def tables(stage: str, from_table: str, to_table: str) -> tuple[BaseClient, str, str]:
    """Return a client of DynamoDB and the full names of two tables. Raises BadParameter."""
    if from_table == to_table:
        raise click.BadParameter(f"FROM and TO are both {from_table}: name two tables.")
    if from_table.removesuffix("-restored") != to_table.removesuffix("-restored"):
        raise click.BadParameter(
            f"FROM is {from_table} and TO is {to_table}: use events with events-restored, tokens with tokens-restored."
        )
    if stage == "local":
        raise click.BadParameter("`make run` has no backups: name a deployed stage, or `emulated`.")
    prefix = deployed_name(stage)
    return client_of("dynamodb", stage), f"{prefix}-{from_table}", f"{prefix}-{to_table}"


@click.group()
def commands() -> None:
    """Restore a table, or compare and copy tables."""


@commands.command("restore-events")
@options
@click.option("--at", required=True, type=point_in_time)
def restore_events(stage: str, from_table: str, to_table: str, at: datetime | None) -> None:
    """Restore a table to a point in time, as a new table."""
    client, source, target = tables(stage, from_table, to_table)
    start = time.monotonic()
    click.echo(f"Restoring {source} to {target}, as it was at {at or 'the latest possible time'} ...", err=True)
    restore(client, source, target, at)
    click.echo(f"{target} is restored, after {time.monotonic() - start:.0f} seconds. The API does not use it yet.")


units_option = click.option("--units", type=click.FloatRange(min=1))


@commands.command("compare-events")
@options
@units_option
def compare_events(stage: str, from_table: str, to_table: str, units: float | None) -> None:
    """Count the items that another table lacks; change nothing."""
    client, source, target = tables(stage, from_table, to_table)
    pair = TablePair(client, source, target, units)
    click.echo(pair.limits(), err=True)
    report(pair.compare(), "missing", source, target)


@commands.command("copy-events")
@options
@units_option
@click.option("--lift-policy", is_flag=True)
def copy_events(stage: str, from_table: str, to_table: str, units: float | None, lift_policy: bool) -> None:
    """Copy the items that another table lacks."""
    client, source, target = tables(stage, from_table, to_table)
    pair = TablePair(client, source, target, units)
    click.echo(pair.limits(), err=True)
    report(pair.copy_missing(lift_policy), "copied", source, target)


def report(found: Comparison, verb: str, source: str, target: str) -> None:
    """Print how two tables compare."""
    counts = f"{found.missing} items {verb}, {found.equal} equal, {len(found.different)} different"
    click.echo(f"{source} -> {target}: {counts}")
    for key in sorted(found.different)[:MAX_SHOWN]:
        click.echo(f"different: {key}")
    if len(found.different) > MAX_SHOWN:
        click.echo(f"... and {len(found.different) - MAX_SHOWN} more")


if __name__ == "__main__":
    main(sys.argv[1:])

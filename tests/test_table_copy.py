"""`make restore-events`, `make compare-events` and `make copy-events`, on tables in moto."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import restore_cli
from botocore.client import BaseClient
from in_process import aws_in_moto
from local.aws import EVENTS, TOKENS

SOURCE, TARGET = "event-api-dev-events", "event-api-dev-events-restored"


def item(key: str, **attributes: dict[str, Any]) -> dict[str, Any]:
    """Return an item of the table of events."""
    return {"pk": {"S": f"acme/{key}"}, "payload": {"S": '{"n":1.0}'}, **attributes}


@pytest.fixture(name="table", scope="module")
def _table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseClient]:
    """A client of DynamoDB with the tables of the emulated stage; the commands find it by its address."""
    folder = tmp_path_factory.mktemp("aws")
    with aws_in_moto() as endpoint, pytest.MonkeyPatch.context() as patch:
        (folder / "aws.json").write_text(json.dumps({"endpoint": endpoint}))
        patch.setenv("LOCAL_AWS_DIR", str(folder))
        client = boto3.client("dynamodb", endpoint_url=endpoint)
        tables = [{**EVENTS, "TableName": SOURCE}, {**EVENTS, "TableName": TARGET}]
        for table in [*tables, {**TOKENS, "TableName": "event-api-dev-tokens"}]:
            client.create_table(**table)
        yield client
        for table in [*tables, {"TableName": "event-api-dev-tokens"}]:
            client.delete_table(TableName=table["TableName"])
        client.close()


@pytest.fixture(name="stored")
def _stored(table: BaseClient) -> None:
    """Fill both tables."""
    for name in (SOURCE, TARGET):
        for found in table.scan(TableName=name)["Items"]:
            table.delete_item(TableName=name, Key={"pk": found["pk"]})
    hour = 3600
    for found in [
        *(item(f"missing-{number}") for number in range(120)),  # more than one read returns
        item("later", expires_at={"N": str(int(time.time()) + hour)}),
        item("expired", expires_at={"N": str(int(time.time()) - hour)}),
        item("equal"),
        item("different"),
    ]:
        table.put_item(TableName=SOURCE, Item=found)
    table.put_item(TableName=TARGET, Item=item("equal"))
    table.put_item(TableName=TARGET, Item=item("different", payload={"S": '{"n":1}'}))


def run(capsys: pytest.CaptureFixture[str], command: str, *options: str) -> str:
    """Run a command for the emulated stage and return what it prints."""
    restore_cli.main([command, "--stage", "emulated", *options])
    return capsys.readouterr().out


FORTH = ("--from", "events", "--to", "events-restored")


def items_of(table: BaseClient, name: str) -> dict[str, dict[str, Any]]:
    """Return the items of a table by their keys."""
    return {found["pk"]["S"]: found for found in table.scan(TableName=name)["Items"]}


@pytest.mark.usefixtures("stored")
def test_copy_adds_what_is_missing_with_every_attribute(table: BaseClient, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy adds missing items and changes none. It leaves expired items out, and names those that differ."""
    before = items_of(table, TARGET)
    printed = run(capsys, "copy-events", *FORTH)
    assert printed == f"{SOURCE} -> {TARGET}: 121 items copied, 1 equal, 1 different\ndifferent: acme/different\n"
    source = items_of(table, SOURCE)
    del source["acme/expired"]
    assert items_of(table, TARGET) == {**source, **before}


@pytest.mark.usefixtures("stored")
def test_compare_changes_nothing(table: BaseClient, capsys: pytest.CaptureFixture[str]) -> None:
    """A comparison counts what a copy would copy."""
    before = items_of(table, TARGET)
    printed = run(capsys, "compare-events", *FORTH)
    assert printed.startswith(f"{SOURCE} -> {TARGET}: 121 items missing, 1 equal, 1 different\n")
    assert items_of(table, TARGET) == before


@pytest.mark.usefixtures("stored")
def test_long_list_of_different_items_is_cut(table: BaseClient, capsys: pytest.CaptureFixture[str]) -> None:
    """A command names at most 20 items that differ, and counts the rest."""
    for number in range(30):
        table.put_item(TableName=TARGET, Item=item(f"missing-{number}", payload={"S": "{}"}))
    lines = run(capsys, "compare-events", *FORTH).splitlines()
    assert lines[-1] == "... and 11 more" and len([line for line in lines if line.startswith("different: ")]) == 20


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("copy-events", ("--from", "events", "--to", "events"), "FROM and TO are both events: name two tables."),
        ("copy-events", ("--from", "events", "--to", "tokens"), "copy events to events, tokens to tokens."),
        ("copy-events", ("--from", "", "--to", "events"), "'' is not one of 'events', 'events-restored', "),
        ("restore-events", (*FORTH, "--at", "now"), "'now' is not a time: write AT=2026-01-31T09:30:00Z, or AT="),
        ("restore-events", (*FORTH, "--at", "2026-01-31T09:30:00"), "is not a time: write AT="),
        ("restore-events", (*FORTH, "--at", "latest"), f"the table {TARGET} exists: delete it first"),
    ],
)
@pytest.mark.usefixtures("table")
def test_error_says_what_to_do(command: str, options: tuple[str, ...], sentence: str) -> None:
    """A wrong call ends with a sentence."""
    with pytest.raises(SystemExit) as error:
        restore_cli.main([command, "--stage", "emulated", *options])
    assert str(error.value).startswith(f"make {command}: ") and sentence in str(error.value)


def test_stage_without_backups_is_refused() -> None:
    """`make run` has no point-in-time recovery."""
    with pytest.raises(SystemExit, match="`make run` has no backups: name a deployed stage, or `emulated`."):
        restore_cli.main(["compare-events", "--stage", "local", *FORTH])


@pytest.mark.usefixtures("stored")
def test_restore_keeps_every_item(table: BaseClient, capsys: pytest.CaptureFixture[str]) -> None:
    """A restore makes a new table with the source's items. The deployed stage's tests cover its time."""
    table.delete_table(TableName=TARGET)
    printed = run(capsys, "restore-events", *FORTH, "--at", "latest")
    assert printed.startswith(f"{TARGET} is restored, after ")
    assert items_of(table, TARGET) == items_of(table, SOURCE)

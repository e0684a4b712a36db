"""`make restore-events`, `make compare-events` and `make copy-events`, on tables in moto."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import restore_cli
import table_copy
from botocore.client import BaseClient
from botocore.exceptions import ClientError, NoCredentialsError
from in_process import aws_in_moto
from local.aws import EVENTS, TOKENS
from processes import ROOT
from roots import make
from table_copy import TableCopyError, TablePair
from table_pace import Pace, pace_of

SOURCE, TARGET = "event-api-dev-events", "event-api-dev-events-restored"


def item(key: str, **attributes: dict[str, Any]) -> dict[str, Any]:
    """Return an item of the table of events."""
    return {"pk": {"S": f"acme/{key}"}, "payload": {"S": '{"n":1.0}'}, **attributes}


@pytest.fixture(name="table", scope="module")
def _table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseClient]:
    """A client of DynamoDB with the tables of the emulated stage; the commands find it by its address."""
    folder = tmp_path_factory.mktemp("aws")
    endpoint = aws_in_moto()
    with pytest.MonkeyPatch.context() as patch:
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
        found = table.scan(TableName=name)["Items"]
        write(table, name, [{"DeleteRequest": {"Key": {"pk": each["pk"]}}} for each in found])
    hour = 3600
    items = [
        *(item(f"missing-{number}") for number in range(120)),  # more than one read returns
        item("later", expires_at={"N": str(int(time.time()) + hour)}),
        item("expired", expires_at={"N": str(int(time.time()) - hour)}),
        item("equal"),
        item("different"),
    ]
    write(table, SOURCE, [{"PutRequest": {"Item": each}} for each in items])
    table.put_item(TableName=TARGET, Item=item("equal"))
    table.put_item(TableName=TARGET, Item=item("different", payload={"S": '{"n":1}'}))


def write(table: BaseClient, name: str, requests: list[dict[str, Any]]) -> None:
    """Write to a table, 25 items at a time."""
    for start in range(0, len(requests), 25):
        table.batch_write_item(RequestItems={name: requests[start : start + 25]})


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


@pytest.fixture(name="client")
def _client(table: BaseClient) -> Iterator[BaseClient]:
    """A client of DynamoDB for one test, which may register what happens before a call."""
    client = boto3.client("dynamodb", endpoint_url=table.meta.endpoint_url)
    yield client
    client.close()


@pytest.mark.usefixtures("stored")
def test_event_that_the_api_stores_during_the_copy_is_not_copied(table: BaseClient, client: BaseClient) -> None:
    """An item that another writer stored after the copy looked is compared, not counted as copied, and not changed."""
    others = {"acme/missing-1": item("missing-1"), "acme/missing-2": item("missing-2", payload={"S": "{}"})}

    def store(params: dict[str, Any], **_: Any) -> None:
        if other := others.get(json.loads(params["body"])["Item"]["pk"]["S"]):
            table.put_item(TableName=TARGET, Item=other)

    client.meta.events.register("before-call.dynamodb.PutItem", store)
    found = TablePair(client, SOURCE, TARGET).copy_missing()
    assert (found.missing, found.equal, sorted(found.different)) == (119, 2, ["acme/different", "acme/missing-2"])
    assert items_of(table, TARGET)["acme/missing-2"] == item("missing-2", payload={"S": "{}"})


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("is_late", [False, True])
def test_expired_event_of_the_target_is_replaced(table: BaseClient, client: BaseClient, is_late: bool) -> None:
    """A caller may use the id of an expired event again. The restored table still has the old event."""
    expired = item("missing-1", expires_at={"N": str(int(time.time()) - 60)})

    def store(params: dict[str, Any], **_: Any) -> None:
        if json.loads(params["body"])["Item"]["pk"] == expired["pk"]:
            table.put_item(TableName=TARGET, Item=expired)

    if is_late:
        client.meta.events.register("before-call.dynamodb.PutItem", store)
    else:
        table.put_item(TableName=TARGET, Item=expired)
    pair = TablePair(client, SOURCE, TARGET)
    assert pair.compare().missing == pair.copy_missing().missing == 121
    assert items_of(table, TARGET)["acme/missing-1"] == items_of(table, SOURCE)["acme/missing-1"]


def test_expired_tokens_are_copied(table: BaseClient) -> None:
    """A token that has expired still shows who could call, and when. So it is no expired event."""
    expired = {"key_id": {"S": "a"}, "expires_at": {"N": "1"}}
    names = ("tokens-1", "tokens-2")
    for name in names:
        table.create_table(**{**TOKENS, "TableName": name})
    table.put_item(TableName=names[0], Item=expired)
    assert TablePair(table, *names).copy_missing() == (1, 0, [])
    assert table.scan(TableName=names[1])["Items"] == [expired]
    for name in names:
        table.delete_table(TableName=name)


POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.mark.usefixtures("stored")
def test_policy_that_cannot_be_set_again_is_its_own_error(table: BaseClient, client: BaseClient) -> None:
    """If the credentials expire during the copy, the error says that the table has no policy, and what to do now."""
    arn = table.describe_table(TableName=TARGET)["Table"]["TableArn"]
    table.put_resource_policy(ResourceArn=arn, Policy=POLICY)

    def refuse(**_: Any) -> None:
        raise NoCredentialsError

    client.meta.events.register("before-call.dynamodb.PutResourcePolicy", refuse)
    with pytest.raises(TableCopyError) as error:
        TablePair(client, SOURCE, TARGET).copy_missing(lift_policy=True)
    assert str(error.value).startswith(f"the policy of {TARGET} is missing: run `make plan` and `make apply` now")
    with pytest.raises(table.exceptions.PolicyNotFoundException):
        table.get_resource_policy(ResourceArn=arn)


@pytest.mark.parametrize(
    ("lift_policy", "advice"), [(False, "add LIFT_POLICY=1"), (True, "The table has had no policy for 0 seconds, so ")]
)
@pytest.mark.usefixtures("stored")
def test_refused_copy_says_what_to_do(
    client: BaseClient, monkeypatch: pytest.MonkeyPatch, lift_policy: bool, advice: str
) -> None:
    """If AWS refuses to write, the advice is LIFT_POLICY=1 only if that was not given. A later copy is complete."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutItem")

    client.meta.events.register("before-call.dynamodb.PutItem", refuse)
    monkeypatch.setattr(table_copy, "POLICY_SECONDS", 0)
    pair = TablePair(client, SOURCE, TARGET)
    with pytest.raises(TableCopyError, match=f"^AWS refuses to write to {TARGET}: no. .*{advice}"):
        pair.copy_missing(lift_policy)
    client.meta.events.unregister("before-call.dynamodb.PutItem", refuse)
    assert pair.copy_missing().missing == 121


@pytest.mark.parametrize(
    ("description", "kind", "units", "expected"),
    [
        ({}, "Read", None, 750),  # a quarter of what a partition serves
        ({}, "Write", None, 250),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 500, "MaxWriteRequestUnits": 100}}, "Read", None, 125),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 500, "MaxWriteRequestUnits": 100}}, "Write", None, 25),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, "Read", None, 750),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 40_000}}, "Read", None, 750),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 8, "WriteCapacityUnits": 4}}, "Write", None, 1),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}}, "Read", None, 750),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 500}}, "Read", 2000.0, 2000),
    ],
)
def test_pace_is_a_quarter_of_the_cap(
    description: dict[str, Any], kind: str, units: float | None, expected: float
) -> None:
    """A copy leaves most of a table's capacity to the API, unless a person sets the units."""
    assert pace_of(description, kind, units) == expected


@pytest.mark.parametrize(("expected", "consumed"), [(50, 50), (1, 50), (100, 50)])
def test_calls_wait_for_their_units(expected: float, consumed: float) -> None:
    """Calls consume the units of a second in a second, whatever was expected. Indexes count; load only adds time."""
    pace, start = Pace(500), time.monotonic()
    capacity = [{"CapacityUnits": consumed - 10}, {"CapacityUnits": 10.0}]
    for _ in range(3):
        pace.call(lambda **_: {"ConsumedCapacity": capacity}, expected)
    assert time.monotonic() - start >= 2 * consumed / 500  # the third call's units are paid for by the next call


@pytest.mark.usefixtures("stored")
def test_units_slow_a_copy_down(table: BaseClient, capsys: pytest.CaptureFixture[str]) -> None:
    """With UNITS=300, the 121 items take the units of at least 0.4 seconds. The command says the limits before."""
    start = time.monotonic()
    restore_cli.main(["copy-events", "--stage", "emulated", *FORTH, "--units", "300"])
    assert time.monotonic() - start >= 120 / 300
    assert capsys.readouterr().err == (
        f"Using at most 300 read units a second of {SOURCE}, and 300 read units and 300 write units of {TARGET} ...\n"
    )
    assert len(items_of(table, TARGET)) == 123


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ((), "--from events --to events-restored"),
        (("FROM=tokens",), "--from tokens --to tokens-restored"),
        (("FROM=tokens-restored", "TO=tokens"), "--from tokens-restored --to tokens"),
    ],
)
def test_restore_goes_to_a_table_of_the_same_kind(variables: tuple[str, ...], options: str) -> None:
    """`make restore-events FROM=tokens` restores to tokens-restored."""
    result = make(ROOT, "--dry-run", "restore-events", "STAGE=dev", "AT=latest", *variables)
    assert options in result.stdout.splitlines()[-1].replace('"', "")


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("copy-events", ("--from", "events", "--to", "events"), "FROM and TO are both events: name two tables."),
        ("copy-events", ("--from", "events", "--to", "tokens"), "FROM is events and TO is tokens: use events with "),
        ("compare-events", (*FORTH, "--units", "0"), "0.0 is not in the range x>=1"),
        ("restore-events", (*FORTH[:3], "tokens-restored", "--at", "latest"), "tokens with tokens-restored."),
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


@pytest.mark.usefixtures("stored")
def test_restore_goes_on_after_an_error_of_the_wait(table: BaseClient, client: BaseClient) -> None:
    """The credentials may expire before the restore ends."""
    table.update_continuous_backups(
        TableName=SOURCE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "DescribeTable")

    def restored(**_: Any) -> None:
        client.meta.events.register("before-call.dynamodb.DescribeTable", refuse)

    client.meta.events.register("after-call.dynamodb.RestoreTableToPointInTime", restored)
    target = f"{SOURCE}-late"
    with pytest.raises(TableCopyError, match=rf": expired. It goes on. .*: aws dynamodb wait .* {target}$"):
        table_copy.restore(client, SOURCE, target, None)
    table.delete_table(TableName=target)


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

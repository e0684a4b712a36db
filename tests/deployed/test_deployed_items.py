"""The stored items of a protected stage, restored by a person with the commands of docs/operations.md."""

from collections.abc import Iterator

import pytest
from deployed.functions import EVENTS
from table_copy import TableCopyError, TablePair

from emulator.drill import DrillFailed, RestoreDrill
from emulator.stack import Stack

RESTORED = f"{EVENTS}-restored"


@pytest.fixture(name="drill", scope="module")
def _drill(stack: Stack) -> Iterator[RestoreDrill]:
    """The restore drill, after its last step. The next apply of a person deletes the restored table."""
    drill = RestoreDrill(stack)
    drill.run()
    yield drill
    drill.let_terraform_delete()


def test_deployment_works_with_a_restored_table(stack: Stack, drill: RestoreDrill) -> None:
    """After the drill, the deploy role plans no change: the restored table is as Terraform describes it."""
    drill.check_all()
    assert stack.plan() == ""


def test_drill_fails_without_an_event_and_a_copy_brings_it_back(stack: Stack, drill: RestoreDrill) -> None:
    """The drill notices one lost event. Only a copy that lifts the table's policy can bring it back."""
    table = stack.aws.client("dynamodb")
    event_id = next(iter(drill.acknowledged))
    key = {"pk": {"S": f"local/{event_id}"}}
    stored = table.get_item(TableName=EVENTS, Key=key)["Item"]
    arn = table.describe_table(TableName=EVENTS)["Table"]["TableArn"]
    rule = table.get_resource_policy(ResourceArn=arn)["Policy"]
    table.delete_resource_policy(ResourceArn=arn)
    table.delete_item(TableName=EVENTS, Key=key)
    table.put_resource_policy(ResourceArn=arn, Policy=rule)
    with pytest.raises(DrillFailed, match=f"an acknowledged event is missing: GET /events/{event_id} returned 404"):
        drill.check_all()
    tables = TablePair(table, RESTORED, EVENTS)
    with pytest.raises(TableCopyError, match="LIFT_POLICY=1"):
        tables.copy_missing()
    assert tables.copy_missing(lift_policy=True).missing == 1
    drill.check_all()
    assert table.get_item(TableName=EVENTS, Key=key)["Item"] == stored
    assert table.get_resource_policy(ResourceArn=arn)["Policy"] == rule

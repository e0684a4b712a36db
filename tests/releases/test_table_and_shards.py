"""A release or a rollback between versions that keep events elsewhere: in another table, or in other shards."""

from typing import Any

import pytest
import shift
from releases.stage import ALL_AT_ONCE, API, AUTHORIZER, CANARY, Stage, codes
from traffic import ReleaseFailed


def test_release_with_another_table_moves_at_once(stage: Stage) -> None:
    """A release that uses another table is no canary, for both functions. The groups keep their setting."""
    stage.configure(CANARY)
    stage.publish_with(API, TABLE_NAME="first")
    stage.publish(AUTHORIZER)
    before, after = stage.live()[0], stage.newest()[0]
    assert stage.shift()  # the canary would wait for minutes
    assert stage.live() == stage.newest()
    assert stage.lines[0] == (
        f"{API}: version {before} uses the table None with 1 shard, and {after} uses the table first with 1 shard: "
        "all traffic moves at once, because the two must not serve at the same time"
    )
    for name in (API, AUTHORIZER):
        assert stage.deployment(name)["deploymentConfigName"] == ALL_AT_ONCE
    group = stage.code_deploy.get_deployment_group(applicationName=API, deploymentGroupName=API)["deploymentGroupInfo"]
    assert group["deploymentConfigName"] == CANARY
    stage.publish_with(API, TABLE_NAME="first")
    stage.configure(ALL_AT_ONCE)
    stage.shift()
    assert not [line for line in stage.lines if "at once" in line]


def test_rollback_to_another_table_needs_its_name(stage: Stage) -> None:
    """A rollback never moves the API to another table, unless somebody names this table."""
    stage.publish_with(API, TABLE_NAME="events")
    stage.shift()
    before = stage.live()
    stage.publish_with(API, TABLE_NAME="events-restored")
    release = stage.shift()
    live = stage.live()
    for options in ({}, {"release": release}, {"table": "another"}):
        with pytest.raises(ReleaseFailed) as refused:
            stage.roll_back(**options)
        assert str(refused.value).startswith(
            f"version {before[0]} of {API} uses the table events, and version {live[0]} uses events-restored: "
        )
        assert str(refused.value).endswith("add TABLE=events")
        assert stage.live() == live
    assert stage.roll_back(table="events") == {API}
    assert stage.live() == before


def test_more_shards_move_at_once_and_stay(stage: Stage) -> None:
    """A version with fewer shards does not list all events of a later one: it must not serve with it, or after it."""
    stage.publish_with(API, TABLE_NAME="events")  # one shard
    stage.shift()
    stage.configure(CANARY)
    stage.publish_with(API, TABLE_NAME="events", INDEX_SHARDS="4")
    before = stage.live()
    stage.shift()
    live = stage.live()
    assert stage.deployment(API)["deploymentConfigName"] == ALL_AT_ONCE
    for options in ({}, {"shards": 2}, {"table": "events"}):
        with pytest.raises(ReleaseFailed, match=f"version {before[0]} of {API} has fewer .*add SHARDS=1$"):
            stage.roll_back(**options)
    stage.publish_with(API, TABLE_NAME="events", INDEX_SHARDS="3")
    with pytest.raises(ReleaseFailed, match="3 instead of 4: .* Set index_shards to 4 or more, and deploy again"):
        stage.shift()
    assert stage.live() == live
    assert stage.roll_back(shards=1) == {API}
    assert stage.live() == before
    stage.publish_with(API, TABLE_NAME="events")  # the next tests release one shard


def test_rollback_does_not_stop_a_release_with_another_table(stage: Stage) -> None:
    """If the running release brings another table, a rollback is refused before it stops anything."""
    stage.configure(CANARY)
    stage.publish_with(API, TABLE_NAME=f"table-{next(codes)}")
    running = stage.start(API)
    with pytest.raises(ReleaseFailed, match="add TABLE="):
        stage.roll_back()
    assert stage.deployment(API)["status"] != "Stopped"
    stage.code_deploy.stop_deployment(deploymentId=running)
    stage.functions()[0].wait(running)


def test_unreadable_environment_is_an_error(stage: Stage) -> None:
    """If AWS cannot decrypt a version's environment, nobody knows its table: the command says so and moves nothing."""

    def call(service: str, operation: str, **members: Any) -> dict[str, Any]:
        if operation == "get_function_configuration":
            return {"Environment": {"Error": {"ErrorCode": "AccessDeniedException", "Message": "No key"}}}
        return stage.call(service, operation, **members)

    stage.publish(API)
    with pytest.raises(ReleaseFailed, match="AWS does not show the environment of .*: No key. .* decrypt with the"):
        shift.shift(call, "emulated", stage.lines.append)

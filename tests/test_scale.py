"""The simulation of DynamoDB's partitions has the results that docs/costs.md shows."""

import functools
import re

import pytest
from processes import ROOT

import scale

simulate = functools.cache(scale.simulate)


@pytest.mark.parametrize(
    ("shards", "too_hot"), [(1, {"by_time", "by_type"}), (4, {"by_time", "by_type"}), (13, set()), (16, set())]
)
def test_shards_spread_10000_events_a_second(shards: int, too_hot: set[str]) -> None:
    """10,000 events a second of one tenant need 13 shards. One shard puts all of them into one partition."""
    hottest = simulate(shards)
    assert {name for name, partition in hottest.items() if partition.is_too_hot} == too_hot
    if shards == 1:
        assert hottest["by_time"].writes == 10_000


@pytest.mark.parametrize("shards", [1, 4, 16])
def test_each_shard_takes_800_events_a_second(shards: int) -> None:
    """The rule of the documentation holds up to its limit."""
    writes = shards * scale.WRITES_PER_SHARD
    assert scale.shards_for(writes) == shards and scale.shards_for(writes + 1) == shards + 1
    assert all(partition.writes <= scale.MAX_WRITES for partition in simulate(shards, writes).values())


def test_documented_results_are_the_simulated_ones() -> None:
    """The page about costs has the numbers of a run."""
    page = (ROOT / "docs" / "costs.md").read_text()
    (rows,) = re.findall(r"\| hottest partition .*\n\|[-:|]+\|\n((?:\|.*\n)+)", page)
    documented = {
        cells[0].strip("`"): [int(cell.strip("*").replace(",", "")) for cell in cells[1:]]
        for cells in (re.findall(r"[^| ]+", row) for row in rows.splitlines())
    }
    runs = [simulate(shards) for shards in (1, 4, 16)]
    assert documented == {name: [run[name].writes for run in runs] for name in runs[0]}

"""Simulates how DynamoDB's partitions take many writes of one tenant: `make scale`. It uses the app's own keys.

The model: a table or an index is a range of keys, in the order of the partition key's hash and then of the sort key.
Each partition holds a part of the range and takes 1,000 write units and 3,000 read units a second. DynamoDB splits a
partition with more load, near the middle. An index gets its writes at the end of each partition key, because positions
are times. So a split inside a partition key does not divide its writes.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

import bisect
import functools
import hashlib
import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec import Raw

from chalicelib import event, index

MAX_WRITES, MAX_READS = 1_000, 3_000  # units a second of one partition
WRITES_PER_SHARD = 800  # a second; the hash does not spread events quite evenly, so the rest of MAX_WRITES is reserve

WRITES, LISTS, PAGE = 10_000, 1_000, 20  # events and lists a second, events of a list
TYPES, SUBJECTS = 10, 10_000  # half of the events have the first type
ROUNDS = 8  # of splitting; each one sees a second of load
READ_UNITS = 0.5  # of one shard's entries or of one event, eventually consistent
TABLE = "table"
LISTED = {index.BY_TIME: None, index.BY_TYPE: "type-0", index.BY_SUBJECT: "subject-0"}
START = datetime(2026, 1, 31, tzinfo=UTC)

Key = tuple[int, str]  # the hash of the partition key, the sort key
Load = dict[Key, tuple[float, float]]  # write units and read units of a second


class Hottest(NamedTuple):
    """The largest load of one partition in units a second, and the number of partitions."""

    writes: int
    reads: int
    partitions: int

    @property
    def is_too_hot(self) -> bool:
        """Tell whether DynamoDB throttles the partition."""
        return self.writes > MAX_WRITES or self.reads > MAX_READS


def shards_for(writes: int) -> int:
    """Return the `index_shards` that a tenant with this many events a second needs."""
    return -(-writes // WRITES_PER_SHARD)


def simulate(shards: int, writes: int = WRITES) -> dict[str, Hottest]:
    """Return the hottest partition of the table and of each index, after DynamoDB has split all it can."""
    splits: dict[str, list[Key]] = {name: [] for name in (TABLE, *index.INDEXES)}
    hottest = {}
    generator = random.Random(11)
    for second in range(ROUNDS):
        for name, load in loads(second, shards, writes, generator).items():
            partitions = split_load(load, splits[name])
            hottest[name] = Hottest(
                round(max(sum(load[key][0] for key in keys) for keys in partitions)),
                round(max(sum(load[key][1] for key in keys) for keys in partitions)),
                len(partitions),
            )
            splits[name] = sorted({*splits[name], *new_splits(load, partitions)})
    return hottest


def loads(second: int, shards: int, writes: int, generator: random.Random) -> dict[str, Load]:
    """Return what a second writes and reads in the table and in each index. Every list asks for the newest events."""
    load: dict[str, Load] = {name: {} for name in (TABLE, *index.INDEXES)}
    for number in range(writes):
        content = event.Content(
            id=f"event-{second * writes + number}",
            type=f"type-{0 if number % 2 else generator.randrange(1, TYPES)}",
            subject=f"subject-{generator.randrange(SUBJECTS)}",
            payload=Raw(b"{}"),
        )
        is_listed = number >= writes - PAGE
        load[TABLE][hash_of(f"acme/{content.id}"), ""] = (1, LISTS * READ_UNITS * is_listed)
        created_at = event.timestamp(START + timedelta(seconds=second + number / writes))
        attributes = index.keys("acme", content, created_at, shards)
        for name in index.INDEXES:
            load[name][hash_of(attributes[name]), attributes[index.POSITION]] = (1, 0)
    for name, value in LISTED.items():
        for shard in range(shards):
            load[name][hash_of(index.partition_key("acme", shard, value)), "~"] = (0, LISTS * READ_UNITS)
    return load


@functools.cache
def hash_of(partition_key: str) -> int:
    """Return a hash of a partition key. DynamoDB's own hash function is not public."""
    return int.from_bytes(hashlib.md5(partition_key.encode()).digest()[:8])


def split_load(load: Load, splits: list[Key]) -> list[list[Key]]:
    """Return the keys of each partition in their order."""
    keys = sorted(load)
    places = [0, *(bisect.bisect_left(keys, split) for split in splits), len(keys)]
    return [keys[start:end] for start, end in zip(places, places[1:])]


def new_splits(load: Load, partitions: list[list[Key]]) -> Iterator[Key]:
    """Yield where DynamoDB splits each partition with too much load."""
    for keys in partitions:
        writes, reads = (sum(load[key][kind] for key in keys) for kind in (0, 1))
        if writes > MAX_WRITES or reads > MAX_READS:
            kind = 0 if writes / MAX_WRITES > reads / MAX_READS else 1
            yield middle(keys, [load[key][kind] for key in keys])


def middle(keys: list[Key], units: list[float]) -> Key:
    """Return the start of a partition key near half of the load; with one partition key only, half of the load."""
    sums = list(itertools.accumulate(units))
    half = bisect.bisect_left(sums, sums[-1] / 2)
    hashed = keys[half][0]
    start, end = bisect.bisect_left(keys, (hashed, "")), bisect.bisect_left(keys, (hashed + 1, ""))
    places = [place for place in (start, end) if 0 < place < len(keys)]
    return keys[min(places, key=lambda place: abs(place - half), default=half)]


def report() -> Iterator[str]:
    """Yield the lines that `make scale` prints."""
    yield f"One tenant stores {WRITES:,} events a second: {TYPES} types (half of the events have one of them) and"
    yield f"{SUBJECTS:,} subjects. It lists the newest {PAGE} events {LISTS:,} times a second, from each index."
    yield f"One partition takes {MAX_WRITES:,} write units and {MAX_READS:,} read units a second."
    for shards in (1, 4, 16):
        yield ""
        yield f"index_shards = {shards:<6} hottest partition: write units, read units"
        for name, hottest in simulate(shards).items():
            verdict = "too hot: DynamoDB throttles" if hottest.is_too_hot else "fits"
            yield f"  {name:<12} {hottest.writes:>26,} {hottest.reads:>11,}   {verdict}"
    yield ""
    yield f"A shard takes {WRITES_PER_SHARD} events a second, so this tenant needs {shards_for(WRITES)} shards or more."


if __name__ == "__main__":
    for line in report():
        print(line, flush=True)

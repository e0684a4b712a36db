"""The query of a list: its parameters, their faults, and cursors."""

import json
import string
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from bodies import INVALID_TIMES, NOT_SUBJECTS, NOT_TYPES, SUBJECTS, TIMES, TYPES
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib import event, index, listing
from chalicelib.listing import FIRST_TIME, LAST_TIME, Query, parse
from chalicelib.problem import InvalidQuery

NOW = datetime(2026, 1, 31, 9, 30, 0, 123_999, tzinfo=UTC).timestamp()
SETTLED = "2026-01-31T09:29:50.123Z"  # ten seconds earlier
MOMENT = "2026-01-31T09:30:00.000Z"
POSITION = f"{MOMENT}/a"


def query(**parameters: str) -> Query:
    """Return the query of these parameters. `since` stands for `from`."""
    names = {"since": "from"}
    return parse({names.get(name, name): [value] for name, value in parameters.items()}, NOW)


def faults_of(parameters: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return the faults of parameters."""
    with pytest.raises(InvalidQuery) as refused:
        parse(parameters, NOW)
    assert json.dumps(refused.value.body("r")).encode()
    return [(fault["parameter"], fault["detail"]) for fault in refused.value.members["errors"]]


# Valid parameters


@pytest.mark.parametrize("parameters", [None, {}])
def test_query_without_parameters_lists_the_newest_20_events(parameters: Any) -> None:
    """All parameters are optional."""
    assert parse(parameters, NOW) == Query(
        type=None, subject=None, since=FIRST_TIME, before=LAST_TIME, order="desc", limit=20, settled=SETTLED
    )


def test_every_parameter_is_read() -> None:
    """Times are read in any offset, to the millisecond."""
    assert query(
        type="order.*", subject="orders/1", since="2026-01-31T01:30:00+08:00", to=MOMENT, order="asc", limit="100"
    ) == Query(
        type="order.*", subject="orders/1", since="2026-01-30T17:30:00.000Z", before=MOMENT, order="asc", limit=100,
        settled=SETTLED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        (MOMENT, MOMENT),
        ("2026-01-31t09:30:00z", MOMENT),
        ("2026-01-31T09:30:00.0001Z", "2026-01-31T09:30:00.001Z"),
        ("2026-01-31T09:30:00.00000000000000001Z", "2026-01-31T09:30:00.001Z"),
        ("2026-01-31T09:30:00.12000Z", "2026-01-31T09:30:00.120Z"),
        ("2026-01-31T23:59:59.9991-00:30", "2026-02-01T00:30:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2017-01-01T07:59:60.5+08:00", "2017-01-01T00:00:00.500Z"),
        ("0001-01-01T00:00:00+00:01", "0001-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00.0001Z", "0001-01-01T00:00:00.001Z"),
        ("9999-12-31T23:59:59.9991Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_bounds_are_rounded_up_to_milliseconds(text: str, bound: str) -> None:
    """A stored time has whole milliseconds. A time that UTC cannot express becomes the nearest one."""
    parsed = query(since=text, to=text)
    assert (parsed.since, parsed.before) == (bound, bound)
    assert parsed.is_empty


@given(st.datetimes(timezones=st.timezones()), st.integers(-3000, 3000))
def test_rounded_bound_divides_the_same_events(bound: datetime, distance: int) -> None:
    """An event is stored at or after a bound exactly if its `created_at` is at or after the rounded bound."""
    try:
        milliseconds = (bound - listing.EPOCH) // listing.MILLISECOND + distance
        created = listing.EPOCH + milliseconds * listing.MILLISECOND
        parsed = query(since=bound.isoformat())
    except (OverflowError, InvalidQuery):  # years out of range, and offsets with seconds
        return
    position = index.position_of(event.timestamp(created), "a")
    assert (created >= bound) == (position >= parsed.since)


@pytest.mark.parametrize("text", TYPES)
def test_every_type_and_its_prefix_are_valid(text: str) -> None:
    """A prefix ends in `.*`, and its first part is a type."""
    assert (query(type=text).type, query(type=f"{text}.*").type) == (text, f"{text}.*")


@pytest.mark.parametrize("text", SUBJECTS)
def test_every_subject_is_valid(text: str) -> None:
    """A subject of an event can be asked for."""
    assert query(subject=text).subject == text


@pytest.mark.parametrize("text", TIMES)
def test_every_time_is_valid(text: str) -> None:
    """A bound may be any time that `occurred_at` may be, and is written as a `created_at`."""
    assert len(query(since=text).since) == len(query(to=text).before) == 24


@pytest.mark.parametrize("limit", ["1", "9", "20", "99", "100"])
def test_limit_is_from_1_to_100(limit: str) -> None:
    """The limit is written in plain digits."""
    assert query(limit=limit).limit == int(limit)


# Faults


TYPE = "must be a type, or a prefix that ends in .*, as in order.paid or order.*"
SUBJECT = (
    "must be a string of 1 to 256 characters without control characters (U+0000 to U+001F, U+007F), as in orders/1001"
)
TIME = (
    "must be a date and time with an offset (RFC 3339), as in 2026-01-31T09:30:00.000+08:00; "
    "write its + as %2B in a URL, or end it in Z"
)
ORDER = "must be asc (oldest first) or desc (newest first)"
LIMIT = "must be a whole number from 1 to 100"
CURSOR = "must be a cursor of an earlier response to the same query, unchanged; only limit may differ"
UNKNOWN = "is not a parameter of the list; the parameters are type, subject, from, to, order, limit, cursor"

FAULTS: list[tuple[str, str, str]] = [
    *[("type", text, TYPE) for text in NOT_TYPES if isinstance(text, str)],
    *[("type", text, TYPE) for text in ("*", ".*", "order*", "order.**", "order.*.*", "order.*.x", "*.x", "\ud800")],
    *[("subject", text, SUBJECT) for text in NOT_SUBJECTS if isinstance(text, str)],
    *[("subject", text, SUBJECT) for text in ("\ud800", "a\udcff")],
    *[("from", text, TIME) for text in INVALID_TIMES if isinstance(text, str)],
    *[("to", text, TIME) for text in INVALID_TIMES if isinstance(text, str)],
    ("from", "2026-01-31T09:30:00 08:00", TIME),  # a + in a URL is a space
    *[("order", text, ORDER) for text in ("", "ASC", "asc ", "descending")],
    *[("limit", text, LIMIT) for text in ("", "0", "-1", "+1", "101", "1000", "1.0", "1e1", " 1", "1\n", "020", "٣")],
    *[("cursor", text, CURSOR) for text in ("", "1", "0", "x" * 300, "1" + "A" * 80, "\ud800", "é", "1====", "\0")],
    *[(name, "1", UNKNOWN) for name in ("", "Type", "types", "offset", "tenant", "limit ")],
]


@pytest.mark.parametrize(("name", "value", "text"), FAULTS, ids=lambda value: ascii(value)[:30])
def test_fault_names_its_parameter(name: str, value: str, text: str) -> None:
    """An invalid value gets 400 with the rule of its parameter."""
    assert faults_of({name: [value]}) == [(name, text)]


def test_all_faults_are_reported_at_once() -> None:
    """Each fault has its own entry. A repeated parameter is a fault, even with equal values."""
    parameters = {"to": ["now"], "limit": ["5", "5"], "typ": ["t"], "order": ["asc"], "subject": [""], "cursor": ["x"]}
    assert faults_of(parameters) == [
        ("to", TIME), ("limit", "occurs 2 times: send it once"), ("typ", UNKNOWN), ("subject", SUBJECT)
    ]  # fmt: skip


def test_name_of_an_unknown_parameter_is_cut() -> None:
    """A response repeats at most 256 characters of a name, and can always be encoded."""
    assert faults_of({"\ud800" + "x" * 300: ["1"]}) == [("\\ud800" + "x" * 250, UNKNOWN)]


NAMES = st.sampled_from([*listing.PARAMETERS, "x"]) | st.text(max_size=3)
TEXTS = st.text(max_size=12) | st.sampled_from(["t.*", MOMENT, "asc", "20", "\ud800", "1" + "A" * 60])


@given(st.dictionaries(NAMES, st.lists(TEXTS, max_size=2), max_size=8))
def test_any_parameters_are_handled(parameters: dict[str, list[str]]) -> None:
    """Any parameters are a query or get a documented error."""
    try:
        assert isinstance(parse(parameters, NOW), Query)
    except InvalidQuery as exc:
        assert msgspec.json.encode(exc.body("r"))


# Index and filter


@pytest.mark.parametrize(
    ("parameters", "name", "keys", "type_filter"),
    [
        ({}, "by_time", ["acme/0", "acme/1"], None),
        ({"type": "order.paid"}, "by_type", ["acme/0/order.paid", "acme/1/order.paid"], None),
        ({"type": "order.*"}, "by_time", ["acme/0", "acme/1"], ("order.", True)),
        ({"subject": "a/b"}, "by_subject", ["acme/0/a/b", "acme/1/a/b"], None),
        ({"subject": "*", "type": "t"}, "by_subject", ["acme/0/*", "acme/1/*"], ("t", False)),
        ({"subject": "s", "type": "t.*"}, "by_subject", ["acme/0/s", "acme/1/s"], ("t.", True)),
    ],
)
def test_query_uses_the_narrowest_index(
    parameters: dict[str, str], name: str, keys: list[str], type_filter: tuple[str, bool] | None
) -> None:
    """A query reads one index. Only a condition that the index does not meet is a filter."""
    parsed = query(**parameters)
    assert (parsed.index_name, parsed.partition_keys("acme", 2)) == (name, keys)
    assert (parsed.type_filter and (parsed.type_filter.text, parsed.type_filter.is_prefix)) == type_filter


# The range of sort keys


def after(parsed: Query, position: str) -> Query:
    """Return the query that continues after a position."""
    return msgspec.structs.replace(parsed, after=position)


@pytest.mark.parametrize(
    ("parsed", "low", "high"),
    [
        (query(), FIRST_TIME, LAST_TIME),
        (query(since=MOMENT, to="2026-02-01T00:00:00Z"), MOMENT, "2026-02-01T00:00:00.000Z"),
        (query(order="asc"), FIRST_TIME, SETTLED),
        (query(order="asc", to="2026-02-01T00:00:00Z"), FIRST_TIME, SETTLED),
        (query(order="asc", to="2026-01-01T00:00:00Z"), FIRST_TIME, "2026-01-01T00:00:00.000Z"),
        (after(query(order="asc"), POSITION), f"{POSITION}!", SETTLED),
        (after(query(since="2026-02-01T00:00:00Z", order="asc"), POSITION), "2026-02-01T00:00:00.000Z", SETTLED),
        (after(query(), POSITION), FIRST_TIME, f"{MOMENT}/`\x7f"),
        (after(query(to="2026-01-01T00:00:00Z"), POSITION), FIRST_TIME, "2026-01-01T00:00:00.000Z"),
    ],
)
def test_range_has_what_was_not_listed_yet(parsed: Query, low: str, high: str) -> None:
    """A cursor moves one end of the range, and never over the bounds of the query."""
    assert (parsed.low, parsed.high) == (low, high)


@pytest.mark.parametrize(
    ("parsed", "end"),
    [
        (query(order="asc"), SETTLED),
        (query(order="asc", to="2026-01-01T00:00:00Z"), "2026-01-01T00:00:00.000Z"),
        (query(order="asc", since="2026-02-01T00:00:00Z"), "2026-02-01T00:00:00.000Z"),
        (after(query(order="asc"), f"{SETTLED}/a"), f"{SETTLED}/a"),
        (query(), FIRST_TIME),
        (after(query(since=MOMENT), POSITION), MOMENT),
    ],
)
def test_end_of_the_list_is_a_position_to_continue_after(parsed: Query, end: str) -> None:
    """At the end, the cursor never moves back. Nothing that was listed or skipped is read again."""
    assert parsed.end == end
    assert after(parsed, end).is_empty
    assert after(parsed, end).end == end


@pytest.mark.parametrize("seconds", [-1, 0, 9.999, 10])
def test_ascending_list_ends_10_seconds_ago(seconds: float) -> None:
    """An event of the last 10 seconds is not listed with `asc`."""
    created_at = event.timestamp(datetime.fromtimestamp(NOW - seconds, UTC))
    listed = index.position_of(created_at, "a") <= query(order="asc").high
    assert not listed
    earlier = event.timestamp(datetime.fromtimestamp(NOW - 10.001, UTC))
    assert index.position_of(earlier, "a") <= query(order="asc").high


# Cursors


IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}", fullmatch=True)
TIMESTAMPS = st.datetimes().map(lambda time: event.timestamp(time.replace(tzinfo=UTC)))
POSITIONS = st.one_of(TIMESTAMPS, st.builds(index.position_of, TIMESTAMPS, IDS))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["t", "t.*", "u"]),
        "subject": st.sampled_from(["t", "s" * 256, "\U0001f600" * 256]),
        "since": st.sampled_from([MOMENT, "2026-01-31T09:30:00.001Z"]),
        "to": st.sampled_from([MOMENT, "2026-01-31T09:30:00.001Z"]),
        "order": st.sampled_from(["asc", "desc"]),
    },
)
CURSOR_CHARACTERS = set(string.ascii_letters + string.digits + "-_")


@given(OPTIONS, POSITIONS, st.integers(1, 100))
@example({}, index.position_of(MOMENT, "x" * 128), 1)
def test_cursor_keeps_its_position(options: dict[str, str], position: str, limit: int) -> None:
    """A cursor is valid in its query, with any limit, and short and URL-safe."""
    cursor = query(**options).cursor(position)
    assert query(**options, cursor=cursor, limit=str(limit)).after == position
    assert len(cursor) <= 300 and set(cursor) <= CURSOR_CHARACTERS


@given(OPTIONS, OPTIONS, POSITIONS)
def test_cursor_of_another_query_is_refused(options: dict[str, str], others: dict[str, str], position: str) -> None:
    """A cursor belongs to the query with the same parameters. Leaving out `order` means `desc`."""
    cursor = query(**options).cursor(position)
    if {"order": "desc", **options} == {"order": "desc", **others}:
        assert query(**others, cursor=cursor).after == position
    else:
        with pytest.raises(InvalidQuery):
            query(**others, cursor=cursor)


@given(POSITIONS, st.data())
def test_damaged_cursor_is_refused(position: str, data: st.DataObject) -> None:
    """A cursor with another character at any place, cut or longer, is refused."""
    cursor = query().cursor(position)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(sorted({*string.printable, "é", "\u0130", "\ud800"} - {cursor[place]})))
    damaged = [cursor[:place] + other + cursor[place + 1 :], cursor[:place], cursor[:place] + other + cursor[place:]]
    for text in [*damaged, f"{cursor}=", f"{cursor}A", f" {cursor}", f"{cursor}\n", cursor + cursor]:
        if text != cursor:
            assert faults_of({"cursor": [text]}) == [("cursor", CURSOR)]


@pytest.mark.parametrize("position", ["", "x", "2026-01-31", f"{MOMENT}/", f"{MOMENT}/-", f"{MOMENT}/a/b", f"{MOMENT}!",
                                      f"{POSITION}\n", "2026-02-30T09:30:00.000Z", "2026-01-31T09:30:00.000z/a",
                                      "٢٠٢٦-01-31T09:30:00.000Z", "~", "\0" * 24])  # fmt: skip
def test_forged_position_is_refused(position: str) -> None:
    """A cursor has no signature, so its position is checked even if its digest is right."""
    assert faults_of({"cursor": [query().cursor(position)]}) == [("cursor", CURSOR)]

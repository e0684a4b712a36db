"""The journal of `make run`: every acknowledged event is there after the next start."""

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import ROOT, LocalProcess, eventually, failed_start
from targets import an_event, get, post

from local.journal import Call, Journal

JOURNAL = "journal.jsonl"


@pytest.mark.parametrize("victim", ["both", "supervisor", "api"])
def test_acknowledged_event_survives_kill_9(data_dir: Path, victim: str) -> None:
    """After kill -9 of any part nothing is left running, and a new start has every acknowledged event."""
    events = [an_event(payload={"n": n}) for n in range(20)]
    with LocalProcess(data_dir) as running:
        api = running.api
        first = [post(api, event) for event in events]
        assert {response.status for response in first} == {201}
        if victim == "both":
            os.killpg(running.process.pid, signal.SIGKILL)
        else:
            os.kill(running.process.pid if victim == "supervisor" else running.api_pid, signal.SIGKILL)
        assert running.process.wait(60) != 0
        assert eventually(running.is_gone)
        if victim == "api":
            assert "make run: the API's process ended by itself (code -9)" in running.output
    with LocalProcess(data_dir) as running:
        api = running.api
        assert [get(api, str(event["id"])).body for event in events] == [response.body for response in first]
        assert post(api, events[0]).status == 200


def test_write_that_was_cut_off_is_forgotten(data_dir: Path) -> None:
    """Half a journal line was never acknowledged: it is dropped, and later entries follow the complete ones."""
    event, later = an_event(), an_event()
    with LocalProcess(data_dir) as running:
        post(running.api, event)
    with (data_dir / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"headers": {"x-amz-target": "DynamoDB_2012')
    with LocalProcess(data_dir) as running:
        assert get(running.api, event["id"]).status == 200
        post(running.api, later)
    with LocalProcess(data_dir) as running:
        assert get(running.api, later["id"]).status == 200


def test_journal_that_cannot_be_replayed_stops_the_start(data_dir: Path) -> None:
    """A journal that is not understood is named, and kept as it is."""
    data_dir.mkdir()
    line = {"headers": {"x-amz-target": "DynamoDB_20120810.PutItem"}, "body": '{"TableName": "none"}'}
    (data_dir / "journal.jsonl").write_text(json.dumps(line) + "\n")
    message = failed_start(data_dir)
    assert message.startswith(f"make run: {data_dir / 'journal.jsonl'} cannot be replayed at byte 0: move it away")
    assert json.loads((data_dir / "journal.jsonl").read_text()) == line


@pytest.fixture(name="lines", scope="module")
def _lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of a journal: two tables, a token and two events."""
    data_dir = tmp_path_factory.mktemp("lines")
    with LocalProcess(data_dir) as running:
        assert [post(running.api, an_event()).status for _ in range(2)] == [201, 201]
    lines = (data_dir / JOURNAL).read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    return lines


def test_refused_write_is_not_in_the_journal(data_dir: Path) -> None:
    """A repeat and a conflict change nothing, so they leave no entry."""
    event = an_event()
    with LocalProcess(data_dir) as running:
        assert post(running.api, event).status == 201
        before = (data_dir / JOURNAL).read_bytes()
        assert post(running.api, event).status == 200
        assert post(running.api, {**event, "payload": {}}).status == 409
        assert (data_dir / JOURNAL).read_bytes() == before


def test_refused_write_at_the_end_is_removed(data_dir: Path, lines: list[bytes]) -> None:
    """The process died between journaling a write and its refusal: nobody had a response, so the entry goes."""
    data_dir.mkdir()
    (data_dir / JOURNAL).write_bytes(b"".join([*lines, lines[3]]))
    with LocalProcess(data_dir, AUTH="off"):  # it creates no token, which would be one more entry
        assert (data_dir / JOURNAL).read_bytes() == b"".join(lines)


DAMAGES = {
    "torn line": lambda lines: [*lines[:3], lines[3][:40], *lines[4:]],
    "empty line": lambda lines: [*lines[:3], b"\n", *lines[3:]],
    "zeros": lambda lines: [*lines[:3], bytes(100) + b"\n", *lines[3:]],
    "no UTF-8": lambda lines: [*lines[:3], b"\xff\n", *lines[3:]],
    "deep nesting": lambda lines: [*lines[:3], b"[" * 100_000 + b"\n", *lines[3:]],
    "refused write": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    "no object, at the end": lambda lines: [*lines[:3], b"[]\n"],
    "no headers, at the end": lambda lines: [*lines[:3], b'{"headers": [], "body": ""}\n'],
    "no body, at the end": lambda lines: [*lines[:3], b'{"headers": {}, "body": 1}\n'],
    "other headers, at the end": lambda lines: [*lines[:3], b'{"headers": {"\\ud800": "a"}, "body": ""}\n'],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_stops_the_start(data_dir: Path, lines: list[bytes], damage: str) -> None:
    """The message names the damaged line by its byte. The journal stays as it is, with the entries behind."""
    data_dir.mkdir()
    damaged = b"".join(DAMAGES[damage](lines))
    (data_dir / JOURNAL).write_bytes(damaged)
    assert failed_start(data_dir) == (
        f"make run: {data_dir / JOURNAL} cannot be replayed at byte {len(b''.join(lines[:3]))}: "
        "move it away to start without its events.\n"
    )
    assert (data_dir / JOURNAL).read_bytes() == damaged


def test_damage_is_documented(data_dir: Path) -> None:
    """The page about operations has the message for a damaged journal."""
    with Journal(data_dir) as journal:
        message = str(journal.damaged(4096)).replace(str(data_dir), ".local")
    assert f"`{message}`" in (ROOT / "docs" / "operations.md").read_text()


def test_write_without_space_is_503_and_changes_nothing(data_dir: Path) -> None:
    """Where the journal cannot grow, a POST is 503. Every acknowledged event survives `kill -9`, whatever failed."""
    acknowledged = []
    with LocalProcess(data_dir, file_limit="64") as running:
        sizes, failures = [2000] * 100, 0
        while sizes:
            event = an_event(payload={"text": "x" * sizes.pop()})
            response = post(running.api, event)
            if response.status == 201:
                acknowledged.append((event["id"], response.body))
            else:
                assert (response.status, int(response.headers["retry-after"]) > 0) == (503, True)
                assert get(running.api, event["id"]).status == 404
                failures += 1
                sizes = [1, 2000, 1, 1][failures:]  # a small event may still fit
        assert failures and acknowledged
        assert "make run: The journal cannot be written (" in running.output
        running.kill_all()
    with LocalProcess(data_dir) as running:
        assert [get(running.api, event_id).body for event_id, _ in acknowledged] == [body for _, body in acknowledged]
        assert post(running.api, an_event()).status == 201


@pytest.mark.parametrize("replaced", [False, True])
def test_event_is_not_acknowledged_after_the_folder_is_removed(data_dir: Path, replaced: bool) -> None:
    """`make clean` removes the folder of a running `make run`. A POST is then 503, and Ctrl-C ends it as usual."""
    with LocalProcess(data_dir) as running:
        api = running.api
        token, event = running.token, an_event()
        assert post(api, event).status == 201
        shutil.rmtree(data_dir)
        with Journal(data_dir) if replaced else nullcontext():
            assert post(api, an_event()).status == 503
        assert get(api, event["id"]).status == 200
        assert running.stop(signal.SIGINT) == 0
        assert "If its folder was removed, start `make run` again." in running.output
        assert "Traceback" not in running.output
        data_dir.mkdir(exist_ok=True)
        (data_dir / "token").write_text(token)  # the end of the block looks for all other tokens in the output


# The file itself


def a_call(text: str) -> Call:
    """Return a call with a body."""
    return Call({b"x-amz-target": b"DynamoDB_20120810.PutItem"}, text.encode(errors="surrogateescape"))


def calls(data_dir: Path) -> list[Call]:
    """Return what a new process reads."""
    with Journal(data_dir) as journal:
        return [call for _, call in journal.calls()]


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let this process write no file beyond a size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


STEPS = st.lists(st.tuples(st.sampled_from(["append", "refuse", "fail"]), st.text(max_size=40), st.integers(0, 60)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_journal_has_what_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    """After any order of writes, refusals and failed writes, the file has the acknowledged calls in their order."""
    data_dir = tmp_path_factory.mktemp("journal")
    acknowledged = []
    with Journal(data_dir) as journal:
        for step, text, space in steps:
            call = a_call(text.encode("utf-8", "replace").decode())
            try:
                if step == "fail":
                    with file_limit((data_dir / JOURNAL).stat().st_size + space):
                        journal.append(call)
                else:
                    journal.append(call)
            except OSError:
                continue
            if step == "refuse":
                journal.remove_last()
            else:
                acknowledged.append(call)
    assert calls(data_dir) == acknowledged


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1), data=st.data())
def test_cut_file_loses_the_last_line_only(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    """Wherever the process dies in a write, the complete lines are read, and the rest is cut off."""
    data_dir = tmp_path_factory.mktemp("journal")
    with Journal(data_dir) as journal:
        for text in texts:
            journal.append(a_call(text))
    path = data_dir / JOURNAL
    written = path.read_bytes()
    cut = data.draw(st.integers(0, len(written)))
    os.truncate(path, cut)
    complete = written[:cut].count(b"\n")
    assert calls(data_dir) == [a_call(text) for text in texts[:complete]]
    assert path.read_bytes() == b"".join(written.splitlines(keepends=True)[:complete])


@given(body=st.binary(max_size=40))
def test_body_that_is_no_text_is_journaled_as_it_is(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    """Any bytes come back."""
    data_dir = tmp_path_factory.mktemp("journal")
    with Journal(data_dir) as journal:
        journal.append(Call({}, body))
    assert calls(data_dir) == [Call({}, body)]


def test_journal_from_before_the_indexes_is_kept(data_dir: Path) -> None:
    """An older journal creates its table without indexes. The indexes are added, and old events can still be read."""
    event = an_event()
    with LocalProcess(data_dir) as running:
        old = post(running.api, event)
    journal = data_dir / JOURNAL
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        body = json.loads(line["body"])
        if line["headers"]["x-amz-target"].endswith("CreateTable") and body["TableName"] == "events":
            del body["GlobalSecondaryIndexes"]
            body["AttributeDefinitions"] = body["AttributeDefinitions"][:1]
        elif line["headers"]["x-amz-target"].endswith("PutItem"):
            for name in ("by_time", "by_type", "by_subject", "position"):
                body["Item"].pop(name, None)
        line["body"] = json.dumps(body)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    later = an_event(subject="s")
    for _ in range(2):  # the second start replays the addition of the indexes
        with LocalProcess(data_dir) as running:
            assert get(running.api, event["id"]).body == old.body
            assert post(running.api, event).status == 200
            post(running.api, later)
            for query in ("", "?type=test_event", "?subject=s"):
                listed = running.api.request("GET", f"/events{query}").json["events"]
                assert [found["id"] for found in listed] == [later["id"]]

"""`make run`: it starts, keeps what it acknowledged whatever kills it, reloads, and leaves nothing behind."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT, LocalProcess, eventually, free_port
from targets import JSON, UrlApi, an_event, get, post


@pytest.fixture(name="data_dir")
def _data_dir(tmp_path: Path) -> Path:
    """A folder for the events, not made yet."""
    return tmp_path / "data"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_all_in_order(data_dir: Path, signum: signal.Signals) -> None:
    """Ctrl-C, a plain kill and a closed terminal end everything it started, and it says nothing of it."""
    with LocalProcess(data_dir) as running:
        if signum == signal.SIGINT:
            os.killpg(running.process.pid, signum)  # the terminal tells the whole group
        else:
            running.process.send_signal(signum)
        assert running.process.wait(20) == 0
        assert eventually(running.is_gone)
        assert "Traceback" not in running.output


def child_of(running: LocalProcess) -> int:
    """Return the process id of the API's own process."""
    listed = subprocess.run(["pgrep", "-P", str(running.process.pid)], check=True, capture_output=True, text=True)
    return int(listed.stdout.split()[0])


@pytest.mark.parametrize("victim", ["both", "supervisor", "api"])
def test_acknowledged_event_survives_kill_9(data_dir: Path, victim: str) -> None:
    """After kill -9 of any part nothing is left running, and a new start has every acknowledged event."""
    events = [an_event(payload={"n": n}) for n in range(20)]
    with LocalProcess(data_dir) as running:
        api = running.api
        first = [post(api, event) for event in events]
        assert {answer.status for answer in first} == {201}
        if victim == "both":
            os.killpg(running.process.pid, signal.SIGKILL)
        else:
            os.kill(running.process.pid if victim == "supervisor" else child_of(running), signal.SIGKILL)
        assert running.process.wait(20) != 0
        assert eventually(running.is_gone)
        if victim == "api":
            assert "make run: the API's process ended by itself (code -9)" in running.output
    with LocalProcess(data_dir) as running:
        api = running.api
        assert [get(api, str(event["id"])).body for event in events] == [answer.body for answer in first]
        assert post(api, events[0]).status == 200


def test_write_that_was_cut_off_is_forgotten(data_dir: Path) -> None:
    """Half a journal line was never acknowledged: it is dropped, and the journal goes on behind the whole ones."""
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


def refusal(data_dir: Path, **environment: str) -> str:
    """Start the local API where it cannot, and return what it says."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "eventsapp" / "local")],
        env={**os.environ, "PORT": str(free_port()), "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    return ran.stderr


def test_journal_that_cannot_be_replayed_stops_the_start(data_dir: Path) -> None:
    """A journal that is not understood is named, and kept as it is."""
    data_dir.mkdir()
    line = {"headers": {"x-amz-target": "DynamoDB_20120810.PutItem"}, "body": '{"TableName": "none"}'}
    (data_dir / "journal.jsonl").write_text(json.dumps(line) + "\n")
    said = refusal(data_dir)
    assert said.startswith(f"make run: {data_dir / 'journal.jsonl'} does not replay at byte 0: move it away")
    assert json.loads((data_dir / "journal.jsonl").read_text()) == line


def test_folder_in_use_stops_the_start(data_dir: Path) -> None:
    """Two at a time cannot keep the same events."""
    with LocalProcess(data_dir):
        assert refusal(data_dir) == f"make run: another `make run` uses {data_dir}: stop it first.\n"


def test_port_in_use_stops_the_start(data_dir: Path) -> None:
    """A port that is taken is one clear sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = refusal(data_dir, PORT=str(port))
    assert said == (
        f"make run: port {port} is in use: stop what listens there, or take another, as in `make run PORT=8001`.\n"
    )


@pytest.mark.parametrize("port", ["", "http", "0", "-1", "65536", "8000.0"])
def test_port_that_is_none_stops_the_start(data_dir: Path, port: str) -> None:
    """What is no port is one clear sentence."""
    assert refusal(data_dir, PORT=port) == (
        f"make run: {port!r} is no port: take one from 1 to 65535, as in `make run PORT=8001`.\n"
    )


@pytest.mark.parametrize("days", ["", "-1", "1.5", "week"])
def test_retention_that_is_none_stops_the_start(data_dir: Path, days: str) -> None:
    """What is no number of days is one clear sentence."""
    assert refusal(data_dir, RETENTION_DAYS=days) == (
        f"make run: RETENTION_DAYS is {days!r}: make it a whole number of days, or 0 to keep events for ever.\n"
    )


@pytest.mark.parametrize("auth", ["", "no", "OFF", "0"])
def test_auth_that_is_neither_on_nor_off_stops_the_start(data_dir: Path, auth: str) -> None:
    """Nobody is let in, or asked, by a typo."""
    assert refusal(data_dir, AUTH=auth) == (
        f"make run: AUTH is {auth!r}: make it on, to ask for tokens as a deployed API does, or off.\n"
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
@pytest.mark.parametrize("auth", ["on", "off"])
def test_printed_curl_lines_work_as_they_stand(data_dir: Path, auth: str) -> None:
    """What is printed can be pasted: it has the token where one is asked for, and none where none is."""
    with LocalProcess(data_dir, AUTH=auth) as running:
        commands = re.findall(r"^curl (?:.*\\\n)*.*$", running.output, re.M)
        answers = [subprocess.check_output(command, shell=True, text=True) for command in commands]
        assert [answer.split()[1] for answer in answers] == ["201", "200"]
        assert ("Authorization: Bearer evt_" in running.output) == (auth == "on")
        assert ("AUTH is off" in running.output) == (auth == "off")
        bare = UrlApi(running.url)
        assert post(bare, an_event()).status == (401 if auth == "on" else 201)


def test_without_auth_whatever_a_caller_says_is_let_in(data_dir: Path) -> None:
    """AUTH=off takes everybody for one tenant; what was stored so is there for the token of the next start."""
    event = an_event()
    with LocalProcess(data_dir, AUTH="off") as running:
        assert post(UrlApi(running.url, "nonsense"), event).status == 201
        assert get(UrlApi(running.url), event["id"]).status == 200
        assert not (data_dir / "token").exists()
    with LocalProcess(data_dir) as running:
        assert get(UrlApi(running.url), event["id"]).status == 401
        assert get(running.api, event["id"]).status == 200


def test_token_outlives_the_server(data_dir: Path) -> None:
    """The printed token is the same after a new start, so that a shell's history goes on working."""
    with LocalProcess(data_dir) as running:
        token = running.token
        assert (data_dir / "token").stat().st_mode & 0o777 == 0o600
    assert not (data_dir / "aws.json").exists()
    with LocalProcess(data_dir) as running:
        assert running.token == token and token in running.output
        assert post(running.api, an_event()).status == 201


DYNAMODB = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/", {}, 200),
        ("POST", "/", {"Host": "events.example"}, 403),
        ("POST", "/", {"X-Amz-Target": "AWSLambda.Invoke"}, 403),
        ("POST", "/", {"X-Amz-Target": ""}, 403),
        ("POST", "/2015-03-31/functions", {}, 403),
        ("OPTIONS", "/", {"Origin": "https://events.example"}, 403),
        ("GET", "/_ministack/health", {}, 403),
        ("PUT", "/", {}, 403),
    ],
)
def test_embedded_aws_is_dynamodb_alone_and_for_this_machine(
    local_process: LocalProcess, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """It runs no code of others, and no page in a browser can ask it: neither by another name nor by its own header."""
    host = json.loads((local_process.data_dir / "aws.json").read_text())["endpoint"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    signed = "AWS4-HMAC-SHA256 Credential=local/20260101/ap-southeast-1/dynamodb/aws4_request"
    connection.request(method, path, "{}", {**DYNAMODB, "Authorization": signed, **headers})
    answer = connection.getresponse()
    assert answer.status == status
    assert status == 200 or "access-control-allow-origin" not in answer.headers
    connection.close()


def test_what_is_kept_is_for_its_owner_alone(local_process: LocalProcess) -> None:
    """No other user of the machine reads the journal or the token."""
    for name in ("journal.jsonl", "token"):
        assert (local_process.data_dir / name).stat().st_mode & 0o077 == 0


def test_ctrl_c_while_it_starts_ends_it_at_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is heard from the first moment on, without a traceback, and leaves nothing."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)  # coverage's start in a process swallows a signal
    for moment in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3):
        running = LocalProcess(data_dir)
        time.sleep(moment)
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(5) in (0, -signal.SIGINT)
        assert eventually(running.is_gone)
        assert "Traceback" not in running.output


def test_change_reloads_and_a_fault_waits_for_its_repair(tmp_path: Path) -> None:
    """A saved change is served; a fault in it is shown and does not end the server; the events stay."""
    app_dir = tmp_path / "eventsapp"
    shutil.copytree(ROOT / "eventsapp", app_dir, ignore=shutil.ignore_patterns("__pycache__"))
    problem = app_dir / "chalicelib" / "problem.py"
    code = problem.read_text()
    event = an_event()
    with LocalProcess(tmp_path / "data", app_dir / "local") as running:
        api = running.api
        assert post(api, event).status == 201

        def title() -> str:
            try:
                return str(get(api, "unknown").json["title"])
            except OSError:
                return "not listening"

        assert title() == "There is no such event"
        problem.write_text(code.replace("There is no such event", "Nothing here"))
        assert eventually(lambda: title() == "Nothing here")
        problem.write_text("this is no Python")
        assert eventually(lambda: "SyntaxError" in running.output)
        assert title() == "not listening"
        problem.write_text(code)
        assert eventually(lambda: title() == "There is no such event")
        assert get(api, event["id"]).status == 200


def test_make_run_leaves_nothing_when_make_is_killed(data_dir: Path) -> None:
    """`make run` ends with make, however make ends."""
    log = data_dir.parent / "make.log"
    for signum in (signal.SIGTERM, signal.SIGKILL):
        port = free_port()
        with log.open("wb") as output, subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=ROOT,
            env={**os.environ, "DATA_DIR": str(data_dir)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as make:
            assert eventually(lambda: "\ncurl -i" in log.read_text(), 30), log.read_text()
            os.kill(make.pid, signum)
            make.wait(20)
            assert eventually(lambda group=make.pid: group_is_gone(group))


def group_is_gone(group: int) -> bool:
    """Tell whether a process group has no process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


# What HTTP asks for beyond chalice's own handler


@pytest.fixture(name="connection")
def _connection(local_api: UrlApi) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept open."""
    with contextlib.closing(http.client.HTTPConnection(local_api.host, timeout=10)) as connection:
        yield connection


@pytest.fixture(name="caller")
def _caller(local_process: LocalProcess) -> dict[str, str]:
    """The header that says who calls."""
    return {"Authorization": f"Bearer {local_process.token}"}


def test_connection_carries_one_request_after_another(
    connection: http.client.HTTPConnection, caller: dict[str, str]
) -> None:
    """HEAD, 304, errors and events follow each other on one connection."""
    event = an_event()
    etag = ""
    for method, path, body, headers, status in [
        ("POST", "/events", json.dumps(event), JSON, 201),
        ("HEAD", f"/events/{event['id']}", None, {}, 200),
        ("HEAD", "/events/unknown", None, {}, 404),
        ("POST", "/events", "not JSON", JSON, 400),
        ("GET", f"/events/{event['id']}", None, {"If-None-Match": "*"}, 304),
        ("PUT", "/events", "{}", JSON, 405),
        ("GET", f"/events/{event['id']}", None, {"Authorization": ""}, 401),
        ("GET", f"/events/{event['id']}", None, {}, 200),
    ]:
        connection.request(method, path, body, {**caller, **headers})
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert not response.will_close
        etag = response.headers["ETag"]
    assert etag


def test_body_may_come_in_chunks(connection: http.client.HTTPConnection, caller: dict[str, str]) -> None:
    """A body of unknown length is taken as API Gateway takes it."""
    body = json.dumps(an_event()).encode()
    connection.request("POST", "/events", iter([body[:10], body[10:]]), {**JSON, **caller}, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()[:6]) == (201, b'{"id":')


def raw(api: UrlApi, request: bytes) -> tuple[int, dict[str, object]]:
    """Send bytes and return the status and the problem that come back before the connection ends."""
    host, port = api.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{}", 400),
        (b"POST /events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /events/a HTTP/1.1\r\nHost: a\r\nno header\r\nIf-None-Match: *\r\n\r\n", 400),
        (b"GET /events and more HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_what_no_route_gets_to_see_is_a_problem_too(local_api: UrlApi, request_: bytes, status: int) -> None:
    """Requests that HTTP itself refuses are answered with a problem."""
    code, problem = raw(local_api, request_)
    assert (code, problem["status"], problem["type"]) == (status, status, "about:blank")


@pytest.mark.parametrize(
    "announced", [b"Content-Length: 99999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"]
)
def test_body_beyond_the_gateways_own_limit_is_refused_unread(local_api: UrlApi, announced: bytes) -> None:
    """A body that API Gateway would not take is refused as any that is too large, before it is sent."""
    code, problem = raw(local_api, b"POST /events HTTP/1.1\r\nHost: a\r\n" + announced)
    assert (code, problem["type"], problem["limit"]) == (413, "urn:event-api:problem:body-too-large", 262_144)


def test_caller_that_leaves_is_not_made_a_fuss_of(local_api: UrlApi, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A connection that is cut in the middle leaves no traceback, and the server goes on."""
    host, port = local_api.host.split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    assert get(local_api, "unknown").status == 404
    (log,) = tmp_path_factory.getbasetemp().glob("local*.log")
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("method", "path"), [("BREW", "/events"), ("TRACE", "/events/a"), ("BREW", "/tea")]
)
def test_method_that_no_gateway_knows_is_answered_like_an_unknown_path(
    local_api: UrlApi, method: str, path: str
) -> None:
    """API Gateway knows seven methods, and takes any other for a path that it has not."""
    assert local_api.request(method, path).status == 404


@pytest.mark.parametrize("path", ["/events/order;a=1", "/events/order;"])
def test_parameters_of_a_path_are_part_of_the_id(local_api: UrlApi, path: str) -> None:
    """What follows a semicolon is not cut off: such an id cannot be."""
    post(local_api, an_event(id="order"))
    assert local_api.request("GET", path).status == 404


# What the Makefile says before anything runs


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """A copy of what an install needs, without one."""
    (tmp_path / "eventsapp").mkdir()
    for name in ("Makefile", "requirements-dev.txt", "eventsapp/requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_python_too_old_is_one_sentence(checkout: Path) -> None:
    """A Python that does not fit is named, with what would."""
    old = checkout / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    ran = subprocess.run(["make", "run", f"PYTHON={old}"], cwd=checkout, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[0] == (
        f"make: Python 3.11 to 3.14 is needed and {old} is not: "
        "install one, or name it with PYTHON=/path/to/python3.12."
    )


def test_install_that_fails_is_one_sentence_and_is_tried_again(checkout: Path) -> None:
    """A failed install says so at its end, and does not pass for a done one."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PYTHON": sys.executable}
    for _ in range(2):
        ran = subprocess.run(
            ["make", "run"], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode != 0
        assert "make: the install failed, for the reason above: mend it" in ran.stderr

"""`make run`: it starts, checks its settings, reloads changed code, and leaves nothing behind."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT, LocalProcess, eventually, failed_start, free_port
from targets import UrlApi, an_event, get, post


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_all_in_order(data_dir: Path, signum: signal.Signals) -> None:
    """Ctrl-C, a plain kill and a closed terminal end everything it started, and it says nothing of it."""
    with LocalProcess(data_dir) as running:
        if signum == signal.SIGINT:
            os.killpg(running.process.pid, signum)  # the terminal tells the whole group
        else:
            running.process.send_signal(signum)
        assert running.process.wait(60) == 0
        assert eventually(running.is_gone)
        assert "Traceback" not in running.output


def test_folder_in_use_stops_the_start(data_dir: Path) -> None:
    """Two at a time cannot keep the same events."""
    with LocalProcess(data_dir):
        assert failed_start(data_dir) == f"make run: another `make run` uses {data_dir}: stop it first.\n"


def test_port_in_use_stops_the_start(data_dir: Path) -> None:
    """A port that is taken is one clear sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = failed_start(data_dir, PORT=str(port))
    assert message == (
        f"make run: port {port} is in use: stop what listens there, or take another, as in `make run PORT=8001`.\n"
    )


@pytest.mark.parametrize("port", ["", "http", "0", "-1", "65536", "8000.0"])
def test_port_that_is_none_stops_the_start(data_dir: Path, port: str) -> None:
    """What is no port is one clear sentence."""
    assert failed_start(data_dir, PORT=port) == (
        f"make run: {port!r} is not a port: use one from 1 to 65535, as in `make run PORT=8001`.\n"
    )


@pytest.mark.parametrize("days", ["", "-1", "1.5", "week"])
def test_retention_that_is_none_stops_the_start(data_dir: Path, days: str) -> None:
    """What is no number of days is one clear sentence."""
    assert failed_start(data_dir, RETENTION_DAYS=days) == (
        f"make run: RETENTION_DAYS is {days!r}: use a whole number of days, or 0 to keep events for ever.\n"
    )


@pytest.mark.parametrize("auth", ["", "no", "OFF", "0"])
def test_auth_that_is_neither_on_nor_off_stops_the_start(data_dir: Path, auth: str) -> None:
    """Nobody is let in, or asked, by a typo."""
    assert failed_start(data_dir, AUTH=auth) == (
        f"make run: AUTH is {auth!r}: use on, to require tokens as a deployed API does, or off.\n"
    )


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "https://a.example,https://b", "null"])
def test_origin_that_is_none_stops_the_start(data_dir: Path, origin: str) -> None:
    """A text that is no origin is one clear sentence."""
    assert failed_start(data_dir, CORS_ORIGINS=f"https://ok.example {origin}") == (
        f"make run: CORS_ORIGINS contains {origin!r}: use a list of origins such as https://app.example, "
        "separated by spaces, or * for every page.\n"
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
@pytest.mark.parametrize("auth", ["on", "off"])
def test_printed_curl_lines_work_as_they_stand(data_dir: Path, auth: str) -> None:
    """What is printed can be pasted: it has the token where one is asked for, and none where none is."""
    with LocalProcess(data_dir, AUTH=auth) as running:
        commands = re.findall(r"^curl (?:.*\\\n)*.*$", running.output, re.M)
        responses = [subprocess.check_output(command, shell=True, text=True) for command in commands]
        assert [response.split()[1] for response in responses] == ["201", "200"]
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
    response = connection.getresponse()
    assert response.status == status
    assert status == 200 or "access-control-allow-origin" not in response.headers
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
        assert running.process.wait(60) in (0, -signal.SIGINT)
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

        assert title() == "Not Found"
        problem.write_text(code.replace('404: "Not Found"', '404: "Nothing here"'))
        assert eventually(lambda: title() == "Nothing here")
        problem.write_text("this is no Python")
        assert eventually(lambda: "SyntaxError" in running.output)
        assert title() == "not listening"
        problem.write_text(code)
        assert eventually(lambda: title() == "Not Found")
        assert get(api, event["id"]).status == 200


def test_only_code_reloads(tmp_path: Path) -> None:
    """Compiled files, other files and an editor's lock do not restart the API, and changes after them do."""
    app_dir = tmp_path / "eventsapp"
    shutil.copytree(ROOT / "eventsapp", app_dir, ignore=shutil.ignore_patterns("__pycache__"))
    config = app_dir / ".chalice" / "config.json"
    with LocalProcess(tmp_path / "data", app_dir / "local") as running:
        for change in (lambda: config.write_text(config.read_text() + "\n"), (app_dir / "app.py").touch):
            pid = running.api_pid
            (app_dir / ".#app.py").unlink(missing_ok=True)
            (app_dir / ".#app.py").symlink_to("me@host.1:2")
            (app_dir / "notes.txt").write_text("no code")
            subprocess.run([sys.executable, "-m", "compileall", "-q", "-f", app_dir], check=True)
            time.sleep(1)  # time for a restart that must not come
            assert get(running.api, "unknown").status == 404
            assert running.api_pid == pid
            change()
            assert eventually(lambda pid=pid: api_pid_other_than(running, pid))
            assert eventually(lambda: responds(running))


def api_pid_other_than(running: LocalProcess, pid: int) -> bool:
    """Tell whether the API has another process."""
    try:
        return running.api_pid != pid
    except subprocess.CalledProcessError:  # between two processes
        return False


def responds(running: LocalProcess) -> bool:
    """Tell whether the API listens."""
    try:
        return get(running.api, "unknown").status == 404
    except OSError:
        return False


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
            ready = eventually(lambda: "\ncurl -i" in log.read_text())
            os.kill(make.pid, signum)
            assert ready, log.read_text()
            make.wait(60)
            assert eventually(lambda group=make.pid: group_is_gone(group))


def group_is_gone(group: int) -> bool:
    """Tell whether a process group has no process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


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
        f"make: {old} is not Python 3.11 to 3.14: "
        "install one of these, or name it with PYTHON=/path/to/python3.12."
    )


def test_install_that_fails_is_one_sentence_and_is_tried_again(checkout: Path) -> None:
    """A failed install says so at its end, and does not pass for a done one."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PYTHON": sys.executable}
    for _ in range(2):
        ran = subprocess.run(
            ["make", "run"], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode != 0
        assert "make: the install failed, for the reason above: fix it" in ran.stderr

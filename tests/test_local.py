"""Tests of `make run`: it checks its settings, reloads changed code and stops all its processes."""

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

import processes
import pytest
from curl import NEEDS_CURL, curl_commands
from processes import ROOT, LocalProcess, eventually, failed_start, free_port
from targets import UrlApi, an_event, get, post


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_all_processes(data_dir: Path, signum: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal stop all processes without a traceback."""
    with LocalProcess(data_dir) as running:
        if signum == signal.SIGINT:
            os.killpg(running.process.pid, signum)  # the terminal signals the whole process group
        else:
            running.process.send_signal(signum)
        assert running.process.wait(60) == 0
        assert eventually(running.is_gone)
        assert "Traceback" not in running.output


def test_folder_in_use_stops_the_start(data_dir: Path) -> None:
    """A second server with the same data folder does not start."""
    with LocalProcess(data_dir):
        assert failed_start(data_dir) == f"make run: another `make run` uses {data_dir}: stop it first.\n"


def test_port_in_use_stops_the_start(data_dir: Path) -> None:
    """If the port is in use, the error is one clear sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = failed_start(data_dir, PORT=str(port))
    assert message == (
        f"make run: port {port} is in use: stop what listens there, or take another, as in `make run PORT=8001`.\n"
    )


@pytest.mark.parametrize("port", ["", "http", "0", "-1", "65536", "8000.0"])
def test_invalid_port_stops_the_start(data_dir: Path, port: str) -> None:
    """If PORT is invalid, the error is one clear sentence."""
    assert failed_start(data_dir, PORT=port) == (
        f"make run: {port!r} is not a port: use one from 1 to 65535, as in `make run PORT=8001`.\n"
    )


@pytest.mark.parametrize("days", ["", "-1", "1.5", "week"])
def test_invalid_retention_stops_the_start(data_dir: Path, days: str) -> None:
    """If RETENTION_DAYS is invalid, the error is one clear sentence."""
    assert failed_start(data_dir, RETENTION_DAYS=days) == (
        f"make run: RETENTION_DAYS is {days!r}: use a whole number of days, or 0 to keep events for ever.\n"
    )


@pytest.mark.parametrize("shards", ["0", "-1", "four", "1.5", ""])
def test_invalid_shards_stop_the_start(data_dir: Path, shards: str) -> None:
    """If INDEX_SHARDS is invalid, the error is one clear sentence."""
    assert failed_start(data_dir, INDEX_SHARDS=shards) == (
        f"make run: INDEX_SHARDS is {shards!r}: use a whole number from 1. It may grow and never shrink.\n"
    )


@pytest.mark.parametrize("auth", ["", "no", "OFF", "0"])
def test_invalid_auth_stops_the_start(data_dir: Path, auth: str) -> None:
    """A typo in AUTH neither turns authentication on nor off."""
    assert failed_start(data_dir, AUTH=auth) == (
        f"make run: AUTH is {auth!r}: use on, to require tokens as a deployed API does, or off.\n"
    )


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "https://a.example,https://b", "null"])
def test_invalid_origin_stops_the_start(data_dir: Path, origin: str) -> None:
    """If an origin is invalid, the error is one clear sentence."""
    assert failed_start(data_dir, CORS_ORIGINS=f"https://ok.example {origin}") == (
        f"make run: CORS_ORIGINS contains {origin!r}: use a list of origins such as https://app.example, "
        "separated by spaces, or * for every page.\n"
    )


@NEEDS_CURL
@pytest.mark.parametrize("auth", ["on", "off"])
def test_printed_curl_commands_work_unchanged(data_dir: Path, auth: str) -> None:
    """The printed commands work unchanged. They contain the token only if AUTH is on."""
    with LocalProcess(data_dir, AUTH=auth) as running:
        commands = curl_commands(running.output)
        responses = [subprocess.check_output(command, shell=True, text=True) for command in commands]
        assert [response.split()[1] for response in responses] == ["201", "200", "200"]
        assert '"events":[{"id":"order-1001"' in responses[2]
        assert ("Authorization: Bearer evt_" in running.output) == (auth == "on")
        assert ("AUTH is off" in running.output) == (auth == "off")
        bare = UrlApi(running.url)
        assert post(bare, an_event()).status == (401 if auth == "on" else 201)


def test_auth_off_accepts_every_caller(data_dir: Path) -> None:
    """With AUTH=off all callers share one tenant. After a restart with AUTH=on, the token can read its events."""
    event = an_event()
    with LocalProcess(data_dir, AUTH="off") as running:
        assert post(UrlApi(running.url, "nonsense"), event).status == 201
        assert get(UrlApi(running.url), event["id"]).status == 200
        assert not (data_dir / "token").exists()
    with LocalProcess(data_dir) as running:
        assert get(UrlApi(running.url), event["id"]).status == 401
        assert get(running.api, event["id"]).status == 200


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no CPU affinity")
def test_api_leaves_a_cpu_to_the_embedded_aws(local_process: LocalProcess) -> None:
    """The API uses all CPUs but one, so that both processes can run at the same time. With one CPU, it uses that."""
    all_cpus, of_api = os.sched_getaffinity(local_process.process.pid), os.sched_getaffinity(local_process.api_pid)
    assert of_api <= all_cpus and len(of_api) == max(len(all_cpus) - 1, 1)


def test_token_is_the_same_after_a_restart(data_dir: Path) -> None:
    """The token is the same after a restart, so that commands in a shell's history still work."""
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
def test_embedded_aws_accepts_only_local_dynamodb_calls(
    local_process: LocalProcess, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """The embedded AWS accepts only DynamoDB calls. A web page cannot call it, also not with another host name."""
    host = json.loads((local_process.data_dir / "aws.json").read_text())["endpoint"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    signed = "AWS4-HMAC-SHA256 Credential=local/20260101/ap-southeast-1/dynamodb/aws4_request"
    connection.request(method, path, "{}", {**DYNAMODB, "Authorization": signed, **headers})
    response = connection.getresponse()
    assert response.status == status
    assert status == 200 or "access-control-allow-origin" not in response.headers
    connection.close()


def test_data_files_can_be_read_only_by_their_owner(local_process: LocalProcess) -> None:
    """Other users of the machine cannot read the journal or the token."""
    for name in ("journal.jsonl", "token"):
        assert (local_process.data_dir / name).stat().st_mode & 0o077 == 0


def test_ctrl_c_during_the_start_stops_it(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C stops the server at any moment of its start, without a traceback or a remaining process."""
    monkeypatch.setattr(processes, "COVERAGE", {})  # coverage loses a signal while it starts
    for moment in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3):
        running = LocalProcess(data_dir)
        time.sleep(moment)
        os.killpg(running.process.pid, signal.SIGINT)
        code = running.process.wait(60)
        assert eventually(running.is_gone)
        # Python's own start and our first line cannot catch Ctrl-C.
        assert set(re.findall(rf'File "{ROOT}.*\n *(.*)', running.output)) <= {"import signal"}
        if "Traceback" not in running.output and "Fatal Python error: init_" not in running.output:
            assert code in (0, -signal.SIGINT)  # else Ctrl-C came before Python had reached our first line


def test_changed_code_is_reloaded(tmp_path: Path) -> None:
    """The server reloads changed code. After a syntax error it waits for the fix. The events stay."""
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


def test_other_files_do_not_restart_the_api(tmp_path: Path) -> None:
    """Compiled files, other files and an editor's lock file do not restart the API. A later code change does."""
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
            time.sleep(1)  # time for a restart that must not happen
            assert get(running.api, "unknown").status == 404
            assert running.api_pid == pid
            change()
            assert eventually(lambda pid=pid: api_pid_other_than(running, pid))
            assert eventually(lambda: responds(running))


def api_pid_other_than(running: LocalProcess, pid: int) -> bool:
    """Tell whether the API runs in another process than `pid`."""
    try:
        return running.api_pid != pid
    except subprocess.CalledProcessError:  # between two processes
        return False


def responds(running: LocalProcess) -> bool:
    """Tell whether the API responds."""
    try:
        return get(running.api, "unknown").status == 404
    except OSError:
        return False


def test_make_run_ends_when_make_is_killed(data_dir: Path) -> None:
    """`make run` ends when make ends, also when make is killed."""
    log = data_dir.parent / "make.log"
    for signum in (signal.SIGTERM, signal.SIGKILL):
        port = free_port()
        with log.open("wb") as output, subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=ROOT,
            env={**os.environ, **processes.COVERAGE, "DATA_DIR": str(data_dir)},
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
    """Tell whether a process group has no process left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


# The checks of the Makefile before a command runs


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """Return a copy of the files that an install needs, before the install."""
    (tmp_path / "eventsapp" / "local").mkdir(parents=True)
    requirements = ("requirements-dev.txt", "eventsapp/requirements.txt", "eventsapp/local/requirements.txt")
    for name in ("Makefile", *requirements):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_old_python_is_explained(checkout: Path) -> None:
    """The error names the Python that is too old and the supported versions."""
    old = checkout / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = subprocess.run(["make", "run", f"PYTHON={old}"], cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        f"make: {old} is not Python 3.11 to 3.14: "
        "install one of these, or name it with PYTHON=/path/to/python3.12."
    )


def test_failed_install_is_explained_and_retried(checkout: Path) -> None:
    """A failed install ends with one sentence. The next `make` tries to install again."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PYTHON": sys.executable}
    for _ in range(2):
        result = subprocess.run(
            ["make", "run"], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode != 0
        assert "make: the install failed, for the reason above: fix it" in result.stderr

"""`chalice local`: it serves the API with the events of a running `make run`, or says in one sentence what to do."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import COVERAGE, ROOT, LocalProcess, eventually, free_port
from targets import UrlApi, an_event, get, post

CHALICE = Path(sys.executable).parent / "chalice"


@contextmanager
def chalice_local(data_dir: Path, log: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `chalice local` as a person does, in a clean shell, and end it with Ctrl-C."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [CHALICE, "local", *options],
            cwd=ROOT / "eventsapp",
            env={**clean, **COVERAGE, "DATA_DIR": str(data_dir), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def served_url(log: Path) -> str:
    """Return the URL that is printed when the API is there."""
    found: list[str] = []

    def is_printed() -> bool:
        found[:] = re.findall(r"^Serving on (http://\S+) ", log.read_text(), re.M)
        return bool(found)

    assert eventually(is_printed), log.read_text()
    return found[0]


def check(url: str, running: LocalProcess) -> None:
    """Assert that an API at a URL has the tokens and the events of another."""
    event = an_event()
    assert post(UrlApi(url, running.token), event).status == 201
    assert get(running.api, event["id"]).status == get(UrlApi(url, running.token), event["id"]).status == 200
    assert get(UrlApi(url), event["id"]).status == get(UrlApi(url, "unknown"), event["id"]).status == 401


@pytest.mark.parametrize("options", [(), ("--no-autoreload",)])
def test_api_has_the_events_of_make_run(local_process: LocalProcess, tmp_path: Path, options: tuple[str, ...]) -> None:
    """The same token and events work at both; Ctrl-C ends it without a traceback."""
    log = tmp_path / "log"
    port = ("--port", str(free_port()))
    with chalice_local(local_process.data_dir, log, "--stage", "local", *port, *options) as process:
        url = served_url(log)
        assert url == f"http://127.0.0.1:{port[1]}"
        assert eventually(lambda: listens(url))
        check(url, local_process)
    assert process.returncode == 0 or options
    assert "Traceback" not in log.read_text()


def listens(url: str) -> bool:
    """Tell whether an API responds."""
    try:
        return get(UrlApi(url), "unknown").status == 401
    except OSError:
        return False


def test_port_of_make_run_is_left_to_it(data_dir: Path, tmp_path: Path) -> None:
    """Both have the same default port: chalice takes the next free one, unless a person chose the port."""
    log = tmp_path / "log"
    with LocalProcess(data_dir) as running:
        with chalice_local(data_dir, log, "--stage", "local"):
            with chalice_local(data_dir, tmp_path / "second", "--stage", "local"):
                first, second = served_url(log), served_url(tmp_path / "second")
                assert first != second
                for url in (first, second):
                    assert eventually(lambda url=url: listens(url))
                check(second, running)
        with chalice_local(data_dir, log, "--stage", "local", "--port", str(running.port)) as process:
            assert process.wait(60) != 0
        assert log.read_text() == (
            f"chalice local: port {running.port} cannot be used (`make run` has it): "
            "take another, as in `--port 8001`.\n"
        )


def test_api_has_the_settings_of_make_run(data_dir: Path, tmp_path: Path) -> None:
    """With fewer index shards, its lists would lack events that `make run` stores."""
    log = tmp_path / "log"
    origin = "https://app.example"
    with LocalProcess(data_dir, INDEX_SHARDS="8", RETENTION_DAYS="3", CORS_ORIGINS=origin) as running:
        events = [an_event() for _ in range(20)]
        assert {post(running.api, event).status for event in events} == {201}
        with chalice_local(data_dir, log, "--stage", "local", "--port", str(free_port()), INDEX_SHARDS="1"):
            api = UrlApi(served_url(log), running.token)
            assert eventually(lambda: listens(served_url(log)))
            listed = api.request("GET", "/events?limit=100", headers={"Origin": origin})
            assert listed.body == running.api.request("GET", "/events?limit=100").body
            assert {event["id"] for event in json.loads(listed.body)["events"]} == {event["id"] for event in events}
            assert listed.headers["access-control-allow-origin"] == origin
            stored = an_event()
            assert post(api, stored).status == 201
            lifetime = get(running.api, stored["id"]).headers["cache-control"].rpartition("max-age=")[2]
            assert int(lifetime.split(",")[0]) <= 3 * 86400


def test_port_of_make_run_is_left_to_it_while_its_api_restarts(data_dir: Path, tmp_path: Path) -> None:
    """An error in the code ends the API of `make run`, and its port is free until the next change."""
    log = tmp_path / "log"
    with LocalProcess(data_dir) as running:
        address = json.loads((data_dir / "aws.json").read_text())
        (data_dir / "aws.json").write_text(json.dumps({**address, "port": (port := free_port())}))
        with chalice_local(data_dir, log, "--stage", "local", "--port", str(port)) as process:
            assert process.wait(60) != 0
        assert log.read_text().startswith(f"chalice local: port {port} cannot be used (`make run` has it): ")
        assert running.process.poll() is None


def test_port_that_cannot_be_is_one_sentence(local_process: LocalProcess, tmp_path: Path) -> None:
    """Python raises another error for it than for a port that is in use."""
    log = tmp_path / "log"
    with chalice_local(local_process.data_dir, log, "--stage", "local", "--port", "70000") as process:
        assert process.wait(60) != 0
    text = "chalice local: port 70000 cannot be used (the largest is 65535): take another, as in `--port 8001`.\n"
    assert log.read_text() == text


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_worker_ends_with_its_parent(local_process: LocalProcess, tmp_path: Path, signum: signal.Signals) -> None:
    """A signal reaches only the process that a shell or an editor started."""
    log = tmp_path / "log"
    with chalice_local(local_process.data_dir, log, "--stage", "local", "--port", str(free_port())) as process:
        url = served_url(log)
        assert eventually(lambda: listens(url))
        process.send_signal(signum)
        process.wait(60)
        assert eventually(lambda: not listens(url))


@pytest.mark.parametrize("reload", ["--autoreload", "--no-autoreload"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--stage", "local"), "`make run` does not run: start it in another terminal, then try again."),
        ((), "the stage dev is in AWS: use `chalice local --stage local`."),
        (("--stage", "prod"), "the stage prod is in AWS: use `chalice local --stage local`."),
    ],
)
def test_start_that_cannot_be_is_one_sentence(
    data_dir: Path, tmp_path: Path, reload: str, options: tuple[str, ...], sentence: str
) -> None:
    """The message says what to do, and the command ends with an error."""
    log = tmp_path / "log"
    with chalice_local(data_dir, log, reload, *options) as process:
        assert process.wait(60) != 0
    assert log.read_text() == f"chalice local: {sentence}\n"


def test_address_of_a_killed_make_run_is_not_used(data_dir: Path, tmp_path: Path) -> None:
    """After `kill -9` the file with the address is still there."""
    with LocalProcess(data_dir) as running:
        running.kill_all()
    assert (data_dir / "aws.json").exists()
    log = tmp_path / "log"
    with chalice_local(data_dir, log, "--stage", "local") as process:
        assert process.wait(60) != 0
    assert log.read_text().startswith("chalice local: `make run` does not run")


def test_make_run_of_another_version_is_started_again(
    local_process: LocalProcess, data_dir: Path, tmp_path: Path
) -> None:
    """A `make run` goes on after `git pull`, and its file has other members."""
    data_dir.mkdir()
    address = json.loads((local_process.data_dir / "aws.json").read_text())
    (data_dir / "aws.json").write_text(json.dumps({"endpoint": address["endpoint"]}))
    log = tmp_path / "log"
    with chalice_local(data_dir, log, "--stage", "local") as process:
        assert process.wait(60) != 0
    assert log.read_text().startswith("chalice local: `make run` does not run")


@pytest.mark.parametrize("options", [("deploy",), ("package", "out"), ("package", "--pkg-format", "terraform", "out")])
def test_command_that_deploys_is_one_sentence(tmp_path: Path, options: tuple[str, ...]) -> None:
    """`chalice deploy` and `chalice package` say what to do instead, and leave nothing behind."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["AWS_DEFAULT_REGION"] = "us-east-1"
    command = [CHALICE, "--project-dir", str(ROOT / "eventsapp"), *options]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"chalice {options[0]}: Terraform deploys this app. Run `make package STAGE=dev` to package it "
        "or `make deploy-local` to try a deployment; docs/deployment.md describes the rest.\n"
    )
    assert not any(tmp_path.iterdir())


def test_other_commands_of_chalice_are_unchanged() -> None:
    """A command that loads the app for another reason neither needs `make run` nor prints anything."""
    ran = subprocess.run(
        [CHALICE, "generate-models", "--stage", "local"],
        cwd=ROOT / "eventsapp",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "chalice local" not in ran.stdout + ran.stderr
    assert ran.returncode == 0, ran.stderr


def test_lambda_never_loads_the_local_part() -> None:
    """Outside chalice's command line, the app does not even import it."""
    probe = "import app, sys; print(sorted(name for name in sys.modules if name.split('.')[0] in ('local', 'click')))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ran = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=ROOT / "eventsapp",
        env={**environment, "AWS_LAMBDA_FUNCTION_NAME": "x"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"

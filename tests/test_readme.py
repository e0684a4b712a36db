"""The README says what is so, and the code says why where it goes its own way."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import token_cli
from processes import ROOT, LocalProcess

from chalicelib.problem import Problem
from chalicelib.token import BEARER

README = (ROOT / "README.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_curl_lines_give_the_documented_answers(tmp_path: Path) -> None:
    """Each curl line, pasted as it stands and in its order, gets the status that the text names; twice the first."""
    commands = re.findall(r"^curl (?:.*\\\n)*.*$", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)), re.M)
    assert [command.partition("http")[0] for command in commands] == ["curl -i "] * 4
    with LocalProcess(tmp_path / ".local") as running:
        answers = [
            subprocess.check_output(
                command.replace("http://127.0.0.1:8000", running.url), shell=True, text=True, cwd=tmp_path
            )
            for command in [commands[0], *commands]
        ]
    assert [answer.split()[1] for answer in answers] == ["201", "200", "200", "404", "401"]
    documented = re.search(r"```\nHTTP/1.1 201.*?\n\n(.*?)\n```", README, re.DOTALL)
    assert documented is not None
    created_at = r'"created_at":"[^"]*"'
    assert re.sub(created_at, "", answers[0].splitlines()[-1]) == re.sub(created_at, "", documented[1])
    etag = re.search(r"ETag: .*", documented[0])
    assert etag is not None and etag[0] in answers[0]
    assert "Idempotent-Replayed: true" in answers[1]


def test_token_lines_are_understood() -> None:
    """Each `make token` line is one that the program takes, in whichever stage."""
    lines = re.findall(r'make (?:-s )?token ARGS="([^"]*)"', README)
    assert len(lines) >= 7
    for line in lines:
        if "..." not in line:
            known = line.replace("KEY_ID", "4fJq0ZpXn2RkYw8T").replace("$stage", "prod")
            command, *options = shlex.split(known)
            token_cli.commands.commands[command].make_context(command, options)


def test_pattern_for_secret_scanners_is_the_tokens() -> None:
    """What the README tells a scanner to look for is what the gateway takes."""
    (pattern,) = re.findall(r"`(evt_\[[^`]*)`", README)
    assert f"^[Bb][Ee][Aa][Rr][Ee][Rr] +{pattern}$" == BEARER


def test_threats_name_tests_that_are_there() -> None:
    """Each test that the table of threats names exists."""
    table = README.partition("### What could go wrong")[2].partition("## Deploying it")[0]
    named = set(re.findall(r"`(?:tests/)?(\w+\.py)`", table))
    assert len(named) >= 6
    assert named <= {path.name for path in (ROOT / "tests").rglob("*.py")}


def test_problem_types_are_all_documented() -> None:
    """The table of errors has each type with its status, and no other."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", README, re.M)
    assert sorted(rows) == sorted((kind.type, str(kind.status)) for kind in Problem.__subclasses__())


def test_make_targets_are_there() -> None:
    """Each make command that is named exists."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|[`(]|&& )(?:[A-Z_]+=\S+ )?make (?:-s |--silent )?([a-z][a-z-]*)", README, re.M))
    assert {"run", "test", "token", "contract", "url"} <= named <= targets


def test_each_silenced_lint_has_its_reason() -> None:
    """Whoever turns pylint off says why on the same line, and turns it on again where it stood alone."""
    files = [path for folder in ("eventsapp", "tests", "terraform") for path in (ROOT / folder).rglob("*.py")]
    lines = [line for path in files for line in path.read_text().splitlines() if "pylint" + ": disable" in line]
    assert len(lines) > 10
    assert [line for line in lines if not re.search(r"# pylint" + r": disable=[a-z, -]+  # \S+", line)] == []

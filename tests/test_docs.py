"""Tests of the README and docs/: the commands work, the tables are complete and the links are valid."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import token_cli
from chalicelib.problem import Problem
from chalicelib.token import BEARER
from curl import NEEDS_CURL, curl_commands
from faulty_store import FaultyStore
from processes import ROOT, LocalProcess
from roots import copied_project, make, run

PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *(ROOT / "docs").glob("*.md")]
NEEDS_AWS = "*Needs an AWS account:*"

# Commands that other tests run.
RUN_ELSEWHERE = {
    "make run": "test_local.py",
    "make test": "test_lint.py",  # this is the command that runs the tests
    "make bench\nmake bench PEERS=1\nmake bench TLS=1 ROUNDS=9": "test_bench.py",
    "make deploy-local": "test_deploy_local.py",
    "make destroy-local": "test_deploy_local.py",
    "make restore-drill": "deployed/test_deployed_items.py",
    "make -s region STAGE=prod": "test_sources.py",
    "make lock\ngit add terraform/requirements-package.txt terraform/.terraform.lock.hcl "
    "terraform/oidc/.terraform.lock.hcl": "test_lock.py",
    "export AWS_REGION=$(make -s region STAGE=prod)": "test_sources.py",
}


class Block(NamedTuple):
    """A block of shell commands on a page."""

    page: str
    text: str
    needs_aws: bool


def blocks(path: Path, language: str = "sh") -> list[Block]:
    """Return the blocks of a language on a page."""
    matches = re.finditer(rf"(?:([^\n]*)\n\n)? *```{language}\n(.*?)\n *```", path.read_text(), re.DOTALL)
    return [Block(path.name, unindented(match[2]), (match[1] or "").strip() == NEEDS_AWS) for match in matches]


def unindented(text: str) -> str:
    """Return a block without the indentation of its list."""
    margin = len(text) - len(text.lstrip(" "))
    return "\n".join(line[margin:] for line in text.splitlines())


def here(page: str) -> list[str]:
    """Return the blocks of a page that need no AWS account and that no other test runs."""
    (path,) = [path for path in PAGES if path.name == page]
    return [block.text for block in blocks(path) if not block.needs_aws and block.text not in RUN_ELSEWHERE]


TESTED_HERE = {
    "README.md", "api.md", "cloudevents.md", "tokens.md", "changing-the-code.md", "upgrading.md", "performance.md",
}  # fmt: skip


def test_every_command_is_tested_or_needs_an_aws_account() -> None:
    """A test runs every command that needs no AWS account. Each test file in RUN_ELSEWHERE exists."""
    assert {path.name for path in PAGES if here(path.name)} == TESTED_HERE
    assert all((ROOT / "tests" / name).exists() for name in RUN_ELSEWHERE.values())


@pytest.mark.parametrize("block", [block for path in PAGES for block in blocks(path)], ids=lambda block: block.page)
def test_command_is_valid_in_every_shell(block: Block) -> None:
    """A block is valid in every POSIX shell, and its make targets exist."""
    result = subprocess.run(["sh", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "<<<" not in block.text and "[[" not in block.text  # dash supports neither
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)", block.text)) <= targets


@pytest.fixture(name="running", scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    """Start the local API with the data folder that the pages name."""
    with LocalProcess(tmp_path_factory.mktemp("docs") / ".local") as running:
        yield running


def curl(running: LocalProcess, text: str) -> list[str]:
    """Run the curl commands of a block with the API's real port. Return the output of each."""
    commands = curl_commands(text)
    assert commands and all(re.match("curl -i '?http://127.0.0.1:8000/", command) for command in commands)
    here_ = [command.replace("http://127.0.0.1:8000", running.url) for command in commands]
    return [subprocess.check_output(line, shell=True, text=True, cwd=running.data_dir.parent) for line in here_]


@NEEDS_CURL
def test_readme_shows_the_real_responses(running: LocalProcess) -> None:
    """The README's curl commands get the responses that the README shows."""
    post, reads = here("README.md")
    first, again = curl(running, post) + curl(running, post)
    (changed,) = curl(running, post.replace("42.50", "43.50"))
    statuses = [response.split()[1] for response in (first, again, changed, *curl(running, reads))]
    assert statuses == ["201", "200", "409", "200", "200", "404", "401"]
    assert "Idempotent-Replayed: true" in again
    documented = re.search(r"```\nHTTP/1.1 201.*?\n\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert documented is not None
    created_at = r'"created_at":"[^"]*"'
    assert re.sub(created_at, "", first.splitlines()[-1]) == re.sub(created_at, "", documented[1])
    etag = re.search(r"ETag: .*", documented[0])
    assert etag is not None and etag[0].lower() in first.lower()


@NEEDS_CURL
def test_api_page_shows_requests_that_work(running: LocalProcess) -> None:
    """The API page's curl commands store an event, store a batch, read an event, and list events, page by page."""
    responses: list[str] = []
    for block in here("api.md"):
        (cursor,) = re.findall('"cursor":"([^"]*)"', responses[-1]) if "CURSOR" in block else [""]
        responses += curl(running, block.replace("CURSOR", cursor))
    assert [response.split()[1] for response in responses] == ["201", "207", *["200"] * 6]
    assert re.findall('"status":(...)', responses[1]) == ["201", "201"]
    assert [sorted(re.findall('"id":"(invoice-.)"', response)) for response in responses[3:5]] == [
        ["invoice-7", "invoice-8", "invoice-9"], ["invoice-8", "invoice-9"],
    ]  # fmt: skip
    first, second = (re.findall('"id":"(invoice-.)"', response) for response in responses[6:])
    assert (len(first), len(second)) == (2, 1) and {*first, *second} == {"invoice-7", "invoice-8", "invoice-9"}
    assert '"has_more":true' in responses[6] and '"has_more":false' in responses[7]


@NEEDS_CURL
def test_cloudevents_page_shows_requests_that_work(running: LocalProcess) -> None:
    """The page's curl commands store a CloudEvent, repeat it in binary mode, store a batch, and read the first one."""
    responses = [response for block in here("cloudevents.md") for response in curl(running, block)]
    assert [response.split()[1] for response in responses] == ["201", "200", "207", "200"]
    assert "Idempotent-Replayed: true" in responses[1]
    assert re.findall('"status":(...)', responses[2]) == ["201", "400", "400"]
    assert '"time":"2026-01-31T09:30:00Z"' in responses[3] and '"data":{"total":42.50}' in responses[3]


def test_readme_client_stores_its_event_despite_faults(running: LocalProcess) -> None:
    """The README's client stores its event, also when responses are lost or the API fails."""
    (block,) = blocks(ROOT / "README.md", "python")
    assert len(block.text.splitlines()) <= 25
    names: dict[str, Any] = {}
    exec(compile(block.text, "README.md", "exec"), names)  # pylint: disable=exec-used  # the page's own code
    event = {"id": "client-1", "type": "client.test", "payload": {"n": 1}}
    api = FaultyStore(f"{running.url}/events")  # this proxy works in front of any HTTP server
    try:
        for fault in ("cut", "503 ServiceUnavailable", "written, cut", "written, cut short", "none"):
            api.faults = [fault]
            assert names["store"](api.url, running.token, event)["payload"] == {"n": 1}
        with pytest.raises(names["urllib"].error.HTTPError, match="409"):
            names["store"](api.url, running.token, {**event, "payload": {}})
        api.afterwards = "cut"
        with pytest.raises(TimeoutError, match="client-2"):
            names["store"](api.url, running.token, {**event, "id": "client-2"}, seconds=0.5)
    finally:
        api.close()


def test_token_commands_work(running: LocalProcess) -> None:
    """The commands of the page about tokens work in their order. `$(...)` captures only the token."""
    commands, captured = here("tokens.md")

    def token_command(line: str) -> str:
        (arguments,) = re.findall(r'make (?:-s )?token ARGS="([^"]*)"', line)
        program = [sys.executable, str(ROOT / "eventsapp" / "token_cli.py"), *shlex.split(arguments)]
        environment = {"DATA_DIR": str(running.data_dir)}
        return subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    first = token_command(commands.splitlines()[0])
    key_id = first.split("_")[1]
    for line in commands.splitlines()[1:]:
        token_command(line.replace("KEY_ID", key_id))
    assert re.fullmatch(r"evt_\w+", token_command(captured))


def test_page_about_performance_measures_a_batch(running: LocalProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's command prints the ratio, as it does here in one round."""
    (command,) = here("performance.md")
    assert command == "EVENT_API_TOKEN=$(cat .local/token) make batch-bench URL=http://127.0.0.1:8000"
    monkeypatch.setenv("EVENT_API_TOKEN", running.token)
    output = make(ROOT, "--silent", "batch-bench", f"URL={running.url}", "ROUNDS=1").stdout
    figures = re.fullmatch(
        r"100 POSTs: (\d+) ms; a batch of 100: (\d+) ms; ratio (\d+\.\d\d) \(medians of 1 rounds\)\n", output
    )
    assert figures is not None, output
    single, together, ratio = map(float, figures.groups())
    assert ratio == pytest.approx(together / single, abs=0.02)


def test_every_token_command_can_be_parsed() -> None:
    """The program can parse every `make token` command on the pages."""
    lines = [line for path in PAGES for line in re.findall(r'make (?:-s )?token ARGS="([^"]*)"', path.read_text())]
    assert len(lines) >= 10
    for line in lines:
        known = line.replace("KEY_ID", "4fJq0ZpXn2RkYw8T").replace("$stage", "prod")
        command, *options = shlex.split(known)
        token_cli.commands.commands[command].make_context(command, options)


@pytest.fixture(name="tested_project")
def _tested_project(tmp_path: Path) -> Path:
    """Return a copy of the project with its tests and its OpenAPI document."""
    project = copied_project(tmp_path / "project")
    (project / "docs").mkdir()
    shutil.copytree(ROOT / "tests", project / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "CHANGELOG.md", "docs/openapi.json"):
        shutil.copy(ROOT / name, project / name)
    return project


def test_steps_of_the_page_add_a_field(tested_project: Path) -> None:
    """The steps of the page "Changing the code" add a field, and the test command of the page passes."""
    project, page = tested_project, ROOT / "docs" / "changing-the-code.md"
    declaration, field, valid, invalid = (block.text for block in blocks(page, "python"))
    module, bodies = project / "eventsapp" / "chalicelib" / "event.py", project / "tests" / "bodies.py"
    code = module.read_text().replace("\n\nclass CallerFields", f"\n\n{declaration}\n\n\nclass CallerFields")
    module.write_text(code.replace("    occurred_at: ", f"    {field}\n    occurred_at: ", 1))
    tables = bodies.read_text().replace("\nVALID_BODIES = [\n", f"\nVALID_BODIES = [\n    {valid}\n")
    bodies.write_text(tables.replace("\nINVALID_BODIES = [\n", f"\nINVALID_BODIES = [\n    {invalid}\n"))
    assert module.read_text() != (ROOT / "eventsapp" / "chalicelib" / "event.py").read_text()
    (steps,) = here("changing-the-code.md")
    for command, *arguments in map(shlex.split, steps.splitlines()):
        if command == "make":
            make(project, *arguments)
        else:
            assert command == ".venv/bin/python"
            run(sys.executable, *arguments, "-p", "no:cacheprovider", cwd=project)


def test_steps_of_the_page_release_and_upgrade(tmp_path: Path) -> None:
    """The git commands of the page about upgrades push a tag and merge it into a fork."""
    take_in, make_release = here("upgrading.md")
    upstream, fork = tmp_path / "upstream.git", tmp_path / "fork.git"

    def shell(text: str, folder: Path) -> None:
        identity = "git config user.name test; git config user.email test@example.com; set -e\n"
        subprocess.run(["sh", "-c", identity + text], cwd=folder, check=True, capture_output=True)

    shell(f"git init -q -b main --bare {upstream}; git clone -q {upstream} ours", tmp_path)
    shell("git commit -q --allow-empty -m first; git push -q origin main", tmp_path / "ours")
    shell(f"git clone -q --bare {upstream} {fork}; git clone -q {fork} theirs", tmp_path)
    shell(f"git commit -q --allow-empty -m second; git push -q origin main\n{make_release}", tmp_path / "ours")
    url = re.search(r"https://github.com/\S+", take_in)
    assert url is not None and "\nmake test\n" in take_in
    shell(take_in.replace(url[0], str(upstream)).replace("\nmake test\n", "\n"), tmp_path / "theirs")
    log = subprocess.check_output(["git", "log", "--format=%s", "main"], cwd=fork, text=True)
    assert log.splitlines() == ["second", "first"]


# Tables, names and links


def test_pattern_for_secret_scanners_matches_the_gateway() -> None:
    """The pattern for secret scanners is the one that the gateway uses."""
    (pattern,) = re.findall(r"`(evt_\[[^`]*)`", (ROOT / "docs" / "tokens.md").read_text())
    assert f"^[Bb][Ee][Aa][Rr][Ee][Rr] +{pattern}$" == BEARER


def test_threats_name_existing_tests() -> None:
    """Each test in the table of threats exists."""
    named = set(re.findall(r"`(?:tests/)?(\w+\.py)`", (ROOT / "docs" / "security.md").read_text()))
    assert len(named) >= 6
    assert named <= {path.name for path in (ROOT / "tests").rglob("*.py")}


def test_every_problem_type_is_documented() -> None:
    """The table of errors has exactly the problem types, each with its status."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert sorted(rows) == sorted((kind.type, str(kind.status)) for kind in Problem.__subclasses__())


def test_every_setting_of_a_stage_is_documented() -> None:
    """The page about the deployment documents each variable of a stage."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    variables = re.findall(r'^variable "(\w+)"', (ROOT / "terraform" / "variables.tf").read_text(), re.M)
    assert [name for name in variables if f"| `{name}`" not in page and name != "stage"] == []


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_page_has_no_marker_of_a_merge(path: Path) -> None:
    """No page has the lines that git leaves where two changes conflict."""
    assert re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", path.read_text(), re.M) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_are_valid(path: Path) -> None:
    """Each link leads to an existing page and heading."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
        name, _, anchor = target.partition("#")
        page = (path.parent / name) if name else path
        assert page.exists(), target
        assert not anchor or anchor in anchors(page.read_text()), target


def test_each_disabled_lint_has_a_reason() -> None:
    """Each line that disables a pylint check gives the reason."""
    files = [path for folder in ("eventsapp", "tests", "terraform") for path in (ROOT / folder).rglob("*.py")]
    lines = [line for path in files for line in path.read_text().splitlines() if "pylint" + ": disable" in line]
    assert len(lines) > 10
    assert [line for line in lines if not re.search(r"# pylint" + r": disable(-next)?=[a-z, -]+  # \S+", line)] == []


def test_environments_of_the_workflow_are_documented() -> None:
    """The page about the deployment creates the environments that the workflow and the roles use."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    (listed,) = re.findall(r"^for environment in (.*); do$", page, re.M)
    assert set(listed.split()) == {f"{stage}{end}" for stage in ("dev", "staging", "prod") for end in ("", "-check")}
    trust = (ROOT / "terraform" / "oidc" / "provider_github.tf").read_text()
    workflow = (ROOT / ".github" / "workflows" / "stage.yml").read_text()
    assert set(re.findall(r'"environment:(.*?)"', trust)) == {"${stage}", "${stage}-check"}
    assert set(re.findall(r"^ +environment: \$\{\{ inputs.stage \}\}(\S*)", workflow, re.M)) == {"", "-check"}

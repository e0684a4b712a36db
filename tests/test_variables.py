"""The variables of both Terraform roots refuse wrong values and say what to use.

The tests plan each variables.tf alone. It needs no provider, so Terraform loads none.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT
from roots import NEEDS_TERRAFORM

pytestmark = NEEDS_TERRAFORM

Value = Any  # a value of JSON
TERRAFORM = ROOT / "terraform"
PACKAGED = "dev"  # the stage of tests/settings.tfvars


def throttle(read: tuple[float, float] = (1, 1), write: tuple[float, float] = (1, 1)) -> Value:
    """Return a throttle of reads and writes, each with a rate and a burst."""
    return {name: {"rate": limit[0], "burst": limit[1]} for name, limit in {"read": read, "write": write}.items()}


def capacity(read: tuple[int, int] = (1, 1), write: tuple[int, int] = (1, 1)) -> Value:
    """Return a table's capacity for reads and writes, each with a minimum and a maximum."""
    return {name: {"min": limit[0], "max": limit[1]} for name, limit in {"read": read, "write": write}.items()}


def caps(events: tuple[int, int] = (65, 257), tokens: tuple[int, int] = (1, 1)) -> Value:
    """Return the caps of both tables, each for reads and writes."""
    return {name: {"read": cap[0], "write": cap[1]} for name, cap in {"events": events, "tokens": tokens}.items()}


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root that has only the variables of a stage, with valid values."""
    root = tmp_path_factory.mktemp("stage")
    shutil.copy(TERRAFORM / "variables.tf", root)
    shutil.copy(TERRAFORM / "tests" / "settings.tfvars", root / "terraform.tfvars")
    (root / "packaged.tf").write_text(f'locals {{ for_stage = "{PACKAGED}" }}\n')
    return root


@pytest.fixture(name="oidc", scope="module")
def _oidc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root that has only the variables of oidc/, with valid values."""
    root = tmp_path_factory.mktemp("oidc")
    shutil.copy(TERRAFORM / "oidc" / "variables.tf", root)
    values = {"github_owner": "octo-org", "github_owner_id": "6894", "github_repo": "events", "github_repo_id": "45817"}
    (root / "terraform.tfvars").write_text("".join(f'{name} = "{value}"\n' for name, value in values.items()))
    return root


def faults(root: Path, **values: Value) -> list[str]:
    """Plan with these values, and return the first line of each error."""
    (root / "values.tfvars.json").write_text(json.dumps(values))
    command = ["terraform", "plan", "-input=false", "-json", "-var-file=values.tfvars.json"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    found = [line["diagnostic"]["detail"].partition("\n")[0] for line in lines if line["type"] == "diagnostic"]
    assert (run.returncode == 0) == (not found), run.stdout
    return found


ORIGIN = (
    "An origin is not valid: write https://host or http://localhost, with a port if it is not the default, without a "
    'path. "*" must be the only one.'
)
DEFAULT_PORT = (
    "An origin has its default port, which browsers do not send: remove :443 after https, and :80 after http."
)
CAPS = "request_caps.events is too low: set read to at least 65 and write to at least 257, as the largest event needs."
TOKEN_CAPS = "request_caps.tokens is too low: set read and write to at least 1. Otherwise every request fails."
CAPACITY = "table_capacity is not valid: set min to at least 1, and max to at least min."
THROTTLE = "A rate or burst in throttle is 0 or less: use more than 0. API Gateway would refuse every request."
CONCURRENCY = (
    "A value in concurrency is not valid: use at least 1, or -1 for no limit. A function with 0 never runs."
)
CACHE = "token_cache_seconds is not valid: use a whole number from 0 to 3600, the range of API Gateway."
RETENTION = "retention_days is not valid: use a whole number of days, or 0 to keep events for ever."
TABLES = (
    'events_tables is not valid: use ["events"], ["events-restored", "events"] or ["events", "events-restored"].'
)
SHARDS = "index_shards is not valid: use a whole number from 1 to 64."
SHIFT = (
    "traffic_shift is not valid: use LambdaAllAtOnce, LambdaCanary10Percent5Minutes (or 10, 15, 30) or "
    "LambdaLinear10PercentEvery1Minute (or 2Minutes, 3Minutes)."
)
LOG_RETENTION = "log_retention_days is 0 or less: use at least 1, because 0 keeps logs for ever."

ALARMS = "A value in alarms is below 1: the alarm would never end. Use at least 1."
EMAIL = "{} is not an e-mail address: write one address, like name@example.com."

REFUSED = {
    "stage": [("prod", "The package is of stage dev: run `make package STAGE=prod` first.")],
    "retention_days": [(0.5, RETENTION), (-1, RETENTION)],
    "events_tables": [(names, TABLES) for names in ([], ["events-restored"], ["events", "events"], ["tokens"])],
    "index_shards": [(0, SHARDS), (65, SHARDS), (1.5, SHARDS)],
    "log_retention_days": [(0, LOG_RETENTION), (-1, LOG_RETENTION)],
    "table_capacity": [
        (capacity(read=(5, 4)), CAPACITY),
        (capacity(write=(5, 4)), CAPACITY),
        (capacity(read=(0, 4)), CAPACITY),
        (capacity(write=(0, 4)), CAPACITY),
    ],
    "request_caps": [
        (caps(events=(64, 257)), CAPS),
        (caps(events=(65, 256)), CAPS),
        (caps(tokens=(0, 1)), TOKEN_CAPS),
        (caps(tokens=(1, 0)), TOKEN_CAPS),
    ],
    "throttle": [
        (throttle(read=(0, 1)), THROTTLE),
        (throttle(read=(1, 0)), THROTTLE),
        (throttle(write=(0, 1)), THROTTLE),
        (throttle(write=(1, 0)), THROTTLE),
    ],
    "concurrency": [
        ({"api_handler": 0, "authorizer": 1}, CONCURRENCY),
        ({"api_handler": 1, "authorizer": 0}, CONCURRENCY),
        ({"api_handler": -2, "authorizer": -1}, CONCURRENCY),
    ],
    "token_cache_seconds": [(-1, CACHE), (3601, CACHE), (0.5, CACHE)],
    "traffic_shift": [
        ("AllAtOnce", SHIFT),
        ("LambdaLinear10PercentEvery10Minutes", SHIFT),  # it takes 100 minutes
        ("CodeDeployDefault.LambdaAllAtOnce", SHIFT),
    ],
    "firewall": [({"requests_per_address": 9}, "requests_per_address is below WAF's minimum: use at least 10.")],
    "cors_origins": [
        (["https://app.example.com/"], ORIGIN),
        (["http://app.example.com"], ORIGIN),
        (["https://*.example.com"], ORIGIN),
        (["*", "https://app.example.com"], ORIGIN),
        (["https://app.example.com:443"], DEFAULT_PORT),
        (["http://localhost:80"], DEFAULT_PORT),
    ],
    "alarms": [({"server_errors": 0}, ALARMS), ({"slow_ms": {"authorizer": 0}}, ALARMS)],
    "alarm_email": [
        ("ops", EMAIL.format("alarm_email")),
        ("a@example.com, b@example.com", EMAIL.format("alarm_email")),
    ],
}
ACCEPTED = {
    "stage": [PACKAGED],
    "retention_days": [0, 3650],
    "events_tables": [["events"], ["events-restored", "events"], ["events", "events-restored"]],
    "index_shards": [1, 64],
    "log_retention_days": [1],
    "table_capacity": [None, capacity(read=(1, 1), write=(4, 9))],
    "request_caps": [caps()],
    "throttle": [throttle(read=(0.5, 1))],
    "concurrency": [{"api_handler": -1, "authorizer": 1}],
    "token_cache_seconds": [0, 3600],
    "traffic_shift": ["LambdaAllAtOnce", "LambdaCanary10Percent30Minutes", "LambdaLinear10PercentEvery3Minutes"],
    "firewall": [None, {"requests_per_address": 10}],
    "alarms": [None, {}, {"server_errors": 1, "slow_ms": {"authorizer": 1}}],
    "alarm_email": [None, "ops+prod@example.co.uk"],
    "cors_origins": [[], ["*"], ["https://app.example.com:8443", "http://localhost", "http://127.0.0.1:5173"]],
}


@pytest.mark.parametrize(
    ("name", "value", "fault"), [(name, *case) for name, cases in REFUSED.items() for case in cases], ids=str
)
def test_value_that_no_stage_can_have_is_refused(root: Path, name: str, value: Value, fault: str) -> None:
    """The plan stops with the one sentence of this variable."""
    assert faults(root, **{name: value}) == [fault]


def test_unknown_stage_is_refused(root: Path) -> None:
    """A stage that does not exist is refused with the names of the stages."""
    assert "The stage is unknown: use dev, staging or prod." in faults(root, stage="production")


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values], ids=str
)
def test_smallest_and_largest_values_are_accepted(root: Path, name: str, value: Value) -> None:
    """The plan has no error."""
    assert faults(root, **{name: value}) == []


OWNER = "github_owner is not valid: use letters, digits and single hyphens, without a wildcard or a slash."
REPOSITORY = (
    "github_repo is not valid: use letters, digits, dots, hyphens and underscores, without a wildcard or a slash."
)
OWNER_ID, REPOSITORY_ID = (
    f"github_{name}_id is not valid: use the whole number that the command in its description prints."
    for name in ("owner", "repo")
)

KEEP_DAYS = "backup.keep_days is not valid: use a whole number of days, at least 1."
COLD_DAYS = (
    "backup.cold_after_days is too late: AWS keeps a backup in cold storage for at least 90 days. Use 0, or at most "
    "keep_days - 90."
)
LOCK_DAYS = "backup.lock_days is below AWS Backup's minimum: use at least 3, or null."
COPY_TO = "backup.copy_to is not the ARN of a backup vault: write arn:aws:backup:REGION:ACCOUNT:backup-vault:NAME."

BUDGET = "monthly_budget_usd is 0 or less: use more than 0, or null for no budget."
BUDGET_EMAIL = "monthly_budget_usd needs budget_email: set the address that gets the message."

REFUSED_BY_OIDC = [
    ({"github_owner": "octo-*"}, OWNER),
    ({"github_owner": "octo-org/events"}, OWNER),
    ({"github_owner": "octo--org"}, OWNER),
    ({"github_owner": ""}, OWNER),
    ({"github_repo": "octo-org/events"}, REPOSITORY),
    ({"github_repo": "*"}, REPOSITORY),
    ({"github_repo": ""}, REPOSITORY),
    ({"github_owner_id": "*"}, OWNER_ID),
    ({"github_owner_id": ""}, OWNER_ID),
    ({"github_repo_id": "0"}, REPOSITORY_ID),
    ({"github_repo_id": "45817:environment:prod"}, REPOSITORY_ID),
    ({"backup": {"keep_days": 0, "cold_after_days": 0}}, KEEP_DAYS),
    ({"backup": {"keep_days": 99.5, "cold_after_days": 0}}, KEEP_DAYS),
    ({"backup": {"keep_days": 119, "cold_after_days": 30}}, COLD_DAYS),
    ({"backup": {"lock_days": 2}}, LOCK_DAYS),
    ({"backup": {"copy_to": "arn:aws:backup:eu-west-1:210987654321:backup-vault:*"}}, COPY_TO),
    ({"backup": {"copy_to": "copies"}}, COPY_TO),
    ({"monthly_budget_usd": 0, "budget_email": "ops@example.com"}, BUDGET),
    ({"monthly_budget_usd": 20}, BUDGET_EMAIL),
    ({"budget_email": "ops"}, EMAIL.format("budget_email")),
]


@pytest.mark.parametrize(("values", "fault"), REFUSED_BY_OIDC, ids=str)
def test_value_that_oidc_cannot_have_is_refused(oidc: Path, values: dict[str, Value], fault: str) -> None:
    """Names with a wildcard or a slash, ids that are no numbers, and backups that AWS refuses stop the plan."""
    assert faults(oidc, **values) == [fault]


@pytest.mark.parametrize(
    "backup",
    [
        {},
        {"keep_days": 1, "cold_after_days": 0},
        {"keep_days": 120, "cold_after_days": 30, "lock_days": 3},
        {"copy_to": "arn:aws:backup:eu-west-1:210987654321:backup-vault:copies"},
    ],
    ids=str,
)
def test_repository_with_its_ids_and_backups_is_accepted(oidc: Path, backup: Value) -> None:
    """The plan has no error."""
    assert faults(oidc, backup=backup) == []


def test_each_rule_has_a_test() -> None:
    """Every error message of both variables.tf is in a table of this file."""
    messages = [path.read_text(encoding="utf-8").count("error_message") for path in TERRAFORM.glob("**/variables.tf")]
    assert len(messages) == 2
    tested = {fault for cases in REFUSED.values() for _, fault in cases} | {fault for _, fault in REFUSED_BY_OIDC}
    assert len(tested) + 1 == sum(messages)  # the unknown stage has a test of its own

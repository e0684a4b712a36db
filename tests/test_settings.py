"""Check that the tests pass in a fork that changes every documented setting."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deployed.settings import SETTINGS
from processes import ROOT
from roots import NOT_COPIED, write_settings

# Each stage tries another set of values. Every setting differs between the stages and from the project.
FORK: dict[str, dict[str, Any]] = {
    "dev": {  # everything on
        "region": "eu-central-1",
        "retention_days": 365,
        "events_tables": ["events-restored", "events"],
        "index_shards": 4,
        "log_retention_days": 3653,
        "protected": True,
        "table_capacity": {"read": {"min": 1, "max": 10}, "write": {"min": 2, "max": 20}},
        "throttle": {"read": {"rate": 500, "burst": 1000}, "write": {"rate": 200, "burst": 300}},
        "concurrency": {"api_handler": 10, "authorizer": 1},
        "request_caps": {"events": {"read": 4000, "write": 4000}, "tokens": {"read": 100, "write": 5}},
        "token_cache_seconds": 60,
        "firewall": {"requests_per_address": 100},
        "traffic_shift": "LambdaCanary10Percent30Minutes",
        "alarms": {"server_errors": 20, "slow_ms": {"authorizer": 1500}},
        "alarm_email": "events@example.com",
        "customer_key": True,
        "cors_origins": ["https://app.example.com", "http://localhost:5173"],
    },
    "staging": {  # the smallest values
        "region": "us-east-1",
        "retention_days": 1,
        "events_tables": ["events", "events-restored"],
        "index_shards": 1,
        "log_retention_days": 1,
        "protected": True,
        "table_capacity": {"read": {"min": 1, "max": 1}, "write": {"min": 1, "max": 1}},
        "throttle": {"read": {"rate": 1, "burst": 1}, "write": {"rate": 1, "burst": 1}},
        "concurrency": {"api_handler": 1, "authorizer": 1},
        "request_caps": {"events": {"read": 65, "write": 257}, "tokens": {"read": 1, "write": 1}},
        "token_cache_seconds": 0,
        "firewall": {"requests_per_address": 10},
        "traffic_shift": "LambdaLinear10PercentEvery1Minute",
        "alarms": {},
        "alarm_email": None,
        "customer_key": True,
        "cors_origins": ["*"],
    },
    "prod": {  # everything off, as in a new account
        "region": "sa-east-1",
        "retention_days": 3650,
        "events_tables": ["events"],
        "index_shards": 64,
        "log_retention_days": 7,
        "protected": False,
        "table_capacity": None,
        "throttle": {"read": {"rate": 10000, "burst": 5000}, "write": {"rate": 10000, "burst": 5000}},
        "concurrency": {"api_handler": -1, "authorizer": -1},
        "request_caps": {"events": {"read": 40000, "write": 40000}, "tokens": {"read": 1000, "write": 50}},
        "token_cache_seconds": 3600,
        "firewall": None,
        "traffic_shift": "LambdaAllAtOnce",
        "alarms": None,
        "alarm_email": None,
        "customer_key": False,
        "cors_origins": [],
    },
}

# The tests that read the project's settings. All others bring their own: roots.py has those of Terraform's tests,
# deployed/settings.py those of the deployed stage. From the project, the deployed stage has only its region.
READERS = [
    "tests/test_terraform.py::test_stage_plan_has_the_values_of_its_tfvars",
    "tests/test_terraform.py::test_terraform_is_formatted",
    "tests/test_sources.py",
    "tests/test_workflows.py",
    "tests/test_merge.py::test_each_stage_of_the_config_has_its_tfvars",
]


def documented_settings() -> set[str]:
    """Return the names of a stage's variables, without `stage` itself."""
    return set(re.findall(r'^variable "(\w+)"', (ROOT / "terraform" / "variables.tf").read_text(), re.M)) - {"stage"}


@pytest.fixture(name="fork", scope="module")
def _fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with every setting changed."""
    fork = tmp_path_factory.mktemp("fork") / "fork"
    ignored = shutil.ignore_patterns(*NOT_COPIED, ".venv", ".git", ".local*", "build", ".pytest_cache", ".hypothesis")
    shutil.copytree(ROOT, fork, ignore=ignored)
    for stage, settings in FORK.items():
        write_settings(fork / "terraform" / "stages" / f"{stage}.tfvars", {"stage": stage, **settings})
    return fork


def test_fork_changes_each_setting() -> None:
    """The fork has a value for every setting. The stages have different values."""
    for settings in FORK.values():
        assert settings.keys() == documented_settings()
    for name in documented_settings():
        assert len({str(settings[name]) for settings in FORK.values()}) > 1, name


def test_deployed_stage_has_its_own_settings() -> None:
    """The deployed stage takes no value from the project but its region.

    Its tests set `protected` in its tfvars, and the emulator sets `events_tables`.
    """
    assert SETTINGS.keys() == documented_settings() - {"region", "protected", "events_tables"}


def test_readers_of_the_settings_pass_in_a_fork(fork: Path) -> None:
    """The tests that read the settings pass in the fork."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *READERS]
    ours = ("COVERAGE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    result = subprocess.run(command, cwd=fork, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout

"""The plans of the root terraform/oidc/, which an administrator applies once.

The tests plan the policies with the real provider. The emulator's IAM evaluator then evaluates them.
"""

import json
from pathlib import Path

import pytest
from roots import REGIONS, Plans, copied_project, planned, run


@pytest.fixture(scope="session", name="oidc")
def _oidc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an initialised copy of the root oidc/, for stages in three regions. Only prod is protected."""
    root = copied_project(tmp_path_factory.mktemp("oidc") / "project") / "terraform" / "oidc"
    for stage, region in REGIONS.items():
        tfvars = root.parent / "stages" / f"{stage}.tfvars"
        protected = json.dumps(stage == "prod")
        settings = (f'region="{region}" # a comment', "un_protected = true", f"protected={protected} # a comment")
        tfvars.write_text("\n ".join(('other_region = "eu-west-1"', *settings, "")))
    run("terraform", "init", "-backend=false", "-input=false", cwd=root)
    return root


@pytest.fixture(scope="session", name="plans")
def _plans(oidc: Path) -> Plans:
    """Return the plans of Terraform's tests of oidc/."""
    return planned(oidc)

"""Calls of AWS with the AWS CLI, as the workflow's jobs make them."""

import os
import sys
from pathlib import Path

import pytest
from aws_calls import CallFailed, call_by_cli

FAKE_AWS = """#!{python}
import json, sys
print(json.dumps({{"arguments": sys.argv[1:]}})) if "fail" not in sys.argv[-1] else sys.exit("An error\\n occurred.")
"""


def test_workflow_makes_the_same_calls_with_the_aws_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without packages, the AWS CLI makes each call: with its own names, and members as JSON."""
    program = tmp_path / "aws"
    program.write_text(FAKE_AWS.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert call_by_cli("codedeploy", "get_deployment", deploymentId="d-1")["arguments"] == [
        "deploy", "get-deployment", "--output", "json", "--cli-input-json", '{"deploymentId": "d-1"}',
    ]  # fmt: skip
    with pytest.raises(CallFailed, match="^get_alias failed: An error occurred$"):
        call_by_cli("lambda", "get_alias", Name="fail")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CallFailed, match="the AWS CLI is not installed"):
        call_by_cli("lambda", "get_alias")

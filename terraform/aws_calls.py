"""Calls of AWS for `make shift` and `make rollback`, on a laptop and in a job that installs no packages.

A laptop has boto3 in its virtual environment. A workflow's job (CI=true) has no such environment: there the AWS CLI
makes the same calls, with the same members in the request and the response.
"""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

Call = Callable[..., dict[str, Any]]  # call(service, operation, **members): call("lambda", "get_alias", Name=...)
CLI_NAMES = {"codedeploy": "deploy"}  # services that have another name in the AWS CLI


class CallFailed(Exception):
    """Raised when AWS refuses a call, or does not respond; the text names the call and the reason."""


def calls_of(stage: str) -> Call:
    """Return the calls for a stage, with the credentials of the environment. Raises CallFailed."""
    if os.environ.get("CI") and stage != "emulated":
        return call_by_cli
    from token_admin import TokenAdminError  # pylint: disable=import-outside-toplevel  # they need packages
    from token_stage import client_of  # pylint: disable=import-outside-toplevel  # they need packages

    try:
        return calls_by_boto3(lambda service: client_of(service, stage))
    except TokenAdminError as exc:
        raise CallFailed(str(exc).rstrip(".")) from exc


def calls_by_boto3(client_of: Callable[[str], Any]) -> Call:
    """Return the calls that boto3's clients make."""
    from botocore.exceptions import BotoCoreError, ClientError  # pylint: disable=import-outside-toplevel  # a package

    clients = {service: client_of(service) for service in ("lambda", "codedeploy")}

    def call(service: str, operation: str, **members: Any) -> dict[str, Any]:
        try:
            return dict(getattr(clients[service], operation)(**members))
        except (BotoCoreError, ClientError) as exc:
            raise CallFailed(f"{operation} failed: {exc}".rstrip(".")) from exc

    return call


def call_by_cli(service: str, operation: str, **members: Any) -> dict[str, Any]:
    """Make a call with the AWS CLI. Raises CallFailed."""
    command = ["aws", CLI_NAMES.get(service, service), operation.replace("_", "-"), "--output", "json"]
    try:
        run = subprocess.run(
            [*command, "--cli-input-json", json.dumps(members)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as exc:
        raise CallFailed("the AWS CLI is not installed: install it from https://aws.amazon.com/cli/") from exc
    if run.returncode:
        raise CallFailed(f"{operation} failed: {' '.join(run.stderr.split())}".rstrip("."))
    return dict(json.loads(run.stdout or "{}"))

"""Where each stage's token table is: on this machine or in the AWS account. Not shipped."""

import functools
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import boto3
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config

from token_admin import TokenAdmin, TokenAdminError

ROOT = Path(__file__).resolve().parent.parent
STAGES = ROOT / "terraform" / "stages"
PREFIX = "event-api-"
LOCAL_REGION = "ap-southeast-1"  # of the embedded AWS of `make run`


class EmulatedStage(NamedTuple):
    """A stage on an emulated AWS on this machine."""

    address: Path  # of the file that has its endpoint while it runs
    table_name: str
    credentials: str
    start_command: str


def emulated_stages() -> dict[str, EmulatedStage]:
    """Return the stages on this machine by name."""
    local = Path(os.environ.get("DATA_DIR", ROOT / ".local"))
    emulated = Path(os.environ.get("LOCAL_AWS_DIR", ROOT / ".local-aws"))
    return {
        "local": EmulatedStage(local / "aws.json", "tokens", "local", "make run"),
        "emulated": EmulatedStage(emulated / "aws.json", "event-api-dev-tokens", "test", "make deploy-local"),
    }


def stage_names() -> list[str]:
    """Return the names of all stages."""
    return [*emulated_stages(), *sorted(path.stem for path in STAGES.glob("*.tfvars"))]


def token_admin_of(stage: str) -> TokenAdmin:
    """Return the administration of a stage's tokens. Raises TokenAdminError."""
    client = client_of("dynamodb", stage)
    if stage in emulated_stages():
        return TokenAdmin(client, emulated_stages()[stage].table_name)
    return TokenAdmin(client, f"event-api-{stage}-tokens", functools.cache(lambda: aws_identity(stage)))


def aws_identity(stage: str) -> str:
    """Return the ARN of the AWS identity whose credentials are in use. AWS requires no permission for this call."""
    return str(client_of("sts", stage).get_caller_identity()["Arn"])


def flush_token_cache(stage: str) -> None:
    """Make a stage's API Gateway forget all tokens, so that it checks each again. Raises TokenAdminError.

    `make run` has no cache.
    """
    if stage == "local":
        return
    gateway, name = client_of("apigateway", stage), deployed_name(stage)
    pages = gateway.get_paginator("get_rest_apis").paginate()
    apis = [api["id"] for page in pages for api in page["items"] if api["name"] == name]
    if len(apis) != 1:
        raise TokenAdminError(f"the account has {len(apis)} APIs with the name {name}: flush the cache in the console.")
    gateway.flush_stage_authorizers_cache(restApiId=apis[0], stageName=name.removeprefix(PREFIX))


def deployed_name(stage: str) -> str:
    """Return the name of a deployed stage's API and function. The emulated stage is dev."""
    return PREFIX + ("dev" if stage == "emulated" else stage)


def client_of(service: str, stage: str) -> BaseClient:
    """Return a client of a service for a stage. Raises TokenAdminError."""
    if stage not in emulated_stages():
        return boto3.client(service, region_name=region_of(stage))
    emulated = emulated_stages()[stage]
    try:
        endpoint = json.loads(emulated.address.read_text())["endpoint"]
    except FileNotFoundError as exc:
        raise TokenAdminError(f"the stage {stage} does not run: start it with `{emulated.start_command}`.") from exc
    region = LOCAL_REGION if stage == "local" else region_of("dev")
    return local_client(endpoint, emulated.credentials, region, service)


def region_of(stage: str) -> str:
    """Return the AWS region that a stage is deployed to. Raises TokenAdminError."""
    settings = (STAGES / f"{stage}.tfvars").read_text()
    region = re.search(r'^region\s*=\s*"([^"]+)"', settings, re.MULTILINE)
    if region is None:
        raise TokenAdminError(f"terraform/stages/{stage}.tfvars has no region: add the line region = \"...\".")
    return region[1]


def local_client(
    endpoint: str, credentials: str, region: str = LOCAL_REGION, service: str = "dynamodb"
) -> BaseClient:
    """Return a client of an emulated AWS on this machine; no AWS profile has an effect on it."""
    no_profile = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.Session(botocore_session=no_profile).client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=credentials,
        aws_secret_access_key=credentials,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )

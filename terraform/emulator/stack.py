"""A stage of the API on the emulated AWS, deployed by Terraform as GitHub Actions deploys it to a real one."""

import base64
import fcntl
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from token_admin import TokenAdmin, load_or_create
from token_stage import region_of

from aws_calls import CallFailed, calls_by_boto3
from shift import shift
from traffic import ReleaseFailed

from .emulated_aws import ADMIN, SOURCES, CannotDeploy, EmulatedAws

PROJECT = SOURCES.parent
STAGE = "dev"
OWNER, REPOSITORY = "example", "event-api"
OWNER_ID, REPOSITORY_ID = "1001", "2002"
SUBJECT = f"repo:{OWNER}@{OWNER_ID}/{REPOSITORY}@{REPOSITORY_ID}:environment:{{environment}}"
ISSUER, AUDIENCE = "https://token.actions.githubusercontent.com", "sts.amazonaws.com"
COPIED = ("Makefile", "eventsapp", "requirements-dev.txt", "terraform")
NOT_COPIED = ("__pycache__", ".terraform", "*.tfstate*", "chalice.tf.json", "deployment.zip", "tests", "emulator")
GENERATED = (*NOT_COPIED, ".terraform.lock.hcl", "emulator_override.tf.json")  # in the copy
# The provider waits a minute for this resource, and no part of the deployment needs it.
NOT_APPLIED = {"resource": {"aws_s3_bucket_lifecycle_configuration": {"state": {"count": 0}}}}
# Settings whose resources only a person may create or change.
FOR_A_PERSON = re.compile(r"^[ \t]*(?:protected|customer_key)[ \t]*=[ \t]*true|^[ \t]*firewall[ \t]*=[ \t]*\{", re.M)
CLEAR_HINT = "If an earlier run was interrupted, `make destroy-local` removes what it left."

log = logging.getLogger(__name__)


class Stack:
    """A deployed stage and the emulated AWS that it is on; all files of both are in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.region = region_of(STAGE)
        self.aws = EmulatedAws(folder, self.region)
        self.project = folder / "project"
        self.root = self.project / "terraform"
        # Values of Terraform's variables in place of the stage's own. A new emulated AWS has no restored table, and
        # alarms cost nothing on it.
        self.settings = {"events_tables": json.dumps(["events"]), "alarms": "{}"}
        self.ignores_alarms = False  # whether a release ignores active alarms

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder. Raises CannotDeploy while another one uses it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                message = "another `make deploy-local` or `make destroy-local` is running: wait until it has ended."
                raise CannotDeploy(message) from exc
            yield

    def copy_project(self) -> None:
        """Make the copy that is deployed equal to the project, so that the project itself gets no generated files.

        Without a running emulated AWS, all that an earlier deployment left is out of date, and is removed first.
        """
        if not self.aws.is_running():
            self._clear()
        for name in COPIED:
            source, copy = PROJECT / name, self.project / name
            if source.is_dir():
                remove_files_that_the_source_lacks(source, copy)
                shutil.copytree(source, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
            else:
                self.project.mkdir(exist_ok=True)
                shutil.copy2(source, copy)
        (self.root / "oidc" / "emulator_override.tf.json").write_text(json.dumps(NOT_APPLIED))

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def deploy(self) -> None:
        """Apply terraform/oidc, as a person does once. Then apply the packaged stage as its deploy role.

        If the stage has resources that only a person may change, a person applies the stage, too.
        """
        self.apply_oidc()
        self.init()
        settings = (self.root / "stages" / f"{STAGE}.tfvars").read_text()
        self.apply(ADMIN if FOR_A_PERSON.search(settings) else None)

    def package(self) -> None:
        """Package the stage. Raises CannotDeploy."""
        log.info("Packaging the stage %s (make package STAGE=%s)", STAGE, STAGE)
        venv = Path(sys.executable).parent.parent
        # -o: make does not replace a venv that is older than the requirements under this running process.
        command = ["make", "-o", f"{venv}/.installed", "package", f"STAGE={STAGE}", f"venv={venv}"]
        process = run(command, self.project, {})
        if process.returncode:
            lines = [line for line in process.stderr.splitlines() if not re.match(r"make(\[\d+\])?: ", line)]
            raise CannotDeploy("\n".join(lines).removeprefix("make package: ") or process.stdout)

    def apply_oidc(self) -> None:
        """Apply terraform/oidc as the account's administrator."""
        log.info("Applying terraform/oidc as the account's administrator: state bucket, roles, trust in GitHub")
        self.terraform("oidc", "init", "-input=false", credentials=ADMIN)
        self.terraform("oidc", "apply", "-auto-approve", "-input=false", *self._oidc_variables(), credentials=ADMIN)

    def destroy_oidc(self) -> None:
        """Destroy the resources of terraform/oidc, the stages' state too, as the account's administrator."""
        variables = ("-var=destroy_state=true", "-var=destroy_backups=true", *self._oidc_variables())
        for command in ("apply", "destroy"):  # destroy empties the bucket only if the last apply allowed it
            self.terraform("oidc", command, "-auto-approve", "-input=false", *variables, credentials=ADMIN)

    def _oidc_variables(self) -> tuple[str, ...]:
        return (
            f"-var=github_owner={OWNER}", f"-var=github_owner_id={OWNER_ID}",
            f"-var=github_repo={REPOSITORY}", f"-var=github_repo_id={REPOSITORY_ID}",
        )  # fmt: skip

    @cached_property
    def oidc_outputs(self) -> dict[str, Any]:
        """The outputs of terraform/oidc."""
        outputs = json.loads(self.terraform("oidc", "output", "-json", credentials=ADMIN))
        return {name: output["value"] for name, output in outputs.items()}

    def deploy_role(self, **claims: str) -> dict[str, str]:
        """Return credentials of the stage's deploy role, which a job of GitHub Actions takes by its identity token."""
        return session_of(self.aws, self.oidc_outputs["deploy_role_arns"][STAGE], **claims)

    def init(self) -> None:
        """Initialise the root, with its state in the bucket of terraform/oidc."""
        self.terraform(
            "", "init", "-input=false", "-reconfigure", f"-backend-config=stages/{STAGE}.s3.tfbackend",
            f"-backend-config=bucket={self.oidc_outputs['state_bucket']}",
            f"-backend-config=region={region_of('prod')}",
        )  # fmt: skip

    def unlock(self) -> None:
        """Remove the state's lock that a killed run left. No other run is active: `lock` has checked that."""
        key = f"event-api/{STAGE}.tfstate.tflock"
        self.aws.client("s3").delete_object(Bucket=self.oidc_outputs["state_bucket"], Key=key)

    def apply(self, credentials: dict[str, str] | None = None, shifts: bool = True) -> None:
        """Apply the root as the deploy role, or with a person's credentials; then shift the traffic."""
        person = "its deploy role" if credentials is None else "the account's administrator"
        log.info("Applying the stage %s as %s: tables, functions, API, logs", STAGE, person)
        self.terraform("", "apply", "-auto-approve", "-input=false", *self._variables(), credentials=credentials)
        if shifts:
            release(self.aws, credentials or self.deploy_role(), with_alarms=not self.ignores_alarms)

    def plan(self) -> str:
        """Return what Terraform would change as the deploy role; empty if nothing."""
        return self.terraform("", "plan", "-input=false", "-detailed-exitcode", *self._variables(), changes_code=2)

    def destroy(self) -> None:
        """Destroy the root's resources as the account's administrator."""
        self.terraform("", "destroy", "-auto-approve", "-input=false", *self._variables(), credentials=ADMIN)

    def _variables(self) -> list[str]:
        return [f"-var-file=stages/{STAGE}.tfvars", *(f"-var={name}={value}" for name, value in self.settings.items())]

    def is_initialised(self) -> bool:
        """Tell whether an earlier run may have left a lock in the state bucket."""
        return (self.root / ".terraform").exists()

    def remove(self) -> None:
        """End the emulated AWS, and remove the folder with all files of both."""
        self.aws.stop()
        shutil.rmtree(self.folder)

    def token_admin(self) -> TokenAdmin:
        """Return the administration of the stage's tokens, as the account's administrator."""
        return TokenAdmin(self.aws.client("dynamodb"), f"event-api-{STAGE}-tokens")

    def token(self) -> str:
        """Return the token with both scopes that is saved in the folder; create it if needed."""
        return load_or_create(self.token_admin(), self.folder / "token", "local", "make deploy-local")

    def api_url(self) -> str:
        """Return the URL of the API on this machine."""
        return self.local_url(self.terraform("", "output", "-raw", "api_url"))

    def local_url(self, url: str) -> str:
        """Return the URL on this machine of an API that has a URL of API Gateway."""
        api = re.fullmatch(r"https://([^.]+)\.execute-api\.[^/]+/([^/]+)/?", url)
        assert api is not None, f"{url} is not a URL of API Gateway"
        return f"{self.aws.endpoint}/_aws/execute-api/{api[1]}/{api[2]}"

    def terraform(
        self, folder: str, *arguments: str, credentials: dict[str, str] | None = None, changes_code: int | None = None
    ) -> str:
        """Run Terraform in a folder of the root, with credentials or as the deploy role; return its output.

        With `changes_code`, return the output only if the exit code is that one. Raises CannotDeploy.
        """
        environment = {
            **(credentials or self.deploy_role()),
            "AWS_ENDPOINT_URL": self.aws.endpoint,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS": "-no-color",
            "TF_IN_AUTOMATION": "1",
        }
        process = run(["terraform", *arguments], self.root / folder, environment)
        if process.returncode not in (0, changes_code):
            reason = process.stderr.strip() or process.stdout
            raise CannotDeploy(f"`terraform {arguments[0]}` failed in {self.root / folder}:\n{reason}\n{CLEAR_HINT}")
        return process.stdout if changes_code in (None, process.returncode) else ""


def session_of(aws: EmulatedAws, role_arn: str, **claims: str) -> dict[str, str]:
    """Return credentials of a role, for an identity token with these claims."""
    response = aws.client("sts").assume_role_with_web_identity(
        RoleArn=role_arn, RoleSessionName="deploy", WebIdentityToken=identity_token(**claims)
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": response["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": response["SecretAccessKey"],
        "AWS_SESSION_TOKEN": response["SessionToken"],
    }


def release(aws: EmulatedAws, credentials: dict[str, str], with_alarms: bool = True) -> str | None:
    """Shift the traffic to the newest versions, as `make shift` does; return the release. Raises CannotDeploy."""
    log.info("Shifting the traffic to the newest versions")
    call = calls_by_boto3(lambda service: aws.client(service, credentials))
    try:
        return shift(call, "emulated", log.debug, with_alarms)
    except (CallFailed, ReleaseFailed) as exc:
        raise CannotDeploy(f"{exc}.") from exc


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command. Its environment has AWS's, make's and Terraform's variables only if the caller gives them."""
    removed = ("AWS_", "TF_VAR_", "TF_DATA_DIR", "MAKE", "COVERAGE_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    return subprocess.run(
        command, cwd=folder, env={**others, **environment}, capture_output=True, text=True, check=False
    )


def remove_files_that_the_source_lacks(source: Path, copy: Path) -> None:
    """Remove files that an earlier copy has and the source has no longer; generated files stay."""
    for path in list(copy.rglob("*")):
        relative = path.relative_to(copy)
        is_generated = any(Path(part).match(pattern) for part in relative.parts for pattern in GENERATED)
        if path.is_file() and not is_generated and not (source / relative).exists():
            path.unlink()


def identity_token(**claims: str) -> str:
    """Return a token like that of a GitHub job in the stage's environment; the emulated AWS checks no signature."""
    subject = SUBJECT.format(environment=STAGE)
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 300, **claims}
    segments = [json.dumps(members).encode() for members in ({"alg": "RS256", "typ": "JWT"}, payload)]
    return ".".join(base64.urlsafe_b64encode(text).rstrip(b"=").decode() for text in [*segments, b"unsigned"])

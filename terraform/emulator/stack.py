"""Deploy the API to an emulated AWS on this machine, as GitHub Actions deploys it to a real one.

`deploy.py up` starts the emulated AWS unless it runs, and deploys to it; `deploy.py destroy` takes all away again.
"""

import base64
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(PROJECT / "eventsapp"))

import tokens  # pylint: disable=wrong-import-position  # after the path to it

EMULATOR = Path(__file__).resolve().parent / "aws.py"
FOLDER = PROJECT / ".local-aws"
STAGE = "dev"
REGION = "ap-southeast-1"
OWNER, REPOSITORY = "example", "event-api"
OIDC_VARIABLES = (f"-var=github_owner={OWNER}", f"-var=github_repo={REPOSITORY}")
ISSUER, AUDIENCE = "https://token.actions.githubusercontent.com", "sts.amazonaws.com"
ADMIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # ministack's root user
COPIED = ("Makefile", "eventsapp", "requirements-dev.txt", "terraform")
# The provider waits a minute for this one, at AWS as here, and nothing of the deployment needs it.
NOT_APPLIED = {"resource": {"aws_s3_bucket_lifecycle_configuration": {"state": {"count": 0}}}}
NOT_COPIED = ("__pycache__", ".terraform", "*.tfstate*", "chalice.tf.json", "deployment.zip", "tests")


def main() -> None:
    """Run what the command line asks for."""
    command = sys.argv[1]
    stack = Stack(FOLDER)
    try:
        with stack.alone():
            if command == "up":
                stack.aws.start(detached=True)
                if stack.deployed():
                    stack.unlock()
                stack.copy_project()
                stack.deploy()
                print(greeting(stack.api_url(), stack.token()))
            else:
                try:
                    if stack.aws.running() and stack.deployed():
                        stack.unlock()
                        stack.destroy()
                finally:
                    stack.remove()
                print("The local deployment is gone, and the emulated AWS with it.")
    except CannotDeploy as exc:
        if command == "up":
            sys.exit(f"make deploy-local: {exc}\nIf an earlier run was cut off, `make destroy-local` clears all.")
        sys.exit(f"make destroy-local: {exc}")
    except KeyboardInterrupt:
        sys.exit("Cut off: `make destroy-local` clears what is left.")


class CannotDeploy(Exception):
    """Raised when a step of the deployment fails; says what to do about it."""


class EmulatedAws:
    """The emulated AWS; every file of it is in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, detached: bool = False) -> None:
        """Start the emulated AWS unless it runs; one that is not detached ends with this process at the latest."""
        if self.running():
            return
        self._clear()
        with open(self.folder / "aws.log", "wb") as log:
            self._process = subprocess.Popen(  # pylint: disable=consider-using-with  # it goes on
                [sys.executable, str(EMULATOR), str(self.folder)],
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
                start_new_session=detached,
            )
        deadline = time.monotonic() + 60
        while not self.running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotDeploy(f"the emulated AWS does not start: {self.folder / 'aws.log'} says why.")
            time.sleep(0.05)

    def running(self) -> bool:
        """Tell whether the emulated AWS answers."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"{self.endpoint}/_ministack/health", timeout=10
            ):
                return True
        except OSError:  # no such file, no such process
            return False

    def stop(self) -> None:
        """End the emulated AWS, and wait until it has ended."""
        if not self.running():
            return
        pid = json.loads((self.folder / "aws.json").read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(timeout=30)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() or self.running():
            if time.monotonic() > deadline:
                raise CannotDeploy(f"the emulated AWS (process {pid}) does not end: end it with `kill -9 {pid}`.")
            time.sleep(0.05)

    @property
    def endpoint(self) -> str:
        """The URL of the emulated AWS. Raises FileNotFoundError when it never started."""
        return json.loads((self.folder / "aws.json").read_text())["endpoint"]

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """Return a client of a service of the emulated AWS, its administrator's unless credentials are given."""
        given = {**ADMIN, **(credentials or {})}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=given.get("AWS_SESSION_TOKEN"),
        )

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


class Stack:
    """The API on an emulated AWS; every file of both is in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.aws = EmulatedAws(folder)
        self.project = folder / "project"
        self.root = self.project / "terraform"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out of the folder. Raises CannotDeploy when one is in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise CannotDeploy("another deploy-local or destroy-local is at work: wait for its end.") from exc
            yield

    def copy_project(self) -> None:
        """Bring the copy that is deployed up to date, so that no generated file is left in the project."""
        for name in COPIED:
            source, copy = PROJECT / name, self.project / name
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
            else:
                self.project.mkdir(exist_ok=True)
                shutil.copy2(source, copy)
        (self.root / "oidc" / "emulator_override.tf.json").write_text(json.dumps(NOT_APPLIED))

    def deploy(self) -> None:
        """Apply what a person applies once, then package the stage and apply it as the deploy role."""
        self.apply_oidc()
        self.package()
        self.init()
        self.apply()

    def package(self) -> None:
        """Package the stage."""
        venv = Path(sys.executable).parent.parent
        # -o: a venv that is older than its requirements is not made anew under this process.
        self._run(["make", "-o", f"{venv}/.installed", "package", f"STAGE={STAGE}", f"venv={venv}"], self.project, {})

    def apply_oidc(self) -> None:
        """Apply terraform/oidc as the account's administrator."""
        self.terraform("oidc", "init", "-input=false", credentials=ADMIN)
        options = ("-auto-approve", "-input=false", *OIDC_VARIABLES)
        self.terraform("oidc", "apply", *options, credentials=ADMIN)

    def destroy_oidc(self) -> None:
        """Destroy what terraform/oidc made, the state of the stages too, as the account's administrator."""
        with_state = ("-auto-approve", "-input=false", "-var=destroy_state=true", *OIDC_VARIABLES)
        for command in ("apply", "destroy"):  # what destroy deletes by force is read from the last apply
            self.terraform("oidc", command, *with_state, credentials=ADMIN)

    @cached_property
    def oidc_outputs(self) -> dict[str, Any]:
        """What terraform/oidc says of what it made."""
        outputs = json.loads(self.terraform("oidc", "output", "-json", credentials=ADMIN))
        return {name: output["value"] for name, output in outputs.items()}

    def deploy_role(self, **claims: str) -> dict[str, str]:
        """Return credentials of the stage's deploy role, as GitHub Actions takes them."""
        token = identity_token(**claims)
        answer = self.aws.client("sts").assume_role_with_web_identity(
            RoleArn=self.oidc_outputs["deploy_role_arns"][STAGE], RoleSessionName="deploy", WebIdentityToken=token
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["SessionToken"],
        }

    def init(self) -> None:
        """Prepare the root, its state in the bucket that terraform/oidc made."""
        bucket = self.oidc_outputs["state_bucket"]
        self.terraform(
            "", "init", "-input=false", "-reconfigure", f"-backend-config=stages/{STAGE}.s3.tfbackend",
            f"-backend-config=bucket={bucket}",
        )  # fmt: skip

    def unlock(self) -> None:
        """Take away the lock of a run that was killed; that none is at work now, `alone` has made sure."""
        key = f"event-api/{STAGE}.tfstate.tflock"
        self.aws.client("s3").delete_object(Bucket=self.oidc_outputs["state_bucket"], Key=key)

    def apply(self) -> None:
        """Apply the root as the deploy role."""
        self.terraform("", "apply", "-auto-approve", "-input=false", f"-var-file=stages/{STAGE}.tfvars")

    def plan(self) -> str:
        """Return what Terraform would change, as the deploy role sees it; nothing when that is nothing."""
        options = ("-input=false", "-detailed-exitcode", f"-var-file=stages/{STAGE}.tfvars")
        return self.terraform("", "plan", *options, changes_code=2)

    def destroy(self) -> None:
        """Destroy the root's resources as the deploy role."""
        self.terraform("", "destroy", "-auto-approve", "-input=false", f"-var-file=stages/{STAGE}.tfvars")

    def deployed(self) -> bool:
        """Tell whether there may be something to destroy."""
        return (self.root / ".terraform").exists()

    def remove(self) -> None:
        """End the emulated AWS, and remove the folder with all that either of them made."""
        self.aws.stop()
        shutil.rmtree(self.folder)

    def token_table(self) -> tokens.TokenTable:
        """Return the token table, as the account's administrator sees it."""
        return tokens.TokenTable(self.aws.client("dynamodb"), f"event-api-{STAGE}-tokens")

    def token(self) -> str:
        """Return a token of both scopes that the folder keeps, a new one if need be."""
        return tokens.keep(self.token_table(), self.folder / "token", "local", "make deploy-local")

    def api_url(self) -> str:
        """Return the URL that serves the API here."""
        return self.local_url(self.terraform("", "output", "-raw", "api_url"))

    def local_url(self, url: str) -> str:
        """Return where an API with a URL of API Gateway's is served here."""
        api = re.fullmatch(r"https://([^.]+)\.execute-api\.[^/]+/([^/]+)/?", url)
        assert api is not None, f"{url} is no URL of API Gateway's"
        return f"{self.aws.endpoint}/_aws/execute-api/{api[1]}/{api[2]}"

    def terraform(
        self, folder: str, *arguments: str, credentials: dict[str, str] | None = None, changes_code: int | None = None
    ) -> str:
        """Run Terraform in a folder of the root as the deploy role, or with credentials; return what it prints.

        With `changes_code`, only that exit code's output is returned. Raises CannotDeploy.
        """
        environment = {
            **(credentials or self.deploy_role()),
            "AWS_ENDPOINT_URL": self.aws.endpoint,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS": "-no-color",
            "TF_IN_AUTOMATION": "1",
        }
        return self._run(["terraform", *arguments], self.root / folder, environment, changes_code)

    @staticmethod
    def _run(
        command: list[str], folder: Path, environment: dict[str, str], changes_code: int | None = None
    ) -> str:
        ours = ("AWS_", "TF_VAR_", "MAKE", "COVERAGE_")
        others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        ended = subprocess.run(
            command, cwd=folder, env={**others, **environment}, capture_output=True, text=True, check=False
        )
        if ended.returncode not in (0, changes_code):
            raise CannotDeploy(f"`{' '.join(command[:2])}` failed in {folder}:\n{ended.stderr.strip() or ended.stdout}")
        return ended.stdout if changes_code is None or ended.returncode == changes_code else ""


def identity_token(**claims: str) -> str:
    """Return a token as GitHub gives it to a job of the stage's environment; nobody checks its signature here."""
    subject = f"repo:{OWNER}/{REPOSITORY}:environment:{STAGE}"
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 300, **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, whole)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"unsigned"])


def greeting(url: str, token: str) -> str:
    """Return how to use the deployed API."""
    header = f"-H 'Authorization: Bearer {token}'"
    return f"""
The Event API is deployed to an emulated AWS on this machine, at {url}
It asks for a token: the one below is in {FOLDER / "token"}, and `make token ARGS="create --stage emulated ..."` makes others.
`make deploy-local` again deploys a change; `make destroy-local` takes all away. Paste:

curl -i {url}/events {header} -H 'Content-Type: application/json' \\
  -d '{{"id": "order-1001", "type": "order.paid", "payload": {{"total": 42.50}}}}'

curl -i {url}/events/order-1001 {header}

curl -i {url}/events/order-1002 {header}
"""


if __name__ == "__main__":
    main()

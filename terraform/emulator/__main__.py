"""The commands `make deploy-local` (`python -m emulator up`), `make destroy-local` and `make restore-drill`."""

import logging
import sys
import tempfile
from pathlib import Path

from token_admin import TokenAdminError

from .drill import DrillFailed, RestoreDrill
from .emulated_aws import ADMIN
from .stack import PROJECT, CannotDeploy, Stack

FOLDER = PROJECT / ".local-aws"

log = logging.getLogger(__package__)


def main() -> None:
    """Run a command; print its progress to stderr."""
    command, name = {
        "up": (deploy, "deploy-local"), "destroy": (destroy, "destroy-local"), "drill": (drill, "restore-drill"),
    }[sys.argv[1]]  # fmt: skip
    logging.basicConfig(format="%(message)s ...")
    log.setLevel(logging.INFO)
    try:
        stack = Stack(Path(tempfile.mkdtemp(prefix="event-api-drill-")) if command is drill else FOLDER)
        with stack.lock():
            command(stack)
    except (CannotDeploy, DrillFailed, TokenAdminError) as exc:
        sys.exit(f"make {name}: {exc}")
    except KeyboardInterrupt:
        sys.exit(f"make {name}: interrupted. `make destroy-local` removes what is left.")


def deploy(stack: Stack) -> None:
    """Package the project, start the emulated AWS unless it runs, and deploy to it."""
    stack.copy_project()
    stack.package()
    log.info("Starting the emulated AWS")
    stack.aws.start(detached=True)
    if stack.is_initialised():
        stack.unlock()
    stack.deploy()
    print(greeting(stack.api_url(), stack.token()))


def destroy(stack: Stack) -> None:
    """End the emulated AWS, with all that is deployed to it, and remove its files."""
    log.info("Ending the emulated AWS")
    stack.remove()
    print("The local deployment and the emulated AWS are removed.")


def drill(stack: Stack) -> None:
    """Deploy to an emulated AWS of its own, run the restore drill, and remove everything."""
    try:
        stack.copy_project()
        stack.package()
        stack.aws.start()
        stack.deploy()
        restore_drill = RestoreDrill(stack)
        restore_drill.run()
        restore_drill.let_terraform_delete()
        stack.apply(ADMIN)
    finally:
        stack.remove()
    print("The restore drill passed: the API returned every event that it had acknowledged.")


def greeting(url: str, token: str) -> str:
    """Return how to use the deployed API."""
    header = f"-H 'Authorization: Bearer {token}'"
    return f"""
The Event API is deployed to an emulated AWS on this machine: {url}
Every request needs a token. The one below is saved in {FOLDER / "token"};
`make token ARGS="create --stage emulated ..."` creates others.
`make deploy-local` again deploys a change; `make destroy-local` removes everything. Paste:

curl -i {url}/events {header} -H 'Content-Type: application/json' \\
  -d '{{"id": "order-1001", "type": "order.paid", "payload": {{"total": 42.50}}}}'

curl -i {url}/events/order-1001 {header}

curl -i '{url}/events?type=order.*' {header}

curl -i {url}/events/order-1002 {header}
"""


if __name__ == "__main__":
    main()

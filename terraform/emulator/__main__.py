"""The commands of `make deploy-local` (`python -m emulator up`) and `make destroy-local` (`... destroy`)."""

import logging
import sys

from token_admin import TokenAdminError

from .stack import PROJECT, CannotDeploy, Stack

FOLDER = PROJECT / ".local-aws"

log = logging.getLogger(__package__)


def main() -> None:
    """Run a command; print its progress to stderr."""
    command, name = {"up": (deploy, "deploy-local"), "destroy": (destroy, "destroy-local")}[sys.argv[1]]
    logging.basicConfig(format="%(message)s ...")
    log.setLevel(logging.INFO)
    try:
        stack = Stack(FOLDER)
        with stack.lock():
            command(stack)
    except (CannotDeploy, TokenAdminError) as exc:
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

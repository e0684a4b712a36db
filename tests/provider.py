"""Keeps Terraform's AWS provider running. Terraform would start it several times for each plan, and a start is slow.

https://developer.hashicorp.com/terraform/plugin/debugging#terraform-cli-development-overrides
"""

import re
import subprocess
from pathlib import Path

_providers: dict[Path, tuple[subprocess.Popen[str], str]] = {}  # program => its process, and how Terraform reaches it


def running_provider(program: Path) -> str:
    """Start a provider unless it runs. Return the value of TF_REATTACH_PROVIDERS with which Terraform uses it.

    The provider has the environment of this process, and ends with it.
    """
    program = program.resolve()
    if program not in _providers:
        process = subprocess.Popen(  # pylint: disable=consider-using-with  # it runs on after this function
            ["sh", "-c", '"$0" -debug & cat; kill $!', program],  # cat ends when this process does
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        address = next(filter(None, (re.search("TF_REATTACH_PROVIDERS='(.*)'", line) for line in process.stdout)))
        _providers[program] = process, address[1]
    return _providers[program][1]

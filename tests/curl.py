"""The curl commands that the project prints and documents."""

import re
import shutil

import pytest

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")


def curl_commands(text: str) -> list[str]:
    """Return the curl commands in a text. A backslash at the end of a line continues a command."""
    return re.findall(r"^curl (?:.*\\\n)*.*$", text, re.M)

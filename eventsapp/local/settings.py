"""The settings of the API on this machine. They come from the environment."""

import os
import re
from pathlib import Path

HOST = "127.0.0.1"
APP_DIR = Path(__file__).resolve().parent.parent
TENANT = "local"  # the tenant of the first token, and of every caller if AUTH is off
# The settings of `make run` with which `chalice local` serves the same events.
SHARED = ("CORS_ORIGINS", "INDEX_SHARDS", "RETENTION_DAYS")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|\*")


class CannotRun(Exception):
    """Raised when the API cannot start or continue on this machine. The text says what to do."""


def check() -> None:
    """Raise CannotRun if a setting is not valid."""
    auth, days = os.environ.get("AUTH", "on"), os.environ.get("RETENTION_DAYS", "0")
    shards = os.environ.get("INDEX_SHARDS", "1")
    if auth not in ("on", "off"):
        raise CannotRun(f"AUTH is {auth!r}: use on, to require tokens as a deployed API does, or off.")
    if not (days.isascii() and days.isdigit()):
        raise CannotRun(f"RETENTION_DAYS is {days!r}: use a whole number of days, or 0 to keep events for ever.")
    if not (shards.isascii() and shards.isdigit() and int(shards)):
        raise CannotRun(f"INDEX_SHARDS is {shards!r}: use a whole number from 1. It may grow and never shrink.")
    for origin in os.environ.get("CORS_ORIGINS", "").split():
        if not ORIGIN.fullmatch(origin):
            raise CannotRun(
                f"CORS_ORIGINS contains {origin!r}: use a list of origins such as https://app.example, "
                "separated by spaces, or * for every page."
            )


def port() -> int:
    """Return the port of the API. Raises CannotRun."""
    text = os.environ["PORT"]
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise CannotRun(f"{text!r} is not a port: use one from 1 to 65535, as in `make run PORT=8001`.")
    return int(text)


def data_dir() -> Path:
    """Return the folder of the events."""
    return Path(os.environ.get("DATA_DIR", APP_DIR.parent / ".local"))


def requires_token() -> bool:
    """Tell whether callers need a token. Only the local server has this switch."""
    return os.environ.get("AUTH", "on") != "off"


def api_environment(endpoint: str) -> dict[str, str]:
    """Return the environment in which the API reaches the embedded AWS at an endpoint, and no other AWS."""
    ours = {
        "TABLE_NAME": "events",
        "TOKEN_TABLE_NAME": "tokens",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "ap-southeast-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("AWS_")}, **ours}

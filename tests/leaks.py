"""What no log may hold: a token, a secret, a payload. The suite's events carry a canary, its tokens have their form."""

import logging
import re

CANARY = "canary-of-a-payload"  # in each event that targets.an_event makes
TOKEN = re.compile(r"evt_[0-9A-Za-z]{16}_[0-9A-Za-z]*|\b[0-9A-Za-z]{49}\b")  # a whole one, its start, its secret alone


def leaks(text: str, *known: str) -> list[str]:
    """Return what a text should not hold, but for known tokens, which were printed for a person."""
    for token in known:
        text = text.replace(token, "")
    return [*TOKEN.findall(text), *re.findall(CANARY, text)]


class LeakDetector(logging.Handler):
    """Looks through what is logged at the levels that Lambda keeps."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note what a record should not hold, in its message, its fields or its traceback."""
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        self.found += leaks(f"{record.getMessage()} {record.__dict__} {trace}")

"""Find tokens, secrets and payloads in logs. Test payloads contain a canary text; tokens match a pattern."""

import logging
import re

CANARY = "canary-of-a-payload"  # targets.an_event puts it into each event
TOKEN = re.compile(r"evt_[0-9A-Za-z]{16}_[0-9A-Za-z]*|\b[0-9A-Za-z]{49}\b")  # a token, its start, or a secret


def leaks(text: str, *known: str) -> list[str]:
    """Return the tokens, secrets and canaries in a text. Tokens in `known` may be there."""
    for token in known:
        text = text.replace(token, "")
    return [*TOKEN.findall(text), *re.findall(CANARY, text)]


class LeakDetector(logging.Handler):
    """Searches each log record of the level INFO or higher, which Lambda keeps."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Search the record's message, fields and traceback, and add what is found to `found`."""
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        self.found += leaks(f"{record.getMessage()} {record.__dict__} {trace}")

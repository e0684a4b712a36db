"""Tests of the leak detector, which searches the logs of all tests."""

import logging

import pytest
from leaks import CANARY, LeakDetector, leaks

TOKEN = "evt_4fJq0ZpXn2RkYw8T_" + "s" * 49


@pytest.mark.parametrize(
    "text", [f"Bearer {TOKEN}", f'{{"token": "{TOKEN}"}}', TOKEN[:30], "s" * 49, f'{{"payload": {{"n": "{CANARY}"}}}}']
)
def test_leak_is_found(text: str) -> None:
    """The detector finds a token, the start of a token, a secret and a payload."""
    assert leaks(f"2026-11-23 request {text} refused")


@pytest.mark.parametrize("text", ["key_id 4fJq0ZpXn2RkYw8T", "0" * 64, "evt_", "tenant acme, scopes events:read"])
def test_public_value_is_no_leak(text: str) -> None:
    """A log may contain a key id, a digest and a tenant."""
    assert leaks(text) == []


def test_detector_searches_messages_fields_and_tracebacks() -> None:
    """The detector searches the message, the fields and the traceback of a record."""
    detector, log = LeakDetector(), logging.getLogger("leaks-of-this-test")
    log.propagate = False
    log.addHandler(detector)
    log.warning("refused %s", TOKEN)
    log.warning("refused", extra={"fields": {"token": TOKEN}})
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.exception("refused")
    log.debug("not kept by Lambda: %s", TOKEN)
    assert len(detector.found) >= 3
    assert log.handlers == [detector]

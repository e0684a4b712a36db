"""What watches the suite's logs does see what it watches for."""

import logging

import pytest
from leaks import CANARY, LeakDetector, leaks

TOKEN = "evt_4fJq0ZpXn2RkYw8T_" + "s" * 49


@pytest.mark.parametrize(
    "text", [f"Bearer {TOKEN}", f'{{"token": "{TOKEN}"}}', TOKEN[:30], "s" * 49, f'{{"payload": {{"n": "{CANARY}"}}}}']
)
def test_leak_is_found(text: str) -> None:
    """A token, the start of one, a secret alone and a payload are found."""
    assert leaks(f"2026-11-23 request {text} refused")


@pytest.mark.parametrize("text", ["key_id 4fJq0ZpXn2RkYw8T", "0" * 64, "evt_", "tenant acme, scopes events:read"])
def test_what_may_be_known_is_no_leak(text: str) -> None:
    """A key id, a digest and a tenant may be logged."""
    assert leaks(text) == []


def test_detector_reads_messages_fields_and_tracebacks() -> None:
    """A record is looked through in whole."""
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

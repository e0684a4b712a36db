"""Reads a length of time that a user of a command writes: 30m, 12h, 90d. Not shipped."""

import re

import click

UNITS = {"m": 60, "h": 3600, "d": 86_400}  # seconds


def seconds_of(text: str, digits: int, examples: str) -> int:
    """Return the seconds of a text like 12h, with a maximum of digits. Raises BadParameter, with the examples."""
    parsed = re.fullmatch(rf"([0-9]{{1,{digits}}})([mhd])", text)
    if not parsed:
        raise click.BadParameter(f"{text!r} is not a time: use up to {digits} digits and m, h or d, as in {examples}.")
    return int(parsed[1]) * UNITS[parsed[2]]
